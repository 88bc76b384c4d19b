package pebblestore

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"meridian/fhir/search"
	"meridian/server/store"
	"meridian/server/store/storetest"
)

func statusOf(id string, version uint64, status string) storetest.Sample {
	return storetest.Sample{Type: "Task", ID: id, Version: version, Facts: []storetest.Fact{storetest.Token("status", "s", status)}}
}

func withStatus(status string) search.Expr {
	return search.Point{Key: search.Key{Param: "status", Scope: "s", Value: status}}
}

// TestAListThatEmptiesIsSwept: reading what all resources left makes the marks go away.
func TestAListThatEmptiesIsSwept(t *testing.T) {
	s, err := Open(Options{Dir: "db", FS: vfs.NewMem(), Index: storetest.Index})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var ready, done []storetest.Sample
	for i := range 700 {
		ready = append(ready, statusOf(fmt.Sprint(i), 1, "ready"))
		if i != 5 && i != 6 && i != 600 {
			done = append(done, statusOf(fmt.Sprint(i), 2, "done"))
		}
	}
	commit(t, s, ready...)
	for part := range slices.Chunk(done, 100) {
		commit(t, s, part...)
	}
	read := 0
	for range 100 {
		page, err := s.Search(store.WithExplain(t.Context()), &search.Plan{Type: "Task", Where: withStatus("ready"), Limit: 20})
		if err != nil || len(page.Rows) != 3 {
			t.Fatalf("%d rows, %v", len(page.Rows), err)
		}
		if read = page.Explain.Read; read < 20 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if read >= 20 {
		t.Errorf("three of 700 are ready; a page of them still reads %d keys", read)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestSingleWritesAreFolded: lists of resources that were created one by one cost after some searches what a rebuild would
// have made of them, and hold the same; updates leave marks in them.
func TestSingleWritesAreFolded(t *testing.T) {
	o := Options{Dir: "db", FS: vfs.NewMem(), Index: storetest.Index, tuning: measured()}
	o.tuning.sweepPause, o.tuning.sweepKeys = time.Millisecond, 300
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const n = 2000
	for i := range n {
		commit(t, s, statusOf(fmt.Sprint(i), 1, []string{"ready", "done"}[i%2]))
	}
	both := &search.Plan{Type: "Task", Where: search.And{Of: []search.Expr{withStatus("ready"), withStatus("done")}}, Limit: 20}
	read := func() int {
		page, err := s.Search(store.WithExplain(t.Context()), both)
		if err != nil || len(page.Rows) != 0 {
			t.Fatalf("%v, %v", page, err)
		}
		return page.Explain.Read
	}
	before := read()
	until(t, func() bool { return read() < before/20 })
	for _, status := range []string{"ready", "done"} {
		if c, err := s.Count(t.Context(), &search.Plan{Type: "Task", Where: withStatus(status)}, 0); err != nil || c.N != n/2 {
			t.Errorf("%s: %v, %v", status, c, err)
		}
	}
	for i := range 100 {
		commit(t, s, statusOf(fmt.Sprint(7*i), 2, "gone"))
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func until(t *testing.T, ok func() bool) {
	t.Helper()
	for range 2000 {
		if ok() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("it did not come about")
}

// TestPartsOfARun: parts keep every number, each within the limits of a run.
func TestPartsOfARun(t *testing.T) {
	for _, run := range [][]interval{{}, {{1, 1}}, {{1, maxRun}}, {{1, maxRun + 1}}, {{5, 3*maxRun + 7}, {4 * maxRun, 4 * maxRun}}, {{1, 2}, {3, 4}, {5, 5 + maxRun}}} {
		checkParts(t, run)
	}
	r := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		var run []interval
		at := uint64(1)
		for range r.IntN(300) {
			at += uint64(r.IntN(3))
			run = append(run, interval{at, at + uint64(r.IntN(1+r.IntN(40)))})
			at = run[len(run)-1].last + 1
		}
		checkParts(t, run)
	}
}

func checkParts(t *testing.T, run []interval) {
	t.Helper()
	var want, got []uint64
	numbers := func(of []interval) (out []uint64) {
		for _, x := range of {
			for n := x.first; n <= x.last; n++ {
				out = append(out, n)
			}
		}
		return out
	}
	want = numbers(run)
	for part := range partsOf(run) {
		if len(part) > maxIntervals || countOf(part) > maxRun || countOf(part) == 0 {
			t.Fatalf("a part of %d intervals with %d numbers", len(part), countOf(part))
		}
		got = append(got, numbers(part)...)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("%v came back as %v", run, got)
	}
}

// TestSweepsBesideWriters sweeps all runs again and again while clients move
// resources in and out of them.
func TestSweepsBesideWriters(t *testing.T) {
	o := Options{Dir: "db", FS: vfs.NewMem(), Index: storetest.Index, tuning: measured()}
	o.tuning.sweepKeys = 70 // so that folds end amid a list
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const n = 300
	versions := make([]uint64, n)
	last := make([]string, n)
	var samples []storetest.Sample
	for i := range n {
		last[i], versions[i] = []string{"ready", "done", "gone"}[i%7%3], 1
		samples = append(samples, statusOf(fmt.Sprint(i), 1, last[i]))
	}
	commit(t, s, samples...)
	stop := make(chan struct{})
	var writers, sweeper sync.WaitGroup
	for client := range 6 {
		writers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(client), 3))
			for range 250 {
				i := r.IntN(n/6)*6 + client
				status := []string{"ready", "done", "gone"}[r.IntN(3)]
				w := statusOf(fmt.Sprint(i), versions[i]+1, status).Write()
				if err := s.Commit(t.Context(), store.CommitParams{Writes: []store.Write{w}}); err != nil {
					t.Error(err)
					return
				}
				versions[i]++
				last[i] = status
			}
		})
	}
	sweeper.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				s.sweeper.sweep(allRuns(t, s))
			}
		}
	})
	writers.Wait()
	close(stop)
	sweeper.Wait()
	for _, status := range []string{"ready", "done", "gone"} {
		var want []string
		for i := range n {
			if last[i] == status {
				want = append(want, fmt.Sprint(i))
			}
		}
		page, err := s.Search(t.Context(), &search.Plan{Type: "Task", Where: withStatus(status), Limit: n})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range page.Rows {
			got = append(got, r.ID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", status, got, want)
		}
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if s.committer.swept == 0 {
		t.Error("nothing was swept")
	}
}

// allRuns are all runs, and lists of points from anywhere on.
func allRuns(t *testing.T, s *Store) (all []stretch) {
	t.Helper()
	iter, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{prefixPosting}, UpperBound: []byte{prefixPosting + 1}})
	if err != nil {
		t.Fatal(err)
	}
	for iter.First(); iter.Valid(); iter.Next() {
		rest := iter.Key()[1:]
		for range 3 {
			_, rest, _ = cutNum(rest)
		}
		_, number, hi, ok := cutPosting(rest)
		list := string(iter.Key()[:len(iter.Key())-len(hi)-numberLen])
		switch {
		case !ok:
			t.Fatal(errCorrupt)
		case len(hi) > 0 && hi[0] == runTail:
			all = append(all, stretch{list, number, false})
		case len(hi) == 0 && number%2 == 0:
			all = append(all, stretch{list, number, true})
		}
	}
	if err := errors.Join(iter.Error(), iter.Close()); err != nil {
		t.Error(err)
	}
	return apart(all)
}
