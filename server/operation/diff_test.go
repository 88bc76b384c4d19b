package operation

import (
	"bytes"
	"testing"

	"meridian/fhir/codec"
	"meridian/fhir/fhirtest"
	"meridian/fhir/patch"
	"meridian/fhir/schema"
	"meridian/server/interaction"
	"meridian/server/store"
)

// apply patches from with a difference, and gives the resource without what the server sets.
func apply(t *testing.T, from, diff []byte) string {
	t.Helper()
	tree, err := codec.Parse(diff, codec.Options{})
	if err != nil {
		t.Fatalf("the difference is no Parameters: %v\n%s", err, diff)
	}
	p, err := patch.ParseParameters(tree.Root(), patch.Limits{})
	if err != nil {
		t.Fatalf("the difference is no patch: %v\n%s", err, diff)
	}
	out, err := p.Apply(patch.Target{Body: from, Parser: codec.NewParser(codec.Options{})})
	if err != nil {
		t.Fatalf("the difference does not apply: %v\n%s", err, codec.AppendPretty(nil, diff))
	}
	return bare(t, codec.AppendJSON(nil, out.Root(), nil))
}

// bare is a resource without id and meta.
func bare(t *testing.T, body []byte) string {
	t.Helper()
	tree, err := codec.Parse(body, codec.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return string(withMembers(nil, tree.Root(), member{name: "id"}, member{name: "meta"}))
}

func TestDiffMakesTheSecondOutOfTheFirst(t *testing.T) {
	s := newService(t)
	for name, c := range map[string][2]string{
		"nothing":               {`"gender":"male"`, `"gender":"male"`},
		"a value":               {`"gender":"male"`, `"gender":"female"`},
		"a value added":         {`"active":true`, `"active":true,"gender":"female"`},
		"a value taken out":     {`"active":true,"gender":"female"`, `"active":true`},
		"inside a list":         {`"name":[{"family":"A","given":["a","b"]},{"family":"B"}]`, `"name":[{"family":"A","given":["a","c"]},{"family":"B"}]`},
		"an item at the front":  {`"name":[{"family":"A"},{"family":"B"}]`, `"name":[{"family":"0"},{"family":"A"},{"family":"B"}]`},
		"an item between":       {`"name":[{"family":"A"},{"family":"B"}]`, `"name":[{"family":"A"},{"family":"0"},{"text":"x"},{"family":"B"}]`},
		"an item at the end":    {`"name":[{"family":"A"}]`, `"name":[{"family":"A"},{"family":"B"},{"family":"C"}]`},
		"items taken out":       {`"name":[{"family":"A"},{"family":"B"},{"family":"C"},{"family":"D"}]`, `"name":[{"family":"A"},{"family":"D"}]`},
		"a whole list":          {`"active":true`, `"active":true,"name":[{"family":"A"},{"family":"B"}]`},
		"a list taken out":      {`"active":true,"name":[{"family":"A"},{"family":"B"}]`, `"active":true`},
		"another choice":        {`"deceasedBoolean":true`, `"deceasedDateTime":"2026"`},
		"an extension":          {`"birthDate":"1990"`, `"birthDate":"1990","_birthDate":{"id":"x","extension":[{"url":"urn:x","valueCode":"a"}]}`},
		"an extension alone":    {`"birthDate":"1990"`, `"_birthDate":{"extension":[{"url":"urn:x","valueCode":"a"}]}`},
		"a backbone element":    {`"active":true`, `"active":true,"contact":[{"relationship":[{"text":"x"}],"name":{"family":"A","_family":{"id":"f"}},"gender":"male"}]`},
		"a narrative":           {`"active":true`, `"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">a</div>"},"active":true`},
		"a narrative's text":    {`"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">a</div>"}`, `"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">b &amp; c</div>"}`},
		"contained":             {`"active":true`, `"contained":[{"resourceType":"Organization","id":"o","name":"x"}],"active":true`},
		"inside contained":      {`"contained":[{"resourceType":"Organization","id":"o","name":"x"}]`, `"contained":[{"resourceType":"Organization","id":"o","name":"y"}]`},
		"another contained one": {`"contained":[{"resourceType":"Organization","id":"o","name":"x"}]`, `"contained":[{"resourceType":"Practitioner","id":"o"}]`},
		"a decimal as written":  {`"extension":[{"url":"urn:d","valueDecimal":1.0}]`, `"extension":[{"url":"urn:d","valueDecimal":1.00}]`},
	} {
		t.Run(name, func(t *testing.T) {
			from, to := []byte(`{"resourceType":"Patient",`+c[0]+`}`), []byte(`{"resourceType":"Patient",`+c[1]+`}`)
			diff, err := diffBodies(s, from, to, false)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := apply(t, from, diff), bare(t, to); got != want {
				t.Errorf("\n got %s\nwant %s\nby %s", got, want, codec.AppendPretty(nil, diff))
			}
			if name == "nothing" && bytes.Contains(diff, []byte("operation")) {
				t.Errorf("equal resources differ: %s", diff)
			}
		})
	}
}

// The difference of two generated resources applies: the second comes out, but for the order of its members.
func TestDiffOfGeneratedResources(t *testing.T) {
	s := newService(t)
	for _, typ := range schema.ResourceTypes() {
		from, to := fhirtest.Generate(typ, 1), fhirtest.Generate(typ, 2)
		diff, err := diffBodies(s, from, to, false)
		if err != nil {
			t.Fatal(err)
		}
		if d := fhirtest.DiffAnyOrder([]byte(bare(t, to)), []byte(apply(t, from, diff))); d != "" {
			t.Errorf("%s: %s", typ, d)
		}
	}
}

func TestDiffBetweenVersions(t *testing.T) {
	s := newService(t)
	put(t, s, `{"resourceType":"Patient","id":"p","gender":"male"}`)
	put(t, s, `{"resourceType":"Patient","id":"p","gender":"female","meta":{"tag":[{"code":"x"}]}}`)
	key := store.Key{Type: "Patient", ID: "p"}
	for query, want := range map[string]string{
		"":                 `{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"replace"},{"name":"path","valueString":"Patient.gender"},{"name":"value","valueCode":"female"}]}]}`,
		"fromVersion=2":    `{"resourceType":"Parameters"}`,
		"includeMeta=true": `{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"add"},{"name":"path","valueString":"Patient.meta"},{"name":"name","valueString":"tag"},{"name":"value","valueCoding":{"code":"x"}}]},{"name":"operation","part":[{"name":"type","valueCode":"replace"},{"name":"path","valueString":"Patient.gender"},{"name":"value","valueCode":"female"}]}]}`,
	} {
		pairs, err := interaction.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		r, err := s.Operate(t.Context(), interaction.OperateParams{Name: "diff", Key: key, Query: pairs, Get: true})
		if err != nil {
			t.Fatal(err)
		}
		if string(r.Body) != want {
			t.Errorf("%q\n got %s\nwant %s", query, r.Body, want)
		}
	}
}
