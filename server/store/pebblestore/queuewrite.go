package pebblestore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"meridian/server/store"
)

// The writing side of the queue. Each operation is a function that the
// committer calls with the open group's batch: it checks everything, then
// writes, so that an error leaves nothing.

// Append stores items durably, in order.
func (q *queue) Append(ctx context.Context, items []store.NewItem) ([]store.Appended, error) {
	for i := range items {
		n := &items[i]
		if n.Topic == "" || strings.IndexByte(n.Topic, 0) >= 0 {
			return nil, fmt.Errorf("append: item %d has no topic", i)
		}
		if len(n.Body) > MaxBody || len(n.Note) > MaxNote {
			return nil, fmt.Errorf("append: item %d: %w", i, store.ErrTooLarge)
		}
	}
	var out []store.Appended
	err := q.store.submit(ctx, &request{queue: func(b *pebble.Batch) error {
		var err error
		out, err = q.append(b, items)
		return err
	}})
	if err != nil {
		return nil, fmt.Errorf("append: %w", err)
	}
	return out, nil
}

func (q *queue) append(b *pebble.Batch, items []store.NewItem) ([]store.Appended, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	known := make([]uint64, len(items))
	for i := range items {
		if items[i].Key == "" {
			continue
		}
		id, ok := q.appending[items[i].Topic+"\x00"+items[i].Key]
		if !ok {
			var err error
			if id, err = getNumber(q.store.db, append(topicKey(queueKey, items[i].Topic), items[i].Key...)); err != nil {
				return nil, err
			}
		}
		known[i] = id
	}
	out := make([]store.Appended, len(items))
	for i := range items {
		n := &items[i]
		name := n.Topic + "\x00" + n.Key
		if known[i] == 0 && n.Key != "" {
			known[i] = q.appending[name] // given earlier in this call
		}
		if known[i] != 0 {
			out[i] = store.Appended{ID: itemID(known[i]), Existing: true}
			continue
		}
		id := q.store.nextNumber()
		if n.Key != "" {
			q.appending[name] = id
		}
		if err := q.add(b, id, n); err != nil {
			return nil, err
		}
		out[i] = store.Appended{ID: itemID(id)}
	}
	return out, nil
}

// add writes one new item.
func (q *queue) add(b *pebble.Batch, id uint64, n *store.NewItem) error {
	now := q.store.options.Clock().UTC()
	return q.put(b, &record{id: id, state: statePending, appended: now, due: now, topic: n.Topic, key: n.Key, note: n.Note}, n.Body)
}

// put writes an item that was not there.
func (q *queue) put(b *pebble.Batch, r *record, body []byte) error {
	if r.key != "" {
		if err := b.Set(append(topicKey(queueKey, r.topic), r.key...), appendNumber(nil, r.id), nil); err != nil {
			return err
		}
	}
	if err := b.Set(itemKey(queueBody, r.id), body, nil); err != nil {
		return err
	}
	return errors.Join(q.enter(b, r), b.Set(itemKey(queueItem, r.id), r.append(nil), nil), q.writeCounts(b, r.topic, r.state))
}

// enter puts an item into the lists of its state.
func (q *queue) enter(b *pebble.Batch, r *record) error {
	t := q.topic(r.topic)
	t.counts[r.state]++
	q.touched[t] = true
	if err := b.Set(stateKey(r.topic, r.state, r.id), []byte(r.label), nil); err != nil {
		return err
	}
	switch r.state {
	case statePending:
		key := pendingKey(r.topic, r.due, r.id)
		if string(key) < string(t.low) {
			t.low = key
		}
		return b.Set(key, nil, nil)
	case stateDone:
		if key := stateKey(r.topic, stateDone, r.id); string(key) < string(t.doneLow) {
			t.doneLow = key
		}
	}
	return nil
}

// exit takes an item out of the lists of its state.
func (q *queue) exit(b *pebble.Batch, r *record) error {
	q.topic(r.topic).counts[r.state]--
	if err := b.Delete(stateKey(r.topic, r.state, r.id), nil); err != nil {
		return err
	}
	if r.state == statePending {
		return b.Delete(pendingKey(r.topic, r.due, r.id), nil)
	}
	return nil
}

func (q *queue) writeCounts(b *pebble.Batch, name string, states ...byte) error {
	for _, s := range states {
		if err := b.Set(append(topicKey(queueCount, name), s), binary.AppendUvarint(nil, uint64(q.topic(name).counts[s])), nil); err != nil {
			return err
		}
	}
	return nil
}

// Lease holds due items for d.
func (q *queue) Lease(ctx context.Context, name string, n int, d time.Duration) ([]store.Item, error) {
	var out []store.Item
	err := q.store.submit(ctx, &request{applyFirst: true, lazy: true, queue: func(b *pebble.Batch) error {
		var err error
		out, err = q.lease(b, name, n, d)
		return err
	}})
	if err != nil {
		return nil, fmt.Errorf("lease: %w", err)
	}
	return out, nil
}

