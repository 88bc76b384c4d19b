package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"meridian/fhir/search"
	"meridian/server/store"
)

func testCommit(t *testing.T, s *suite) {
	t.Run("an update replaces the facts", func(t *testing.T) {
		st := s.newStore(t)
		st.put(t, Sample{Type: "Observation", ID: "a", Facts: []Fact{Token("code", "s", "x"), Span("date", "2020", "2021")}})
		st.put(t, Sample{Type: "Observation", ID: "a", Facts: []Fact{Token("code", "s", "y"), Span("date", "2020", "2022")}})
		st.expect(t, point("code", "", "x"))
		st.expect(t, point("code", "s", "y"), "a")
		st.expect(t, search.Box{Param: "date", HiMax: "2022"})
		st.expect(t, search.Box{Param: "date", HiMin: "2022"}, "a")
	})
	t.Run("a delete takes the resource out of every search, an undelete brings it back", func(t *testing.T) {
		st := s.newStore(t)
		a := Sample{Type: "Observation", ID: "a", Facts: []Fact{Token("code", "s", "x"), Span("date", "2020", "2021")}}
		st.put(t, a)
		st.remove(t, a.Key())
		for _, e := range []search.Expr{search.All{}, point("code", "", "x"), search.Present{Param: "date"}, search.IDs{IDs: []string{"a"}}, search.Not{Of: point("code", "", "y")}, search.Box{Param: "date"}} {
			st.expect(t, e)
		}
		st.put(t, a)
		for _, e := range []search.Expr{search.All{}, point("code", "", "x"), search.Present{Param: "date"}, search.IDs{IDs: []string{"a"}}, search.Box{Param: "date"}} {
			st.expect(t, e, "a")
		}
	})
	t.Run("what is written as new is a resource as any other", func(t *testing.T) {
		st := s.newStore(t)
		a := Sample{Type: "Observation", ID: "a", Facts: []Fact{Token("code", "s", "x")}}
		w := st.next(t, a)
		w.New = true
		if err := st.Commit(st.ctx, store.CommitParams{Writes: []store.Write{w}}); err != nil {
			t.Fatal(err)
		}
		st.expect(t, point("code", "", "x"), "a")
		st.put(t, Sample{Type: "Observation", ID: "a", Facts: []Fact{Token("code", "s", "y")}})
		if r, err := st.Read(st.ctx, a.Key()); err != nil || r.Version != 2 {
			t.Errorf("version %d, %v; want 2", r.Version, err)
		}
		st.expect(t, point("code", "s", "x"))
		st.expect(t, point("code", "s", "y"), "a")
	})
	testCommitMany(t, s)
}

