package pebblestore

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// pressure holds writing back while compactions are behind, a little with
// every batch, so that Pebble need not stop it altogether.
type pressure struct {
	sublevels atomic.Int32
	wake      chan struct{}
	quit      chan struct{}
	stopped   sync.WaitGroup
}

const (
	// softSublevels is where L0 begins to slow writing, stopSublevels where Pebble stops it.
	softSublevels = 12
	stopSublevels = 40
	// delayPerMegabyte is the wait for each MiB of keys and bytes and each sublevel above the soft limit.
	delayPerMegabyte = 4 * time.Millisecond
)

func newPressure() *pressure {
	return &pressure{wake: make(chan struct{}, 1), quit: make(chan struct{})}
}

func (p *pressure) wait(bytes int) {
	over := min(int(p.sublevels.Load()), stopSublevels) - softSublevels
	if over <= 0 {
		return
	}
	time.Sleep(time.Duration(float64(delayPerMegabyte) * float64(over) * float64(bytes) / (1 << 20)))
}

// changed tells that a flush or compaction has ended.
func (p *pressure) changed() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *pressure) start(db *pebble.DB) {
	p.stopped.Go(func() {
		for {
			select {
			case <-p.wake:
				p.sublevels.Store(db.Metrics().Levels[0].Sublevels)
			case <-p.quit:
				return
			}
		}
	})
}

func (p *pressure) stop() {
	close(p.quit)
	p.stopped.Wait()
}
