package codec

import (
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"meridian/fhir/issue"
	"meridian/fhir/schema"
)

// https://hl7.org/fhir/R4/datatypes.html#primitive
func TestPrimitives(t *testing.T) {
	for _, c := range []struct {
		typ     schema.ID
		good    []string // JSON values
		refused []string
	}{
		{schema.TypeBoolean, []string{`true`, `false`}, nil},
		{schema.TypeInteger, []string{`0`, `-1`, `2147483647`, `-2147483648`},
			[]string{`2147483648`, `-2147483649`, `1.0`, `1e3`, `99999999999999999999`, `-0`}},
		{schema.TypeUnsignedInt, []string{`0`, `2147483647`}, []string{`-1`, `-0`, `2147483648`, `0.5`}},
		{schema.TypePositiveInt, []string{`1`, `2147483647`}, []string{`0`, `-1`, `2147483648`}},
		{schema.TypeDecimal, []string{`0`, `-0.00`, `1.10e3`, `1E-7`, `123456789012345678901234567890.5`, `1e5000`, `-1E-5000`, strings.Repeat("9", 128), "0." + strings.Repeat("0", 4999) + "1"},
			[]string{`1e99999999`, `1e5001`, `1e-5001`, `-1.0e-5000`, `1e99999999999999999999`, strings.Repeat("9", 129), "0." + strings.Repeat("0", 5000) + "1"}},
		{schema.TypeString, []string{`"x"`, `" x "`, `"a\nb\tc\rd"`, `"张"`, `"\ud83d\ude00"`, `"\u0020x"`},
			[]string{`""`, `" "`, `"\n\t"`, `"\u0000"`, `"a\u0000b"`, `"\b"`, `"\u001f"`, `"\u0020"`}},
		{schema.TypeMarkdown, []string{`"# x\n"`}, []string{`""`, `"\n"`, `"x\u0007"`}},
		{schema.TypeCode, []string{`"a"`, `"a b"`, `"男"`, `"a\/b"`}, []string{`""`, `" a"`, `"a "`, `"a  b"`, `"a\t\tb"`, `"\u0020a"`}},
		{schema.TypeUri, []string{`"http://x"`, `"urn:oid:1.2"`, `"a"`, `"http:\/\/x"`}, []string{`""`, `"a b"`, `" a"`, `"a\n"`, `"a\u0020b"`}},
		{schema.TypeUrl, []string{`"http://x"`}, []string{`""`, `"a b"`}},
		{schema.TypeCanonical, []string{`"http://x|1"`}, []string{`""`, `"a b"`}},
		{schema.TypeId, []string{`"a"`, `"A-1.b"`, `"` + strings.Repeat("x", 64) + `"`, `"\u0061"`},
			[]string{`""`, `"a_b"`, `"a b"`, `"é"`, `"` + strings.Repeat("x", 65) + `"`}},
		{schema.TypeOid, []string{`"urn:oid:1.2.3"`, `"urn:oid:0.0"`, `"urn:oid:2.16.840"`},
			[]string{`"1.2.3"`, `"urn:oid:3.1"`, `"urn:oid:1"`, `"urn:oid:1."`, `"urn:oid:1..2"`, `"urn:oid:1.02"`, `"urn:oid:1.a"`, `"urn:oid:"`, `"urn:oid:1.2.3."`}},
		{schema.TypeUuid, []string{`"urn:uuid:c757873d-ec9a-4326-a141-556f43239520"`},
			[]string{`"c757873d-ec9a-4326-a141-556f43239520"`, `"urn:uuid:C757873D-ec9a-4326-a141-556f43239520"`,
				`"urn:uuid:c757873d-ec9a-4326-a141-556f4323952"`, `"urn:uuid:c757873d0ec9a-4326-a141-556f43239520"`}},
		{schema.TypeDate, []string{`"2024"`, `"2024-02"`, `"2024-02-29"`, `"2000-02-29"`, `"0001-01-01"`, `"9999-12-31"`},
			[]string{`"2026-02-30"`, `"2026-02-29"`, `"1900-02-29"`, `"2026-04-31"`, `"2026-13"`, `"2026-00"`, `"2026-01-00"`, `"2026-01-32"`,
				`"0000"`, `"202"`, `"20260101"`, `"2026-1-1"`, `"2026-01-01T00:00:00Z"`, `"2026-"`, `"2026-01-"`, `"+2026"`, `""`, `"2026-01-01 "`}},
		{schema.TypeDateTime, []string{`"2024"`, `"2024-02"`, `"2024-02-29"`, `"2024-02-29T23:59:59Z"`, `"2016-12-31T23:59:60Z"`,
			`"2024-01-01T00:00:00.000+14:00"`, `"2024-01-01T00:00:00-13:59"`, `"2024-01-01T00:00:00.123456789012Z"`},
			[]string{`"2026-02-30T00:00:00Z"`, `"2024-01-01T00:00:00"`, `"2024-01-01T00:00Z"`, `"2024-01-01T24:00:00Z"`, `"2024-01-01T00:60:00Z"`,
				`"2024-01-01T00:00:61Z"`, `"2024-01-01T00:00:00.Z"`, `"2024-01-01T00:00:00+14:01"`, `"2024-01-01T00:00:00+8:00"`, `"2024-01-01T00:00:00+0800"`,
				`"2024-01-01 00:00:00Z"`, `"2024-01T00:00:00Z"`, `"2024-01-01T"`, `"2024-01-01T00:00:00z"`, `"2024-01-01T00:00:00ZZ"`}},
		{schema.TypeInstant, []string{`"2024-02-29T23:59:59Z"`, `"2024-02-29T23:59:59.1+08:00"`},
			[]string{`"2024"`, `"2024-02-29"`, `"2024-02-29T23:59:59"`, `"2023-02-29T23:59:59Z"`, `"2024-02-29T23:59Z"`}},
		{schema.TypeTime, []string{`"00:00:00"`, `"23:59:60"`, `"12:00:00.5"`},
			[]string{`"24:00:00"`, `"12:00"`, `"12:00:00Z"`, `"12:00:00."`, `"1:00:00"`, `""`}},
		{schema.TypeBase64Binary, []string{`"AAAA"`, `"YQ=="`, `"YWI="`, `"AAAA AAAA"`, `"AAAA\r\nAAAA"`, `"+\/+\/"`, `" AAAA"`},
			[]string{`""`, `" "`, `"A"`, `"AAA"`, `"A==="`, `"===="`, `"AA=A"`, `"AAA=AAAA"`, `"AAAAA"`, `"AA AA"`, `"AA-_"`, `"AA==BBBB"`}},
	} {
		name := schema.ByID(c.typ).Name
		for _, v := range c.good {
			if _, err := Parse([]byte(v), Options{Type: name}); err != nil {
				t.Errorf("%s %s: %v", name, v, err)
			}
		}
		for _, v := range c.refused {
			_, err := Parse([]byte(v), Options{Type: name})
			if e := issue.As(err); e == nil || e.Issues[0].ID != idPrimitive || e.Issues[0].Code != issue.Value || e.Issues[0].Expression != name || e.Issues[0].Offset != 0 {
				t.Errorf("%s %s: %v", name, v, err)
			}
		}
	}
}

