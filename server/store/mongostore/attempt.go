package mongostore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"meridian/server/store"
)

// attempt writes h over cur, or where nothing stands when that is nil, and
// gives errAgain when another writer was first.
//
// A crash after the history entry leaves an entry ahead of its head, which is
// not committed. A crash after the head leaves nothing to be done.
func (s *Store) attempt(ctx context.Context, w *store.Write, h, cur *head, parts []part) (err error) {
	var after int64
	if h.U = nil; cur != nil {
		h.N, after = cur.N, cur.P
		h.U = s.keptKeys(cur)
	} else if h.N, err = s.ids.next(ctx); err != nil {
		return err
	}
	if w.UnlessKey != "" {
		h.U = withKey(h.U, unlessHash(w.Type, w.UnlessKey))
	}
	if h.P, err = s.ids.position(ctx, after); err != nil {
		return err
	}
	defer s.ids.landed(h.P)
	if err := s.claim(ctx, h, cur); err != nil {
		return err
	}
	if err := s.putParts(ctx, parts, h.P); err != nil {
		return err
	}
	if err := s.purge(ctx, w); err != nil {
		return err
	}
	if s.now().Sub(numberTime(h.P)) > Abandon/2 {
		// Others may soon take the entry for left behind: begin anew with a young one.
		s.unclaim(ctx, h)
		return errAgain
	}
	if err := s.checkGeneration(ctx, w, 0); err != nil {
		s.unclaim(ctx, h)
		return err
	}
	if err := s.swap(ctx, h, cur); err != nil {
		if errors.Is(err, errUnless) {
			s.unclaim(ctx, h)
			return s.freeUnless(ctx, w)
		}
		return err
	}
	return s.committed(ctx, h, cur)
}

// purge removes the versions before one that purges, for good. Where a write stands alone it comes
// before the write: what a crash then leaves is the resource without its past,
// and not its past without the resource.
func (s *Store) purge(ctx context.Context, w *store.Write) error {
	if !w.Purge || w.Body != nil {
		return nil
	}
	id := documentID(w.Key)
	filter := bson.D{{Key: "r", Value: id}, {Key: "v", Value: bson.D{{Key: "$lt", Value: int64(w.Version)}}}}
	update := bson.D{{Key: "$set", Value: bson.D{{Key: "gone", Value: true}, {Key: "full", Value: true}}}, {Key: "$unset", Value: bson.D{{Key: "body", Value: ""}}}}
	if _, err := s.db.Collection(historyName).UpdateMany(ctx, filter, update); err != nil {
		return fmt.Errorf("mongostore: purge %s: %w", id, err)
	}
	return nil
}

// errUnless: another resource holds the key of this write's criterion.
var errUnless = fmt.Errorf("%w: the criterion is taken", errAgain)

// claim writes the log record of h's version and completes that of cur's.
func (s *Store) claim(ctx context.Context, h, cur *head) error {
	models := make([]mongo.WriteModel, 0, 2)
	if cur != nil {
		models = append(models, fill(cur))
	}
	e := h.entry()
	models = append(models, mongo.NewInsertOneModel().SetDocument(&e))
	_, err := s.db.Collection(historyName).BulkWrite(ctx, models)
	if err == nil {
		return nil
	}
	if !mongo.IsDuplicateKeyError(err) {
		return fmt.Errorf("mongostore: history of %s version %d: %w", h.ID, h.V, err)
	}
	return s.takeOver(ctx, h)
}

// fill is the update that makes the history entry of a head what the head is:
// it is about to be superseded. The position stays, since a reader of the log
// may stand anywhere.
func fill(cur *head) mongo.WriteModel {
	e := cur.entry()
	set := bson.D{{Key: "at", Value: e.At}, {Key: "method", Value: e.Method}, {Key: "n", Value: e.N}, {Key: "full", Value: true}}
	if cur.W != "" {
		set = append(set, bson.E{Key: "w", Value: cur.W})
	}
	unset := bson.D{{Key: "gone", Value: ""}} // of a purge that did not come to its end
	if cur.Del {
		set = append(set, bson.E{Key: "del", Value: true})
		unset = append(unset, bson.E{Key: "body", Value: ""})
	} else {
		set = append(set, bson.E{Key: "body", Value: cur.Body})
		unset = append(unset, bson.E{Key: "del", Value: ""})
	}
	return mongo.NewUpdateOneModel().SetFilter(e.filter()).SetUpsert(true).SetUpdate(bson.D{
		{Key: "$set", Value: set}, {Key: "$unset", Value: unset},
		{Key: "$setOnInsert", Value: bson.D{{Key: "t", Value: e.T}, {Key: "v", Value: e.V}, {Key: "p", Value: e.P}}},
	})
}

