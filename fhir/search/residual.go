package search

import (
	"fmt"

	"meridian/fhir/element"
	"meridian/fhir/value"
)

// residual decides the criteria whose keys are not enough on a candidate's body.
func (r *Registry) residual(typ string, at value.Instant, check []*Criterion) func([]byte) (bool, error) {
	w := &world{r: r, q: &Query{Type: typ, at: at}}
	return func(body []byte) (bool, error) {
		p := r.parsers.Get()
		defer r.parsers.Put(p)
		tree, err := p.Parse(body)
		if err != nil {
			return false, fmt.Errorf("parse a stored %s to check a search: %w", typ, err)
		}
		root := tree.Root()
		for _, c := range check {
			if c.Param != nil && c.Modifier == ModContains && !r.hasCut(root, c) {
				continue // the keys said all
			}
			if ok, err := w.holds(c, root); !ok || err != nil {
				return false, err
			}
		}
		return true, nil
	}
}

// hasCut says whether a text of c's parameter was too long for a key.
func (r *Registry) hasCut(root element.Node, c *Criterion) bool {
	var f Facts
	if r.Index(root, &f) != nil {
		return true
	}
	for _, b := range c.Param.standIns() {
		if MatchFacts(Present{b.param.key + formCut}, "", &f) {
			return true
		}
	}
	return false
}
