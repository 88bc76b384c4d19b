package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"meridian/fhir/search"
	"meridian/server/store"
	"meridian/server/store/storetest"
)

func commit(t *testing.T, s *Store, samples ...storetest.Sample) {
	t.Helper()
	var p store.CommitParams
	for _, sm := range samples {
		p.Writes = append(p.Writes, sm.Write())
	}
	if err := s.Commit(t.Context(), p); err != nil {
		t.Fatal(err)
	}
}

func found(t *testing.T, s *Store, typ string, where search.Expr, sort ...search.Order) []string {
	t.Helper()
	page, err := s.Search(t.Context(), &search.Plan{Type: typ, Where: where, Sort: sort, Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, r := range page.Rows {
		ids = append(ids, r.ID)
	}
	return ids
}

func reopen(t *testing.T, s *Store, o Options) *Store {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestReopenGoesOnWhereItWas(t *testing.T) {
	// The clock stands, and on the second run is behind: numbers still rise.
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	o := Options{Dir: "db", FS: vfs.NewMem(), Index: storetest.Index, Clock: func() time.Time { return at }}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	commit(t, s, storetest.Sample{Type: "Patient", ID: "a", Facts: []storetest.Fact{storetest.Token("code", "sys", "x")}})
	_, position, err := s.Changes(t.Context(), "", 10)
	if err != nil {
		t.Fatal(err)
	}
	at = at.Add(-time.Hour)
	s = reopen(t, s, o)
	commit(t, s, storetest.Sample{Type: "Patient", ID: "b", Facts: []storetest.Fact{storetest.Token("code", "sys", "x"), storetest.Token("code", "other", "x")}})
	if got := found(t, s, "Patient", search.Point{Key: search.Key{Param: "code", Scope: "sys", Value: "x"}}); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("found %v", got)
	}
	changes, _, err := s.Changes(t.Context(), position, 10)
	if err != nil || len(changes) != 1 || changes[0].ID != "b" {
		t.Errorf("changes %v, %v", changes, err)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// A full disk fails the commit and those after it, and nothing else: reads go on, the store can be closed, and what was
// acknowledged is there when it is opened again.
func TestFullDisk(t *testing.T) {
	var full atomic.Bool
	mem := vfs.NewMem()
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if full.Load() && (op.Kind == errorfs.OpFileWrite || op.Kind == errorfs.OpCreate) {
			return syscall.ENOSPC
		}
		return nil
	}))
	s, err := Open(Options{Dir: "db", FS: fs, Index: storetest.Index})
	if err != nil {
		t.Fatal(err)
	}
	a := storetest.Sample{Type: "Patient", ID: "a"}
	commit(t, s, a)
	full.Store(true)
	for i := range 3 {
		err := s.Commit(t.Context(), store.CommitParams{Writes: []store.Write{storetest.Sample{Type: "Patient", ID: fmt.Sprint("b", i)}.Write()}})
		if !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("commit %d on a full disk: %v", i, err)
		}
	}
	if r, err := s.Read(t.Context(), a.Key()); err != nil || r.Version != 1 {
		t.Errorf("read: %+v, %v", r, err)
	}
	_ = s.Close() // that the disk is full is no news; it must not panic
	full.Store(false)
	s, err = Open(Options{Dir: "db", FS: fs, Index: storetest.Index})
	if err != nil {
		t.Fatal(err)
	}
	// What opening leaves to be compacted is done first: a disk that is full amid that ends the process, as Pebble has it.
	if err := s.db.Compact(t.Context(), []byte{0}, []byte{0xff}, false); err != nil {
		t.Fatal(err)
	}
	full.Store(true)
	_ = s.Close() // of a store that was only read
	full.Store(false)
	s, err = Open(Options{Dir: "db", FS: mem, Index: storetest.Index})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if r, err := s.Read(t.Context(), a.Key()); err != nil || r.Version != 1 {
		t.Errorf("opened again: %+v, %v", r, err)
	}
	commit(t, s, storetest.Sample{Type: "Patient", ID: "c"})
}

// What is opened as it is keeps its keys, and its next opening still finds them to be of another version.
func TestAsIsRebuildsNothing(t *testing.T) {
	fs := vfs.NewMem()
	s, err := Open(Options{Dir: "db", FS: fs, Index: storetest.Index, IndexVersion: "1"})
	if err != nil {
		t.Fatal(err)
	}
	commit(t, s, storetest.Sample{Type: "Patient", ID: "a", Facts: []storetest.Fact{storetest.Token("code", "sys", "x")}})
	rebuilt := 0
	o := Options{Dir: "db", FS: fs, Index: storetest.Index, IndexVersion: "2", Progress: func(int) { rebuilt++ }, AsIs: true}
	s = reopen(t, s, o)
	if changes, _, err := s.Changes(t.Context(), "", 10); err != nil || len(changes) != 1 || rebuilt != 0 {
		t.Errorf("%d changes, %v; rebuilt %d times", len(changes), err, rebuilt)
	}
	o.AsIs = false
	reopen(t, s, o)
	if rebuilt != 1 {
		t.Errorf("rebuilt %d times afterwards", rebuilt)
	}
}

