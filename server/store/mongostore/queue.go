package mongostore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"meridian/server/store"
)

// item is a document of the queue collection.
type item struct {
	ID       string        `bson:"_id"` // a number as text
	Topic    string        `bson:"topic"`
	Key      string        `bson:"key,omitempty"`
	UK       string        `bson:"uk,omitempty"` // topic|key, unique
	State    store.State   `bson:"state"`
	Label    string        `bson:"label"`
	Appended time.Time     `bson:"appended"`
	Due      time.Time     `bson:"due"`
	Until    *time.Time    `bson:"until,omitempty"` // end of the lease
	Attempts int32         `bson:"attempts"`
	Lease    string        `bson:"lease,omitempty"`
	Body     []byte        `bson:"body,omitempty"`
	Note     bson.RawValue `bson:"note,omitempty"`
	Batch    string        `bson:"batch,omitempty"` // while staged
}

// waitLook is how often Wait looks for what other processes appended.
const waitLook = 250 * time.Millisecond

// queue is store.Queue over the queue collection. Each lease is one
// findOneAndUpdate. Safe for concurrent use by many processes.
type queue struct {
	s     *Store
	items *mongo.Collection

	mu      sync.Mutex
	wake    chan struct{} // closed and replaced when this process makes items due
	stopped chan struct{}
	once    sync.Once

	retired atomic.Int64 // when retire last looked, Unix seconds
}

func newQueue(s *Store) *queue {
	return &queue{s: s, items: s.db.Collection(queueName), wake: make(chan struct{}), stopped: make(chan struct{})}
}

// stop ends every Wait.
func (q *queue) stop() { q.once.Do(func() { close(q.stopped) }) }

func (q *queue) notify() {
	q.mu.Lock()
	defer q.mu.Unlock()
	close(q.wake)
	q.wake = make(chan struct{})
}

// due are the items of a topic that may be leased at a time.
func due(topic string, now time.Time) bson.D {
	return bson.D{{Key: "topic", Value: topic}, {Key: "$or", Value: bson.A{
		bson.D{{Key: "state", Value: store.Pending}, {Key: "due", Value: bson.D{{Key: "$lte", Value: now}}}},
		expired(now),
	}}}
}

// expired are leased items whose lease is over: pending again.
func expired(now time.Time) bson.D {
	return bson.D{{Key: "state", Value: store.Leased}, {Key: "until", Value: bson.D{{Key: "$lte", Value: now}}}}
}

// Lease gives up to n due items, those longest due first, and holds them for d.
func (q *queue) Lease(ctx context.Context, topic string, n int, d time.Duration) ([]store.Item, error) {
	if err := q.s.enter(); err != nil {
		return nil, err
	}
	defer q.s.flight.Done()
	var out []store.Item
	for len(out) < n {
		token, err := q.s.token()
		if err != nil {
			return out, err
		}
		now := q.s.now()
		var it item
		err = q.items.FindOneAndUpdate(ctx, due(topic, now),
			bson.D{
				{Key: "$set", Value: bson.D{{Key: "state", Value: store.Leased}, {Key: "lease", Value: token}, {Key: "until", Value: now.Add(d)}}},
				{Key: "$inc", Value: bson.D{{Key: "attempts", Value: int32(1)}}},
			},
			options.FindOneAndUpdate().SetSort(bson.D{{Key: "due", Value: 1}, {Key: "_id", Value: 1}}).SetReturnDocument(options.After)).Decode(&it)
		if errors.Is(err, mongo.ErrNoDocuments) {
			break
		}
		if err != nil {
			// What was leased until here becomes pending again by itself.
			return nil, fmt.Errorf("mongostore: lease of topic %s: %w", topic, err)
		}
		out = append(out, it.item(now))
	}
	return out, nil
}

// item is the contract's form at a time.
func (it *item) item(now time.Time) store.Item {
	out := store.Item{ID: it.ID, Topic: it.Topic, Key: it.Key, State: it.State, Label: it.Label, Appended: it.Appended.UTC(), Due: it.Due.UTC(),
		Attempts: int(it.Attempts), Lease: it.Lease, Body: it.Body, Note: noteBytes(it.Note)}
	if it.State == store.Leased && it.Until != nil && !it.Until.After(now) {
		out.State, out.Lease = store.Pending, ""
	}
	return out
}

// noteValue is a note as a string, readable in mongosh, or as bytes where it is no text.
func noteValue(note []byte) (bson.RawValue, error) {
	if note == nil {
		return bson.RawValue{}, nil
	}
	var v any = bson.Binary{Data: note}
	if utf8.Valid(note) {
		v = string(note)
	}
	t, data, err := bson.MarshalValue(v)
	if err != nil {
		return bson.RawValue{}, fmt.Errorf("mongostore: encode a note: %w", err)
	}
	return bson.RawValue{Type: t, Value: data}, nil
}

