package search

import (
	"fmt"
	"slices"
	"strconv"

	"meridian/fhir/issue"
	"meridian/fhir/schema"
)

const knownModifiersSentence = "missing, exact, contains, text, in, not-in, below, above, not, of-type, identifier and [type], R5 code-text too"

// The modifiers whose rules stand in files of their own: text.go, valueset.go,
// canonical.go, and :of-type in token.go.
const (
	ModText     Modifier = "text"
	ModCodeText Modifier = "code-text" // of R5
	ModIn       Modifier = "in"
	ModNotIn    Modifier = "not-in"
	ModAbove    Modifier = "above"
	ModBelow    Modifier = "below"
	ModOfType   Modifier = "of-type"
)

// What R4 has, by kind; of R5 :code-text, and :text of references. A composite has none.
var (
	kindModifiers = map[Kind][]Modifier{
		KindNumber:    {ModMissing},
		KindDate:      {ModMissing},
		KindString:    {ModMissing, ModExact, ModContains},
		KindToken:     {ModMissing, ModText, ModCodeText, ModIn, ModNotIn, ModBelow, ModAbove, ModNot, ModOfType},
		KindReference: {ModMissing, ModIdentifier, ModAbove, ModBelow, ModText, ModCodeText},
		KindQuantity:  {ModMissing},
		KindURI:       {ModMissing, ModAbove, ModBelow},
		KindSpecial:   {ModMissing},
	}
	allModifiers = []string{"missing", "exact", "contains", "text", "code-text", "in", "not-in", "below", "above", "not", "of-type", "identifier"}
)

// modifier sets c's modifier; false when it was refused.
func (p *parser) modifier(c *Criterion, m string) bool {
	name, kind := c.Param.Code, c.Param.Kind
	switch {
	case m == "":
		return true
	case slices.Contains(kindModifiers[kind], Modifier(m)):
		if reason := p.r.refuses(c.Param, Modifier(m)); reason != "" {
			p.refuse(issue.NotSupported, idModifierNotForKind, "the modifier :%s is not for %s: %s", m, strconv.Quote(name), reason)
			return false
		}
		c.Modifier = Modifier(m)
		if c.expands() && p.r.codes == nil {
			p.refuse(issue.NotSupported, idUnsupported, "the modifier :%s of %s needs terminology, which this server does not have", m, strconv.Quote(name))
			return false
		}
		return true
	case slices.Contains(allModifiers, m):
		p.refuse(issue.NotSupported, idModifierNotForKind, "the modifier :%s is not for a %s parameter such as %s", m, kind, strconv.Quote(name))
		return false
	}
	if t := schema.ByName(m); t != nil && t.Kind == schema.Resource && !t.Abstract {
		return p.typeModifier(c, m)
	}
	text := fmt.Sprintf("there is no modifier :%s (of %s); R4 has %s", short(m), strconv.Quote(name), knownModifiersSentence)
	if near := nearest(m, slices.Concat(allModifiers, c.Param.Targets)); near != "" {
		text += "; did you mean :" + near + "?"
	}
	p.refuse(issue.NotSupported, idUnknownModifier, "%s", text)
	return false
}

func (p *parser) typeModifier(c *Criterion, typ string) bool {
	switch {
	case c.Param.Kind != KindReference:
		p.refuse(issue.NotSupported, idModifierNotForKind, "the modifier :%s is not for a %s parameter such as %s", typ, c.Param.Kind, strconv.Quote(c.Param.Code))
		return false
	case len(c.Param.Targets) > 0 && !slices.Contains(c.Param.Targets, typ):
		p.refuse(issue.NotSupported, idUnknownModifier, "%s cannot refer to a %s", strconv.Quote(c.Param.Code), typ)
		return false
	}
	c.Modifier, c.Target = ModType, typ
	return true
}

// refuses says why a modifier of p's kind has nothing to decide by in p's elements.
func (r *Registry) refuses(p *Param, m Modifier) string {
	switch {
	case p.Code == "_id" && m != ModMissing && m != ModNot:
		return "it is an id"
	case p.fullText != textNone && m != ModMissing:
		return "it is about words"
	case (m == ModText || m == ModCodeText) && !p.mayHaveText():
		return "no text stands beside its values"
	case m == ModOfType && !p.mayBe(schema.TypeIdentifier):
		return "its values are no identifiers"
	case (m == ModAbove || m == ModBelow) && p.Kind == KindReference && !p.mayBe(schema.TypeCanonical, schema.TypeUri, schema.TypeUrl) && len(r.hierarchies(p)) == 0:
		return "what it refers to has no hierarchy"
	}
	return ""
}

// modified reads the value of a modifier that has a form of its own; ok is
// false where the value is that of the parameter's kind.
func (r *Registry) modified(c *Criterion, s string) (v Value, reason string, ok bool) {
	switch c.Modifier {
	case ModIdentifier:
		v.Token, reason = parseToken(s)
	case ModText, ModCodeText:
		if v.Text = unescape(s); len(wordsOf(v.Text)) == 0 {
			reason = "it holds no word"
		}
	case ModOfType:
		parts := splitEscaped(s, '|')
		if len(parts) != 3 || slices.Contains(parts, "") {
			return v, "it is not system|code|value, where system and code are those of a type", true
		}
		v.Token, v.Text = Token{System: unescape(parts[0]), Code: unescape(parts[1]), HasSystem: true}, unescape(parts[2])
	case ModIn, ModNotIn:
		v.Text = unescape(s)
	case ModAbove, ModBelow:
		switch c.Param.Kind {
		case KindToken:
			if v.Token, reason = parseToken(s); reason == "" && (v.Token.System == "" || v.Token.Code == "") {
				reason = "with :" + string(c.Modifier) + " it is system|code"
			}
		case KindReference:
			v.Reference, reason = r.related(c, unescape(s))
		default:
			v.Text, reason = relatedURL(unescape(s))
		}
	default:
		return v, "", false
	}
	return v, reason, true
}
