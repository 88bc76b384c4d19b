package mongostore

import (
	"errors"
	"slices"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"meridian/fhir/search"
	"meridian/server/store"
	"meridian/server/store/storetest"
)

// pretend gives s sessions that begin and end and do nothing: the writes of a
// transaction are made as they come. What isolation and rollback give is not
// tested by it, all else of the path is.
func pretend(s *Store) *Store {
	if !s.transactions {
		s.transactions = true
		s.sessions = func() (session, error) { return &fakeSession{}, nil }
	}
	return s
}

func TestContractThroughTransactions(t *testing.T) {
	open := func(t testing.TB, c storetest.Config) store.Store {
		o := testOptions(t)
		o.Index, o.Adopt, o.IndexVersion, o.Clock = c.Index, c.Adopt, c.IndexVersion, c.Clock
		s, err := Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		return pretend(s)
	}
	uri(t)
	for seed := range uint64(4) {
		storetest.Random(t, open, storetest.Lacks{}, 100+seed, 120)
	}
}

func TestTransaction(t *testing.T) {
	s, clock := handClock(t, nil)
	pretend(s)
	patient := func(id string, v uint64) store.Write {
		return storetest.Sample{Type: "Patient", ID: id, Version: v, At: clock.Now(), Facts: []storetest.Fact{storetest.Token("identifier", "mrn", id)}}.Write()
	}
	commit := func(p store.CommitParams) *store.ConflictError {
		t.Helper()
		err := s.Commit(t.Context(), p)
		var conflict *store.ConflictError
		if err != nil && !errors.As(err, &conflict) {
			t.Fatal(err)
		}
		return conflict
	}
	if c := commit(store.CommitParams{Writes: []store.Write{patient("a", 1), patient("b", 1)}}); c != nil {
		t.Fatal(c)
	}
	t.Run("a failed precondition of one write stops all", func(t *testing.T) {
		w := patient("b", 2)
		w.Expect = store.Version(7)
		if c := commit(store.CommitParams{Writes: []store.Write{patient("a", 2), w}}); c == nil || c.Index != 1 || c.Current != 1 {
			t.Errorf("got %v", c)
		}
		if r, err := s.Read(t.Context(), store.Key{Type: "Patient", ID: "a"}); err != nil || r.Version != 1 {
			t.Errorf("a stands at %d, %v", r.Version, err)
		}
	})
	t.Run("a required resource is held", func(t *testing.T) {
		p := store.CommitParams{Writes: []store.Write{patient("c", 1)}, Requires: []store.Require{{Key: store.Key{Type: "Patient", ID: "a"}, Version: 1}}}
		if c := commit(p); c != nil {
			t.Fatal(c)
		}
		var d struct{ Q int64 }
		if err := s.db.Collection("Patient").FindOne(t.Context(), bson.D{{Key: "_id", Value: "Patient/a"}}).Decode(&d); err != nil || d.Q != 1 {
			t.Errorf("held %d times, %v", d.Q, err)
		}
	})
	t.Run("a criterion that is left over is freed and the transaction tried again", func(t *testing.T) {
		criterion := func(w store.Write) store.Write {
			w.Unless, w.UnlessKey = &search.Plan{Type: "Patient", Where: point("identifier", "mrn", "nobody")}, "identifier=mrn|nobody"
			return w
		}
		mustCommit(t, s, criterion(patient("d", 1)))
		if c := commit(store.CommitParams{Writes: []store.Write{criterion(patient("e", 1)), patient("f", 1)}}); c != nil {
			t.Error(c)
		}
	})
	t.Run("a history entry that a single write left ahead is replaced", func(t *testing.T) {
		leave(t, s, store.Key{Type: "Patient", ID: "a"}, 2)
		if c := commit(store.CommitParams{Writes: []store.Write{patient("a", 2), patient("b", 2)}}); c != nil {
			t.Fatal(c)
		}
		page, err := s.History(t.Context(), store.HistoryParams{Type: "Patient", ID: "a", Limit: 9})
		if err != nil || len(page.Rows) != 2 || page.Rows[0].Deleted || page.Rows[1].Body == nil {
			t.Errorf("%+v, %v", page.Rows, err)
		}
	})
	t.Run("no more than MaxTransactions are open at once", func(t *testing.T) {
		for range cap(s.slots) {
			s.slots <- struct{}{}
		}
		done := make(chan *store.ConflictError)
		go func() { done <- commit(store.CommitParams{Writes: []store.Write{patient("x", 1), patient("y", 1)}}) }()
		select {
		case <-done:
			t.Error("it did not wait")
		case <-time.After(50 * time.Millisecond):
			<-s.slots
			if c := <-done; c != nil {
				t.Error(c)
			}
		}
	})
}