// Waits of takeOver between two looks, doubling.
const (
	claimWaitMin = time.Millisecond
	claimWaitMax = 50 * time.Millisecond
)

// takeOver deals with an entry that stands where h's is to come: a live writer
// commits or gives up within milliseconds; one that was left by a crash is
// replaced once it is older than Abandon.
func (s *Store) takeOver(ctx context.Context, h *head) error {
	coll := s.db.Collection(historyName)
	e := h.entry()
	begun := time.Now()
	for wait := claimWaitMin; ; wait = min(2*wait, claimWaitMax) {
		cur, err := s.head(ctx, keyOf(h.ID))
		if err != nil {
			return err
		}
		if version(cur) >= uint64(h.V) {
			return errAgain
		}
		var old entry
		err = coll.FindOne(ctx, e.filter(), options.FindOne().SetProjection(logFields)).Decode(&old)
		switch {
		case errors.Is(err, mongo.ErrNoDocuments):
			return errAgain
		case err != nil:
			return fmt.Errorf("mongostore: history of %s version %d: %w", h.ID, h.V, err)
		case old.P == h.P:
			return nil // the driver sent the insert twice
		}
		if s.now().Sub(numberTime(old.P)) >= Abandon || time.Since(begun) >= Abandon {
			r, err := coll.ReplaceOne(ctx, append(e.filter(), bson.E{Key: "p", Value: old.P}), &e)
			if err != nil {
				return fmt.Errorf("mongostore: take over history of %s version %d: %w", h.ID, h.V, err)
			}
			if r.MatchedCount == 1 {
				s.log.Info("mongostore: took over a history entry left behind", "type", e.T, "version", e.V)
				return nil
			}
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// unclaim removes the log record of an attempt that will not be committed, while it surely is nobody else's.
func (s *Store) unclaim(ctx context.Context, h *head) {
	if !s.unclaims(h) {
		return
	}
	// A record that stays is ahead of its head, which readers ignore.
	_, err := s.db.Collection(historyName).DeleteOne(context.WithoutCancel(ctx), h.claimed())
	if err != nil {
		s.log.Warn("mongostore: a history entry stays ahead of its head", "type", h.typ(), "version", h.V)
	}
}

// unclaims says whether the record of an attempt is surely its own still; else it is left to be taken over.
func (s *Store) unclaims(h *head) bool { return s.now().Sub(numberTime(h.P)) <= Abandon/2 }

// claimed names the record of this attempt.
func (h *head) claimed() bson.D {
	return append(entryFilter(h.ID, h.V), bson.E{Key: "p", Value: h.P})
}

// swap puts h in the place of cur by compare-and-set.
func (s *Store) swap(ctx context.Context, h, cur *head) error {
	raw, err := h.marshal()
	if err != nil {
		return err
	}
	coll := s.db.Collection(h.typ())
	won := false
	if cur == nil {
		_, err = coll.InsertOne(ctx, raw)
		won = err == nil
	} else {
		var r *mongo.UpdateResult
		r, err = coll.ReplaceOne(ctx, bson.D{{Key: "_id", Value: h.ID}, {Key: "v", Value: cur.V}}, raw)
		won = err == nil && r.MatchedCount == 1
	}
	switch {
	case won:
		return nil
	case err != nil && !mongo.IsDuplicateKeyError(err):
		return fmt.Errorf("mongostore: write %s version %d: %w", h.ID, h.V, err)
	}
	// Another was first, or the driver sent a write twice that had succeeded.
	now, readErr := s.head(ctx, keyOf(h.ID))
	switch {
	case readErr != nil:
		return readErr
	case now != nil && now.P == h.P:
		return nil
	case err != nil && isUnlessError(err):
		return errUnless
	}
	return errAgain
}

// isUnlessError says whether the duplicate key is that of a criterion: the
// index's name stands in the message.
func isUnlessError(err error) bool { return strings.Contains(err.Error(), "index: "+unlessIndex+" ") }

// committed does what comes after a commit; its failure does not undo it.
func (s *Store) committed(ctx context.Context, h, cur *head) error {
	if cur != nil && cur.O > 0 {
		if err := s.dropParts(ctx, h); err != nil {
			s.log.Warn("mongostore: overflow documents of an older version stay", "type", h.typ(), "version", h.V)
		}
	}
	s.relog(ctx, []*head{h})
	return nil
}

// relog moves log records forward whose commit took so long that a reader of
// the log may have passed them.
func (s *Store) relog(ctx context.Context, heads []*head) {
	if len(heads) == 0 || s.opts.Settle <= 0 || s.now().Sub(numberTime(heads[0].P)) < s.opts.Settle/2 {
		return
	}
	ctx = context.WithoutCancel(ctx) // the commit stands, whoever waits for it
	for _, h := range heads {
		p, err := s.ids.position(ctx, h.P)
		if err == nil {
			_, err = s.db.Collection(historyName).UpdateOne(ctx, entryFilter(h.ID, h.V), bson.D{{Key: "$set", Value: bson.D{{Key: "p", Value: p}}}})
			s.ids.landed(p)
		}
		if err != nil {
			s.log.Error("mongostore: a slow commit may be missing from the change log", "type", h.typ(), "version", h.V)
		}
	}
}

// unlessHash is the unique key of a criterion; the criterion itself may hold a patient's values.
func unlessHash(typ, key string) string {
	sum := sha256.Sum256([]byte(typ + "?" + key))
	return hex.EncodeToString(sum[:16])
}

// unlessKept is how long a criterion's key stays with its resource at least:
// longer than any writer takes from its look for a match to its write. Without
// it, a resource created and updated in between could be created once more.
const unlessKept = time.Minute

// withKey is keys with key in it; keys is not changed.
func withKey(keys []string, key string) []string {
	if slices.Contains(keys, key) {
		return keys
	}
	return append(keys[:len(keys):len(keys)], key)
}

// keptKeys are the criteria that the next version of cur still stands for.
func (s *Store) keptKeys(cur *head) []string {
	if s.now().Sub(numberTime(cur.P)) < unlessKept {
		return cur.U
	}
	return nil
}

// freeUnless looks who holds the key of w's criterion. If nobody matches the
// criterion, the key is left over, or its resource never matched: it is taken
// off that very version. The caller looks again in any case.
func (s *Store) freeUnless(ctx context.Context, w *store.Write) error {
	key := unlessHash(w.Type, w.UnlessKey)
	coll := s.db.Collection(w.Type)
	var holder head
	err := coll.FindOne(ctx, bson.D{{Key: "u", Value: key}}, options.FindOne().SetProjection(bson.D{{Key: "u", Value: 1}, {Key: "p", Value: 1}})).Decode(&holder)
	if errors.Is(err, mongo.ErrNoDocuments) {
		return errAgain
	}
	if err != nil {
		return fmt.Errorf("mongostore: who holds a criterion of %s: %w", w.Type, err)
	}
	if w.Unless != nil {
		if err := s.checkUnless(ctx, w, 0, nil); err != nil {
			var conflict *store.ConflictError
			if errors.As(err, &conflict) {
				return errAgain // which finds it again, with the right index and version
			}
			return err
		}
	}
	update := bson.D{{Key: "$pull", Value: bson.D{{Key: "u", Value: key}}}}
	if len(holder.U) == 1 {
		update = bson.D{{Key: "$unset", Value: bson.D{{Key: "u", Value: ""}}}}
	}
	_, err = coll.UpdateOne(ctx, bson.D{{Key: "_id", Value: holder.ID}, {Key: "p", Value: holder.P}, {Key: "u", Value: holder.U}}, update)
	if err != nil {
		return fmt.Errorf("mongostore: free a criterion of %s: %w", w.Type, err)
	}
	return errAgain
}
