package mongostore

import (
	"context"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"meridian/fhir/search"
	"meridian/server/store"
)

// resolve replaces the chains of a tree by what they find: a chain forward by
// the points of its references, a chain reverse by ids; nil becomes All. Each step is a search
// of its own and finds at most MaxChain resources, else store.ErrTooCostly.
func (s *Store) resolve(ctx context.Context, typ string, e search.Expr) (search.Expr, error) {
	switch e := e.(type) {
	case nil:
		return search.All{}, nil
	case search.And:
		of, err := s.resolveAll(ctx, typ, e.Of)
		return search.And{Of: of}, err
	case search.Or:
		of, err := s.resolveAll(ctx, typ, e.Of)
		return search.Or{Of: of}, err
	case search.Not:
		of, err := s.resolve(ctx, typ, e.Of)
		return search.Not{Of: of}, err
	case search.ChainForward:
		return s.chainForward(ctx, e)
	case search.ChainReverse:
		return s.chainReverse(ctx, typ, e)
	}
	return e, nil
}

func (s *Store) resolveAll(ctx context.Context, typ string, of []search.Expr) ([]search.Expr, error) {
	out := make([]search.Expr, len(of))
	for i, e := range of {
		var err error
		if out[i], err = s.resolve(ctx, typ, e); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (s *Store) chainForward(ctx context.Context, e search.ChainForward) (search.Expr, error) {
	found, err := s.candidates(ctx, e.Type, e.Where, e.Check, bson.D{{Key: "_id", Value: 1}})
	if err != nil {
		return nil, err
	}
	points := search.Or{Of: make([]search.Expr, len(found))}
	for i := range found {
		points.Of[i] = search.Point{Key: search.Key{Param: e.Param, Scope: e.Type, Value: keyOf(found[i].ID).ID}}
	}
	return points, nil
}

func (s *Store) chainReverse(ctx context.Context, typ string, e search.ChainReverse) (search.Expr, error) {
	where := search.And{Of: []search.Expr{e.Where, search.Prefix{Key: search.Key{Param: e.Param, Scope: typ}}}}
	found, err := s.candidates(ctx, e.Type, where, e.Check, bson.D{{Key: "k", Value: 1}, {Key: "o", Value: 1}, {Key: "p", Value: 1}})
	if err != nil {
		return nil, err
	}
	ids := search.IDs{}
	seen := map[string]bool{}
	collect := func(texts []string) {
		for _, text := range texts {
			scope, id, ok := splitText(e.Param, text)
			if ok && scope == typ && !seen[id] {
				seen[id] = true
				ids.IDs = append(ids.IDs, id)
			}
		}
	}
	for i := range found {
		collect(found[i].K)
		if found[i].O == 0 {
			continue
		}
		parts, err := s.parts(ctx, found[i].ID, found[i].P)
		if err != nil {
			return nil, err
		}
		for j := range parts {
			collect(parts[j].K)
		}
	}
	if len(ids.IDs) > MaxChain {
		return nil, fmt.Errorf("%w: a chain names more than %d resources of type %s", store.ErrTooCostly, MaxChain, typ)
	}
	return ids, nil
}

// candidates are the resources that one step of a chain finds, with the given fields.
func (s *Store) candidates(ctx context.Context, typ string, where search.Expr, check func([]byte) (bool, error), fields bson.D) ([]head, error) {
	if check != nil {
		fields = append(fields[:len(fields):len(fields)], bson.E{Key: "body", Value: 1})
	}
	q, err := s.newQuery(ctx, &search.Plan{Type: typ, Where: where})
	if err != nil {
		return nil, err
	}
	c := &compiler{typ: typ}
	if q.filter, err = c.filter(q.where); err != nil {
		return nil, err
	}
	if c.more, err = s.overflow(ctx, typ, c.leaves); err != nil {
		return nil, err
	}
	if len(c.more) > 0 {
		if q.filter, err = c.filter(q.where); err != nil {
			return nil, err
		}
	}
	cur, err := s.coll(ctx, typ).Find(ctx, q.filter, options.Find().SetProjection(fields).SetLimit(MaxChain+1))
	if err != nil {
		return nil, fmt.Errorf("mongostore: chain over %s: %w", typ, err)
	}
	var found []head
	if err := cur.All(ctx, &found); err != nil {
		return nil, fmt.Errorf("mongostore: chain over %s: %w", typ, err)
	}
	if len(found) > MaxChain {
		return nil, fmt.Errorf("%w: a chain finds more than %d resources of type %s", store.ErrTooCostly, MaxChain, typ)
	}
	return checked(found, check)
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