func testCommitMany(t *testing.T, s *suite) {
	writes := func(st *subject) []store.Write {
		var out []store.Write
		for i := range 30 {
			out = append(out, st.next(t, Sample{Type: []string{"Patient", "Observation"}[i%2], ID: fmt.Sprint("r", i), Facts: []Fact{Token("code", "s", "x")}}))
		}
		return out
	}
	t.Run("several writes are one commit, numbered in their order", func(t *testing.T) {
		st := s.newStore(t)
		err := st.Commit(st.ctx, store.CommitParams{Writes: writes(st)})
		if s.lacks.Transactions {
			if !errors.Is(err, store.ErrNoTransactions) || st.Transactions() {
				t.Errorf("got %v, transactions %t; want ErrNoTransactions", err, st.Transactions())
			}
			st.expect(t, search.All{})
			return
		}
		if err != nil || !st.Transactions() {
			t.Fatalf("%v, transactions %t", err, st.Transactions())
		}
		if got, want := st.ids(t, search.Plan{Type: "Patient", Limit: 100}), []string{"r0", "r2", "r4"}; len(got) != 15 || !slices.Equal(got[:3], want) {
			t.Errorf("got %v", got)
		}
	})
	t.Run("a failed precondition in one of several writes leaves nothing", func(t *testing.T) {
		if s.lacks.Transactions {
			t.Skip("lacks Transactions")
		}
		st := s.newStore(t)
		ws := writes(st)
		ws[17].Expect = store.Version(4)
		err := st.Commit(st.ctx, store.CommitParams{Writes: ws})
		var conflict *store.ConflictError
		if !errors.As(err, &conflict) || conflict.Index != 17 || conflict.Key != ws[17].Key || conflict.Current != 0 || conflict.Require {
			t.Fatalf("got %v", err)
		}
		st.expect(t, search.All{})
		if _, err := st.Read(st.ctx, ws[0].Key); !isNotFound(err) {
			t.Errorf("read: %v", err)
		}
		if changes, _, err := st.Changes(st.ctx, "", 100); err != nil || len(changes) != 0 {
			t.Errorf("%d changes, %v", len(changes), err)
		}
	})
	t.Run("CommitOrdered writes all", func(t *testing.T) {
		st := s.newStore(t)
		if err := st.CommitOrdered(st.ctx, store.CommitParams{Writes: writes(st)}); err != nil {
			t.Fatal(err)
		}
		if n := len(st.ids(t, search.Plan{Type: "Observation", Where: point("code", "s", "x"), Limit: 100})); n != 15 {
			t.Errorf("%d found", n)
		}
	})
	t.Run("one key twice in a commit is refused", func(t *testing.T) {
		st := s.newStore(t)
		w := st.next(t, Sample{Type: "Patient", ID: "a"})
		if err := st.Commit(st.ctx, store.CommitParams{Writes: []store.Write{w, w}}); err == nil {
			t.Error("taken")
		}
	})
	t.Run("a commit without writes does nothing", func(t *testing.T) {
		st := s.newStore(t)
		if err := st.Commit(st.ctx, store.CommitParams{}); err != nil {
			t.Error(err)
		}
	})
}

func testPrecondition(t *testing.T, s *suite) {
	type state int
	const (
		never state = iota
		atTwo
		deleted // at version 3
	)
	for _, c := range []struct {
		rule    string
		state   state
		expect  store.Expect
		version uint64 // that the write makes
		ok      bool
	}{
		{"any holds where nothing was", never, store.Any, 1, true},
		{"any holds on a version", atTwo, store.Any, 3, true},
		{"absent holds where nothing was", never, store.Absent, 1, true},
		{"absent fails on a version", atTwo, store.Absent, 3, false},
		{"absent holds after a delete", deleted, store.Absent, 4, true},
		{"a version fails where nothing was", never, store.Version(1), 1, false},
		{"a version holds when it is current", atTwo, store.Version(2), 3, true},
		{"a version fails when another is current", atTwo, store.Version(1), 3, false},
		{"a deleted version counts", deleted, store.Version(3), 4, true},
		{"a version before a delete does not", deleted, store.Version(2), 4, false},
		{"a lost race shows: the version is taken", atTwo, store.Any, 2, false},
		{"a version that is not the next one fails", atTwo, store.Any, 4, false},
		{"a second first version fails", atTwo, store.Any, 1, false},
	} {
		t.Run(c.rule, func(t *testing.T) {
			st := s.newStore(t)
			a := Sample{Type: "Patient", ID: "a"}
			current := map[state]uint64{never: 0, atTwo: 2, deleted: 3}[c.state]
			for range min(current, 2) {
				st.put(t, a)
			}
			if c.state == deleted {
				st.remove(t, a.Key())
			}
			a.Version, a.Note = c.version, "written"
			a.At = st.clock.Now().Add(time.Millisecond)
			w := a.Write()
			w.Expect = c.expect
			err := st.Commit(st.ctx, store.CommitParams{Writes: []store.Write{w}})
			if c.ok {
				if err != nil {
					t.Fatal(err)
				}
				if r, err := st.Read(st.ctx, a.Key()); err != nil || r.Version != c.version {
					t.Errorf("stands at %d, %v", r.Version, err)
				}
				return
			}
			var conflict *store.ConflictError
			if !errors.As(err, &conflict) || conflict.Current != current || conflict.Key != a.Key() || conflict.Match != nil {
				t.Fatalf("got %v, want a conflict at version %d", err, current)
			}
			if r, err := st.Read(st.ctx, a.Key()); current > 0 && (err != nil || r.Version != current) {
				t.Errorf("stands at %d, %v", r.Version, err)
			}
		})
	}
	testUnless(t, s)
	testRequires(t, s)
}

