package rest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"meridian/fhir/codec"
)

// fuzzAddresses are what a query string may stand behind.
var fuzzAddresses = []string{"/fhir/Patient", "/fhir/Observation", "/fhir", "/fhir/Patient/p0/Observation", "/fhir/Patient/p0/*", "/fhir/Location", "/fhir/List",
	"/fhir/Patient/_history", "/fhir/_history", "/fhir/Patient/p0/$everything", "/fhir/Observation/$lastn", "/fhir/Patient/p0", "/fhir/metadata",
	"/fhir/Patient/$meta", "/fhir/Observation/$stats", "/fhir/$diff", "/fhir/ValueSet/$expand", "/fhir/CodeSystem/$lookup", "/fhir/ValueSet/$validate-code"}

// FuzzQuery sends a query string through the whole handler, on the embedded
// store and on the map that is its oracle: never a 5xx, an error is an
// OperationOutcome, an answer is a resource, and both answer the same.
func FuzzQuery(f *testing.F) {
	for _, q := range []string{
		"name=zhang&_sort=-birthdate,family&_count=2", "name:exact=Z&gender:not=male&birthdate=ge1970&_total=accurate", "identifier:of-type=http://x|MR|1&_summary=count",
		"subject:Patient.name=z&_include=Observation:subject&_revinclude:iterate=*", "_has:Observation:patient:code=http://loinc.org|1&_elements=name", "_filter=name co \"a\" and not (gender eq male)",
		"value-quantity=gt5.40|http://unitsofmeasure.org|mg&_explain=true", "code-value-quantity=1$lt5,2$ge1e3", "near=31.2|121.5|10|km", "_list=l&_contained=both", "_content=a OR \"b c\"&_text:missing=true",
		"_id=p0,p1&_lastUpdated=lt2030-01-01T00:00:00+08:00", "_type=Patient,Observation&_tag=a|b", "_since=2026&_count=1", "start=2020&_type=Observation", "_cursor=AAAA", "_format=xml&_pretty=true", "a=%zz&%00=b&&=",
	} {
		for at := range fuzzAddresses {
			if at < 3 || strings.Contains(q, "_count") {
				f.Add(uint8(at), q, false)
			}
		}
		f.Add(uint8(1), q, true)
	}
	f.Add(uint8(9), "_count=1&start=2020", false)
	f.Add(uint8(13), "", false) // was an element without anything in it
	f.Add(uint8(14), "subject=Patient/p0&code=x&system=http://x&duration=9&statistic=count", false)
	f.Add(uint8(15), "from=Patient/p0&to=Patient/p0/_history/1", false)
	f.Add(uint8(16), "url=http://hl7.org/fhir/ValueSet/administrative-gender&filter=m&count=1", false)
	f.Add(uint8(17), "system=http://hl7.org/fhir/administrative-gender&code=male", false)
	f.Add(uint8(18), "url=http://hl7.org/fhir/ValueSet/administrative-gender&code=male&system=x", false)
	f.Add(uint8(1), "identifier:%00", true)  // stood in the OperationOutcome as it was
	f.Add(uint8(0), "_explain=maybe", false) // was taken for no
	pebble, truth := fuzzServer(f, backend{"pebble", openPebble}), fuzzServer(f, mapBackend)
	f.Fuzz(func(t *testing.T, at uint8, query string, post bool) {
		if len(query) > 2000 { // limits have their own tests
			return
		}
		path := fuzzAddresses[int(at)%len(fuzzAddresses)]
		got, want := pebble.query(path, query, post), truth.query(path, query, post)
		if got.Code >= 500 {
			t.Fatalf("%s?%s: %d %s", path, query, got.Code, got.Body)
		}
		if got.Code != want.Code {
			t.Fatalf("%s?%s: %d %s\nthe map: %d %s", path, query, got.Code, got.Body, want.Code, want.Body)
		}
		if !strings.HasPrefix(got.Header().Get("Content-Type"), "application/fhir+json") {
			return
		}
		tree, err := codec.Parse(got.Body.Bytes(), codec.Options{})
		if err != nil || got.Code >= 400 && tree.Root().Type().Name != "OperationOutcome" {
			t.Fatalf("%s?%s: %d %s: %v", path, query, got.Code, got.Body, err)
		}
		if a, b := entriesOf(t, got), entriesOf(t, want); !slices.Equal(a, b) {
			t.Fatalf("%s?%s: %v\nthe map: %v", path, query, a, b)
		}
	})
}

// fuzzServer holds some resources of the types that fuzzAddresses name.
func fuzzServer(f *testing.F, b backend) *server {
	s := newServer(f, b)
	bodies := []string{`{"resourceType":"Location","id":"w","name":"ward","position":{"longitude":121.5,"latitude":31.2},"partOf":{"reference":"Location/w"}}`,
		`{"resourceType":"List","id":"l","status":"current","mode":"working","entry":[{"item":{"reference":"Patient/p0"}},{"item":{"reference":"Observation/o1"}}]}`}
	for i := range 5 {
		bodies = append(bodies, patient(fmt.Sprint("p", i), fmt.Sprintf(`,"meta":{"tag":[{"system":"a","code":"b"}]},"identifier":[{"type":{"coding":[{"system":"http://x","code":"MR"}]},"system":"s","value":"%d"}],`+
			`"name":[{"family":"Zhang","given":["A%d"]},{"text":"张三"}],"gender":"%s","birthDate":"19%d0"`, i, i, []string{"male", "female"}[i%2], i+5)))
		bodies = append(bodies, observation(fmt.Sprint("o", i), fmt.Sprint("Patient/p", i%3), fmt.Sprintf(`,"effectiveDateTime":"202%d-01-01","valueQuantity":{"value":%d.40,"unit":"mg","system":"http://unitsofmeasure.org","code":"mg"}`, i, i*3)))
	}
	for _, body := range bodies {
		tree, err := codec.Parse([]byte(body), codec.Options{})
		if err != nil {
			f.Fatal(err)
		}
		root := tree.Root()
		if w := s.send("PUT", "/fhir/"+root.Type().Name+"/"+root.Child("id").Text(), body); w.Code != 201 {
			f.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	return s
}

// query sends a query string as it is, also one that is none.
func (s *server) query(path, query string, post bool) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.URL = &url.URL{Path: path, RawQuery: query}
	if post {
		r = httptest.NewRequest(http.MethodPost, path+"/_search", strings.NewReader(query))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w
}

// entriesOf lists the fullUrls of a bundle, in order, with its total; the rest may differ between stores.
func entriesOf(t *testing.T, w *httptest.ResponseRecorder) []string {
	t.Helper()
	var b struct {
		Total *int
		Entry []struct{ FullURL string }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &b); err != nil {
		t.Fatal(err)
	}
	out := make([]string, 0, len(b.Entry)+1)
	if b.Total != nil {
		out = append(out, fmt.Sprint("total ", *b.Total))
	}
	for _, e := range b.Entry {
		out = append(out, e.FullURL)
	}
	return out
}
