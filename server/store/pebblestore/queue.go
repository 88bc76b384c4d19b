package pebblestore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"meridian/server/store"
)

// queue is store.Queue in the same database and through the same committer as
// resources. Items and states are on disk; leases are in memory, so that those
// from before a restart are void, while attempts are counted on disk (with
// the next sync: a lease waits for none).
//
// mu guards what is in memory. It is taken by the committer, within whose
// order everything that writes runs, and by readers.
type queue struct {
	store *Store

	mu        sync.Mutex
	topics    map[string]*topic
	leases    map[uint64]*lease
	appending map[string]uint64 // topic 0 key of items in the open group, to their ids
	touched   map[*topic]bool   // topics that the open group may have made due
	closed    chan struct{}
}

type topic struct {
	name   string
	counts map[byte]int // by stored state
	// low is where the pending list begins: nothing pending stands before it.
	// What was there is deleted but not yet compacted away, and would have to
	// be passed by every lease.
	low     []byte
	doneLow []byte        // the same for the list of done items
	wake    chan struct{} // closed and replaced when an item may have become due
}

type lease struct {
	topic     *topic
	token     string
	until     time.Time
	finishing bool // its result is in a group that is not applied yet
}

// Queue gives the store's queue.
func (s *Store) Queue() store.Queue { return s.queue }

// openQueue reads the counts.
func (s *Store) openQueue() (*queue, error) {
	q := &queue{store: s, topics: map[string]*topic{}, leases: map[uint64]*lease{}, appending: map[string]uint64{}, touched: map[*topic]bool{}, closed: make(chan struct{})}
	prefix := []byte{prefixQueue, queueCount}
	iter, err := s.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: after(prefix)})
	if err != nil {
		return nil, err
	}
	defer iter.Close()
	for iter.First(); iter.Valid(); iter.Next() {
		key := iter.Key()[len(prefix):]
		n, size := binary.Uvarint(iter.Value())
		if len(key) < 2 || size <= 0 {
			return nil, errCorrupt
		}
		q.topic(string(key[:len(key)-2])).counts[key[len(key)-1]] = int(n)
	}
	if err := iter.Error(); err != nil {
		return nil, err
	}
	return q, q.lastID()
}

// lastID keeps ids of items and resources from being given twice.
func (q *queue) lastID() error {
	prefix := []byte{prefixQueue, queueItem}
	iter, err := q.store.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: after(prefix)})
	if err != nil {
		return err
	}
	defer iter.Close()
	if iter.Last() {
		q.store.numbers.last = max(q.store.numbers.last, numberAt(iter.Key()))
	}
	return iter.Error()
}

func (q *queue) close() { close(q.closed) }

// topic is the topic of that name. The caller holds mu.
func (q *queue) topic(name string) *topic {
	t := q.topics[name]
	if t == nil {
		t = &topic{name: name, counts: map[byte]int{}, low: topicKey(queuePending, name), wake: make(chan struct{})}
		t.doneLow = append(topicKey(queueState, name), stateDone)
		q.topics[name] = t
	}
	return t
}

// applied is called by the committer when a group with queue writes is visible.
func (q *queue) applied() {
	q.mu.Lock()
	defer q.mu.Unlock()
	clear(q.appending)
	for id, l := range q.leases {
		if l.finishing {
			delete(q.leases, id)
		}
	}
	for t := range q.touched {
		close(t.wake)
		t.wake = make(chan struct{})
	}
	clear(q.touched)
}

// held is the lease of an item that is running, nil when there is none. The caller holds mu.
func (q *queue) held(id uint64, now time.Time) *lease {
	l := q.leases[id]
	if l == nil || !l.finishing && !l.until.After(now) {
		return nil
	}
	return l
}

// load reads a record; store.ErrNotFound.
func (q *queue) load(db getter, id uint64) (*record, error) {
	value, closer, err := db.Get(itemKey(queueItem, id))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, store.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	defer closer.Close()
	return cutRecord(id, value)
}

func (q *queue) body(db getter, id uint64) ([]byte, error) {
	value, closer, err := db.Get(itemKey(queueBody, id))
	if err != nil {
		return nil, err
	}
	defer closer.Close()
	return bytes.Clone(value), nil
}

// show adds a running lease to what is stored.
func (q *queue) show(r *record, now time.Time) store.Item {
	item := r.item()
	if r.state == statePending {
		if l := q.held(r.id, now); l != nil && !l.finishing {
			item.State, item.Lease = store.Leased, l.token
		}
	}
	return item
}

