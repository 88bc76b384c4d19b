package search

import (
	"strings"

	"meridian/fhir/value"
)

// value reads one alternative of c; reason says what is wrong with it, without
// repeating it.
func (r *Registry) value(c *Criterion, s string) (v Value, reason string) {
	if s == "" {
		return v, "it is empty"
	}
	if v, reason, ok := r.modified(c, s); ok {
		return v, reason
	}
	switch c.Param.Kind {
	case KindComposite:
		return r.parseComposite(c.Param, s)
	case KindSpecial:
		v.Near, reason = parseNear(s)
	case KindNumber:
		v.Comparator, s, reason = parsePrefix(s)
		if reason == "" {
			v.Number, reason = parseNumber(unescape(s))
		}
	case KindDate:
		v.Comparator, s, reason = parsePrefix(s)
		if reason == "" {
			v.Date, reason = parseDate(unescape(s))
		}
	case KindString:
		v.Text = unescape(s)
		if c.Param.fullText != textNone {
			v.find, reason = parseFinding(v.Text)
		} else if c.Modifier != ModExact && fold(v.Text) == "" {
			reason = "it holds nothing but punctuation"
		}
	case KindToken:
		v.Token, reason = parseToken(s)
		if reason == "" && c.Param.Code == "_id" && (v.Token.HasSystem || !validID(v.Token.Code)) {
			reason = "an id has 1 to 64 letters, digits, '-' and '.'"
		}
	case KindReference:
		v.Reference, reason = r.parseReferenceValue(c, unescape(s))
	case KindQuantity:
		v, reason = parseQuantity(s)
	case KindURI:
		v.Text = unescape(s)
	}
	return v, reason
}

// parsePrefix takes a prefix off; without one it is eq. Two letters that are
// none are to blame only where a number or date stands behind them.
func parsePrefix(s string) (Comparator, string, string) {
	if len(s) < 3 || !isSmall(s[0]) || !isSmall(s[1]) {
		return Eq, s, ""
	}
	switch p := Comparator(s[:2]); p {
	case Eq, Ne, Gt, Lt, Ge, Le, Sa, Eb, Ap:
		return p, s[2:], ""
	}
	if s[2] != '-' && (s[2] < '0' || s[2] > '9') {
		return Eq, s, ""
	}
	return "", s, "its prefix is none of eq, ne, gt, lt, ge, le, sa, eb and ap"
}

func isSmall(c byte) bool { return c >= 'a' && c <= 'z' }

func parseNumber(s string) (value.Decimal, string) {
	d, err := value.ParseDecimal(s)
	if err != nil {
		return d, "it is not a decimal number"
	}
	return d, ""
}

// parseDate reads yyyy, yyyy-mm, yyyy-mm-dd and times to the minute or finer,
// with or without zone.
// https://hl7.org/fhir/R4/search.html#date
func parseDate(s string) (value.DateTime, string) {
	d, err := value.ParseDateTime(s)
	switch {
	case err == nil:
		return d, ""
	case strings.Contains(s, " "):
		return d, "it is not a date or time; the + of a zone is written %2B in a URL"
	}
	return d, "it is not a date or time"
}

// parseToken reads [code], system|code, |code and system|.
func parseToken(s string) (Token, string) {
	parts := splitEscaped(s, '|')
	switch {
	case len(parts) == 1:
		return Token{Code: unescape(s)}, ""
	case len(parts) > 2:
		return Token{}, "it has more than one '|' that is not escaped"
	case s == "|":
		return Token{}, "it has neither system nor code"
	}
	return Token{System: unescape(parts[0]), Code: unescape(parts[1]), HasSystem: true}, ""
}

// parseQuantity reads [prefix]number, number|system|code and number||code.
// https://hl7.org/fhir/R4/search.html#quantity
func parseQuantity(s string) (v Value, reason string) {
	v.Comparator, s, reason = parsePrefix(s)
	if reason != "" {
		return v, reason
	}
	parts := splitEscaped(s, '|')
	if v.Number, reason = parseNumber(unescape(parts[0])); reason != "" {
		return v, reason
	}
	switch {
	case len(parts) == 1:
	case len(parts) != 3:
		return v, "it is not number, number|system|code or number||code"
	case parts[2] == "":
		return v, "it has no unit behind the last '|'"
	default:
		v.Unit = Unit{System: unescape(parts[1]), Code: unescape(parts[2])}
	}
	return v, ""
}

// parseReferenceValue reads an id, Type/id, a URL or a canonical.
// https://hl7.org/fhir/R4/search.html#reference
func (r *Registry) parseReferenceValue(c *Criterion, s string) (Reference, string) {
	if validID(s) {
		return Reference{Type: c.Target, ID: s}, ""
	}
	x := r.ParseReference(s)
	if c.Modifier == ModType {
		if !x.Local() || x.Type != c.Target {
			return x, "with :" + c.Target + " it is an id"
		}
		return x, ""
	}
	if !x.Local() && !strings.Contains(s, ":") && !strings.HasPrefix(s, "#") {
		return x, "it is no id, no Type/id and no URL"
	}
	if strings.HasPrefix(s, "#") {
		return x, "contained resources are not searched"
	}
	return x, ""
}
