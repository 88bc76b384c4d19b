package codec

import (
	"bytes"
	"strings"
	"sync"
	"testing"

	"meridian/fhir/fhirtest"
	"meridian/fhir/schema"
)

// The sets of elements in an object are 64 bits wide.
func TestElementsFitTheirSets(t *testing.T) {
	for id := schema.ID(1); id < schema.Count; id++ {
		if row := schema.ByID(id); len(row.Elements) > 64 {
			t.Errorf("%s has %d elements", row.Name, len(row.Elements))
		}
	}
}

func TestOptionsType(t *testing.T) {
	for _, c := range []struct{ typ, body, root string }{
		{"", `{"resourceType":"Patient"}`, "Patient"},
		{"Patient", `{"resourceType":"Patient"}`, "Patient"},
		{"DomainResource", `{"resourceType":"Patient"}`, "Patient"},
		{"HumanName", `{"family":"x"}`, "HumanName"},
		{"Patient.contact", `{"gender":"male"}`, "Patient.contact"},
		{"date", `"2024-02-29"`, "date"},
		{"boolean", ` true `, "boolean"},
	} {
		tree, err := Parse([]byte(c.body), Options{Type: c.typ})
		if err != nil {
			t.Errorf("%s: %v", c.typ, err)
			continue
		}
		if got := tree.Root().Location(); got != c.root {
			t.Errorf("%s: the root is %s", c.typ, got)
		}
		if got := AppendJSON(nil, tree.Root(), nil); string(got) != strings.TrimSpace(c.body) {
			t.Errorf("%s: %s", c.typ, got)
		}
	}
}

func TestParseWithIssues(t *testing.T) {
	for _, c := range []struct {
		rule, body string
		limit      int
		tree       bool
	}{
		{"a body without mistakes", `{"resourceType":"Patient","active":true}`, 0, true},
		{"an unknown element", `{"resourceType":"Patient","x":1,"active":true}`, 0, true},
		{"malformed JSON", `{"resourceType":"Patient","active":true,"x":tru}`, 0, false},
		{"malformed JSON behind another mistake", `{"resourceType":"Patient","x":1,"active":true,}`, 0, false},
		{"something behind the end", `{"resourceType":"Patient","active":true} x`, 0, false},
		{"more issues than are listed", `{"resourceType":"Patient","x":1,"y":1,"active":true}`, 1, false},
		{"a body that is no resource", `{"active":true}`, 0, false},
	} {
		tree, err := NewParser(Options{MaxIssues: c.limit}).ParseWithIssues([]byte(c.body))
		if (tree != nil) != c.tree || err == nil != (c.rule == "a body without mistakes") {
			t.Errorf("%s: tree %v, %v", c.rule, tree != nil, err)
		}
		if tree != nil && tree.Root().Child("active").Text() != "true" {
			t.Errorf("%s: what follows is not in the tree", c.rule)
		}
	}
}

func TestAnyCardinality(t *testing.T) {
	if _, err := Parse([]byte(`{"resourceType":"Observation","id":"a"}`), Options{AnyCardinality: true}); err != nil {
		t.Error(err)
	}
}

// A primitive that has only extensions counts as there.
func TestRequiredElementWithoutValue(t *testing.T) {
	parse(t, `{"resourceType":"Observation","_status":{"extension":[{"url":"http://x","valueCode":"unknown"}]},"code":{"text":"x"}}`)
}

func TestParseDoesNotAllocate(t *testing.T) {
	p := NewParser(Options{})
	body := []byte(`{"resourceType":"Patient","id":"a","meta":{"profile":["http://x"]},"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>"},` +
		`"name":[{"family":"\u5f20","given":["a",null],"_given":[null,{"id":"x"}]}],"birthDate":"1990-01-02","deceasedBoolean":false,"_birthDate":{"id":"y"}}`)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := p.Parse(body); err != nil {
			t.Fatal(err)
		}
	}); n != 0 && !raceDetector {
		t.Errorf("%v allocations", n)
	}
}

// One parser gives each goroutine its own tree; reused arenas hold nothing of the body before.
func TestPool(t *testing.T) {
	var pool Pool
	var wg sync.WaitGroup
	for worker := range uint64(8) {
		wg.Go(func() {
			for seed := range uint64(20) {
				body := fhirtest.Generate([]string{"Patient", "Bundle", "Observation", "ValueSet"}[seed%4], worker*100+seed)
				fresh, err := Parse(body, Options{})
				if err != nil {
					t.Error(err)
					return
				}
				p := pool.Get()
				tree, err := p.Parse(body)
				if err != nil {
					t.Error(err)
					return
				}
				if !bytes.Equal(AppendJSON(nil, fresh.Root(), nil), AppendJSON(nil, tree.Root(), nil)) {
					t.Error("a reused parser reads another resource")
				}
				pool.Put(p)
			}
		})
	}
	wg.Wait()
}

func TestPoolDropsOversizedArenas(t *testing.T) {
	p := NewParser(Options{})
	body := []byte(`{"resourceType":"Patient","name":[{"given":[` + strings.Repeat(`"a",`, maxPooledNodes) + `"a"]}]}`)
	if _, err := p.Parse(body); err != nil {
		t.Fatal(err)
	}
	if !p.oversized() {
		t.Error("the arena would be kept")
	}
}

// An error after many siblings must not cost their square, nor must many errors.
func TestHostileBodies(t *testing.T) {
	for _, c := range []struct{ rule, body string }{
		{"a million strings, then errors", `{"resourceType":"Patient","name":[{"given":[` + strings.Repeat(`"a",`, 1<<20) + `1,1,1]}]}`},
		{"a million errors", `{"resourceType":"Patient","name":[` + strings.Repeat(`{},`, 1<<20) + `{}]}`},
		{"a million unknown names", `{"resourceType":"Patient"` + strings.Repeat(`,"nmae":1`, 1<<20) + `}`},
		{"a million duplicates", `{"resourceType":"Patient"` + strings.Repeat(`,"active":true`, 1<<20) + `}`},
		{"a million nulls", `{"resourceType":"Patient","name":[{"given":[` + strings.Repeat(`null,`, 1<<20) + `null]}]}`},
		{"a million unpaired", `{"resourceType":"Patient","name":[{"given":["a"],"_given":[` + strings.Repeat(`null,`, 1<<20) + `null]}]}`},
	} {
		_, err := Parse([]byte(c.body), Options{})
		if err == nil {
			t.Errorf("%s: accepted", c.rule)
		}
	}
}

func TestNearest(t *testing.T) {
	names := []string{"birthDate", "gender", "deceasedBoolean", "name", "active"}
	for in, want := range map[string]string{
		"birthdate": "birthDate", "BirthDate": "birthDate", "birtDate": "birthDate", "gendre": "gender", "nmae": "name", "names": "name",
		"deceased": "", "activ": "active", "x": "", "": "",
	} {
		if got := nearest(in, names); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}
