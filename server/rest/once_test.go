package rest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"meridian/server/interaction"
	"meridian/server/job"
	"meridian/server/rest"
	"meridian/server/store"
	"meridian/server/store/storetest"
)

// ask sends one request; headers are "Name: value".
func ask(h http.Handler, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, target, strings.NewReader(body))
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		req.Header.Add(name, value)
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	return rec
}

func countOf(t *testing.T, srv *server, query string) int {
	t.Helper()
	rec := ask(srv.handler, "GET", "/fhir/"+query+"&_summary=count", "")
	var b struct{ Total int }
	if err := json.Unmarshal(rec.Body.Bytes(), &b); err != nil || rec.Code != 200 {
		t.Fatalf("count %s: %d %s", query, rec.Code, rec.Body)
	}
	return b.Total
}

// Of 200 repeats that race in two processes over one store one is carried out, and all are answered alike.
func TestRacingRepeats(t *testing.T) {
	for _, b := range backends(t) {
		for _, request := range []struct{ name, target, body string }{
			{"create", "/fhir/Patient", `{"resourceType":"Patient","active":true}`},
			{"batch", "/fhir", `{"resourceType":"Bundle","type":"batch","entry":[{"resource":{"resourceType":"Patient","active":true},"request":{"method":"POST","url":"Patient"}}]}`},
			{"transaction", "/fhir", `{"resourceType":"Bundle","type":"transaction","entry":[{"resource":{"resourceType":"Patient","active":true},"request":{"method":"POST","url":"Patient"}}]}`},
		} {
			t.Run(b.name+"/"+request.name, func(t *testing.T) {
				srv := newServer(t, b)
				if request.name == "transaction" && !srv.store.Transactions() {
					t.Skipf("SKIPPED on %s: it has no transactions", b.name)
				}
				var ids atomic.Int64
				other, err := interaction.New(interaction.Options{Store: srv.store, Registry: srv.registry, BaseURL: "http://example.org/fhir", Clock: srv.clock.Now,
					NewID: func() string { return fmt.Sprint("other-", ids.Add(1)) }})
				if err != nil {
					t.Fatal(err)
				}
				handlers := []http.Handler{srv.handler, rest.New(rest.Options{Service: func() *interaction.Service { return other }})}
				var wg sync.WaitGroup
				var mu sync.Mutex
				answers := map[string]int{}
				for i := range 200 {
					wg.Go(func() {
						rec := ask(handlers[i%2], "POST", request.target, request.body, "Idempotency-Key: k", "Prefer: return=representation")
						mu.Lock()
						answers[fmt.Sprint(rec.Code, rec.Header().Get("Location"), rec.Body)]++
						mu.Unlock()
					})
				}
				wg.Wait()
				if len(answers) != 1 {
					t.Errorf("%d different answers: %v", len(answers), answers)
				}
				if n := countOf(t, srv, "Patient?active=true"); n != 1 {
					t.Errorf("%d patients", n)
				}
			})
		}
	}
}

// cutStore fails when a number of commits is over, as a process does that dies.
type cutStore struct {
	store.Store
	left atomic.Int64
}

func (c *cutStore) Commit(ctx context.Context, p store.CommitParams) error {
	if c.left.Add(-1) < 0 {
		return store.ErrClosed
	}
	return c.Store.Commit(ctx, p)
}

// A batch that was cut off in the middle goes on when it is repeated, and nothing is done twice.
func TestBatchGoesOn(t *testing.T) {
	for _, b := range backends(t) {
		t.Run(b.name, func(t *testing.T) {
			srv := newServer(t, b)
			var body strings.Builder
			body.WriteString(`{"resourceType":"Bundle","type":"batch","entry":[`)
			const entries = 20
			for i := range entries {
				if i > 0 {
					body.WriteByte(',')
				}
				fmt.Fprintf(&body, `{"resource":{"resourceType":"Patient","active":true,"multipleBirthInteger":%d},"request":{"method":"POST","url":"Patient"}}`, i+1)
			}
			body.WriteString(`]}`)
			cut := &cutStore{Store: srv.store}
			cut.left.Store(7)
			dying, err := interaction.New(interaction.Options{Store: cut, Registry: srv.registry, BaseURL: "http://example.org/fhir", Clock: srv.clock.Now})
			if err != nil {
				t.Fatal(err)
			}
			first := rest.New(rest.Options{Service: func() *interaction.Service { return dying }})
			if rec := ask(first, "POST", "/fhir", body.String(), "Idempotency-Key: k"); !strings.Contains(rec.Body.String(), "503") {
				t.Fatalf("it was not cut off: %d %s", rec.Code, rec.Body)
			}
			if n := countOf(t, srv, "Patient?active=true"); n != 7 {
				t.Fatalf("%d patients before the repeat", n)
			}
			for range 2 {
				if rec := ask(srv.handler, "POST", "/fhir", body.String(), "Idempotency-Key: k"); strings.Count(rec.Body.String(), "201 Created") != entries {
					t.Errorf("%d %s", rec.Code, rec.Body)
				}
				if n := countOf(t, srv, "Patient?active=true"); n != entries {
					t.Errorf("%d patients", n)
				}
			}
		})
	}
}

