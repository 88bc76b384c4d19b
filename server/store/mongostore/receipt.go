package mongostore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"meridian/server/store"
)

// claim is a document of the receipt collection:
//
//	{_id: "…", h: "…", a: BinData, x: ISODate until, ok: true}
//
// In a transaction, and where a receipt comes alone, it is written as it is to
// stay. On a standalone server it is written before its write, without ok, and names
// the version that it is for; the head of that version has the same token w.
// So a claim without ok is true exactly if that head, or its history entry, has its
// token: a crash between the two leaves a claim that readers ignore and the
// next writer under the key takes over.
//
//	{_id: "…", h, a, x, at: ISODate, r: "Patient/p1", v: 1, w: "5f1c…"}
type claim struct {
	ID     string    `bson:"_id"`
	Hash   string    `bson:"h"`
	Answer []byte    `bson:"a"`
	Until  time.Time `bson:"x"`
	OK     bool      `bson:"ok,omitempty"`
	At     time.Time `bson:"at,omitempty"`
	R      string    `bson:"r,omitempty"`
	V      int64     `bson:"v,omitempty"`
	W      string    `bson:"w,omitempty"`
}

// errReceipt: a receipt with this key stands.
func errReceipt() error { return &store.ConflictError{Receipt: true} }

func newClaim(r *store.Receipt) (*claim, error) {
	if len(r.Key) == 0 || len(r.Key) > store.MaxReceiptKey || len(r.Answer) > MaxDocument {
		return nil, fmt.Errorf("mongostore: a receipt with a key of %d and an answer of %d bytes: %w", len(r.Key), len(r.Answer), store.ErrTooLarge)
	}
	return &claim{ID: r.Key, Hash: r.Hash, Answer: r.Answer, Until: r.Until.UTC()}, nil
}

func (s *Store) receipts(ctx context.Context) *mongo.Collection { return s.coll(ctx, receiptName) }

// Receipt gives a receipt that is true and whose time is not over.
func (s *Store) Receipt(ctx context.Context, key string) (store.Receipt, error) {
	if err := s.enter(); err != nil {
		return store.Receipt{}, err
	}
	defer s.flight.Done()
	c, err := s.claimOf(s.read(ctx), key)
	if err != nil {
		return store.Receipt{}, err
	}
	ok := c != nil && c.Until.After(s.now())
	if ok && !c.OK {
		ok, err = s.isTrue(ctx, c)
	}
	if err != nil {
		return store.Receipt{}, err
	}
	if !ok {
		return store.Receipt{}, fmt.Errorf("receipt: %w", store.ErrNotFound)
	}
	return store.Receipt{Key: c.ID, Hash: c.Hash, Answer: c.Answer, Until: c.Until.UTC()}, nil
}

// Receipts gives receipts that are true and whose time is not over, in the order of their keys.
func (s *Store) Receipts(ctx context.Context, after string, limit int) ([]store.Receipt, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.flight.Done()
	ctx = s.read(ctx)
	filter := bson.D{{Key: "_id", Value: bson.D{{Key: "$gt", Value: after}}}, {Key: "x", Value: bson.D{{Key: "$gt", Value: s.now()}}}}
	cur, err := s.receipts(ctx).Find(ctx, filter, options.Find().SetSort(bson.D{{Key: "_id", Value: 1}}))
	if err != nil {
		return nil, fmt.Errorf("mongostore: receipts: %w", err)
	}
	defer cur.Close(ctx)
	var out []store.Receipt
	for len(out) < limit && cur.Next(ctx) {
		var c claim
		if err := cur.Decode(&c); err != nil {
			return nil, fmt.Errorf("mongostore: receipts: %w", err)
		}
		ok := c.OK
		if !ok {
			if ok, err = s.isTrue(ctx, &c); err != nil {
				return nil, err
			}
		}
		if ok {
			out = append(out, store.Receipt{Key: c.ID, Hash: c.Hash, Answer: c.Answer, Until: c.Until.UTC()})
		}
	}
	return out, cur.Err()
}

