package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"meridian/server/store"
)

// Topics gives the topics that have items.
func (q *queue) Topics(context.Context) ([]string, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var out []string
	for name, t := range q.topics {
		for _, n := range t.counts {
			if n > 0 {
				out = append(out, name)
				break
			}
		}
	}
	slices.Sort(out)
	return out, nil
}

// Restore stores items of another queue, all in one commit.
func (q *queue) Restore(ctx context.Context, items []store.Item) error {
	for i := range items {
		it := &items[i]
		if _, ok := stateByte(restored(it.State)); !ok || it.Topic == "" || strings.IndexByte(it.Topic, 0) >= 0 {
			return fmt.Errorf("restore: item %d has topic %q and state %q", i, it.Topic, it.State)
		}
		if len(it.Body) > MaxBody || len(it.Note) > MaxNote {
			return fmt.Errorf("restore: item %d: %w", i, store.ErrTooLarge)
		}
	}
	err := q.store.submit(ctx, &request{applyFirst: true, queue: func(b *pebble.Batch) error { return q.restore(b, items) }})
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	return nil
}

// restored is the state of an item whose lease is void.
func restored(s store.State) store.State {
	if s == store.Leased {
		return store.Pending
	}
	return s
}

func (q *queue) restore(b *pebble.Batch, items []store.Item) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	newest := map[string]uint64{}
	taken := map[uint64]bool{}
	for i := range items {
		it := &items[i]
		if it.Key != "" {
			known, err := getNumber(q.store.db, append(topicKey(queueKey, it.Topic), it.Key...))
			if err != nil {
				return err
			}
			if known != 0 || q.appending[it.Topic+"\x00"+it.Key] != 0 {
				continue
			}
		}
		id, err := q.restoredID(it, newest, taken)
		if err != nil {
			return err
		}
		state, _ := stateByte(restored(it.State))
		r := &record{id: id, state: state, appended: it.Appended, due: it.Due, attempts: uint64(it.Attempts), topic: it.Topic, key: it.Key, label: it.Label, note: it.Note}
		if it.Key != "" {
			q.appending[it.Topic+"\x00"+it.Key] = id
		}
		if err := q.put(b, r, it.Body); err != nil {
			return err
		}
	}
	return nil
}

// restoredID is an id of the item's time, above those of its topic, that nothing has. What newest
// and taken hold is of the items before it.
func (q *queue) restoredID(it *store.Item, newest map[string]uint64, taken map[uint64]bool) (uint64, error) {
	last, ok := newest[it.Topic]
	if !ok {
		var err error
		if last, err = q.newest(it.Topic); err != nil {
			return 0, err
		}
	}
	id := max(last+1, uint64(it.Appended.UnixMicro())<<10)
	for ; ; id++ {
		if taken[id] {
			continue
		}
		_, err := q.load(q.store.db, id)
		if errors.Is(err, store.ErrNotFound) {
			break
		}
		if err != nil {
			return 0, err
		}
	}
	newest[it.Topic], taken[id] = id, true
	n := &q.store.numbers
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last = max(n.last, id)
	return id, nil
}

// newest is the id of the newest item of a topic, 0 when there is none.
func (q *queue) newest(name string) (uint64, error) {
	last := uint64(0)
	for _, state := range []byte{statePending, stateDone, stateParked} {
		prefix := append(topicKey(queueState, name), state)
		iter, err := q.store.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: after(prefix)})
		if err != nil {
			return 0, err
		}
		if iter.Last() {
			last = max(last, numberAt(iter.Key()))
		}
		if err := iter.Close(); err != nil {
			return 0, err
		}
	}
	return last, nil
}
