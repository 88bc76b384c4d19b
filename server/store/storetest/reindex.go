package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"meridian/fhir/search"
	"meridian/server/store"
)

// An addedIndex gives the facts of a sample without those of added parameters,
// whose names have an @, but for those of the catalog that it adopted last.
type addedIndex struct{ catalog atomic.Pointer[store.Catalog] }

func (x *addedIndex) Adopt(c store.Catalog) error {
	x.catalog.Store(&c)
	return nil
}

func (x *addedIndex) Index(body []byte) (*search.Facts, error) {
	all, err := Index(body)
	if err != nil {
		return nil, err
	}
	c := x.catalog.Load()
	if c == nil {
		c = &store.Catalog{}
	}
	given := func(param string) bool {
		base, _, _ := strings.Cut(param, ":")
		return !strings.Contains(base, "@") || slices.ContainsFunc(c.Added, func(a store.Added) bool { return a.Param == base })
	}
	facts := &search.Facts{Generation: c.Generation}
	for _, k := range all.Keys {
		if given(k.Param) {
			facts.Keys = append(facts.Keys, k)
		}
	}
	for _, f := range all.Forward {
		if given(f.Param) {
			facts.Forward = append(facts.Forward, f)
		}
	}
	return facts, nil
}

// catalogOf adds parameters to Observation.
func catalogOf(number uint64, params ...string) store.Catalog {
	c := store.Catalog{Revision: number, Generation: number, Body: []byte(fmt.Sprint("catalog ", number))}
	for _, p := range params {
		c.Added = append(c.Added, store.Added{Type: "Observation", Param: p})
	}
	return c
}

// adding is a subject whose index follows its catalog.
type adding struct {
	*subject
	index *addedIndex
}

func (s *suite) newAdding(t testing.TB) *adding {
	x := &addedIndex{}
	return &adding{s.newStoreWith(t, Config{Index: x.Index, Adopt: x.Adopt, IndexVersion: "storetest-1"}), x}
}

// shod is a sample with facts of two added parameters, one of points, one of ranges, beside its own.
func shod(id string, size int) Sample {
	return Sample{Type: "Observation", ID: id, Facts: []Fact{Token("code", "s", "shoe"), Token("shoe@1", "s", fmt.Sprint(size)),
		Text("shoe@1:text", fmt.Sprint("size ", size)), Span("length@2", fmt.Sprintf("%03d", size), fmt.Sprintf("%03d", size+1), "cm")}}
}

