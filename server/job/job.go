// Package job runs long work on store.Queue: retry with back-off, dead
// letters, progress, cancelling.
//
// A job is one item of the queue, in the topic "job.<kind>": its Body is what it
// is to do, as its kind understands it, its Note is this record:
//
//	{"done":120,"total":2000,"text":"Observation","state":{"after":"…"},"result":{…},"error":"…"}
//
//	pending ─▶ leased (running) ─▶ done       label "" | cancelled
//	   ▲            │ └─ fails for good, or too often ─▶ parked   label failed; Retry makes it pending
//	   └─ fails ────┘  after 1, 2, 4 … 60 s
//
// A running job holds its lease for as long as its process lives; when that
// dies, the lease ends and the job runs again, here or in another process, with
// the State that it saved last. So a kind must bear being run twice: what it has
// done must be in its State, or harmless when repeated. Who cancels a job ends
// its context; what was committed until then stays.
//
// A Runner is safe for concurrent use, by any number of processes over one store.
package job

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"meridian/server/store"
)

// A Func does the work of one job. An error makes it run again later, one
// wrapped by Permanent parks it. When ctx ends it returns soon; what it returns then is
// of no matter. A panic is a permanent error.
type Func func(ctx context.Context, t *Task) error

// Kind is a sort of jobs.
type Kind struct {
	Run Func
	// Workers is how many run at once in this process. Default 2.
	Workers int
	// Keep is how long a job is known after it has ended well or was cancelled; one that failed stays. Default 30 days.
	Keep time.Duration
	// Attempts is how often a job that fails, or whose process dies, is begun before it is parked. Default 8.
	Attempts int
}

// Options of a Runner. Queue and Kinds are required.
type Options struct {
	Queue store.Queue
	Kinds map[string]Kind
	// Logger is told kinds, ids and errors of jobs that fail. Default slog.Default.
	Logger *slog.Logger
	// Clock decides when a job that failed runs again. Default time.Now.
	Clock func() time.Time
	// Lease is how long a job whose process died waits for another; a running
	// one renews it four times as often. Default 1 minute.
	Lease time.Duration
	// ReportEvery is how often progress is written at most. Default 1 second.
	ReportEvery time.Duration
}

// Back-off between the attempts of a job.
const (
	firstRetry = time.Second
	maxRetry   = time.Minute
)

// Defaults of Kind and Options.
const (
	defaultWorkers  = 2
	defaultAttempts = 8
	defaultKeep     = 30 * 24 * time.Hour
	defaultLease    = time.Minute
	defaultReport   = time.Second
)

// maxNote is the largest record of a job, in bytes: what does not fit parks the job.
const maxNote = 512 << 10

// Labels of jobs that ended otherwise than well.
const (
	LabelFailed    = "failed"
	LabelCancelled = "cancelled"
)

// ErrCancelled is the cause of a task's context when its job was cancelled, or
// is held by another process by now.
var ErrCancelled = errors.New("the job was cancelled")

// Runner runs the jobs of its kinds.
type Runner struct {
	queue   store.Queue
	kinds   map[string]Kind
	log     *slog.Logger
	clock   func() time.Time
	lease   time.Duration
	report  time.Duration
	stop    context.CancelFunc
	workers sync.WaitGroup

	mu      sync.Mutex
	running map[string]context.CancelCauseFunc // by id, those of this process
}

// New gives a Runner that does not run yet.
func New(o Options) (*Runner, error) {
	if o.Queue == nil || len(o.Kinds) == 0 {
		return nil, errors.New("job: Queue and Kinds are required")
	}
	r := &Runner{queue: o.Queue, kinds: map[string]Kind{}, log: o.Logger, clock: o.Clock, lease: o.Lease, report: o.ReportEvery,
		running: map[string]context.CancelCauseFunc{}}
	for name, k := range o.Kinds {
		if k.Run == nil {
			return nil, fmt.Errorf("job: kind %s has no Run", name)
		}
		if k.Workers <= 0 {
			k.Workers = defaultWorkers
		}
		if k.Attempts <= 0 {
			k.Attempts = defaultAttempts
		}
		if k.Keep <= 0 {
			k.Keep = defaultKeep
		}
		r.kinds[name] = k
	}
	if r.log == nil {
		r.log = slog.Default()
	}
	if r.clock == nil {
		r.clock = time.Now
	}
	if r.lease <= 0 {
		r.lease = defaultLease
	}
	if r.report <= 0 {
		r.report = defaultReport
	}
	return r, nil
}