func TestWithoutTransactions(t *testing.T) {
	s, clock := handClock(t, func(o *Options) { o.Transactions = "off" })
	a := storetest.Sample{Type: "Patient", ID: "a", At: clock.Now()}.Write()
	b := storetest.Sample{Type: "Patient", ID: "b", At: clock.Now()}.Write()
	if err := s.Commit(t.Context(), store.CommitParams{Writes: []store.Write{a, b}}); !errors.Is(err, store.ErrNoTransactions) {
		t.Errorf("several writes: %v", err)
	}
	if _, err := s.Read(t.Context(), a.Key); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("half applied: %v", err)
	}
	none := store.Require{Key: store.Key{Type: "Patient", ID: "none"}}
	var conflict *store.ConflictError
	if err := s.Commit(t.Context(), store.CommitParams{Writes: []store.Write{a}, Requires: []store.Require{none}}); !errors.As(err, &conflict) || !conflict.Require {
		t.Errorf("a requirement that does not hold: %v", err)
	}
	if err := s.CommitOrdered(t.Context(), store.CommitParams{Writes: []store.Write{a, a}}); err == nil {
		t.Error("a resource twice in one commit is taken")
	}
	late := b
	late.Expect = store.Version(3)
	if err := s.CommitOrdered(t.Context(), store.CommitParams{Writes: []store.Write{a, late}}); !errors.As(err, &conflict) || conflict.Index != 1 {
		t.Errorf("ordered: %v", err)
	}
	if _, err := s.Read(t.Context(), a.Key); err != nil {
		t.Errorf("the prefix before the failure: %v", err)
	}
}