func (q *queue) lease(b *pebble.Batch, name string, n int, d time.Duration) ([]store.Item, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.store.options.Clock().UTC()
	due, err := q.due(q.topic(name), n, now)
	if err != nil {
		return nil, err
	}
	items := make([]store.Item, len(due))
	for i, r := range due {
		r.attempts++
		if items[i].Body, err = q.body(q.store.db, r.id); err != nil {
			return nil, err
		}
	}
	for i, r := range due {
		body := items[i].Body
		if err := b.Set(itemKey(queueItem, r.id), r.append(nil), nil); err != nil {
			return nil, err
		}
		l := &lease{topic: q.topic(name), token: fmt.Sprintf("%d.%s", r.attempts, itemID(q.store.nextNumber())), until: now.Add(d)}
		q.leases[r.id] = l
		items[i] = r.item()
		items[i].State, items[i].Lease, items[i].Body = store.Leased, l.token, body
	}
	return items, nil
}

// due are up to n items that can be leased, by due time. It moves the lower
// bound of the topic up to the first item that is still there.
func (q *queue) due(t *topic, n int, now time.Time) ([]*record, error) {
	upper := appendNumber(topicKey(queuePending, t.name), uint64(now.UnixMicro())+1)
	if string(t.low) >= string(upper) {
		return nil, nil
	}
	iter, err := q.store.db.NewIter(&pebble.IterOptions{LowerBound: t.low, UpperBound: upper})
	if err != nil {
		return nil, err
	}
	defer iter.Close()
	var out []*record
	first := true
	for iter.First(); iter.Valid() && len(out) < n; iter.Next() {
		if first {
			t.low, first = slices.Clone(iter.Key()), false
		}
		_, id := cutPending(iter.Key())
		if q.held(id, now) != nil {
			continue
		}
		r, err := q.load(q.store.db, id)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	if first && iter.Error() == nil {
		t.low = upper
	}
	return out, iter.Error()
}

// Finish moves leased items on, all in one commit.
func (q *queue) Finish(ctx context.Context, results []store.Result) error {
	for i := range results {
		if _, ok := stateByte(results[i].State); !ok || len(results[i].Note) > MaxNote {
			return fmt.Errorf("finish %s: state %q, note of %d bytes", results[i].ID, results[i].State, len(results[i].Note))
		}
	}
	if len(results) == 0 {
		return nil
	}
	return q.store.submit(ctx, &request{queue: func(b *pebble.Batch) error { return q.finish(b, results) }})
}

func (q *queue) finish(b *pebble.Batch, results []store.Result) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.store.options.Clock().UTC()
	records := make([]*record, len(results))
	seen := map[uint64]bool{}
	for i := range results {
		id, err := parseItemID(results[i].ID)
		if l := q.held(id, now); err != nil || l == nil || l.finishing || l.token != results[i].Lease || seen[id] {
			return fmt.Errorf("finish %s: %w", results[i].ID, store.ErrLease)
		}
		seen[id] = true
		if records[i], err = q.load(q.store.db, id); err != nil {
			return fmt.Errorf("finish %s: %w", results[i].ID, err)
		}
	}
	for i, r := range records {
		if err := q.moveOn(b, r, &results[i]); err != nil {
			return fmt.Errorf("finish %s: %w", results[i].ID, err)
		}
		q.leases[r.id].finishing = true
	}
	return nil
}

func (q *queue) moveOn(b *pebble.Batch, r *record, result *store.Result) error {
	if err := q.exit(b, r); err != nil {
		return err
	}
	r.state, _ = stateByte(result.State)
	r.label = result.Label
	if r.state == statePending && !result.Due.IsZero() {
		r.due = result.Due.UTC()
	}
	if result.Note != nil {
		r.note = result.Note
	}
	if err := errors.Join(q.enter(b, r), b.Set(itemKey(queueItem, r.id), r.append(nil), nil)); err != nil {
		return err
	}
	if r.state == stateDone {
		if err := q.retire(b, q.topic(r.topic)); err != nil {
			return err
		}
	}
	return q.writeCounts(b, r.topic, statePending, stateDone, stateParked)
}

// maxRetired is how many old items leave with each that is done.
const maxRetired = 4

// retire removes done items whose retention is over. It sees what is applied,
// which is enough: what is not is young.
func (q *queue) retire(b *pebble.Batch, t *topic) error {
	if q.store.options.DoneRetention <= 0 {
		return nil
	}
	oldest := uint64(q.store.options.Clock().Add(-q.store.options.DoneRetention).UnixMicro()) << 10
	upper := stateKey(t.name, stateDone, oldest)
	if string(t.doneLow) >= string(upper) {
		return nil
	}
	iter, err := q.store.db.NewIter(&pebble.IterOptions{LowerBound: t.doneLow, UpperBound: upper})
	if err != nil {
		return err
	}
	defer iter.Close()
	n := 0
	for iter.First(); iter.Valid() && n < maxRetired; iter.Next() {
		r, err := q.load(q.store.db, numberAt(iter.Key()))
		if err != nil {
			return err
		}
		t.doneLow = after(iter.Key())
		if err := q.forget(b, r); err != nil {
			return err
		}
		n++
	}
	return iter.Error()
}

