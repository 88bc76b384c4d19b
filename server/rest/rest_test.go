package rest_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"meridian/fhir/codec"
	"meridian/fhir/schema"
	"meridian/fhir/search"
	"meridian/server/interaction"
	"meridian/server/rest"
	"meridian/server/store"
	"meridian/server/store/storetest"
)

func gzipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestBodiesAreReadAndWrittenGzipped(t *testing.T) {
	s := newServer(t, mapBackend)
	long := strings.Repeat("x", 10_000)
	body := `{"resourceType":"Patient","id":"p","name":[{"text":"` + long + `"}]}`
	if w := s.send("PUT", "/fhir/Patient/p", gzipped(t, body), "Content-Encoding", "gzip"); w.Code != http.StatusCreated {
		t.Fatalf("put: %d %s", w.Code, w.Body)
	}
	plain := s.send("GET", "/fhir/Patient/p", "")
	if plain.Header().Get("Content-Encoding") != "" || !strings.Contains(plain.Body.String(), long) {
		t.Error("without Accept-Encoding the answer is plain")
	}
	w := s.send("GET", "/fhir/Patient/p", "", "Accept-Encoding", "br, gzip;q=0.8")
	if w.Header().Get("Content-Encoding") != "gzip" || w.Header().Get("Vary") != "Accept-Encoding" {
		t.Fatalf("headers %v", w.Header())
	}
	z, err := gzip.NewReader(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(z)
	if err != nil || !bytes.Equal(got, plain.Body.Bytes()) {
		t.Errorf("the gzipped answer differs from the plain one: %v", err)
	}
	if w := s.send("GET", "/fhir/Patient/none", "", "Accept-Encoding", "gzip"); w.Header().Get("Content-Encoding") != "" {
		t.Error("a small answer is not compressed")
	}
	if w := s.send("GET", "/fhir/Patient/p", "", "Accept-Encoding", "gzip;q=0"); w.Header().Get("Content-Encoding") != "" {
		t.Error("q=0 refuses gzip")
	}
}

func TestABodyOverTheLimitIsRefused(t *testing.T) {
	s := newServerWith(t, mapBackend, interaction.Limits{}, rest.Options{BodyLimit: 1000})
	body := `{"resourceType":"Patient","name":[{"text":"` + strings.Repeat("x", 1000) + `"}]}`
	for name, w := range map[string]int{
		"plain":   s.send("POST", "/fhir/Patient", body).Code,
		"gzipped": s.send("POST", "/fhir/Patient", gzipped(t, body), "Content-Encoding", "gzip").Code,
	} {
		if w != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: status %d, want 413", name, w)
		}
	}
}

func TestWhileTheStoreIsOpening503SaysSo(t *testing.T) {
	h := rest.New(rest.Options{Service: func() *interaction.Service { return nil }})
	s := &server{handler: h}
	for target, want := range map[string]int{"/fhir/Patient/1": 503, "/fhir/metadata": 503, "/readyz": 503, "/healthz": 200, "/metrics": 200} {
		w := s.send("GET", target, "")
		if w.Code != want || want == 503 && w.Header().Get("Retry-After") == "" {
			t.Errorf("%s: status %d, Retry-After %q; want %d", target, w.Code, w.Header().Get("Retry-After"), want)
		}
	}
}

func TestReadyzAsksReady(t *testing.T) {
	s := newServerWith(t, mapBackend, interaction.Limits{}, rest.Options{Ready: func() error { return errors.New("no") }, ErrorLog: slog.New(slog.DiscardHandler)})
	if w := s.send("GET", "/readyz", ""); w.Code != 503 {
		t.Errorf("status %d, want 503", w.Code)
	}
}

// broken is a store that fails as a broken disk does, or panics.
type broken struct {
	store.Store
	panics bool
}

func (b broken) Read(context.Context, store.Key) (store.Resource, error) {
	if b.panics {
		panic("张三 has a secret")
	}
	return store.Resource{}, errors.New("disk on fire")
}

