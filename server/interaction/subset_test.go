package interaction

import (
	"bytes"
	"testing"

	"meridian/fhir/codec"
	"meridian/fhir/element"
	"meridian/fhir/fhirtest"
	"meridian/fhir/schema"
	"meridian/fhir/search"
	"meridian/server/store/storetest"
)

// TestSummariesHoldWhatTheDefinitionsSay: of every official example each part
// has the elements that R4 names for it, those and no others, and the tag.
//
// https://hl7.org/fhir/R4/search.html#summary
func TestSummariesHoldWhatTheDefinitionsSay(t *testing.T) {
	registry, err := search.New(search.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Options{Store: storetest.NewMap(storetest.Config{Index: Indexer(registry)}), Registry: registry})
	if err != nil {
		t.Fatal(err)
	}
	always := func(n element.Node) bool { return n.Name() == "id" || n.Name() == "meta" }
	for _, c := range []struct {
		part subset
		has  func(element.Node) bool
	}{
		{subset{summary: search.SummaryTrue}, func(n element.Node) bool { return n.Element().Summary || n.Element().Min > 0 || n.Element().Modifier }},
		{subset{summary: search.SummaryText}, func(n element.Node) bool { return n.Name() == "text" || n.Element().Min > 0 }},
		{subset{summary: search.SummaryData}, func(n element.Node) bool { return n.Name() != "text" }},
		{subset{elements: []string{"status", "text"}}, func(n element.Node) bool {
			return n.Name() == "status" || n.Name() == "text" || n.Element().Min > 0 || n.Element().Modifier
		}},
	} {
		for _, e := range fhirtest.Examples(t) {
			tree, err := codec.Parse(e.Body, codec.Options{})
			if err != nil || tree.Root().Type().Name == "Parameters" {
				continue
			}
			stored := codec.AppendStored(nil, tree.Root(), codec.Meta{ID: "x", VersionID: "1", LastUpdated: "2026-01-01T00:00:00.000Z"})
			whole, err := codec.Parse(stored, codec.Options{})
			if err != nil {
				t.Fatal(err)
			}
			got, err := s.appendSubset(nil, stored, &c.part)
			if err != nil {
				t.Fatal(err)
			}
			part, err := codec.Parse(got, codec.Options{})
			if err != nil {
				t.Errorf("%s: the part is no resource: %v", e.Name, err)
				continue
			}
			if !bytes.Contains(got, []byte(`"SUBSETTED"`)) {
				t.Errorf("%s: no tag", e.Name)
			}
			kept := map[string]int{}
			for n := part.Root().First(); n.Valid(); n = n.Next() {
				kept[n.Name()]++
			}
			for n := whole.Root().First(); n.Valid(); n = n.Next() {
				if n.Type().Kind == schema.Backbone && c.part.summary == search.SummaryTrue && kept[n.Name()] == 0 {
					continue // what would have nothing left in it
				}
				if want := c.has(n) || always(n); want != (kept[n.Name()] > 0) {
					t.Errorf("%s, %+v: %s is there: %v", e.Name, c.part, n.Name(), !want)
				}
			}
		}
	}
}