func TestAnotherIndexVersionRebuilds(t *testing.T) {
	fs := vfs.NewMem()
	upper := func(body []byte) (*search.Facts, error) {
		facts, err := storetest.Index(body)
		for i := range facts.Keys {
			facts.Keys[i].Value = strings.ToUpper(facts.Keys[i].Value)
		}
		for i := range facts.Forward {
			f := &facts.Forward[i]
			f.Low, f.High = strings.ToUpper(f.Low), strings.ToUpper(f.High)
		}
		return facts, err
	}
	s, err := Open(Options{Dir: "db", FS: fs, Index: storetest.Index, IndexVersion: "1"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		commit(t, s, storetest.Sample{Type: "Patient", ID: fmt.Sprint("p", i), Facts: []storetest.Fact{storetest.Token("code", "sys", "x"), storetest.Text("name", "zhang san"), storetest.Span("date", fmt.Sprint(2000+i), "3000")}})
	}
	lower := search.Point{Key: search.Key{Param: "code", Value: "x"}}
	higher := search.Point{Key: search.Key{Param: "code", Value: "X"}}
	var progress []int
	s = reopen(t, s, Options{Dir: "db", FS: fs, Index: upper, IndexVersion: "2", Progress: func(done int) { progress = append(progress, done) }})
	if n, m := len(found(t, s, "Patient", lower)), len(found(t, s, "Patient", higher)); n != 0 || m != 50 {
		t.Errorf("%d by the old keys, %d by the new", n, m)
	}
	if !slices.Equal(progress, []int{50}) {
		t.Errorf("progress %v", progress)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
	// The same version again is opened as it is.
	progress = nil
	s = reopen(t, s, Options{Dir: "db", FS: fs, Index: upper, IndexVersion: "2", Progress: func(done int) { progress = append(progress, done) }})
	if len(progress) != 0 || len(found(t, s, "Patient", higher)) != 50 {
		t.Errorf("rebuilt again: %v", progress)
	}
	// Another list of sort parameters is a rebuild too.
	s = reopen(t, s, Options{Dir: "db", FS: fs, Index: upper, IndexVersion: "2", Sort: map[string][]string{"*": {"code"}}, Progress: func(done int) { progress = append(progress, done) }})
	if len(progress) != 1 {
		t.Errorf("not rebuilt for another Sort")
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAnOlderFormatIsRebuilt(t *testing.T) {
	o := Options{Dir: "db", FS: vfs.NewMem(), Index: storetest.Index}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 { // one by one, as format 1 had every key
		commit(t, s, storetest.Sample{Type: "Patient", ID: fmt.Sprint("p", i), Facts: []storetest.Fact{storetest.Token("code", "sys", "x")}})
	}
	if err := s.db.Set(metaKey(metaFormat), []byte("1"), pebble.Sync); err != nil {
		t.Fatal(err)
	}
	rebuilt := 0
	o.Progress = func(done int) { rebuilt = done }
	for _, want := range []int{5, 0} {
		rebuilt = 0
		s = reopen(t, s, o)
		if format, err := s.meta(metaFormat); err != nil || format != formatVersion || rebuilt != want {
			t.Errorf("format %q, %d rebuilt, want %d; %v", format, rebuilt, want, err)
		}
	}
	if got := found(t, s, "Patient", search.Point{Key: search.Key{Param: "code", Value: "x"}}); len(got) != 5 {
		t.Errorf("found %v", got)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAnotherFormatIsRefused(t *testing.T) {
	fs := vfs.NewMem()
	s, err := Open(Options{Dir: "db", FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.db.Set(metaKey(metaFormat), []byte("77"), pebble.Sync); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Dir: "db", FS: fs}); err == nil || !strings.Contains(err.Error(), `format "77"`) {
		t.Errorf("got %v", err)
	}
}

func TestClosedStoreSaysSo(t *testing.T) {
	s, err := Open(Options{Dir: "db", FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	waited := make(chan error)
	go func() { waited <- s.Queue().Wait(context.Background(), "m") }()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	key := store.Key{Type: "Patient", ID: "a"}
	_, read := s.Read(t.Context(), key)
	_, searched := s.Search(t.Context(), &search.Plan{Type: "Patient", Limit: 1})
	_, appended := s.Queue().Append(t.Context(), []store.NewItem{{Topic: "m"}})
	for name, err := range map[string]error{"read": read, "search": searched, "append": appended, "wait": <-waited, "close": s.Close(),
		"commit": s.Commit(t.Context(), store.CommitParams{Writes: []store.Write{{Key: key, Version: 1, Body: []byte("{}")}}})} {
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCheckFindsDamage takes away or adds one key at a time.
func TestCheckFindsDamage(t *testing.T) {
	for _, family := range []byte{prefixAll, prefixPosting, prefixForward, prefixSort, prefixID, prefixVersion, prefixLog, prefixTypeLog} {
		t.Run(string(family), func(t *testing.T) {
			s, err := Open(Options{Dir: "db", FS: vfs.NewMem(), Index: storetest.Index})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			for v := range uint64(2) {
				commit(t, s, storetest.Sample{Type: "Patient", ID: "a", Version: v + 1, Facts: []storetest.Fact{storetest.Token("code", "s", "x"), storetest.Span("date", "1", "2"), storetest.Text("name", "n")}})
			}
			if err := s.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			iter, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{family}, UpperBound: []byte{family + 1}})
			if err != nil || !iter.First() {
				t.Fatal("no key", err)
			}
			key, value := slices.Clone(iter.Key()), slices.Clone(iter.Value())
			iter.Close()
			if err := s.db.Delete(key, pebble.Sync); err != nil {
				t.Fatal(err)
			}
			if s.Check(t.Context()) == nil {
				t.Error("a missing key is not found")
			}
			if err := s.db.Set(key, value, pebble.Sync); err != nil {
				t.Fatal(err)
			}
			if err := s.Check(t.Context()); err != nil {
				t.Errorf("put back: %v", err)
			}
			key[len(key)-1] ^= 1
			if err := s.db.Set(key, value, pebble.Sync); err != nil {
				t.Fatal(err)
			}
			if s.Check(t.Context()) == nil {
				t.Error("a key too many is not found")
			}
		})
	}
}
