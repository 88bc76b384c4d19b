package interaction

import (
	"context"
	"slices"
	"time"

	"meridian/fhir/element"
	"meridian/fhir/issue"
	"meridian/fhir/search"
	"meridian/server/store"
)

// What operations read and write with, beside Read, VRead, Current, Apply and
// Search. They never see the store, so what narrows a search narrows theirs.

// FindParams of a search whose rows an operation goes through.
type FindParams struct {
	Type string
	// All are search parameters that select; every one must match.
	All []search.Pair
	// Any are further conditions, each a list of alternatives of which all pairs of one must match.
	Any [][][]search.Pair
	// Sort as in _sort; empty is the order of creation.
	Sort  string
	After *search.Cursor
	Limit int // rows, at most store.MaxPage
}

// Find gives the rows that match, in order; a page goes on after the At of
// its last row. Issue codes: those of search.Parse; too-costly.
func (s *Service) Find(ctx context.Context, p FindParams) (store.Page, error) {
	plan, err := s.findPlan(ctx, &p)
	if err != nil {
		return store.Page{}, err
	}
	page, err := s.store.Search(ctx, plan)
	if err != nil {
		return store.Page{}, translate(err, "search "+p.Type)
	}
	return page, nil
}

// CountAll counts what Find would give on all pages, no further than limit (0: no limit).
func (s *Service) CountAll(ctx context.Context, p FindParams, limit int) (store.Total, error) {
	plan, err := s.findPlan(ctx, &p)
	if err != nil {
		return store.Total{}, err
	}
	plan.Limit, plan.After = 0, nil
	t, err := s.store.Count(ctx, plan, limit)
	if err != nil {
		return store.Total{}, translate(err, "count "+p.Type)
	}
	return t, nil
}

func (s *Service) findPlan(ctx context.Context, p *FindParams) (*search.Plan, error) {
	if !IsResourceType(p.Type) {
		return nil, unknownType(p.Type)
	}
	for _, pairs := range append([][]search.Pair{p.All}, slices.Concat(p.Any...)...) {
		for _, q := range pairs {
			if isResultParam(q.Name) {
				return nil, issue.New(issue.Invalid, "operation.parameter-unknown", q.Name+" does not select and is no parameter here", "")
			}
		}
	}
	all := p.All
	if p.Sort != "" {
		all = append(all[:len(all):len(all)], search.Pair{Name: "_sort", Value: p.Sort})
	}
	_, plan, err := s.compile(ctx, p.Type, all)
	if err != nil {
		return nil, err
	}
	for _, alternatives := range p.Any {
		if err := s.alternatives(ctx, plan, p.Type, alternatives); err != nil {
			return nil, err
		}
	}
	plan.Limit, plan.After = min(max(p.Limit, 1), store.MaxPage), p.After
	return plan, nil
}

// alternatives narrows a plan to what matches one of them.
func (s *Service) alternatives(ctx context.Context, plan *search.Plan, typ string, of [][]search.Pair) error {
	var any search.Or
	var queries []*search.Query
	decided := true // the keys of every alternative decide alone
	for _, pairs := range of {
		q, alternative, err := s.compile(ctx, typ, pairs)
		if err != nil {
			return err
		}
		any.Of, queries = append(any.Of, alternative.Where), append(queries, q)
		decided = decided && alternative.Residual == nil
	}
	plan.Where = search.And{Of: []search.Expr{plan.Where, any}}
	if !decided {
		plan.Residual = bothResiduals(plan.Residual, s.matchesAny(queries))
	}
	return nil
}

func (s *Service) compile(ctx context.Context, typ string, pairs []search.Pair) (*search.Query, *search.Plan, error) {
	q, _, err := s.registry.Parse(typ, pairs, false)
	if err == nil {
		err = s.whole(ctx, q)
	}
	if err != nil {
		return nil, nil, err
	}
	plan, err := s.registry.Compile(q)
	return q, plan, err
}

// matchesAny decides on a body whether one of the queries matches it.
func (s *Service) matchesAny(queries []*search.Query) func([]byte) (bool, error) {
	return func(body []byte) (bool, error) {
		root, done, err := s.Tree(body)
		if err != nil {
			return false, err
		}
		defer done()
		for _, q := range queries {
			if ok, err := s.registry.Match(q, root); ok || err != nil {
				return ok, err
			}
		}
		return false, nil
	}
}

func bothResiduals(a, b func([]byte) (bool, error)) func([]byte) (bool, error) {
	if a == nil {
		return b
	}
	return func(body []byte) (bool, error) {
		if ok, err := a(body); !ok || err != nil {
			return ok, err
		}
		return b(body)
	}
}

// Registry of the search parameters.
func (s *Service) Registry() *search.Registry { return s.registry }

// NewID gives the id of a resource to be created.
func (s *Service) NewID() string { return s.newID() }

// Limits as they hold.
func (s *Service) Limits() Limits { return s.limits }

// Parse reads one resource with the limits of bodies. The tree is valid until
// done is called. typ may be empty. Issue codes: those of codec.Parse; invalid for another type.
func (s *Service) Parse(body []byte, typ string) (root element.Node, done func(), err error) {
	return s.parse(body, typ)
}

// Tree reads a stored body. The tree is valid until done is called.
func (s *Service) Tree(body []byte) (root element.Node, done func(), err error) {
	p := s.stored.Get()
	tree, err := p.Parse(body)
	if err != nil {
		s.stored.Put(p)
		return element.Node{}, nil, err
	}
	return tree.Root(), func() { s.stored.Put(p) }, nil
}

// AppendFullURL appends the address of a resource; it holds nothing that JSON escapes.
func (s *Service) AppendFullURL(dst []byte, r *store.Resource) []byte { return s.appendFullURL(dst, r) }

// Now is the time of a call, in milliseconds.
func (s *Service) Now() time.Time { return s.now() }
