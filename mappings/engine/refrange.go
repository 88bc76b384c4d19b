package engine

import (
	"strings"

	"golang.org/x/text/unicode/norm"

	fhirvalue "meridian/fhir/value"
)

// bounds is what could be read from a reference text; an empty bound is open.
type bounds struct {
	low, high string
	contrary  bool // both were read, but low is above high
}

// readBounds reads "3.5-5.5", "3.5～5.5", "≥60", "小于5.2", "3.5--5.5". The text stays
// authoritative: an exclusive bound cannot be shown in R4, and what has two
// readings gets no bounds at all.
func readBounds(text string) bounds {
	s := strings.TrimSpace(norm.NFKC.String(text))
	for _, d := range []string{"~", "—", "–", "－", "至", "−"} {
		s = strings.ReplaceAll(s, d, "-")
	}
	s = strings.ReplaceAll(s, " ", "")
	for _, p := range boundWords {
		if rest, ok := strings.CutPrefix(s, p.word); ok {
			n, isNum := number(rest, false)
			if !isNum {
				return bounds{}
			}
			if p.low {
				return bounds{low: n}
			}
			return bounds{high: n}
		}
	}
	return splitBounds(s)
}

var boundWords = []struct {
	word string
	low  bool
}{
	{"大于等于", true}, {"小于等于", false}, {"不低于", true}, {"不高于", false}, {"大于", true}, {"小于", false}, {"高于", true}, {"低于", false},
	{">=", true}, {"<=", false}, {"≥", true}, {"≤", false}, {"⩾", true}, {"⩽", false}, {">", true}, {"<", false},
}

// splitBounds tries every hyphen as the separator, alone and doubled, and keeps
// the only reading with two numbers in order; with several readings it keeps none.
func splitBounds(s string) bounds {
	var found []bounds
	contrary := false
	try := func(left, right string) {
		lo, ok1 := number(left, false)
		hi, ok2 := number(right, false)
		switch {
		case !ok1 || !ok2:
		case less(hi, lo):
			contrary = true
		default:
			found = append(found, bounds{low: lo, high: hi})
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
	if len(found) == 1 {
		return found[0]
	}
	return bounds{contrary: contrary && len(found) == 0}
}

// less compares two JSON numbers exactly.
func less(a, b string) bool {
	x, err1 := fhirvalue.ParseDecimal(a)
	y, err2 := fhirvalue.ParseDecimal(b)
	return err1 == nil && err2 == nil && x.Cmp(y) < 0
}

// sexRange is one half of "男:57-97;女:41-81".
type sexRange struct{ gender, text string }

// splitSex cuts a reference text that distinguishes men and women; nil when it does not.
func splitSex(text string) []sexRange {
	s := norm.NFKC.String(text)
	var out []sexRange
	for _, part := range strings.FieldsFunc(s, func(r rune) bool { return r == ';' || r == '；' || r == ',' || r == '\n' || r == '、' }) {
		head, rest, ok := strings.Cut(part, ":")
		if !ok {
			return nil
		}
		switch strings.ToLower(strings.TrimSpace(head)) {
		case "男", "男性", "m", "male":
			out = append(out, sexRange{"male", rest})
		case "女", "女性", "f", "female":
			out = append(out, sexRange{"female", rest})
		default:
			return nil
		}
	}
	return out
}

// fnRefRange writes referenceRange from OBX-7: the text byte for byte, and the
// bounds where the text has exactly one reading.
func fnRefRange(c *call, b []byte) ([]byte, bool) {
	text, n := c.text(0)
	if strings.TrimSpace(text) == "" {
		return b, false
	}
	var u unit
	if c.given(1) {
		u = unitOf(c.node(1), c.table(2))
	}
	halves := splitSex(text)
	if len(halves) == 0 {
		r := readBounds(text)
		if r.contrary {
			c.find("range.contrary", n, "the low bound lies above the high one; only the text is kept")
		}
		return appendRange(b, r, u, text, ""), true
	}
	sex := ""
	if c.given(3) {
		sex, _ = c.text(3)
	}
	for i, h := range halves {
		if sex != "" && sexCode(sex) != "" && sexCode(sex) != h.gender {
			continue
		}
		if i > 0 && b[len(b)-1] == '}' {
			b = append(b, ',')
		}
		b = appendRange(b, readBounds(h.text), u, text, h.gender)
	}
	return b, true
}

// sexCode reads PID-8 as far as it is certain.
func sexCode(s string) string {
	switch strings.ToUpper(s) {
	case "M", "MALE", "男":
		return "male"
	case "F", "FEMALE", "女":
		return "female"
	}
	return ""
}

func appendRange(b []byte, r bounds, u unit, text, gender string) []byte {
	b = append(b, '{')
	if r.low != "" {
		b = append(b, `"low":`...)
		b = append(appendQuantity(b, r.low, "", u), ',')
	}
	if r.high != "" {
		b = append(b, `"high":`...)
		b = append(appendQuantity(b, r.high, "", u), ',')
	}
	if gender != "" {
		b = append(b, `"appliesTo":[{"coding":[{"system":"http://hl7.org/fhir/administrative-gender","code":"`+gender+`"}]}],`...)
	}
	b = append(b, `"text":`...)
	return append(appendString(b, cleanText(text)), '}')
}