func TestFailuresAndPanicsAre500WithoutValues(t *testing.T) {
	for _, panics := range []bool{false, true} {
		var log bytes.Buffer
		b := backend{"broken", func(_ testing.TB, c storetest.Config) store.Store { return broken{storetest.NewMap(c), panics} }}
		s := newServerWith(t, b, interaction.Limits{}, rest.Options{ErrorLog: slog.New(slog.NewTextHandler(&log, nil))})
		w := s.send("GET", "/fhir/Patient/1", "")
		if w.Code != 500 || !strings.Contains(w.Body.String(), `"code":"exception"`) {
			t.Errorf("panics %v: %d %s", panics, w.Code, w.Body)
		}
		if strings.Contains(w.Body.String(), "fire") || strings.Contains(log.String()+w.Body.String(), "secret") {
			t.Errorf("panics %v: a value escaped: %s %s", panics, w.Body, &log)
		}
		if log.Len() == 0 {
			t.Errorf("panics %v: the log is empty", panics)
		}
	}
}

func TestAPanicInABatchIsAnErrorOfItsEntryAlone(t *testing.T) {
	var log bytes.Buffer
	b := backend{"broken", func(_ testing.TB, c storetest.Config) store.Store { return broken{storetest.NewMap(c), true} }}
	s := newServerWith(t, b, interaction.Limits{}, rest.Options{ErrorLog: slog.New(slog.NewTextHandler(&log, nil))})
	got := s.bundle(t, "POST", "/fhir", `{"resourceType":"Bundle","type":"batch","entry":[
{"resource":{"resourceType":"Patient"},"request":{"method":"POST","url":"Patient"}},
{"request":{"method":"GET","url":"Patient/1"}},
{"resource":{"resourceType":"Patient","id":"2"},"request":{"method":"PUT","url":"Patient/2"}},
{"resource":{"resourceType":"Patient"},"request":{"method":"POST","url":"Patient"}}]}`)
	for i, want := range []string{"201 Created", "500 Internal Server Error", "500 Internal Server Error", "201 Created"} {
		if got.Entry[i].Response.Status != want {
			t.Errorf("entry %d: %s, want %s", i, got.Entry[i].Response.Status, want)
		}
	}
	if !strings.Contains(log.String(), "Bundle.entry[1]") || strings.Contains(log.String(), "secret") {
		t.Errorf("log: %s", &log)
	}
}

func TestMetricsAndAccessLogHoldNoIDsAndNoValues(t *testing.T) {
	var log bytes.Buffer
	s := newServerWith(t, mapBackend, interaction.Limits{}, rest.Options{AccessLog: slog.New(slog.NewTextHandler(&log, nil))})
	s.send("PUT", "/fhir/Patient/secret-1", `{"resourceType":"Patient","id":"secret-1","name":[{"text":"secret"}]}`)
	s.send("GET", "/fhir/Patient?name=secret", "")
	s.send("GET", "/fhir/secret/secret-1", "")
	s.send("GET", "/secret", "")
	s.send("POST", "/fhir", `{"resourceType":"Bundle","type":"transaction","entry":[{"request":{"method":"GET","url":"Patient/secret-1"}}]}`)
	metrics := s.send("GET", "/metrics", "").Body.String()
	for _, want := range []string{
		`meridian_http_requests_total{interaction="update",status="201",type="Patient"} 1`,
		`meridian_http_requests_total{interaction="search-type",status="200",type="Patient"} 1`,
		`meridian_http_requests_total{interaction="read",status="404",type=""} 1`,
		`meridian_http_requests_total{interaction="unknown",status="404",type=""} 1`,
		`meridian_http_requests_total{interaction="transaction",status="200",type=""} 1`,
		`meridian_http_request_seconds_count{interaction="update"} 1`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	if !strings.Contains(log.String(), "interaction=search-type type=Patient status=200 ms=") {
		t.Errorf("access log: %s", &log)
	}
	if strings.Contains(metrics+log.String(), "secret") {
		t.Errorf("a value escaped: %s %s", metrics, &log)
	}
}

func TestMountsAnswerBelowTheirPrefix(t *testing.T) {
	sub := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Method, " ", r.URL.Path) })
	s := newServerWith(t, mapBackend, interaction.Limits{}, rest.Options{Mounts: map[string]http.Handler{"/ops": sub}})
	for target, want := range map[string]string{"/ops": "POST /ops", "/ops/a/b": "POST /ops/a/b"} {
		if got := s.send("POST", target, "").Body.String(); got != want {
			t.Errorf("%s: %q", target, got)
		}
	}
}

