package pebblestore

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"meridian/server/store"
)

// cachedReads is how many resources one ReadMany puts into the cache of bodies
// at most: what a page refers to again and again, not what was read in passing.
const cachedReads = 8

// many reads resources by one iterator, first all numbers, then all bodies,
// each in the order of keys: what was written together lies side by side.
type many struct {
	store *Store
	out   []store.Resource
	keys  []byte // all I keys, one behind the other
	wants []want
	room  []byte // for bodies
}

// roomBytes is how much memory for bodies is taken at once. What the cache keeps is never part of it.
const roomBytes = 32 << 10

// want is one resource that is to be read.
type want struct {
	place  int // in out
	at, to int // its I key in keys
	number uint64
	ticket uint64 // of the cache
}

func (m *many) add(place int, typ uint32, id string, ticket uint64) {
	at := len(m.keys)
	m.keys = idKey(m.keys, typ, id)
	m.wants = append(m.wants, want{place: place, at: at, to: len(m.keys), ticket: ticket})
}

// read fills out; what never was keeps its key only.
func (m *many) read(ctx context.Context) (err error) {
	if len(m.wants) == 0 {
		return nil
	}
	iter, err := m.store.db.NewIterWithContext(ctx, nil)
	if err != nil {
		return err
	}
	defer func() {
		if e := iter.Close(); err == nil {
			err = e
		}
	}()
	if err := m.numbers(ctx, iter); err != nil {
		return err
	}
	return m.bodies(ctx, iter)
}

// numbers finds the number of each; those that have none are no longer wanted.
func (m *many) numbers(ctx context.Context, iter *pebble.Iterator) error {
	key := func(w *want) []byte { return m.keys[w.at:w.to] }
	slices.SortFunc(m.wants, func(a, b want) int { return bytes.Compare(key(&a), key(&b)) })
	found := m.wants[:0]
	for _, w := range m.wants {
		if !iter.SeekPrefixGE(key(&w)) {
			if err := cmp.Or(iter.Error(), ctx.Err()); err != nil {
				return err
			}
			continue
		}
		value, err := iter.ValueAndErr()
		if err != nil {
			return err
		}
		if len(value) != numberLen {
			return fmt.Errorf("id: %w", errCorrupt)
		}
		w.number = binary.BigEndian.Uint64(value)
		found = append(found, w)
	}
	m.wants = found
	return nil
}

// bodies reads what stands at the numbers.
func (m *many) bodies(ctx context.Context, iter *pebble.Iterator) error {
	slices.SortFunc(m.wants, func(a, b want) int { return cmp.Compare(a.number, b.number) })
	keep := len(m.wants) <= cachedReads
	var key []byte
	for _, w := range m.wants {
		key = bodyKey(key[:0], w.number)
		if !iter.SeekPrefixGE(key) {
			return cmp.Or(iter.Error(), ctx.Err(), fmt.Errorf("resource %d has no body: %w", w.number, errCorrupt))
		}
		value, err := iter.ValueAndErr()
		if err != nil {
			return err
		}
		h, body, err := cutHeader(value)
		if err != nil {
			return err
		}
		r := &m.out[w.place]
		if keep {
			*r = resource(r.Type, r.ID, w.number, &h, body)
			m.store.bodies.put(*r, w.ticket)
			continue
		}
		*r = described(r.Type, r.ID, w.number, &h)
		if !h.deleted {
			r.Body = m.copied(body)
		}
	}
	return nil
}

// copied is a copy of a body among others.
func (m *many) copied(body []byte) []byte {
	if len(m.room) < len(body) {
		m.room = make([]byte, max(roomBytes, len(body)))
	}
	n := copy(m.room, body)
	own := m.room[:n:n]
	m.room = m.room[n:]
	return own
}
