// Package storetest is the contract suite of server/store: Run holds a store
// to every promise of store.Store and store.Queue, one file per verb. Map is
// the same contract over a plain map, slow and obvious; it is the oracle of
// the random operation lists.
//
// Resources of the suite carry their facts in their body, so that Index finds
// them again without FHIR:
//
//	{"resourceType":"Observation","id":"o1","meta":{"versionId":"1","lastUpdated":"2026-01-01T00:00:00.001Z"},
//	 "note":"","keys":[["code","","a"],["code","sys","a"]],"forward":[["code","a","a"]]}
//
// A store's package calls Run from its own tests:
//
//	func TestContract(t *testing.T) {
//		storetest.Run(t, func(t testing.TB, c storetest.Config) store.Store { … }, storetest.Lacks{})
//	}
package storetest

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"meridian/fhir/search"
	"meridian/server/store"
)

// Config is what the suite gives to the store that it opens.
type Config struct {
	// Index gives the facts of a body of the suite; pure.
	Index func(body []byte) (*search.Facts, error)
	// IndexVersion is the version of Index.
	IndexVersion string
	// Adopt is the store's Options.Adopt; nil for most tests.
	Adopt func(store.Catalog) error
	// Clock is the time for leases, due times and numbers. The suite moves it by hand.
	Clock func() time.Time
}

// Open gives a new, empty store for one test. The suite closes it; other
// clean-up goes to t.Cleanup.
type Open func(t testing.TB, c Config) store.Store

// Lacks names what a deployment cannot do; the zero value lacks nothing. Each
// use of it is logged by name.
type Lacks struct {
	// Transactions: Commit takes one write only and answers ErrNoTransactions
	// to more; CommitOrdered still takes many.
	Transactions bool
	// Chains: ChainForward and ChainReverse are answered with an error.
	Chains bool
}

// Seeds is how many random operation lists Run tries; each is made from its number alone.
const Seeds = 12

// Run holds the store that open gives to the whole contract.
func Run(t *testing.T, open Open, lacks Lacks) {
	for _, part := range []struct {
		name string
		run  func(t *testing.T, s *suite)
	}{
		{"read", testRead},
		{"commit", testCommit},
		{"precondition", testPrecondition},
		{"receipt", testReceipt},
		{"nomatch", testNoMatch},
		{"search", testSearch},
		{"sort", testSort},
		{"page", testPage},
		{"history", testHistory},
		{"methods", testMethods},
		{"purge", testPurge},
		{"changes", testChanges},
		{"queue", testQueue},
		{"concurrency", testConcurrency},
		{"reindex", testReindex},
		{"random", testRandom},
		{"fhir", testFHIR},
		{"added parameters", testAddedSearches},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, &suite{open: open, lacks: lacks}) })
	}
}

// RunSearches holds a store to the parts of the contract that search: for one
// that executes in another way than it does without further ado.
func RunSearches(t *testing.T, open Open, lacks Lacks) {
	s := &suite{open: open, lacks: lacks}
	t.Run("search", func(t *testing.T) { testSearch(t, s) })
	t.Run("random", func(t *testing.T) { testRandom(t, s) })
	t.Run("fhir", func(t *testing.T) { testFHIR(t, s) })
}

type suite struct {
	open  Open
	lacks Lacks
}

// newStore opens an empty store with a clock of its own.
func (s *suite) newStore(t testing.TB) *subject {
	t.Helper()
	return s.newStoreWith(t, Config{Index: Index, IndexVersion: "storetest-1"})
}

// newStoreWith is newStore with another index.
func (s *suite) newStoreWith(t testing.TB, c Config) *subject {
	t.Helper()
	clock := &Clock{}
	clock.Set(start)
	c.Clock = clock.Now
	st := s.open(t, c)
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return &subject{Store: st, clock: clock, ctx: t.Context(), lacks: s.lacks}
}

// start is the time at which every test of the suite begins.
var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// A Clock stands still until it is moved. Safe for concurrent use.
type Clock struct{ at atomic.Int64 }

// Now is the clock's time, UTC.
func (c *Clock) Now() time.Time { return time.Unix(0, c.at.Load()).UTC() }

// Set moves the clock to t.
func (c *Clock) Set(t time.Time) { c.at.Store(t.UnixNano()) }

// Add moves the clock by d.
func (c *Clock) Add(d time.Duration) { c.at.Add(int64(d)) }

// subject is a store under test with its clock.
type subject struct {
	store.Store
	clock *Clock
	ctx   context.Context
	lacks Lacks
}

// put commits one sample as its next version, without a precondition.
func (s *subject) put(t testing.TB, sm Sample) {
	t.Helper()
	if err := s.Commit(s.ctx, store.CommitParams{Writes: []store.Write{s.next(t, sm)}}); err != nil {
		t.Fatalf("put %s/%s: %v", sm.Type, sm.ID, err)
	}
}

// remove commits a delete of what stands at key.
func (s *subject) remove(t testing.TB, key store.Key) {
	t.Helper()
	w := s.next(t, Sample{Type: key.Type, ID: key.ID})
	w.Body, w.Facts, w.Method = nil, nil, store.DELETE
	if err := s.Commit(s.ctx, store.CommitParams{Writes: []store.Write{w}}); err != nil {
		t.Fatalf("remove %s/%s: %v", key.Type, key.ID, err)
	}
}

// next is the write that makes sm the next version of its resource, one millisecond later.
func (s *subject) next(t testing.TB, sm Sample) store.Write {
	t.Helper()
	s.clock.Add(time.Millisecond)
	r, err := s.Read(s.ctx, sm.Key())
	if err == nil {
		sm.Version = r.Version
	} else if !isNotFound(err) {
		t.Fatalf("read %s/%s: %v", sm.Type, sm.ID, err)
	}
	sm.Version++
	sm.At = s.clock.Now()
	return sm.Write()
}

// ids searches and gives the ids of the rows in order.
func (s *subject) ids(t testing.TB, p search.Plan) []string {
	t.Helper()
	page, err := s.Search(s.ctx, &p)
	if err != nil {
		t.Fatalf("search: %v", err)
	}
	return rowIDs(page.Rows)
}

func rowIDs(rows []store.Row) []string {
	ids := make([]string, len(rows))
	for i := range rows {
		ids[i] = rows[i].ID
	}
	return ids
}
