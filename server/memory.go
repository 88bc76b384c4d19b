package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// The live heap of this program is small, 6 MB after its start and 10 to 20 MB
// under load; what is large, the store's cache and memtables, is outside of
// it. By Go's rule, to collect when there is as much garbage as is alive, such a
// heap is collected all the time: 4.5 % of the CPU during an import, more where
// messages are mapped. So at least headroom bytes of garbage may gather.

// Percentages of Go's rule: what a heap larger than the headroom gets, and the most that a small one gets.
const (
	leastGarbage = 100
	mostGarbage  = 800
)

// garbagePercent is how much the heap may grow beyond what is alive before it is collected, in percent of that.
func garbagePercent(alive uint64, headroom int64) int {
	if headroom <= 0 {
		return leastGarbage
	}
	return int(min(max(uint64(headroom)*100/max(alive, 1), leastGarbage), mostGarbage))
}

// tuneMemory sets Go's collector for the rest of the process: headroom as
// above, limit the memory beyond which it collects more often (0: none), both in bytes. What the
// environment says (GOGC, GOMEMLIMIT) is left as it is.
func tuneMemory(headroom, limit int64) {
	if os.Getenv("GOMEMLIMIT") == "" && limit > 0 {
		debug.SetMemoryLimit(limit)
	}
	if os.Getenv("GOGC") != "" {
		return
	}
	c := &collector{headroom: headroom, alive: []metrics.Sample{{Name: "/gc/heap/live:bytes"}}}
	c.follow()
}

// collector follows the heap, from one collection to the next: one call at a time.
type collector struct {
	headroom int64
	alive    []metrics.Sample
	percent  int
}

// follow adjusts now and after the next collection, which finds c dead.
func (c *collector) follow() {
	c.adjust()
	runtime.SetFinalizer(c, (*collector).follow)
}

func (c *collector) adjust() {
	metrics.Read(c.alive)
	percent := garbagePercent(c.alive[0].Value.Uint64(), c.headroom)
	// Setting it stops the program for a moment, so not for a trifle.
	if percent != c.percent && (percent > c.percent*9/8 || percent < c.percent*8/9) {
		c.percent = percent
		debug.SetGCPercent(percent)
	}
}
