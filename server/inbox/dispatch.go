package inbox

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"meridian/server/store"
)

// Waits of the dispatcher.
const (
	// storePause is the wait after the store failed.
	storePause = time.Second
	// finishTime bounds one attempt to write down how messages ended, finishTries how many there are.
	finishTime  = 30 * time.Second
	finishTries = 3
	// recheck is how long a message waits for one that should have been tried again by now.
	recheck = time.Second
	// maxHolds bounds what a starting process reads of messages that others wait for.
	maxHolds = 10_000
)

// Labels of pending items that were taken before.
const (
	labelRetry   = "retry"   // failed for internal reasons
	labelWaiting = "waiting" // behind one of the same patient that failed
)

// ending is a message and how it goes on.
type ending struct {
	store.Result
	w *work
}

// dispatch leases messages in the order of their arrival, reads them, and puts
// each into the lanes of its patients, until ctx ends.
func (in *Inbox) dispatch(ctx context.Context) {
	in.lanes.open(2 * in.limits.Lease)
	running, abort := context.WithCancel(context.Background())
	defer abort()
	results := make(chan ending, in.limits.Lease)
	var workers, finisher sync.WaitGroup
	for range in.limits.Workers {
		workers.Add(1)
		go func() {
			defer workers.Done()
			in.work(ctx, running, results)
		}()
	}
	finisher.Add(1)
	go func() { defer finisher.Done(); in.finish(results) }()
	in.restore(ctx)
	for n := in.lanes.free(ctx); n > 0 && ctx.Err() == nil; n = in.lanes.free(ctx) {
		in.lease(ctx, min(n, in.limits.Lease))
	}
	timer := time.AfterFunc(in.limits.StopTime, abort)
	in.lanes.drained()
	timer.Stop()
	close(in.lanes.ready)
	workers.Wait()
	close(results)
	finisher.Wait()
}

// lease takes up to n messages, or waits until there is one.
func (in *Inbox) lease(ctx context.Context, n int) {
	until := in.clock().Add(in.limits.LeaseTime)
	items, err := in.queue.Lease(ctx, Topic, n, in.limits.LeaseTime)
	if err == nil && len(items) == 0 {
		err = in.queue.Wait(ctx, Topic)
	}
	if err != nil && ctx.Err() == nil {
		in.log.Error("take messages from the queue", "error", err)
		pause(ctx, storePause)
	}
	for i := range items {
		in.lanes.add(in.read(&items[i], until))
	}
}

// restore learns which lanes wait for a message that failed before this process started.
func (in *Inbox) restore(ctx context.Context) {
	for _, label := range [...]string{labelWaiting, labelRetry} {
		items, err := in.queue.List(ctx, store.ListParams{Topic: Topic, State: store.Pending, Label: label, Limit: maxHolds})
		for err != nil && ctx.Err() == nil {
			in.log.Error("look for messages to be tried again", "error", err)
			pause(ctx, storePause)
			items, err = in.queue.List(ctx, store.ListParams{Topic: Topic, State: store.Pending, Label: label, Limit: maxHolds})
		}
		// Newest first: the oldest of a lane remains.
		for i := range items {
			if env, err := readEnvelope(items[i].Note); err == nil {
				in.holds.set(env.Lanes, hold{items[i].ID, items[i].Due})
			}
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// work takes ready messages until there are no more. After ctx ends they are
// given back; what runs then ends with running.
func (in *Inbox) work(ctx, running context.Context, results chan<- ending) {
	for w := range in.lanes.ready {
		if e, ok := in.turn(ctx, running, w); ok {
			results <- e
		}
		in.lanes.leave(w)
	}
}

// turn decides what happens to a message whose turn has come. false: nothing is
// written down, its lease runs out.
func (in *Inbox) turn(ctx, running context.Context, w *work) (ending, bool) {
	now := in.clock()
	if ctx.Err() != nil {
		return w.later("", time.Time{}), true
	}
	if left := w.until.Sub(now); left < in.limits.LeaseTime/4 {
		in.log.Warn("message waited too long for its turn, its lease runs out", "message", w.item.ID)
		in.holds.set(w.lanes, hold{w.item.ID, w.until})
		return ending{}, false
	}
	if due, wait := in.waits(running, w, now); wait {
		w.env.Lanes = w.lanes
		in.holds.add(w.lanes, hold{w.item.ID, due})
		return w.later(labelWaiting, due), true
	}
	bounded, cancel := context.WithTimeout(running, w.until.Sub(now))
	defer cancel()
	return in.process(bounded, w), true
}

// later puts a message back into the queue; the zero due keeps its place.
func (w *work) later(label string, due time.Time) ending {
	w.env.Leases = w.item.Attempts
	return ending{store.Result{ID: w.item.ID, Lease: w.item.Lease, State: store.Pending, Label: label, Due: due, Note: w.env.marshal()}, w}
}

// waits says whether a message of the same patient before this one will be
// tried again, and until when this one waits.
func (in *Inbox) waits(ctx context.Context, w *work, now time.Time) (time.Time, bool) {
	for {
		h, ok := in.holds.before(w)
		if !ok {
			return time.Time{}, false
		}
		if h.until.After(now) {
			return h.until, true
		}
		// It should be back by now. Another process may have ended it.
		it, err := in.queue.Get(ctx, h.id)
		if !errors.Is(err, store.ErrNotFound) && (err != nil || it.State == store.Pending || it.State == store.Leased) {
			return now.Add(recheck), true
		}
		in.holds.release(w.lanes, h.id)
	}
}

// finish writes down how messages ended, as many as are there in one commit.
func (in *Inbox) finish(results <-chan ending) {
	for first := range results {
		batch := []ending{first}
	more:
		for len(batch) < in.limits.Lease {
			select {
			case r, ok := <-results:
				if !ok {
					break more
				}
				batch = append(batch, r)
			default:
				break more
			}
		}
		in.writeDown(batch)
	}
}

// writeDown finishes a batch. A lease that was lost, which fails all of them,
// must not keep the others: then each goes alone. What cannot be written down
// runs again when its lease is over, and changes nothing then.
func (in *Inbox) writeDown(batch []ending) {
	err := in.finishOnce(batch)
	for n := 1; err != nil && !errors.Is(err, store.ErrLease) && !errors.Is(err, store.ErrClosed) && n < finishTries; n++ {
		in.log.Error("write down how messages ended", "count", len(batch), "error", err)
		pause(context.Background(), storePause)
		err = in.finishOnce(batch)
	}
	switch {
	case err == nil:
		for i := range batch {
			in.waiters.tell(&batch[i])
		}
	case !errors.Is(err, store.ErrLease):
		in.log.Error("messages run again, their ends could not be written down", "count", len(batch), "error", err)
	case len(batch) > 1:
		for i := range batch {
			in.writeDown(batch[i : i+1])
		}
	default:
		in.log.Warn("message took longer than its lease, it runs again", "message", batch[0].ID)
	}
}

func (in *Inbox) finishOnce(batch []ending) error {
	// Not the dispatcher's context: what was done must be written down in an orderly stop.
	ctx, cancel := context.WithTimeout(context.Background(), finishTime)
	defer cancel()
	results := make([]store.Result, len(batch))
	for i := range batch {
		results[i] = batch[i].Result
	}
	if err := in.queue.Finish(ctx, results); err != nil {
		return fmt.Errorf("finish %d messages: %w", len(batch), err)
	}
	return nil
}
