package graphql_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"meridian/fhir/issue"
	"meridian/server/interaction"
	"meridian/server/operation/graphql"
)

// Whatever is asked, the answer is JSON with data, or an error that a client may see.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{
		`{ Patient(id: p1) { id name(use: official, _count: 1) { family given @first } } }`,
		`{ ObservationList(_id: [o1, "o2"], fhirpath: "status = 'final'") { valueQuantity { value } subject { reference resource(optional: true) { id ... on Patient { birthDate } } } } }`,
		`query q($a: [token] = ["x"], $b: Boolean!) { ObservationConnection(code: $a) @include(if: $b) { count edges { mode resource { id } } next } }`,
		`{ PatientList @flatten { ObservationList(_reference: patient) @flatten @slice(path: "id") { code @flatten { text @singleton } } } }`,
		`{ __schema { queryType { name fields { name args { name type { kind ofType { name } } } } } } __type(name: "Patient") { possibleTypes { name } interfaces { name } } }`,
		`query a { ...f } fragment f on Query { PatientList { ...g } } fragment g on Patient { _birthDate { id extension { url } } contained { __typename } }`,
		`mutation { PatientDelete(id: "none") { issue { code } } }`,
		`{ subject { resource { active } } } # {`,
		"{ a: PatientList(name: \"\"\"block\n string\"\"\") { id } \uFEFF }",
	} {
		f.Add(seed, `{"b":true}`)
	}
	s := newService(f, record()...)
	e := &graphql.Engine{Limits: graphql.Limits{AnswerBytes: 1 << 20}}
	f.Fuzz(func(t *testing.T, query, variables string) {
		body, err := e.Execute(t.Context(), s, graphql.Request{Query: query, Variables: []byte(variables)})
		var failed *interaction.OperationError
		if errors.As(err, &failed) {
			if body = failed.Body; issue.As(err) == nil {
				t.Errorf("%q: no client may see %v", query, err)
			}
		} else if err != nil {
			t.Errorf("%q: %v", query, err)
		}
		var out struct{ Data, Errors json.RawMessage }
		if err := json.Unmarshal(body, &out); err != nil || (string(out.Data) == "null") != (out.Errors != nil) {
			t.Errorf("%q: %v %s", query, err, body)
		}
	})
}

// benched is a service with 1,000 observations of 100 patients.
func benched(b *testing.B) (*interaction.Service, *graphql.Engine) {
	bodies := []string{`{"resourceType":"Organization","id":"h","name":"x"}`}
	for i := range 100 {
		bodies = append(bodies, fmt.Sprintf(`{"resourceType":"Patient","id":"p%d","name":[{"family":"张","given":["三"]}],"managingOrganization":{"reference":"Organization/h"}}`, i))
	}
	for i := range 1000 {
		bodies = append(bodies, fmt.Sprintf(`{"resourceType":"Observation","id":"o%d","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"8867-4"}]},"subject":{"reference":"Patient/p%d"},`+
			`"effectiveDateTime":"2026-01-01","valueQuantity":{"value":%d,"unit":"/min"}}`, i, i%100, i))
	}
	s := newService(b, bodies...)
	e := &graphql.Engine{}
	ask(b, s, e, graphql.Request{Query: `{ PatientList(_count: 1) { id } }`}) // makes the schema
	return s, e
}

func BenchmarkQuery(b *testing.B) {
	s, e := benched(b)
	for _, c := range []struct{ name, query string }{
		{"one resource", `{ Patient(id: p1) { id name { family given } } }`},
		{"50 with references", `{ ObservationList(code: "8867-4", _count: 50) { effectiveDateTime valueQuantity { value unit } subject { reference resource { id ... on Patient { name { family given } } } } } }`},
		{"1000 with references of references", `{ ObservationList { valueQuantity { value } subject { resource { ... on Patient { name { family } managingOrganization { resource { ... on Organization { name } } } } } } } }`},
		{"100 with reverse references", `{ PatientList { id ObservationList(_reference: patient) { valueQuantity { value } } } }`},
		{"refused by the schema", `{ PatientList { idd } }`},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				ask(b, s, e, graphql.Request{Query: c.query})
			}
		})
	}
}

// The most that checking a query can cost within the limits: one name again and again, and fragments that are all compared.
func BenchmarkCostlyCheck(b *testing.B) {
	s, e := benched(b)
	var fragments strings.Builder
	fragments.WriteString("{ Patient(id: p1) {")
	for i := range 190 {
		fmt.Fprintf(&fragments, " ...f%d", i)
	}
	fragments.WriteString(" } }")
	for i := range 190 {
		fmt.Fprintf(&fragments, " fragment f%d on Patient { name { family given } id }", i)
	}
	for _, c := range []struct{ name, query string }{
		{"names", "{ " + names(20, "Patient(id: p1) {"+strings.Repeat(" id", 199)+" }") + " }"},
		{"nested", "{ " + names(6, "Patient(id: p1) {"+strings.Repeat(" name { family }", 199)+" }") + " }"},
		{"unknown fields", "{ " + names(1600, "x") + " }"},
		{"fragments", fragments.String()},
		{"loose fields", "{ " + names(10, "Observation(id: o1) {"+strings.Repeat(" subject { resource { active } }", 50)+" }") + " }"},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				ask(b, s, e, graphql.Request{Query: c.query})
			}
		})
	}
}

// names gives a field n times, each under a name of its own.
func names(n int, field string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, " a%d: %s", i, field)
	}
	return b.String()
}

func BenchmarkSchema(b *testing.B) {
	s := newService(b)
	b.ReportAllocs()
	for b.Loop() {
		ask(b, s, &graphql.Engine{}, graphql.Request{Query: `{ __typename }`})
	}
}
