package engine

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	fhirvalue "meridian/fhir/value"
	"meridian/mappings/source"
)

// bounds is what could be read from a reference text; an empty bound is open.
type bounds struct {
	low, high string
	contrary  bool // both were read, but low is above high
	half      bool // it looks like a range, but has one end only, or two signs: 120-, 0-<5
}

// maxRangeText bounds the text that is read for bounds; what is longer is prose.
const maxRangeText = 256

// readBounds reads "3.5-5.5", "3.5～5.5", "≥60", "小于5.2", "3.5--5.5". The text stays
// authoritative: an exclusive bound cannot be shown in R4, and what has two
// readings gets no bounds at all.
func readBounds(text string) bounds {
	if len(text) > maxRangeText {
		return bounds{}
	}
	var buf [maxRangeText]byte
	s := string(appendRangeText(buf[:0], text))
	if s != "" && s[0] <= '9' { // a digit, a sign, a point
		return splitBounds(s)
	}
	for i := range boundWords {
		p := &boundWords[i]
		rest, ok := strings.CutPrefix(s, p.word)
		if !ok {
			continue
		}
		n, isNum := number(rest, false)
		switch {
		case !isNum:
			return bounds{}
		case p.low:
			return bounds{low: n}
		}
		return bounds{high: n}
	}
	return splitBounds(s)
}

// appendRangeText folds a reference text: full-width forms, the dashes and tildes
// that stand between two bounds, blanks.
func appendRangeText(b []byte, text string) []byte {
	start := len(b)
	for _, r := range text {
		if r >= '！' && r <= '～' { // full-width ASCII
			r -= '！' - '!'
		}
		switch {
		case r == ' ' || r == '\t' || r == '　':
		case r == '~' || r == '^': // ^ of a pair that was sent as two components
			b = append(b, '-')
		case r < 0x80:
			b = append(b, byte(r))
		case r == '≤' || r == '≥' || r == '⩽' || r == '⩾':
			b = utf8.AppendRune(b, r)
		case isDash(r):
			b = append(b, '-')
		case unicode.Is(unicode.Han, r):
			b = utf8.AppendRune(b, r)
		default: // anything rarer is left to the standard
			return appendNormal(b[:start], norm.NFKC.String(text))
		}
	}
	return b
}

func appendNormal(b []byte, text string) []byte {
	for _, r := range text {
		switch {
		case r == ' ' || r == '\t':
		case r == '~' || isDash(r):
			b = append(b, '-')
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return b
}

// isDash knows what laboratories write between two bounds.
func isDash(r rune) bool {
	switch r {
	case '—', '–', '−', '‐', '‑', '―', '至', '〜', '∼':
		return true
	}
	return false
}

var boundWords = [...]struct {
	word string
	low  bool
}{
	{"大于等于", true}, {"小于等于", false}, {"大于或等于", true}, {"小于或等于", false}, {"不低于", true}, {"不高于", false}, {"大于", true}, {"小于", false},
	{"高于", true}, {"低于", false}, {">=", true}, {"<=", false}, {"≥", true}, {"≤", false}, {"⩾", true}, {"⩽", false}, {">", true}, {"<", false},
}

// splitBounds tries every hyphen as the separator, alone and doubled, and keeps
// the only reading with two numbers in order; with several readings it keeps none.
func splitBounds(s string) (out bounds) {
	found, contrary := 0, false
	try := func(left, right string) {
		lo, ok1 := number(left, false)
		hi, ok2 := number(right, false)
		switch {
		case !ok1 || !ok2:
		case less(hi, lo):
			contrary = true
		default:
			found++
			out = bounds{low: lo, high: hi}
		}
	}
	for i := 1; i < len(s)-1; i++ {
		if s[i] != '-' {
			continue
		}
		try(s[:i], s[i+1:])
		if s[i+1] == '-' {
			try(s[:i], s[i+2:])
		}
	}
	if found == 1 {
		return out
	}
	return bounds{contrary: contrary && found == 0, half: found == 0 && halfRange(s)}
}

// halfRange says that a text is made of digits, points, signs and at least one hyphen, but is no range.
func halfRange(s string) bool {
	digit, hyphen := false, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			digit = true
		case c == '-':
			hyphen = true
		case c == '.' || c == '<' || c == '>' || c == '=':
		default:
			return false
		}
	}
	return digit && hyphen
}