// write is the next version of sm with the facts that the index gives now.
func (a *adding) write(t testing.TB, sm Sample) store.Write {
	t.Helper()
	w := a.next(t, sm)
	facts, err := a.index.Index(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	w.Facts = facts
	return w
}

func (a *adding) store(t testing.TB, sm Sample) {
	t.Helper()
	if err := a.Commit(a.ctx, store.CommitParams{Writes: []store.Write{a.write(t, sm)}}); err != nil {
		t.Fatal(err)
	}
}

func (a *adding) putCatalog(t testing.TB, c store.Catalog) {
	t.Helper()
	if err := a.PutCatalog(a.ctx, c); err != nil {
		t.Fatal(err)
	}
}

// reindex goes through all Observations in slices, and gives how many were looked at and mended.
func reindex(ctx context.Context, st store.Store, slice int, params []string) (checked, mended int, err error) {
	for after := ""; ; {
		page, err := st.Reindex(ctx, store.ReindexParams{Type: "Observation", After: after, Limit: slice, Params: params})
		if err != nil {
			return checked, mended, err
		}
		checked, mended = checked+page.Checked, mended+page.Mended
		if after = page.Next; after == "" {
			return checked, mended, nil
		}
	}
}

func (a *adding) reindex(t testing.TB, slice int, params ...string) (checked, mended int) {
	t.Helper()
	checked, mended, err := reindex(a.ctx, a, slice, params)
	if err != nil {
		t.Fatal(err)
	}
	return checked, mended
}

func (a *adding) verify(t testing.TB, want store.Verification) {
	t.Helper()
	got, err := a.Verify(a.ctx, store.VerifyParams{Type: "Observation"})
	if err != nil || got != want {
		t.Errorf("verified %+v, want %+v, %v", got, want, err)
	}
}

func testReindex(t *testing.T, s *suite) {
	t.Run("a catalog is replaced by the one that follows it", func(t *testing.T) { testCatalog(t, s) })
	t.Run("what was there before lacks keys until it is reindexed", func(t *testing.T) { testAdded(t, s) })
	t.Run("facts of an older generation are refused", func(t *testing.T) { testStale(t, s) })
	t.Run("writes between the catalog and the walk", func(t *testing.T) { testBetween(t, s) })
	t.Run("a parameter that is dropped leaves nothing, and may come again", func(t *testing.T) { testDropped(t, s) })
	t.Run("writers beside the walk", func(t *testing.T) { testReindexBesideWriters(t, s) })
}

func testCatalog(t *testing.T, s *suite) {
	a := s.newAdding(t)
	if c, err := a.Catalog(a.ctx); err != nil || c.Revision != 0 || c.Generation != 0 || len(c.Added) > 0 {
		t.Errorf("at first %+v, %v", c, err)
	}
	for _, c := range []store.Catalog{{Revision: 2}, {Revision: 0}} {
		if err := a.PutCatalog(a.ctx, c); !errors.Is(err, store.ErrCatalog) {
			t.Errorf("revision %d at first: %v", c.Revision, err)
		}
	}
	a.putCatalog(t, catalogOf(1, "shoe@1"))
	if got := a.index.catalog.Load(); got == nil || got.Generation != 1 || string(got.Body) != "catalog 1" || !slices.Equal(got.Added, catalogOf(1, "shoe@1").Added) {
		t.Errorf("adopted %+v", got)
	}
	if c, err := a.Catalog(a.ctx); err != nil || c.Revision != 1 || string(c.Body) != "catalog 1" {
		t.Errorf("stands %+v, %v", c, err)
	}
	for _, c := range []store.Catalog{catalogOf(1), catalogOf(3), {Revision: 2, Generation: 0}} {
		if err := a.PutCatalog(a.ctx, c); !errors.Is(err, store.ErrCatalog) {
			t.Errorf("revision %d of generation %d after 1: %v", c.Revision, c.Generation, err)
		}
	}
	same := catalogOf(2, "shoe@1")
	same.Generation = 1
	a.putCatalog(t, same)
	var won atomic.Int32
	together(8, func(i int) {
		switch err := a.PutCatalog(a.ctx, catalogOf(3, fmt.Sprint("p@", i))); {
		case err == nil:
			won.Add(1)
		case !errors.Is(err, store.ErrCatalog):
			t.Error(err)
		}
	})
	if won.Load() != 1 {
		t.Errorf("%d of eight put the same revision", won.Load())
	}
}

func testAdded(t *testing.T, s *suite) {
	a := s.newAdding(t)
	for i := range 7 {
		a.store(t, shod(fmt.Sprint("o", i), 40+i%2))
	}
	a.remove(t, store.Key{Type: "Observation", ID: "o6"})
	a.expect(t, point("shoe@1", "s", "40"))
	a.verify(t, store.Verification{Checked: 6})
	a.putCatalog(t, catalogOf(1, "shoe@1", "length@2"))
	a.verify(t, store.Verification{Checked: 6, Differ: 6})

	for _, look := range []bool{true, false, false} {
		p := store.ReindexParams{Type: "Observation", IDs: []string{"o0", "o6", "o9"}, Look: look}
		if page, err := a.Reindex(a.ctx, p); err != nil || page.Checked != 1 || page.Next != "" || page.Mended > 1 {
			t.Errorf("of three ids one is there: %+v, %v", page, err)
		}
		want := []string{"o0"}
		if look {
			want = nil
		}
		a.expect(t, point("shoe@1", "s", "40"), want...)
	}
	a.verify(t, store.Verification{Checked: 6, Differ: 5})
	if checked, mended := a.reindex(t, 2); checked != 6 || mended != 5 {
		t.Errorf("%d checked, %d mended, of six of which one was", checked, mended)
	}
	a.expect(t, point("shoe@1", "s", "40"), "o0", "o2", "o4")
	a.expect(t, point("shoe@1:text", "", "size 41"), "o1", "o3", "o5")
	a.expect(t, search.Box{Param: "length@2", LoMin: "041", LoMax: "042"}, "o1", "o3", "o5")
	a.expect(t, search.Present{Param: "shoe@1"}, "o0", "o1", "o2", "o3", "o4", "o5")
	a.expect(t, point("code", "s", "shoe"), "o0", "o1", "o2", "o3", "o4", "o5")
	a.verify(t, store.Verification{Checked: 6})
	if checked, mended := a.reindex(t, 100); checked != 6 || mended != 0 {
		t.Errorf("again: %d checked, %d mended", checked, mended)
	}
	if got := a.walk(t, search.Plan{Type: "Observation", Where: search.All{}, Sort: []search.Order{{Param: "length@2"}}, Limit: 2}, nil); !slices.Equal(got, []string{"o0", "o2", "o4", "o1", "o3", "o5"}) {
		t.Errorf("sorted by an added parameter: %v", got)
	}
	for _, p := range []store.ReindexParams{{Type: "Observation", After: "o9", Limit: 10}, {Type: "Patient", Limit: 10}} {
		if page, err := a.Reindex(a.ctx, p); err != nil || page != (store.ReindexPage{}) {
			t.Errorf("%s after %q: %+v, %v", p.Type, p.After, page, err)
		}
	}
}

func testStale(t *testing.T, s *suite) {
	a := s.newAdding(t)
	a.store(t, shod("old", 40))
	w, update := a.write(t, shod("new", 40)), a.write(t, shod("old", 41))
	a.putCatalog(t, catalogOf(1, "shoe@1"))
	for _, w := range []store.Write{w, update} {
		var conflict *store.ConflictError
		if err := a.Commit(a.ctx, store.CommitParams{Writes: []store.Write{w}}); !errors.As(err, &conflict) || !conflict.Stale || conflict.Key != w.Key {
			t.Errorf("%s: %v", w.ID, err)
		}
	}
	if _, err := a.Read(a.ctx, w.Key); !isNotFound(err) {
		t.Errorf("it was written all the same: %v", err)
	}
	a.store(t, shod("new", 40))
	a.expect(t, point("shoe@1", "s", "40"), "new")
	a.remove(t, store.Key{Type: "Observation", ID: "old"}) // which has no facts
	a.reindex(t, 10)
	a.verify(t, store.Verification{Checked: 1})
}

func testBetween(t *testing.T, s *suite) {
	a := s.newAdding(t)
	for _, id := range []string{"same", "other", "gone", "back", "left"} {
		a.store(t, shod(id, 40))
	}
	a.putCatalog(t, catalogOf(1, "shoe@1", "length@2"))
	same := shod("same", 40)
	same.Note = "another version with the same facts"
	a.store(t, same)
	a.store(t, shod("other", 41))
	a.remove(t, store.Key{Type: "Observation", ID: "gone"})
	a.remove(t, store.Key{Type: "Observation", ID: "back"})
	a.store(t, shod("back", 40))
	a.store(t, shod("new", 40))
	a.expect(t, point("shoe@1", "s", "40"), "same", "back", "new")
	a.expect(t, point("shoe@1", "s", "41"), "other")
	a.expect(t, search.Present{Param: "length@2"}, "same", "other", "back", "new")

	a.reindex(t, 2)
	a.expect(t, point("shoe@1", "s", "40"), "same", "back", "left", "new")
	a.store(t, shod("left", 42))
	a.expect(t, point("shoe@1", "s", "40"), "same", "back", "new")
	a.verify(t, store.Verification{Checked: 5})
}

func testDropped(t *testing.T, s *suite) {
	a := s.newAdding(t)
	a.putCatalog(t, catalogOf(1, "shoe@1", "length@2"))
	for i := range 4 {
		a.store(t, shod(fmt.Sprint("o", i), 40))
	}
	a.putCatalog(t, catalogOf(2, "length@2"))
	a.store(t, shod("o1", 41))
	a.remove(t, store.Key{Type: "Observation", ID: "o2"})
	a.reindex(t, 3)
	a.verify(t, store.Verification{Checked: 3})
	a.expect(t, point("shoe@1", "s", "40"))
	a.expect(t, search.Present{Param: "shoe@1"})
	a.expect(t, search.Present{Param: "length@2"}, "o0", "o1", "o3")

	a.putCatalog(t, catalogOf(3, "length@2", "shoe@1"))
	a.expect(t, point("shoe@1", "s", "40"))
	a.store(t, shod("o3", 43))
	a.reindex(t, 1, "shoe@1")
	a.verify(t, store.Verification{Checked: 3})
	for size, want := range map[string][]string{"40": {"o0"}, "41": {"o1"}, "43": {"o3"}} {
		a.expect(t, point("shoe@1", "s", size), want...)
	}
}

// testReindexBesideWriters: whatever is written while catalogs change and walks go on, afterwards every key is there and none too many.
func testReindexBesideWriters(t *testing.T, s *suite) {
	a := s.newAdding(t)
	const writers, keys, rounds = 4, 12, 4
	for i := range writers * keys {
		a.store(t, shod(fmt.Sprintf("o%02d", i), 40))
	}
	catalogs := [][]string{{"shoe@1"}, {"shoe@1", "length@2"}, {"length@2"}, {"shoe@1", "length@2"}}
	for n := range rounds {
		stop := make(chan struct{})
		together(writers+1, func(i int) {
			if i < writers {
				rnd := rand.New(rand.NewPCG(uint64(n), uint64(i)))
				for {
					select {
					case <-stop:
						return
					default:
					}
					if err := a.anything(rnd, fmt.Sprintf("o%02d", i*keys+rnd.IntN(keys))); err != nil {
						t.Error(err)
						return
					}
				}
			}
			defer close(stop)
			if err := a.PutCatalog(a.ctx, catalogOf(uint64(n+1), catalogs[n]...)); err != nil {
				t.Error(err)
				return
			}
			if _, _, err := reindex(a.ctx, a, 5, nil); err != nil {
				t.Error(err)
			}
			// While they go on, too.
			if got, err := a.Verify(a.ctx, store.VerifyParams{Type: "Observation"}); err != nil || got.Differ+got.Extra > 0 {
				t.Errorf("round %d, beside writers: %+v, %v", n, got, err)
			}
		})
		got, err := a.Verify(a.ctx, store.VerifyParams{Type: "Observation"})
		if err != nil || got.Differ+got.Extra > 0 || got.Checked == 0 {
			t.Errorf("round %d: %+v, %v", n, got, err)
		}
	}
}

// anything writes or deletes a resource that nobody else writes, and indexes anew as often as it must.
func (a *adding) anything(rnd *rand.Rand, id string) error {
	sm := shod(id, 40+rnd.IntN(3))
	a.clock.Add(time.Millisecond)
	sm.At = a.clock.Now()
	r, err := a.Read(a.ctx, sm.Key())
	if err != nil {
		return err
	}
	sm.Version = r.Version + 1
	w := sm.Write()
	deletes := !r.Deleted && rnd.IntN(5) == 0
	for range 1000 {
		if w.Facts, err = a.index.Index(w.Body); err != nil {
			return err
		}
		commit := w
		if deletes {
			commit.Body, commit.Facts, commit.Method = nil, nil, store.DELETE
		}
		err := a.Commit(a.ctx, store.CommitParams{Writes: []store.Write{commit}})
		var conflict *store.ConflictError
		if !errors.As(err, &conflict) || !conflict.Stale {
			return err
		}
	}
	return fmt.Errorf("%s: its facts are stale again and again", id)
}
