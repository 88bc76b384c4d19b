package storetest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"meridian/server/store"
)

// mapQueue is store.Queue over a slice of items in the order of their ids.
type mapQueue struct {
	now func() time.Time

	mu     sync.Mutex
	items  []*mapItem
	leases int
	added  int
	wake   chan struct{} // closed and replaced whenever an item may have become due
}

type mapItem struct {
	store.Item
	until time.Time // end of the lease
}

func newMapQueue(clock func() time.Time) *mapQueue {
	return &mapQueue{now: mapNow(clock), wake: make(chan struct{})}
}

func (q *mapQueue) notify() {
	close(q.wake)
	q.wake = make(chan struct{})
}

func (q *mapQueue) find(is func(*mapItem) bool) *mapItem {
	for _, it := range q.items {
		if is(it) {
			return it
		}
	}
	return nil
}

func (q *mapQueue) Append(_ context.Context, items []store.NewItem) ([]store.Appended, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	out := make([]store.Appended, len(items))
	for i, n := range items {
		if n.Key != "" {
			if it := q.find(func(it *mapItem) bool { return it.Topic == n.Topic && it.Key == n.Key }); it != nil {
				out[i] = store.Appended{ID: it.ID, Existing: true}
				continue
			}
		}
		q.added++
		it := &mapItem{Item: store.Item{ID: fmt.Sprintf("%08d", q.added), Topic: n.Topic, Key: n.Key, State: store.Pending,
			Appended: q.now(), Due: q.now(), Body: bytes.Clone(n.Body), Note: bytes.Clone(n.Note)}}
		q.items = append(q.items, it)
		out[i] = store.Appended{ID: it.ID}
	}
	q.notify()
	return out, nil
}

func (q *mapQueue) Topics(context.Context) ([]string, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var out []string
	for _, it := range q.items {
		out = append(out, it.Topic)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

func (q *mapQueue) Restore(_ context.Context, items []store.Item) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, n := range items {
		if n.State != store.Pending && n.State != store.Leased && n.State != store.Done && n.State != store.Parked {
			return fmt.Errorf("restore: no state %q", n.State)
		}
		if n.Key != "" && q.find(func(it *mapItem) bool { return it.Topic == n.Topic && it.Key == n.Key }) != nil {
			continue
		}
		q.added++
		n.ID, n.Lease, n.Body, n.Note = fmt.Sprintf("%08d", q.added), "", bytes.Clone(n.Body), bytes.Clone(n.Note)
		if n.State == store.Leased {
			n.State = store.Pending
		}
		q.items = append(q.items, &mapItem{Item: n})
	}
	q.notify()
	return nil
}

// expire makes items pending whose lease is over.
func (q *mapQueue) expire() {
	for _, it := range q.items {
		if it.State == store.Leased && !it.until.After(q.now()) {
			it.State, it.Lease = store.Pending, ""
		}
	}
}

func (q *mapQueue) Lease(_ context.Context, topic string, n int, d time.Duration) ([]store.Item, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.expire()
	var due []*mapItem
	for _, it := range q.items {
		if it.Topic == topic && it.State == store.Pending && !it.Due.After(q.now()) {
			due = append(due, it)
		}
	}
	slices.SortStableFunc(due, func(a, b *mapItem) int { return a.Due.Compare(b.Due) })
	var out []store.Item
	for _, it := range due[:min(n, len(due))] {
		q.leases++
		it.State, it.Lease, it.until = store.Leased, fmt.Sprint("lease-", q.leases), q.now().Add(d)
		it.Attempts++
		out = append(out, it.Item)
	}
	return out, nil
}

func (q *mapQueue) Finish(_ context.Context, results []store.Result) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.expire()
	for _, r := range results {
		it := q.find(func(it *mapItem) bool { return it.ID == r.ID })
		if it == nil || it.State != store.Leased || it.Lease != r.Lease {
			return fmt.Errorf("finish %s: %w", r.ID, store.ErrLease)
		}
	}
	for _, r := range results {
		it := q.find(func(it *mapItem) bool { return it.ID == r.ID })
		it.State, it.Label, it.Lease = r.State, r.Label, ""
		if r.State == store.Pending && !r.Due.IsZero() {
			it.Due = r.Due
		}
		if r.Note != nil {
			it.Note = bytes.Clone(r.Note)
		}
	}
	q.notify()
	return nil
}

func (q *mapQueue) Extend(_ context.Context, id, lease string, d time.Duration, note []byte) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.expire()
	it := q.find(func(it *mapItem) bool { return it.ID == id })
	if it == nil || it.State != store.Leased || it.Lease != lease {
		return fmt.Errorf("extend %s: %w", id, store.ErrLease)
	}
	it.until = q.now().Add(d)
	if note != nil {
		it.Note = bytes.Clone(note)
	}
	return nil
}

func (q *mapQueue) Cancel(_ context.Context, id, label string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	it := q.find(func(it *mapItem) bool { return it.ID == id })
	if it == nil {
		return fmt.Errorf("cancel %s: %w", id, store.ErrNotFound)
	}
	if it.State != store.Done {
		it.State, it.Label, it.Lease = store.Done, label, ""
	}
	return nil
}

func (q *mapQueue) Remove(_ context.Context, ids []string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.items = slices.DeleteFunc(q.items, func(it *mapItem) bool {
		return slices.Contains(ids, it.ID) && (it.State == store.Done || it.State == store.Parked)
	})
	return nil
}

func (q *mapQueue) Requeue(_ context.Context, ids []string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, id := range ids {
		if q.find(func(it *mapItem) bool { return it.ID == id }) == nil {
			return fmt.Errorf("requeue %s: %w", id, store.ErrNotFound)
		}
	}
	for _, id := range ids {
		it := q.find(func(it *mapItem) bool { return it.ID == id })
		if it.State == store.Parked || it.State == store.Done {
			it.State, it.Label, it.Due = store.Pending, "", q.now()
		}
	}
	q.notify()
	return nil
}

func (q *mapQueue) Get(_ context.Context, id string) (store.Item, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.expire()
	it := q.find(func(it *mapItem) bool { return it.ID == id })
	if it == nil {
		return store.Item{}, fmt.Errorf("item %s: %w", id, store.ErrNotFound)
	}
	return it.Item, nil
}

func (q *mapQueue) List(_ context.Context, p store.ListParams) ([]store.Item, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.expire()
	var out []store.Item
	for _, it := range slices.Backward(q.items) {
		if len(out) == p.Limit {
			break
		}
		if it.Topic != p.Topic || p.State != "" && it.State != p.State || p.Label != "" && it.Label != p.Label || p.After != "" && it.ID >= p.After {
			continue
		}
		item := it.Item
		item.Body = nil
		out = append(out, item)
	}
	return out, nil
}

func (q *mapQueue) Counts(_ context.Context, topic string) (map[store.State]int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.expire()
	out := map[store.State]int{}
	for _, it := range q.items {
		if it.Topic == topic {
			out[it.State]++
		}
	}
	return out, nil
}

func (q *mapQueue) Wait(ctx context.Context, topic string) error {
	for {
		q.mu.Lock()
		q.expire()
		it := q.find(func(it *mapItem) bool {
			return it.Topic == topic && it.State == store.Pending && !it.Due.After(q.now())
		})
		wake := q.wake
		q.mu.Unlock()
		if it != nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-wake:
		}
	}
}
