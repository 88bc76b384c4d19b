package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"meridian/server/store"
)

// queueSubject adds to a queue what the suite asks of it again and again.
type queueSubject struct {
	store.Queue
	st *subject
	t  testing.TB
}

func (s *suite) newQueue(t testing.TB) *queueSubject {
	st := s.newStore(t)
	return &queueSubject{Queue: st.Queue(), st: st, t: t}
}

// add appends items with these bodies, a millisecond apart, and gives their ids.
func (q *queueSubject) add(topic string, bodies ...string) []string {
	q.t.Helper()
	var ids []string
	for _, b := range bodies {
		q.st.clock.Add(time.Millisecond)
		got, err := q.Append(q.st.ctx, []store.NewItem{{Topic: topic, Body: []byte(b), Note: []byte("{}")}})
		if err != nil || len(got) != 1 || got[0].Existing {
			q.t.Fatalf("append: %+v, %v", got, err)
		}
		ids = append(ids, got[0].ID)
	}
	return ids
}

func (q *queueSubject) lease(topic string, n int) []store.Item {
	q.t.Helper()
	items, err := q.Lease(q.st.ctx, topic, n, time.Minute)
	if err != nil {
		q.t.Fatalf("lease: %v", err)
	}
	return items
}

func (q *queueSubject) finish(results ...store.Result) {
	q.t.Helper()
	if err := q.Finish(q.st.ctx, results); err != nil {
		q.t.Fatalf("finish: %v", err)
	}
}

func (q *queueSubject) counts(topic string, want map[store.State]int) {
	q.t.Helper()
	got, err := q.Counts(q.st.ctx, topic)
	if err != nil {
		q.t.Fatal(err)
	}
	for _, s := range []store.State{store.Pending, store.Leased, store.Done, store.Parked} {
		if got[s] != want[s] {
			q.t.Errorf("%s: %d, want %d", s, got[s], want[s])
		}
	}
}

func itemBodies(items []store.Item) []string {
	var out []string
	for _, it := range items {
		out = append(out, string(it.Body))
	}
	return out
}

func itemIDs(items []store.Item) []string {
	var out []string
	for _, it := range items {
		out = append(out, it.ID)
	}
	return out
}

func testQueue(t *testing.T, s *suite) {
	t.Run("items are leased oldest first, each once, and end as done", func(t *testing.T) {
		q := s.newQueue(t)
		ids := q.add("m", "a", "b", "c")
		q.add("other", "x")
		if !slices.IsSorted(ids) {
			t.Errorf("ids are not in the order of time: %v", ids)
		}
		first, second := q.lease("m", 2), q.lease("m", 2)
		if got := append(itemBodies(first), itemBodies(second)...); !slices.Equal(got, []string{"a", "b", "c"}) {
			t.Fatalf("leased %v", got)
		}
		it := first[0]
		if it.ID != ids[0] || it.Topic != "m" || it.State != store.Leased || it.Attempts != 1 || it.Lease == "" || string(it.Note) != "{}" || it.Appended.IsZero() {
			t.Errorf("item %+v", it)
		}
		q.counts("m", map[store.State]int{store.Leased: 3})
		q.finish(store.Result{ID: ids[0], Lease: first[0].Lease, State: store.Done, Label: "committed", Note: []byte(`{"n":1}`)},
			store.Result{ID: ids[1], Lease: first[1].Lease, State: store.Parked, Label: "map.unmapped"})
		q.counts("m", map[store.State]int{store.Leased: 1, store.Done: 1, store.Parked: 1})
		done, err := q.Get(q.st.ctx, ids[0])
		if err != nil || done.State != store.Done || done.Label != "committed" || string(done.Note) != `{"n":1}` || string(done.Body) != "a" {
			t.Errorf("done: %+v, %v", done, err)
		}
		parked, err := q.Get(q.st.ctx, ids[1])
		if err != nil || parked.State != store.Parked || parked.Label != "map.unmapped" || string(parked.Note) != "{}" {
			t.Errorf("parked: %+v, %v", parked, err)
		}
		if _, err := q.Get(q.st.ctx, "none"); !isNotFound(err) {
			t.Errorf("an id that never was: %v", err)
		}
	})
	testQueueHold(t, s)
	t.Run("a known key stores nothing and gives the first id", func(t *testing.T) {
		q := s.newQueue(t)
		one := store.NewItem{Topic: "m", Key: "k1", Body: []byte("a")}
		first, err := q.Append(q.st.ctx, []store.NewItem{one, {Topic: "m", Key: "k2"}, one, {Topic: "else", Key: "k1"}})
		if err != nil || len(first) != 4 {
			t.Fatal(first, err)
		}
		if first[0].Existing || first[1].Existing || !first[2].Existing || first[2].ID != first[0].ID || first[3].Existing {
			t.Errorf("within one call: %+v", first)
		}
		again, err := q.Append(q.st.ctx, []store.NewItem{{Topic: "m", Key: "k1", Body: []byte("other")}})
		if err != nil || !again[0].Existing || again[0].ID != first[0].ID {
			t.Errorf("later: %+v, %v", again, err)
		}
		it, err := q.Get(q.st.ctx, first[0].ID)
		if err != nil || string(it.Body) != "a" || it.Key != "k1" {
			t.Errorf("item %+v, %v", it, err)
		}
		q.counts("m", map[store.State]int{store.Pending: 2})
	})
	testQueueLeases(t, s)
	testQueueStates(t, s)
	testQueueRestore(t, s)
	testQueueWait(t, s)
}