// Get gives one item with its body.
func (q *queue) Get(_ context.Context, id string) (store.Item, error) {
	n, err := parseItemID(id)
	if err != nil {
		return store.Item{}, fmt.Errorf("item %s: %w", id, err)
	}
	if !q.store.enter() {
		return store.Item{}, store.ErrClosed
	}
	defer q.store.leave()
	r, err := q.load(q.store.db, n)
	if err != nil {
		return store.Item{}, fmt.Errorf("item %s: %w", id, err)
	}
	body, err := q.body(q.store.db, n)
	if err != nil {
		return store.Item{}, fmt.Errorf("item %s: %w", id, err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	item := q.show(r, q.store.options.Clock())
	item.Body = body
	return item, nil
}

// List gives items newest first. A label is compared in the list itself; only what is given is read.
func (q *queue) List(ctx context.Context, p store.ListParams) ([]store.Item, error) {
	before := uint64(math.MaxUint64)
	if p.After != "" {
		var err error
		if before, err = parseItemID(p.After); err != nil {
			return nil, fmt.Errorf("list after %s: %w", p.After, err)
		}
	}
	if !q.store.enter() {
		return nil, store.ErrClosed
	}
	defer q.store.leave()
	snapshot := q.store.db.NewSnapshot()
	defer snapshot.Close()
	l := &lister{queue: q, db: snapshot, p: &p, now: q.store.options.Clock()}
	defer l.close()
	var err error
	switch p.State {
	case "":
		err = l.open(before, statePending, stateDone, stateParked)
	case store.Leased:
		err = l.open(before, statePending)
	default:
		b, ok := stateByte(p.State)
		if !ok {
			return nil, fmt.Errorf("list: no state %q", p.State)
		}
		err = l.open(before, b)
	}
	for err == nil && len(l.items) < p.Limit && l.next() {
		err = errors.Join(l.take(), ctx.Err())
	}
	if err != nil {
		return nil, fmt.Errorf("list: %w", err)
	}
	return l.items, nil
}

// lister merges the lists of states downward by id.
type lister struct {
	queue *queue
	db    *pebble.Snapshot
	p     *store.ListParams
	now   time.Time
	iters []*pebble.Iterator // each at its next item
	items []store.Item
	id    uint64
	label string
}

func (l *lister) open(before uint64, states ...byte) error {
	for _, s := range states {
		prefix := append(topicKey(queueState, l.p.Topic), s)
		iter, err := l.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: appendNumber(slices.Clone(prefix), before)})
		if err != nil {
			return err
		}
		iter.Last()
		l.iters = append(l.iters, iter)
	}
	return nil
}

func (l *lister) close() {
	for _, it := range l.iters {
		it.Close()
	}
}

// next moves to the newest item of all lists.
func (l *lister) next() bool {
	var newest *pebble.Iterator
	for _, it := range l.iters {
		if it.Valid() && (newest == nil || numberAt(it.Key()) > numberAt(newest.Key())) {
			newest = it
		}
	}
	if newest == nil {
		return false
	}
	l.id, l.label = numberAt(newest.Key()), string(newest.Value())
	newest.Prev()
	return true
}

// take adds the item unless state or label are not those asked for.
func (l *lister) take() error {
	if l.p.Label != "" && l.label != l.p.Label {
		return nil
	}
	r, err := l.queue.load(l.db, l.id)
	if err != nil {
		return err
	}
	l.queue.mu.Lock()
	item := l.queue.show(r, l.now)
	l.queue.mu.Unlock()
	if l.p.State == "" || item.State == l.p.State {
		l.items = append(l.items, item)
	}
	return nil
}

// Counts gives the number of items by state, those that are 0 left out.
func (q *queue) Counts(_ context.Context, name string) (map[store.State]int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	t, now := q.topic(name), q.store.options.Clock()
	leased := 0
	for id, l := range q.leases {
		if l.topic == t && !l.finishing && q.held(id, now) != nil {
			leased++
		}
	}
	out := map[store.State]int{}
	for state, n := range map[store.State]int{store.Pending: t.counts[statePending] - leased, store.Leased: leased, store.Done: t.counts[stateDone], store.Parked: t.counts[stateParked]} {
		if n != 0 {
			out[state] = n
		}
	}
	return out, nil
}

// maxWait is the longest that Wait sleeps before it looks again.
const maxWait = time.Minute

// Wait returns when an item is due.
func (q *queue) Wait(ctx context.Context, name string) error {
	for {
		due, wake, err := q.nextDue(name)
		if err != nil {
			return fmt.Errorf("wait: %w", err)
		}
		if due <= 0 {
			return nil
		}
		timer := time.NewTimer(due)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-q.closed:
			timer.Stop()
			return store.ErrClosed
		case <-wake:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// nextDue is how long it takes until an item of a topic can be leased, and
// the channel that is closed when that may have changed.
func (q *queue) nextDue(name string) (time.Duration, <-chan struct{}, error) {
	if !q.store.enter() {
		return 0, nil, store.ErrClosed
	}
	defer q.store.leave()
	q.mu.Lock()
	defer q.mu.Unlock()
	t, now := q.topic(name), q.store.options.Clock()
	wait := maxWait
	for _, l := range q.leases {
		if l.topic == t && !l.finishing {
			wait = min(wait, l.until.Sub(now))
		}
	}
	prefix := topicKey(queuePending, name)
	iter, err := q.store.db.NewIter(&pebble.IterOptions{LowerBound: t.low, UpperBound: after(prefix)})
	if err != nil {
		return 0, nil, err
	}
	defer iter.Close()
	for iter.First(); iter.Valid(); iter.Next() {
		due, id := cutPending(iter.Key())
		if q.held(id, now) == nil {
			wait = min(wait, due.Sub(now))
			break
		}
	}
	return wait, t.wake, iter.Error()
}

func cutPending(key []byte) (due time.Time, id uint64) {
	at := len(key) - 2*numberLen
	return time.UnixMicro(int64(binary.BigEndian.Uint64(key[at:]))).UTC(), numberAt(key)
}