// What isolation adds to it, that one of two racing transactions is tried
// again, only a sharded cluster shows.
func TestGuardBehindMongos(t *testing.T) {
	s, clock := handClock(t, nil)
	pretend(s).guarded = true
	create := func(id string) error {
		w := storetest.Sample{Type: "Patient", ID: id, At: clock.Now(), Facts: []storetest.Fact{storetest.Token("identifier", "mrn", "1")}}.Write()
		w.Unless, w.UnlessKey = &search.Plan{Type: "Patient", Where: point("identifier", "mrn", "1")}, "identifier=mrn|1"
		return s.Commit(t.Context(), store.CommitParams{Writes: []store.Write{w}})
	}
	if err := create("a"); err != nil {
		t.Fatal(err)
	}
	var conflict *store.ConflictError
	if err := create("b"); !errors.As(err, &conflict) || conflict.Match == nil || conflict.Match.ID != "a" {
		t.Errorf("a second: %v", err)
	}
	if u := criteria(t, s, "a"); len(u) != 0 {
		t.Errorf("the resource holds %q", u)
	}
	var guards []struct{ N int64 }
	cur, err := s.db.Collection(guardName).Find(t.Context(), bson.D{})
	if err != nil {
		t.Fatal(err)
	}
	if err := cur.All(t.Context(), &guards); err != nil || len(guards) != 1 || guards[0].N != 2 {
		t.Errorf("guards %+v, %v", guards, err)
	}
	specs, err := s.db.Collection("Patient").Indexes().ListSpecifications(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range specs {
		if x.Unique != nil && *x.Unique && x.Name != "_id_" {
			t.Errorf("unique index %s, which a collection sharded by _id refuses", x.Name)
		}
	}
}

func TestOrdered(t *testing.T) {
	s, clock := handClock(t, func(o *Options) { o.Transactions = "off" })
	write := func(typ, id string, v uint64) store.Write {
		return storetest.Sample{Type: typ, ID: id, Version: v, At: clock.Now(), Facts: []storetest.Fact{storetest.Text("code", "x")}}.Write()
	}
	versions := func(keys ...store.Key) []uint64 {
		t.Helper()
		got, err := s.ReadMany(t.Context(), keys)
		if err != nil {
			t.Fatal(err)
		}
		var out []uint64
		for _, r := range got {
			out = append(out, r.Version)
		}
		return out
	}
	p, o1, o2, o3, r := store.Key{Type: "Patient", ID: "p"}, store.Key{Type: "Observation", ID: "1"}, store.Key{Type: "Observation", ID: "2"}, store.Key{Type: "Observation", ID: "3"}, store.Key{Type: "DiagnosticReport", ID: "r"}
	mustCommit(t, s, write("Patient", "p", 1))
	first := []store.Write{write("Patient", "p", 2), write("Observation", "1", 1), write("Observation", "2", 1), write("DiagnosticReport", "r", 1)}
	if err := s.CommitOrdered(t.Context(), store.CommitParams{Writes: first}); err != nil {
		t.Fatal(err)
	}
	if got := versions(p, o1, o2, r); !slices.Equal(got, []uint64{2, 1, 1, 1}) {
		t.Errorf("versions %v", got)
	}
	if h, err := s.History(t.Context(), store.HistoryParams{Type: "Patient", ID: "p", Limit: 5}); err != nil || len(h.Rows) != 2 || h.Rows[1].Body == nil {
		t.Errorf("history %+v, %v", h, err)
	}
	t.Run("a failed precondition stops it behind what comes before", func(t *testing.T) {
		again := []store.Write{write("Patient", "p", 3), write("Observation", "3", 1), write("Observation", "2", 1), write("DiagnosticReport", "r", 2)}
		var conflict *store.ConflictError
		if err := s.CommitOrdered(t.Context(), store.CommitParams{Writes: again}); !errors.As(err, &conflict) || conflict.Index != 2 || conflict.Current != 1 {
			t.Errorf("got %v", err)
		}
		if got := versions(p, o3, o2, r); !slices.Equal(got, []uint64{3, 1, 1, 1}) {
			t.Errorf("versions %v", got)
		}
	})
	t.Run("an entry that was left ahead is taken over on the way", func(t *testing.T) {
		leave(t, s, store.Key{Type: "Observation", ID: "5"}, 1)
		clock.Add(Abandon)
		if err := s.CommitOrdered(t.Context(), store.CommitParams{Writes: []store.Write{write("Observation", "4", 1), write("Observation", "5", 1), write("Observation", "6", 1)}}); err != nil {
			t.Fatal(err)
		}
		changes, _, err := s.Changes(t.Context(), "", 100)
		if n := len(changes); err != nil || n != 10 {
			t.Errorf("%d changes, %v", n, err)
		}
	})
	t.Run("a head that another writer puts in between", func(t *testing.T) {
		writes := []store.Write{write("Observation", "7", 1), write("Observation", "8", 1), write("Observation", "9", 1)}
		b := &bundle{p: store.CommitParams{Writes: writes}, parts: make([][]part, 3)}
		for i := range writes {
			h, _, err := newHead(&writes[i], "test-1")
			if err != nil {
				t.Fatal(err)
			}
			b.heads = append(b.heads, h)
		}
		if err := s.number(t.Context(), b, nil); err != nil {
			t.Fatal(err)
		}
		if ok, err := s.claimAll(t.Context(), b, nil); !ok || err != nil {
			t.Fatal(ok, err)
		}
		other := *b.heads[1]
		other.P++
		if _, err := s.db.Collection("Observation").InsertOne(t.Context(), other); err != nil {
			t.Fatal(err)
		}
		if n, err := s.swapAll(t.Context(), b, nil); n != 1 || err != nil {
			t.Errorf("%d of 3, %v", n, err)
		}
		if got := versions(store.Key{Type: "Observation", ID: "7"}, store.Key{Type: "Observation", ID: "9"}); !slices.Equal(got, []uint64{1, 0}) {
			t.Errorf("versions %v", got)
		}
		s.landAll(b)
	})
}

// On a cluster a conflict is told when the majority has what stands in the way.
func TestConflictWaitsForTheMajority(t *testing.T) {
	s, clock := handClock(t, nil)
	s.majority = s.db
	w := storetest.Sample{Type: "Patient", ID: "a", At: clock.Now()}.Write()
	mustCommit(t, s, w)
	var conflict *store.ConflictError
	if err := s.Commit(t.Context(), store.CommitParams{Writes: []store.Write{w}}); !errors.As(err, &conflict) {
		t.Fatal(err)
	}
	var d struct{ Q int64 }
	if err := s.db.Collection("Patient").FindOne(t.Context(), bson.D{{Key: "_id", Value: "Patient/a"}}).Decode(&d); err != nil || d.Q != 1 {
		t.Errorf("touched %d times, %v", d.Q, err)
	}
}
