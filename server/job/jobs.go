package job

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"meridian/server/store"
)

// NewJob is a job to be added.
type NewJob struct {
	Kind string
	Body []byte
	// Key, when not empty, is the same for jobs that are the same: while one is known, no second is added.
	Key string
}

// Job is what is known of one.
type Job struct {
	ID       string    `json:"id"`
	Kind     string    `json:"kind"`
	State    State     `json:"state"`
	Done     int       `json:"done,omitempty"`
	Total    int       `json:"total,omitempty"`
	Text     string    `json:"text,omitempty"`
	Error    string    `json:"error,omitempty"`
	Attempts int       `json:"attempts,omitempty"`
	Added    time.Time `json:"added"`
	Began    time.Time `json:"began,omitzero"`
	Ended    time.Time `json:"ended,omitzero"`
	// Due is when a waiting job runs at the earliest.
	Due    time.Time       `json:"due,omitzero"`
	Result json.RawMessage `json:"result,omitempty"`
	// Body is what the job is to do; only Get gives it, and it is not shown over HTTP.
	Body []byte `json:"-"`
}

// State of a job, as people see it.
type State string

const (
	Waiting   State = "waiting"
	Running   State = "running"
	Done      State = "done"
	Failed    State = "failed"
	Cancelled State = "cancelled"
)

// Ended says that nothing happens any more unless somebody asks for it.
func (s State) Ended() bool { return s == Done || s == Failed || s == Cancelled }

// ErrKind: there is no such kind of jobs.
var ErrKind = errors.New("there is no such kind of jobs")

// Add stores a job durably and gives its id, that of the one that has its Key where there is one (existing).
func (r *Runner) Add(ctx context.Context, n NewJob) (id string, existing bool, err error) {
	if _, ok := r.kinds[n.Kind]; !ok {
		return "", false, fmt.Errorf("%s: %w", n.Kind, ErrKind)
	}
	got, err := r.queue.Append(ctx, []store.NewItem{{Topic: topic(n.Kind), Key: n.Key, Body: n.Body, Note: []byte("{}")}})
	if err != nil {
		return "", false, fmt.Errorf("add a job: %w", err)
	}
	return got[0].ID, got[0].Existing, nil
}

// Get gives one job of any kind; store.ErrNotFound.
func (r *Runner) Get(ctx context.Context, id string) (Job, error) {
	it, err := r.queue.Get(ctx, id)
	if err != nil {
		return Job{}, err
	}
	j, ok := r.job(&it)
	if !ok {
		return Job{}, fmt.Errorf("job %s: %w", id, store.ErrNotFound)
	}
	return j, nil
}

// job reads an item; false for one that is none of our kinds.
func (r *Runner) job(it *store.Item) (Job, bool) {
	kind, ok := strings.CutPrefix(it.Topic, topic(""))
	if _, known := r.kinds[kind]; !ok || !known {
		return Job{}, false
	}
	var rec record
	_ = json.Unmarshal(orEmpty(it.Note), &rec) // what cannot be read shows nothing
	j := Job{ID: it.ID, Kind: kind, Done: rec.Done, Total: rec.Total, Text: rec.Text, Error: rec.Error, Attempts: it.Attempts,
		Added: it.Appended, Began: rec.Began, Ended: rec.Ended, Result: rec.Result, Body: it.Body}
	switch {
	case it.State == store.Pending:
		j.State, j.Due = Waiting, it.Due
	case it.State == store.Leased:
		j.State = Running
	case it.State == store.Parked:
		j.State = Failed
	case it.Label == LabelCancelled:
		j.State = Cancelled
	default:
		j.State = Done
	}
	return j, true
}

// ListParams selects jobs of one kind, newest first.
type ListParams struct {
	Kind  string
	State State  // "" is any
	After string // an id; "" from the newest
	Limit int    // default 20, at most 1,000
}

// Limits of List.
const (
	defaultList = 20
	maxList     = 1000
)