// less compares two JSON numbers without exponents exactly.
func less(a, b string) bool {
	if a[0] == '-' || b[0] == '-' {
		x, err1 := fhirvalue.ParseDecimal(a)
		y, err2 := fhirvalue.ParseDecimal(b)
		return err1 == nil && err2 == nil && x.Cmp(y) < 0
	}
	i, f, _ := strings.Cut(a, ".")
	j, g, _ := strings.Cut(b, ".")
	if len(i) != len(j) {
		return len(i) < len(j) // there are no leading zeros
	}
	if i != j {
		return i < j
	}
	return strings.TrimRight(f, "0") < strings.TrimRight(g, "0") // 3.5 and 3.50 are the same number
}

// Parameters of refRange.
const (
	rangeText = iota
	rangeUnit
	rangeUnits
	rangeSex
)

var rangeParams = []param{{name: "text", kind: argNode}, {name: "unit", kind: argNode, optional: true},
	{name: "units", kind: argTable}, {name: "sex", kind: argText, optional: true}}

// fnRefRange writes referenceRange from OBX-7: the text byte for byte, and the
// bounds where the text has exactly one reading. Of ranges for men and women
// that of the person's sex is taken where it is certain; of phases and ages none is chosen.
func fnRefRange(c *call, b []byte) ([]byte, bool) {
	n := c.node(rangeText)
	if n.State() != source.Present {
		return b, false
	}
	text := wholeField(n)
	if strings.TrimSpace(text) == "" {
		return b, false
	}
	var u unit
	if c.given(rangeUnit) {
		u = c.rt.unitOf(c.node(rangeUnit), c.table(rangeUnits))
	}
	if parts := splitSex(text); len(parts) > 0 {
		return c.sexRanges(b, parts, u, text)
	}
	if parts := splitPhases(text); len(parts) > 0 {
		for i := range parts {
			if i > 0 {
				b = append(b, ',')
			}
			b = parts[i].append(b, u, parts[i].text)
		}
		return b, true
	}
	r := readBounds(text)
	if r.contrary {
		c.find("range.contrary", n, "the low bound lies above the high one; only the text is kept")
	} else if r.half {
		c.find("range.half", n, "the text looks like a range, but has one bound or two signs; only the text is kept")
	}
	one := rangePart{bounds: r}
	return one.append(b, u, text), true
}

func (c *call) sexRanges(b []byte, parts []rangePart, u unit, text string) ([]byte, bool) {
	sex := ""
	if c.given(rangeSex) {
		s, _ := c.text(rangeSex)
		sex = sexCode(s)
	}
	known := false
	for i := range parts {
		known = known || parts[i].gender == sex
	}
	wrote := false
	for i := range parts {
		if known && parts[i].gender != sex {
			continue
		}
		if wrote {
			b = append(b, ',')
		}
		b = parts[i].append(b, u, text)
		wrote = true
	}
	return b, wrote
}

// sexCode reads PID-8 as far as it is certain.
func sexCode(s string) string {
	switch strings.ToUpper(strings.TrimSpace(s)) {
	case "M", "MALE", "男":
		return "male"
	case "F", "FEMALE", "女":
		return "female"
	}
	return ""
}

func (p *rangePart) append(b []byte, u unit, text string) []byte {
	b = append(b, '{')
	if p.bounds.low != "" {
		b = append(b, `"low":`...)
		b = append(appendQuantity(b, p.bounds.low, "", u), ',')
	}
	if p.bounds.high != "" {
		b = append(b, `"high":`...)
		b = append(appendQuantity(b, p.bounds.high, "", u), ',')
	}
	if p.gender != "" {
		b = append(append(append(b, `"appliesTo":[{"coding":[{"system":"http://hl7.org/fhir/administrative-gender","code":"`...), p.gender...), `"}]}],`...)
	}
	if p.age != (bounds{}) {
		b = append(b, `"age":{`...)
		years := unit{text: "岁", code: "a"}
		if p.age.low != "" {
			b = append(b, `"low":`...)
			b = appendQuantity(b, p.age.low, "", years)
		}
		if p.age.high != "" {
			if p.age.low != "" {
				b = append(b, ',')
			}
			b = append(b, `"high":`...)
			b = appendQuantity(b, p.age.high, "", years)
		}
		b = append(b, "},"...)
	}
	b = append(b, `"text":`...)
	return append(appendString(b, cleanText(text)), '}')
}
