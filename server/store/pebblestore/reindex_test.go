package pebblestore

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
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
			if got, err := s.Verify(t.Context(), store.VerifyParams{Type: "Patient", Mend: true}); err != nil || got.Extra != c.extra {
				t.Errorf("what is mended: %+v, %v", got, err)
			}
			if got, err := s.Verify(t.Context(), store.VerifyParams{Type: "Patient"}); err != nil || got != (store.Verification{Checked: 3}) {
				t.Errorf("mended: %+v, %v", got, err)
			}
			if err := s.Check(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// Keys that a resource does not give are taken away whatever form they stand in: by themselves, within a run, as a range; those of others stay.
func TestMendTakesAwayWhatNobodyGives(t *testing.T) {
	x := &wide{}
	s, err := Open(Options{Dir: "db", FS: vfs.NewMem(), Index: x.index, IndexVersion: "1", MemTableBytes: 256 << 10, CacheBytes: 2 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	commitAll := func(from, to int) {
		var p store.CommitParams
		for i := from; i < to; i++ {
			w := shoe(fmt.Sprintf("p%02d", i), 1)
			w.Facts = append(w.Facts, storetest.Span("date", "100", "200", "u"))
			p.Writes = append(p.Writes, w.Write())
		}
		for i := range p.Writes {
			if p.Writes[i].Facts, err = x.index(p.Writes[i].Body); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Commit(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	commitAll(0, 20) // runs of twenty
	commitAll(20, 21)
	x.narrow = true // from now on every third resource gives nothing but its code
	got, err := s.Verify(t.Context(), store.VerifyParams{Type: "Patient", Mend: true})
	if err != nil || got.Checked != 21 || got.Extra < 7*4 || got.Extra > 7*8 { // of each two points, the range twice, at most a wide one twice, the forward value
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := s.Reindex(t.Context(), store.ReindexParams{Type: "Patient", Limit: 100}); err != nil { // which parameters a resource has
		t.Error(err)
	}
	if got, err := s.Verify(t.Context(), store.VerifyParams{Type: "Patient"}); err != nil || got != (store.Verification{Checked: 21}) {
		t.Errorf("mended: %+v, %v", got, err)
	}
	if n := len(found(t, s, "Patient", shoePoint)); n != 14 {
		t.Errorf("%d found of the 14 that give the key", n)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// wide gives all facts; when it is narrow, of every third resource the code alone.
type wide struct{ narrow bool }

func (x *wide) index(body []byte) (*search.Facts, error) {
	all, err := storetest.Index(body)
	var r struct{ ID string }
	if err := errors.Join(err, json.Unmarshal(body, &r)); err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(r.ID[1:])
	if err != nil || !x.narrow || n%3 != 0 {
		return all, err
	}
	facts := &search.Facts{}
	for _, k := range all.Keys {
		if k.Param == "code" {
			facts.Keys = append(facts.Keys, k)
		}
	}
	for _, f := range all.Forward {
		if f.Param == "code" {
			facts.Forward = append(facts.Forward, f)
		}
	}
	return facts, nil
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
