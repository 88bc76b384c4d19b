package storetest

import (
	"slices"
	"testing"
	"time"

	"meridian/server/store"
)

// testQueueRestore: items that stood in another queue.
func testQueueRestore(t *testing.T, s *suite) {
	at := func(n int) time.Time { return start.Add(-time.Hour + time.Duration(n)*time.Second) }
	items := func() []store.Item {
		return []store.Item{
			{ID: "x1", Topic: "m", Key: "k1", State: store.Done, Label: "committed", Appended: at(1), Due: at(2), Attempts: 1, Body: []byte("one"), Note: []byte(`{"n":1}`)},
			{ID: "x2", Topic: "m", State: store.Parked, Label: "map.unmapped", Appended: at(1), Due: at(1), Attempts: 3, Body: []byte("two"), Note: []byte("{}")},
			{ID: "x3", Topic: "other", State: store.Pending, Appended: at(1), Due: at(5), Body: []byte("else")},
			{ID: "x4", Topic: "m", Key: "k4", State: store.Leased, Lease: "t", Appended: at(0), Due: at(0), Attempts: 1, Body: []byte("four")},
			{ID: "x5", Topic: "m", State: store.Pending, Label: "", Appended: at(9), Due: start.Add(time.Minute), Body: []byte("five")},
		}
	}
	t.Run("items are restored as they stood, in their order", func(t *testing.T) { testRestored(t, s, items()) })
	t.Run("restored items are leased when they are due, and later ones come after them", func(t *testing.T) {
		q := s.newQueue(t)
		if err := q.Restore(q.st.ctx, items()); err != nil {
			t.Fatal(err)
		}
		ids := q.add("m", "six")
		list, err := q.List(q.st.ctx, store.ListParams{Topic: "m", Limit: 1})
		if err != nil || len(list) != 1 || list[0].ID != ids[0] {
			t.Errorf("the newest is %+v, %v; want %s", list, err, ids[0])
		}
		held := q.lease("m", 10)
		if got := itemBodies(held); !slices.Equal(got, []string{"four", "six"}) {
			t.Fatalf("leased %v", got)
		}
		if held[0].Attempts != 2 {
			t.Errorf("%d attempts, want those before and this one", held[0].Attempts)
		}
		q.finish(store.Result{ID: held[0].ID, Lease: held[0].Lease, State: store.Done})
		q.st.clock.Add(time.Minute)
		if got := itemBodies(q.lease("m", 10)); !slices.Equal(got, []string{"five", "six"}) && !slices.Equal(got, []string{"six", "five"}) {
			t.Errorf("a minute later leased %v", got)
		}
	})
	t.Run("a known key is left out, and goes on naming its item", func(t *testing.T) {
		q := s.newQueue(t)
		for range 2 {
			if err := q.Restore(q.st.ctx, []store.Item{items()[0], items()[3]}); err != nil {
				t.Fatal(err)
			}
		}
		q.counts("m", map[store.State]int{store.Done: 1, store.Pending: 1})
		again, err := q.Append(q.st.ctx, []store.NewItem{{Topic: "m", Key: "k1", Body: []byte("other")}})
		if err != nil || !again[0].Existing {
			t.Errorf("append: %+v, %v", again, err)
		}
	})
	t.Run("a state that there is not is refused", func(t *testing.T) {
		q := s.newQueue(t)
		if err := q.Restore(q.st.ctx, []store.Item{{Topic: "m", State: "staged", Appended: at(1), Due: at(1)}}); err == nil {
			t.Error("taken")
		}
		q.counts("m", nil)
	})
}

// testRestored compares what was restored with what was to be.
func testRestored(t *testing.T, s *suite, items []store.Item) {
	q := s.newQueue(t)
	if topics, err := q.Topics(q.st.ctx); err != nil || len(topics) != 0 {
		t.Errorf("topics of an empty queue: %v, %v", topics, err)
	}
	if err := q.Restore(q.st.ctx, items[:2]); err != nil {
		t.Fatal(err)
	}
	if err := q.Restore(q.st.ctx, items[2:]); err != nil {
		t.Fatal(err)
	}
	if topics, err := q.Topics(q.st.ctx); err != nil || !slices.Equal(topics, []string{"m", "other"}) {
		t.Errorf("topics %v, %v", topics, err)
	}
	for topic, want := range map[string][]int{"m": {4, 3, 1, 0}, "other": {2}} {
		list, err := q.List(q.st.ctx, store.ListParams{Topic: topic, Limit: 10})
		if err != nil || len(list) != len(want) {
			t.Fatalf("%s: %d items, %v", topic, len(list), err)
		}
		for i, n := range want {
			w := items[n]
			got, err := q.Get(q.st.ctx, list[i].ID)
			if err != nil {
				t.Fatal(err)
			}
			if w.State == store.Leased {
				w.State = store.Pending
			}
			if got.Topic != w.Topic || got.Key != w.Key || got.State != w.State || got.Label != w.Label || got.Attempts != w.Attempts || got.Lease != "" ||
				!got.Appended.Equal(w.Appended) || !got.Due.Equal(w.Due) || string(got.Body) != string(w.Body) || string(got.Note) != string(w.Note) {
				t.Errorf("got  %+v\nwant %+v", got, w)
			}
			if i > 0 && list[i].ID >= list[i-1].ID {
				t.Errorf("ids do not rise: %s, then %s", list[i].ID, list[i-1].ID)
			}
		}
	}
	q.counts("m", map[store.State]int{store.Done: 1, store.Parked: 1, store.Pending: 2})
}
