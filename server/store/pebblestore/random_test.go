package pebblestore

import (
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"meridian/server/store"
	"meridian/server/store/storetest"
)

// TestRandomTuned runs random lists where the limits of the executor are so
// low that forty resources reach all of them.
func TestRandomTuned(t *testing.T) {
	low := tuning{maxCollect: 1000, maxMerge: 100, maxForward: 8, settleAfter: 1, firstTurn: 1, probeKeys: 4, fewValues: 10,
		maxChain: 1000, probeChain: 1, sweepKeys: 5, foldAfter: 2, sweepPause: time.Microsecond}
	for name, change := range map[string]func(*tuning){
		"settle and collect at once":    func(*tuning) {},
		"collect almost nothing":        func(t *tuning) { t.maxCollect = 2 },
		"merge almost nothing":          func(t *tuning) { t.maxMerge = 2 },
		"chains collect almost nothing": func(t *tuning) { t.maxChain = 1 },
		"chains collect at once":        func(t *tuning) { t.probeChain = 1 << 30 },
		"walk only":                     func(t *tuning) { t.firstTurn = 1 << 40 },
		"check only":                    func(t *tuning) { t.settleAfter = 1 << 40; t.firstTurn = 20 },
		"forward values of one":         func(t *tuning) { t.maxForward = 1; t.settleAfter = 1 << 40 },
	} {
		t.Run(name, func(t *testing.T) {
			tuned := low
			change(&tuned)
			open := func(t testing.TB, c storetest.Config) store.Store {
				s, err := Open(Options{Dir: "db", FS: vfs.NewMem(), Index: c.Index, Adopt: c.Adopt, IndexVersion: c.IndexVersion, Clock: c.Clock,
					CacheBytes: 8 << 20, MemTableBytes: 1 << 20, Sort: map[string][]string{"Patient": {"name"}}, tuning: tuned})
				if err != nil {
					t.Fatal(err)
				}
				return checked{s, t}
			}
			if name == "settle and collect at once" {
				storetest.Run(t, open, storetest.Lacks{})
			}
			for seed := range uint64(4) {
				t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { storetest.Random(t, open, storetest.Lacks{}, 100+seed, 300) })
			}
		})
	}
}