// Extend moves the end of a lease, which is in memory, and writes the note.
func (q *queue) Extend(ctx context.Context, id, token string, d time.Duration, note []byte) error {
	if len(note) > MaxNote {
		return fmt.Errorf("extend %s: a note of %d bytes: %w", id, len(note), store.ErrTooLarge)
	}
	return q.store.submit(ctx, &request{applyFirst: true, lazy: true, queue: func(b *pebble.Batch) error { return q.extend(b, id, token, d, note) }})
}

func (q *queue) extend(b *pebble.Batch, id, token string, d time.Duration, note []byte) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.store.options.Clock().UTC()
	n, err := parseItemID(id)
	l := q.held(n, now)
	if err != nil || l == nil || l.finishing || l.token != token {
		return fmt.Errorf("extend %s: %w", id, store.ErrLease)
	}
	if note != nil {
		r, err := q.load(q.store.db, n)
		if err != nil {
			return fmt.Errorf("extend %s: %w", id, err)
		}
		r.note = note
		if err := b.Set(itemKey(queueItem, n), r.append(nil), nil); err != nil {
			return err
		}
	}
	l.until = now.Add(d)
	return nil
}

// Cancel ends an item that is not done, whoever holds it.
func (q *queue) Cancel(ctx context.Context, id, label string) error {
	return q.store.submit(ctx, &request{applyFirst: true, queue: func(b *pebble.Batch) error { return q.cancel(b, id, label) }})
}

func (q *queue) cancel(b *pebble.Batch, id, label string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, err := parseItemID(id)
	if err != nil {
		return fmt.Errorf("cancel %s: %w", id, err)
	}
	r, err := q.load(q.store.db, n)
	if err != nil {
		return fmt.Errorf("cancel %s: %w", id, err)
	}
	if r.state == stateDone {
		return nil
	}
	if err := q.moveOn(b, r, &store.Result{ID: id, State: store.Done, Label: label}); err != nil {
		return fmt.Errorf("cancel %s: %w", id, err)
	}
	if l := q.leases[n]; l != nil {
		l.finishing = true
	}
	return nil
}

// forget removes all of an item.
func (q *queue) forget(b *pebble.Batch, r *record) error {
	err := errors.Join(q.exit(b, r), b.Delete(itemKey(queueItem, r.id), nil), b.Delete(itemKey(queueBody, r.id), nil))
	if r.key != "" {
		err = errors.Join(err, b.Delete(append(topicKey(queueKey, r.topic), r.key...), nil))
	}
	return err
}

// Remove forgets done and parked items.
func (q *queue) Remove(ctx context.Context, ids []string) error {
	return q.store.submit(ctx, &request{applyFirst: true, queue: func(b *pebble.Batch) error { return q.remove(b, ids) }})
}

func (q *queue) remove(b *pebble.Batch, ids []string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	seen := map[string]bool{}
	for _, id := range ids {
		n, err := parseItemID(id)
		if err != nil || seen[id] {
			continue
		}
		seen[id] = true
		r, err := q.load(q.store.db, n)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("remove %s: %w", id, err)
		}
		if r.state == statePending {
			continue
		}
		if err := errors.Join(q.forget(b, r), q.writeCounts(b, r.topic, r.state)); err != nil {
			return fmt.Errorf("remove %s: %w", id, err)
		}
	}
	return nil
}

// Requeue makes parked or done items pending; others stay as they are.
func (q *queue) Requeue(ctx context.Context, ids []string) error {
	return q.store.submit(ctx, &request{applyFirst: true, queue: func(b *pebble.Batch) error { return q.requeue(b, ids) }})
}

func (q *queue) requeue(b *pebble.Batch, ids []string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	var records []*record
	seen := map[string]bool{}
	for _, id := range ids {
		if seen[id] {
			continue
		}
		seen[id] = true
		n, err := parseItemID(id)
		if err != nil {
			return fmt.Errorf("requeue %s: %w", id, err)
		}
		r, err := q.load(q.store.db, n)
		if err != nil {
			return fmt.Errorf("requeue %s: %w", id, err)
		}
		if r.state != statePending {
			records = append(records, r)
		}
	}
	for _, r := range records {
		if err := q.exit(b, r); err != nil {
			return err
		}
		r.state, r.label, r.due = statePending, "", q.store.options.Clock().UTC()
		if err := errors.Join(q.enter(b, r), b.Set(itemKey(queueItem, r.id), r.append(nil), nil), q.writeCounts(b, r.topic, statePending, stateDone, stateParked)); err != nil {
			return err
		}
	}
	return nil
}
