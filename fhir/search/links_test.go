package search

import (
	"slices"
	"testing"

	"meridian/fhir/codec"
	"meridian/fhir/fhirtest"
	"meridian/fhir/schema"
)

// What References follows is what the parameter's expression gives, also in a tree of no more than Elements says.
func TestReferencesAreThoseOfTheExpression(t *testing.T) {
	r := testRegistry(t)
	parser, followed := codec.NewParser(codec.Options{AnyCardinality: true}), 0
	for _, e := range fhirtest.Examples(t) {
		root := parseBody(t, e.Body)
		body := codec.AppendStored(nil, root, codec.Meta{ID: "a", VersionID: "1", LastUpdated: "2026-01-02T03:04:05.678Z"})
		for _, p := range r.Params(root.Type().Name) {
			if p.Kind != KindReference || p.Unsupported != "" {
				continue
			}
			items, err := p.eval(root)
			if err != nil {
				t.Fatal(e.Name, p.Code, err)
			}
			var want []Reference
			for _, it := range items {
				n := it.Node()
				if n.TypeID() == schema.TypeReference {
					n = n.Child("reference")
				}
				if n.HasValue() && n.Type().Kind == schema.Primitive {
					if x := r.ParseReference(n.Text()); x.Local() {
						want = append(want, x)
					}
				}
			}
			part, err := parser.ParseElements(body, p.Elements())
			if err != nil {
				t.Fatal(e.Name, err)
			}
			var got []Reference
			for _, x := range r.References(part.Root(), p, "") {
				if x.Local() && !slices.Contains(got, x) { // a union in the expression drops what is twice
					got = append(got, x)
				}
			}
			once := slices.Compact(want)
			if !slices.Equal(got, once) {
				t.Errorf("%s %s: %v, want %v", e.Name, p.Code, got, once)
			}
			followed += len(want)
		}
	}
	if followed < 1000 {
		t.Errorf("%d references in all examples", followed)
	}
}
