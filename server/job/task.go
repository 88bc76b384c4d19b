package job

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"meridian/server/store"
)

// Task is a job while it runs. Its methods are safe for concurrent use.
type Task struct {
	ID      string
	Kind    string
	Attempt int    // from 1
	Body    []byte // as it was added; must not be changed

	runner *Runner
	lease  string

	mu      sync.Mutex
	record  record
	changed bool // since it was written
}

// Report says how far the work is; total is 0 while it is not known, text says what is being done, without values of
// patients. It is cheap: it is written at most every Options.ReportEvery.
func (t *Task) Report(done, total int, text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.record.Done, t.record.Total, t.record.Text, t.changed = done, total, text, true
}

// State reads what Save wrote last, in this attempt or one before, into v; false when there is nothing.
func (t *Task) State(v any) (bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.record.State) == 0 {
		return false, nil
	}
	if err := json.Unmarshal(t.record.State, v); err != nil {
		return false, Permanent(fmt.Errorf("job %s: state: %w", t.ID, err))
	}
	return true, nil
}

// Save writes where the work could go on, as JSON, before it returns. It fails with
// ErrCancelled when the job was cancelled. The whole record has at most 512 KiB.
func (t *Task) Save(ctx context.Context, state any) error {
	text, err := json.Marshal(state)
	if err != nil {
		return Permanent(fmt.Errorf("job %s: state: %w", t.ID, err))
	}
	t.mu.Lock()
	t.record.State, t.changed = text, true
	t.mu.Unlock()
	return t.extend(ctx)
}

// SetResult keeps a small answer, as JSON, in the record; it is written with the end of the job.
func (t *Task) SetResult(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return Permanent(fmt.Errorf("job %s: result: %w", t.ID, err))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.record.Result = text
	return nil
}

// note is the record as it is stored; the caller holds mu.
func (t *Task) note() ([]byte, error) {
	note, err := json.Marshal(&t.record)
	if err == nil && len(note) > maxNote {
		err = fmt.Errorf("the record of a job has at most %d bytes, this one has %d", maxNote, len(note))
	}
	return note, err
}

// extend renews the lease and writes what has changed.
func (t *Task) extend(ctx context.Context) error {
	t.mu.Lock()
	var note []byte
	var err error
	if t.changed {
		note, err = t.note()
		t.changed = false
	}
	t.mu.Unlock()
	if err != nil {
		return Permanent(err)
	}
	err = t.runner.queue.Extend(ctx, t.ID, t.lease, t.runner.lease, note)
	if errors.Is(err, store.ErrLease) {
		return ErrCancelled
	}
	return err
}

// hold renews the lease until ctx ends, and ends it when the lease is lost.
func (t *Task) hold(ctx context.Context, cancel context.CancelCauseFunc) {
	renew := t.runner.lease / 4
	tick := time.NewTicker(min(t.runner.report, renew))
	defer tick.Stop()
	renewed := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		t.mu.Lock()
		write := t.changed
		t.mu.Unlock()
		if !write && time.Since(renewed) < renew {
			continue
		}
		switch err := t.extend(ctx); {
		case err == nil:
			renewed = time.Now()
		case errors.Is(err, ErrCancelled) && ctx.Err() == nil:
			cancel(ErrCancelled)
			return
		case ctx.Err() == nil:
			t.runner.log.Warn("job: its lease could not be renewed", "kind", t.Kind, "job", t.ID, "error", err)
		}
	}
}