// claimOf reads what stands under a key; nil when there is nothing.
func (s *Store) claimOf(ctx context.Context, key string) (*claim, error) {
	var c claim
	err := s.receipts(ctx).FindOne(ctx, bson.D{{Key: "_id", Value: key}}).Decode(&c)
	if errors.Is(err, mongo.ErrNoDocuments) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("mongostore: read a receipt: %w", err)
	}
	return &c, nil
}

// isTrue says whether the write that a claim was made for is there.
func (s *Store) isTrue(ctx context.Context, c *claim) (bool, error) {
	h, err := s.head(ctx, keyOf(c.R))
	if err != nil || h == nil || h.V < c.V {
		return false, err
	}
	if h.V == c.V {
		return h.W == c.W, nil
	}
	var e entry
	err = s.coll(ctx, historyName).FindOne(ctx, entryFilter(c.R, c.V), options.FindOne().SetProjection(logFields)).Decode(&e)
	if err != nil && !errors.Is(err, mongo.ErrNoDocuments) {
		return false, fmt.Errorf("mongostore: history of %s version %d: %w", c.R, c.V, err)
	}
	return err == nil && e.W == c.W, nil
}

// putReceipt keeps a receipt, if there is one, that comes without writes or behind them.
func (s *Store) putReceipt(ctx context.Context, r *store.Receipt) error {
	if r == nil {
		return nil
	}
	c, err := newClaim(r)
	if err != nil {
		return err
	}
	c.OK = true
	return s.stake(ctx, c)
}

// putReceiptInside writes a receipt in the transaction of ctx. Two under one key collide.
func (s *Store) putReceiptInside(ctx context.Context, r *store.Receipt) error {
	if r == nil {
		return nil
	}
	c, err := newClaim(r)
	if err != nil {
		return err
	}
	c.OK = true
	old, err := s.claimOf(ctx, c.ID)
	switch {
	case err != nil:
		return err
	case old == nil:
		if _, err := s.receipts(ctx).InsertOne(ctx, c); err != nil {
			return fmt.Errorf("mongostore: write a receipt: %w", err)
		}
		return nil
	case old.Until.After(s.now()):
		if old.OK {
			return errReceipt()
		}
		if ok, err := s.isTrue(ctx, old); ok || err != nil {
			return errors.Join(err, errReceipt())
		}
	}
	if _, err := s.receipts(ctx).ReplaceOne(ctx, bson.D{{Key: "_id", Value: c.ID}}, c); err != nil {
		return fmt.Errorf("mongostore: write a receipt: %w", err)
	}
	return nil
}

// stake puts a claim where none stands, one is over, or one was left by a
// crash. A claim whose writer may still be at work is waited for.
func (s *Store) stake(ctx context.Context, c *claim) error {
	s.sweep(ctx)
	coll := s.receipts(ctx)
	begun := time.Now()
	for wait := claimWaitMin; ; wait = min(2*wait, claimWaitMax) {
		_, err := coll.InsertOne(ctx, c)
		if err == nil {
			return nil
		}
		if !mongo.IsDuplicateKeyError(err) {
			return fmt.Errorf("mongostore: write a receipt: %w", err)
		}
		old, err := s.claimOf(ctx, c.ID)
		if err != nil {
			return err
		}
		if old == nil {
			continue
		}
		if c.W != "" && old.W == c.W {
			return nil // the driver sent the insert twice
		}
		over := !old.Until.After(s.now())
		if !over && !old.OK {
			ok, err := s.isTrue(ctx, old)
			if err != nil {
				return err
			}
			over = !ok && (s.now().Sub(old.At) >= Abandon || time.Since(begun) >= Abandon)
			if !ok && !over {
				if err := pause(ctx, wait); err != nil {
					return err
				}
				continue
			}
		}
		if !over {
			return errReceipt()
		}
		r, err := coll.ReplaceOne(ctx, bson.D{{Key: "_id", Value: c.ID}, {Key: "x", Value: old.Until}, {Key: "w", Value: orNull(old.W)}}, c)
		if err != nil {
			return fmt.Errorf("mongostore: write a receipt: %w", err)
		}
		if r.MatchedCount == 1 {
			return nil
		}
	}
}

