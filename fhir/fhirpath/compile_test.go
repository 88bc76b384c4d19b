package fhirpath

import (
	"strings"
	"testing"

	"meridian/fhir/definitions"
)

func TestSearchParametersCompile(t *testing.T) {
	n := 0
	check := func(name, src string) {
		n++
		e, err := Compile(src)
		if err != nil {
			t.Errorf("%s: %v in %s", name, err, src)
			return
		}
		again, err := Compile(e.String())
		if err != nil || again.String() != e.String() {
			t.Errorf("%s: %s prints as %s, which reads as %v, %v", name, src, e, again, err)
		}
	}
	for _, p := range definitions.SearchParameters() {
		if p.Expression != "" {
			check(p.URL, p.Expression)
		} else if p.Code != "_text" && p.Code != "_content" && p.Code != "_query" {
			t.Errorf("%s has no expression", p.URL)
		}
		for _, c := range p.Components {
			check(p.URL, c.Expression)
		}
	}
	if n < 1372 { // 1,375 parameters, three without expression
		t.Errorf("only %d expressions", n)
	}
}

func TestPrint(t *testing.T) {
	for _, c := range [][2]string{
		{"a.b.c", "a.b.c"},
		{"(a).b", "a.b"},
		{"(a | b).c", "(a | b).c"},
		{"a|b | c", "a | b | c"},
		{"a | (b | c)", "a | (b | c)"},
		{"1+2*3", "1 + 2 * 3"},
		{"(1+2)*3", "(1 + 2) * 3"},
		{"-1.abs()", "-1.abs()"},
		{"(-1).abs()", "(-1).abs()"},
		{"-2147483648", "-2147483648"},
		{"(-2147483648).abs()", "(-2147483648).abs()"},
		{"- - 1", "--1"},
		{"a is FHIR.Patient and b as Quantity = 1", "a is FHIR.Patient and b as Quantity = 1"},
		{"(value as Quantity).unit", "(value as Quantity).unit"},
		{"value.as(Quantity).unit", "value.as(Quantity).unit"},
		{"a.where(b = 'x\\'y\\\\\\n')", `a.where(b = 'x\'y\\\n')`},
		{"text.`div`.exists()", "text.`div`.exists()"},
		{"text.div.exists() or 4 div 2 = 2", "text.`div`.exists() or 4 div 2 = 2"},
		{"`a b`", "`a b`"},
		{"expansion.contains.contains('x')", "expansion.contains.contains('x')"},
		{"@2015T.is(DateTime)", "@2015T.is(DateTime)"},
		{"@2015-02-04T14:34:28.5+10:00", "@2015-02-04T14:34:28.5+10:00"},
		{"@T14:34", "@T14:34"},
		{"4 days + 10 'mg'", "4 days + 10 'mg'"},
		{"%`ext-a` = %resource.id", "%`ext-a` = %resource.id"},
		{"{} = a[0][1 + 1]", "{} = a[0][1 + 1]"},
		{"a and (b or c) implies d", "a and (b or c) implies d"},
		{"iif(a, /* x */ b // y\n, c)", "iif(a, b, c)"},
		{"1.50", "1.50"},
		{"$this in $total", "$this in $total"},
	} {
		e, err := Compile(c[0])
		if err != nil {
			t.Errorf("%s: %v", c[0], err)
			continue
		}
		if e.String() != c[1] {
			t.Errorf("%s prints as %s, want %s", c[0], e, c[1])
		}
	}
}

func TestCompileErrorsHavePlaces(t *testing.T) {
	for _, c := range []struct {
		src    string
		kind   ErrorKind
		offset int
		text   string
	}{
		{"", Syntax, 0, "operand"},
		{"a.", Syntax, 2, "a name"},
		{"a b", Syntax, 2, "end"},
		{"a +", Syntax, 3, "operand"},
		{"(a", Syntax, 2, "')'"},
		{"a[1", Syntax, 3, "']'"},
		{"{1}", Syntax, 1, "'}'"},
		{"'abc", Syntax, 0, "closing quote"},
		{"`abc", Syntax, 0, "closing quote"},
		{`'\x'`, Syntax, 1, "escape"},
		{`'\ud800'`, Syntax, 1, "escape"},
		{"a /* b", Syntax, 2, "comment"},
		{"#", Syntax, 0, "character"},
		{"@2015-13", Syntax, 0, "month"},
		{"@2015-02-30", Syntax, 0, "day"},
		{"@T25", Syntax, 0, "hour"},
		{"@T14:34:28Z", Syntax, 10, "end"},
		{"2147483648", Syntax, 0, "32 bits"},
		{"$that", Syntax, 0, "$this"},
		{"a.$this", Syntax, 2, "$this"},
		{"a.foo()", Semantic, 2, "function"},
		{"a.first(1)", Semantic, 2, "0"},
		{"a.where()", Semantic, 2, "1"},
		{"a is string1", Semantic, 5, "type"},
		{"a.ofType(FHIR.Nothing)", Semantic, 9, "type"},
		{"and", Syntax, 0, "a name"},
		{"%", Syntax, 1, "name"},
		{"\n a.", Syntax, 4, "a name"},
		{strings.Repeat("(", MaxDepth+1), Syntax, MaxDepth, "deeper"},
		{"a" + strings.Repeat(".a", MaxDepth), Syntax, 2 * MaxDepth, "deeper"},
		{strings.Repeat(" ", MaxSource+1), Syntax, 0, "longer"},
	} {
		_, err := Compile(c.src)
		e, ok := err.(*Error)
		if !ok || e.Kind != c.kind || e.Offset != c.offset || !strings.Contains(e.Text, c.text) {
			t.Errorf("%.40q: %#v", c.src, err)
		}
	}
	_, err := Compile("a\n  .b(")
	if l, c := err.(*Error).Position(); l != 2 || c != 4 {
		t.Errorf("line %d, column %d", l, c)
	}
}

func FuzzCompile(f *testing.F) {
	for _, s := range []string{
		"Patient.name.where(use = 'official').given.first()", "(Observation.value as Quantity).value > 5.40 'mg'", "-1.5e", "a is FHIR.`Patient` | {}",
		"@2015-02-04T14:34:28.5+10:00 - 4 days", "%`vs-x` in ('a' | \"b\")", `'\u00e4\'' & '`, "iif($this, $index, $total)[0]", "a /* */ div b // c",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e, err := Compile(s)
		if err != nil {
			return
		}
		printed := e.String()
		again, err := Compile(printed)
		if err != nil {
			t.Fatalf("%q prints as %q: %v", s, printed, err)
		}
		if again.String() != printed {
			t.Fatalf("%q prints as %q, then as %q", s, printed, again)
		}
	})
}
