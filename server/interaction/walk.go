package interaction

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"meridian/fhir/issue"
	"meridian/fhir/search"
	"meridian/server/store"
)

// Limits of Walk.
const (
	walkPage = 1000
	// maxWalkChanges is how many resources of the type may be changed by others while a walk goes on.
	maxWalkChanges = 10_000
)

// WalkParams select what Walk goes through.
type WalkParams struct {
	Type string
	// All and Any as in FindParams.
	All []search.Pair
	Any [][][]search.Pair
	// Since, where set: only what was changed later.
	Since time.Time
}

// Walk calls f for each resource that matches, as all of them were when it began:
// what is created meanwhile is left out, what is changed or deleted meanwhile
// comes in the version of that moment. A write that was under way at that moment
// may be in or out. Pages are read one by one, so memory is bounded; the body is
// valid until f returns. Issue codes: those of Find; too-costly.
//
// A page is read in the order of numbers, then the history since the beginning,
// which has every write that the page has seen or missed. So what the page should
// have had is its rows, each in its old version, and the changed resources with
// numbers in its range that are not among them.
func (s *Service) Walk(ctx context.Context, p WalkParams, f func(*store.Resource) error) error {
	w := &walker{s: s, p: p, f: f, began: s.now(), old: map[store.Key]*store.Resource{}}
	if err := w.compile(ctx); err != nil {
		return err
	}
	find := FindParams{Type: p.Type, All: p.All, Any: p.Any, Limit: walkPage}
	if !p.Since.IsZero() {
		find.All = append(find.All[:len(find.All):len(find.All)], search.Pair{Name: "_lastUpdated", Value: "gt" + p.Since.UTC().Format(time.RFC3339Nano)})
	}
	for last := uint64(0); ; {
		page, err := s.Find(ctx, find)
		if err != nil {
			return err
		}
		if err := w.changes(ctx); err != nil {
			return err
		}
		upTo := ^uint64(0)
		if page.More {
			upTo = page.Rows[len(page.Rows)-1].Number
			find.After = &page.Rows[len(page.Rows)-1].At
		}
		if err := w.page(page.Rows, last, upTo); err != nil || !page.More {
			return err
		}
		last = upTo
	}
}

// walker is one walk under way.
type walker struct {
	s     *Service
	p     WalkParams
	f     func(*store.Resource) error
	began time.Time
	// old has the resources changed since began, each in its version of that moment; nil when there was none.
	old map[store.Key]*store.Resource
	all *search.Query
	any [][]*search.Query
}

// compile makes the queries that decide about old versions.
func (w *walker) compile(ctx context.Context) (err error) {
	if w.all, _, err = w.s.compile(ctx, w.p.Type, w.p.All); err != nil {
		return err
	}
	for _, alternatives := range w.p.Any {
		var of []*search.Query
		for _, pairs := range alternatives {
			q, _, err := w.s.compile(ctx, w.p.Type, pairs)
			if err != nil {
				return err
			}
			of = append(of, q)
		}
		w.any = append(w.any, of)
	}
	return nil
}

// changes reads what was written since the walk began.
func (w *walker) changes(ctx context.Context) error {
	first := map[store.Key]uint64{}
	h := store.HistoryParams{Type: w.p.Type, Since: w.began.Add(time.Millisecond), Limit: walkPage}
	for {
		page, err := w.s.store.History(ctx, h)
		if err != nil {
			return translate(err, "history of "+w.p.Type)
		}
		for i := range page.Rows {
			r := &page.Rows[i]
			if v, ok := first[r.Key]; !ok || r.Version < v {
				first[r.Key] = r.Version
			}
		}
		if len(first) > maxWalkChanges {
			return issue.New(issue.TooCostly, "walk.changes", "more than "+strconv.Itoa(maxWalkChanges)+" resources were written while this was read: ask again, or for less", "")
		}
		if page.Next == "" {
			break
		}
		h.After = page.Next
	}
	for key, version := range first {
		if _, known := w.old[key]; known {
			continue
		}
		old, err := w.version(ctx, key, version-1)
		if err != nil {
			return err
		}
		w.old[key] = old
	}
	return nil
}

// version gives an old version that matches, nil when there is none.
func (w *walker) version(ctx context.Context, key store.Key, version uint64) (*store.Resource, error) {
	if version == 0 {
		return nil, nil
	}
	r, err := w.s.store.ReadVersion(ctx, key, version)
	if errors.Is(err, store.ErrNotFound) { // purged meanwhile
		return nil, nil
	}
	if err != nil {
		return nil, translate(err, "read")
	}
	if r.Deleted || !w.p.Since.IsZero() && !r.LastUpdated.After(w.p.Since) {
		return nil, nil
	}
	ok, err := w.matches(r.Body)
	if !ok || err != nil {
		return nil, err
	}
	return &r, nil
}

func (w *walker) matches(body []byte) (bool, error) {
	root, done, err := w.s.Tree(body)
	if err != nil {
		return false, err
	}
	defer done()
	if ok, err := w.s.registry.Match(w.all, root); !ok || err != nil {
		return false, err
	}
	for _, of := range w.any {
		found := false
		for _, q := range of {
			ok, err := w.s.registry.Match(q, root)
			if err != nil {
				return false, err
			}
			found = found || ok
		}
		if !found {
			return false, nil
		}
	}
	return true, nil
}

// page hands over the rows of a page, and what it should have had: the changed
// resources with numbers above last, up to upTo.
func (w *walker) page(rows []store.Row, last, upTo uint64) error {
	for i := range rows {
		r := &rows[i].Resource
		if _, changed := w.old[r.Key]; changed || r.LastUpdated.After(w.began) {
			continue
		}
		if err := w.f(r); err != nil {
			return err
		}
	}
	var missed []*store.Resource
	for _, old := range w.old {
		if old != nil && old.Number > last && old.Number <= upTo {
			missed = append(missed, old)
		}
	}
	slices.SortFunc(missed, func(a, b *store.Resource) int { return cmp.Compare(a.Number, b.Number) })
	for _, old := range missed {
		if err := w.f(old); err != nil {
			return err
		}
	}
	return nil
}