func testUnless(t *testing.T, s *suite) {
	st := s.newStore(t)
	st.put(t, Sample{Type: "Patient", ID: "a", Facts: []Fact{Token("identifier", "mrn", "1")}})
	unless := func(code string) *search.Plan {
		return &search.Plan{Type: "Patient", Where: point("identifier", "mrn", code), Limit: 2}
	}
	write := func(t *testing.T, id, code string) error {
		w := st.next(t, Sample{Type: "Patient", ID: id, Facts: []Fact{Token("identifier", "mrn", code)}})
		w.Unless, w.UnlessKey = unless(code), "Patient?identifier=mrn|"+code
		return st.Commit(st.ctx, store.CommitParams{Writes: []store.Write{w}})
	}
	t.Run("unless holds where nothing matches", func(t *testing.T) {
		if err := write(t, "b", "2"); err != nil {
			t.Error(err)
		}
	})
	t.Run("unless fails on another resource and names it", func(t *testing.T) {
		var conflict *store.ConflictError
		if err := write(t, "c", "1"); !errors.As(err, &conflict) || conflict.Match == nil || *conflict.Match != (store.Key{Type: "Patient", ID: "a"}) {
			t.Errorf("got %v", err)
		}
		if _, err := st.Read(st.ctx, store.Key{Type: "Patient", ID: "c"}); !isNotFound(err) {
			t.Errorf("read: %v", err)
		}
	})
	t.Run("unless does not count the resource itself", func(t *testing.T) {
		if err := write(t, "a", "1"); err != nil {
			t.Error(err)
		}
	})
	t.Run("unless holds again when the other is deleted", func(t *testing.T) {
		st.remove(t, store.Key{Type: "Patient", ID: "b"})
		if err := write(t, "d", "2"); err != nil {
			t.Error(err)
		}
	})
	t.Run("unless holds again when the other has changed", func(t *testing.T) {
		st.put(t, Sample{Type: "Patient", ID: "d", Facts: []Fact{Token("identifier", "mrn", "3")}})
		if err := write(t, "e", "2"); err != nil {
			t.Error(err)
		}
	})
}

func testRequires(t *testing.T, s *suite) {
	for _, c := range []struct {
		rule    string
		id      string
		version uint64
		ok      bool
	}{
		{"a required version that stands", "a", 2, true},
		{"a required version that has changed", "a", 1, false},
		{"a required resource, any version", "a", 0, true},
		{"a required resource that is deleted", "gone", 0, false},
		{"a required version that is deleted", "gone", 2, false},
		{"a required resource that never was", "none", 0, false},
	} {
		t.Run(c.rule, func(t *testing.T) {
			st := s.newStore(t)
			st.put(t, Sample{Type: "Patient", ID: "a"})
			st.put(t, Sample{Type: "Patient", ID: "a"})
			st.put(t, Sample{Type: "Patient", ID: "gone"})
			st.remove(t, store.Key{Type: "Patient", ID: "gone"})
			w := st.next(t, Sample{Type: "Observation", ID: "o"})
			key := store.Key{Type: "Patient", ID: c.id}
			err := st.Commit(st.ctx, store.CommitParams{Writes: []store.Write{w}, Requires: []store.Require{{Key: key, Version: c.version}}})
			var conflict *store.ConflictError
			if c.ok && err != nil || !c.ok && (!errors.As(err, &conflict) || !conflict.Require || conflict.Index != 0 || conflict.Key != key) {
				t.Fatalf("got %v", err)
			}
			if _, err := st.Read(st.ctx, w.Key); isNotFound(err) == c.ok {
				t.Errorf("the write: %v", err)
			}
		})
	}
}

func point(param, scope, value string) search.Point {
	return search.Point{Key: search.Key{Param: param, Scope: scope, Value: value}}
}

// expect searches Observations for e and compares the ids, in the order of their numbers.
func (s *subject) expect(t testing.TB, e search.Expr, want ...string) {
	t.Helper()
	got := s.ids(t, search.Plan{Type: "Observation", Where: e, Limit: 100})
	if !slices.Equal(got, want) {
		t.Errorf("%T %+v: got %v, want %v", e, e, got, want)
	}
}
