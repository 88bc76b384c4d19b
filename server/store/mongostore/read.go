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

// maxIn is how many values one $in holds.
const maxIn = 1_000

// noPostings leaves out of a head what only the server reads.
var noPostings = bson.D{{Key: "k", Value: 0}, {Key: "r", Value: 0}, {Key: "f", Value: 0}}

// Read gives the current version; ErrNotFound when there never was one.
func (s *Store) Read(ctx context.Context, key store.Key) (store.Resource, error) {
	if err := s.enter(); err != nil {
		return store.Resource{}, err
	}
	defer s.flight.Done()
	h, err := s.head(s.read(ctx), key)
	if err != nil {
		return store.Resource{}, err
	}
	if h == nil {
		return store.Resource{}, fmt.Errorf("read %s: %w", documentID(key), store.ErrNotFound)
	}
	return h.resource(), nil
}

// head reads the head of a resource without its postings; nil when there is none.
func (s *Store) head(ctx context.Context, key store.Key) (*head, error) {
	if !isType(key.Type) {
		return nil, nil
	}
	var h head
	err := s.coll(ctx, key.Type).FindOne(ctx, bson.D{{Key: "_id", Value: documentID(key)}}, options.FindOne().SetProjection(noPostings)).Decode(&h)
	if errors.Is(err, mongo.ErrNoDocuments) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("mongostore: read %s: %w", documentID(key), err)
	}
	return &h, nil
}

// heads reads heads of one type by document id, with the given fields.
func (s *Store) heads(ctx context.Context, typ string, ids []string, fields bson.D) (map[string]*head, error) {
	out := make(map[string]*head, len(ids))
	for len(ids) > 0 {
		n := min(len(ids), maxIn)
		filter := bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids[:n]}}}}
		ids = ids[n:]
		cur, err := s.coll(ctx, typ).Find(ctx, filter, options.Find().SetProjection(fields))
		if err != nil {
			return nil, fmt.Errorf("mongostore: read many of %s: %w", typ, err)
		}
		var found []head
		if err := cur.All(ctx, &found); err != nil {
			return nil, fmt.Errorf("mongostore: read many of %s: %w", typ, err)
		}
		for i := range found {
			out[found[i].ID] = &found[i]
		}
	}
	return out, nil
}

// headsOf reads heads of several types by key.
func (s *Store) headsOf(ctx context.Context, keys []store.Key, fields bson.D) (map[string]*head, error) {
	byType := map[string][]string{}
	seen := map[store.Key]bool{}
	for _, k := range keys {
		if isType(k.Type) && !seen[k] {
			seen[k] = true
			byType[k.Type] = append(byType[k.Type], documentID(k))
		}
	}
	all := make(map[string]*head, len(seen))
	for typ, ids := range byType {
		found, err := s.heads(ctx, typ, ids, fields)
		if err != nil {
			return nil, err
		}
		for id, h := range found {
			all[id] = h
		}
	}
	return all, nil
}

// ReadMany gives the current versions in the order of keys; what is not there or deleted has a nil Body.
func (s *Store) ReadMany(ctx context.Context, keys []store.Key) ([]store.Resource, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.flight.Done()
	if len(keys) > store.MaxReadMany {
		return nil, fmt.Errorf("%w: %d keys, at most %d", store.ErrTooLarge, len(keys), store.MaxReadMany)
	}
	found, err := s.headsOf(s.read(ctx), keys, noPostings)
	if err != nil {
		return nil, err
	}
	out := make([]store.Resource, len(keys))
	for i, k := range keys {
		out[i].Key = k
		if h := found[documentID(k)]; h != nil {
			out[i] = h.resource()
		}
	}
	return out, nil
}

// ReadVersion gives one version; ErrNotFound when there is none. A history
// entry ahead of the head is none.
func (s *Store) ReadVersion(ctx context.Context, key store.Key, version uint64) (store.Resource, error) {
	if err := s.enter(); err != nil {
		return store.Resource{}, err
	}
	defer s.flight.Done()
	none := fmt.Errorf("read %s version %d: %w", documentID(key), version, store.ErrNotFound)
	ctx = s.read(ctx)
	h, err := s.head(ctx, key)
	switch {
	case err != nil:
		return store.Resource{}, err
	case h == nil || uint64(h.V) < version:
		return store.Resource{}, none
	case uint64(h.V) == version:
		return h.resource(), nil
	}
	var e entry
	err = s.coll(ctx, historyName).FindOne(ctx, entryFilter(h.ID, int64(version))).Decode(&e)
	if errors.Is(err, mongo.ErrNoDocuments) {
		return store.Resource{}, none
	}
	if err != nil {
		return store.Resource{}, fmt.Errorf("mongostore: read %s version %d: %w", h.ID, version, err)
	}
	if e.Gone {
		return store.Resource{}, none
	}
	return e.resource(), nil
}
