package storetest

import (
	"slices"
	"strings"
	"testing"

	"meridian/fhir/search"
	"meridian/server/store"
)

// addedTypes are those that are given more search parameters.
var addedTypes = []string{"Patient", "Observation", "Encounter"}

// addedParameters are twins of R4's under other codes, and expressions that no parameter of R4 has.
func addedParameters(r *search.Registry) (added []search.Added) {
	add := func(typ, code, kind, expression string, target []string) {
		added = append(added, search.Added{Ready: true, Definition: search.Definition{ID: typ + "-" + code, URL: "http://example.org/" + typ + "-" + code, Code: code, Type: kind, Base: []string{typ}, Expression: expression, Target: target}})
	}
	for _, typ := range addedTypes {
		for _, p := range r.Params(typ) {
			if p.Unsupported == "" && p.Expression != "" && !strings.HasPrefix(p.Code, "_") && p.Kind != search.KindComposite && p.Kind != search.KindSpecial {
				add(typ, "my-"+p.Code, p.Kind.String(), p.Expression, p.Targets)
			}
		}
	}
	add("Patient", "home-line", "string", "Patient.address.where(use = 'home').line", nil)
	add("Patient", "many-names", "token", "Patient.name.count() > 1", nil)
	add("Observation", "range-low", "quantity", "Observation.referenceRange.low", nil)
	add("Encounter", "located-until", "date", "Encounter.location.period.end", nil)
	return added
}

// adopt is the Config.Adopt of the world.
func (w *fhirWorld) adopt(c store.Catalog) error {
	w.registry.Adopt(c.Generation, w.added)
	return nil
}

// testAddedSearches gives search parameters to resources that are there, and asks random queries by them and all others.
func testAddedSearches(t *testing.T, s *suite) {
	w := newFHIRWorld(t, s)
	w.added = addedParameters(w.registry)
	for i := range w.added {
		if issues := w.registry.CheckAdded(&w.added[i].Definition); len(issues) > 0 {
			t.Fatalf("%s: %v", w.added[i].ID, issues)
		}
	}
	c := store.Catalog{Revision: 1, Generation: 1}
	for i := range w.added {
		c.Added = append(c.Added, store.Added{Type: w.added[i].Base[0], Param: w.added[i].Key()})
	}
	for _, st := range []store.Store{w.truth, w.Store} {
		if err := st.PutCatalog(w.ctx, c); err != nil {
			t.Fatal(err)
		}
		for _, typ := range slices.Concat(fhirTypes, otherTypes) {
			for p := (store.ReindexParams{Type: typ, Limit: 7}); ; {
				page, err := st.Reindex(w.ctx, p)
				if err != nil {
					t.Fatal(err)
				}
				if p.After = page.Next; p.After == "" {
					break
				}
			}
			if v, err := st.Verify(w.ctx, store.VerifyParams{Type: typ}); err != nil || v.Differ+v.Extra > 0 {
				t.Errorf("%s: %+v, %v", typ, v, err)
			}
		}
	}
	for _, typ := range addedTypes {
		g := w.generator(99, !s.lacks.Chains)
		before, by := w.hits[typ], 0
		for by < 80 {
			if q := g.query(typ); strings.Contains(q, "my-") || strings.Contains(q, "home-line") || strings.Contains(q, "many-names") || strings.Contains(q, "range-low") || strings.Contains(q, "located-until") {
				by++
				w.ask(t, typ, q)
			}
		}
		if w.hits[typ] == before {
			t.Errorf("no query of %s by an added parameter found anything", typ)
		}
	}
}
