package mongostore

import (
	"errors"
	"testing"
	"time"

	"meridian/server/store"
)

// stage writes the items of an Append of two that crashed after its second insert.
func stage(t *testing.T, s *Store, batchID string) {
	t.Helper()
	docs, err := s.queue.documents(t.Context(), []store.NewItem{{Topic: "m", Key: "k1", Body: []byte("a")}, {Topic: "m", Key: "k2", Body: []byte("b")}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range docs {
		docs[i].State, docs[i].Batch = staged, batchID
		if _, err := s.queue.put(t.Context(), &docs[i]); err != nil {
			t.Fatal(err)
		}
	}
}

func pending(t *testing.T, s *Store) int {
	t.Helper()
	counts, err := s.Queue().Counts(t.Context(), "m")
	if err != nil {
		t.Fatal(err)
	}
	items, err := s.Queue().List(t.Context(), store.ListParams{Topic: "m", Limit: 10})
	if err != nil || len(items) != counts[store.Pending] {
		t.Errorf("%d listed of %v, %v", len(items), counts, err)
	}
	return counts[store.Pending]
}

func TestCrashInAppend(t *testing.T) {
	t.Run("before its commit leaves none, and the keys are free", func(t *testing.T) {
		s, clock := handClock(t, nil)
		stage(t, s, "x")
		if n := pending(t, s); n != 0 {
			t.Errorf("%d visible", n)
		}
		clock.Add(Abandon)
		got, err := s.Queue().Append(t.Context(), []store.NewItem{{Topic: "m", Key: "k1", Body: []byte("new")}})
		if err != nil || got[0].Existing {
			t.Fatalf("%+v, %v", got, err)
		}
		if n := pending(t, s); n != 1 {
			t.Errorf("%d visible, want the new one", n)
		}
		if err := s.queue.commit(t.Context(), "x", 2, nil); err == nil {
			t.Error("the append that was given up commits")
		}
	})
	t.Run("after its commit leaves all", func(t *testing.T) {
		s, clock := handClock(t, nil)
		stage(t, s, "x")
		if _, err := s.db.Collection(batchName).InsertOne(t.Context(), batch{ID: "x", At: clock.Now()}); err != nil {
			t.Fatal(err)
		}
		clock.Add(Abandon)
		if err := s.queue.recover(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := pending(t, s); n != 2 {
			t.Errorf("%d visible, want 2", n)
		}
	})
	t.Run("is cleaned up when a process starts", func(t *testing.T) {
		s, clock := handClock(t, nil)
		stage(t, s, "x")
		clock.Add(Abandon)
		if err := s.queue.recover(t.Context()); err != nil {
			t.Fatal(err)
		}
		clock.Add(verdictKept + Abandon)
		if err := s.queue.recover(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, c := range []string{queueName, batchName} {
			if n, err := s.db.Collection(c).EstimatedDocumentCount(t.Context()); err != nil || n != 0 {
				t.Errorf("%d left in %s, %v", n, c, err)
			}
		}
	})
}

func TestQueueNotes(t *testing.T) {
	s, _ := handClock(t, nil)
	for rule, note := range map[string][]byte{"none": nil, "empty": {}, "text": []byte(`{"a":"张"}`), "bytes": {0xff, 0xfe}} {
		got, err := s.Queue().Append(t.Context(), []store.NewItem{{Topic: "m", Note: note}})
		if err != nil {
			t.Fatal(err)
		}
		it, err := s.Queue().Get(t.Context(), got[0].ID)
		if err != nil || string(it.Note) != string(note) || (it.Note == nil) != (note == nil) {
			t.Errorf("%s: %q, %v", rule, it.Note, err)
		}
	}
	if _, err := s.Queue().Append(t.Context(), []store.NewItem{{Topic: "m", Body: make([]byte, MaxDocument+1)}}); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("an item over the limit: %v", err)
	}
}

func TestDoneItemsLeaveWhenTheirRetentionIsOver(t *testing.T) {
	s, clock := handClock(t, func(o *Options) { o.DoneRetention = time.Hour })
	done := func(key string) string {
		if _, err := s.Queue().Append(t.Context(), []store.NewItem{{Topic: "m", Key: key}}); err != nil {
			t.Fatal(err)
		}
		held, err := s.Queue().Lease(t.Context(), "m", 1, time.Minute)
		if err != nil || len(held) != 1 {
			t.Fatal(held, err)
		}
		if err := s.Queue().Finish(t.Context(), []store.Result{{ID: held[0].ID, Lease: held[0].Lease, State: store.Done}}); err != nil {
			t.Fatal(err)
		}
		clock.Add(time.Minute)
		return held[0].ID
	}
	first, second := done("a"), done("b")
	clock.Add(59*time.Minute - time.Second) // the first is over an hour old, the second not yet
	third := done("c")
	if _, err := s.Queue().Get(t.Context(), first); !errors.Is(err, store.ErrNotFound) {
		t.Error("the first is still there", err)
	}
	for _, id := range []string{second, third} {
		if _, err := s.Queue().Get(t.Context(), id); err != nil {
			t.Error(err)
		}
	}
}
