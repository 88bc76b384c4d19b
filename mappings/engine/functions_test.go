package engine

import (
	"strings"
	"testing"
	"testing/fstest"

	"meridian/mappings/source"
)

// Reference texts and the bounds that they have.
func TestReadBounds(t *testing.T) {
	for _, c := range []struct{ text, low, high string }{
		{"3.5-5.5", "3.5", "5.5"}, {"3.5~5.5", "3.5", "5.5"}, {"3.5 ～ 5.5", "3.5", "5.5"}, {"3.5--5.5", "3.5", "5.5"}, {"3.5—5.5", "3.5", "5.5"},
		{"3.50–9.50", "3.50", "9.50"}, {"３．５－５．５", "3.5", "5.5"}, {"3.5至5.5", "3.5", "5.5"}, {"0^120", "0", "120"}, {"7 ~ 40", "7", "40"},
		{"-1.5-1.5", "-1.5", "1.5"}, {"-3~3", "-3", "3"}, {"-5--3.0", "", ""}, {"-3--1", "", ""}, {"1--1", "1", "1"},
		{"<5.2", "", "5.2"}, {"≤5.2", "", "5.2"}, {"小于5.2", "", "5.2"}, {"＜5.2", "", "5.2"}, {"小于等于5.2", "", "5.2"},
		{">1.04", "1.04", ""}, {"≥60", "60", ""}, {"大于等于60", "60", ""}, {">=60", "60", ""},
		{"阴性", "", ""}, {"(-)", "", ""}, {"Negative", "", ""}, {"未检出", "", ""},
		{"1.2-2.4:1", "", ""}, {"1:80以下", "", ""}, {"空腹测定值的3~6倍", "", ""}, {"/", "", ""}, {"-", "", ""}, {"见报告", "", ""}, {"", "", ""},
		{"120-", "", ""}, {"-120", "", ""}, {"0-<5", "", ""}, {"9.5-3.5", "", ""}, {"1-2-3", "", ""}, {"10-9", "", ""}, {"9-10", "9", "10"}, {"0.9-0.10", "", ""},
		{strings.Repeat("1", 300), "", ""},
	} {
		if got := readBounds(c.text); got.low != c.low || got.high != c.high {
			t.Errorf("%q: [%s, %s], want [%s, %s]", c.text, got.low, got.high, c.low, c.high)
		}
	}
}

func TestSplitSex(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"男:57-97;女:41-81", "male 57 97 female 41 81"}, {"男：57～97；女：41～81", "male 57 97 female 41 81"}, {"M:57-97 F:41-81", "male 57 97 female 41 81"},
		{"男57-97 女41-81", "male 57 97 female 41 81"}, {"男性≤26.0、女性≤21.0", "male  26.0 female  21.0"}, {"女:41-81", "female 41 81"},
		{"FT3 3-5", ""}, {"男性偏高", ""}, {"3.5-5.5", ""}, {"成人:3-5;儿童:2-4", ""}, {"mg 3-5", ""},
	} {
		var got []string
		for _, p := range splitSex(c.text) {
			got = append(got, p.gender, p.bounds.low, p.bounds.high)
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%q: %q, want %q", c.text, s, c.want)
		}
	}
}

// Numbers keep their precision; only a sign, a missing digit beside the point and leading zeros are touched.
func TestNumber(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"92.000000", "92.000000"}, {"+5", "5"}, {".5", "0.5"}, {"5.", "5"}, {"-.5", "-0.5"}, {"-0.50", "-0.50"}, {"007", "7"}, {"00.10", "0.10"}, {"0", "0"}, {"12．5", "12.5"},
		{"１２", "12"}, {" 3.1 ", "3.1"}, {"", ""}, {".", ""}, {"-", ""}, {"--5", ""}, {"+-5", ""}, {"1e5", ""}, {"1.2.3", ""}, {"11,49", ""}, {"0x10", ""}, {"∞", ""}, {"1 000", ""},
		{strings.Repeat("9", 65), ""},
	} {
		if got, ok := number(c.in, false); got != c.want || ok != (c.want != "") {
			t.Errorf("%q: %q %v, want %q", c.in, got, ok, c.want)
		}
	}
	if got, _ := number("11,49", true); got != "11.49" {
		t.Errorf("decimal comma: %q", got)
	}
	if got, ok := number("1,234.5", true); ok {
		t.Errorf("a comma of thousands is no decimal comma: %q", got)
	}
}

