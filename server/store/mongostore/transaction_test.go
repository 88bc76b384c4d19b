package mongostore

import (
	"errors"
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
		o.Index, o.IndexVersion, o.Clock = c.Index, c.IndexVersion, c.Clock
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
