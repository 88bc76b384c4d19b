package job

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"meridian/server/store"
	"meridian/server/store/storetest"
)

// bench is a runner over an empty queue with a clock moved by hand.
type bench struct {
	*Runner
	t     *testing.T
	clock *storetest.Clock
	queue store.Queue
}

func newBench(t *testing.T, kinds map[string]Kind) *bench {
	clock := &storetest.Clock{}
	clock.Set(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	b := &bench{t: t, clock: clock, queue: storetest.NewMap(storetest.Config{Index: storetest.Index, Clock: clock.Now}).Queue()}
	b.Runner = b.another(kinds)
	return b
}

// another is one more process over the same queue.
func (b *bench) another(kinds map[string]Kind) *Runner {
	r, err := New(Options{Queue: b.queue, Kinds: kinds, Clock: b.clock.Now, Logger: slog.New(slog.DiscardHandler), ReportEvery: time.Millisecond})
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

func (b *bench) add(kind, body string) string {
	b.t.Helper()
	id, _, err := b.Add(b.t.Context(), NewJob{Kind: kind, Body: []byte(body)})
	if err != nil {
		b.t.Fatal(err)
	}
	return id
}

func (b *bench) drain() {
	b.t.Helper()
	if err := b.Drain(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) job(id string) Job {
	b.t.Helper()
	j, err := b.Get(b.t.Context(), id)
	if err != nil {
		b.t.Fatal(err)
	}
	return j
}

func TestDone(t *testing.T) {
	b := newBench(t, map[string]Kind{"count": {Run: func(ctx context.Context, t *Task) error {
		t.Report(3, 3, "all of "+string(t.Body))
		return t.SetResult(map[string]int{"n": 3})
	}}})
	id := b.add("count", "x")
	if j := b.job(id); j.State != Waiting || string(j.Body) != "x" || j.Kind != "count" {
		t.Errorf("added: %+v", j)
	}
	b.drain()
	if j := b.job(id); j.State != Done || j.Done != 3 || j.Total != 3 || j.Text != "all of x" || string(j.Result) != `{"n":3}` || j.Began.IsZero() || j.Ended.IsZero() || j.Attempts != 1 {
		t.Errorf("done: %+v", j)
	}
}

func TestFailure(t *testing.T) {
	failing := errors.New("not today")
	var attempts []int
	b := newBench(t, map[string]Kind{
		"flaky": {Attempts: 3, Run: func(ctx context.Context, t *Task) error {
			attempts = append(attempts, t.Attempt)
			return failing
		}},
		"wrong": {Run: func(ctx context.Context, t *Task) error { return Permanent(failing) }},
		"panic": {Run: func(ctx context.Context, t *Task) error { panic("a patient's name") }},
	})
	flaky, wrong, panics := b.add("flaky", ""), b.add("wrong", ""), b.add("panic", "")
	b.drain()
	if j := b.job(flaky); j.State != Waiting || j.Error != "not today" || j.Due.Sub(b.clock.Now()) != time.Second {
		t.Errorf("after the first failure: %+v", j)
	}
	if j := b.job(wrong); j.State != Failed || j.Error != "not today" || j.Attempts != 1 {
		t.Errorf("permanent: %+v", j)
	}
	if j := b.job(panics); j.State != Failed || strings.Contains(j.Error, "name") || !strings.Contains(j.Error, "panic of type string") {
		t.Errorf("panic: %+v", j)
	}
	for range 4 {
		b.clock.Add(2 * time.Minute)
		b.drain()
	}
	if j := b.job(flaky); j.State != Failed || len(attempts) != 3 {
		t.Errorf("dead letter: %+v after %v", j, attempts)
	}
	if err := b.Retry(t.Context(), flaky); err != nil {
		t.Fatal(err)
	}
	failing = nil
	b.drain()
	if j := b.job(flaky); j.State != Done || j.Error != "" || attempts[len(attempts)-1] != 1 {
		t.Errorf("retried: %+v after %v", j, attempts)
	}
}

// What a job saved is there when another process takes it over, and the dead process's end says nothing any more.
func TestTakeOver(t *testing.T) {
	saved, dead := make(chan struct{}), make(chan struct{})
	var lost error
	first := Kind{Run: func(ctx context.Context, t *Task) error {
		if err := t.Save(ctx, map[string]string{"after": "p7"}); err != nil {
			return err
		}
		close(saved)
		<-dead
		lost = t.Save(ctx, map[string]string{"after": "p9"})
		return nil
	}}
	b := newBench(t, map[string]Kind{"long": first})
	id := b.add("long", "")
	ended := make(chan error)
	go func() { ended <- b.Drain(context.Background()) }()
	<-saved
	b.clock.Add(2 * time.Minute) // the lease ends
	var got map[string]string
	other := b.another(map[string]Kind{"long": {Run: func(ctx context.Context, t *Task) error {
		_, err := t.State(&got)
		return err
	}}})
	if err := other.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	close(dead)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if got["after"] != "p7" || !errors.Is(lost, ErrCancelled) {
		t.Errorf("state %v; the dead one's save: %v", got, lost)
	}
	if j := b.job(id); j.State != Done || j.Attempts != 2 {
		t.Errorf("%+v", j)
	}
}

func TestCancel(t *testing.T) {
	began := make(chan struct{})
	run := Kind{Run: func(ctx context.Context, t *Task) error {
		close(began)
		<-ctx.Done()
		return context.Cause(ctx)
	}}
	b := newBench(t, map[string]Kind{"long": run})
	id := b.add("long", "")
	ended := make(chan error)
	go func() { ended <- b.Drain(context.Background()) }()
	<-began
	// Another process cancels: the one that works on it learns so from its next report.
	if err := b.another(map[string]Kind{"long": run}).Cancel(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if j := b.job(id); j.State != Cancelled {
		t.Errorf("%+v", j)
	}
	if err := b.Cancel(t.Context(), "none"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("unknown: %v", err)
	}
	waiting := b.add("long", "")
	if err := b.Cancel(t.Context(), waiting); err != nil {
		t.Fatal(err)
	}
	b.drain()
	if j := b.job(waiting); j.State != Cancelled || j.Attempts != 0 {
		t.Errorf("%+v", j)
	}
}

// A stop of the server ends no job and counts as no attempt.
func TestStop(t *testing.T) {
	began := make(chan struct{}, 1)
	b := newBench(t, map[string]Kind{"long": {Attempts: 1, Run: func(ctx context.Context, t *Task) error {
		began <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}}})
	id := b.add("long", "")
	for range 3 {
		r := b.another(b.kinds)
		r.Start()
		<-began
		r.Stop()
		if j := b.job(id); j.State != Waiting {
			t.Fatalf("%+v", j)
		}
	}
}

func TestAdd(t *testing.T) {
	b := newBench(t, map[string]Kind{"a": {Run: func(context.Context, *Task) error { return nil }}, "b": {Run: func(context.Context, *Task) error { return nil }}})
	if _, _, err := b.Add(t.Context(), NewJob{Kind: "c"}); !errors.Is(err, ErrKind) {
		t.Errorf("unknown kind: %v", err)
	}
	first, existing, err := b.Add(t.Context(), NewJob{Kind: "a", Key: "k"})
	if err != nil || existing {
		t.Fatal(existing, err)
	}
	if again, existing, err := b.Add(t.Context(), NewJob{Kind: "a", Key: "k"}); err != nil || !existing || again != first {
		t.Errorf("the same key: %s, %t, %v", again, existing, err)
	}
	b.add("b", "")
	var want []string
	for range 5 {
		want = append([]string{b.add("a", "")}, want...)
	}
	if err := b.Cancel(t.Context(), want[1]); err != nil {
		t.Fatal(err)
	}
	b.drain()
	for _, c := range []struct {
		p    ListParams
		want int
	}{{ListParams{Kind: "a"}, 6}, {ListParams{Kind: "a", State: Done}, 5}, {ListParams{Kind: "a", State: Cancelled}, 1}, {ListParams{Kind: "a", After: want[1], Limit: 2}, 2}, {ListParams{Kind: "b"}, 1}} {
		if got, err := b.List(t.Context(), c.p); err != nil || len(got) != c.want {
			t.Errorf("%+v: %d jobs, %v", c.p, len(got), err)
		}
	}
}

func TestHandler(t *testing.T) {
	fail := true
	b := newBench(t, map[string]Kind{"a": {Run: func(context.Context, *Task) error {
		if fail {
			return Permanent(errors.New("bad"))
		}
		return nil
	}}})
	id := b.add("a", "a secret")
	b.drain()
	for _, c := range []struct {
		method, path string
		status       int
		has          string
	}{
		{"GET", "/ops/jobs", 200, `{"kinds":["a"]}`},
		{"GET", "/ops/jobs?kind=a&state=failed", 200, `"error":"bad"`},
		{"GET", "/ops/jobs?kind=x", 400, "no such kind"},
		{"GET", "/ops/jobs?kind=a&state=x", 400, "state is"},
		{"GET", "/ops/jobs?kind=a&limit=0", 400, "limit is"},
		{"GET", "/ops/jobs/" + id, 200, `"state":"failed"`},
		{"GET", "/ops/jobs/none", 404, "no such job"},
		{"POST", "/ops/jobs/" + id + "/retry", 202, `"state":"waiting"`},
		{"DELETE", "/ops/jobs/" + id, 204, ""},
		{"DELETE", "/ops/jobs/none", 404, "no such job"},
		{"GET", "/ops/jobs/" + id, 200, `"state":"cancelled"`},
	} {
		rec := httptest.NewRecorder()
		b.Handler().ServeHTTP(rec, httptest.NewRequest(c.method, c.path, http.NoBody))
		body, _ := io.ReadAll(rec.Body)
		if rec.Code != c.status || !strings.Contains(string(body), c.has) || strings.Contains(string(body), "secret") {
			t.Errorf("%s %s: %d %s", c.method, c.path, rec.Code, body)
		}
		if c.status != 204 && !json.Valid(body) {
			t.Errorf("%s %s: %s", c.method, c.path, body)
		}
	}
}

// What has ended well is forgotten when its time is over; what failed waits for a person.
func TestSweep(t *testing.T) {
	b := newBench(t, map[string]Kind{"a": {Keep: time.Hour, Run: func(_ context.Context, t *Task) error {
		if string(t.Body) == "fails" {
			return Permanent(errors.New("bad"))
		}
		return nil
	}}})
	done, failed, cancelled := b.add("a", ""), b.add("a", "fails"), b.add("a", "")
	if err := b.Cancel(t.Context(), cancelled); err != nil {
		t.Fatal(err)
	}
	b.drain()
	b.clock.Add(59 * time.Minute)
	young := b.add("a", "")
	b.drain()
	for _, c := range []struct {
		wait time.Duration
		gone map[string]bool
	}{{0, nil}, {time.Minute, map[string]bool{done: true, cancelled: true}}, {59 * time.Minute, map[string]bool{done: true, cancelled: true, young: true}}} {
		b.clock.Add(c.wait)
		if err := b.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{done, failed, cancelled, young} {
			if _, err := b.Get(t.Context(), id); errors.Is(err, store.ErrNotFound) != c.gone[id] {
				t.Errorf("after %s: %s: %v", c.wait, id, err)
			}
		}
	}
	if err := b.Remove(t.Context(), failed); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Get(t.Context(), failed); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("removed: %v", err)
	}
}

// No more jobs of a kind run at once than it has workers.
func TestWorkers(t *testing.T) {
	began, end := make(chan struct{}, 9), make(chan struct{})
	b := newBench(t, map[string]Kind{"a": {Workers: 3, Run: func(context.Context, *Task) error {
		began <- struct{}{}
		<-end
		return nil
	}}})
	for range 5 {
		b.add("a", "")
	}
	b.Start()
	for range 3 {
		<-began
	}
	n, err := b.Counts(t.Context(), "a")
	if err != nil || n[Running] != 3 || n[Waiting] != 2 {
		t.Errorf("%v, %v", n, err)
	}
	close(end)
	<-began
	<-began
	b.Stop()
}
