package main

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

func TestGarbagePercent(t *testing.T) {
	const mb = 1 << 20
	for rule, c := range map[string]struct {
		alive    uint64
		headroom int64
		want     int
	}{
		"the headroom, in percent of what is alive":  {10 * mb, 24 * mb, 240},
		"a large heap grows by as much as is alive":  {500 * mb, 24 * mb, 100},
		"a heap of nothing does not grow for ever":   {0, 24 * mb, mostGarbage},
		"without headroom it is the rule of Go":      {10 * mb, 0, 100},
		"a headroom of what is alive is Go's rule":   {24 * mb, 24 * mb, 100},
		"a heap that is a little below the headroom": {20 * mb, 24 * mb, 120},
	} {
		if got := garbagePercent(c.alive, c.headroom); got != c.want {
			t.Errorf("%s: %d %%, want %d", rule, got, c.want)
		}
	}
}

// The percentage follows what is alive over several collections, up and down.
func TestTuneMemoryFollowsTheHeap(t *testing.T) {
	t.Setenv("GOGC", "")
	before := debug.SetGCPercent(100)
	defer debug.SetGCPercent(before)
	const headroom = 64 << 20
	tuneMemory(headroom, 0)
	percent := func() int {
		p := debug.SetGCPercent(leastGarbage)
		debug.SetGCPercent(p)
		return p
	}
	within := func(what string, ok func(percent int) bool) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); !ok(percent()); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: %d %%", what, percent())
			}
			runtime.GC()
		}
	}
	for range 2 {
		within("a small heap", func(p int) bool { return p > leastGarbage })
		heap := make([]byte, 2*headroom)
		within("a large heap", func(p int) bool { return p == leastGarbage })
		runtime.KeepAlive(heap)
	}
}
