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

// TestSweepsBesideWriters sweeps all runs again and again while clients move
// resources in and out of them.
func TestSweepsBesideWriters(t *testing.T) {
	s, err := Open(Options{Dir: "db", FS: vfs.NewMem(), Index: storetest.Index})
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

func allRuns(t *testing.T, s *Store) map[string]struct{} {
	t.Helper()
	iter, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{prefixPosting}, UpperBound: []byte{prefixPosting + 1}})
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]struct{}{}
	for iter.First(); iter.Valid(); iter.Next() {
		if key := iter.Key(); key[len(key)-1] == runTail && len(iter.Value()) > 0 && iter.Value()[0] != pointAdded && iter.Value()[0] != pointRemoved {
			keys[string(key)] = struct{}{}
		}
	}
	if err := errors.Join(iter.Error(), iter.Close()); err != nil {
		t.Error(err)
	}
	return keys
}
