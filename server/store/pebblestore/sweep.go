package pebblestore

import (
	"bytes"
	"errors"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// A sweeper writes runs (run.go) anew whose marks have become many, so that a
// list whose resources left it one by one, as `status=active` does, costs what it
// holds and not what it held. Readers meet such runs and hint at them; one
// goroutine hands them to the committer, which alone may change a run: what
// was prepared before it did is prepared again.
type sweeper struct {
	store *Store
	hints chan string // keys of runs; a hint that finds it full is dropped, another reader will give it again
	stop  chan struct{}
	done  sync.WaitGroup
}

const (
	// maxSweep is how many runs are written in one go, which other writers wait for: some ms.
	maxSweep = 64
	// sweepPause is how long the sweeper rests after each go.
	sweepPause = 200 * time.Millisecond
	// sweepMarks: a run with so many marks, if they are half of it, is written anew; one of which nothing is left always.
	sweepMarks = 8
)

func (s *Store) newSweeper() *sweeper {
	return &sweeper{store: s, hints: make(chan string, 4*maxSweep), stop: make(chan struct{})}
}

func (w *sweeper) start() { w.done.Go(w.run) }

// end stops it and waits. It must be called once, and before the committer is stopped.
func (w *sweeper) end() {
	close(w.stop)
	w.done.Wait()
}

// hint says that of a run's members so many are removed by marks.
func (w *sweeper) hint(key []byte, members, removed int) {
	if removed == 0 || removed < members && (removed < sweepMarks || 2*removed < members) {
		return
	}
	select {
	case w.hints <- string(key):
	default:
	}
}

func (w *sweeper) run() {
	for {
		keys := map[string]struct{}{}
		select {
		case <-w.stop:
			return
		case key := <-w.hints:
			keys[key] = struct{}{}
		}
		for more := true; more && len(keys) < maxSweep; {
			select {
			case key := <-w.hints:
				keys[key] = struct{}{}
			default:
				more = false
			}
		}
		w.sweep(keys)
		select {
		case <-w.stop:
			return
		case <-time.After(sweepPause):
		}
	}
}

// sweep waits until the runs are written. A failure is of no consequence: they stay as they are.
func (w *sweeper) sweep(keys map[string]struct{}) {
	r := &request{sweep: keys, lazy: true, done: make(chan error, 1)}
	w.store.committer.requests <- r
	if err := <-r.done; err != nil {
		w.store.options.Logger.Warn("store: runs could not be swept", "error", err)
	}
}

// addSweep writes runs anew, on the newest state, in a batch of their own.
func (c *committer) addSweep(r *request) error {
	c.apply()
	b := c.store.db.NewBatch()
	for key := range r.sweep {
		if err := sweepRun(c.store.db, b, []byte(key)); err != nil {
			b.Close()
			return err
		}
	}
	if b.Empty() {
		b.Close()
		r.done <- nil
		return nil
	}
	c.position++
	c.swept = c.position
	c.open.batch, c.open.requests = b, append(c.open.requests, r)
	c.apply()
	return nil
}

// sweepRun adds to b what puts the marks of a run into it. It does nothing when there is no such run any more.
func sweepRun(db getter, b *pebble.Batch, key []byte) error {
	value, closer, err := db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	head := len(key) - numberLen - 1
	run, err := cutRun(nil, numberAt(key[:len(key)-1]), value)
	closer.Close()
	if err != nil {
		return err
	}
	iter, err := db.NewIter(&pebble.IterOptions{LowerBound: appendNumber(bytes.Clone(key[:head]), run[0].first), UpperBound: key})
	if err != nil {
		return err
	}
	defer iter.Close()
	marks := 0
	for iter.First(); iter.Valid(); iter.Next() {
		if len(iter.Key()) != head+numberLen {
			continue // with a high half
		}
		switch mark, err := pointMark(iter.Value()); {
		case err != nil:
			return err
		case mark == pointRemoved:
			run = without(run, numberAt(iter.Key()))
		case mark == pointAdded:
			run = with(run, numberAt(iter.Key()))
		default:
			return errCorrupt
		}
		marks++
		if err := b.Delete(iter.Key(), nil); err != nil {
			return err
		}
	}
	if err := iter.Error(); err != nil || marks == 0 {
		return err
	}
	if err := b.Delete(key, nil); err != nil || len(run) == 0 {
		return err
	}
	last := run[len(run)-1].last
	anew := appendNumber(bytes.Clone(key[:head]), last)
	if run[0].first == last {
		return b.Set(anew, nil, nil)
	}
	return b.Set(append(anew, runTail), appendRun(nil, run), nil)
}