func noteBytes(v bson.RawValue) []byte {
	if s, ok := v.StringValueOK(); ok {
		return []byte(s)
	}
	if _, data, ok := v.BinaryOK(); ok {
		return append([]byte{}, data...)
	}
	return nil
}

// Finish moves leased items to their next states. All leases are checked
// before the first is moved; with transactions all moves are one commit.
// Without them a crash between two leaves the rest leased until the lease ends.
func (q *queue) Finish(ctx context.Context, results []store.Result) error {
	if err := q.s.enter(); err != nil {
		return err
	}
	defer q.s.flight.Done()
	if len(results) == 0 {
		return nil
	}
	var err error
	if q.s.transactions && len(results) > 1 {
		var sess session
		if sess, err = q.s.sessions(); err != nil {
			return fmt.Errorf("mongostore: start a session: %w", err)
		}
		defer sess.end(context.WithoutCancel(ctx))
		err = runTransaction(ctx, sess, q.s.backOff, func(in context.Context) error { return q.finish(in, results) })
	} else {
		err = q.finish(ctx, results)
	}
	if err == nil {
		q.notify()
		q.retire(context.WithoutCancel(ctx))
	}
	return err
}

// Limits of retire: how often a process looks for done items whose retention
// is over, and how many it removes then.
const (
	retireEvery = time.Minute
	maxRetired  = 1000
)

// retire removes done items whose retention is over. What fails is left to the next.
func (q *queue) retire(ctx context.Context) {
	keep := q.s.opts.DoneRetention
	now := q.s.now()
	last := q.retired.Load()
	if keep <= 0 || now.Unix()-last < int64(retireEvery/time.Second) || !q.retired.CompareAndSwap(last, now.Unix()) {
		return
	}
	old := bson.D{{Key: "state", Value: store.Done}, {Key: "_id", Value: bson.D{{Key: "$lt", Value: textNumber(numberAt(now.Add(-keep)))}}}}
	cur, err := q.items.Find(ctx, old, options.Find().SetSort(bson.D{{Key: "_id", Value: 1}}).SetLimit(maxRetired).SetProjection(bson.D{{Key: "_id", Value: 1}}))
	var found []struct {
		ID string `bson:"_id"`
	}
	if err == nil {
		err = cur.All(ctx, &found)
	}
	if err == nil && len(found) > 0 {
		ids := make(bson.A, len(found))
		for i := range found {
			ids[i] = found[i].ID
		}
		_, err = q.items.DeleteMany(ctx, bson.D{{Key: "state", Value: store.Done}, {Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}})
	}
	if err != nil {
		q.s.log.Warn("mongostore: finished queue items are kept longer", "error", err)
	}
}

func (q *queue) finish(ctx context.Context, results []store.Result) error {
	now := q.s.now()
	for i := range results {
		r := &results[i]
		if r.State != store.Done && r.State != store.Parked && r.State != store.Pending {
			return fmt.Errorf("mongostore: finish %s: %q is not a state to end in", r.ID, r.State)
		}
		if len(results) == 1 {
			break // the update itself checks
		}
		n, err := q.items.CountDocuments(ctx, held(r, now))
		if err != nil {
			return fmt.Errorf("mongostore: finish %s: %w", r.ID, err)
		}
		if n != 1 {
			return fmt.Errorf("finish %s: %w", r.ID, store.ErrLease)
		}
	}
	for i := range results {
		r := &results[i]
		set := bson.D{{Key: "state", Value: r.State}, {Key: "label", Value: r.Label}}
		if r.State == store.Pending && !r.Due.IsZero() {
			set = append(set, bson.E{Key: "due", Value: r.Due})
		}
		if r.Note != nil {
			note, err := noteValue(r.Note)
			if err != nil {
				return err
			}
			set = append(set, bson.E{Key: "note", Value: note})
		}
		u, err := q.items.UpdateOne(ctx, held(r, now), bson.D{{Key: "$set", Value: set}, {Key: "$unset", Value: bson.D{{Key: "lease", Value: ""}, {Key: "until", Value: ""}}}})
		if err != nil {
			return fmt.Errorf("mongostore: finish %s: %w", r.ID, err)
		}
		if u.MatchedCount != 1 {
			return fmt.Errorf("finish %s: %w", r.ID, store.ErrLease)
		}
	}
	return nil
}

// held is the item of a result while its lease holds.
func held(r *store.Result, now time.Time) bson.D {
	return bson.D{{Key: "_id", Value: r.ID}, {Key: "state", Value: store.Leased}, {Key: "lease", Value: r.Lease}, {Key: "until", Value: bson.D{{Key: "$gt", Value: now}}}}
}

