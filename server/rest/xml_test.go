package rest_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"

	"meridian/fhir/codec"
	"meridian/fhir/fhirtest"
	"meridian/server/interaction"
	"meridian/server/rest"
)

const xmlType = "application/fhir+xml; charset=utf-8"

// The CapabilityStatement, the largest answer that is not stored, in XML.
func TestCapabilitiesInXML(t *testing.T) {
	s := newServer(t, mapBackend)
	w := s.send("GET", "/fhir/metadata", "", "Accept", "application/fhir+xml", "Accept-Encoding", "gzip")
	if w.Header().Get("Content-Type") != xmlType || w.Header().Get("Content-Encoding") != "gzip" || w.Header().Get("Vary") != "Accept, Accept-Encoding" {
		t.Errorf("%v", w.Header())
	}
	z, err := gzip.NewReader(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := codec.ParseXML(body, codec.Options{Type: "CapabilityStatement"})
	if err != nil {
		t.Fatal(err)
	}
	if d := fhirtest.DiffValues(s.send("GET", "/fhir/metadata", "").Body.Bytes(), codec.AppendJSON(nil, tree.Root(), nil)); d != "" {
		t.Error(d)
	}
}

// Every official example is stored from XML as it is stored from JSON, and read in XML.
func TestExamplesOverXML(t *testing.T) {
	s := newServer(t, mapBackend)
	n := 0
	for _, ex := range fhirtest.Examples(t) {
		tree, err := codec.Parse(ex.Body, codec.Options{})
		if err != nil {
			t.Fatal(err)
		}
		typ, id := tree.Root().Type().Name, tree.Root().Child("id").Text()
		if typ == "Bundle" || typ == "Binary" || id == "" {
			continue
		}
		n++
		xml, err := codec.AppendXML(nil, tree.Root(), codec.XMLOptions{Pretty: true})
		if err != nil {
			t.Fatal(err)
		}
		target := "/fhir/" + typ + "/" + id
		if w := s.send("PUT", target, string(xml), "Content-Type", "application/fhir+xml", "Prefer", "return=minimal"); w.Code >= 300 {
			t.Errorf("%s: %d %s", ex.Name, w.Code, w.Body)
			continue
		}
		w := s.send("GET", target, "", "Accept", "application/fhir+xml")
		again, err := codec.ParseXML(w.Body.Bytes(), codec.Options{})
		if err != nil {
			t.Errorf("%s: %v", ex.Name, err)
			continue
		}
		if d := fhirtest.DiffAnyOrder(s.send("GET", target, "").Body.Bytes(), codec.AppendJSON(nil, again.Root(), nil)); d != "" {
			t.Errorf("%s: %s", ex.Name, d)
		}
	}
	if n < 330 {
		t.Errorf("%d examples only", n)
	}
}

// Every kind of answer is a valid resource, in JSON and in XML, and the same in both.
func TestEveryKindOfAnswerIsTheSameInXML(t *testing.T) {
	s := newServer(t, mapBackend)
	s.put(t, patient("p", `,"name":[{"text":"张三"}]`), patient("p", `,"name":[{"text":"张四"}]`), observation("o", "Patient/p", `,"valueQuantity":{"value":5.40,"unit":"mg","system":"http://unitsofmeasure.org","code":"mg"}`))
	s.put(t, patient("gone", ""))
	s.send("DELETE", "/fhir/Patient/gone", "")
	for _, target := range []string{"Patient/p", "Patient/p/_history/1", "Patient/p/_history", "Patient/_history", "_history?_count=1", "Patient/p?_elements=name", "Patient/gone", "Patient/none", "Patient/gone/_history",
		"Patient?name=x&shoe=1", "Patient?name=z", "Patient?name=", "Observation?_include=Observation:subject&_explain=true&_total=accurate&_sort=-date", "Observation?_summary=count", "?_type=Patient,Observation&_count=1",
		"Patient/p/*", "metadata", "metadata?mode=terminology", "$meta", "Patient/$meta", "Patient/p/$meta", "Patient/p/$everything?_count=1", "Patient/p/$diff?from=Patient/p/_history/1", "$diff?from=Patient/p&to=Patient/p/_history/1",
		"Observation/$lastn?patient=p&code=x", "Observation/$stats?subject=Patient/p&code=x&system=http://x&duration=9&statistic=count", "ValueSet/$expand?url=http://hl7.org/fhir/ValueSet/administrative-gender",
		"CodeSystem/$lookup?system=http://hl7.org/fhir/administrative-gender&code=male", "CodeSystem/$validate-code?url=http://hl7.org/fhir/administrative-gender&code=x", "CodeSystem/$lookup?system=http://none&code=x", "$frobnicate", "no/such/place/here"} {
		json, xml := s.send("GET", "/fhir/"+target, ""), s.send("GET", "/fhir/"+target, "", "Accept", "application/fhir+xml")
		if _, err := codec.Parse(json.Body.Bytes(), codec.Options{}); err != nil || json.Code >= 500 {
			t.Errorf("%s: %d %v in %s", target, json.Code, err, json.Body)
		}
		again, err := codec.ParseXML(xml.Body.Bytes(), codec.Options{})
		if err != nil || xml.Code != json.Code || xml.Header().Get("Content-Type") != xmlType {
			t.Errorf("%s in XML: %d %s: %v", target, xml.Code, xml.Body, err)
			continue
		}
		if strings.Contains(json.Body.String(), `"link":`) {
			continue // links of an answer in XML ask for XML
		}
		if d := fhirtest.DiffAnyOrder(json.Body.Bytes(), codec.AppendJSON(nil, again.Root(), nil)); d != "" {
			t.Errorf("%s: %s", target, d)
		}
	}
}

// The answer before the store is open, and of handlers beside the FHIR service, have the format asked for.
func TestErrorsOfTheDoorInXML(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ops/{id}", func(http.ResponseWriter, *http.Request) {})
	h := rest.New(rest.Options{Service: func() *interaction.Service { return nil }, Mounts: map[string]http.Handler{"/ops": mux}, ErrorLog: slog.New(slog.DiscardHandler)})
	for _, c := range []struct {
		method, target, accept string
		status                 int
		typ                    string
	}{
		{"GET", "/fhir/Patient/1", "application/fhir+xml", 503, xmlType},
		{"GET", "/fhir/Patient/1?_format=xml", "", 503, xmlType},
		{"GET", "/fhir/Patient/1", "image/png", 503, "application/fhir+json; charset=utf-8"},
		{"GET", "/ops/a/b", "application/fhir+xml", 404, xmlType},
		{"POST", "/ops/a?_format=xml", "", 405, xmlType},
		{"GET", "/none", "application/fhir+xml", 404, xmlType},
	} {
		r := httptest.NewRequest(c.method, c.target, nil)
		if c.accept != "" {
			r.Header.Set("Accept", c.accept)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.status || w.Header().Get("Content-Type") != c.typ {
			t.Errorf("%s %s: %d %s", c.method, c.target, w.Code, w.Header().Get("Content-Type"))
		}
		if c.typ == xmlType {
			if _, err := codec.ParseXML(w.Body.Bytes(), codec.Options{Type: "OperationOutcome"}); err != nil {
				t.Error(err)
			}
		}
	}
}

// The data of a Binary is bounded: in base64 it must fit into a resource.
func TestBinaryIsBounded(t *testing.T) {
	s := newServerWith(t, mapBackend, interaction.Limits{}, rest.Options{BodyLimit: 64 << 10})
	data := bytes.Repeat([]byte{0, 1, 2, 0xFF}, 11<<10)
	for _, c := range []struct {
		rule   string
		size   int
		status int
	}{{"what fits", len(data), 201}, {"what does not fit in base64", 48 << 10, 413}, {"what is over the limit", 65 << 10, 413}} {
		body := bytes.Repeat(data, 2)[:c.size]
		if w := s.send("POST", "/fhir/Binary", string(body), "Content-Type", "application/octet-stream"); w.Code != c.status {
			t.Errorf("%s: %d, want %d", c.rule, w.Code, c.status)
		}
	}
	w := s.send("GET", "/fhir/Binary/id-1", "", "Accept", "application/octet-stream")
	if !bytes.Equal(w.Body.Bytes(), data) {
		t.Errorf("%d bytes came back, %s", w.Body.Len(), w.Header())
	}
}

// What a body of XML may be turned into does not outgrow the limit unseen.
func TestXMLBodyIsBounded(t *testing.T) {
	s := newServerWith(t, mapBackend, interaction.Limits{}, rest.Options{BodyLimit: 4 << 10})
	body := `<Patient xmlns="http://hl7.org/fhir"><name><text value="` + strings.Repeat("x", 5<<10) + `"/></name></Patient>`
	if w := s.send("POST", "/fhir/Patient", body, "Content-Type", "application/fhir+xml"); w.Code != 413 {
		t.Errorf("%d, want 413", w.Code)
	}
}
