package pebblestore

import (
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// scheduler grants compactions as Pebble's own does, up to what the database
// allows itself, but none before the store is open: pebble.Open waits for
// compactions that it has started, which after an import takes seconds.
type scheduler struct {
	db      pebble.DBForCompaction
	poke    chan struct{}
	quit    chan struct{}
	stopped sync.WaitGroup

	mu      sync.Mutex // never held while db takes its own
	open    bool
	ended   bool
	running int
}

// grantEvery is how often the scheduler looks for work that nobody told it of.
const grantEvery = 100 * time.Millisecond

func newScheduler() *scheduler {
	return &scheduler{poke: make(chan struct{}, 1), quit: make(chan struct{})}
}

// begin lets compactions run.
func (s *scheduler) begin() {
	s.mu.Lock()
	s.open = true
	s.mu.Unlock()
	s.wake()
}

func (s *scheduler) wake() {
	select {
	case s.poke <- struct{}{}:
	default:
	}
}

// take counts one more compaction if it may run.
func (s *scheduler) take() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.open || s.ended || s.running >= s.db.GetAllowedWithoutPermission() {
		return false
	}
	s.running++
	return true
}

func (s *scheduler) giveBack() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running--
}

// Register begins to look for work.
func (s *scheduler) Register(_ int, db pebble.DBForCompaction) {
	s.db = db
	s.stopped.Go(func() {
		tick := time.NewTicker(grantEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-s.poke:
			case <-s.quit:
				return
			}
			s.grant()
		}
	})
}

// grant starts what waits and may run.
func (s *scheduler) grant() {
	for s.take() {
		waiting, _ := s.db.GetWaitingCompaction()
		if !waiting || !s.db.Schedule(s) {
			s.giveBack()
			return
		}
	}
}

// Unregister ends granting; calls to the database are over when it returns.
func (s *scheduler) Unregister() {
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	close(s.quit)
	s.stopped.Wait()
}

// TrySchedule is how the database asks to run a compaction now.
func (s *scheduler) TrySchedule() (bool, pebble.CompactionGrantHandle) {
	if s.take() {
		return true, s
	}
	return false, nil
}

// UpdateGetAllowedWithoutPermission says that more may be allowed.
func (s *scheduler) UpdateGetAllowedWithoutPermission() { s.wake() }

// Started, MeasureCPU, CumulativeStats and Done are the handle of one compaction.
func (s *scheduler) Started()                                            {}
func (s *scheduler) MeasureCPU(pebble.CompactionGoroutineKind)           {}
func (s *scheduler) CumulativeStats(_ pebble.CompactionGrantHandleStats) {}

// Done makes room for the next one.
func (s *scheduler) Done() {
	s.giveBack()
	s.wake()
}
