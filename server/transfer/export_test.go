package transfer_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"meridian/server/transfer"
)

// pages is a service with one page of patients, and a second one that fails.
type pages struct{}

func (pages) RoundTrip(r *http.Request) (*http.Response, error) {
	status, body := http.StatusOK, `{"rest":[{"resource":[{"type":"Patient"}]}]}`
	switch {
	case strings.Contains(r.URL.RawQuery, "second"):
		status = http.StatusInternalServerError
	case strings.HasSuffix(r.URL.Path, "/Patient"):
		body = `{"resourceType":"Bundle","link":[{"relation":"next","url":"http://fhir.example/fhir/Patient?second"}],"entry":[{"resource":{"resourceType":"Patient","id":"a"}}]}`
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

// A file that has lost what was exported is not filled up with zeros.
func TestExportThatGoesOnInAShorterFile(t *testing.T) {
	x := transfer.Export{Service: transfer.Service{Base: "http://fhir.example/fhir", Client: &http.Client{Transport: pages{}}, Patience: time.Nanosecond}, Out: t.TempDir()}
	if _, err := x.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "500") {
		t.Fatalf("the second page: %v", err)
	}
	name := filepath.Join(x.Out, "Patient.ndjson")
	if err := os.Truncate(name, 5); err != nil {
		t.Fatal(err)
	}
	if _, err := x.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "--again") {
		t.Errorf("%v, and the file is %q", err, read(t, name))
	}
}