// Extend is one update of the item while its lease holds.
func (q *queue) Extend(ctx context.Context, id, lease string, d time.Duration, note []byte) error {
	if err := q.s.enter(); err != nil {
		return err
	}
	defer q.s.flight.Done()
	now := q.s.now()
	set := bson.D{{Key: "until", Value: now.Add(d)}}
	if note != nil {
		v, err := noteValue(note)
		if err != nil {
			return err
		}
		set = append(set, bson.E{Key: "note", Value: v})
	}
	u, err := q.items.UpdateOne(ctx, held(&store.Result{ID: id, Lease: lease}, now), bson.D{{Key: "$set", Value: set}})
	if err != nil {
		return fmt.Errorf("mongostore: extend %s: %w", id, err)
	}
	if u.MatchedCount != 1 {
		return fmt.Errorf("extend %s: %w", id, store.ErrLease)
	}
	return nil
}

// Cancel ends an item that is not done, whoever holds it.
func (q *queue) Cancel(ctx context.Context, id, label string) error {
	if err := q.s.enter(); err != nil {
		return err
	}
	defer q.s.flight.Done()
	if _, err := q.get(ctx, id, bson.D{{Key: "_id", Value: 1}}); err != nil {
		return fmt.Errorf("cancel: %w", err)
	}
	filter := bson.D{{Key: "_id", Value: id}, {Key: "state", Value: bson.D{{Key: "$in", Value: bson.A{store.Pending, store.Leased, store.Parked}}}}}
	_, err := q.items.UpdateOne(ctx, filter, bson.D{{Key: "$set", Value: bson.D{{Key: "state", Value: store.Done}, {Key: "label", Value: label}}},
		{Key: "$unset", Value: bson.D{{Key: "lease", Value: ""}, {Key: "until", Value: ""}}}})
	if err != nil {
		return fmt.Errorf("mongostore: cancel %s: %w", id, err)
	}
	return nil
}

// Remove forgets done and parked items.
func (q *queue) Remove(ctx context.Context, ids []string) error {
	if err := q.s.enter(); err != nil {
		return err
	}
	defer q.s.flight.Done()
	for len(ids) > 0 {
		n := min(len(ids), maxIn)
		filter := bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids[:n]}}}, {Key: "state", Value: bson.D{{Key: "$in", Value: bson.A{store.Parked, store.Done}}}}}
		ids = ids[n:]
		if _, err := q.items.DeleteMany(ctx, filter); err != nil {
			return fmt.Errorf("mongostore: remove items: %w", err)
		}
	}
	return nil
}

// Requeue makes parked or done items pending again; ErrNotFound, and no change, when one is unknown.
func (q *queue) Requeue(ctx context.Context, ids []string) error {
	if err := q.s.enter(); err != nil {
		return err
	}
	defer q.s.flight.Done()
	for _, id := range ids {
		if _, err := q.get(ctx, id, bson.D{{Key: "_id", Value: 1}}); err != nil {
			return fmt.Errorf("requeue: %w", err)
		}
	}
	for len(ids) > 0 {
		n := min(len(ids), maxIn)
		filter := bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids[:n]}}}, {Key: "state", Value: bson.D{{Key: "$in", Value: bson.A{store.Parked, store.Done}}}}}
		ids = ids[n:]
		update := bson.D{{Key: "$set", Value: bson.D{{Key: "state", Value: store.Pending}, {Key: "label", Value: ""}, {Key: "due", Value: q.s.now()}}}}
		if _, err := q.items.UpdateMany(ctx, filter, update); err != nil {
			return fmt.Errorf("mongostore: requeue: %w", err)
		}
	}
	q.notify()
	return nil
}

// Get gives one item; ErrNotFound.
func (q *queue) Get(ctx context.Context, id string) (store.Item, error) {
	if err := q.s.enter(); err != nil {
		return store.Item{}, err
	}
	defer q.s.flight.Done()
	it, err := q.get(ctx, id, nil)
	if err != nil {
		return store.Item{}, err
	}
	return it.item(q.s.now()), nil
}