// orNull matches a field that is absent where the text is empty.
func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// singleWithReceipt is single on a server without transactions: claim, write, ok.
func (s *Store) singleWithReceipt(ctx context.Context, w *store.Write, r *store.Receipt) error {
	if r == nil {
		return s.single(ctx, w, 0, nil)
	}
	c, err := newClaim(r)
	if err != nil {
		return err
	}
	if c.W, err = s.token(); err != nil {
		return err
	}
	c.R, c.V, c.At = documentID(w.Key), int64(w.Version), s.now().UTC()
	if err := s.stake(ctx, c); err != nil {
		return err
	}
	mine := bson.D{{Key: "_id", Value: c.ID}, {Key: "w", Value: c.W}}
	after := context.WithoutCancel(ctx)
	if err := s.single(ctx, w, 0, c); err != nil {
		var conflict *store.ConflictError
		if errors.As(err, &conflict) || errors.Is(err, store.ErrTooLarge) {
			// It is known that nothing was written; else the claim stays until it is taken over.
			if _, err := s.receipts(after).DeleteOne(after, mine); err != nil {
				s.log.Warn("mongostore: a receipt without its write stays for a moment")
			}
		}
		return err
	}
	if _, err := s.receipts(after).UpdateOne(after, mine, bson.D{{Key: "$set", Value: bson.D{{Key: "ok", Value: true}}}}); err != nil {
		s.log.Warn("mongostore: a receipt is found through its write")
	}
	return nil
}

// renew makes a claim young again that others may soon take for left behind.
func (s *Store) renew(ctx context.Context, c *claim) error {
	if c == nil || s.now().Sub(c.At) < Abandon/4 {
		return nil
	}
	at := s.now().UTC()
	u, err := s.receipts(ctx).UpdateOne(ctx, bson.D{{Key: "_id", Value: c.ID}, {Key: "w", Value: c.W}}, bson.D{{Key: "$set", Value: bson.D{{Key: "at", Value: at}}}})
	if err != nil {
		return fmt.Errorf("mongostore: renew a receipt: %w", err)
	}
	if u.MatchedCount != 1 {
		return errReceipt()
	}
	c.At = at
	return nil
}

// Sweeping of receipts whose time is over.
const (
	sweepEvery = 10 * time.Second
	maxSwept   = 500
)

// sweep removes some receipts whose time is over, not more often than
// sweepEvery unless there are more than maxSwept. What fails is left to the next.
func (s *Store) sweep(ctx context.Context) {
	now := s.now()
	last := s.swept.Load()
	if now.Unix()-last < int64(sweepEvery/time.Second) || !s.swept.CompareAndSwap(last, now.Unix()) {
		return
	}
	over := bson.D{{Key: "x", Value: bson.D{{Key: "$lte", Value: now}}}}
	cur, err := s.db.Collection(receiptName).Find(ctx, over, options.Find().SetLimit(maxSwept).SetProjection(bson.D{{Key: "_id", Value: 1}}))
	var found []claim
	if err == nil {
		err = cur.All(ctx, &found)
	}
	if err == nil && len(found) > 0 {
		ids := make([]string, len(found))
		for i := range found {
			ids[i] = found[i].ID
		}
		_, err = s.db.Collection(receiptName).DeleteMany(ctx, append(over, bson.E{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}))
	}
	if err != nil {
		s.log.Warn("mongostore: receipts whose time is over stay", "error", err)
	}
	if len(found) == maxSwept {
		s.swept.CompareAndSwap(now.Unix(), last)
	}
}
