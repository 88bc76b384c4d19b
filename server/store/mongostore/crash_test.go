package mongostore

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"meridian/fhir/search"
	"meridian/server/store"
	"meridian/server/store/storetest"
)

// handClock opens a store whose clock the test moves.
func handClock(t *testing.T, change func(*Options)) (*Store, *storetest.Clock) {
	t.Helper()
	clock := &storetest.Clock{}
	clock.Set(time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC))
	o := testOptions(t)
	o.Clock = clock.Now
	if change != nil {
		change(&o)
	}
	return mustOpen(t, o), clock
}

func mustCommit(t testing.TB, s *Store, writes ...store.Write) {
	t.Helper()
	for _, w := range writes {
		if err := s.Commit(t.Context(), store.CommitParams{Writes: []store.Write{w}}); err != nil {
			t.Fatalf("commit %s/%s version %d: %v", w.Type, w.ID, w.Version, err)
		}
	}
}

// leave writes the history entry that a crash before the head leaves.
func leave(t *testing.T, s *Store, key store.Key, v int64) entry {
	t.Helper()
	p, err := s.ids.next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	e := entry{ID: entryID(documentID(key), v), T: key.Type, R: documentID(key), V: v, N: 1, P: p, At: s.now(), Del: true, Method: "DELETE"}
	if _, err := s.db.Collection(historyName).InsertOne(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	return e
}

// seen is what readers see of a resource's versions, in every way to ask.
func seen(t *testing.T, s *Store, key store.Key) []string {
	t.Helper()
	var out []string
	for v := uint64(1); v < 9; v++ {
		if r, err := s.ReadVersion(t.Context(), key, v); err == nil {
			out = append(out, fmt.Sprintf("version %d deleted %t %d bytes", r.Version, r.Deleted, len(r.Body)))
		} else if !errors.Is(err, store.ErrNotFound) {
			t.Fatal(err)
		}
	}
	for _, p := range []store.HistoryParams{{Type: key.Type, ID: key.ID, Limit: 10}, {Type: key.Type, Limit: 10}, {Limit: 10}} {
		page, err := s.History(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		line := "history"
		for _, r := range page.Rows {
			line += fmt.Sprintf(" %d/%t/%d", r.Version, r.Deleted, len(r.Body))
		}
		out = append(out, line)
	}
	changes, _, err := s.Changes(t.Context(), "", 10)
	if err != nil {
		t.Fatal(err)
	}
	line := "changes"
	for _, c := range changes {
		line += fmt.Sprintf(" %d/%t", c.Version, c.Deleted)
	}
	return append(out, line)
}

func TestCrashBetweenHistoryAndHead(t *testing.T) {
	key := store.Key{Type: "Patient", ID: "a"}
	sample := func(v uint64, at time.Time) storetest.Sample {
		return storetest.Sample{Type: "Patient", ID: "a", Version: v, At: at, Facts: []storetest.Fact{storetest.Token("code", "s", fmt.Sprint("v", v))}}
	}
	t.Run("of a first version", func(t *testing.T) {
		s, clock := handClock(t, nil)
		empty := seen(t, s, key)
		leave(t, s, key, 1)
		if got := seen(t, s, key); !slices.Equal(got, empty) {
			t.Errorf("readers see %v", got)
		}
		clock.Add(Abandon)
		mustCommit(t, s, sample(1, clock.Now()).Write())
		n := len(sample(1, clock.Now()).Write().Body)
		want := []string{fmt.Sprintf("version 1 deleted false %d bytes", n), fmt.Sprintf("history 1/false/%d", n), fmt.Sprintf("history 1/false/%d", n), fmt.Sprintf("history 1/false/%d", n), "changes 1/false"}
		if got := seen(t, s, key); !slices.Equal(got, want) {
			t.Errorf("after the next write readers see %q, want %q", got, want)
		}
	})
	t.Run("of a later version", func(t *testing.T) {
		s, clock := handClock(t, nil)
		mustCommit(t, s, sample(1, clock.Now()).Write())
		before := seen(t, s, key)
		leave(t, s, key, 2)
		if got := seen(t, s, key); !slices.Equal(got, before) {
			t.Errorf("readers see %q, want %q", got, before)
		}
		clock.Add(Abandon)
		mustCommit(t, s, sample(2, clock.Now()).Write(), sample(3, clock.Now()).Write())
		n := len(sample(1, clock.Now()).Write().Body)
		want := []string{}
		for v := 1; v <= 3; v++ {
			want = append(want, fmt.Sprintf("version %d deleted false %d bytes", v, n))
		}
		line := fmt.Sprintf("history 3/false/%d 2/false/%d 1/false/%d", n, n, n)
		want = append(want, line, line, line, "changes 1/false 2/false 3/false")
		if got := seen(t, s, key); !slices.Equal(got, want) {
			t.Errorf("after the next writes readers see %q, want %q", got, want)
		}
	})
	t.Run("a reader of the log waits for an entry that may still be committed, then passes it", func(t *testing.T) {
		s, clock := handClock(t, nil)
		mustCommit(t, s, sample(1, clock.Now()).Write())
		leave(t, s, key, 2)
		mustCommit(t, s, storetest.Sample{Type: "Patient", ID: "b", At: clock.Now()}.Write())
		changes, at, err := s.Changes(t.Context(), "", 10)
		if err != nil || len(changes) != 1 || at != changes[0].At {
			t.Fatalf("%v at %q, %v", changes, at, err)
		}
		clock.Add(Abandon)
		changes, _, err = s.Changes(t.Context(), at, 10)
		if err != nil || len(changes) != 1 || changes[0].ID != "b" {
			t.Errorf("%v, %v", changes, err)
		}
	})
}

func TestEntryOfALiveWriter(t *testing.T) {
	s, clock := handClock(t, nil)
	key := store.Key{Type: "Patient", ID: "a"}
	left := leave(t, s, key, 1)
	done := make(chan error)
	go func() {
		done <- s.Commit(t.Context(), store.CommitParams{Writes: []store.Write{storetest.Sample{Type: "Patient", ID: "a", At: clock.Now()}.Write()}})
	}()
	select {
	case err := <-done:
		t.Fatalf("the entry of a live writer was taken over: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	// The other writer gives up, as one does that loses a unique key.
	if _, err := s.db.Collection(historyName).DeleteOne(t.Context(), bson.D{{Key: "_id", Value: left.ID}}); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("after the other gave up: %v", err)
	}
}

func TestLateCommitIsLoggedAnew(t *testing.T) {
	s, clock := handClock(t, func(o *Options) { o.Settle = 4 * time.Second })
	w := storetest.Sample{Type: "Patient", ID: "a", At: clock.Now()}.Write()
	mustCommit(t, s, w)
	if changes, _, err := s.Changes(t.Context(), "", 10); err != nil || len(changes) != 0 {
		t.Errorf("inside the settle window: %v, %v", changes, err)
	}
	clock.Add(3 * time.Second)
	h, err := s.head(t.Context(), w.Key)
	if err != nil {
		t.Fatal(err)
	}
	s.relog(t.Context(), []*head{h}) // as after a commit that took 3 seconds
	clock.Add(2 * time.Second)
	if changes, _, err := s.Changes(t.Context(), "", 10); err != nil || len(changes) != 0 {
		t.Errorf("at the first position, which readers may have passed: %v, %v", changes, err)
	}
	clock.Add(3 * time.Second)
	if changes, _, err := s.Changes(t.Context(), "", 10); err != nil || len(changes) != 1 {
		t.Errorf("after the second window: %v, %v", changes, err)
	}
}

func TestUnlessKey(t *testing.T) {
	identifier := func(id, value string, at time.Time) store.Write {
		w := storetest.Sample{Type: "Patient", ID: id, At: at, Facts: []storetest.Fact{storetest.Token("identifier", "mrn", value)}}.Write()
		w.Unless, w.UnlessKey = &search.Plan{Type: "Patient", Where: point("identifier", "mrn", "1")}, "identifier=mrn|1"
		return w
	}
	t.Run("one that no resource matches is freed for the next", func(t *testing.T) {
		s, clock := handClock(t, nil)
		mustCommit(t, s, identifier("a", "2", clock.Now()), identifier("b", "1", clock.Now()))
		err := s.Commit(t.Context(), store.CommitParams{Writes: []store.Write{identifier("c", "1", clock.Now())}})
		var conflict *store.ConflictError
		if !errors.As(err, &conflict) || conflict.Match == nil || conflict.Match.ID != "b" {
			t.Errorf("a third: %v", err)
		}
		if n := len(criteria(t, s, "a")); n != 0 {
			t.Errorf("a still holds %d criteria", n)
		}
		if n, err := s.db.Collection(historyName).CountDocuments(t.Context(), bson.D{{Key: "r", Value: "Patient/c"}}); err != nil || n != 0 {
			t.Errorf("the log has %d records of what was not created, %v", n, err)
		}
	})
	t.Run("the next write clears it, but not at once", func(t *testing.T) {
		s, clock := handClock(t, nil)
		mustCommit(t, s, identifier("a", "1", clock.Now()))
		mustCommit(t, s, storetest.Sample{Type: "Patient", ID: "a", Version: 2, At: clock.Now()}.Write())
		if n := len(criteria(t, s, "a")); n != 1 {
			t.Errorf("a moment later: %d criteria, want 1", n)
		}
		clock.Add(unlessKept + time.Second)
		mustCommit(t, s, storetest.Sample{Type: "Patient", ID: "a", Version: 3, At: clock.Now()}.Write())
		if n := len(criteria(t, s, "a")); n != 0 {
			t.Errorf("later: %d criteria", n)
		}
	})
	t.Run("it holds no value of the criterion", func(t *testing.T) {
		s, clock := handClock(t, nil)
		mustCommit(t, s, identifier("a", "1", clock.Now()))
		if u := criteria(t, s, "a"); len(u) != 1 || len(u[0]) != 32 {
			t.Errorf("criteria %q", u)
		}
	})
}

func criteria(t *testing.T, s *Store, id string) []string {
	t.Helper()
	h, err := s.head(t.Context(), store.Key{Type: "Patient", ID: id})
	if err != nil || h == nil {
		t.Fatal(err)
	}
	return h.U
}

// What a crash in the middle of many ordered writes leaves is taken over when they are written again, each once, in order.
func TestOrderedTakesOverWhatACrashLeft(t *testing.T) {
	s, clock := handClock(t, func(o *Options) { o.Transactions = "off" })
	var writes []store.Write
	for i := range 300 {
		sm := storetest.Sample{Type: []string{"Observation", "Patient"}[i/100%2], ID: fmt.Sprintf("r%03d", i), At: clock.Now()}
		writes = append(writes, sm.Write())
		if i >= 20 {
			leave(t, s, sm.Key(), 1)
		}
	}
	mustCommit(t, s, writes[:20]...)
	clock.Add(2 * Abandon)
	if err := s.CommitOrdered(t.Context(), store.CommitParams{Writes: writes[20:]}); err != nil {
		t.Fatal(err)
	}
	changes, _, err := s.Changes(t.Context(), "", 1000)
	if err != nil || len(changes) != len(writes) {
		t.Fatalf("%d changes, %v", len(changes), err)
	}
	for i, c := range changes {
		if c.Key != writes[i].Key || c.Version != 1 || c.Deleted {
			t.Fatalf("change %d is %s/%s version %d, deleted %t", i, c.Type, c.ID, c.Version, c.Deleted)
		}
	}
}
