package rest_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"meridian/server/interaction"
	"meridian/server/store"
	"meridian/server/store/storetest"
)

// discard is a ResponseWriter that costs nothing.
type discard struct{ head http.Header }

func (d *discard) Header() http.Header         { return d.head }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             {}

const benchObservation = `{"resourceType":"Observation","id":"o1","status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"laboratory"}]}],"code":{"coding":[{"system":"http://loinc.org","code":"718-7","display":"Hemoglobin [Mass/volume] in Blood"}],"text":"血红蛋白"},"subject":{"reference":"Patient/p1"},"effectiveDateTime":"2026-01-01T08:00:00+08:00","valueQuantity":{"value":135.0,"unit":"g/L","system":"http://unitsofmeasure.org","code":"g/L"},"referenceRange":[{"low":{"value":130,"unit":"g/L"},"high":{"value":175,"unit":"g/L"}}]}`

// A read from the embedded store, in memory, without a network.
func BenchmarkReadHandler(b *testing.B) { benchRead(b, "application/fhir+json") }

// The same in XML.
func BenchmarkReadHandlerXML(b *testing.B) { benchRead(b, "application/fhir+xml") }

func benchRead(b *testing.B, accept string) {
	s := newServer(b, backend{"pebble", openPebble})
	s.send("PUT", "/fhir/Observation/o1", benchObservation)
	r, err := http.NewRequest("GET", "/fhir/Observation/o1", nil)
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("Accept", accept)
	b.ReportAllocs()
	for b.Loop() {
		s.handler.ServeHTTP(&discard{http.Header{}}, r)
	}
}

// The floor of BenchmarkReadHandler: an Echo handler that returns the same bytes.
func BenchmarkReadFloor(b *testing.B) {
	e := floor()
	r, err := http.NewRequest("GET", "/fhir/Observation/o1", nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		e.ServeHTTP(&discard{http.Header{}}, r)
	}
}

func floor() http.Handler {
	e := echo.New()
	body := []byte(benchObservation)
	e.GET("/fhir/:type/:id", func(c echo.Context) error { return c.Blob(http.StatusOK, "application/fhir+json; charset=utf-8", body) })
	return e
}

// Requests over loopback, eight clients: ours and the floor.
func BenchmarkReadOverHTTP(b *testing.B) {
	s := newServer(b, backend{"pebble", openPebble})
	s.send("PUT", "/fhir/Observation/o1", benchObservation)
	for _, h := range []struct {
		name    string
		handler http.Handler
	}{{"floor", floor()}, {"read", s.handler}} {
		b.Run(h.name, func(b *testing.B) { overHTTP(b, h.handler) })
	}
}

func overHTTP(b *testing.B, h http.Handler) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	srv := &http.Server{Handler: h}
	go func() { _ = srv.Serve(l) }()
	defer srv.Close()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}}
	url := "http://" + l.Addr().String() + "/fhir/Observation/o1"
	b.ReportAllocs()
	b.SetParallelism(4)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			resp, err := client.Get(url)
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	})
}

// taking is a store that takes every commit and keeps nothing: what is left is
// the cost above the store.
type taking struct{ store.Store }

func (taking) Commit(context.Context, store.CommitParams) error { return nil }

var takingBackend = backend{"taking", func(_ testing.TB, c storetest.Config) store.Store { return taking{storetest.NewMap(c)} }}

// A create above the store.
func BenchmarkCreateHandler(b *testing.B) {
	s := newServer(b, takingBackend)
	b.ReportAllocs()
	for b.Loop() {
		r, err := http.NewRequest("POST", "/fhir/Observation", strings.NewReader(benchObservation))
		if err != nil {
			b.Fatal(err)
		}
		s.handler.ServeHTTP(&discard{http.Header{}}, r)
	}
}

// Searches of 20 rows in 1,000 observations, and the same page with its patients included.
func BenchmarkSearchHandler(b *testing.B) {
	s := newServer(b, backend{"pebble", openPebble})
	for i := range 1000 {
		o := strings.NewReplacer(`"o1"`, fmt.Sprintf(`"o%d"`, i), "Patient/p1", fmt.Sprintf("Patient/p%d", i%50)).Replace(benchObservation)
		s.send("PUT", fmt.Sprintf("/fhir/Observation/o%d", i), o)
		s.send("PUT", fmt.Sprintf("/fhir/Patient/p%d", i%50), fmt.Sprintf(`{"resourceType":"Patient","id":"p%d"}`, i%50))
	}
	for _, c := range []struct{ name, target string }{
		{"read", "/fhir/Observation/o1"},
		{"selective", "/fhir/Observation?subject=Patient/p7"},
		{"dense", "/fhir/Observation?code=http://loinc.org|718-7"},
		{"include", "/fhir/Observation?code=http://loinc.org|718-7&_include=Observation:subject"},
		{"revinclude", "/fhir/Patient?_id=p7&_revinclude=Observation:subject"},
		{"elements", "/fhir/Observation?code=http://loinc.org|718-7&_elements=status"},
	} {
		b.Run(c.name, func(b *testing.B) {
			r, err := http.NewRequest("GET", c.target, nil)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				s.handler.ServeHTTP(&discard{http.Header{}}, r)
			}
		})
	}
}

