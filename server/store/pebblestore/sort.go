package pebblestore

import (
	"math"
)

// A sorted page is made in one of two ways:
//
//	walk      read the sort parameter's list in order and check each entry; costs page × total / matches
//	collect   drive all matches, look their sort values up, keep the first ones; costs the matches
//
// Neither number is known beforehand, and filters correlate with sort
// parameters. So each gets a first turn, in which a dense page is walked and a
// selective one collected. Then the walk foretells what it still needs, and
// the keys that collecting still has to go through are counted as far as that
// would be cheaper, which costs a tenth of it. A walk that was chosen and
// needs twice what it foretold is asked again. Nothing done is lost.
func (r *run) sorted() {
	w := r.newWalker()
	c := r.newCollect()
	if w == nil {
		c.run(math.MaxInt)
		r.hits, r.strategy = c.result(), "collect and sort"
		return
	}
	turn := r.tuning.firstTurn
	walked, collected := w.run(turn), false
	if !walked {
		collected = c.run(turn)
	}
	for !walked && !collected && r.err == nil {
		need := max(w.needs(), turn)
		enough := need / collectUnits
		if c.list.remaining(enough+1) <= enough {
			collected = c.run(math.MaxInt)
		} else {
			walked = w.run(2 * need)
		}
	}
	if collected {
		r.hits, r.strategy = c.result(), "collect and sort"
		return
	}
	r.hits, r.strategy = w.taken()[:min(len(w.taken()), r.want)], w.name()
}

// walker is a walk of either kind.
type walker interface {
	run(units int) (done bool)
	needs() int
	taken() []hit
	name() string
}

// newWalker is nil when nothing stands in the order asked for.
func (r *run) newWalker() walker {
	if w := r.newWalk(); w != nil {
		return w
	}
	if w := r.newValueWalk(); w != nil {
		return w
	}
	return nil
}

// collectUnits is what collecting one match costs.
const collectUnits = unitNext + unitForward