func testQueueLeases(t *testing.T, s *suite) {
	t.Run("an expired lease is pending again, its holder has lost it", func(t *testing.T) {
		q := s.newQueue(t)
		q.add("m", "a")
		old := q.lease("m", 1)
		if len(q.lease("m", 1)) != 0 {
			t.Error("leased twice")
		}
		q.st.clock.Add(time.Minute)
		q.counts("m", map[store.State]int{store.Pending: 1})
		again := q.lease("m", 1)
		if len(again) != 1 || again[0].Attempts != 2 || again[0].Lease == old[0].Lease {
			t.Fatalf("leased again: %+v", again)
		}
		if err := q.Finish(q.st.ctx, []store.Result{{ID: old[0].ID, Lease: old[0].Lease, State: store.Done}}); !errors.Is(err, store.ErrLease) {
			t.Errorf("the old holder: %v", err)
		}
		q.finish(store.Result{ID: old[0].ID, Lease: again[0].Lease, State: store.Done})
		if err := q.Finish(q.st.ctx, []store.Result{{ID: old[0].ID, Lease: again[0].Lease, State: store.Done}}); !errors.Is(err, store.ErrLease) {
			t.Errorf("finished twice: %v", err)
		}
	})
	t.Run("a finish with one lost lease changes nothing", func(t *testing.T) {
		q := s.newQueue(t)
		q.add("m", "a", "b")
		held := q.lease("m", 2)
		err := q.Finish(q.st.ctx, []store.Result{{ID: held[0].ID, Lease: held[0].Lease, State: store.Done}, {ID: held[1].ID, Lease: "not it", State: store.Done}})
		if !errors.Is(err, store.ErrLease) {
			t.Errorf("got %v", err)
		}
		q.counts("m", map[store.State]int{store.Leased: 2})
		q.finish(store.Result{ID: held[0].ID, Lease: held[0].Lease, State: store.Done})
	})
	t.Run("a retry is not leased before its time", func(t *testing.T) {
		q := s.newQueue(t)
		q.add("m", "a", "b")
		held := q.lease("m", 1)
		q.finish(store.Result{ID: held[0].ID, Lease: held[0].Lease, State: store.Pending, Label: "later", Due: q.st.clock.Now().Add(time.Hour)})
		q.counts("m", map[store.State]int{store.Pending: 2})
		if got := itemBodies(q.lease("m", 5)); !slices.Equal(got, []string{"b"}) {
			t.Errorf("before: %v", got)
		}
		q.st.clock.Add(time.Hour)
		got := q.lease("m", 5)
		if !slices.Contains(itemBodies(got), "a") {
			t.Errorf("after: %v", itemBodies(got))
		}
	})
	testQueueLeasers(t, s)
}