func TestReadMeasure(t *testing.T) {
	for _, c := range []struct {
		in   string
		want measure
		ok   bool
	}{
		{"12.3", measure{number: "12.3", plain: true}, true},
		{"12.3↑", measure{number: "12.3", flag: "↑", plain: true}, true},
		{"12.3 H", measure{number: "12.3", flag: "H", plain: true}, true},
		{"*12.3", measure{number: "12.3", star: true, plain: true}, true},
		{"<0.01", measure{number: "0.01", comparator: "<", plain: true}, true},
		{"≥1000", measure{number: "1000", comparator: ">=", plain: true}, true},
		{"＞1000", measure{number: "1000", comparator: ">", plain: true}, true},
		{"007", measure{number: "7"}, true},
		{"2+", measure{}, false}, {"+", measure{}, false}, {"1:320", measure{}, false}, {"H", measure{}, false}, {"阴性", measure{}, false},
	} {
		got, ok := readMeasure(c.in, false)
		if ok != c.ok || ok && got != c.want {
			t.Errorf("%q: %+v %v, want %+v %v", c.in, got, ok, c.want, c.ok)
		}
	}
}

// The vectors of GB 11643-1999, and what stands in a citizen id's place.
func TestCitizenID(t *testing.T) {
	for _, c := range []struct {
		in, canonical, sex, birth string
		valid                     bool
	}{
		{"11010519491231002X", "11010519491231002X", "female", "19491231", true},
		{"440524188001010014", "440524188001010014", "male", "18800101", true},
		{"110105194912310021", "110105194912310021", "female", "19491231", false},
		{"110105491231002", "11010519491231002X", "female", "19491231", true},
		{"11010519491231002x", "11010519491231002X", "female", "19491231", true},
		{"1101 0519 4912 3100 2Ｘ", "11010519491231002X", "female", "19491231", true},
		{"110105194902300029", "110105194902300029", "female", "19490230", false}, // no such day
		{"P0001", "P0001", "", "", false},
	} {
		k := citizenID(c.in)
		if k.canonical != c.canonical || k.valid() != c.valid || k.sex != c.sex || k.birth != c.birth {
			t.Errorf("%q: %+v", c.in, k)
		}
	}
	for _, s := range []string{"000000000000000000", "111111111111111", "999999999999999999"} {
		if !citizenID(s).placeholder {
			t.Errorf("%q is a placeholder", s)
		}
	}
	if k := citizenID("911124198108030024"); !k.permit || k.valid() {
		t.Errorf("a foreigner's permit: %+v", k)
	}
	if k := citizenID("810000199001010019"); !k.resident || !k.valid() {
		t.Errorf("a residence permit: %+v", k)
	}
}

// Times as hospital databases write them.
func TestLooseTime(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"2026-11-21 08:30:00", "20261121083000"}, {"2026/11/21 8:30", "202611210830"}, {"2026年11月21日", "20261121"}, {"2026年11月21日 8时30分", "202611210830"},
		{"2026-11-21T08:30:00+08:00", "20261121083000+0800"}, {"2026-11-21T00:30:00Z", "20261121003000+0000"}, {"2026-11-21 08:30:00.000", "20261121083000.000"},
		{"2026-11", "202611"}, {"2026-1-2", "20260102"}, {"35岁", ""}, {"", ""}, {"21/11/2026", ""}, {"2026-11 08:30", ""}, {"昨天", ""},
	} {
		if got, ok := looseTime(c.in); got != c.want && ok || ok != (c.want != "") {
			t.Errorf("%q: %q %v, want %q", c.in, got, ok, c.want)
		}
	}
}

