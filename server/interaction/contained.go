package interaction

import (
	"meridian/fhir/codec"
	"meridian/fhir/element"
	"meridian/fhir/issue"
	"meridian/fhir/schema"
	"meridian/server/store"
)

// contained makes the arms of a search with _contained: with both, first the
// resources that stand alone; then, by type, those that contain a match.
//
// https://hl7.org/fhir/R4/search.html#contained
func (r *request) contained(p *SearchParams) error {
	if p.Type == "" || p.Compartment.ID != "" {
		return issue.New(issue.NotSupported, "search.contained", "_contained is for a search of one type, not of several or of a compartment", "").WithStatus(400)
	}
	how := r.query.Contained
	if how.Only {
		r.arms = nil
	}
	for _, typ := range schema.ResourceTypes() {
		if !hasElement(typ, "contained") {
			continue
		}
		plan, err := r.s.registry.CompileContained(r.query, typ, !how.Only)
		if err != nil {
			return err
		}
		r.arms = append(r.arms, arm{query: r.query, plan: plan, contains: true})
	}
	return nil
}

// ownContained appends the matches that a row contains, each as an entry of
// its own, and says whether that is asked for.
func (w *entryWriter) ownContained(row *store.Resource, a *arm) (bool, error) {
	if !a.contains || !a.query.Contained.Own {
		return false, nil
	}
	p := w.r.s.stored.Get()
	defer w.r.s.stored.Put(p)
	tree, err := p.Parse(row.Body)
	if err != nil {
		return true, err
	}
	matches, err := w.r.s.registry.ContainedMatches(a.query, tree.Root())
	if err != nil {
		return true, err
	}
	for _, m := range matches {
		w.containedEntry(row, m)
	}
	return true, nil
}

// containedEntry: the address of a contained resource is that of its container with its id behind a #.
func (w *entryWriter) containedEntry(row *store.Resource, m element.Node) {
	w.next()
	w.dst = w.r.s.appendFullURL(append(w.dst, `{"fullUrl":"`...), row)
	if id := m.Child("id").Text(); ValidID(id) {
		w.dst = append(append(w.dst, '#'), id...)
	}
	w.dst = append(w.dst, `","resource":`...)
	if sub := &w.r.shape.subset; sub.all() {
		w.dst = append(w.dst, m.Raw()...)
	} else {
		w.dst = codec.AppendJSON(w.dst, m, &codec.Edit{Keep: sub.keep(m), Subsetted: true})
	}
	w.dst = append(w.dst, `,"search":{"mode":"match"}}`...)
}