func TestListeningBeyondLoopbackNeedsAuthentication(t *testing.T) {
	for _, tc := range []struct {
		addr string
		auth bool
		ok   bool
	}{
		{"127.0.0.1:8080", false, true}, {"127.9.9.9:0", false, true}, {"[::1]:8080", false, true}, {"localhost:8080", false, true},
		{":8080", false, false}, {"0.0.0.0:8080", false, false}, {"[::]:8080", false, false}, {"192.168.1.2:8080", false, false},
		{"hospital.example:8080", false, false}, {"8080", false, false}, {"0.0.0.0:8080", true, true},
	} {
		if err := rest.CheckListen(tc.addr, tc.auth); (err == nil) != tc.ok {
			t.Errorf("%s with authentication %v: %v", tc.addr, tc.auth, err)
		}
	}
}

func TestACountOverTheLimitIsRefusedAndLenientlyCut(t *testing.T) {
	s := newServerWith(t, mapBackend, interaction.Limits{MaxPageSize: 2}, rest.Options{})
	for i := range 3 {
		s.send("PUT", fmt.Sprintf("/fhir/Patient/p%d", i), fmt.Sprintf(`{"resourceType":"Patient","id":"p%d"}`, i))
	}
	for _, target := range []string{"/fhir/Patient?_count=3", "/fhir/Patient/_history?_count=3", "/fhir/Patient/p1/$everything?_count=3"} {
		if w := s.send("GET", target, ""); w.Code != 400 || !strings.Contains(w.Body.String(), "_count is at most 2") {
			t.Errorf("%s: %d %s", target, w.Code, w.Body)
		}
	}
	got := s.bundle(t, "GET", "/fhir/Patient?_count=500", "", "Prefer", "handling=lenient")
	if len(got.Entry) != 2 || got.Link[0].URL != "http://example.org/fhir/Patient?_count=2" || got.next(t) == "" {
		t.Errorf("%d entries, links %v", len(got.Entry), got.Link)
	}
}

func TestTotals(t *testing.T) {
	s := newServerWith(t, mapBackend, interaction.Limits{EstimateTotal: 5}, rest.Options{})
	for i := range 9 {
		s.send("PUT", fmt.Sprintf("/fhir/Patient/p%d", i), fmt.Sprintf(`{"resourceType":"Patient","id":"p%d","active":%v}`, i, i < 3))
	}
	for query, want := range map[string]int{
		"_count=4": -1, "_count=20": 9, "_count=4&_total=none": -1, "_count=20&_total=none": -1, "_count=4&_total=accurate": 9,
		"_count=4&_total=estimate": 5, "_count=2&active=true&_total=estimate": 3,
	} {
		got := s.bundle(t, "GET", "/fhir/Patient?"+query, "")
		total := -1
		if got.Total != nil {
			total = *got.Total
		}
		if total != want {
			t.Errorf("%s: total %d, want %d", query, total, want)
		}
		if next := got.next(t); next != "" && strings.Contains(query, "accurate") {
			if second := s.bundle(t, "GET", next, ""); second.Total == nil || *second.Total != want {
				t.Errorf("%s: the second page has not the first page's total", query)
			}
		}
		if told := len(got.Entry) > 0 && got.Entry[len(got.Entry)-1].Search.Mode == "outcome"; told != (query == "_count=4&_total=estimate") {
			t.Errorf("%s: a total that is cut short is told, others are not", query)
		}
	}
}