// A transaction of one patient and 20 observations that refer to it, above the store.
func BenchmarkTransaction(b *testing.B) {
	s := newServer(b, takingBackend)
	var body strings.Builder
	body.WriteString(`{"resourceType":"Bundle","type":"transaction","entry":[{"fullUrl":"urn:uuid:p","resource":{"resourceType":"Patient"},"request":{"method":"POST","url":"Patient"}}`)
	obs := strings.Replace(benchObservation, "Patient/p1", "urn:uuid:p", 1)
	for i := range 20 {
		fmt.Fprintf(&body, `,{"fullUrl":"urn:uuid:%d","resource":%s,"request":{"method":"POST","url":"Observation"}}`, i, obs)
	}
	body.WriteString(`]}`)
	bundle := []byte(body.String())
	b.SetBytes(int64(len(bundle)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.service.Bundle(context.Background(), interaction.BundleParams{Body: bundle}); err != nil {
			b.Fatal(err)
		}
	}
}

// A page far into a walk beside the first: what it has more is a cursor to read and a link to the page before. Without a network.
func BenchmarkPages(b *testing.B) {
	s := newServer(b, backend{"pebble", openPebble})
	for part := range 5 {
		var body strings.Builder
		body.WriteString(`{"resourceType":"Bundle","type":"transaction","entry":[`)
		for i := range 1000 {
			if i > 0 {
				body.WriteByte(',')
			}
			fmt.Fprintf(&body, `{"resource":%s,"request":{"method":"PUT","url":"Observation/o%d-%d"}}`,
				strings.Replace(benchObservation, `"o1"`, fmt.Sprintf(`"o%d-%d"`, part, i), 1), part, i)
		}
		body.WriteString(`]}`)
		if rec := s.send("POST", "/fhir", body.String()); rec.Code != http.StatusOK {
			b.Fatalf("%d %.300s", rec.Code, rec.Body)
		}
	}
	const first = "/fhir/Observation?status=final&_count=20"
	later := first
	for range 199 {
		body := s.send("GET", later, "").Body.String()
		_, after, ok := strings.Cut(body, `"relation":"next","url":"`)
		if !ok {
			b.Fatalf("no next: %.300s", body)
		}
		url, _, _ := strings.Cut(after, `"`)
		later = url[strings.Index(url, "/fhir"):]
	}
	for _, page := range []struct{ name, url string }{{"first", first}, {"200", later}} {
		b.Run(page.name, func(b *testing.B) {
			r, err := http.NewRequest("GET", page.url, nil)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				s.handler.ServeHTTP(&discard{http.Header{}}, r)
			}
		})
	}
}

// A page of seven reports with their 49 results, and without. Without a network.
func BenchmarkInclude(b *testing.B) {
	s := newServer(b, backend{"pebble", openPebble})
	var body strings.Builder
	body.WriteString(`{"resourceType":"Bundle","type":"transaction","entry":[`)
	for report := range 7 {
		var results []string
		for i := range 7 {
			id := fmt.Sprintf("o%d-%d", report, i)
			fmt.Fprintf(&body, `{"resource":%s,"request":{"method":"PUT","url":"Observation/%s"}},`, strings.Replace(benchObservation, `"o1"`, `"`+id+`"`, 1), id)
			results = append(results, fmt.Sprintf(`{"reference":"Observation/%s"}`, id))
		}
		if report > 0 {
			fmt.Fprintf(&body, `{"resource":%s,"request":{"method":"PUT","url":"Observation/x%d"}},`, strings.Replace(benchObservation, `"o1"`, fmt.Sprintf(`"x%d"`, report), 1), report)
		}
		fmt.Fprintf(&body, `{"resource":{"resourceType":"DiagnosticReport","status":"final","code":{"text":"panel"},"subject":{"reference":"Patient/p1"},"result":[%s]},"request":{"method":"POST","url":"DiagnosticReport"}}`, strings.Join(results, ","))
		if report < 6 {
			body.WriteByte(',')
		}
	}
	if rec := s.send("POST", "/fhir", body.String()+`]}`); rec.Code != http.StatusOK {
		b.Fatalf("%d %.300s", rec.Code, rec.Body)
	}
	for _, query := range []string{"", "&_include=DiagnosticReport:result"} {
		b.Run("page"+query, func(b *testing.B) {
			r, err := http.NewRequest("GET", "/fhir/DiagnosticReport?subject=Patient/p1&_count=20"+query, nil)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				s.handler.ServeHTTP(&discard{http.Header{}}, r)
			}
		})
	}
}
