package pebblestore

import (
	"sync"
	"time"
)

// A sweeper writes lists of points (run.go) anew where reading them costs more
// than they hold: a run whose marks have become many, as in `status=active` that resources left one by one, and a
// stretch of small groups, which is what creates of one resource each leave. Readers meet both and hint at them; one
// goroutine hands them to the committer, which alone may change a run: what
// was prepared before it did is prepared again.
type sweeper struct {
	store *Store
	hints chan stretch // a hint that finds it full is dropped, another reader will give it again
	stop  chan struct{}
	done  sync.WaitGroup
}

// Of tuning: sweepKeys is how many keys are read in one go, which other writers wait for (some ms); sweepPause is how long the sweeper rests
// after each; a list of which a search met foldAfter small groups, three quarters of all that it met, is folded from the lowest on.
const (
	// maxSweep is how many stretches are kept in mind.
	maxSweep = 64
	// sweepMarks: a run with so many marks, if they are half of it, is written anew; one of which nothing is left always.
	sweepMarks = 8
)

func (s *Store) newSweeper() *sweeper {
	return &sweeper{store: s, hints: make(chan stretch, 4*maxSweep), stop: make(chan struct{})}
}

func (w *sweeper) start() { w.done.Go(w.run) }

// end stops it and waits. It must be called once, and before the committer is stopped.
func (w *sweeper) end() {
	close(w.stop)
	w.done.Wait()
}

// marked says that of the members of a run at a number so many are removed by marks.
func (w *sweeper) marked(list []byte, number uint64, members, removed int) {
	if removed == 0 || removed < members && (removed < sweepMarks || 2*removed < members) {
		return
	}
	w.hint(stretch{string(list), number, false})
}

func (w *sweeper) hint(x stretch) {
	select {
	case w.hints <- x:
	default:
	}
}

// run sweeps what is hinted at. A stretch that was not swept to its end is gone on with when the others had their turn.
func (w *sweeper) run() {
	var todo []stretch
	for {
		if len(todo) == 0 {
			select {
			case <-w.stop:
				return
			case x := <-w.hints:
				todo = append(todo, x)
			}
		}
		for more := true; more && len(todo) < maxSweep; {
			select {
			case x := <-w.hints:
				todo = append(todo, x)
			default:
				more = false
			}
		}
		todo = w.sweep(apart(todo))
		select {
		case <-w.stop:
			return
		case <-time.After(w.store.options.tuning.sweepPause):
		}
	}
}

// apart makes stretches that share no key, which one go needs: of a list that is to be folded one stretch, from
// where the first begins; else each run once.
func apart(of []stretch) []stretch {
	folds := map[string]uint64{} // where they begin
	for _, x := range of {
		if x.fold {
			folds[x.list] = x.number
		}
	}
	for _, x := range of {
		if at, ok := folds[x.list]; ok && x.number < at {
			folds[x.list] = x.number
		}
	}
	seen := map[stretch]bool{}
	out := of[:0]
	for _, x := range of {
		if at, ok := folds[x.list]; ok {
			x = stretch{x.list, at, true}
		}
		if !seen[x] {
			seen[x] = true
			out = append(out, x)
		}
	}
	return out
}

// sweep waits until the stretches are written, and gives what is left of them. A failure is of no consequence: they stay as they are.
func (w *sweeper) sweep(of []stretch) []stretch {
	r := &request{sweep: of, lazy: true, done: make(chan error, 1)}
	w.store.committer.requests <- r
	if err := <-r.done; err != nil {
		w.store.options.Logger.Warn("store: lists could not be swept", "error", err)
		return nil
	}
	return r.sweep
}

// addSweep writes stretches anew, on the newest state, in a batch of their own.
// It leaves in the request what is still to be done.
func (c *committer) addSweep(r *request) error {
	c.apply()
	f := folder{db: c.store.db, batch: c.store.db.NewBatch(), budget: c.store.options.tuning.sweepKeys}
	var left []stretch
	for i, x := range r.sweep {
		if f.budget <= 0 {
			left = append(left, r.sweep[i:]...)
			break
		}
		next, more, err := f.fold(x)
		if err != nil {
			f.batch.Close()
			return err
		}
		if more {
			left = append(left, stretch{x.list, next, true})
		}
	}
	r.sweep = left
	if f.batch.Empty() {
		f.batch.Close()
		r.done <- nil
		return nil
	}
	c.position++
	c.swept = c.position
	c.open.batch, c.open.requests = f.batch, append(c.open.requests, r)
	c.apply()
	return nil
}