func testQueueLeasers(t *testing.T, s *suite) {
	t.Run("many leasers never hold one item twice", func(t *testing.T) {
		q := s.newQueue(t)
		var bodies []string
		for i := range 200 {
			bodies = append(bodies, fmt.Sprint(i))
		}
		q.add("m", bodies...)
		got := make(chan []store.Item)
		for range 8 {
			go func() {
				var mine []store.Item
				for {
					items, err := q.Lease(q.st.ctx, "m", 3, time.Minute)
					if err != nil {
						t.Error(err)
					}
					if len(items) == 0 {
						break
					}
					mine = append(mine, items...)
				}
				got <- mine
			}()
		}
		seen := map[string]bool{}
		for range 8 {
			for _, it := range <-got {
				if seen[it.ID] {
					t.Errorf("%s was leased twice", it.ID)
				}
				seen[it.ID] = true
			}
		}
		if len(seen) != 200 {
			t.Errorf("%d of 200 leased", len(seen))
		}
	})
}

func testQueueStates(t *testing.T, s *suite) {
	q := s.newQueue(t)
	ids := q.add("m", "a", "b", "c", "d", "e", "f")
	q.add("else", "x")
	held := q.lease("m", 5)
	for i, r := range []store.Result{{State: store.Done, Label: "committed"}, {State: store.Parked, Label: "map"}, {State: store.Parked, Label: "parse"}, {State: store.Parked, Label: "map"}} {
		r.ID, r.Lease = held[i].ID, held[i].Lease
		q.finish(r)
	}
	at := func(i ...int) []string {
		var out []string
		for _, i := range i {
			out = append(out, ids[i])
		}
		return out
	}
	for _, c := range []struct {
		rule string
		p    store.ListParams
		want []string
	}{
		{"list all, newest first", store.ListParams{Limit: 10}, at(5, 4, 3, 2, 1, 0)},
		{"list a state", store.ListParams{State: store.Parked, Limit: 10}, at(3, 2, 1)},
		{"list a label", store.ListParams{State: store.Parked, Label: "map", Limit: 10}, at(3, 1)},
		{"list a label in any state", store.ListParams{Label: "committed", Limit: 10}, at(0)},
		{"list after an id", store.ListParams{State: store.Parked, After: ids[3], Limit: 1}, at(2)},
		{"list all after an id", store.ListParams{After: ids[4], Limit: 2}, at(3, 2)},
		{"list the leased", store.ListParams{State: store.Leased, Limit: 10}, at(4)},
		{"list the pending", store.ListParams{State: store.Pending, Limit: 10}, at(5)},
	} {
		t.Run(c.rule, func(t *testing.T) {
			c.p.Topic = "m"
			items, err := q.List(q.st.ctx, c.p)
			if got := itemIDs(items); err != nil || !slices.Equal(got, c.want) {
				t.Fatalf("got %v, %v; want %v", got, err, c.want)
			}
			for _, it := range items {
				if it.Body != nil || string(it.Note) != "{}" || it.Topic != "m" {
					t.Errorf("item %+v", it)
				}
			}
		})
	}
	t.Run("requeue makes parked and done items pending", func(t *testing.T) {
		if err := q.Requeue(q.st.ctx, at(1, 0)); err != nil {
			t.Fatal(err)
		}
		q.counts("m", map[store.State]int{store.Pending: 3, store.Leased: 1, store.Parked: 2})
		got := itemIDs(q.lease("m", 10))
		slices.Sort(got)
		if !slices.Equal(got, at(0, 1, 5)) {
			t.Errorf("leased %v", got)
		}
		if err := q.Requeue(q.st.ctx, []string{"none"}); !isNotFound(err) {
			t.Errorf("an id that never was: %v", err)
		}
	})
}

func testQueueWait(t *testing.T, s *suite) {
	t.Run("wait ends at once when an item is due", func(t *testing.T) {
		q := s.newQueue(t)
		q.add("m", "a")
		if err := q.Wait(q.st.ctx, "m"); err != nil {
			t.Error(err)
		}
	})
	t.Run("wait ends when an item comes", func(t *testing.T) {
		q := s.newQueue(t)
		ended := make(chan error)
		go func() { ended <- q.Wait(q.st.ctx, "m") }()
		q.add("m", "a")
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(30 * time.Second):
			t.Error("still waiting")
		}
	})
	t.Run("wait ends with its context", func(t *testing.T) {
		q := s.newQueue(t)
		q.add("else", "a")
		ctx, cancel := context.WithTimeout(q.st.ctx, 20*time.Millisecond)
		defer cancel()
		if err := q.Wait(ctx, "m"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}
