package interaction

import (
	"context"
	"slices"
	"strings"

	"meridian/fhir/issue"
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
	var found []store.Key
	for i := range t.entries {
		e, to := &t.entries[i], &t.targets[i]
		if e.target.Type != typ || to.found || e.method != "POST" && e.method != "PUT" {
			continue
		}
		ok, err := t.s.registry.Match(c.query, e.root)
		if err != nil {
			return nil, err
		}
		if ok {
			found = append(found, to.current.Key)
		}
	}
	return found, nil
}

// matchOutside finds matches in the store that this transaction does not
// write, and makes the commit depend on the one that is found.
func (t *transaction) matchOutside(ctx context.Context, typ string, c *criterion) ([]store.Key, error) {
	var written []string
	for i := range t.entries {
		if to := &t.targets[i]; to.current.Type == typ && to.current.Version > 0 && !to.found {
			written = append(written, to.current.ID)
		}
	}
	plan := *c.plan
	plan.Limit = min(2+len(written), store.MaxPage)
	page, err := t.s.store.Search(ctx, &plan)
	if err != nil {
		return nil, err
	}
	var found []store.Key
	for _, row := range page.Rows {
		if slices.Contains(written, row.ID) {
			continue
		}
		found = append(found, row.Key)
		t.requires = append(t.requires, store.Require{Key: row.Key, Version: row.Version})
	}
	return found, nil
}
