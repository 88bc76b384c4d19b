package mongostore

import (
	"context"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"

	"meridian/server/store"
)

// Commit writes all or nothing. One write is one compare-and-set of its head,
// atomic on any server; several, or one with Requires, are a transaction, and
// without transactions several are refused with store.ErrNoTransactions. A
// single write's Requires are then checked just before it.
func (s *Store) Commit(ctx context.Context, p store.CommitParams) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.flight.Done()
	if err := checkWrites(p); err != nil {
		return err
	}
	return s.told(ctx, s.commit(ctx, p))
}

func (s *Store) commit(ctx context.Context, p store.CommitParams) error {
	switch {
	case len(p.Writes) == 1 && len(p.Requires) == 0 && len(p.NoMatch) == 0 && p.Receipt == nil && (p.Writes[0].UnlessKey == "" || !s.guarded):
		return s.single(ctx, &p.Writes[0], 0, nil)
	case s.transactions && len(p.Writes) > 0:
		return s.transact(ctx, p)
	case len(p.Writes) > 1:
		return store.ErrNoTransactions
	}
	if err := s.checkReads(ctx, &p); err != nil {
		return err
	}
	if len(p.Writes) == 0 {
		return s.putReceipt(ctx, p.Receipt)
	}
	return s.singleWithReceipt(ctx, &p.Writes[0], p.Receipt)
}

// checkReads holds what a commit depends on, beside its own writes, against what stands.
func (s *Store) checkReads(ctx context.Context, p *store.CommitParams) error {
	if err := s.checkRequires(ctx, p.Requires); err != nil {
		return err
	}
	return s.checkNoMatch(ctx, p)
}

// checkNoMatch runs the searches that must find nothing but what the commit writes.
func (s *Store) checkNoMatch(ctx context.Context, p *store.CommitParams) error {
	if len(p.NoMatch) == 0 {
		return nil
	}
	written := make(map[store.Key]bool, len(p.Writes))
	for i := range p.Writes {
		written[p.Writes[i].Key] = true
	}
	for i, plan := range p.NoMatch {
		plan := *plan
		plan.After, plan.Sort, plan.Limit = nil, nil, min(len(written)+1, store.MaxPage)
		page, err := s.search(ctx, &plan)
		if err != nil {
			return err
		}
		for j := range page.Rows {
			if key := page.Rows[j].Key; !written[key] {
				return &store.ConflictError{NoMatch: true, Index: i, Match: &key}
			}
		}
	}
	return nil
}

// CommitOrdered writes one after the other, in order, stopping at the first
// failure; a crash leaves a prefix. With transactions it is Commit.
func (s *Store) CommitOrdered(ctx context.Context, p store.CommitParams) error {
	if s.transactions {
		return s.Commit(ctx, p)
	}
	if err := s.enter(); err != nil {
		return err
	}
	defer s.flight.Done()
	if err := checkWrites(p); err != nil {
		return err
	}
	err := s.checkReads(ctx, &p)
	if err == nil {
		err = s.ordered(ctx, p.Writes)
	}
	if err == nil {
		err = s.putReceipt(ctx, p.Receipt)
	}
	return s.told(ctx, err)
}

// told makes sure, before a caller is told of a conflict, that what stands in
// its way is what readers see: it may have been written a moment ago and not
// yet be with the majority. A write to the same document that waits for the
// majority waits for it too.
func (s *Store) told(ctx context.Context, err error) error {
	var conflict *store.ConflictError
	if s.majority == nil || !errors.As(err, &conflict) || conflict.Receipt || conflict.Stale {
		return err
	}
	key := conflict.Key
	if conflict.Match != nil {
		key = *conflict.Match
	}
	_, touchErr := s.db.Collection(key.Type).UpdateOne(ctx, bson.D{{Key: "_id", Value: documentID(key)}}, bson.D{{Key: "$inc", Value: bson.D{{Key: "q", Value: int64(1)}}}})
	if touchErr != nil {
		return fmt.Errorf("mongostore: wait for %s: %w", documentID(key), touchErr)
	}
	return err
}

// checkRequires holds the reads that a commit depends on against the heads.
func (s *Store) checkRequires(ctx context.Context, requires []store.Require) error {
	if len(requires) == 0 {
		return nil
	}
	keys := make([]store.Key, len(requires))
	for i := range requires {
		keys[i] = requires[i].Key
	}
	heads, err := s.headsOf(ctx, keys, headFields)
	if err != nil {
		return err
	}
	return checkRequired(requires, heads)
}

func checkRequired(requires []store.Require, heads map[string]*head) error {
	for i, r := range requires {
		h := heads[documentID(r.Key)]
		if h == nil || h.Del || r.Version != 0 && uint64(h.V) != r.Version {
			return &store.ConflictError{Index: i, Require: true, Key: r.Key, Current: version(h)}
		}
	}
	return nil
}

// version of a head that may not be there.
func version(h *head) uint64 {
	if h == nil {
		return 0
	}
	return uint64(h.V)
}

// checkExpect holds a write's precondition against what stands there.
func checkExpect(w *store.Write, index int, cur *head) error {
	v := version(cur)
	want, exact := w.Expect.WantVersion()
	live := cur != nil && !cur.Del
	if w.Expect.IsAbsent() && live || exact && want != v || w.Version != v+1 {
		return &store.ConflictError{Index: index, Key: w.Key, Current: v}
	}
	return nil
}

// checkUnless looks for another resource that matches the write's criterion.
func (s *Store) checkUnless(ctx context.Context, w *store.Write, index int, cur *head) error {
	if w.Unless == nil {
		return nil
	}
	plan := *w.Unless
	plan.After, plan.Sort, plan.Limit = nil, nil, 2
	page, err := s.search(ctx, &plan)
	if err != nil {
		return err
	}
	for i := range page.Rows {
		if key := page.Rows[i].Key; key != w.Key {
			return &store.ConflictError{Index: index, Key: w.Key, Current: version(cur), Match: &key}
		}
	}
	return nil
}

// errAgain: another writer came between; look again.
var errAgain = errors.New("mongostore: look again")

// single commits one write: preconditions, history entry, head. With a claim
// the head says that the claim's receipt is true.
func (s *Store) single(ctx context.Context, w *store.Write, index int, c *claim) error {
	h, parts, err := newHead(w, s.opts.IndexVersion)
	if err != nil {
		return err
	}
	if c != nil {
		h.W = c.W
	}
	if err := s.ensureType(ctx, w.Type, w.Facts); err != nil {
		return err
	}
	for attempt := range MaxAttempts {
		if err := s.checkGeneration(ctx, w, index); err != nil {
			return err
		}
		var cur *head
		// A first version is tried without a look: there rarely is one already.
		if w.Version != 1 || attempt > 0 {
			if cur, err = s.head(ctx, w.Key); err != nil {
				return err
			}
		}
		if err := checkExpect(w, index, cur); err != nil {
			return err
		}
		if err := s.checkUnless(ctx, w, index, cur); err != nil {
			return err
		}
		if err := s.renew(ctx, c); err != nil {
			return err
		}
		err := s.attempt(ctx, w, h, cur, parts)
		if !errors.Is(err, errAgain) {
			return err
		}
	}
	return fmt.Errorf("mongostore: commit %s: gave up after %d attempts", h.ID, MaxAttempts)
}