// Start begins to run jobs; those that are left from before too.
func (r *Runner) Start() {
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	for name, k := range r.kinds {
		r.workers.Go(func() { r.dispatch(ctx, name, k.Workers) })
	}
	r.workers.Go(func() { r.sweepAll(ctx) })
}

// Stop ends the contexts of running jobs and waits until they have returned.
// They are pending again at once and go on when a Runner starts.
func (r *Runner) Stop() {
	if r.stop != nil {
		r.stop()
	}
	r.workers.Wait()
}

// errorPause is how long a worker waits after the queue failed.
const errorPause = time.Second

// dispatch leases jobs of a kind, as many as may run.
func (r *Runner) dispatch(ctx context.Context, kind string, workers int) {
	slots := make(chan struct{}, workers)
	for ctx.Err() == nil {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		it, err := r.wait(ctx, kind)
		if it != nil {
			r.workers.Go(func() {
				defer func() { <-slots }()
				if err := r.run(ctx, kind, it); err != nil {
					r.log.Error("job: its end could not be written", "kind", kind, "job", it.ID, "error", err)
				}
			})
			continue
		}
		<-slots
		if errors.Is(err, store.ErrClosed) || ctx.Err() != nil {
			return
		}
		if err != nil {
			r.log.Error("job: the queue failed", "kind", kind, "error", err)
			pause(ctx, errorPause)
		}
	}
}

// wait gives the next job of a kind; nil when another process was first.
func (r *Runner) wait(ctx context.Context, kind string) (*store.Item, error) {
	if err := r.queue.Wait(ctx, topic(kind)); err != nil {
		return nil, err
	}
	items, err := r.queue.Lease(ctx, topic(kind), 1, r.lease)
	if err != nil || len(items) == 0 {
		return nil, err
	}
	return &items[0], nil
}

// sweepEvery is how often jobs whose time is over are forgotten.
const sweepEvery = 10 * time.Minute

func (r *Runner) sweepAll(ctx context.Context) {
	for ctx.Err() == nil {
		if err := r.Sweep(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, store.ErrClosed) {
			r.log.Warn("job: old jobs stay", "error", err)
		}
		pause(ctx, sweepEvery)
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

// Drain runs the jobs that are due, one after the other, until there is none. It is for tests and
// for commands that wait for their own job; a started Runner needs it not.
func (r *Runner) Drain(ctx context.Context) error {
	for again := true; again; {
		again = false
		for name := range r.kinds {
			ran, err := r.one(ctx, name)
			if err != nil {
				return err
			}
			again = again || ran
		}
	}
	return nil
}

// one leases a job and runs it.
func (r *Runner) one(ctx context.Context, kind string) (ran bool, err error) {
	items, err := r.queue.Lease(ctx, topic(kind), 1, r.lease)
	if err != nil || len(items) == 0 {
		return false, err
	}
	return true, r.run(ctx, kind, &items[0])
}

func topic(kind string) string { return "job." + kind }

// Permanent wraps an error that will be the same however often the job runs.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanent{err}
}

type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// record is the note of a job.
type record struct {
	Done   int             `json:"done,omitempty"`
	Total  int             `json:"total,omitempty"`
	Text   string          `json:"text,omitempty"`
	State  json.RawMessage `json:"state,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
	Error  string          `json:"error,omitempty"`
	Began  time.Time       `json:"began,omitzero"`
	Ended  time.Time       `json:"ended,omitzero"`
	// Uncounted are the attempts that do not count: those ended by a stop of the server, and all before a Retry.
	Uncounted int `json:"uncounted,omitempty"`
}
