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

// staged items are part of an Append that is not committed; nobody sees them.
const staged store.State = "staged"

// batch is the verdict on the staged items of one Append of several. Whoever
// inserts it first decides: the appender that they are pending, a process that
// finds them left behind that they are to go.
type batch struct {
	ID   string    `bson:"_id"`
	At   time.Time `bson:"at"`
	Dead bool      `bson:"dead,omitempty"`
}

// verdictKept is how long a verdict of dead is kept: longer than any Append may stand still.
const verdictKept = 24 * time.Hour

// Append stores items, all or none. One item is one insert. Several are
// staged, committed by the insert of their batch, then made pending; a crash
// before that insert leaves none of them, a crash after it all, which recover
// completes.
func (q *queue) Append(ctx context.Context, items []store.NewItem) ([]store.Appended, error) {
	if err := q.s.enter(); err != nil {
		return nil, err
	}
	defer q.s.flight.Done()
	if len(items) == 0 {
		return nil, nil
	}
	docs, err := q.documents(ctx, items)
	if err != nil {
		return nil, err
	}
	out := make([]store.Appended, len(docs))
	batchID := docs[0].ID
	stored := 0
	for i := range docs {
		if len(docs) > 1 {
			docs[i].State, docs[i].Batch = staged, batchID
		}
		if out[i], err = q.put(ctx, &docs[i]); err != nil {
			break
		}
		if !out[i].Existing {
			stored++
		}
	}
	if len(docs) > 1 {
		err = q.commit(ctx, batchID, stored, err)
	}
	if err != nil {
		return nil, err
	}
	q.notify()
	return out, nil
}

// documents makes the items' documents, each within the limit.
func (q *queue) documents(ctx context.Context, items []store.NewItem) ([]item, error) {
	docs := make([]item, len(items))
	now := q.s.now()
	for i, n := range items {
		id, err := q.s.ids.next(ctx)
		if err != nil {
			return nil, err
		}
		note, err := noteValue(n.Note)
		if err != nil {
			return nil, err
		}
		if size := len(n.Body) + len(n.Note); size > MaxDocument {
			return nil, fmt.Errorf("%w: item %d of topic %s has %d bytes, at most %d", store.ErrTooLarge, i, n.Topic, size, MaxDocument)
		}
		docs[i] = item{ID: textNumber(id), Topic: n.Topic, Key: n.Key, State: store.Pending, Appended: now, Due: now, Body: n.Body, Note: note}
		if n.Key != "" {
			docs[i].UK = uniqueKey(n.Topic, n.Key)
		}
	}
	return docs, nil
}

// uniqueKey is a key within its topic.
func uniqueKey(topic, key string) string { return escape(topic) + "|" + key }

// put inserts one item, or finds the one that has its key.
func (q *queue) put(ctx context.Context, d *item) (store.Appended, error) {
	for range MaxAttempts {
		_, err := q.items.InsertOne(ctx, d)
		if err == nil {
			return store.Appended{ID: d.ID}, nil
		}
		if !mongo.IsDuplicateKeyError(err) {
			return store.Appended{}, fmt.Errorf("mongostore: append to topic %s: %w", d.Topic, err)
		}
		filter := bson.D{{Key: "_id", Value: d.ID}}
		if d.UK != "" {
			filter = bson.D{{Key: "uk", Value: d.UK}}
		}
		var old item
		err = q.items.FindOne(ctx, filter, options.FindOne().SetProjection(bson.D{{Key: "state", Value: 1}, {Key: "batch", Value: 1}, {Key: "appended", Value: 1}})).Decode(&old)
		switch {
		case errors.Is(err, mongo.ErrNoDocuments):
			continue
		case err != nil:
			return store.Appended{}, fmt.Errorf("mongostore: append to topic %s: %w", d.Topic, err)
		case old.ID == d.ID:
			return store.Appended{ID: d.ID}, nil // the driver sent the insert twice
		case old.State != staged || old.Batch == d.Batch:
			return store.Appended{ID: old.ID, Existing: true}, nil
		}
		// Another Append stages this key: it commits or gives up within
		// milliseconds, or was left by a crash.
		if q.s.now().Sub(old.Appended) >= Abandon {
			if err := q.decide(ctx, old.Batch); err != nil {
				return store.Appended{}, err
			}
			continue
		}
		select {
		case <-ctx.Done():
			return store.Appended{}, ctx.Err()
		case <-time.After(claimWaitMax):
		}
	}
	return store.Appended{}, fmt.Errorf("mongostore: append to topic %s: another append of this key does not end", d.Topic)
}

