package job

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"meridian/server/store"
)

// run carries out one leased job and writes how it ended.
func (r *Runner) run(ctx context.Context, kind string, it *store.Item) error {
	k := r.kinds[kind]
	t := &Task{ID: it.ID, Kind: kind, Body: it.Body, runner: r, lease: it.Lease}
	if err := json.Unmarshal(orEmpty(it.Note), &t.record); err != nil {
		return r.finish(ctx, t, store.Parked, LabelFailed, fmt.Errorf("its record cannot be read: %w", err))
	}
	if t.record.Began.IsZero() {
		t.record.Began = r.clock().UTC()
	}
	if !t.record.Ended.IsZero() {
		t.record.Ended, t.record.Uncounted = time.Time{}, it.Attempts-1
	}
	t.record.Error, t.Attempt, t.changed = "", it.Attempts-t.record.Uncounted, true
	if t.Attempt > k.Attempts {
		// Its process died each time, before it could say why.
		return r.finish(ctx, t, store.Parked, LabelFailed, fmt.Errorf("it did not end in %d attempts", k.Attempts))
	}
	run, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r.note(it.ID, cancel)
	defer r.note(it.ID, nil)
	beat := make(chan struct{})
	go func() {
		defer close(beat)
		t.hold(run, cancel)
	}()
	err := call(run, k.Run, t)
	cause := context.Cause(run)
	cancel(nil)
	<-beat
	switch {
	case errors.Is(cause, ErrCancelled):
		return nil
	case ctx.Err() != nil:
		// The server stops: the job goes on where it was, and this attempt does not count.
		t.mu.Lock()
		t.record.Uncounted++
		t.mu.Unlock()
		return r.finish(context.WithoutCancel(ctx), t, store.Pending, "", nil)
	case err == nil:
		return r.finish(ctx, t, store.Done, "", nil)
	case errors.As(err, new(permanent)) || t.Attempt >= k.Attempts:
		r.log.Error("job: parked", "kind", kind, "job", it.ID, "attempt", t.Attempt, "error", err)
		return r.finish(ctx, t, store.Parked, LabelFailed, err)
	}
	r.log.Warn("job: failed, tries again", "kind", kind, "job", it.ID, "attempt", t.Attempt, "error", err)
	return r.finish(ctx, t, store.Pending, "", err)
}

func orEmpty(note []byte) []byte {
	if len(note) == 0 {
		return []byte("{}")
	}
	return note
}

// call turns a panic into a permanent error; its text holds the stack, no value.
func call(ctx context.Context, f Func, t *Task) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = Permanent(fmt.Errorf("panic of type %T: %s", p, debug.Stack()))
		}
	}()
	return f(ctx, t)
}

// finish writes the end of an attempt. That the lease is lost is no error: the job is another's, or cancelled.
func (r *Runner) finish(ctx context.Context, t *Task, state store.State, label string, cause error) error {
	t.mu.Lock()
	if cause != nil {
		t.record.Error = cause.Error()
	}
	if state != store.Pending {
		t.record.Ended = r.clock().UTC()
	}
	note, err := t.note()
	t.mu.Unlock()
	if err != nil {
		state, label = store.Parked, LabelFailed
		note, _ = json.Marshal(record{Error: err.Error(), Began: t.record.Began, Ended: r.clock().UTC()}) // holds no value that fails
	}
	result := store.Result{ID: t.ID, Lease: t.lease, State: state, Label: label, Note: note}
	if state == store.Pending && cause != nil {
		result.Due = r.clock().Add(backOff(t.Attempt))
	}
	if err := r.queue.Finish(ctx, []store.Result{result}); err != nil && !errors.Is(err, store.ErrLease) {
		return fmt.Errorf("job %s: %w", t.ID, err)
	}
	return nil
}

// backOff is the wait after an attempt, from 1.
func backOff(attempt int) time.Duration {
	d := firstRetry
	for i := 1; i < attempt && d < maxRetry; i++ {
		d *= 2
	}
	return min(d, maxRetry)
}

// note remembers, or with nil forgets, how a running job is ended.
func (r *Runner) note(id string, cancel context.CancelCauseFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if cancel == nil {
		delete(r.running, id)
		return
	}
	r.running[id] = cancel
}
