package storetest

import (
	"errors"
	"testing"
	"time"

	"meridian/server/store"
)

// testQueueHold: a worker holds its item for as long as it works, and is told when the item was taken from it.
func testQueueHold(t *testing.T, s *suite) {
	t.Run("an extended lease holds, with the new note", func(t *testing.T) {
		q := s.newQueue(t)
		ids := q.add("m", "a")
		it := q.lease("m", 1)[0]
		for range 3 {
			q.st.clock.Add(50 * time.Second)
			if err := q.Extend(q.st.ctx, ids[0], it.Lease, time.Minute, []byte(`{"done":1}`)); err != nil {
				t.Fatal(err)
			}
		}
		if again := q.lease("m", 1); len(again) != 0 {
			t.Errorf("leased twice: %+v", again)
		}
		if got, err := q.Get(q.st.ctx, ids[0]); err != nil || string(got.Note) != `{"done":1}` || got.State != store.Leased || got.Attempts != 1 {
			t.Errorf("got %+v, %v", got, err)
		}
		if err := q.Extend(q.st.ctx, ids[0], it.Lease, time.Minute, nil); err != nil {
			t.Error(err)
		}
		q.finish(store.Result{ID: ids[0], Lease: it.Lease, State: store.Done})
		if got, err := q.Get(q.st.ctx, ids[0]); err != nil || string(got.Note) != `{"done":1}` {
			t.Errorf("a nil note keeps: %+v, %v", got, err)
		}
	})
	t.Run("only the current lease can be extended", func(t *testing.T) {
		q := s.newQueue(t)
		ids := q.add("m", "a")
		it := q.lease("m", 1)[0]
		for _, c := range []struct {
			rule, id, lease string
			wait            time.Duration
		}{
			{"another token", ids[0], "x", 0},
			{"an id that never was", "0000000000000001", it.Lease, 0},
			{"a lease that is over", ids[0], it.Lease, 2 * time.Minute},
		} {
			q.st.clock.Add(c.wait)
			if err := q.Extend(q.st.ctx, c.id, c.lease, time.Minute, nil); !errors.Is(err, store.ErrLease) {
				t.Errorf("%s: %v", c.rule, err)
			}
		}
		q.counts("m", map[store.State]int{store.Pending: 1})
	})
	testQueueTaken(t, s)
}

// testQueueTaken: removed and cancelled items.
func testQueueTaken(t *testing.T, s *suite) {
	t.Run("a removed item is no more, and its key is free", func(t *testing.T) {
		q := s.newQueue(t)
		ids := q.add("m", "done", "parked", "leased", "pending")
		keyed, err := q.Append(q.st.ctx, []store.NewItem{{Topic: "k", Key: "one", Body: []byte("x")}})
		if err != nil {
			t.Fatal(err)
		}
		one := q.lease("k", 1)[0]
		held := q.lease("m", 3)
		q.finish(store.Result{ID: ids[0], Lease: held[0].Lease, State: store.Done}, store.Result{ID: ids[1], Lease: held[1].Lease, State: store.Parked},
			store.Result{ID: one.ID, Lease: one.Lease, State: store.Done})
		if err := q.Remove(q.st.ctx, append(ids, keyed[0].ID, "none", ids[0])); err != nil {
			t.Fatal(err)
		}
		q.counts("m", map[store.State]int{store.Leased: 1, store.Pending: 1})
		q.counts("k", nil)
		for i, id := range ids {
			if _, err := q.Get(q.st.ctx, id); isNotFound(err) != (i < 2) {
				t.Errorf("%d: %v", i, err)
			}
		}
		again, err := q.Append(q.st.ctx, []store.NewItem{{Topic: "k", Key: "one", Body: []byte("y")}})
		if err != nil || again[0].Existing || again[0].ID == keyed[0].ID {
			t.Errorf("the key: %+v, %v", again, err)
		}
	})
	t.Run("a cancelled item is done, and its worker is told", func(t *testing.T) {
		q := s.newQueue(t)
		ids := q.add("m", "pending", "leased", "parked", "done")
		held := q.lease("m", 4)
		q.finish(store.Result{ID: ids[0], Lease: held[0].Lease, State: store.Pending},
			store.Result{ID: ids[2], Lease: held[2].Lease, State: store.Parked, Label: "why"},
			store.Result{ID: ids[3], Lease: held[3].Lease, State: store.Done, Label: "well"})
		for _, id := range ids {
			if err := q.Cancel(q.st.ctx, id, "cancelled"); err != nil {
				t.Fatal(err)
			}
		}
		q.counts("m", map[store.State]int{store.Done: 4})
		for i, want := range []string{"cancelled", "cancelled", "cancelled", "well"} {
			if got, err := q.Get(q.st.ctx, ids[i]); err != nil || got.State != store.Done || got.Label != want {
				t.Errorf("%d: %+v, %v", i, got, err)
			}
		}
		if err := q.Extend(q.st.ctx, ids[1], held[1].Lease, time.Minute, nil); !errors.Is(err, store.ErrLease) {
			t.Errorf("extend: %v", err)
		}
		if err := q.Finish(q.st.ctx, []store.Result{{ID: ids[1], Lease: held[1].Lease, State: store.Done}}); !errors.Is(err, store.ErrLease) {
			t.Errorf("finish: %v", err)
		}
		if got := q.lease("m", 9); len(got) != 0 {
			t.Errorf("leased %+v", got)
		}
		if err := q.Cancel(q.st.ctx, "0000000000000001", "x"); !isNotFound(err) {
			t.Errorf("an id that never was: %v", err)
		}
	})
}
