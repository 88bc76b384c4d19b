package codec

import (
	"bytes"
	"testing"

	"meridian/fhir/element"
	"meridian/fhir/fhirtest"
)

// What ParseElements builds is what Parse builds of these elements.
func TestParseElementsOfTheExamples(t *testing.T) {
	all, some := NewParser(Options{}), NewParser(Options{})
	for _, e := range fhirtest.Examples(t) {
		tree, err := all.Parse(e.Body)
		if err != nil {
			continue // an exception of roundtrip_test.go
		}
		body := AppendStored(nil, tree.Root(), Meta{ID: "a", VersionID: "1", LastUpdated: "2026-01-02T03:04:05.678Z"})
		if tree, err = all.Parse(body); err != nil {
			t.Fatal(e.Name, err)
		}
		for _, only := range []uint64{0, 0x5555555555555555, ^uint64(0x5555555555555555), 1 << 20} {
			part, err := some.ParseElements(body, only)
			if err != nil {
				t.Fatal(e.Name, err)
			}
			kept := func(n element.Node) bool {
				return n.Parent() != tree.Root() || only>>n.ElementIndex()&1 != 0
			}
			want, got := AppendJSON(nil, tree.Root(), &Edit{Keep: kept}), AppendJSON(nil, part.Root(), nil)
			if !bytes.Equal(got, want) {
				t.Fatalf("%s, elements %x:\n got %.400s\nwant %.400s", e.Name, only, got, want)
			}
		}
		if tree, err := some.Parse(body); err != nil || tree.Len() != all.tree.Len() {
			t.Fatal(e.Name, "the next Parse does not build everything", err)
		}
	}
}
