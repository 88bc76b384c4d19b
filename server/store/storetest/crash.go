package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"meridian/fhir/search"
	"meridian/server/store"
)

// A Disk is where a store under a crash test lives.
type Disk interface {
	// Open opens the store that the disk holds.
	Open(t testing.TB, c Config) (store.Store, error)
	// OnSync has f called before each sync of a file, concurrently maybe. The
	// function it is given makes the disk that a crash at this moment leaves.
	OnSync(f func(crash func() Disk))
}

// Crash writes to a store on disk from several sides, keeps what a crash at
// every sync would leave, and reopens each: every writer must find the state
// after all its acknowledged operations or after one more, nothing between.
// verify checks what the store alone can know of its own consistency.
func Crash(t *testing.T, disk Disk, seed uint64, verify func(store.Store) error) {
	c := &crashTest{t: t, disk: disk, clock: &Clock{}}
	c.clock.Set(start)
	c.config = Config{Index: Index, IndexVersion: "storetest-1", Clock: c.clock.Now}
	for w := range crashWriters {
		c.writers = append(c.writers, &crashWriter{name: fmt.Sprint("w", w), rnd: rand.New(rand.NewPCG(seed, uint64(w))), states: []crashState{newCrashState()}})
	}
	disk.OnSync(c.cut)
	st, err := disk.Open(t, c.config)
	if err != nil {
		t.Fatal(err)
	}
	c.write(st)
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	if len(c.cuts) < crashOperations/2 {
		t.Errorf("%d cuts only", len(c.cuts))
	}
	for i := range c.cuts {
		c.verify(i, verify)
		if t.Failed() {
			return
		}
	}
	t.Logf("%d crashes reopened", len(c.cuts))
}

const (
	crashWriters    = 4
	crashOperations = 60 // of each writer
	crashKeys       = 6  // of each writer
	maxCuts         = 250
)

// crashState is what one writer expects: versions by key, 0 for what never
// was, below 0 for deleted; states of queue items by their key; the operations
// whose receipts are kept.
type crashState struct {
	versions map[store.Key]int
	items    map[string]store.State
	receipts map[int]bool
}

func newCrashState() crashState {
	return crashState{versions: map[store.Key]int{}, items: map[string]store.State{}, receipts: map[int]bool{}}
}

func (s crashState) clone() crashState {
	c := newCrashState()
	for k, v := range s.versions {
		c.versions[k] = v
	}
	for k, v := range s.items {
		c.items[k] = v
	}
	for k := range s.receipts {
		c.receipts[k] = true
	}
	return c
}

type crashWriter struct {
	name string
	rnd  *rand.Rand

	mu     sync.Mutex
	states []crashState // after 0, 1, 2 … operations, one more than begun
	acked  int          // operations acknowledged
}

// cut is one crash: the disk it leaves, and for each writer the operations acknowledged before and begun after.
type cut struct {
	disk         Disk
	acked, begun []int
}

type crashTest struct {
	t       *testing.T
	disk    Disk
	clock   *Clock
	config  Config
	writers []*crashWriter

	mu   sync.Mutex
	cuts []cut
}

func (c *crashTest) cut(crash func() Disk) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.cuts) == maxCuts {
		return
	}
	var k cut
	for _, w := range c.writers {
		w.mu.Lock()
		k.acked = append(k.acked, w.acked)
		w.mu.Unlock()
	}
	k.disk = crash()
	for _, w := range c.writers {
		w.mu.Lock()
		k.begun = append(k.begun, len(w.states)-1)
		w.mu.Unlock()
	}
	c.cuts = append(c.cuts, k)
}

func (c *crashTest) write(st store.Store) {
	together(crashWriters, func(i int) {
		w := c.writers[i]
		for range crashOperations {
			c.clock.Add(time.Millisecond)
			if err := w.operate(c.t.Context(), st, c.clock.Now()); err != nil {
				c.t.Error(err)
				return
			}
		}
	})
}

// operate does one operation: it notes the state to come, does it, and notes the answer.
func (w *crashWriter) operate(ctx context.Context, st store.Store, now time.Time) error {
	next := w.states[len(w.states)-1].clone()
	var do func() error
	switch n := w.rnd.IntN(6); {
	case n == 0:
		do = w.append(ctx, st, &next)
	case n == 1:
		do = w.finish(ctx, st, &next)
	default:
		p := w.commit(&next, now)
		do = func() error { return st.Commit(ctx, p) }
	}
	w.mu.Lock()
	w.states = append(w.states, next)
	w.mu.Unlock()
	if err := do(); err != nil {
		return fmt.Errorf("%s: %w", w.name, err)
	}
	w.mu.Lock()
	w.acked++
	w.mu.Unlock()
	return nil
}

