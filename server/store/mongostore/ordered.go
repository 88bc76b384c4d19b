package mongostore

import (
	"context"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"meridian/server/store"
)

// maxOrdered is how many writes of a CommitOrdered go through one round of requests.
const maxOrdered = 500

// ordered commits writes one after the other without a transaction. Writes
// without a criterion go in batches: the log records of a batch in one
// request, then the heads in order, creates of one type that stand together in
// one ordered request. Where a batch meets another writer, a precondition
// that fails, or what a crash left of such a batch, the rest of it goes one by one, which finds out and says so.
func (s *Store) ordered(ctx context.Context, writes []store.Write) error {
	for i := 0; i < len(writes); {
		n := 0
		for i+n < len(writes) && n < maxOrdered && writes[i+n].Unless == nil && writes[i+n].UnlessKey == "" && !writes[i+n].Purge {
			n++
		}
		if n > 1 {
			done, err := s.orderedBatch(ctx, writes[i:i+n])
			if err != nil {
				return err
			}
			i, n = i+done, n-done
		} else {
			n = 1
		}
		for ; n > 0; n-- {
			if err := s.single(ctx, &writes[i], i, nil); err != nil {
				return err
			}
			i++
		}
	}
	return nil
}

// orderedBatch commits a prefix of writes and says how long it is. It stops
// without an error where a write needs a closer look.
func (s *Store) orderedBatch(ctx context.Context, writes []store.Write) (int, error) {
	keys := make([]store.Key, len(writes))
	heads := make([]*head, len(writes))
	parts := make([][]part, len(writes))
	for i := range writes {
		w := &writes[i]
		keys[i] = w.Key
		err := s.checkGeneration(ctx, w, i)
		if err != nil {
			return 0, err
		}
		if heads[i], parts[i], err = newHead(w, s.opts.IndexVersion); err != nil {
			writes, heads = writes[:i], heads[:i] // told when its turn comes
			break
		}
		if err := s.ensureType(ctx, w.Type, w.Facts); err != nil {
			return 0, err
		}
	}
	current, err := s.headsOf(ctx, keys, noPostings)
	if err != nil {
		return 0, err
	}
	for i := range writes {
		if checkExpect(&writes[i], i, current[documentID(keys[i])]) != nil {
			writes, heads = writes[:i], heads[:i]
			break
		}
	}
	if len(writes) == 0 {
		return 0, nil
	}
	b := &bundle{p: store.CommitParams{Writes: writes}, heads: heads, parts: parts}
	defer s.landAll(b)
	if err := s.number(ctx, b, current); err != nil {
		return 0, err
	}
	claimed, err := s.claimAll(ctx, b, current)
	if err != nil || !claimed {
		return 0, err
	}
	return s.swapAll(ctx, b, current)
}

// landAll says that the positions of b are in the log, or never will be.
func (s *Store) landAll(b *bundle) {
	for _, p := range b.given {
		s.ids.landed(p)
	}
	b.given = b.given[:0]
}

// claimAll writes the log records of a batch; false, and none is left, when another writer has one of them.
func (s *Store) claimAll(ctx context.Context, b *bundle, current map[string]*head) (bool, error) {
	models := make([]mongo.WriteModel, 0, 2*len(b.heads))
	for _, h := range b.heads {
		if cur := current[h.ID]; cur != nil {
			models = append(models, fill(cur))
		}
		e := h.entry()
		models = append(models, mongo.NewInsertOneModel().SetDocument(&e))
	}
	_, err := s.db.Collection(historyName).BulkWrite(ctx, models)
	if err == nil {
		return true, nil
	}
	s.unclaimAll(ctx, b.heads)
	if mongo.IsDuplicateKeyError(err) {
		return false, nil
	}
	return false, fmt.Errorf("mongostore: history of %d writes: %w", len(b.heads), err)
}

// unclaimAll is unclaim for attempts of which none is committed.
func (s *Store) unclaimAll(ctx context.Context, heads []*head) {
	var models []mongo.WriteModel
	for _, h := range heads {
		if s.unclaims(h) {
			models = append(models, mongo.NewDeleteOneModel().SetFilter(h.claimed()))
		}
	}
	if len(models) == 0 {
		return
	}
	if _, err := s.db.Collection(historyName).BulkWrite(context.WithoutCancel(ctx), models); err != nil {
		s.log.Warn("mongostore: history entries stay ahead of their heads", "entries", len(models))
	}
}

// swapAll puts the heads of a batch in place, in order, and says how many are.
func (s *Store) swapAll(ctx context.Context, b *bundle, current map[string]*head) (int, error) {
	done := 0
	for done < len(b.heads) {
		n, err := s.swapRun(ctx, b, done, current)
		for i := done; i < done+n; i++ {
			if err := s.committed(ctx, b.heads[i], current[b.heads[i].ID]); err != nil {
				return done, err
			}
		}
		if done += n; err == nil {
			continue
		}
		if !errors.Is(err, errAgain) {
			return done, err // what the server did is not known
		}
		// The record of the one where it stopped may be that of the version another writer made.
		s.unclaimAll(ctx, b.heads[done+1:])
		return done, nil
	}
	return done, nil
}

// swapRun puts the next heads in place: one that replaces, or the creates of
// one type that follow each other. It says how many are; errAgain when another
// writer was first at the next.
func (s *Store) swapRun(ctx context.Context, b *bundle, from int, current map[string]*head) (int, error) {
	h := b.heads[from]
	if s.now().Sub(numberTime(h.P)) > Abandon/2 {
		return 0, errAgain // others may soon take the entries for left behind
	}
	if cur := current[h.ID]; cur != nil {
		if err := s.putParts(ctx, b.parts[from], h.P); err != nil {
			return 0, err
		}
		if err := s.swap(ctx, h, cur); err != nil {
			return 0, err
		}
		return 1, nil
	}
	var models []mongo.WriteModel
	to := from
	for ; to < len(b.heads) && b.heads[to].typ() == h.typ() && current[b.heads[to].ID] == nil; to++ {
		raw, err := b.heads[to].marshal()
		if err != nil {
			return 0, err
		}
		if err := s.putParts(ctx, b.parts[to], b.heads[to].P); err != nil {
			return 0, err
		}
		models = append(models, mongo.NewInsertOneModel().SetDocument(raw))
	}
	_, err := s.db.Collection(h.typ()).BulkWrite(ctx, models)
	if err == nil {
		return to - from, nil
	}
	n, readErr := s.standing(ctx, b.heads[from:to])
	if readErr != nil {
		return 0, errors.Join(err, readErr)
	}
	if mongo.IsDuplicateKeyError(err) {
		return n, errAgain
	}
	return n, fmt.Errorf("mongostore: write %s version %d: %w", b.heads[from+n].ID, b.heads[from+n].V, err)
}

// standing is how many of heads, from the first on, stand as they were written.
func (s *Store) standing(ctx context.Context, heads []*head) (int, error) {
	ids := make([]string, len(heads))
	for i, h := range heads {
		ids[i] = h.ID
	}
	found, err := s.heads(ctx, heads[0].typ(), ids, bson.D{{Key: "p", Value: 1}})
	if err != nil {
		return 0, err
	}
	for i, h := range heads {
		if f := found[h.ID]; f == nil || f.P != h.P {
			return i, nil
		}
	}
	return len(heads), nil
}
