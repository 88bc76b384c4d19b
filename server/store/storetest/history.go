package storetest

import (
	"fmt"
	"slices"
	"testing"

	"meridian/server/store"
)

// testHistory: https://hl7.org/fhir/R4/http.html#history
func testHistory(t *testing.T, s *suite) {
	st := s.newStore(t)
	a, b, o := Sample{Type: "Patient", ID: "a"}, Sample{Type: "Patient", ID: "b"}, Sample{Type: "Observation", ID: "a"}
	st.put(t, a) // .001
	st.put(t, o) // .002
	st.put(t, a) // .003
	third := st.clock.Now()
	st.put(t, b)          // .004
	st.remove(t, a.Key()) // .005
	fifth := st.clock.Now()
	st.put(t, a) // .006

	for _, c := range []struct {
		rule  string
		p     store.HistoryParams
		want  []string
		total int
	}{
		{"of an instance, newest first, with deletes", store.HistoryParams{Type: "Patient", ID: "a"}, []string{"Patient/a/4", "Patient/a/3 deleted", "Patient/a/2", "Patient/a/1"}, 4},
		{"of an instance with one version", store.HistoryParams{Type: "Observation", ID: "a"}, []string{"Observation/a/1"}, 1},
		{"of an instance that never was", store.HistoryParams{Type: "Patient", ID: "none"}, nil, 0},
		{"of an instance since", store.HistoryParams{Type: "Patient", ID: "a", Since: third}, []string{"Patient/a/4", "Patient/a/3 deleted", "Patient/a/2"}, 3},
		{"of an instance before", store.HistoryParams{Type: "Patient", ID: "a", Before: fifth}, []string{"Patient/a/2", "Patient/a/1"}, 2},
		{"of a type", store.HistoryParams{Type: "Patient"}, []string{"Patient/a/4", "Patient/a/3 deleted", "Patient/b/1", "Patient/a/2", "Patient/a/1"}, -1},
		{"of a type since and before", store.HistoryParams{Type: "Patient", Since: third, Before: fifth}, []string{"Patient/b/1", "Patient/a/2"}, -1},
		{"of a type that never was", store.HistoryParams{Type: "NeverStored"}, nil, -1},
		{"of all", store.HistoryParams{}, []string{"Patient/a/4", "Patient/a/3 deleted", "Patient/b/1", "Patient/a/2", "Observation/a/1", "Patient/a/1"}, -1},
	} {
		t.Run(c.rule, func(t *testing.T) {
			for _, limit := range []int{100, 1, 2} {
				c.p.Limit = limit
				if got := st.history(t, c.p, c.total); !slices.Equal(got, c.want) {
					t.Errorf("in pages of %d: got %v, want %v", limit, got, c.want)
				}
			}
		})
	}
}

// testMethods: a version keeps the method that made it, in every way to read it.
func testMethods(t *testing.T, s *suite) {
	st := s.newStore(t)
	a := Sample{Type: "Patient", ID: "a"}
	methods := []store.Method{store.POST, store.PUT, store.PATCH, store.DELETE, store.PUT, store.PATCH}
	for i, m := range methods {
		w := st.next(t, a)
		if w.Method = m; m == store.DELETE {
			w.Body, w.Facts = nil, nil
		}
		if err := st.Commit(st.ctx, store.CommitParams{Writes: []store.Write{w}}); err != nil {
			t.Fatal(err)
		}
		if r, err := st.Read(st.ctx, a.Key()); err != nil || r.Method != m {
			t.Errorf("version %d read at once: method %d, want %d, %v", i+1, r.Method, m, err)
		}
	}
	for i, m := range methods {
		if r, err := st.ReadVersion(st.ctx, a.Key(), uint64(i+1)); err != nil || r.Method != m {
			t.Errorf("version %d: method %d, want %d, %v", i+1, r.Method, m, err)
		}
	}
	for _, p := range []store.HistoryParams{{Type: "Patient", ID: "a", Limit: 10}, {Type: "Patient", Limit: 10}, {Limit: 10}} {
		page, err := st.History(st.ctx, p)
		if err != nil || len(page.Rows) != len(methods) {
			t.Fatalf("%d versions, %v", len(page.Rows), err)
		}
		for i, r := range page.Rows {
			if want := methods[len(methods)-1-i]; r.Method != want {
				t.Errorf("history of %q, version %d: method %d, want %d", p.Type+"/"+p.ID, r.Version, r.Method, want)
			}
		}
	}
}

