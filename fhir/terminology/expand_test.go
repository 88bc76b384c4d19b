package terminology

import (
	"fmt"
	"strings"
	"testing"

	"meridian/fhir/issue"
)

// shown writes items as code(children).
func shown(items []Item) string {
	var out []string
	for _, i := range items {
		s := i.Code
		if len(i.Children) > 0 {
			s += "(" + shown(i.Children) + ")"
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

const items = `{"url":"urn:i","version":"1","content":"complete","property":[{"code":"notSelectable","type":"boolean"}],"concept":[
	{"code":"1","display":"肝功能","property":[{"code":"notSelectable","valueBoolean":true}],"concept":[{"code":"2","display":"肝糖原","designation":[{"language":"en","value":"Liver glycogen"}]},{"code":"3","display":"谷丙转氨酶"}]},
	{"code":"4","display":"血红蛋白","property":[{"code":"parent","valueCode":"3"}]}]}`

func TestExpand(t *testing.T) {
	l, _ := library(t, "CodeSystem urn:d", diseases, "CodeSystem urn:i", items,
		"ValueSet urn:v", `{"url":"urn:v","compose":{"include":[{"system":"urn:i"},{"system":"urn:d"},{"valueSet":["urn:i?fhir_vs"]}]}}`,
		"CodeSystem urn:loop", `{"url":"urn:loop","content":"complete","concept":[{"code":"1","property":[{"code":"parent","valueCode":"2"}]},{"code":"2","property":[{"code":"parent","valueCode":"1"}]}]}`)
	for _, c := range []struct {
		set   string
		p     ExpandParams
		want  string
		total int
	}{
		{"urn:v", ExpandParams{Count: -1}, "1 2 3 4 A B C D E", 9}, // each code once
		{"urn:v", ExpandParams{Count: -1, Nested: true}, "1(2 3(4)) A(B(C D)) E", 9},
		{"urn:v", ExpandParams{Offset: 3, Count: 3, Nested: true}, "4 A B", 9},
		{"urn:v", ExpandParams{Offset: 8, Count: 3}, "E", 9},
		{"urn:v", ExpandParams{Offset: 9, Count: 3}, "", 9},
		{"urn:v", ExpandParams{Count: 0}, "", 9},
		{"urn:v", ExpandParams{Count: -1, ActiveOnly: true, ForUI: true}, "2 3 4 A B C D", 7},
		{"urn:v", ExpandParams{Count: -1, ExcludeSystems: []string{"urn:i|1"}}, "A B C D E", 5},
		{"urn:v", ExpandParams{Count: -1, Filter: "gantang"}, "2", 1},
		{"urn:v", ExpandParams{Count: -1, Filter: "肝糖"}, "2", 1},
		{"urn:v", ExpandParams{Count: -1, Filter: "liver g"}, "2", 1},
		{"urn:v", ExpandParams{Count: -1, Filter: "liver"}, "2 B", 2},
		{"urn:v", ExpandParams{Count: -1, Filter: "none"}, "", 0},
		{"urn:loop?fhir_vs", ExpandParams{Count: -1, Nested: true}, "2(1)", 2},
	} {
		s, err := l.ValueSet(t.Context(), c.set)
		if err != nil {
			t.Fatal(err)
		}
		e, err := s.Expand(c.p)
		if err != nil || shown(e.Items) != c.want || e.Total != c.total {
			t.Errorf("%s %+v: %s of %d, %v", c.set, c.p, shown(e.Items), e.Total, err)
		}
	}
}

func TestAnExpansionOverTheLimitIsRefused(t *testing.T) {
	var concepts []string
	for i := range 30 {
		concepts = append(concepts, fmt.Sprintf(`{"code":"%d"}`, i))
	}
	_, s := library(t, "CodeSystem urn:i", `{"url":"urn:i","content":"complete","concept":[`+strings.Join(concepts, ",")+`]}`)
	for _, c := range []struct {
		o    Options
		p    ExpandParams
		code issue.Code
	}{
		{Options{MaxExpansion: 29}, ExpandParams{Count: -1}, issue.TooCostly},
		{Options{MaxExpansion: 29}, ExpandParams{Count: 30}, issue.Value},
		{Options{MaxExpansion: 29}, ExpandParams{Count: 29}, ""},
		{Options{MaxExpansion: 30}, ExpandParams{Count: -1}, ""},
		{Options{MaxScan: 29}, ExpandParams{Count: 1}, issue.TooCostly},
		{Options{}, ExpandParams{Offset: -1, Count: 1}, issue.Value},
		{Options{}, ExpandParams{Count: 1, Filter: strings.Repeat("a ", 33)}, issue.TooLong},
	} {
		c.o.Source = s
		set, err := New(c.o).ValueSet(t.Context(), "urn:i?fhir_vs")
		if err != nil {
			t.Fatal(err)
		}
		_, err = set.Expand(c.p)
		if e := issue.As(err); (e == nil) != (c.code == "") || e != nil && e.Issues[0].Code != c.code {
			t.Errorf("%+v: %v", c.p, err)
		}
	}
}

func TestDisplayIn(t *testing.T) {
	c := Concept{Display: "Liver", Designations: []Designation{{Language: "zh-CN", Value: "肝"}, {Language: "zh-TW", Value: "肝臟"}, {Language: "fr", Value: "Foie"}}}
	for language, want := range map[string]string{"zh-CN": "肝", "zh-TW": "肝臟", "zh": "肝", "ZH-tw": "肝臟", "fr-CH": "Foie", "en": "", "zhu": ""} {
		if got := c.DisplayIn(language); got != want {
			t.Errorf("%s: %q", language, got)
		}
	}
}

// manyItems is a library with a system of 100,000 items.
func manyItems(b *testing.B) *Library {
	var text strings.Builder
	text.WriteString(`{"url":"urn:many","content":"complete","concept":[`)
	for i := range 100_000 {
		if i > 0 {
			text.WriteByte(',')
		}
		fmt.Fprintf(&text, `{"code":"%d-%d","display":"血红蛋白测定 %d","designation":[{"language":"en","value":"Hemoglobin [Mass/volume] in Blood %d"}]}`, i, i%10, i, i)
	}
	text.WriteString("]}")
	l, _ := library(b, "CodeSystem urn:many", text.String())
	return l
}

func BenchmarkExpandByFilterOf100000(b *testing.B) {
	l := manyItems(b)
	set, err := l.ValueSet(b.Context(), "urn:many?fhir_vs")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if e, err := set.Expand(ExpandParams{Filter: "xuehong 99999", Count: 20}); err != nil || e.Total != 1 {
			b.Fatal(e, err)
		}
	}
}

func BenchmarkLookupIn100000(b *testing.B) {
	l := manyItems(b)
	if _, err := l.CodeSystem(b.Context(), "urn:many", ""); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := l.Lookup(b.Context(), "urn:many", "", "99999-9"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkExpand(b *testing.B) {
	l, _ := library(b)
	b.ReportAllocs()
	for b.Loop() {
		set, err := l.ValueSet(b.Context(), valueSets+"observation-status")
		if err != nil {
			b.Fatal(err)
		}
		if e, err := set.Expand(ExpandParams{Count: -1}); err != nil || e.Total != 8 {
			b.Fatal(e, err)
		}
	}
}
