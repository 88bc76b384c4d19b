package pebblestore

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"meridian/fhir/search"
	"meridian/server/store"
	"meridian/server/store/storetest"
)

func TestRunsAreReadAsWritten(t *testing.T) {
	for _, run := range [][]interval{{{5, 5}}, {{1, 3}}, {{1, 1}, {3, 3}}, {{7, 9}, {12, 700}, {1 << 60, 1<<60 + 3}}} {
		got, err := cutRun(nil, run[len(run)-1].last, appendRun(nil, run))
		if err != nil || !slices.Equal(got, run) {
			t.Errorf("%v is read as %v, %v", run, got, err)
		}
	}
	for _, value := range []string{"", "\x80", "\x09", "\x00\x09", "\x00\x01\x09", "\x00\x00"} {
		if got, err := cutRun(nil, 5, []byte(value)); err == nil && value != "\x00\x00" {
			t.Errorf("%q is read as %v", value, got)
		}
	}
}

func TestNumbersOfARun(t *testing.T) {
	run := []interval{{2, 4}, {6, 6}, {8, 9}}
	for _, c := range []struct {
		out, in []uint64
		want    string
	}{
		{[]uint64{3}, nil, "[{2 2} {4 4} {6 6} {8 9}]"},
		{[]uint64{2}, nil, "[{3 4} {6 6} {8 9}]"},
		{[]uint64{4, 6}, nil, "[{2 3} {8 9}]"},
		{[]uint64{2, 3, 4, 6, 8, 9}, nil, "[]"},
		{[]uint64{5, 7, 100}, nil, "[{2 4} {6 6} {8 9}]"},
		{nil, []uint64{5, 7}, "[{2 4} {5 5} {6 6} {7 7} {8 9}]"},
		{[]uint64{9}, []uint64{7}, "[{2 4} {6 6} {7 7} {8 8}]"},
	} {
		l := pointList{group: slices.Clone(run), removed: c.out, added: c.in}
		if l.apply(); fmt.Sprint(l.group) != c.want {
			t.Errorf("without %v, with %v: %v, want %s", c.out, c.in, l.group, c.want)
		}
		for n := range uint64(12) {
			want := slices.ContainsFunc(l.group, func(x interval) bool { return x.first <= n && n <= x.last })
			if within(l.group, n) != want {
				t.Errorf("%d is within %v: %t", n, l.group, !want)
			}
		}
	}
}

// TestRunsHoldWhatWasWritten creates resources in commits of many, changes,
// deletes and undeletes them, rebuilds now and then, and reads every list in every way.
func TestRunsHoldWhatWasWritten(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 7))
			o := Options{Dir: "db", FS: vfs.NewMem(), Index: storetest.Index, CacheBytes: 4 << 20, MemTableBytes: 256 << 10}
			s, err := Open(o)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.Close() })
			codes := []string{"a", "b", "b c", "b d"} // the last three share a low half
			var ids []string
			versions, facts, deleted := map[string]uint64{}, map[string][]string{}, map[string]bool{}
			sample := func(id string) storetest.Sample {
				versions[id]++
				sm := storetest.Sample{Type: "Observation", ID: id, Version: versions[id]}
				facts[id], deleted[id] = nil, false
				for _, c := range codes {
					if r.IntN(2) == 0 {
						facts[id] = append(facts[id], c)
						sm.Facts = append(sm.Facts, storetest.Token("code", "s", c))
					}
				}
				return sm
			}
			for round := range 40 {
				var samples []storetest.Sample
				for range []int{1, 2, 30, 300}[r.IntN(4)] / (1 + round%3) {
					ids = append(ids, fmt.Sprint("o", len(ids)))
					samples = append(samples, sample(ids[len(ids)-1]))
				}
				commit(t, s, samples...)
				for range r.IntN(20) {
					id := ids[r.IntN(len(ids))]
					if r.IntN(3) > 0 || deleted[id] {
						commit(t, s, sample(id))
						continue
					}
					versions[id]++
					deleted[id], facts[id] = true, nil
					if err := s.Commit(t.Context(), store.CommitParams{Writes: []store.Write{{Key: store.Key{Type: "Observation", ID: id}, Version: versions[id], Method: store.DELETE}}}); err != nil {
						t.Fatal(err)
					}
				}
				if r.IntN(10) == 0 {
					o.IndexVersion += "x"
					s = reopen(t, s, o)
				}
				if r.IntN(3) == 0 {
					s.sweeper.sweep(allRuns(t, s))
				}
				if round%8 == 7 {
					readAllWays(t, s, codes, ids, facts, deleted)
				}
			}
			if err := s.Check(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func readAllWays(t *testing.T, s *Store, codes, ids []string, facts map[string][]string, deleted map[string]bool) {
	t.Helper()
	point := func(c string) search.Expr {
		return search.Point{Key: search.Key{Param: "code", Scope: "s", Value: c}}
	}
	down := []search.Order{{Param: "nothing", Desc: true}}
	read := func(what string, where search.Expr, sort []search.Order, has func([]string) bool) {
		t.Helper()
		var want, got []string
		for _, id := range ids {
			if !deleted[id] && has(facts[id]) {
				want = append(want, id)
			}
		}
		if sort != nil {
			slices.Reverse(want)
		}
		p := search.Plan{Type: "Observation", Where: where, Sort: sort, Limit: 200}
		for more := true; more; {
			page, err := s.Search(t.Context(), &p)
			if err != nil {
				t.Fatal(err)
			}
			for i := range page.Rows {
				got, p.After = append(got, page.Rows[i].ID), &page.Rows[i].At
			}
			more = page.More
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", what, got, want)
		}
		if total, err := s.Count(t.Context(), &p, 0); err != nil || total.N != len(want) {
			t.Errorf("%s: counted %v, %v; want %d", what, total, err, len(want))
		}
	}
	for _, c := range codes {
		has := func(of []string) bool { return slices.Contains(of, c) }
		read(c, point(c), nil, has)
		read(c+" downward", point(c), down, has)
		read("not "+c, search.Not{Of: point(c)}, nil, func(of []string) bool { return !has(of) })
		read(c+" and a", search.And{Of: []search.Expr{point(c), point("a")}}, nil, func(of []string) bool { return has(of) && slices.Contains(of, "a") })
	}
	for _, c := range []string{"", "a", "b", "b ", "b d"} {
		prefix := search.Prefix{Key: search.Key{Param: "code", Scope: "s", Value: c}}
		has := func(of []string) bool {
			return slices.ContainsFunc(of, func(x string) bool { return len(x) >= len(c) && x[:len(c)] == c })
		}
		read("prefix "+c, prefix, nil, has)
		read("prefix "+c+" downward", prefix, down, has)
	}
	has := func(of []string) bool {
		return slices.ContainsFunc(of, func(x string) bool { return x == "a" || len(x) > 1 })
	}
	read("contains", search.Or{Of: []search.Expr{search.Contains{Param: "code", Text: " "}, point("a")}}, nil, has)
}

func FuzzRun(f *testing.F) {
	f.Add(uint64(9), []byte{2, 1, 0})
	f.Add(uint64(1), []byte{0x80, 0x80, 1})
	f.Fuzz(func(t *testing.T, last uint64, value []byte) {
		run, err := cutRun(nil, last, value)
		for i, x := range run {
			if err == nil && (x.first > x.last || x.last > last || i > 0 && run[i-1].last >= x.first) {
				t.Fatalf("%x at %d is read as %v", value, last, run)
			}
		}
	})
}