// commit makes the staged items of a batch pending, or removes them when failed is not nil.
func (q *queue) commit(ctx context.Context, batchID string, stored int, failed error) error {
	ctx = context.WithoutCancel(ctx) // neither half of it is to be left out
	if failed == nil && stored == 0 {
		return nil
	}
	verdict := batch{ID: batchID, At: q.s.now(), Dead: failed != nil}
	_, err := q.s.db.Collection(batchName).InsertOne(ctx, verdict)
	if mongo.IsDuplicateKeyError(err) {
		return errors.Join(failed, errors.New("mongostore: append stood still too long and was given up"))
	}
	if err != nil {
		return errors.Join(failed, fmt.Errorf("mongostore: commit an append: %w", err))
	}
	return errors.Join(failed, q.carryOut(ctx, verdict))
}

// carryOut does what a verdict says; a live one has then served its purpose.
func (q *queue) carryOut(ctx context.Context, v batch) error {
	filter := bson.D{{Key: "batch", Value: v.ID}}
	if v.Dead {
		if _, err := q.items.DeleteMany(ctx, filter); err != nil {
			return fmt.Errorf("mongostore: remove staged items: %w", err)
		}
		return nil
	}
	_, err := q.items.UpdateMany(ctx, filter, bson.D{{Key: "$set", Value: bson.D{{Key: "state", Value: store.Pending}}}, {Key: "$unset", Value: bson.D{{Key: "batch", Value: ""}}}})
	if err != nil {
		return fmt.Errorf("mongostore: make staged items pending: %w", err)
	}
	if _, err := q.s.db.Collection(batchName).DeleteOne(ctx, bson.D{{Key: "_id", Value: v.ID}}); err != nil {
		return fmt.Errorf("mongostore: drop a verdict: %w", err)
	}
	return nil
}

// decide ends a batch that was left behind.
func (q *queue) decide(ctx context.Context, batchID string) error {
	coll := q.s.db.Collection(batchName)
	v := batch{ID: batchID, At: q.s.now(), Dead: true}
	_, err := coll.InsertOne(ctx, v)
	if mongo.IsDuplicateKeyError(err) {
		v = batch{}
		err = coll.FindOne(ctx, bson.D{{Key: "_id", Value: batchID}}).Decode(&v)
		if errors.Is(err, mongo.ErrNoDocuments) {
			return nil // carried out meanwhile
		}
	}
	if err != nil {
		return fmt.Errorf("mongostore: decide on staged items: %w", err)
	}
	return q.carryOut(ctx, v)
}

// recover ends the batches that crashed processes left, and forgets old verdicts.
func (q *queue) recover(ctx context.Context) error {
	now := q.s.now()
	cur, err := q.items.Find(ctx, bson.D{{Key: "batch", Value: bson.D{{Key: "$gt", Value: ""}}}, {Key: "appended", Value: bson.D{{Key: "$lte", Value: now.Add(-Abandon)}}}},
		options.Find().SetProjection(bson.D{{Key: "batch", Value: 1}}))
	if err != nil {
		return fmt.Errorf("mongostore: look for staged items: %w", err)
	}
	var left []item
	if err := cur.All(ctx, &left); err != nil {
		return fmt.Errorf("mongostore: look for staged items: %w", err)
	}
	done := map[string]bool{}
	for _, it := range left {
		if !done[it.Batch] {
			done[it.Batch] = true
			if err := q.decide(ctx, it.Batch); err != nil {
				return err
			}
		}
	}
	_, err = q.s.db.Collection(batchName).DeleteMany(ctx, bson.D{{Key: "dead", Value: true}, {Key: "at", Value: bson.D{{Key: "$lt", Value: now.Add(-verdictKept)}}}})
	if err != nil {
		return fmt.Errorf("mongostore: forget old verdicts: %w", err)
	}
	return nil
}
