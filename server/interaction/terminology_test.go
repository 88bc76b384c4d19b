package interaction

import (
	"context"
	"errors"
	"testing"

	"meridian/server/store"
)

// nothingStore fails every commit.
type nothingStore struct{ store.Store }

var errNothing = errors.New("nothing is stored")

func (nothingStore) Commit(context.Context, store.CommitParams) error        { return errNothing }
func (nothingStore) CommitOrdered(context.Context, store.CommitParams) error { return errNothing }

// Every way to the store counts, also a commit that may have been carried out although it failed.
func TestEveryCommitOfACodeSystemBeginsAnEpoch(t *testing.T) {
	c := &canonicals{}
	n := notingStore{nothingStore{}, &Service{terminology: &Terminology{stored: c}}}
	of := func(typ string) store.CommitParams {
		return store.CommitParams{Writes: []store.Write{{Key: store.Key{Type: "Patient", ID: "p"}}, {Key: store.Key{Type: typ, ID: "x"}}}}
	}
	for i, typ := range []string{"CodeSystem", "ValueSet", "ConceptMap"} {
		if err := n.Commit(t.Context(), of(typ)); err != errNothing {
			t.Fatal(err)
		}
		if err := n.CommitOrdered(t.Context(), of(typ)); err != errNothing {
			t.Fatal(err)
		}
		if got := c.writes.Load(); got != uint64(2*i+2) {
			t.Errorf("%s: %d writes", typ, got)
		}
	}
	before := c.writes.Load()
	_ = n.Commit(t.Context(), of("Observation"))
	if c.writes.Load() != before {
		t.Error("an Observation begins none")
	}
}
