package interaction

import (
	"context"
	"slices"
	"strings"

	"meridian/fhir/issue"
	"meridian/fhir/search"
	"meridian/server/store"
)

// conditionalReference resolves `Patient?identifier=…` to the one resource
// that matches once the writes of this transaction are done.
//
// https://hl7.org/fhir/R4/http.html#trules
func (t *transaction) conditionalReference(ctx context.Context, ref string) (string, error) {
	typ, query, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(ref, t.s.base), "/"), "?")
	if !IsResourceType(typ) {
		return "", nil // an address elsewhere, with a query of its own
	}
	if to, ok := t.refs[ref]; ok {
		return to, nil
	}
	c, err := t.s.criterion(typ, query)
	if err != nil {
		return "", err
	}
	found, err := t.matchInside(typ, c)
	if err != nil {
		return "", err
	}
	outside, err := t.matchOutside(ctx, typ, c)
	if err != nil {
		return "", err
	}
	switch found = append(found, outside...); len(found) {
	case 0:
		return "", issue.New(issue.NotFound, "reference.none", "no "+typ+" matches the conditional reference", "").WithStatus(statusPrecondition)
	case 1:
		t.refs[ref] = keyPath(found[0])
		return t.refs[ref], nil
	}
	return "", issue.New(issue.MultipleMatch, "reference.multiple", "more than one "+typ+" matches the conditional reference", "").WithStatus(statusPrecondition)
}

// matchInside finds matches among the resources that this transaction writes.
func (t *transaction) matchInside(typ string, c *criterion) ([]store.Key, error) {
	candidates, err := t.candidates(typ, c.plan.Where)
	if err != nil {
		return nil, err
	}
	var found []store.Key
	for _, i := range candidates {
		ok, err := t.s.registry.Match(c.query, t.rootOf(i))
		if err != nil {
			return nil, err
		}
		if ok {
			found = append(found, t.targets[i].current.Key)
		}
	}
	return found, nil
}

// written says that entry i stores its resource, of type typ.
func (t *transaction) written(i int, typ string) bool {
	e := &t.entries[i]
	return e.target.Type == typ && !t.targets[i].found && (e.method == "POST" || e.method == "PUT" || e.method == "PATCH")
}

// candidates gives the entries that may match: those that have one of the
// points that the search needs, else all of the type. Without it a bundle of n
// resources and n conditional references would be matched n*n times.
func (t *transaction) candidates(typ string, where search.Expr) ([]int, error) {
	keys, ok := pointsOf(where)
	if !ok {
		var all []int
		for i := range t.entries {
			if t.written(i, typ) {
				all = append(all, i)
			}
		}
		return all, nil
	}
	index := t.inside[typ]
	if index == nil {
		index = map[search.Key][]int{}
		for i := range t.entries {
			if !t.written(i, typ) {
				continue
			}
			var facts search.Facts
			if err := t.s.registry.Index(t.rootOf(i), &facts); err != nil {
				return nil, locate(err, t.entries[i].at+".resource")
			}
			for _, k := range facts.Keys {
				index[k] = append(index[k], i)
			}
		}
		t.inside[typ] = index
	}
	var out []int
	for _, k := range keys {
		out = append(out, index[k]...)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// pointsOf gives points of which every match has one; false when there are none such.
func pointsOf(where search.Expr) ([]search.Key, bool) {
	switch e := where.(type) {
	case search.Point:
		return []search.Key{e.Key}, true
	case search.And:
		for _, of := range e.Of {
			if keys, ok := pointsOf(of); ok {
				return keys, true
			}
		}
	case search.Or:
		var all []search.Key
		for _, of := range e.Of {
			keys, ok := pointsOf(of)
			if !ok {
				return nil, false
			}
			all = append(all, keys...)
		}
		return all, true
	}
	return nil, false
}

// matchOutside finds matches in the store that this transaction does not
// write, and makes the commit depend on the one that is found.
func (t *transaction) matchOutside(ctx context.Context, typ string, c *criterion) ([]store.Key, error) {
	plan := *c.plan
	plan.Limit = min(2+t.replaced[typ], store.MaxPage)
	page, err := t.s.store.Search(ctx, &plan)
	if err != nil {
		return nil, err
	}
	var found []store.Key
	for _, row := range page.Rows {
		if t.identities[row.Key] {
			continue
		}
		found = append(found, row.Key)
		t.requires = append(t.requires, store.Require{Key: row.Key, Version: row.Version})
	}
	return found, nil
}