// List gives jobs of a kind, without bodies; ErrKind.
func (r *Runner) List(ctx context.Context, p ListParams) ([]Job, error) {
	if _, ok := r.kinds[p.Kind]; !ok {
		return nil, fmt.Errorf("%s: %w", p.Kind, ErrKind)
	}
	q := store.ListParams{Topic: topic(p.Kind), After: p.After, Limit: min(p.Limit, maxList)}
	if q.Limit <= 0 {
		q.Limit = defaultList
	}
	switch p.State {
	case Waiting:
		q.State = store.Pending
	case Running:
		q.State = store.Leased
	case Done, Cancelled:
		q.State = store.Done
	case Failed:
		q.State = store.Parked
	}
	if p.State == Cancelled {
		q.Label = LabelCancelled
	}
	jobs := []Job{}
	for len(jobs) < q.Limit {
		items, err := r.queue.List(ctx, q)
		if err != nil {
			return nil, err
		}
		for i := range items {
			if j, ok := r.job(&items[i]); ok && (p.State == "" || j.State == p.State) && len(jobs) < q.Limit {
				jobs = append(jobs, j)
			}
		}
		if len(items) < q.Limit {
			break
		}
		q.After = items[len(items)-1].ID
	}
	return jobs, nil
}

// Sweep forgets jobs that are done, or were cancelled, for longer than their kind keeps them. A started Runner does it by itself.
func (r *Runner) Sweep(ctx context.Context) error {
	for kind, k := range r.kinds {
		q := store.ListParams{Topic: topic(kind), State: store.Done, Limit: maxList}
		for {
			items, err := r.queue.List(ctx, q)
			if err != nil {
				return err
			}
			var over []string
			for i := range items {
				j, ok := r.job(&items[i])
				ended := j.Ended
				if ended.IsZero() {
					ended = j.Added // cancelled
				}
				if ok && r.clock().Sub(ended) >= k.Keep {
					over = append(over, j.ID)
				}
			}
			if len(over) > 0 {
				if err := r.queue.Remove(ctx, over); err != nil {
					return err
				}
			}
			if len(items) < q.Limit {
				break
			}
			q.After = items[len(items)-1].ID
		}
	}
	return nil
}

// Remove forgets a job that has ended; store.ErrNotFound.
func (r *Runner) Remove(ctx context.Context, id string) error {
	j, err := r.Get(ctx, id)
	if err != nil || !j.State.Ended() {
		return err
	}
	return r.queue.Remove(ctx, []string{id})
}

// Counts gives how many jobs of a kind wait, run, are done (cancelled ones too) and have failed; ErrKind.
func (r *Runner) Counts(ctx context.Context, kind string) (map[State]int, error) {
	if _, ok := r.kinds[kind]; !ok {
		return nil, fmt.Errorf("%s: %w", kind, ErrKind)
	}
	n, err := r.queue.Counts(ctx, topic(kind))
	return map[State]int{Waiting: n[store.Pending], Running: n[store.Leased], Done: n[store.Done], Failed: n[store.Parked]}, err
}

// Cancel ends a job that has not ended; store.ErrNotFound. One that runs in
// this process is told at once, one in another within a quarter of the lease.
func (r *Runner) Cancel(ctx context.Context, id string) error {
	if _, err := r.Get(ctx, id); err != nil {
		return err
	}
	if err := r.queue.Cancel(ctx, id, LabelCancelled); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if cancel := r.running[id]; cancel != nil {
		cancel(ErrCancelled)
	}
	return nil
}

// Retry makes a job that has failed, or was cancelled, wait again, with the state that it saved; store.ErrNotFound.
func (r *Runner) Retry(ctx context.Context, id string) error {
	j, err := r.Get(ctx, id)
	if err != nil || j.State != Failed && j.State != Cancelled {
		return err
	}
	return r.queue.Requeue(ctx, []string{id})
}