// While the first request runs its repeat waits, and is told so when that takes too long.
func TestRepeatWhileRunning(t *testing.T) {
	srv := newServerWith(t, mapBackend, interaction.Limits{OnceWait: 20 * time.Millisecond}, rest.Options{})
	began, end := make(chan struct{}), make(chan struct{})
	go func() {
		_, _, _ = srv.service.WriteOnce(context.Background(), interaction.Once{Key: "k", Hash: "h"}, func(context.Context) (interaction.Result, error) {
			close(began)
			<-end
			return interaction.Result{}, nil
		})
	}()
	<-began
	rec := ask(srv.handler, "POST", "/fhir/Patient", `{"resourceType":"Patient"}`, "Idempotency-Key: k")
	if rec.Code != http.StatusConflict || rec.Header().Get("Retry-After") == "" || !strings.Contains(rec.Body.String(), "idempotency.running") {
		t.Errorf("%d %v %s", rec.Code, rec.Header(), rec.Body)
	}
	close(end)
}

// An asynchronous transaction is carried out once, also when its job runs again: after a crash between its commit and its end.
func TestAsyncOnce(t *testing.T) {
	for _, b := range backends(t) {
		t.Run(b.name, func(t *testing.T) {
			srv := newServer(t, b)
			typ := "transaction"
			if !srv.store.Transactions() {
				typ = "batch"
			}
			body := `{"resourceType":"Bundle","type":"` + typ + `","entry":[{"resource":{"resourceType":"Patient","active":true},"request":{"method":"POST","url":"Patient"}}]}`
			rec := ask(srv.handler, "POST", "/fhir", body, "Prefer: respond-async")
			location := strings.TrimPrefix(rec.Header().Get("Content-Location"), "http://example.org")
			if rec.Code != http.StatusAccepted || location == "" {
				t.Fatalf("%d %s", rec.Code, rec.Body)
			}
			// The first process does the work and dies before it writes that the job has ended.
			items, err := srv.store.Queue().Lease(t.Context(), "job.async", 1, time.Minute)
			if err != nil || len(items) != 1 {
				t.Fatal(items, err)
			}
			dead, err := job.New(job.Options{Queue: lostQueue{srv.store.Queue(), items}, Kinds: srv.kinds, Clock: srv.clock.Now})
			if err != nil {
				t.Fatal(err)
			}
			if err := dead.Drain(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := countOf(t, srv, "Patient?active=true"); n != 1 {
				t.Fatalf("%d patients after the first run", n)
			}
			if rec := ask(srv.handler, "GET", location, ""); rec.Code != http.StatusAccepted {
				t.Fatalf("%d %s", rec.Code, rec.Body)
			}
			srv.clock.Add(2 * time.Minute)
			if err := srv.jobs.Drain(t.Context()); err != nil {
				t.Fatal(err)
			}
			if rec := ask(srv.handler, "GET", location, ""); rec.Code != http.StatusOK || !strings.Contains(rec.Body.String(), `"201 Created"`) {
				t.Errorf("%d %s", rec.Code, rec.Body)
			}
			if n := countOf(t, srv, "Patient?active=true"); n != 1 {
				t.Errorf("%d patients after the second run", n)
			}
		})
	}
}

// lostQueue gives items that were leased before, and loses how they end.
type lostQueue struct {
	store.Queue
	items []store.Item
}

func (q lostQueue) Lease(context.Context, string, int, time.Duration) ([]store.Item, error) {
	if q.items[0].ID == "" {
		return nil, nil
	}
	it := q.items[0]
	q.items[0].ID = ""
	return []store.Item{it}, nil
}

func (q lostQueue) Finish(context.Context, []store.Result) error { return nil }

// The answer of a job is JSON, also where the form of a search asks for another format; one that no asynchronous answer has is refused in it.
func TestAsyncSearchByForm(t *testing.T) {
	srv := newServer(t, mapBackend)
	for format, want := range map[string]string{"xml": `"type":"searchset"`, "ndjson": "406 Not Acceptable"} {
		rec := ask(srv.handler, "POST", "/fhir/Patient/_search", "active=true&_format="+format, "Prefer: return=minimal, respond-async", "Content-Type: application/x-www-form-urlencoded")
		if rec.Code != http.StatusAccepted {
			t.Fatalf("%s: %d %s", format, rec.Code, rec.Body)
		}
		if err := srv.jobs.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		location := strings.TrimPrefix(rec.Header().Get("Content-Location"), "http://example.org")
		if rec := ask(srv.handler, "GET", location, ""); rec.Code != http.StatusOK || !strings.Contains(rec.Body.String(), want) || strings.Contains(rec.Body.String(), "Binary") {
			t.Errorf("%s: %d %s", format, rec.Code, rec.Body)
		}
	}
}

// Too many that wait are refused, and what is too large to be kept says so after it was carried out.
func TestAsyncLimits(t *testing.T) {
	srv := newServerWith(t, mapBackend, interaction.Limits{}, rest.Options{Async: rest.AsyncOptions{Waiting: 2, AnswerBytes: 100}})
	var last string
	for i := range 3 {
		rec := ask(srv.handler, "GET", "/fhir/Patient", "", "Prefer: respond-async")
		if want := []int{202, 202, 429}[i]; rec.Code != want || want == 429 && rec.Header().Get("Retry-After") == "" {
			t.Errorf("%d: %d %s", i, rec.Code, rec.Body)
		}
		if rec.Code == 202 {
			last = strings.TrimPrefix(rec.Header().Get("Content-Location"), "http://example.org")
		}
	}
	if err := srv.jobs.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if rec := ask(srv.handler, "GET", last, ""); rec.Code != 200 || !strings.Contains(rec.Body.String(), "422 Unprocessable") || !strings.Contains(rec.Body.String(), "async.answer") {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	srv.clock.Add(25 * time.Hour)
	if rec := ask(srv.handler, "GET", last, ""); rec.Code != 404 || !strings.Contains(rec.Body.String(), "async.over") {
		t.Errorf("a day later: %d %s", rec.Code, rec.Body)
	}
}

// gateStore lets commits pass one by one.
type gateStore struct {
	store.Store
	gate chan struct{}
}

func (g *gateStore) Commit(ctx context.Context, p store.CommitParams) error {
	if len(p.Writes) > 0 {
		select {
		case <-g.gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return g.Store.Commit(ctx, p)
}

// Progress is shown while a batch runs, and DELETE ends it: what is done stays, the rest is left.
func TestAsyncCancelWhileRunning(t *testing.T) {
	gate := &gateStore{gate: make(chan struct{})}
	srv := newServerWith(t, backend{"map", func(t testing.TB, c storetest.Config) store.Store {
		gate.Store = storetest.NewMap(c)
		return gate
	}}, interaction.Limits{BatchParallel: 1}, rest.Options{})
	var body strings.Builder
	body.WriteString(`{"resourceType":"Bundle","type":"batch","entry":[`)
	for i := range 50 {
		if i > 0 {
			body.WriteByte(',')
		}
		body.WriteString(`{"resource":{"resourceType":"Patient","active":true},"request":{"method":"POST","url":"Patient"}}`)
	}
	body.WriteString(`]}`)
	rec := ask(srv.handler, "POST", "/fhir", body.String(), "Prefer: respond-async")
	location := strings.TrimPrefix(rec.Header().Get("Content-Location"), "http://example.org")
	ended := make(chan error)
	go func() { ended <- srv.jobs.Drain(context.Background()) }()
	for range 5 {
		gate.gate <- struct{}{}
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		rec := ask(srv.handler, "GET", location, "")
		if progress := rec.Header().Get("X-Progress"); rec.Code == http.StatusAccepted && strings.HasSuffix(progress, " of 50 entries") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("no progress: %d %v", rec.Code, rec.Header())
		}
	}
	if rec := ask(srv.handler, "DELETE", location, ""); rec.Code != http.StatusAccepted {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if rec := ask(srv.handler, "GET", location, ""); rec.Code != http.StatusNotFound {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if n := countOf(t, srv, "Patient?active=true"); n < 4 || n > 5 {
		t.Errorf("%d patients", n)
	}
}
