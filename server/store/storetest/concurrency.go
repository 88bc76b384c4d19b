package storetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"meridian/fhir/search"
	"meridian/server/store"
)

func testConcurrency(t *testing.T, s *suite) {
	t.Run("200 creates under one criterion give exactly one resource", func(t *testing.T) {
		st := s.newStore(t)
		unless := &search.Plan{Type: "Patient", Where: point("identifier", "mrn", "1"), Limit: 2}
		var created, conflicts atomic.Int32
		together(200, func(i int) {
			w := Sample{Type: "Patient", ID: fmt.Sprint("p", i), At: st.clock.Now(), Facts: []Fact{Token("identifier", "mrn", "1")}}.Write()
			w.Unless, w.UnlessKey = unless, "Patient?identifier=mrn|1"
			var conflict *store.ConflictError
			switch err := st.Commit(st.ctx, store.CommitParams{Writes: []store.Write{w}}); {
			case err == nil:
				created.Add(1)
			case errors.As(err, &conflict):
				conflicts.Add(1)
			default:
				t.Error(err)
			}
		})
		if created.Load() != 1 || conflicts.Load() != 199 {
			t.Errorf("%d created, %d conflicts", created.Load(), conflicts.Load())
		}
		if ids := st.ids(t, *unless); len(ids) != 1 {
			t.Errorf("found %v", ids)
		}
	})
	t.Run("racing updates lose none", func(t *testing.T) {
		st := s.newStore(t)
		key := store.Key{Type: "Patient", ID: "a"}
		const writers, each = 16, 10
		together(writers, func(i int) {
			for done := 0; done < each; {
				r, err := st.Read(st.ctx, key)
				if err != nil && !isNotFound(err) {
					t.Error(err)
					return
				}
				w := Sample{Type: "Patient", ID: "a", Version: r.Version + 1, At: st.clock.Now().Add(time.Duration(r.Version) * time.Millisecond), Facts: []Fact{Token("tag", "s", fmt.Sprint("v", r.Version+1))}}.Write()
				var conflict *store.ConflictError
				switch err := st.Commit(st.ctx, store.CommitParams{Writes: []store.Write{w}}); {
				case err == nil:
					done++
				case !errors.As(err, &conflict):
					t.Error(err)
					return
				}
			}
		})
		if r, err := st.Read(st.ctx, key); err != nil || r.Version != writers*each {
			t.Errorf("stands at %d, %v", r.Version, err)
		}
		for v, want := range map[int]int{1: 0, writers*each - 1: 0, writers * each: 1} {
			if n := len(st.ids(t, search.Plan{Type: "Patient", Where: point("tag", "s", fmt.Sprint("v", v)), Limit: 2})); n != want {
				t.Errorf("facts of version %d: %d found, want %d", v, n, want)
			}
		}
		if got := st.history(t, store.HistoryParams{Type: "Patient", ID: "a", Limit: 1000}, writers*each); len(got) != writers*each {
			t.Errorf("%d versions in the history", len(got))
		}
	})
	testConcurrentReaders(t, s)
}

// testConcurrentReaders: what is acknowledged is seen by every later read, and
// the change log shows each commit once.
func testConcurrentReaders(t *testing.T, s *suite) {
	t.Run("what was acknowledged is read and found", func(t *testing.T) {
		st := s.newStore(t)
		const writers, each = 8, 25
		together(writers, func(i int) {
			for n := range each {
				sm := Sample{Type: "Observation", ID: fmt.Sprintf("w%d-%d", i, n), At: st.clock.Now(), Facts: []Fact{Token("code", "s", "x"), Token("writer", "s", fmt.Sprint(i))}}
				if err := st.Commit(st.ctx, store.CommitParams{Writes: []store.Write{sm.Write()}}); err != nil {
					t.Error(err)
					return
				}
				if r, err := st.Read(st.ctx, sm.Key()); err != nil || r.Version != 1 {
					t.Errorf("read: %+v, %v", r, err)
				}
				if got := len(st.ids(t, search.Plan{Type: "Observation", Where: point("writer", "s", fmt.Sprint(i)), Limit: 100})); got != n+1 {
					t.Errorf("writer %d finds %d of its %d", i, got, n+1)
				}
			}
		})
		seen := map[store.Key]int{}
		for at, more := store.Position(""), true; more; {
			changes, next, err := st.Changes(st.ctx, at, 7)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range changes {
				seen[c.Key]++
			}
			at, more = next, len(changes) > 0
		}
		if len(seen) != writers*each {
			t.Errorf("%d changes of %d", len(seen), writers*each)
		}
		for key, n := range seen {
			if n != 1 {
				t.Errorf("%s/%s changed %d times", key.Type, key.ID, n)
			}
		}
	})
}

func together(n int, f func(i int)) {
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-begin
			f(i)
		})
	}
	close(begin)
	wg.Wait()
}
