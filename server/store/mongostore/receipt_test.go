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

// Where there are no transactions a receipt is claimed, then its write is
// made, then the claim is confirmed. These are the crashes between.
func TestCrashAroundReceipt(t *testing.T) {
	setup := func(t *testing.T) (*Store, *storetest.Clock, func(id string) error) {
		s, clock := handClock(t, func(o *Options) { o.Transactions = "off" })
		return s, clock, func(id string) error {
			w := storetest.Sample{Type: "Patient", ID: id, At: clock.Now()}.Write()
			return s.Commit(t.Context(), store.CommitParams{Writes: []store.Write{w}, Receipt: &store.Receipt{Key: "k", Hash: "h", Answer: []byte(id), Until: clock.Now().Add(time.Hour)}})
		}
	}
	kept := func(t *testing.T, s *Store) string {
		t.Helper()
		r, err := s.Receipt(t.Context(), "k")
		if errors.Is(err, store.ErrNotFound) {
			return "-"
		}
		if err != nil {
			t.Fatal(err)
		}
		return string(r.Answer)
	}
	claimed := func(t *testing.T, s *Store, id string) {
		t.Helper()
		c := claim{ID: "k", Hash: "h", Answer: []byte(id), Until: s.now().Add(time.Hour), At: s.now(), R: "Patient/" + id, V: 1, W: "token"}
		if _, err := s.db.Collection(receiptName).InsertOne(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("after the claim: nothing is kept, and the next writer takes it over", func(t *testing.T) {
		s, clock, commit := setup(t)
		claimed(t, s, "a")
		if got := kept(t, s); got != "-" {
			t.Errorf("kept %s", got)
		}
		clock.Add(Abandon)
		if err := commit("b"); err != nil {
			t.Fatal(err)
		}
		if got := kept(t, s); got != "b" {
			t.Errorf("kept %s", got)
		}
	})
	t.Run("after the claim, and another wrote that version: nothing is kept", func(t *testing.T) {
		s, clock, _ := setup(t)
		claimed(t, s, "a")
		mustCommit(t, s, storetest.Sample{Type: "Patient", ID: "a", At: clock.Now()}.Write())
		if got := kept(t, s); got != "-" {
			t.Errorf("kept %s", got)
		}
	})
	t.Run("after the write: the answer is kept, over later versions too", func(t *testing.T) {
		s, clock, commit := setup(t)
		if err := commit("a"); err != nil {
			t.Fatal(err)
		}
		// As if the confirmation had not come.
		if _, err := s.db.Collection(receiptName).UpdateOne(t.Context(), bson.D{{Key: "_id", Value: "k"}}, bson.D{{Key: "$unset", Value: bson.D{{Key: "ok", Value: ""}}}}); err != nil {
			t.Fatal(err)
		}
		for v := uint64(2); v < 5; v++ {
			if got := kept(t, s); got != "a" {
				t.Errorf("below version %d: kept %s", v, got)
			}
			clock.Add(Abandon)
			mustCommit(t, s, storetest.Sample{Type: "Patient", ID: "a", Version: v, At: clock.Now()}.Write())
		}
		var conflict *store.ConflictError
		if err := commit("b"); !errors.As(err, &conflict) || !conflict.Receipt {
			t.Errorf("a repeat: %v", err)
		}
	})
	t.Run("a claim whose writer may live is waited for", func(t *testing.T) {
		s, _, commit := setup(t)
		claimed(t, s, "a")
		done := make(chan error)
		go func() { done <- commit("b") }()
		select {
		case err := <-done:
			t.Fatalf("it did not wait: %v", err)
		case <-time.After(50 * time.Millisecond):
		}
		if _, err := s.db.Collection(receiptName).DeleteOne(t.Context(), bson.D{{Key: "_id", Value: "k"}}); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// In a transaction a new reference and the delete of its target write to one document.
func TestHold(t *testing.T) {
	s, clock := handClock(t, nil)
	pretend(s)
	if err := s.makeHold(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustCommit(t, s, storetest.Sample{Type: "Patient", ID: "a", At: clock.Now()}.Write())
	held := func() (n int) {
		var docs []bson.M
		cur, err := s.db.Collection(holdName).Find(t.Context(), bson.D{})
		if err == nil {
			err = cur.All(t.Context(), &docs)
		}
		if err != nil {
			t.Fatal(err)
		}
		return len(docs) - 1 // without the one that made the collection
	}
	a := store.Key{Type: "Patient", ID: "a"}
	o := storetest.Sample{Type: "Observation", ID: "o", At: clock.Now()}.Write()
	if err := s.Commit(t.Context(), store.CommitParams{Writes: []store.Write{o}, Requires: []store.Require{{Key: a}}}); err != nil {
		t.Fatal(err)
	}
	if n := held(); n != 1 {
		t.Errorf("a reference holds %d documents", n)
	}
	w := storetest.Sample{Type: "Patient", ID: "a", Version: 2, At: clock.Now()}.Write()
	w.Body, w.Facts, w.Method = nil, nil, store.DELETE
	if err := s.Commit(t.Context(), store.CommitParams{Writes: []store.Write{w}, NoMatch: []*search.Plan{{Type: "Observation", Where: point("subject", "Patient", "a")}}}); err != nil {
		t.Fatal(err)
	}
	if n := held(); n != holdWidth {
		t.Errorf("after a delete %d documents, want %d", n, holdWidth)
	}
}
