package mongostore

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"meridian/fhir/search"
	"meridian/server/store"
	"meridian/server/store/storetest"
)

// following is an index that gives what the catalog adds, and all else.
type following struct{ catalog atomic.Pointer[store.Catalog] }

func (x *following) adopt(c store.Catalog) error {
	x.catalog.Store(&c)
	return nil
}

func (x *following) index(body []byte) (*search.Facts, error) {
	all, err := storetest.Index(body)
	facts := &search.Facts{}
	c := x.catalog.Load()
	if c != nil {
		facts.Generation = c.Generation
	}
	for i := 0; err == nil && i < len(all.Keys); i++ {
		if k := all.Keys[i]; c != nil && len(c.Added) > 0 || !strings.Contains(k.Param, "@") {
			facts.Keys = append(facts.Keys, k)
		}
	}
	return facts, err
}

// Who gives up does not wait for another who asks a database that is away.
func TestWaitingForTheCatalogEndsWithItsContext(t *testing.T) {
	s := &Store{catalog: newCatalog()}
	if err := s.catalog.hold(t.Context()); err != nil { // by one who asks
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.catalogNow(ctx, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// Two processes over one database: whatever the one writes that has not seen the catalog, when the
// other puts it, is refused or mended by the walk.
func TestAnotherProcessFollowsTheCatalog(t *testing.T) {
	o := testOptions(t)
	o.Settle, o.CatalogAge = 50*time.Millisecond, 100*time.Millisecond
	xs := [2]*following{{}, {}}
	var stores [2]*Store
	for i, x := range xs {
		o.Index, o.Adopt = x.index, x.adopt
		stores[i] = mustOpen(t, o)
	}
	stop := make(chan struct{})
	var writers sync.WaitGroup
	var refused, written atomic.Int32
	for w := range 3 {
		writers.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := writeFollowing(t, stores[1], xs[1], fmt.Sprint("w", w, "-", n), &refused); err != nil {
					t.Error(err)
					return
				}
				written.Add(1)
			}
		})
	}
	for written.Load() < 20 { // by no catalog
		runtime.Gosched()
	}
	added := store.Catalog{Revision: 1, Generation: 1, Added: []store.Added{{Type: "Patient", Param: "shoe@1"}}}
	if err := stores[0].PutCatalog(t.Context(), added); err != nil {
		t.Fatal(err)
	}
	for after := ""; ; {
		page, err := stores[0].Reindex(t.Context(), store.ReindexParams{Type: "Patient", After: after, Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		if after = page.Next; after == "" {
			break
		}
	}
	close(stop)
	writers.Wait()
	got, err := stores[0].Verify(t.Context(), store.VerifyParams{Type: "Patient"})
	if err != nil || got.Differ != 0 || got.Checked == 0 {
		t.Errorf("%+v, %v", got, err)
	}
	if xs[1].catalog.Load() == nil || refused.Load() == 0 {
		t.Error("the other process was never told")
	}
	total, err := stores[1].Count(t.Context(), &search.Plan{Type: "Patient", Where: search.Present{Param: "shoe@1"}}, 0)
	if err != nil || total.N != got.Checked {
		t.Errorf("%d of %d found, %v", total.N, got.Checked, err)
	}
}

func writeFollowing(t *testing.T, s *Store, x *following, id string, refused *atomic.Int32) error {
	w := storetest.Sample{Type: "Patient", ID: id, At: s.now(), Facts: []storetest.Fact{storetest.Token("shoe@1", "s", "40")}}.Write()
	for {
		var err error
		if w.Facts, err = x.index(w.Body); err != nil {
			return err
		}
		err = s.Commit(t.Context(), store.CommitParams{Writes: []store.Write{w}})
		var conflict *store.ConflictError
		if !errors.As(err, &conflict) || !conflict.Stale {
			return err
		}
		refused.Add(1)
	}
}

// Overflow documents are compared and replaced as the head is.
func TestReindexOfOverflow(t *testing.T) {
	x := &following{}
	o := testOptions(t)
	o.Index, o.Adopt = x.index, x.adopt
	s := mustOpen(t, o)
	w := group("big", 1, 2*MaxPostings, s.now()).Write()
	for i := range w.Facts.Keys {
		w.Facts.Keys[i].Value += "x" // not those of its body
	}
	mustCommit(t, s, w)
	check := func(differ int) {
		t.Helper()
		if got, err := s.Verify(t.Context(), store.VerifyParams{Type: w.Type}); err != nil || got != (store.Verification{Checked: 1, Differ: differ}) {
			t.Errorf("%+v, %v", got, err)
		}
	}
	check(1)
	if page, err := s.Reindex(t.Context(), store.ReindexParams{Type: w.Type, Limit: 10}); err != nil || page.Mended != 1 {
		t.Errorf("%+v, %v", page, err)
	}
	check(0)
}
