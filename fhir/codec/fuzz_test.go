package codec

import (
	"bytes"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"meridian/fhir/fhirtest"
	"meridian/fhir/issue"
	"meridian/fhir/schema"
)

var fuzzSeeds = []string{
	`{"resourceType":"Patient","id":"a","_active":{"id":"x"},"name":[{"given":["a",null],"_given":[null,{"extension":[{"url":"u","valueCode":"c"}]}]}]}`,
	`{"resourceType":"Observation","status":"final","code":{"text":"\u0041\ud83d\ude00\/"},"valueQuantity":{"value":-1.10e+3}}`,
	`{"type":"batch","entry":[{"resource":{"active":true,"resourceType":"Patient"}}],"resourceType":"Bundle"}`,
	`{"resourceType":"Basic","code":{"text":"x"},"text":{"status":"empty","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">x<br/></div>"},"created":"2024-02-29"}`,
	`{"resourceType":"Parameters","parameter":[{"name":"a","valueBase64Binary":"AAAA"},{"name":"b","resource":{"resourceType":"Binary","contentType":"a/b"}}]}`,
	`[1,-0,0.5e-7,true,false,null,"é\n",{"a":[],"b":{}}]`,
	"{\"a\":\"\xff\"}", `"\ud800"`, `01`, `[1,]`, `{"a":1,}`, ` `, `{"\u0061":1,"a":2}`,
}

// Whatever jsontext takes as JSON the scanner takes, and nothing else.
func FuzzScanner(f *testing.F) {
	for _, s := range fuzzSeeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		p := NewParser(Options{})
		p.reset(src)
		end := p.skip(p.space(0), 1)
		if end >= 0 {
			end = p.space(end)
		}
		if len(p.issues) > 0 && p.issues[0].ID == idTooDeep {
			return
		}
		want := jsontext.Value(src).IsValid(jsontext.AllowDuplicateNames(true))
		if got := end == len(src); got != want {
			t.Fatalf("scanner %v, jsontext %v: %q %v", got, want, src, p.issues)
		}
	})
}

// What is accepted is JSON, and is written so that it reads and writes the same
// again. What is not has issues with a place inside the body.
func FuzzParse(f *testing.F) {
	for _, s := range fuzzSeeds {
		f.Add([]byte(s))
	}
	for seed, name := range []string{"Patient", "Observation", "Bundle", "Questionnaire", "Parameters"} {
		f.Add(fhirtest.Generate(name, uint64(seed)))
	}
	meta := Meta{"id-1", "2", "2026-01-02T03:04:05Z"}
	f.Fuzz(func(t *testing.T, src []byte) {
		tree, err := Parse(src, Options{AnyCardinality: len(src)%2 == 0})
		if err != nil {
			e := issue.As(err)
			if e == nil || len(e.Issues) == 0 {
				t.Fatalf("%v is no issue.Error", err)
			}
			for _, is := range e.Issues {
				if is.Text == "" || is.ID == "" || is.Offset > len(src) || is.Offset < 0 && is.ID != idMoreIssues {
					t.Fatalf("issue without text or place: %+v", is)
				}
			}
			return
		}
		if !jsontext.Value(src).IsValid() {
			t.Fatalf("accepted, but jsontext refuses it: %q", src)
		}
		out := AppendJSON(nil, tree.Root(), nil)
		again, err := Parse(out, Options{AnyCardinality: true})
		if err != nil {
			t.Fatalf("the output is refused: %v: %s", err, out)
		}
		if twice := AppendJSON(nil, again.Root(), nil); !bytes.Equal(out, twice) {
			t.Fatalf("written again it differs:\n%s\n%s", out, twice)
		}
		if tree.Root().Type().Kind != schema.Resource {
			t.Fatal("the root is no resource")
		}
		stored := AppendStored(nil, tree.Root(), meta)
		if m, _ := StoredMeta(stored); m != meta || !SameContent(stored, stored) {
			t.Fatalf("not the stored form: %s", stored)
		}
		if !jsontext.Value(stored).IsValid() {
			t.Fatalf("the stored form is no JSON: %s", stored)
		}
		if pretty := AppendPretty(nil, out); !bytes.Equal(minified(t, pretty), minified(t, out)) {
			t.Fatalf("the indented form differs: %s", pretty)
		}
	})
}

func minified(t *testing.T, b []byte) []byte {
	v := jsontext.Value(bytes.Clone(b))
	if err := v.Compact(); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	return v
}