func TestLongStrings(t *testing.T) {
	value := func(s string, n int) []byte { return []byte(`"` + strings.Repeat(s, n) + `"`) }
	for _, c := range []struct {
		rule string
		body []byte
		ok   bool
	}{
		{"1,048,576 characters of one byte", value("a", maxString), true},
		{"1,048,576 characters of three bytes", value("张", maxString), true},
		{"one more", value("a", maxString+1), false},
	} {
		if _, err := Parse(c.body, Options{Type: "string"}); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.rule, err)
		}
	}
}

// No issue repeats a value: it may be a patient's.
func TestIssuesHoldNoValues(t *testing.T) {
	_, err := Parse([]byte(`{"resourceType":"Patient","birthDate":"secret","active":"secret","id":"secret secret","name":[{"text":"secret\u0001"}],`+
		`"text":{"status":"generated","div":"<div>secret<secret/></div>"},"multipleBirthInteger":12345.5}`), Options{})
	if e := issue.As(err); e == nil || len(e.Issues) != 6 || strings.Contains(e.Error(), "secret") || strings.Contains(e.Error(), "12345") {
		t.Error(err)
	}
}

// patterns are the regular expressions of the definitions (profiles-types.json).
var patterns = map[schema.ID]string{
	schema.TypeBase64Binary: `(\s*([0-9a-zA-Z\+/=]){4}\s*)+`,
	schema.TypeCode:         `[^\s]+(\s[^\s]+)*`,
	schema.TypeDate:         `([0-9]([0-9]([0-9][1-9]|[1-9]0)|[1-9]00)|[1-9]000)(-(0[1-9]|1[0-2])(-(0[1-9]|[1-2][0-9]|3[0-1]))?)?`,
	schema.TypeDateTime:     `([0-9]([0-9]([0-9][1-9]|[1-9]0)|[1-9]00)|[1-9]000)(-(0[1-9]|1[0-2])(-(0[1-9]|[1-2][0-9]|3[0-1])(T([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?(Z|(\+|-)((0[0-9]|1[0-3]):[0-5][0-9]|14:00)))?)?)?`,
	schema.TypeId:           `[A-Za-z0-9\-\.]{1,64}`,
	schema.TypeInstant:      `([0-9]([0-9]([0-9][1-9]|[1-9]0)|[1-9]00)|[1-9]000)-(0[1-9]|1[0-2])-(0[1-9]|[1-2][0-9]|3[0-1])T([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?(Z|(\+|-)((0[0-9]|1[0-3]):[0-5][0-9]|14:00))`,
	schema.TypeInteger:      `-?([0]|([1-9][0-9]*))`,
	schema.TypeOid:          `urn:oid:[0-2](\.(0|[1-9][0-9]*))+`,
	schema.TypePositiveInt:  `[1-9][0-9]*`,
	schema.TypeString:       `[ \r\n\t\S]+`,
	schema.TypeTime:         `([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]+)?`,
	schema.TypeUnsignedInt:  `[0]|([1-9][0-9]*)`,
	schema.TypeUri:          `\S*`,
	schema.TypeUuid:         `urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`,
}

