package operation

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"meridian/fhir/issue"
	"meridian/fhir/search"
	"meridian/server/interaction"
	"meridian/server/store"
)

const patientsView = `{"resourceType":"ViewDefinition","id":"v","status":"active","url":"http://x/a,b","version":"1","resource":"Patient","select":[{"column":[{"name":"id","path":"id"}]}]}`

// What a call asks for wrongly is refused with the part that is wrong.
func TestViewRefuses(t *testing.T) {
	s := newService(t)
	put(t, s, patientsView, strings.ReplaceAll(strings.ReplaceAll(patientsView, `"v"`, `"w"`), `"1"`, `"2"`),
		`{"resourceType":"ViewDefinition","id":"p","status":"active","resource":"Practitioner","select":[{"column":[{"name":"id","path":"id"}]}]}`,
		`{"resourceType":"Patient","id":"a"}`, `{"resourceType":"Group","id":"empty","type":"person","actual":true}`)
	view := `{"name":"viewResource","resource":` + strings.Replace(patientsView, `"id":"v",`, "", 1) + `}`
	for _, c := range []struct {
		rule, id, query, body, want string
	}{
		{"two views", "", "", `{"name":"viewReference","valueReference":{"reference":"ViewDefinition/v"}},` + view, "view.twice"},
		{"a view beside the address", "v", "", view, "view.twice"},
		{"no reference", "", "", `{"name":"viewReference","valueReference":{"display":"x"}}`, "view.reference"},
		{"a url that two views have", "", "viewReference=http://x/a,b", "", "view.ambiguous"},
		{"a version that none has", "", "viewReference=http://x/a,b|3", "", "view.unknown"},
		{"one of two by version", "", "viewReference=http://x/a,b|2", "", ""},
		{"one under this server's address", "", "viewReference=http://example.org/fhir/ViewDefinition/v", "", ""},
		{"resources and a selection", "v", "", `{"name":"resource","resource":{"resourceType":"Patient"}},{"name":"_since","valueInstant":"2026-01-01T00:00:00Z"}`, "view.selection"},
		{"a patient that is no reference to one", "v", "patient=Group/1", "", "view.patient"},
		{"a group that is not there", "v", "group=Group/1", "", "resource.unknown"},
		{"a group without patients", "v", "group=Group/empty", "", ""},
		{"a type outside of compartments", "p", "patient=Patient/a", "", "view.compartment"},
		{"no rows", "v", "_limit=0", "", "operation.parameter-value"},
		{"no time", "v", "_since=2026", "", "operation.parameter-value"},
		{"an unknown parameter", "v", "limit=1", "", "operation.parameter-unknown"},
		{"a form that is none", "v", "_pretty=true", "", "operation.parameter-unknown"},
		{"a header of NDJSON", "v", "header=true", "", "view.header"},
	} {
		p := interaction.OperateParams{Name: "run", Key: store.Key{Type: "ViewDefinition", ID: c.id}, Get: c.body == ""}
		for pair := range strings.SplitSeq(c.query, "&") {
			if name, value, ok := strings.Cut(pair, "="); ok {
				p.Query = append(p.Query, search.Pair{Name: name, Value: value})
			}
		}
		if c.body != "" {
			p.Body = []byte(`{"resourceType":"Parameters","parameter":[` + c.body + `]}`)
		}
		r, err := s.Operate(t.Context(), p)
		got := ""
		if e := issue.As(err); e != nil {
			got = e.Issues[0].ID
		} else if err == nil {
			err = r.Stream(t.Context(), io.Discard)
		}
		if got != c.want || err != nil && c.want == "" {
			t.Errorf("%s: %v, want %q", c.rule, err, c.want)
		}
	}
}

func TestAcceptedFormat(t *testing.T) {
	for header, want := range map[string]string{
		"": "application/x-ndjson", "*/*": "application/x-ndjson", "text/csv": "text/csv; charset=utf-8", "application/fhir+json": "application/json",
		"text/html, text/csv;q=0.5, application/json;q=0.9": "application/json", "application/octet-stream": "application/vnd.apache.parquet", "text/html": "", "text/csv;q=0": "",
	} {
		f, ok := acceptedFormat(header)
		if ok != (want != "") || ok && f.ContentType() != want {
			t.Errorf("%q: %v %t", header, f, ok)
		}
	}
}

// A table of 2,000 stored observations, from the store to the last byte.
func BenchmarkView(b *testing.B) {
	s := newService(b)
	var bodies []string
	for i := range 2000 {
		bodies = append(bodies, fmt.Sprintf(`{"resourceType":"Observation","id":"o%d","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"2345-7"}],"text":"Glucose"},"subject":{"reference":"Patient/p%d"},"effectiveDateTime":"2026-01-02T03:04:05Z","valueQuantity":{"value":5.40,"unit":"mmol/L"}}`, i, i%50))
	}
	put(b, s, bodies...)
	put(b, s, `{"resourceType":"ViewDefinition","id":"v","status":"active","resource":"Observation","where":[{"path":"status = 'final'"}],"select":[{"column":[{"name":"id","path":"getResourceKey()"},{"name":"patient","path":"subject.getReferenceKey(Patient)"},
{"name":"at","path":"effective.ofType(dateTime)"},{"name":"value","path":"value.ofType(Quantity).value"},{"name":"unit","path":"value.ofType(Quantity).unit"}]},{"forEach":"code.coding","column":[{"name":"code","path":"code"}]}]}`)
	for _, format := range []string{"ndjson", "csv", "parquet"} {
		b.Run(format, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r, err := s.Operate(b.Context(), interaction.OperateParams{Name: "run", Key: store.Key{Type: "ViewDefinition", ID: "v"}, Get: true, Query: []search.Pair{{Name: "_format", Value: format}}})
				if err == nil {
					err = r.Stream(b.Context(), io.Discard)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(2000*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