// commit writes some of the writer's resources at once.
func (w *crashWriter) commit(next *crashState, now time.Time) store.CommitParams {
	var p store.CommitParams
	for i := range crashKeys {
		if w.rnd.IntN(3) > 0 && (i > 0 || len(p.Writes) > 0) {
			continue
		}
		sm := w.sample(i, len(w.states))
		version := next.versions[sm.Key()]
		sm.At, sm.Version = now, uint64(max(version, -version)+1)
		write := sm.Write()
		next.versions[sm.Key()] = int(sm.Version)
		if version > 0 && w.rnd.IntN(4) == 0 {
			write.Body, write.Facts, write.Method, write.Purge = nil, nil, store.DELETE, w.rnd.IntN(2) == 0
			next.versions[sm.Key()] = -int(sm.Version)
		}
		p.Writes = append(p.Writes, write)
	}
	if w.rnd.IntN(2) == 0 {
		p.Receipt = &store.Receipt{Key: w.receipt(len(w.states)), Answer: []byte("x"), Until: now.Add(24 * time.Hour)}
		next.receipts[len(w.states)] = true
	}
	return p
}

func (w *crashWriter) receipt(operation int) string { return fmt.Sprint(w.name, "-", operation) }

func (w *crashWriter) sample(i, operation int) Sample {
	return Sample{Type: "Observation", ID: fmt.Sprint(w.name, "-", i), Note: strings.Repeat("x", w.rnd.IntN(600)),
		Facts: []Fact{Token("writer", "s", w.name), Token("operation", "s", fmt.Sprint(operation)), Span("date", fmt.Sprint(1000+operation), fmt.Sprint(1001+operation))}}
}

func (w *crashWriter) append(ctx context.Context, st store.Store, next *crashState) func() error {
	var items []store.NewItem
	for i := range 1 + w.rnd.IntN(3) {
		key := fmt.Sprint(w.name, "-", len(w.states), "-", i)
		items = append(items, store.NewItem{Topic: w.name, Key: key, Body: []byte(key)})
		next.items[key] = store.Pending
	}
	return func() error { _, err := st.Queue().Append(ctx, items); return err }
}

// finish leases some of the writer's items and ends them.
func (w *crashWriter) finish(ctx context.Context, st store.Store, next *crashState) func() error {
	held, err := st.Queue().Lease(ctx, w.name, 2, time.Hour)
	var results []store.Result
	for _, it := range held {
		state := []store.State{store.Done, store.Parked, store.Pending}[w.rnd.IntN(3)]
		next.items[it.Key] = state
		results = append(results, store.Result{ID: it.ID, Lease: it.Lease, State: state, Label: "l"})
	}
	return func() error { return errors.Join(err, st.Queue().Finish(ctx, results)) }
}

// verify reopens one crash.
func (c *crashTest) verify(i int, verify func(store.Store) error) {
	k := &c.cuts[i]
	st, err := k.disk.Open(c.t, c.config)
	if err != nil {
		c.t.Errorf("crash %d: open: %v", i, err)
		return
	}
	defer st.Close()
	if err := verify(st); err != nil {
		c.t.Errorf("crash %d: %v", i, err)
	}
	for n, w := range c.writers {
		found, err := w.find(st)
		if err != nil {
			c.t.Errorf("crash %d: %v", i, err)
			return
		}
		ok := false
		for j := k.acked[n]; j <= k.begun[n] && j < len(w.states); j++ {
			ok = ok || found == show(w.states[j])
		}
		if !ok {
			c.t.Errorf("crash %d: %s has %d operations acknowledged, %d begun;\nfound %s\nwant  %s", i, w.name, k.acked[n], k.begun[n], found, show(w.states[k.acked[n]]))
		}
	}
}

// find shows what a store holds of the writer, by reading, by searching and by listing.
func (w *crashWriter) find(st store.Store) (string, error) {
	ctx := context.Background()
	s := newCrashState()
	live := 0
	for i := range crashKeys {
		key := store.Key{Type: "Observation", ID: fmt.Sprint(w.name, "-", i)}
		r, err := st.Read(ctx, key)
		switch {
		case isNotFound(err):
		case err != nil:
			return "", err
		case r.Deleted:
			s.versions[key] = -int(r.Version)
		default:
			s.versions[key] = int(r.Version)
			live++
		}
	}
	total, err := st.Count(ctx, &search.Plan{Type: "Observation", Where: point("writer", "s", w.name)}, 0)
	if err != nil || total.N != live {
		return "", fmt.Errorf("%s: %d found by searching, %d by reading: %w", w.name, total.N, live, err)
	}
	for n := range crashOperations + 1 {
		if _, err := st.Receipt(ctx, w.receipt(n)); err == nil {
			s.receipts[n] = true
		} else if !isNotFound(err) {
			return "", err
		}
	}
	items, err := st.Queue().List(ctx, store.ListParams{Topic: w.name, Limit: 10_000})
	for _, it := range items {
		s.items[it.Key] = it.State
	}
	return show(s), err
}

func show(s crashState) string {
	var parts []string
	for k, v := range s.versions {
		parts = append(parts, fmt.Sprint(k.ID, " ", v))
	}
	for k, v := range s.items {
		parts = append(parts, fmt.Sprint(k, " ", v))
	}
	for k := range s.receipts {
		parts = append(parts, fmt.Sprint("receipt ", k))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}