// stricter says where the pattern takes what it should not.
func stricter(typ schema.ID, s string) bool {
	switch typ {
	case schema.TypeDate, schema.TypeDateTime, schema.TypeInstant:
		return len(s) >= 10 && s[8:10] > "28" // may be a day that does not exist
	case schema.TypeString:
		return strings.TrimSpace(s) == ""
	case schema.TypeUri:
		return s == ""
	case schema.TypeBase64Binary:
		return strings.Contains(s, "=") // padding in the middle
	case schema.TypeInteger, schema.TypePositiveInt, schema.TypeUnsignedInt:
		return len(s) > 9 || s == "-0" // the page's pattern, [0]|[-+]?[1-9][0-9]*, has no -0
	}
	return false
}

// On mutated values the hand-written checks agree with the definitions'
// patterns, save where these are known to be lax.
func TestPrimitivesAgreeWithPatterns(t *testing.T) {
	seeds := []string{"2024-02-29T23:59:59.123+08:00", "2024-01", "12:30:60.5", "AAAA BBBB", "YWI=", "a b-c.d", "urn:oid:1.20.3", "12", "-345", "x y",
		"urn:uuid:c757873d-ec9a-4326-a141-556f43239520", "2000-12-31T00:00:00-14:00", "0"}
	const alphabet = "0123456789-+.:TZ= aAfFz/_\t\nurn"
	r := rand.New(rand.NewPCG(1, 2))
	accepted := map[schema.ID]int{}
	for typ, pattern := range patterns {
		re := regexp.MustCompile(`^(?:` + pattern + `)$`)
		for range 20000 {
			b := []byte(seeds[r.IntN(len(seeds))])
			for range r.IntN(4) {
				k := r.IntN(len(b) + 1)
				switch c := alphabet[r.IntN(len(alphabet))]; {
				case k == len(b):
					b = append(b, c)
				case r.IntN(3) == 0:
					b = append(b[:k], b[k+1:]...)
				default:
					b[k] = c
				}
				if len(b) == 0 {
					b = []byte("0")
				}
			}
			s := string(b)
			hand, want := false, re.MatchString(s)
			if types[typ].json == 'n' {
				if n := (&Parser{src: b}).numberOrFail(); n != len(b) {
					continue // JSON has refused it before
				}
				hand = isNumber(typ, b)
			} else {
				hand = isText(typ, b)
			}
			if hand {
				accepted[typ]++
			}
			if hand != want && (hand || !stricter(typ, s)) {
				t.Errorf("%s: %s: hand-written %v, pattern %v", schema.ByID(typ).Name, strconv.Quote(s), hand, want)
			}
		}
	}
	for typ := range patterns {
		if accepted[typ] < 100 {
			t.Errorf("%s: only %d values accepted, the test shows little", schema.ByID(typ).Name, accepted[typ])
		}
	}
}

func (p *Parser) numberOrFail() int { return p.number(0) }