// history walks all pages and names their rows.
func (s *subject) history(t testing.TB, p store.HistoryParams, total int) []string {
	t.Helper()
	var out []string
	for {
		page, err := s.History(s.ctx, p)
		if err != nil {
			t.Fatal(err)
		}
		if total != -2 && page.Total != total {
			t.Errorf("total %d, want %d", page.Total, total)
		}
		if len(page.Rows) > p.Limit {
			t.Fatalf("%d rows, the limit is %d", len(page.Rows), p.Limit)
		}
		for _, r := range page.Rows {
			name := fmt.Sprintf("%s/%s/%d", r.Type, r.ID, r.Version)
			if r.Deleted {
				name += " deleted"
			}
			if r.Deleted != (r.Body == nil) {
				t.Errorf("%s: deleted %t, body of %d bytes", name, r.Deleted, len(r.Body))
			}
			out = append(out, name)
		}
		if page.Next == "" {
			return out
		}
		p.After = page.Next
	}
}

// testChanges reads the change log in pieces of different sizes.
func testChanges(t *testing.T, s *suite) {
	st := s.newStore(t)
	if changes, at, err := st.Changes(st.ctx, "", 10); err != nil || len(changes) != 0 {
		t.Errorf("of an empty store: %v at %q, %v", changes, at, err)
	}
	st.put(t, Sample{Type: "Patient", ID: "a"})
	st.put(t, Sample{Type: "Patient", ID: "b"})
	st.remove(t, store.Key{Type: "Patient", ID: "a"})
	if err := st.CommitOrdered(st.ctx, store.CommitParams{Writes: []store.Write{
		st.next(t, Sample{Type: "Observation", ID: "x"}), st.next(t, Sample{Type: "Observation", ID: "y"}), st.next(t, Sample{Type: "Patient", ID: "a"}),
	}}); err != nil {
		t.Fatal(err)
	}
	want := []string{"Patient/a/1", "Patient/b/1", "Patient/a/2 deleted", "Observation/x/1", "Observation/y/1", "Patient/a/3"}
	for limit := 1; limit <= 7; limit++ {
		var got []string
		at := store.Position("")
		for {
			changes, next, err := st.Changes(st.ctx, at, limit)
			if err != nil {
				t.Fatal(err)
			}
			if len(changes) == 0 {
				break
			}
			got = append(got, changeNames(changes)...)
			at = next
		}
		if !slices.Equal(got, want) {
			t.Errorf("in pieces of %d: got %v, want %v", limit, got, want)
		}
		if changes, next, err := st.Changes(st.ctx, at, limit); err != nil || len(changes) != 0 || next != at {
			t.Errorf("at the end: %v, from %q to %q, %v", changes, at, next, err)
		}
	}
	t.Run("a reader goes on where it was", func(t *testing.T) {
		changes, at, err := st.Changes(st.ctx, "", 100)
		if err != nil || len(changes) == 0 {
			t.Fatal(changes, err)
		}
		st.put(t, Sample{Type: "Patient", ID: "new"})
		more, _, err := st.Changes(st.ctx, at, 100)
		if got := changeNames(more); err != nil || !slices.Equal(got, []string{"Patient/new/1"}) {
			t.Errorf("after the end: %v, %v", got, err)
		}
		more, _, err = st.Changes(st.ctx, changes[3].At, 100)
		if got := changeNames(more); err != nil || !slices.Equal(got, []string{"Observation/y/1", "Patient/a/3", "Patient/new/1"}) {
			t.Errorf("after a change's own position: %v, %v", got, err)
		}
	})
}

func changeNames(changes []store.Change) []string {
	var out []string
	for _, c := range changes {
		name := fmt.Sprintf("%s/%s/%d", c.Type, c.ID, c.Version)
		if c.Deleted {
			name += " deleted"
		}
		out = append(out, name)
	}
	return out
}
