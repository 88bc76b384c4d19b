package pebblestore

import (
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"meridian/server/store"
	"meridian/server/store/storetest"
)

func openQueueTest(t *testing.T, o Options) (*Store, *storetest.Clock) {
	t.Helper()
	clock := &storetest.Clock{}
	clock.Set(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	o.Dir, o.Clock = "db", clock.Now
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, clock
}

func leaseOne(t *testing.T, s *Store) store.Item {
	t.Helper()
	items, err := s.Queue().Lease(t.Context(), "m", 1, time.Hour)
	if err != nil || len(items) != 1 {
		t.Fatalf("leased %d, %v", len(items), err)
	}
	return items[0]
}

func TestLeasesAreVoidAfterARestart(t *testing.T) {
	fs := vfs.NewMem()
	s, clock := openQueueTest(t, Options{FS: fs})
	if _, err := s.Queue().Append(t.Context(), []store.NewItem{{Topic: "m", Key: "k", Body: []byte("b")}}); err != nil {
		t.Fatal(err)
	}
	old := leaseOne(t, s)
	s = reopen(t, s, Options{Dir: "db", FS: fs, Clock: clock.Now})
	again := leaseOne(t, s)
	if again.ID != old.ID || again.Lease == old.Lease || again.Attempts != 2 {
		t.Errorf("leased again %+v, before %+v", again, old)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestLeasePassesNoTombstones(t *testing.T) {
	s, clock := openQueueTest(t, Options{FS: vfs.NewMem()})
	for i := range 500 {
		clock.Add(time.Millisecond)
		if _, err := s.Queue().Append(t.Context(), []store.NewItem{{Topic: "m", Body: fmt.Append(nil, i)}}); err != nil {
			t.Fatal(err)
		}
	}
	for range 400 {
		it := leaseOne(t, s)
		if err := s.Queue().Finish(t.Context(), []store.Result{{ID: it.ID, Lease: it.Lease, State: store.Done}}); err != nil {
			t.Fatal(err)
		}
	}
	it := leaseOne(t, s)
	if low, want := s.queue.topics["m"].low, pendingKey("m", it.Due, mustID(t, it.ID)); string(low) != string(want) {
		t.Errorf("the lower bound is %q, the first pending item stands at %q", low, want)
	}
	// A retry that is due earlier than all others moves it back.
	if err := s.Queue().Finish(t.Context(), []store.Result{{ID: it.ID, Lease: it.Lease, State: store.Pending, Due: clock.Now().Add(-time.Hour)}}); err != nil {
		t.Fatal(err)
	}
	if again := leaseOne(t, s); again.ID != it.ID {
		t.Errorf("leased %s, want %s", again.ID, it.ID)
	}
}

func mustID(t *testing.T, id string) uint64 {
	t.Helper()
	n, err := parseItemID(id)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestDoneItemsLeaveWhenTheirRetentionIsOver(t *testing.T) {
	s, clock := openQueueTest(t, Options{FS: vfs.NewMem(), DoneRetention: time.Hour})
	done := func(key string) string {
		if _, err := s.Queue().Append(t.Context(), []store.NewItem{{Topic: "m", Key: key}}); err != nil {
			t.Fatal(err)
		}
		it := leaseOne(t, s)
		if err := s.Queue().Finish(t.Context(), []store.Result{{ID: it.ID, Lease: it.Lease, State: store.Done}}); err != nil {
			t.Fatal(err)
		}
		clock.Add(time.Minute)
		return it.ID
	}
	first, second := done("a"), done("b")
	clock.Add(59 * time.Minute) // the first is an hour and a minute old, the second an hour
	third := done("c")
	if _, err := s.Queue().Get(t.Context(), first); err == nil {
		t.Error("the first is still there")
	}
	for _, id := range []string{second, third} {
		if _, err := s.Queue().Get(t.Context(), id); err != nil {
			t.Error(err)
		}
	}
	if counts, err := s.Queue().Counts(t.Context(), "m"); err != nil || counts[store.Done] != 2 {
		t.Errorf("counts %v, %v", counts, err)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
}
