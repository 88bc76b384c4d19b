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

// Topics gives the topics that have items.
func (q *queue) Topics(ctx context.Context) ([]string, error) {
	if err := q.s.enter(); err != nil {
		return nil, err
	}
	defer q.s.flight.Done()
	cur, err := q.items.Aggregate(ctx, bson.A{
		bson.D{{Key: "$match", Value: bson.D{{Key: "state", Value: bson.D{{Key: "$ne", Value: staged}}}}}},
		bson.D{{Key: "$group", Value: bson.D{{Key: "_id", Value: "$topic"}}}},
		bson.D{{Key: "$sort", Value: bson.D{{Key: "_id", Value: 1}}}},
	})
	if err != nil {
		return nil, fmt.Errorf("mongostore: topics: %w", err)
	}
	var groups []struct {
		Topic string `bson:"_id"`
	}
	if err := cur.All(ctx, &groups); err != nil {
		return nil, fmt.Errorf("mongostore: topics: %w", err)
	}
	var out []string
	for _, g := range groups {
		out = append(out, g.Topic)
	}
	return out, nil
}

// Restore stores items of another queue, in order.
func (q *queue) Restore(ctx context.Context, items []store.Item) error {
	if err := q.s.enter(); err != nil {
		return err
	}
	defer q.s.flight.Done()
	docs := make([]item, len(items))
	newest := map[string]int64{}
	for i := range items {
		if err := q.restored(ctx, &items[i], &docs[i], newest); err != nil {
			return err
		}
	}
	for len(docs) > 0 {
		_, err := q.items.InsertMany(ctx, docs, options.InsertMany().SetOrdered(true))
		if err == nil {
			break
		}
		var bulk mongo.BulkWriteException
		if !mongo.IsDuplicateKeyError(err) || !errors.As(err, &bulk) || len(bulk.WriteErrors) == 0 {
			return fmt.Errorf("mongostore: restore %d items: %w", len(docs), err)
		}
		docs = docs[bulk.WriteErrors[0].Index:]
		known, err := q.known(ctx, &docs[0])
		if err != nil {
			return err
		}
		if known {
			docs = docs[1:]
			continue
		}
		if err := q.renumber(docs); err != nil {
			return err
		}
	}
	q.notify()
	return nil
}

// restored makes the document of an item, with an id of its time above those of its topic.
func (q *queue) restored(ctx context.Context, it *store.Item, d *item, newest map[string]int64) error {
	state := it.State
	if state == store.Leased {
		state = store.Pending
	}
	if it.Topic == "" || state != store.Pending && state != store.Done && state != store.Parked {
		return fmt.Errorf("mongostore: restore: topic %q, state %q", it.Topic, it.State)
	}
	if size := len(it.Body) + len(it.Note); size > MaxDocument {
		return fmt.Errorf("%w: an item of topic %s has %d bytes, at most %d", store.ErrTooLarge, it.Topic, size, MaxDocument)
	}
	last, ok := newest[it.Topic]
	if !ok {
		var err error
		if last, err = q.newest(ctx, it.Topic); err != nil {
			return err
		}
	}
	id := max(last+1, numberAt(it.Appended))
	newest[it.Topic] = id
	note, err := noteValue(it.Note)
	*d = item{ID: textNumber(id), Topic: it.Topic, Key: it.Key, State: state, Label: it.Label, Appended: it.Appended, Due: it.Due, Attempts: int32(it.Attempts), Body: it.Body, Note: note}
	if it.Key != "" {
		d.UK = uniqueKey(it.Topic, it.Key)
	}
	return err
}

// newest is the id of the newest item of a topic, 0 when there is none.
func (q *queue) newest(ctx context.Context, topic string) (int64, error) {
	var it item
	err := q.items.FindOne(ctx, bson.D{{Key: "topic", Value: topic}}, options.FindOne().SetSort(bson.D{{Key: "_id", Value: -1}}).SetProjection(bson.D{{Key: "_id", Value: 1}})).Decode(&it)
	if errors.Is(err, mongo.ErrNoDocuments) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("mongostore: newest item of topic %s: %w", topic, err)
	}
	return parseNumber(it.ID)
}

// known says whether an item that could not be inserted is there: its key is known, or the driver sent it twice.
func (q *queue) known(ctx context.Context, d *item) (bool, error) {
	filter := bson.D{{Key: "_id", Value: d.ID}, {Key: "topic", Value: d.Topic}, {Key: "appended", Value: d.Appended.Truncate(time.Millisecond)}, {Key: "body", Value: orNullBytes(d.Body)}}
	if d.UK != "" {
		filter = bson.D{{Key: "uk", Value: d.UK}}
	}
	n, err := q.items.CountDocuments(ctx, filter)
	if err != nil {
		return false, fmt.Errorf("mongostore: restore an item of topic %s: %w", d.Topic, err)
	}
	return n > 0, nil
}

// orNullBytes matches a field that is absent where there are no bytes.
func orNullBytes(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	return b
}

// renumber moves the first document, whose id an item of another topic has, and those of its topic that it meets then.
func (q *queue) renumber(docs []item) error {
	topic, last := docs[0].Topic, docs[0].ID
	for i := range docs {
		d := &docs[i]
		if d.Topic != topic || d.ID > last {
			continue
		}
		n, err := parseNumber(last)
		if err != nil {
			return err
		}
		d.ID = textNumber(n + 1)
		last = d.ID
	}
	return nil
}
