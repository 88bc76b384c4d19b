package main

import "testing"

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
