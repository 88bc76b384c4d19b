package rest_test

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"meridian/fhir/codec"
	"meridian/server/interaction"
	"meridian/server/rest"
	"meridian/server/store"
	"meridian/server/store/storetest"
)

// What would be ignored, or read as what it is not, is refused.
func TestNothingOfARequestIsIgnored(t *testing.T) {
	s := newServer(t, mapBackend)
	patient := `{"resourceType":"Patient","id":"p1","name":[{"text":"x"}]}`
	for range 2 {
		s.send("POST", "/fhir/Patient", patient)
	}
	s.send("PUT", "/fhir/Patient/p1", patient)
	next := s.bundle(t, "GET", "/fhir/Patient?_count=1", "").next(t)
	const form = "application/x-www-form-urlencoded"
	for _, c := range []struct {
		rule, method, target, body string
		status                     int
		headers                    []string
	}{
		{"a link is followed as it is", "GET", next, "", 200, nil},
		{"a parameter beside a cursor", "GET", next + "&name=x", "", 400, nil},
		{"a parameter beside a cursor, leniently", "GET", next + "&name=x", "", 400, []string{"Prefer", "handling=lenient"}},
		{"_pretty=false", "GET", "/fhir/Patient/p1?_pretty=false", "", 200, nil},
		{"_pretty that is neither true nor false", "GET", "/fhir/Patient/p1?_pretty=maybe", "", 400, nil},
		{"_pretty in a form", "POST", "/fhir/Patient/_search", "_pretty=maybe", 400, []string{"Content-Type", form}},
		{"If-None-Exist without a value", "POST", "/fhir/Patient", patient, 400, []string{"If-None-Exist", ""}},
		{"If-None-Exist twice", "POST", "/fhir/Patient", patient, 400, []string{"If-None-Exist", "identifier=1", "If-None-Exist", "identifier=2"}},
		{"If-Match without a value", "PUT", "/fhir/Patient/p1", patient, 400, []string{"If-Match", ""}},
		{"If-Match without a value on a delete", "DELETE", "/fhir/Patient/p1", "", 400, []string{"If-Match", " "}},
		{"If-None-Match without a value on a write", "PUT", "/fhir/Patient/p1", patient, 400, []string{"If-None-Match", ""}},
		{"If-Match on two lines is one list", "PUT", "/fhir/Patient/p1", patient, 200, []string{"If-Match", `W/"7"`, "If-Match", `W/"1"`}},
		{"a body in UTF-8", "PUT", "/fhir/Patient/p1", patient, 200, []string{"Content-Type", `application/fhir+json; fhirVersion=4.0; Charset="UTF-8"`}},
		{"a body in GBK", "PUT", "/fhir/Patient/p1", patient, 415, []string{"Content-Type", "application/fhir+json;charset=gbk"}},
		{"a form in GBK", "POST", "/fhir/Patient/_search", "name=x", 415, []string{"Content-Type", form + "; charset=gbk"}},
		{"an empty Accept asks nothing", "GET", "/fhir/Patient/p1", "", 200, []string{"Accept", ""}},
		{"a list of ETags, one of them the version", "GET", "/fhir/Patient/p1", "", 304, []string{"If-None-Match", `W/"9", W/"1"`}},
		{"a list of ETags on two lines", "GET", "/fhir/Patient/p1", "", 304, []string{"If-None-Match", `W/"9"`, "If-None-Match", `W/"1"`}},
		{"a list of ETags, none of them the version", "GET", "/fhir/Patient/p1", "", 200, []string{"If-None-Match", `W/"9", W/"8"`}},
		{"an empty id has no history", "GET", "/fhir/Patient//_history", "", 404, nil},
		{"an empty id has no version", "GET", "/fhir/Patient//_history/1", "", 404, nil},
		{"metadata takes no POST", "POST", "/fhir/metadata", patient, 405, nil},
		{"metadata takes no DELETE", "DELETE", "/fhir/metadata", "", 405, nil},
		{"the history takes no PUT", "PUT", "/fhir/_history", patient, 405, nil},
		{"no total for the history of a type", "GET", "/fhir/Patient/_history?_count=0", "", 400, nil},
		{"no total for the history of what is not there", "GET", "/fhir/Patient/none/_history?_count=0", "", 404, nil},
	} {
		t.Run(c.rule, func(t *testing.T) {
			w := s.send(c.method, c.target, c.body, c.headers...)
			if w.Code != c.status {
				t.Errorf("status %d, want %d: %s", w.Code, c.status, w.Body)
			}
			if w.Code >= 400 {
				if _, err := codec.Parse(w.Body.Bytes(), codec.Options{Type: "OperationOutcome"}); err != nil {
					t.Error(err)
				}
			}
			if allow := w.Header().Get("Allow"); w.Code == 405 && allow != "GET, HEAD" {
				t.Errorf("Allow: %q", allow)
			}
		})
	}
}

func TestAHistoryWithoutEntriesIsTheTotal(t *testing.T) {
	for _, b := range backends(t) {
		t.Run(b.name, func(t *testing.T) {
			s := newServer(t, b)
			s.send("PUT", "/fhir/Patient/p1", `{"resourceType":"Patient","id":"p1"}`)
			s.send("PUT", "/fhir/Patient/p1", `{"resourceType":"Patient","id":"p1","active":true}`)
			got := s.bundle(t, "GET", "/fhir/Patient/p1/_history?_count=0", "")
			if got.Total == nil || *got.Total != 2 || len(got.Entry) != 0 || got.next(t) != "" {
				t.Errorf("%+v", got)
			}
		})
	}
}

// http.ServeMux tells unknown paths and methods in plain text.
func TestUnknownPathsOfMountsAreOutcomes(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ops/{id}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"error":"its own"}`))
	})
	s := newServerWith(t, mapBackend, interaction.Limits{}, rest.Options{Mounts: map[string]http.Handler{"/ops": mux}})
	for _, c := range []struct {
		method, target string
		status         int
		contains       string
	}{
		{"GET", "/ops/a/b", 404, "route.unknown"},
		{"POST", "/ops/a", 405, "method.unsupported"},
		{"GET", "/ops/a", 404, "its own"},
		{"GET", "/elsewhere", 404, "route.unknown"},
	} {
		w := s.send(c.method, c.target, "")
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.contains) || !strings.Contains(w.Header().Get("Content-Type"), "json") {
			t.Errorf("%s %s: %d %s %s", c.method, c.target, w.Code, w.Header().Get("Content-Type"), w.Body)
		}
	}
}

func TestReadyzAsksTheStore(t *testing.T) {
	b := backend{"broken", func(_ testing.TB, c storetest.Config) store.Store { return broken{storetest.NewMap(c), false} }}
	s := newServerWith(t, b, interaction.Limits{}, rest.Options{ErrorLog: slog.New(slog.DiscardHandler)})
	if w := s.send("GET", "/readyz", ""); w.Code != 503 {
		t.Errorf("a store that fails: status %d, want 503", w.Code)
	}
	if w := s.send("GET", "/healthz", ""); w.Code != 200 {
		t.Errorf("the process lives all the same: status %d, want 200", w.Code)
	}
	if w := newServer(t, mapBackend).send("GET", "/readyz", ""); w.Code != 200 {
		t.Errorf("a store that answers: status %d, want 200", w.Code)
	}
}
