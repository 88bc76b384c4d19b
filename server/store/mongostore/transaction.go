package mongostore

import (
	"context"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"meridian/server/store"
)

// bundle is a commit of several writes on its way through a transaction.
type bundle struct {
	p     store.CommitParams
	heads []*head  // as they will be written, one for each write
	parts [][]part // overflow documents, by write
	given []int64  // positions that Changes waits for
}

// transact commits several writes in one transaction: snapshot reads, majority
// write. At most MaxTransactions run at once in this process; others wait.
func (s *Store) transact(ctx context.Context, p store.CommitParams) error {
	b := &bundle{p: p, heads: make([]*head, len(p.Writes)), parts: make([][]part, len(p.Writes))}
	for i := range p.Writes {
		var err error
		if b.heads[i], b.parts[i], err = newHead(&p.Writes[i], s.opts.IndexVersion); err != nil {
			return fmt.Errorf("write %d: %w", i, err)
		}
		// Collections and indexes cannot be made inside a transaction.
		if err := s.ensureType(ctx, p.Writes[i].Type, p.Writes[i].Facts); err != nil {
			return err
		}
	}
	if p.Receipt != nil {
		s.sweep(ctx)
	}
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	for range MaxAttempts {
		for i := range p.Writes {
			if err := s.checkGeneration(ctx, &p.Writes[i], i); err != nil {
				return err
			}
		}
		err := s.transactOnce(ctx, b)
		switch {
		case err == nil:
			s.relog(ctx, b.heads)
			return nil
		case isUnlessError(err) && mongo.IsDuplicateKeyError(err):
			if err := s.freeAll(ctx, p.Writes); err != nil {
				return err
			}
		case errors.Is(err, errAgain), mongo.IsDuplicateKeyError(err):
			// The next look finds who was first.
		default:
			return err
		}
	}
	return fmt.Errorf("mongostore: commit of %d writes: gave up after %d attempts", len(p.Writes), MaxAttempts)
}

func (s *Store) transactOnce(ctx context.Context, b *bundle) error {
	sess, err := s.sessions()
	if err != nil {
		return fmt.Errorf("mongostore: start a session: %w", err)
	}
	defer sess.end(context.WithoutCancel(ctx))
	defer s.landAll(b)
	return runTransaction(ctx, sess, s.backOff, func(in context.Context) error { return s.apply(ctx, in, b) })
}

// freeAll frees the keys of criteria that nobody matches any more.
func (s *Store) freeAll(ctx context.Context, writes []store.Write) error {
	for i := range writes {
		if w := &writes[i]; w.UnlessKey != "" {
			if err := s.freeUnless(ctx, w); !errors.Is(err, errAgain) {
				return err
			}
		}
	}
	return nil
}

// apply checks and writes a bundle inside a transaction, whose context is in;
// numbers are made outside of it. The log records come last, so that little
// time lies between their positions and the commit.
func (s *Store) apply(ctx, in context.Context, b *bundle) error {
	keys := make([]store.Key, 0, len(b.p.Writes)+len(b.p.Requires))
	for i := range b.p.Writes {
		keys = append(keys, b.p.Writes[i].Key)
	}
	for i := range b.p.Requires {
		keys = append(keys, b.p.Requires[i].Key)
	}
	if err := s.guard(in, b.p.Writes); err != nil {
		return err
	}
	current, err := s.headsOf(in, keys, noPostings)
	if err != nil {
		return err
	}
	if err := checkRequired(b.p.Requires, current); err != nil {
		return err
	}
	if err := s.holdAll(in, &b.p); err != nil {
		return err
	}
	if err := s.checkNoMatch(in, &b.p); err != nil {
		return err
	}
	if err := s.putReceiptInside(in, b.p.Receipt); err != nil {
		return err
	}
	for i := range b.p.Writes {
		w := &b.p.Writes[i]
		cur := current[documentID(w.Key)]
		if err := checkExpect(w, i, cur); err != nil {
			return err
		}
		if err := s.checkUnless(in, w, i, cur); err != nil {
			return err
		}
	}
	if err := s.touch(in, b, current); err != nil {
		return err
	}
	if err := s.number(ctx, b, current); err != nil {
		return err
	}
	if err := s.putHeads(in, b, current); err != nil {
		return err
	}
	if err := s.putEntries(in, b, current); err != nil {
		return err
	}
	for i := range b.p.Writes {
		if err := s.purge(in, &b.p.Writes[i]); err != nil {
			return err
		}
	}
	return nil
}

