package pebblestore

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"meridian/server/store"
)

// Read gives the current version, from the cache of bodies when it is there.
func (s *Store) Read(_ context.Context, key store.Key) (store.Resource, error) {
	r, ok, ticket := s.bodies.get(key)
	if ok {
		return r, nil
	}
	if !s.enter() {
		return store.Resource{}, store.ErrClosed
	}
	defer s.leave()
	r, found, err := s.current(s.db, key)
	if err != nil {
		return store.Resource{}, fmt.Errorf("read %s/%s: %w", key.Type, key.ID, err)
	}
	if !found {
		return store.Resource{}, fmt.Errorf("read %s/%s: %w", key.Type, key.ID, store.ErrNotFound)
	}
	s.bodies.put(r, ticket)
	return r, nil
}

// current reads the current version of key; found is false when there never was one.
func (s *Store) current(db getter, key store.Key) (r store.Resource, found bool, err error) {
	t := s.names.typ(key.Type)
	if t == nil {
		return store.Resource{}, false, nil
	}
	var scratch [96]byte
	number, err := getNumber(db, idKey(scratch[:0], t.number, key.ID))
	if err != nil || number == 0 {
		return store.Resource{}, false, err
	}
	r, err = s.record(db, bodyKey(scratch[:0], number), number, &key)
	return r, err == nil, err
}

// record reads the R or V at a key. The resource's key is known, or nil to be taken from the record.
func (s *Store) record(db getter, at []byte, number uint64, key *store.Key) (store.Resource, error) {
	value, closer, err := db.Get(at)
	if err != nil {
		return store.Resource{}, err
	}
	defer closer.Close()
	return s.readRecord(value, number, key)
}

// readRecord copies what the value of an R or V holds.
func (s *Store) readRecord(value []byte, number uint64, key *store.Key) (store.Resource, error) {
	h, body, err := cutHeader(value)
	if err != nil {
		return store.Resource{}, err
	}
	if key != nil {
		return resource(key.Type, key.ID, number, &h, body), nil
	}
	t := s.names.byNumber(h.typ)
	if t == nil {
		return store.Resource{}, fmt.Errorf("type %d: %w", h.typ, errCorrupt)
	}
	return resource(t.name, string(h.id), number, &h, body), nil
}

// ReadMany gives the current versions in the order of keys, from the cache of
// bodies where they are there. What many keys read does not go into the cache.
func (s *Store) ReadMany(ctx context.Context, keys []store.Key) ([]store.Resource, error) {
	if len(keys) > store.MaxReadMany {
		return nil, fmt.Errorf("read %d resources at once: %w", len(keys), store.ErrTooLarge)
	}
	if !s.enter() {
		return nil, store.ErrClosed
	}
	defer s.leave()
	out := make([]store.Resource, len(keys))
	many := many{store: s, out: out, keys: make([]byte, 0, 48*len(keys)), wants: make([]want, 0, len(keys))}
	for i, key := range keys {
		out[i].Key = key
		r, ok, ticket := s.bodies.get(key)
		if ok {
			out[i] = r
		} else if t := s.names.typ(key.Type); t != nil {
			many.add(i, t.number, key.ID, ticket)
		}
	}
	if err := many.read(ctx); err != nil {
		return nil, fmt.Errorf("read %d resources: %w", len(keys), err)
	}
	return out, nil
}

// ReadVersion gives one version.
func (s *Store) ReadVersion(_ context.Context, key store.Key, version uint64) (store.Resource, error) {
	if !s.enter() {
		return store.Resource{}, store.ErrClosed
	}
	defer s.leave()
	r, err := s.readVersion(key, version)
	if err != nil {
		return store.Resource{}, fmt.Errorf("read %s/%s version %d: %w", key.Type, key.ID, version, err)
	}
	return r, nil
}

func (s *Store) readVersion(key store.Key, version uint64) (store.Resource, error) {
	snapshot := s.db.NewSnapshot()
	defer snapshot.Close()
	r, found, err := s.current(snapshot, key)
	if err != nil || found && r.Version == version {
		return r, err
	}
	if !found || version == 0 || version > r.Version {
		return store.Resource{}, store.ErrNotFound
	}
	r, err = s.record(snapshot, versionKey(nil, r.Number, version), r.Number, &key)
	if errors.Is(err, pebble.ErrNotFound) {
		return store.Resource{}, store.ErrNotFound
	}
	return r, err
}
