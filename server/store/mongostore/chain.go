package mongostore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"meridian/fhir/search"
	"meridian/server/store"
)

// A chain is answered from either side. First from the inner one: a search of
// its own, index-driven, whose finds become points (forward) or ids (reverse).
// Where that finds more than MaxChain the chain stays in the tree, and the outer
// side drives: candidates come in batches in the order of the search, and each
// batch asks about the resources that it refers to, or is referred to by.

// lateBatch is how many candidates one batch has where chains are decided on it.
const lateBatch = 100

// lateAtOnce is how many candidates of a batch are asked about at once.
const lateAtOnce = 8

// resolve replaces the chains of a tree by what they find: a chain forward by
// the points of its references, a chain reverse by ids; nil becomes All. One that finds
// more than MaxChain resources stays, and late is true.
func (s *Store) resolve(ctx context.Context, typ string, e search.Expr) (out search.Expr, late bool, err error) {
	switch e := e.(type) {
	case nil:
		return search.All{}, false, nil
	case search.And:
		of, late, err := s.resolveAll(ctx, typ, e.Of)
		return search.And{Of: of}, late, err
	case search.Or:
		of, late, err := s.resolveAll(ctx, typ, e.Of)
		return search.Or{Of: of}, late, err
	case search.Not:
		of, late, err := s.resolve(ctx, typ, e.Of)
		return search.Not{Of: of}, late, err
	case search.ChainForward:
		return s.chainForward(ctx, e)
	case search.ChainReverse:
		return s.chainReverse(ctx, typ, e)
	}
	return e, false, nil
}

func (s *Store) resolveAll(ctx context.Context, typ string, of []search.Expr) ([]search.Expr, bool, error) {
	out, late := make([]search.Expr, len(of)), false
	for i, e := range of {
		x, l, err := s.resolve(ctx, typ, e)
		if err != nil {
			return nil, false, err
		}
		out[i], late = x, late || l
	}
	return out, late, nil
}

func (s *Store) chainForward(ctx context.Context, e search.ChainForward) (search.Expr, bool, error) {
	found, more, err := s.candidates(ctx, e.Type, e.Where, e.Check, bson.D{{Key: "_id", Value: 1}}, s.maxChain)
	if err != nil || more {
		return e, more, err
	}
	return pointsOf(e, found), false, nil
}

// pointsOf are the references to what a chain forward found.
func pointsOf(e search.ChainForward, found []head) search.Expr {
	points := search.Or{Of: make([]search.Expr, len(found))}
	for i := range found {
		points.Of[i] = search.Point{Key: search.Key{Param: e.Param, Scope: e.Type, Value: keyOf(found[i].ID).ID}}
	}
	return points
}

func (s *Store) chainReverse(ctx context.Context, typ string, e search.ChainReverse) (search.Expr, bool, error) {
	where := search.And{Of: []search.Expr{e.Where, search.Prefix{Key: search.Key{Param: e.Param, Scope: typ}}}}
	found, more, err := s.candidates(ctx, e.Type, where, e.Check, bson.D{{Key: "k", Value: 1}, {Key: "o", Value: 1}, {Key: "p", Value: 1}}, s.maxChain)
	if err != nil || more {
		return e, more, err
	}
	ids := search.IDs{}
	seen := map[string]bool{}
	for i := range found {
		named, err := s.named(ctx, &found[i], e.Param, typ)
		if err != nil {
			return nil, false, err
		}
		for _, id := range named {
			if !seen[id] {
				seen[id] = true
				ids.IDs = append(ids.IDs, id)
			}
		}
	}
	return ids, len(ids.IDs) > s.maxChain, nil
}