func (q *queue) get(ctx context.Context, id string, fields bson.D) (*item, error) {
	o := options.FindOne()
	if fields != nil {
		o.SetProjection(fields)
	}
	var it item
	err := q.items.FindOne(ctx, bson.D{{Key: "_id", Value: id}, {Key: "state", Value: bson.D{{Key: "$ne", Value: staged}}}}, o).Decode(&it)
	if errors.Is(err, mongo.ErrNoDocuments) {
		return nil, fmt.Errorf("item %s: %w", id, store.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("mongostore: item %s: %w", id, err)
	}
	return &it, nil
}

// List gives items of a topic, newest first, without bodies.
func (q *queue) List(ctx context.Context, p store.ListParams) ([]store.Item, error) {
	if err := q.s.enter(); err != nil {
		return nil, err
	}
	defer q.s.flight.Done()
	if p.Limit <= 0 {
		return nil, nil
	}
	now := q.s.now()
	filter := bson.D{{Key: "topic", Value: p.Topic}}
	switch p.State {
	case "":
		filter = append(filter, bson.E{Key: "state", Value: bson.D{{Key: "$ne", Value: staged}}})
	case store.Pending:
		filter = append(filter, bson.E{Key: "$or", Value: bson.A{bson.D{{Key: "state", Value: store.Pending}}, expired(now)}})
	case store.Leased:
		filter = append(filter, bson.E{Key: "state", Value: store.Leased}, bson.E{Key: "until", Value: bson.D{{Key: "$gt", Value: now}}})
	default:
		filter = append(filter, bson.E{Key: "state", Value: p.State})
	}
	if p.Label != "" {
		filter = append(filter, bson.E{Key: "label", Value: p.Label})
	}
	if p.After != "" {
		filter = append(filter, bson.E{Key: "_id", Value: bson.D{{Key: "$lt", Value: p.After}}})
	}
	cur, err := q.items.Find(ctx, filter, options.Find().SetSort(bson.D{{Key: "_id", Value: -1}}).SetLimit(int64(p.Limit)).SetProjection(bson.D{{Key: "body", Value: 0}}))
	if err != nil {
		return nil, fmt.Errorf("mongostore: list topic %s: %w", p.Topic, err)
	}
	var found []item
	if err := cur.All(ctx, &found); err != nil {
		return nil, fmt.Errorf("mongostore: list topic %s: %w", p.Topic, err)
	}
	out := make([]store.Item, len(found))
	for i := range found {
		out[i] = found[i].item(now)
	}
	return out, nil
}

// Counts gives the number of items by state.
func (q *queue) Counts(ctx context.Context, topic string) (map[store.State]int, error) {
	if err := q.s.enter(); err != nil {
		return nil, err
	}
	defer q.s.flight.Done()
	cur, err := q.items.Aggregate(ctx, bson.A{
		bson.D{{Key: "$match", Value: bson.D{{Key: "topic", Value: topic}}}},
		bson.D{{Key: "$group", Value: bson.D{{Key: "_id", Value: "$state"}, {Key: "n", Value: bson.D{{Key: "$sum", Value: 1}}}}}},
	})
	if err != nil {
		return nil, fmt.Errorf("mongostore: count topic %s: %w", topic, err)
	}
	var groups []struct {
		State store.State `bson:"_id"`
		N     int         `bson:"n"`
	}
	if err := cur.All(ctx, &groups); err != nil {
		return nil, fmt.Errorf("mongostore: count topic %s: %w", topic, err)
	}
	out := map[store.State]int{}
	for _, g := range groups {
		if g.State != staged {
			out[g.State] = g.N
		}
	}
	if out[store.Leased] > 0 {
		n, err := q.items.CountDocuments(ctx, append(bson.D{{Key: "topic", Value: topic}}, expired(q.s.now())...))
		if err != nil {
			return nil, fmt.Errorf("mongostore: count topic %s: %w", topic, err)
		}
		out[store.Leased] -= int(n)
		out[store.Pending] += int(n)
	}
	return out, nil
}

// Wait returns when an item may have become due: at once for this process's
// own, within waitLook for those of others and for retries and leases that end.
func (q *queue) Wait(ctx context.Context, topic string) error {
	for {
		q.mu.Lock()
		wake := q.wake
		q.mu.Unlock()
		some, err := q.anyDue(ctx, topic)
		if err != nil || some {
			return err
		}
		timer := time.NewTimer(waitLook)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-q.stopped:
			timer.Stop()
			return store.ErrClosed
		case <-wake:
			timer.Stop()
		case <-timer.C:
		}
	}
}

func (q *queue) anyDue(ctx context.Context, topic string) (bool, error) {
	if err := q.s.enter(); err != nil {
		return false, err
	}
	defer q.s.flight.Done()
	err := q.items.FindOne(ctx, due(topic, q.s.now()), options.FindOne().SetProjection(bson.D{{Key: "_id", Value: 1}})).Err()
	switch {
	case errors.Is(err, mongo.ErrNoDocuments):
		return false, ctx.Err()
	case ctx.Err() != nil:
		return false, ctx.Err()
	case err != nil:
		return false, fmt.Errorf("mongostore: look for due items of topic %s: %w", topic, err)
	}
	return true, nil
}