// guard writes to the document of each criterion, where the unique index
// cannot stand: two transactions under one criterion collide on it, and the
// one that is tried again finds what the other created.
func (s *Store) guard(ctx context.Context, writes []store.Write) error {
	if !s.guarded {
		return nil
	}
	for i := range writes {
		w := &writes[i]
		if w.UnlessKey == "" {
			continue
		}
		_, err := s.db.Collection(guardName).UpdateOne(ctx, bson.D{{Key: "_id", Value: unlessHash(w.Type, w.UnlessKey)}},
			bson.D{{Key: "$inc", Value: bson.D{{Key: "n", Value: int64(1)}}}, {Key: "$set", Value: bson.D{{Key: "at", Value: s.now()}}}},
			options.UpdateOne().SetUpsert(true))
		if err != nil {
			return fmt.Errorf("mongostore: guard a criterion of %s: %w", w.Type, err)
		}
	}
	return nil
}

// touch writes to the resources that the bundle only requires, so that a
// transaction that changes one of them collides with this one: a snapshot
// read alone would let both commit.
func (s *Store) touch(ctx context.Context, b *bundle, current map[string]*head) error {
	written := make(map[string]bool, len(b.heads))
	for _, h := range b.heads {
		written[h.ID] = true
	}
	for _, r := range b.p.Requires {
		id := documentID(r.Key)
		if written[id] || r.Version == 0 {
			continue // that it is there is held by holdAll
		}
		written[id] = true
		u, err := s.db.Collection(r.Type).UpdateOne(ctx, bson.D{{Key: "_id", Value: id}, {Key: "v", Value: current[id].V}},
			bson.D{{Key: "$inc", Value: bson.D{{Key: "q", Value: int64(1)}}}})
		if err != nil {
			return fmt.Errorf("mongostore: hold %s: %w", id, err)
		}
		if u.MatchedCount != 1 {
			return errAgain
		}
	}
	return nil
}

// number gives the heads their numbers, positions and criteria.
func (s *Store) number(ctx context.Context, b *bundle, current map[string]*head) (err error) {
	for i, h := range b.heads {
		cur := current[h.ID]
		var after int64
		h.U = nil
		if cur != nil {
			h.N, after, h.U = cur.N, cur.P, s.keptKeys(cur)
		} else if h.N, err = s.ids.next(ctx); err != nil {
			return err
		}
		if key := b.p.Writes[i].UnlessKey; key != "" && !s.guarded {
			h.U = withKey(h.U, unlessHash(h.typ(), key))
		}
		if h.P, err = s.ids.position(ctx, after); err != nil {
			return err
		}
		b.given = append(b.given, h.P)
	}
	return nil
}

func (s *Store) putHeads(ctx context.Context, b *bundle, current map[string]*head) error {
	models := map[string][]mongo.WriteModel{}
	replaced := map[string]int64{}
	for i, h := range b.heads {
		raw, err := h.marshal()
		if err != nil {
			return fmt.Errorf("write %d: %w", i, err)
		}
		if err := s.putParts(ctx, b.parts[i], h.P); err != nil {
			return err
		}
		var m mongo.WriteModel = mongo.NewInsertOneModel().SetDocument(raw)
		if cur := current[h.ID]; cur != nil {
			m = mongo.NewReplaceOneModel().SetFilter(bson.D{{Key: "_id", Value: h.ID}, {Key: "v", Value: cur.V}}).SetReplacement(raw)
			replaced[h.typ()]++
			if cur.O > 0 {
				if err := s.dropParts(ctx, h); err != nil {
					return err
				}
			}
		}
		models[h.typ()] = append(models[h.typ()], m)
	}
	for typ, list := range models {
		r, err := s.db.Collection(typ).BulkWrite(ctx, list)
		if err != nil {
			return fmt.Errorf("mongostore: write %d of %s: %w", len(list), typ, err)
		}
		if r.MatchedCount != replaced[typ] {
			return errAgain
		}
	}
	return nil
}

func (s *Store) putEntries(ctx context.Context, b *bundle, current map[string]*head) error {
	models := make([]mongo.WriteModel, 0, 2*len(b.heads))
	for _, h := range b.heads {
		if cur := current[h.ID]; cur != nil {
			models = append(models, fill(cur))
		}
		e := h.entry()
		// A record that a single write left ahead of its head is replaced.
		models = append(models, mongo.NewReplaceOneModel().SetFilter(e.filter()).SetReplacement(&e).SetUpsert(true))
	}
	if _, err := s.db.Collection(historyName).BulkWrite(ctx, models); err != nil {
		return fmt.Errorf("mongostore: history of %d writes: %w", len(b.heads), err)
	}
	return nil
}