func TestExplainTellsWhatWasRead(t *testing.T) {
	for _, b := range backends(t) {
		t.Run(b.name, func(t *testing.T) {
			s := newServer(t, b)
			s.send("PUT", "/fhir/Patient/p", `{"resourceType":"Patient","id":"p","name":[{"text":"secret"}]}`)
			got := s.bundle(t, "GET", "/fhir/Patient?name=secret&_explain=true", "")
			last := got.Entry[len(got.Entry)-1]
			if last.Search.Mode != "outcome" || !strings.Contains(last.Resource.Issue[0].Diagnostics, "found: 1") {
				t.Errorf("no explanation: %+v", last)
			}
			if strings.Contains(last.Resource.Issue[0].Diagnostics, "secret") {
				t.Errorf("the explanation holds a value: %s", last.Resource.Issue[0].Diagnostics)
			}
		})
	}
}

// https://hl7.org/fhir/R4/http.html#capabilities
func TestTheCapabilityStatementSaysWhatIsRegistered(t *testing.T) {
	s := newServer(t, mapBackend)
	w := s.send("GET", "/fhir/metadata", "")
	tree, err := codec.Parse(w.Body.Bytes(), codec.Options{Type: "CapabilityStatement"})
	if err != nil {
		t.Fatal(err)
	}
	if d := tree.Root().Path("implementation", "description").Text(); !strings.Contains(d, "Asia/Shanghai") {
		t.Errorf("the zone is not told: %s", d)
	}
	registry, err := search.New(search.Options{Zone: start.Location(), FullText: true})
	if err != nil {
		t.Fatal(err)
	}
	types := 0
	for r := tree.Root().Child("rest").First(); r.Valid(); r = r.Next() {
		if r.Name() != "resource" {
			continue
		}
		types++
		typ := r.Child("type").Text()
		for p := r.First(); p.Valid(); p = p.Next() {
			if p.Name() != "searchParam" {
				continue
			}
			if known, ok := registry.Param(typ, p.Child("name").Text()); !ok || known.Unsupported != "" {
				t.Errorf("%s: %s is told and cannot be searched", typ, p.Child("name").Text())
			}
			if p.Child("documentation").Text() == "" {
				t.Errorf("%s: %s has no documentation", typ, p.Child("name").Text())
			}
		}
	}
	if want := len(schema.ResourceTypes()); types != want {
		t.Errorf("%d resource types, want %d", types, want)
	}
}

func TestAQueryTooLongForALinkSaysSoInsteadOfEnding(t *testing.T) {
	s := newServer(t, mapBackend)
	for i := range 3 {
		s.send("PUT", fmt.Sprintf("/fhir/Patient/p%d", i), fmt.Sprintf(`{"resourceType":"Patient","id":"p%d"}`, i))
	}
	form := "_id=p0,p1,p2" + strings.Repeat(",none", 8000)
	post := func(form string) *httptest.ResponseRecorder {
		return s.send("POST", "/fhir/Patient/_search", form, "Content-Type", "application/x-www-form-urlencoded")
	}
	if w := post(form + "&_count=2"); w.Code != 400 || !strings.Contains(w.Body.String(), "search.too-long") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := post(form + "&_count=3"); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestALongQueryPages(t *testing.T) {
	s := newServer(t, mapBackend)
	var ids []string
	for i := range 300 {
		id := fmt.Sprintf("a-rather-long-identifier-%d", i)
		ids = append(ids, id)
		s.send("PUT", "/fhir/Patient/"+id, fmt.Sprintf(`{"resourceType":"Patient","id":%q}`, id))
	}
	got := s.bundle(t, "GET", "/fhir/Patient?_count=200&_id="+strings.Join(ids, ","), "")
	second := s.bundle(t, "GET", got.next(t), "")
	if len(got.Entry)+len(second.Entry) != 300 {
		t.Errorf("%d and %d entries, want 300 in all", len(got.Entry), len(second.Entry))
	}
}
