package fhirtest

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"meridian/fhir/schema"
)

func TestDiff(t *testing.T) {
	for _, c := range []struct {
		rule, want, got string
		strict, loose   string // where they differ; empty when they do not
	}{
		{"equal", `{"a":[1,{"b":null}]}`, ` { "a" : [ 1 , { "b" : null } ] } `, "", ""},
		{"a number with another zero", `{"a":1.0}`, `{"a":1.00}`, "$.a:", "$.a:"},
		{"an exponent", `[100]`, `[1e2]`, "$[0]:", "$[0]:"},
		{"a string escaped otherwise", `["A\/"]`, `["\u0041/"]`, "$[0]:", ""},
		{"another string", `["A"]`, `["B"]`, "$[0]:", "$[0]:"},
		{"a string and a number", `["1"]`, `[1]`, "$[0]:", "$[0]:"},
		{"a name escaped otherwise", `{"a":1}`, `{"\u0061":1}`, "", ""},
		{"another order", `{"a":1,"b":2}`, `{"b":2,"a":1}`, "$:", ""},
		{"another order of items", `[1,2]`, `[2,1]`, "$[0]:", "$[0]:"},
		{"resourceType not first", `{"id":"a","resourceType":"X"}`, `{"resourceType":"X","id":"a"}`, "", ""},
		{"_name elsewhere", `{"_a":{},"b":1,"a":2}`, `{"b":1,"a":2,"_a":{}}`, "", ""},
		{"_name without name keeps its place", `{"_a":{},"b":1}`, `{"b":1,"_a":{}}`, "$:", ""},
		{"a member missing", `{"a":{"b":1,"c":2}}`, `{"a":{"b":1}}`, "$.a:", "$.a:"},
		{"a member too many", `{"a":{"b":1}}`, `{"a":{"b":1,"c":2}}`, "$.a:", "$.a:"},
		{"an item missing", `{"a":[1,2]}`, `{"a":[1]}`, "$.a:", "$.a:"},
		{"a name twice", `{"a":1,"b":1}`, `{"a":1,"a":1}`, "$:", "$:"},
		{"an object for an array", `[]`, `{}`, "$:", "$:"},
		{"no JSON", `{}`, `{`, "the text got", "the text got"},
	} {
		for _, way := range []struct {
			name, place string
			diff        func(a, b []byte) string
		}{{"strict", c.strict, Diff}, {"loose", c.loose, DiffValues}} {
			got := way.diff([]byte(c.want), []byte(c.got))
			if (got == "") != (way.place == "") || !strings.HasPrefix(got, way.place) {
				t.Errorf("%s, %s: %q, want it at %q", c.rule, way.name, got, way.place)
			}
		}
	}
}

func TestDiffAnyOrder(t *testing.T) {
	const want = `{"a":1.0,"b":[{"c":"\u0041","d":2}]}`
	for got, same := range map[string]bool{
		`{"b":[{"d":2,"c":"\u0041"}],"a":1.0}`: true,
		`{"b":[{"d":2,"c":"A"}],"a":1.0}`:      false,
		`{"b":[{"d":2,"c":"\u0041"}],"a":1}`:   false,
		`{"b":[{"d":2,"c":"\u0041"}]}`:         false,
	} {
		if d := DiffAnyOrder([]byte(want), []byte(got)); (d == "") != same {
			t.Errorf("%s: %q", got, d)
		}
	}
}

func TestExamples(t *testing.T) {
	all := Examples(t)
	if len(all) != 355 {
		t.Errorf("%d examples, want 355", len(all))
	}
	for _, ex := range all {
		if !json.Valid(ex.Body) {
			t.Errorf("%s is no JSON", ex.Name)
		}
	}
}

func TestGenerateIsRepeatable(t *testing.T) {
	for _, name := range []string{"Patient", "Bundle", "StructureDefinition"} {
		a, b, other := Generate(name, 7), Generate(name, 7), Generate(name, 8)
		if !bytes.Equal(a, b) {
			t.Errorf("%s: the same seed gives another resource", name)
		}
		if bytes.Equal(a, other) {
			t.Errorf("%s: another seed gives the same resource", name)
		}
	}
}

// What the package promises of generated resources, beyond their elements
// (fhir/codec proves those): each spelling comes up.
func TestGenerateSpellings(t *testing.T) {
	var all []byte
	for _, name := range schema.ResourceTypes() {
		for seed := range uint64(2) {
			body := Generate(name, seed)
			if !json.Valid(body) {
				t.Fatalf("%s seed %d is no JSON", name, seed)
			}
			all = append(append(all, body...), '\n')
		}
	}
	for _, list := range [][]string{texts, markdowns, codes, integers, positives, unsigned, decimals, uris, canonicals, oids, uuids, dates,
		dateTimes, instants, times, base64s, narratives, statuses,
		{`"_birthDate":`, `[null,{`, `:[null`, `"contained":[{`, `{"resourceType":"Bundle"`, `,"resourceType":"`}} {
		for _, lexeme := range list {
			if !bytes.Contains(all, []byte(lexeme)) {
				t.Errorf("%s never comes up", lexeme)
			}
		}
	}
}