// named lists the ids of the resources of typ that a resource names by param.
func (s *Store) named(ctx context.Context, h *head, param, typ string) (ids []string, err error) {
	if h.K == nil && h.Body != "" {
		facts, err := s.opts.Index([]byte(h.Body))
		if err != nil {
			return nil, fmt.Errorf("mongostore: index %s: %w", h.ID, err)
		}
		return references(facts, param, typ), nil
	}
	collect := func(texts []string) {
		for _, text := range texts {
			if scope, id, ok := splitText(param, text); ok && scope == typ {
				ids = append(ids, id)
			}
		}
	}
	collect(h.K)
	if h.O == 0 {
		return ids, nil
	}
	parts, err := s.parts(ctx, h.ID, h.P)
	for i := range parts {
		collect(parts[i].K)
	}
	return ids, err
}

func references(facts *search.Facts, param, typ string) (ids []string) {
	for _, k := range facts.Keys {
		if k.Param == param && k.Scope == typ && k.Value != "" {
			ids = append(ids, k.Value)
		}
	}
	return ids
}

// candidates are at most limit resources that one step of a chain finds, with
// the given fields; more says that there are others.
func (s *Store) candidates(ctx context.Context, typ string, where search.Expr, check func([]byte) (bool, error), fields bson.D, limit int) (found []head, more bool, err error) {
	if check != nil {
		fields = append(fields[:len(fields):len(fields)], bson.E{Key: "body", Value: 1})
	}
	q, err := s.newQuery(ctx, &search.Plan{Type: typ, Where: where})
	if err != nil {
		return nil, false, err
	}
	if q.late != nil {
		return s.lateCandidates(ctx, q, check, limit)
	}
	c := &compiler{typ: typ}
	if q.filter, err = c.filter(q.where); err != nil {
		return nil, false, err
	}
	if c.more, err = s.overflow(ctx, typ, c.leaves); err != nil {
		return nil, false, err
	}
	if len(c.more) > 0 {
		if q.filter, err = c.filter(q.where); err != nil {
			return nil, false, err
		}
	}
	o := options.Find().SetProjection(fields)
	if check == nil {
		o.SetLimit(int64(limit) + 1)
	} else {
		o.SetLimit(MaxChain + 1)
	}
	cur, err := s.coll(ctx, typ).Find(ctx, q.filter, o)
	if err != nil {
		return nil, false, fmt.Errorf("mongostore: chain over %s: %w", typ, err)
	}
	if err := cur.All(ctx, &found); err != nil {
		return nil, false, fmt.Errorf("mongostore: chain over %s: %w", typ, err)
	}
	if more = len(found) > MaxChain; more && check != nil {
		return nil, true, nil // too many bodies to look at from this side
	}
	if found, err = checked(found, check); len(found) > limit {
		return found[:limit], true, err
	}
	return found, false, err
}

// lateCandidates is candidates where a chain within is decided batch by batch.
func (s *Store) lateCandidates(ctx context.Context, q *query, check func([]byte) (bool, error), limit int) ([]head, bool, error) {
	q.residual = check
	page, err := s.run(ctx, q, &search.Plan{Type: q.typ, Limit: limit})
	if err != nil {
		return nil, false, err
	}
	found := make([]head, len(page.Rows))
	for i := range page.Rows {
		found[i] = head{ID: documentID(page.Rows[i].Key), Body: string(page.Rows[i].Body)}
	}
	return found, page.More, nil
}

// superset is a tree without chains that all matches of e are in, and maybe
// more: what drives when chains are decided late.
func superset(e search.Expr) search.Expr {
	switch e := e.(type) {
	case search.ChainForward:
		return search.Prefix{Key: search.Key{Param: e.Param, Scope: e.Type}}
	case search.ChainReverse:
		return search.All{}
	case search.Not:
		if hasChain(e.Of) {
			return search.All{}
		}
	case search.And:
		all := search.And{}
		for _, x := range e.Of {
			all.Of = append(all.Of, superset(x))
		}
		return all
	case search.Or:
		any := search.Or{}
		for _, x := range e.Of {
			x = superset(x)
			if _, every := x.(search.All); every {
				return x
			}
			any.Of = append(any.Of, x)
		}
		return any
	}
	return e
}