func TestPlaceholderTime(t *testing.T) {
	for _, s := range []string{"00000000", "00010101", "19000101", "1900-01-01", "0001-01-01 00:00:00", "19000101000000"} {
		if !placeholderTime(s) {
			t.Errorf("%q stands for not known", s)
		}
	}
	for _, s := range []string{"19000102", "20261121", "19000101083000"} {
		if placeholderTime(s) {
			t.Errorf("%q is a time", s)
		}
	}
}

func TestPlainName(t *testing.T) {
	for in, want := range map[string]string{"*谷丙转氨酶": "谷丙转氨酶", "★(干化学)葡萄糖": "葡萄糖", "C肽(120分钟)": "C肽(120分钟)", "": "", "*": ""} {
		if got := plainName(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// Spellings of units that are the same to the table, and two that are not: µ and μ, full-width forms, blanks, case.
func TestUnits(t *testing.T) {
	table := library(t).Table("unit")
	for in, want := range map[string]string{"µmol/L": "umol/L", "μmol/L": "umol/L", "ＭＭＯＬ／Ｌ": "mmol/L", "× 10⁹/L": "10*9/L", "X10^9/L": "10*9/L", "IU/ml": "[IU]/mL", "IU/L": "U/L",
		"mL/min/1.73m2": "mL/min/{1.73_m2}", "个/μL": "/uL", "furlong": ""} {
		if row, _ := table.Find(in); row.Get("to") != want {
			t.Errorf("%q: %q, want %q", in, row.Get("to"), want)
		}
	}
}

func TestLOINCCheckDigit(t *testing.T) {
	for code, want := range map[string]bool{"1742-6": true, "718-7": true, "30341-2": true, "8251-1": true, "LA6576-8": true, "1742-5": false, "1742": false, "": false, "x-1": false, "1742-66": false} {
		if validLOINC(code) != want {
			t.Errorf("%q: want %v", code, want)
		}
	}
}

func TestUCUMSyntax(t *testing.T) {
	for code, want := range map[string]bool{"10*9/L": true, "/[HPF]": true, "mL/min/{1.73_m2}": true, "[arb'U]/mL": true, "%": true, "m[IU]/L": true, "{INR}": true, "(mg.L)/s": true,
		"": false, "10*9//L": false, "m[IU": false, "mg/": false, ".mg": false, "mg L": false, "μmol/L": false, "(mg": false, "mg)": false, "{a{b}}": false} {
		if plausibleUCUM(code) != want {
			t.Errorf("%q: want %v", code, want)
		}
	}
}

// Simple conditions mean what CEL means by them.
func TestPredicatesAgreeWithCEL(t *testing.T) {
	raw := "MSH|^~\\&|LIS|H|||||ORU^R01|1|Q|2.5\rPID|1|P1\rOBR|1||R1\rOBX|1|NM|ALT^n^L||1||||||F\rOBX|2|TX|B||2"
	tr, err := tree([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	const obr, obx = "msg.PATIENT_RESULT.ORDER_OBSERVATION.OBR", "msg.PATIENT_RESULT.ORDER_OBSERVATION.OBSERVATION.OBX"
	for _, text := range []string{
		"msg.MSH.f11 == 'Q'", "msg.MSH.f11 != 'Q'", `"Q" == 'Q' && msg.MSH.f11 == "Q"`, "has(msg.MSH.f3)", "!has(msg.MSH.f8)", "msg.MSH.f11 in ['P', 'Q']", "!(msg.MSH.f11 in ['P'])",
		"msg.MSH.f3.startsWith('L') && msg.MSH.f3.endsWith('S') || msg.MSH.f3.contains('X')", "msg.MSH.f3.matches('^L.S$')", "count(" + obx + ") == 1", "count(" + obx + ") >= 2",
		obx + ".f2 == " + obx + ".f11", obx + ".f3.1 == 'ALT' && (" + obr + ".f3 == 'R1' || " + obr + ".f3 == 'R2') && !(" + obx + ".f11 == 'C')",
		"msg.MSH.f11 == 'P' || msg.MSH.f11 == 'Q' && msg.MSH.f3 == 'X'", "!has(msg.MSH.f8) == true", "msg.MSH.f3 == 'a\\'b'", "size(msg.MSH.f3) == 3",
	} {
		c := &compiler{input: Input{"hl7v2", "ORU_R01"}, m: &Map{}, vars: map[string]variable{"msg": {}}, each: -1, scope: -1}
		c.grammar, c.names, _ = grammarOf(c.input)
		y := &ynode{kind: yamlScalar, text: text}
		rt := &run{vars: []source.Node{tr.Root()}, moreSlot: -1}
		slow := c.compileCEL(y)
		want := slow.holds(rt)
		ast := parsePredicate(text)
		if ast == nil {
			if strings.Contains(text, "size") || strings.Contains(text, "\\'") || strings.Contains(text, "== true") || strings.HasPrefix(text, `"`) {
				continue // CEL's own
			}
			t.Errorf("%s is not a simple condition", text)
			continue
		}
		if got := c.compileCondition(y).holds(rt); got != want {
			t.Errorf("%s: %v, CEL says %v", text, got, want)
		}
		if len(c.problems) > 0 {
			t.Errorf("%s: %v", text, c.problems)
		}
	}
}

// The registry names each function once.
func TestRegistryNames(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range functions {
		if seen[f.name] {
			t.Errorf("%s stands twice", f.name)
		}
		seen[f.name] = true
		if f.call == nil || f.result == "" {
			t.Errorf("%s has no call or no result", f.name)
		}
	}
}

// A map of any bytes is refused or compiled, and what compiles runs.
func FuzzCompile(f *testing.F) {
	f.Add(minimal) // the shipped map is too large to be cut down by the fuzzer in a useful time
	f.Add("map: a\nversion: 1\ninput: {kind: hl7v2, type: ORU_R01}\nresources: [{name: p, type: Patient, id: [msg.MSH.f10], target: {active: true}}]")
	f.Add("map: a\nversion: 1\nextends: b\n")
	f.Add("- [")
	raw := []byte("MSH|^~\\&|||||||ORU^R01|1|P|2.5\rPID|1|P1|||||19491231\rOBR|1||R1\rOBX|1|NM|A||1||||||F")
	table, _ := ReadTable("status", "status.csv", strings.NewReader(statusTable))
	f.Fuzz(func(t *testing.T, text string) {
		m, ps := Compile("fuzz.yaml", []byte(text), map[string]*Table{"status": table})
		if (m == nil) != (len(ps) > 0) {
			t.Fatal("a map with problems, or neither")
		}
		if m == nil {
			return
		}
		tr, err := tree(raw)
		if err != nil {
			t.Fatal(err)
		}
		res, err := m.Run(tr, &Source{}, benchTime)
		if err == nil {
			res.Bundle()
		}
	})
}

// Bounds are numbers in order, and the text of a range is never touched.
func FuzzRefRange(f *testing.F) {
	for _, s := range []string{"3.5-5.5", "-3--1", "男:57-97;女:41-81", "≥60", "18-60岁 3-5", "M:1-2 F:3-4", "卵泡期 3.5-12.5；排卵期 1-2", "0^120", "～", "９－１０"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		all := []bounds{readBounds(s)}
		for _, p := range append(splitSex(s), splitPhases(s)...) {
			all = append(all, p.bounds, p.age)
		}
		for _, b := range all {
			if b.low != "" && !isNumber(b.low) || b.high != "" && !isNumber(b.high) {
				t.Fatalf("%q gives %+v", s, b)
			}
			if b.low != "" && b.high != "" && less(b.high, b.low) {
				t.Fatalf("%q gives %+v", s, b)
			}
		}
		if strings.ToValidUTF8(s, "") == s {
			p := rangePart{bounds: all[0]}
			if out := string(p.append(nil, unit{}, s)); !strings.HasSuffix(out, string(appendString([]byte(`"text":`), cleanText(s)))+"}") {
				t.Fatalf("%q becomes %s", s, out)
			}
		}
	})
}

// A file system without maps is an empty library; a directory is not read as a map.
func TestEmptyLibrary(t *testing.T) {
	l, err := Load(fstest.MapFS{"x.yaml/y.txt": {Data: []byte("a")}})
	if err != nil || l.Find(Input{"hl7v2", "ORU_R01"}) != nil {
		t.Errorf("%v", err)
	}
}
