package transfer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Service is a FHIR service as its clients see it. Safe for concurrent use.
type Service struct {
	// Base is the address, http://127.0.0.1:8080/fhir.
	Base string
	// Name is what the progress of an import is kept for; Base when empty.
	Name string
	// Client sends; nil is http.DefaultClient.
	Client *http.Client
	// Patience is how long a service that does not answer, or says that it is busy (429, 502, 503, 504), is asked again; 0 is one minute.
	Patience time.Duration
}

const (
	fhirJSON    = "application/fhir+json"
	firstWait   = 200 * time.Millisecond
	longestWait = 10 * time.Second
	// maxAnswer is the largest answer that is read, in bytes.
	maxAnswer = 1 << 30
)

// answer is what came back.
type answer struct {
	status int
	body   []byte
	header http.Header
}

// date is the service's own time, or now's where it does not tell it.
func (a *answer) date(now func() time.Time) time.Time {
	if t, err := http.ParseTime(a.header.Get("Date")); err == nil {
		return t
	}
	if now == nil {
		now = time.Now
	}
	return now()
}

func (a *answer) ok() bool { return a.status >= 200 && a.status < 300 }

// do sends a request until it is answered by something else than a busy service.
// A request must bear being sent twice.
func (s *Service) do(ctx context.Context, method, url string, body []byte, header map[string]string) (*answer, error) {
	patience := s.Patience
	if patience <= 0 {
		patience = time.Minute
	}
	begun := time.Now()
	for wait := firstWait; ; wait = min(2*wait, longestWait) {
		a, pause, err := s.once(ctx, method, url, body, header)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err == nil && !busy(a.status) {
			return a, nil
		}
		if pause = max(pause, wait); time.Since(begun)+pause > patience {
			return a, errors.Join(err, stillBusy(a, s.Base))
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func busy(status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

func stillBusy(a *answer, base string) error {
	if a == nil {
		return fmt.Errorf("%s does not answer (is the server running? go run ./server)", base)
	}
	return fmt.Errorf("%s answers %d and goes on to", base, a.status)
}

func (s *Service) once(ctx context.Context, method, url string, body []byte, header map[string]string) (*answer, time.Duration, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, 0, err
	}
	if body != nil {
		req.Header.Set("Content-Type", fhirJSON)
	}
	req.Header.Set("Accept", fhirJSON)
	for name, value := range header {
		req.Header.Set(name, value)
	}
	client := s.Client
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, 0, fmt.Errorf("read the answer of %s: %w", s.Base, err)
	}
	seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After")) // absent, or a date: 0
	return &answer{resp.StatusCode, b, resp.Header}, min(time.Duration(seconds)*time.Second, longestWait), nil
}

// Within is a transport that calls a handler of the same process.
func Within(h http.Handler) http.RoundTripper { return within{h} }

type within struct{ handler http.Handler }

func (w within) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	in := r.Clone(r.Context())
	in.RequestURI, in.RemoteAddr, in.Host = r.URL.RequestURI(), "127.0.0.1:0", r.URL.Host
	out := &memoryWriter{header: http.Header{}, status: http.StatusOK}
	w.handler.ServeHTTP(out, in)
	return &http.Response{StatusCode: out.status, Status: strconv.Itoa(out.status) + " " + http.StatusText(out.status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: out.header, Body: io.NopCloser(&out.body), ContentLength: int64(out.body.Len()), Request: r}, nil
}

type memoryWriter struct {
	header  http.Header
	status  int
	written bool
	body    bytes.Buffer
}

func (w *memoryWriter) Header() http.Header { return w.header }

func (w *memoryWriter) WriteHeader(status int) {
	if !w.written {
		w.status, w.written = status, true
	}
}

func (w *memoryWriter) Write(b []byte) (int, error) {
	w.written = true
	return w.body.Write(b)
}

// trimBase is the base without a slash at its end.
func trimBase(base string) string { return strings.TrimSuffix(base, "/") }