func hasChain(e search.Expr) bool {
	switch e := e.(type) {
	case search.ChainForward, search.ChainReverse:
		return true
	case search.Not:
		return hasChain(e.Of)
	case search.And:
		return slices.ContainsFunc(e.Of, hasChain)
	case search.Or:
		return slices.ContainsFunc(e.Of, hasChain)
	}
	return false
}

// settleChains replaces the chains that are left in a tree by what they say about a batch.
func (s *Store) settleChains(ctx context.Context, typ string, e search.Expr, docs []head, facts []*search.Facts) (search.Expr, error) {
	all := func(of []search.Expr) ([]search.Expr, error) {
		out := make([]search.Expr, len(of))
		for i, x := range of {
			var err error
			if out[i], err = s.settleChains(ctx, typ, x, docs, facts); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	switch e := e.(type) {
	case search.And:
		of, err := all(e.Of)
		return search.And{Of: of}, err
	case search.Or:
		of, err := all(e.Of)
		return search.Or{Of: of}, err
	case search.Not:
		of, err := s.settleChains(ctx, typ, e.Of, docs, facts)
		return search.Not{Of: of}, err
	case search.ChainForward:
		return s.settleForward(ctx, e, facts)
	case search.ChainReverse:
		return s.settleReverse(ctx, typ, e, docs)
	}
	return e, nil
}

// settleForward asks which of the resources that the batch refers to match.
func (s *Store) settleForward(ctx context.Context, e search.ChainForward, facts []*search.Facts) (search.Expr, error) {
	var ids []string
	for _, f := range facts {
		ids = append(ids, references(f, e.Param, e.Type)...)
	}
	slices.Sort(ids)
	if ids = slices.Compact(ids); len(ids) == 0 {
		return search.Or{}, nil
	}
	any := search.Or{}
	for len(ids) > 0 {
		n := min(len(ids), maxBatch)
		where := search.And{Of: []search.Expr{search.IDs{IDs: ids[:n]}, e.Where}}
		found, _, err := s.candidates(ctx, e.Type, where, e.Check, bson.D{{Key: "_id", Value: 1}}, n)
		if err != nil {
			return nil, err
		}
		any.Of = append(any.Of, pointsOf(e, found))
		ids = ids[n:]
	}
	return any, nil
}

// settleReverse asks of each resource of the batch whether one that matches refers to it.
func (s *Store) settleReverse(ctx context.Context, typ string, e search.ChainReverse, docs []head) (search.Expr, error) {
	named := make([]bool, len(docs))
	ask := func(i int) error {
		where := search.And{Of: []search.Expr{search.Point{Key: search.Key{Param: e.Param, Scope: typ, Value: keyOf(docs[i].ID).ID}}, e.Where}}
		found, more, err := s.candidates(ctx, e.Type, where, e.Check, bson.D{{Key: "_id", Value: 1}}, 1)
		if named[i] = len(found) > 0; more && !named[i] {
			err = fmt.Errorf("%w: more than %d resources of type %s to look at for one reference", store.ErrTooCostly, MaxChain, e.Type)
		}
		return err
	}
	atOnce := lateAtOnce
	if mongo.SessionFromContext(ctx) != nil {
		atOnce = 1 // a session takes one operation at a time
	}
	errs := make([]error, len(docs))
	var wg sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for i := range docs {
		slots <- struct{}{}
		wg.Go(func() {
			errs[i] = ask(i)
			<-slots
		})
	}
	wg.Wait()
	ids := search.IDs{}
	for i := range docs {
		if named[i] {
			ids.IDs = append(ids.IDs, keyOf(docs[i].ID).ID)
		}
	}
	return ids, errors.Join(errs...)
}

// checked keeps the resources whose body passes check.
func checked(found []head, check func([]byte) (bool, error)) ([]head, error) {
	if check == nil {
		return found, nil
	}
	kept := found[:0]
	for i := range found {
		ok, err := check([]byte(found[i].Body))
		if err != nil {
			return nil, fmt.Errorf("mongostore: decide on %s: %w", found[i].ID, err)
		}
		if ok {
			kept = append(kept, found[i])
		}
	}
	return kept, nil
}
