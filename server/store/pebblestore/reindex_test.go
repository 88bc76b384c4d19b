package pebblestore

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"meridian/fhir/search"
	"meridian/server/store"
	"meridian/server/store/storetest"
)

// following is an index that gives what the catalog adds, and all else.
type following struct{ catalog store.Catalog }

func (x *following) adopt(c store.Catalog) error {
	x.catalog = c
	return nil
}

func (x *following) index(body []byte) (*search.Facts, error) {
	all, err := storetest.Index(body)
	facts := &search.Facts{Generation: x.catalog.Generation}
	for i := 0; err == nil && i < len(all.Keys); i++ {
		if k := all.Keys[i]; len(x.catalog.Added) > 0 || !strings.Contains(k.Param, "@") {
			facts.Keys = append(facts.Keys, k)
		}
	}
	return facts, err
}

func (x *following) write(t *testing.T, sm storetest.Sample) store.Write {
	t.Helper()
	w := sm.Write()
	facts, err := x.index(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	w.Facts = facts
	return w
}

func openFollowing(t *testing.T, version string, fs vfs.FS) (*Store, *following) {
	t.Helper()
	x := &following{}
	s, err := Open(Options{Dir: "db", FS: fs, Index: x.index, Adopt: x.adopt, IndexVersion: version, MemTableBytes: 256 << 10, CacheBytes: 2 << 20})
	if err != nil {
		t.Fatal(err)
	}
	return s, x
}

func shoe(id string, version uint64) storetest.Sample {
	return storetest.Sample{Type: "Patient", ID: id, Version: version, At: time.Unix(1e9, 0), Facts: []storetest.Fact{storetest.Token("code", "s", "x"), storetest.Token("shoe@1", "s", "40")}}
}

var (
	withShoe  = store.Catalog{Revision: 1, Generation: 1, Added: []store.Added{{Type: "Patient", Param: "shoe@1"}}}
	shoePoint = search.Point{Key: search.Key{Param: "shoe@1", Value: "40"}}
)

// A deletion that was prepared before a catalog removes keys by the index of then; the walk may come between.
func TestWhatWasPreparedBeforeACatalogIsPreparedAgain(t *testing.T) {
	s, x := openFollowing(t, "1", vfs.NewMem())
	defer s.Close()
	w := x.write(t, shoe("p1", 1))
	if err := s.Commit(t.Context(), store.CommitParams{Writes: []store.Write{w}}); err != nil {
		t.Fatal(err)
	}
	p := store.CommitParams{Writes: []store.Write{{Key: w.Key, Version: 2, LastUpdated: w.LastUpdated, Method: store.DELETE}}}
	early, err := s.prepare(&p)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.PutCatalog(t.Context(), withShoe); err != nil {
		t.Fatal(err)
	}
	if page, err := s.Reindex(t.Context(), store.ReindexParams{Type: "Patient", Limit: 10}); err != nil || page.Mended != 1 || len(found(t, s, "Patient", shoePoint)) != 1 {
		t.Fatalf("%+v, %v", page, err)
	}
	if err := s.submit(t.Context(), &request{commit: &p, prepared: early}); err != nil {
		t.Fatal(err)
	}
	if got := found(t, s, "Patient", shoePoint); len(got) != 0 {
		t.Errorf("a deleted resource is found: %v", got)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// A walk that was prepared before one of its resources was written is prepared again.
func TestAWalkSeesWhatWasWrittenSinceItLooked(t *testing.T) {
	s, x := openFollowing(t, "1", vfs.NewMem())
	defer s.Close()
	if err := s.Commit(t.Context(), store.CommitParams{Writes: []store.Write{x.write(t, shoe("p1", 1))}}); err != nil {
		t.Fatal(err)
	}
	if err := s.PutCatalog(t.Context(), withShoe); err != nil {
		t.Fatal(err)
	}
	var page store.ReindexPage
	commit := &store.CommitParams{Requires: []store.Require{{Key: store.Key{Type: "Patient", ID: "p1"}}}}
	again := func() (*prepared, error) { return s.prepareReindex(commit, s.names.typ("Patient"), nil, &page) }
	early, err := again()
	if err != nil {
		t.Fatal(err)
	}
	barefoot := shoe("p1", 2)
	barefoot.Facts = barefoot.Facts[:1]
	if err := s.Commit(t.Context(), store.CommitParams{Writes: []store.Write{x.write(t, barefoot)}}); err != nil {
		t.Fatal(err)
	}
	if err := s.submit(t.Context(), &request{commit: commit, prepared: early, again: again}); err != nil {
		t.Fatal(err)
	}
	if got := found(t, s, "Patient", shoePoint); len(got) != 0 {
		t.Errorf("keys of an older version came back: %v", got)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// The catalog is known before anything is indexed: another IndexVersion makes the keys of added parameters too.
func TestARebuildKeepsAddedParameters(t *testing.T) {
	fs := vfs.NewMem()
	s, x := openFollowing(t, "1", fs)
	if err := s.PutCatalog(t.Context(), withShoe); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if err := s.Commit(t.Context(), store.CommitParams{Writes: []store.Write{x.write(t, shoe(fmt.Sprint("p", i), 1))}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, _ = openFollowing(t, "2", fs)
	defer s.Close()
	if got := found(t, s, "Patient", shoePoint); len(got) != 20 {
		t.Errorf("%d of 20 found after a rebuild", len(got))
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// Verify is no matter of form: each sort of damage is counted, and Reindex mends what is missing.
func TestVerifyFindsDamage(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(key, value []byte, b *pebble.Batch) (done bool)
		differ int
		extra  int
	}{
		{"a posting is lost", func(key, _ []byte, b *pebble.Batch) bool { return key[0] == prefixPosting && b.Delete(key, nil) == nil }, 1, 0},
		{"a resource is not listed among all", func(key, _ []byte, b *pebble.Batch) bool { return key[0] == prefixAll && b.Delete(key, nil) == nil }, 1, 0},
		{"its parameters are listed wrongly", func(key, value []byte, b *pebble.Batch) bool {
			return key[0] == prefixAll && b.Set(key, append([]byte{1, 0}, value[2:]...), nil) == nil
		}, 1, 0},
		{"a posting of nobody", func(key, _ []byte, b *pebble.Batch) bool {
			return key[0] == prefixPosting && b.Set(append(key[:len(key)-1:len(key)-1], key[len(key)-1]^1), nil, nil) == nil
		}, 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, x := openFollowing(t, "1", vfs.NewMem())
			defer s.Close()
			for i := range 3 {
				if err := s.Commit(t.Context(), store.CommitParams{Writes: []store.Write{x.write(t, shoe(fmt.Sprint("p", i), 1))}}); err != nil {
					t.Fatal(err)
				}
			}
			harm(t, s, c.damage)
			if got, err := s.Verify(t.Context(), store.VerifyParams{Type: "Patient"}); err != nil || got != (store.Verification{Checked: 3, Differ: c.differ, Extra: c.extra}) {
				t.Errorf("%+v, %v", got, err)
			}
			page, err := s.Reindex(t.Context(), store.ReindexParams{Type: "Patient", Limit: 10})
			if err != nil || page.Mended != c.differ {
				t.Errorf("%+v, %v", page, err)
			}
			if got, err := s.Verify(t.Context(), store.VerifyParams{Type: "Patient"}); err != nil || got != (store.Verification{Checked: 3, Extra: c.extra}) {
				t.Errorf("after a walk: %+v, %v", got, err)
			}
		})
	}
}

// harm changes the first key that damage takes.
func harm(t *testing.T, s *Store, damage func(key, value []byte, b *pebble.Batch) bool) {
	t.Helper()
	iter, err := s.db.NewIter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer iter.Close()
	b := s.db.NewBatch()
	for iter.First(); iter.Valid(); iter.Next() {
		if damage(iter.Key(), iter.Value(), b) {
			if err := b.Commit(pebble.Sync); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatal("nothing to harm")
}
