package transfer_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"meridian/server/transfer"
)

// fake is as much of a FHIR server as an import needs: it keeps every version of what is put, answers a repeated
// key from what it answered, and refuses what has an element named bad.
type fake struct {
	mu       sync.Mutex
	versions map[string][]string
	order    []string // of first versions, and of bundles that were carried out
	answers  map[string][]byte
	requests int
	single   bool // no transactions

	cut func(n int) (before, after bool) // whether the n-th request is cut off, before or after it is carried out
}

func newFake() *fake { return &fake{versions: map[string][]string{}, answers: map[string][]byte{}} }

var errCut = errors.New("cut off")

// RoundTrip answers as http.RoundTripper.
func (f *fake) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests++
	var before, after bool
	if f.cut != nil {
		before, after = f.cut(f.requests)
	}
	if before {
		return nil, errCut
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	key := r.Header.Get("Idempotency-Key")
	answer, done := f.answers[key]
	status := http.StatusOK
	if key == "" || !done {
		status, answer = f.bundle(body)
		if key != "" && status == http.StatusOK {
			f.answers[key] = answer
			f.order = append(f.order, "whole")
		}
	}
	if after {
		return nil, errCut
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(answer)), Request: r}, nil
}

type fakeBundle struct {
	Type  string
	Entry []struct {
		Resource json.RawMessage
		Request  struct{ Method, URL string }
	}
}

const badOutcome = `{"resourceType":"OperationOutcome","issue":[%s]}`

func badIssue(i int) string {
	return fmt.Sprintf(`{"severity":"error","code":"structure","diagnostics":"no element bad","expression":["Bundle.entry[%d].resource.bad"]}`, i)
}

func (f *fake) bundle(body []byte) (int, []byte) {
	var b fakeBundle
	if err := json.Unmarshal(body, &b); err != nil {
		return http.StatusBadRequest, []byte(fmt.Sprintf(badOutcome, `{"severity":"error","code":"structure","diagnostics":"syntax"}`))
	}
	if b.Type == "transaction" && f.single {
		return http.StatusNotImplemented, []byte("{}")
	}
	var issues, entries []string
	for i, e := range b.Entry {
		if bytes.Contains(e.Resource, []byte(`"bad"`)) {
			issues = append(issues, badIssue(i))
			entries = append(entries, fmt.Sprintf(`{"response":{"status":"400 Bad Request","outcome":`+badOutcome+`}}`, badIssue(i)))
			continue
		}
		if b.Type == "batch" {
			entries = append(entries, f.put(e.Request.URL, e.Resource))
		}
	}
	if b.Type == "transaction" {
		if len(issues) > 0 {
			return http.StatusBadRequest, []byte(fmt.Sprintf(badOutcome, strings.Join(issues, ",")))
		}
		for _, e := range b.Entry {
			entries = append(entries, f.put(e.Request.URL, e.Resource))
		}
	}
	return http.StatusOK, []byte(`{"resourceType":"Bundle","type":"` + b.Type + `-response","entry":[` + strings.Join(entries, ",") + `]}`)
}

func (f *fake) put(url string, body []byte) string {
	status := "200 OK"
	switch had := f.versions[url]; {
	case len(had) == 0:
		status = "201 Created"
		f.order = append(f.order, url)
		fallthrough
	case had[len(had)-1] != string(body):
		f.versions[url] = append(had, string(body))
	}
	return `{"response":{"status":"` + status + `"}}`
}

func (f *fake) service() transfer.Service {
	return transfer.Service{Base: "http://fhir.example/fhir", Client: &http.Client{Transport: f}, Patience: time.Nanosecond}
}

// wantVersions compares what a service has with lists of versions.
func (f *fake) wantVersions(t testing.TB, want map[string][]string) {
	t.Helper()
	for url, list := range want {
		if !slices.Equal(f.versions[url], list) {
			t.Errorf("%s has\n%v\nwant\n%v", url, f.versions[url], list)
		}
	}
	for url := range f.versions {
		if want[url] == nil {
			t.Errorf("%s is there", url)
		}
	}
}
