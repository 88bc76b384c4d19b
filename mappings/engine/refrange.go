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

// rangePart is one range of a reference text that has several.
type rangePart struct {
	text   string // its own words: 卵泡期 3.5-12.5
	gender string // male, female
	age    bounds // in years
	bounds bounds
}

var sexWords = [...]struct{ word, gender string }{
	{"男性", "male"}, {"女性", "female"}, {"男", "male"}, {"女", "female"}, {"male", "male"}, {"female", "female"}, {"m", "male"}, {"f", "female"},
}

// mentionsSex is the quick test before splitSex: a letter M or F, or anything that is not ASCII and may be a word.
func mentionsSex(text string) bool {
	for i := 0; i < len(text); i++ {
		switch c := text[i] | 0x20; {
		case c == 'm' || c == 'f':
			return true
		case c >= 0x80:
			return strings.Contains(text, "男") || strings.Contains(text, "女") || strings.ContainsAny(text, "mMfFＭＦ")
		}
	}
	return false
}

// splitSex cuts a reference text that distinguishes men and women, 男:57-97;女:41-81 or M:57-97 F:41-81; nil when it does not.
func splitSex(text string) []rangePart {
	if !mentionsSex(text) {
		return nil
	}
	s := norm.NFKC.String(text)
	parts := strings.FieldsFunc(s, func(r rune) bool { return r == ';' || r == ',' || r == '\n' || r == '、' || r == '/' })
	if len(parts) == 1 {
		parts = cutBeforeSex(s)
	}
	var out []rangePart
	for _, part := range parts {
		gender, rest := leadingSex(strings.TrimSpace(part))
		if gender == "" {
			return nil
		}
		out = append(out, rangePart{gender: gender, text: rest, bounds: readBounds(rest)})
	}
	return out
}

// cutBeforeSex cuts "男57-97 女41-81" before the second word of sex.
func cutBeforeSex(s string) []string {
	for i := 1; i < len(s); i++ {
		if c := s[i]; c != 'f' && c != 'F' && c != 'm' && c != 'M' && !strings.HasPrefix(s[i:], "女") && !strings.HasPrefix(s[i:], "男") {
			continue
		}
		if prev := s[i-1]; prev >= '0' && prev <= '9' || prev == ' ' || prev == '.' {
			return []string{s[:i], s[i:]}
		}
	}
	return []string{s}
}

// leadingSex reads the word of sex before a range; what follows begins with a colon, a blank, a sign or a digit.
func leadingSex(s string) (gender, rest string) {
	low := strings.ToLower(s)
	for _, w := range sexWords {
		if !strings.HasPrefix(low, w.word) || len(low) != len(s) {
			continue
		}
		rest := strings.TrimLeft(s[len(w.word):], ": ")
		if rest == "" || !strings.ContainsRune("0123456789<>≤≥-.大小不", firstRune(rest)) {
			return "", ""
		}
		return w.gender, rest
	}
	return "", ""
}

func firstRune(s string) rune {
	for _, r := range s {
		return r
	}
	return 0
}

// splitPhases cuts a text of several labelled ranges: 卵泡期 3.5-12.5；排卵期 …, 成人:…；儿童:…. nil when it is one.
func splitPhases(text string) []rangePart {
	if strings.IndexByte(text, ';') < 0 && strings.IndexByte(text, '\n') < 0 && (isASCII(text) || !strings.Contains(text, "；") && !strings.Contains(text, "岁")) {
		return nil
	}
	var out []rangePart
	for _, part := range strings.FieldsFunc(text, func(r rune) bool { return r == ';' || r == '；' || r == '\n' }) {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		p := rangePart{text: part}
		p.age, p.bounds = readAge(part)
		out = append(out, p)
	}
	if len(out) < 2 && (len(out) == 0 || out[0].age == (bounds{})) {
		return nil
	}
	return out
}

// readAge reads an age in years before a range: 18-60岁 3.5-5.5, ≥60岁:4.0-6.0.
func readAge(part string) (age, rest bounds) {
	s := norm.NFKC.String(part)
	for _, word := range [...]string{"周岁", "岁"} {
		head, tail, ok := strings.Cut(s, word)
		if !ok {
			continue
		}
		if age = readBounds(head); age.low == "" && age.high == "" {
			return bounds{}, bounds{}
		}
		return bounds{low: age.low, high: age.high}, readBounds(strings.TrimLeft(tail, ": "))
	}
	return bounds{}, bounds{}
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
