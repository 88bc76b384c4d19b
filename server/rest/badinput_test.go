package rest_test

import (
	"net/http"
	"strings"
	"testing"

	"meridian/fhir/codec"
	"meridian/server/interaction"
	"meridian/server/rest"
)

// badInput is a request that nobody can mean; says is what the answer must name.
type badInput struct {
	rule, method, target, body string
	status                     int
	says                       string
	headers                    []string
}

// What is malformed, too much or unknown is a 4xx whose OperationOutcome names
// the part: never a 500, never the whole table.
func TestBadInputIsRefusedByItsPart(t *testing.T) {
	limits := interaction.Limits{MaxPageSize: 100, MaxEntries: 3, PatchOperations: 3}
	for _, b := range backends(t) {
		t.Run(b.name, func(t *testing.T) {
			s := newServerWith(t, b, limits, rest.Options{BodyLimit: 4096})
			s.put(t, patient("p", `,"birthDate":"1970-01-01"`), patient("q", ""), observation("o", "Patient/p", ""))
			other := newServer(t, mapBackend)
			other.service = foreignService(t, other)
			other.put(t, patient("a", ""), patient("b", ""))
			all := badSearches(other.bundle(t, "GET", "/fhir/Patient?_count=1", "").next(t), other.bundle(t, "GET", "/fhir/Patient/_history?_count=1", "").next(t))
			all = append(all, badRequests()...)
			if s.store.Transactions() {
				all = append(all, badTransactions()...)
			}
			for _, c := range all {
				t.Run(c.rule, func(t *testing.T) { s.refuses(t, c) })
			}
		})
	}
}

// foreignService is a service whose cursors another key seals.
func foreignService(t *testing.T, s *server) *interaction.Service {
	t.Helper()
	service, err := interaction.New(interaction.Options{Store: s.store, Registry: s.registry, BaseURL: "http://example.org/fhir", CursorKey: []byte("another server")})
	if err != nil {
		t.Fatal(err)
	}
	return service
}

func (s *server) refuses(t *testing.T, c badInput) {
	t.Helper()
	w := s.send(c.method, c.target, c.body, c.headers...)
	body := w.Body.String()
	if w.Code != c.status || w.Code < 400 || w.Code > 499 {
		t.Errorf("status %d, want %d: %.400s", w.Code, c.status, body)
	}
	if _, err := codec.Parse(w.Body.Bytes(), codec.Options{Type: "OperationOutcome"}); err != nil {
		t.Errorf("not an OperationOutcome: %v: %.400s", err, body)
	}
	if !strings.Contains(body, c.says) {
		t.Errorf("%q is not named: %.400s", c.says, body)
	}
}

// badSearches also take the links of another server.
func badSearches(search, history string) (all []badInput) {
	get := func(rule, target, says string) {
		all = append(all, badInput{rule: rule, method: "GET", target: target, status: 400, says: says})
	}
	get("a cursor from another server", search, "_cursor")
	get("a cursor from another server, of a history", history, "_cursor")
	get("a cursor that is none", "/fhir/Patient?_cursor=x", "_cursor")
	get("a negative count", "/fhir/Patient?_count=-1", "_count")
	get("a count that is no number", "/fhir/Patient?_count=ten", "_count")
	get("a count over the cap", "/fhir/Patient?_count=101", "_count is at most 100")
	get("a count over the cap, of a history", "/fhir/Patient/_history?_count=101", "_count is at most 100")
	get("a count over the cap, of $everything", "/fhir/Patient/p/$everything?_count=101", "_count is at most 100")
	get("two counts", "/fhir/Patient?_count=1&_count=2", "_count")
	get("a sort on an unknown parameter", "/fhir/Patient?_sort=shoe-size", "shoe-size")
	get("a sort on another resource's", "/fhir/Observation?_sort=subject.name", "_sort")
	get("a sort on a composite", "/fhir/Observation?_sort=code-value-quantity", "code-value-quantity")
	get("a recursive include by its old name", "/fhir/Observation?_include:recurse=Observation:has-member", "_include:iterate")
	get("a recursive include of an unknown parameter", "/fhir/Observation?_include:iterate=Observation:child", "child")
	get("an include of an unknown type", "/fhir/Observation?_include=Obs:subject", "Obs")
	get("an include without a parameter", "/fhir/Observation?_include=Observation", "_include")
	get("an include of what is no reference", "/fhir/Observation?_include=Observation:code", "code")
	get("an include of a type that it cannot refer to", "/fhir/Observation?_include=Observation:encounter:Patient", "Patient")
	get("a revinclude of what cannot refer here", "/fhir/Patient?_revinclude=Observation:encounter", "encounter")
	get("a chain too deep", "/fhir/Patient?link:Patient.link:Patient.link:Patient.link:Patient.link:Patient.name=x", `\"link:Patient.link:Patient.link:Patient`)
	get("_has too deep", "/fhir/Patient?"+strings.Repeat("_has:Patient:link:", 5)+"name=x", `\"_has:Patient:link:_has:Patient:link:`)
	get("too many OR values", "/fhir/Patient?_id=a"+strings.Repeat(",a", 10_000), `_id\": more than 10000 values`)
	get("too many parameters", "/fhir/Patient?active=true"+strings.Repeat("&active=true", 500), "more than 500 parameters")
	get("a value too long", "/fhir/Patient?name="+strings.Repeat("x", 64_001), `the value of \"name\" is longer than 64000 bytes`)
	get("an unknown parameter", "/fhir/Patient?shoe-size=43", "shoe-size")
	get("a parameter with a slip of the pen", "/fhir/Patient?birthdat=1970", `did you mean \"birthdate\"`)
	get("an unknown modifier", "/fhir/Patient?name:like=x", ":like")
	get("a modifier of another kind", "/fhir/Patient?birthdate:exact=1970", ":exact")
	get("two modifiers", "/fhir/Patient?name:exact:contains=x", "name")
	get(":missing that is neither true nor false", "/fhir/Patient?name:missing=perhaps", ":missing")
	get("a type that the reference cannot have", "/fhir/Observation?encounter:Patient=p", "Patient")
	get("terminology that is not there", "/fhir/Observation?code:in=http://vs", ":in")
	get("a date of the 45th", "/fhir/Patient?birthdate=1970-01-45", "birthdate")
	get("a date in words", "/fhir/Patient?birthdate=yesterday", "birthdate")
	get("a date with a prefix that is none", "/fhir/Patient?birthdate=xx1970", "birthdate")
	get("a time without a date", "/fhir/Patient?_lastUpdated=10:00", "_lastUpdated")
	get("a number in words", "/fhir/RiskAssessment?probability=high", "probability")
	get("a number of too many digits", "/fhir/RiskAssessment?probability=1e999999999", "probability")
	get("a quantity in words", "/fhir/Observation?value-quantity=much", "value-quantity")
	get("a quantity with four parts", "/fhir/Observation?value-quantity=1|a|b|c", "value-quantity")
	get("a token with three parts", "/fhir/Observation?code=a|b|c", "code")
	get("a reference to no id", "/fhir/Observation?subject=Patient/", "subject")
	get("a reference with a space", "/fhir/Observation?subject=Patient/a%20b", "subject")
	get("a composite of one part", "/fhir/Observation?code-value-quantity=8480-6", "code-value-quantity")
	get("a place outside the earth", "/fhir/Location?near=91|0", "near")
	get("an empty alternative", "/fhir/Patient?gender=male,", "gender")
	get("bytes that are no UTF-8", "/fhir/Patient?name=%ff%fe", "name")
	get("a NUL", "/fhir/Patient?name=a%00b", "name")
	get("an escape that is none", "/fhir/Patient?name=%zz", "query")
	get("_filter without an operator", "/fhir/Patient?_filter=name", "_filter, at character")
	get("_filter with an open parenthesis", "/fhir/Patient?_filter=(name%20eq%20x", "_filter, at character")
	get("_filter too deep", "/fhir/Patient?_filter="+strings.Repeat("(", 21)+"name%20eq%20x"+strings.Repeat(")", 21), "more than 20 parentheses")
	get("_has of half its parts", "/fhir/Patient?_has:Observation=1", "_has")
	get("_has through what does not refer here", "/fhir/Patient?_has:Observation:encounter:code=x", "_has")
	get("a functional list", "/fhir/Patient?_list=$current-allergies", "$current-allergies")
	get("a named query", "/fhir/Patient?_query=mine", "_query")
	get("_summary of a kind that is none", "/fhir/Patient?_summary=short", "_summary")
	get("_total of a kind that is none", "/fhir/Patient?_total=exact", "_total")
	get("_elements that are none", "/fhir/Patient?_elements=shoe", "shoe")
	get("_contained that is none", "/fhir/Patient?_contained=yes", "_contained")
	get("everything there is", "/fhir", "needs a criterion")
	get("an unknown type beside a known one", "/fhir?_type=Patient,Persona", "_type")
	get("what is in no compartment", "/fhir/Patient/p/Medication", "compartment")
	get("a history since a word", "/fhir/_history?_since=monday", "_since")
	get("a history with a search parameter", "/fhir/Patient/_history?name=x", "name")
	return append(all, badInput{rule: "a type that is none", method: "GET", target: "/fhir/Patiant?name=x", status: 404, says: "Patiant"},
		badInput{rule: "a search by POST in JSON", method: "POST", target: "/fhir/Patient/_search", body: `{"name":"x"}`, status: 415, says: "x-www-form-urlencoded", headers: []string{"Content-Type", "application/json"}},
		badInput{rule: "a search by POST with an unknown parameter", method: "POST", target: "/fhir/Patient/_search", body: "shoe-size=43", status: 400, says: "shoe-size", headers: []string{"Content-Type", "application/x-www-form-urlencoded"}})
}

func badRequests() []badInput {
	const jsonPatch, mergePatch = "application/json-patch+json", "application/merge-patch+json"
	big := patient("big", `,"name":[{"text":"`+strings.Repeat("x", 5000)+`"}]`)
	return []badInput{
		{"an oversized body", "PUT", "/fhir/Patient/big", big, 413, "4096", nil},
		{"an oversized bundle", "POST", "/fhir", `{"resourceType":"Bundle","type":"batch","entry":[{"resource":` + big + `}]}`, 413, "4096", nil},
		{"a content type that is no resource's", "PUT", "/fhir/Patient/x", patient("x", ""), 415, "Content-Type", []string{"Content-Type", "text/plain"}},
		{"a charset that is not read", "PUT", "/fhir/Patient/x", patient("x", ""), 415, "UTF-8", []string{"Content-Type", "application/fhir+json; charset=gb18030"}},
		{"a compression that is not read", "PUT", "/fhir/Patient/x", patient("x", ""), 415, "gzip", []string{"Content-Encoding", "br"}},
		{"gzip that is none", "PUT", "/fhir/Patient/x", patient("x", ""), 400, "gzip", []string{"Content-Encoding", "gzip"}},
		{"a format that is not answered", "GET", "/fhir/Patient/p", "", 406, "Accept", []string{"Accept", "text/csv"}},
		{"a _format that is none", "GET", "/fhir/Patient?_format=yaml", "", 406, "_format", nil},
		{"no body", "POST", "/fhir/Patient", "", 400, "body", nil},
		{"half a body", "POST", "/fhir/Patient", `{"resourceType":"Patient","name":[`, 400, "json", nil},
		{"an array", "POST", "/fhir/Patient", `[]`, 400, "object", nil},
		{"XML that is not closed", "POST", "/fhir/Patient", `<Patient xmlns="http://hl7.org/fhir"><active`, 400, "xml", []string{"Content-Type", "application/fhir+xml"}},
		{"a type that is not that of the address", "POST", "/fhir/Patient", observation("x", "Patient/p", ""), 400, "Observation", nil},
		{"an id that is not that of the address", "PUT", "/fhir/Patient/x", patient("y", ""), 400, "Patient.id", nil},
		{"an id that is none", "PUT", "/fhir/Patient/a_b", patient("a_b", ""), 400, "id", nil},
		{"an element that is none", "POST", "/fhir/Patient", `{"resourceType":"Patient","shoe":43}`, 400, "shoe", nil},
		{"a member twice", "POST", "/fhir/Patient", `{"resourceType":"Patient","active":true,"active":false}`, 400, "active", nil},
		{"a date that is none", "POST", "/fhir/Patient", `{"resourceType":"Patient","birthDate":"1970-02-30"}`, 400, "Patient.birthDate", nil},
		{"objects in each other without end", "POST", "/fhir/Patient", `{"resourceType":"Patient","extension":` + strings.Repeat(`[{"url":"x","extension":`, 100) + `[]` + strings.Repeat("}]", 100) + "}", 400, "nest", nil},
		{"a delete that is asked to cascade", "DELETE", "/fhir/Patient/p?_cascade=delete", "", 400, "_cascade", nil},
		{"an update by id with a parameter", "PUT", "/fhir/Patient/p?name=x", patient("p", ""), 400, "name", nil},
		{"a patch by id with a parameter", "PATCH", "/fhir/Patient/p?name=x", "{}", 400, "name", []string{"Content-Type", mergePatch}},
		{"a batch with a parameter", "POST", "/fhir?_dry=true", `{"resourceType":"Bundle","type":"batch"}`, 400, "_dry", nil},
		{"If-Match that is no version", "PUT", "/fhir/Patient/p", patient("p", ""), 412, "If-Match", []string{"If-Match", "one"}},
		{"If-None-Exist with an unknown parameter", "POST", "/fhir/Patient", patient("x", ""), 400, "shoe-size", []string{"If-None-Exist", "shoe-size=43"}},
		{"If-None-Exist with a page size", "POST", "/fhir/Patient", patient("x", ""), 400, "_count", []string{"If-None-Exist", "name=x&_count=1"}},
		{"a conditional delete of everything", "DELETE", "/fhir/Patient", "", 400, "the condition names no search parameter", nil},
		{"a conditional delete of several", "DELETE", "/fhir/Patient?_id=p,q", "", 412, "", nil},
		{"a conditional update of several", "PUT", "/fhir/Patient?_id=p,q", `{"resourceType":"Patient"}`, 412, "", nil},
		{"a conditional patch by an unknown parameter", "PATCH", "/fhir/Patient?shoe-size=43", `{}`, 400, "shoe-size", []string{"Content-Type", mergePatch}},
		{"an Idempotency-Key too long", "POST", "/fhir/Patient", patient("x", ""), 400, "Idempotency-Key", []string{"Idempotency-Key", strings.Repeat("k", 300)}},
		{"a patch of a type that is none", "PATCH", "/fhir/Patient/p", `[]`, 415, "Content-Type", []string{"Content-Type", "text/plain"}},
		{"a patch that is no array", "PATCH", "/fhir/Patient/p", `{"op":"add"}`, 400, "array", []string{"Content-Type", jsonPatch}},
		{"a patch of an operation that is none", "PATCH", "/fhir/Patient/p", `[{"op":"frobnicate","path":"/active"}]`, 400, "op is one of", []string{"Content-Type", jsonPatch}},
		{"a patch of what is not there", "PATCH", "/fhir/Patient/p", `[{"op":"remove","path":"/name/7"}]`, 422, "/name/7", []string{"Content-Type", jsonPatch}},
		{"a patch of too many operations", "PATCH", "/fhir/Patient/p", `[` + strings.TrimSuffix(strings.Repeat(`{"op":"test","path":"/birthDate","value":"1970-01-01"},`, 4), ",") + `]`, 422, "3 operations", []string{"Content-Type", jsonPatch}},
		{"a merge patch that is no object", "PATCH", "/fhir/Patient/p", `[1]`, 400, "object", []string{"Content-Type", mergePatch}},
		{"a FHIRPath Patch of no kind", "PATCH", "/fhir/Patient/p", `{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"frobnicate"},{"name":"path","valueString":"Patient.active"}]}]}`, 400, "the type is one of", []string{"Content-Type", "application/fhir+json"}},
		{"a FHIRPath Patch with a path that is none", "PATCH", "/fhir/Patient/p", `{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"delete"},{"name":"path","valueString":"Patient.("}]}]}`, 400, "path", []string{"Content-Type", "application/fhir+json"}},
		{"an operation that is none", "GET", "/fhir/Patient/p/$frobnicate", "", 404, "$frobnicate", nil},
		{"an operation with an unknown parameter", "GET", "/fhir/Patient/p/$everything?shoe-size=43", "", 400, "shoe-size", nil},
		{"a bundle of another type", "POST", "/fhir", `{"resourceType":"Bundle","type":"collection"}`, 400, "Bundle.type", nil},
		{"a bundle of too many entries", "POST", "/fhir", `{"resourceType":"Bundle","type":"batch","entry":[` + strings.TrimSuffix(strings.Repeat(`{"request":{"method":"GET","url":"Patient/p"}},`, 4), ",") + `]}`, 413, "3 entries", nil},
		{"a conditional update without a condition", "PUT", "/fhir/Patient", patient("x", ""), 400, "the condition names no search parameter", nil},
		{"a version that is none", "GET", "/fhir/Patient/p/_history/zero", "", 404, "version ids", nil},
	}
}

// badTransactions are wrong as a whole; where there are no transactions, all are refused before they are read.
func badTransactions() []badInput {
	bundle := func(entries ...string) string {
		return `{"resourceType":"Bundle","type":"transaction","entry":[` + strings.Join(entries, ",") + `]}`
	}
	member := func(id, more, of string) string {
		return `{"resource":{"resourceType":"Observation","id":"` + id + `","status":"final","code":{"text":"a"}` + more + `,"hasMember":[{"reference":"` + of + `"}]},"request":{"method":"PUT","url":"Observation/` + id + `"}}`
	}
	all := []badInput{
		{rule: "conditional references in a cycle", status: 412, says: "Bundle.entry[0].resource.hasMember[0]",
			body: bundle(member("a", "", "Observation?has-member=Observation/b"), member("b", "", "Observation?has-member=Observation/a"))},
		{rule: "a conditional reference that finds several", status: 412, says: "Bundle.entry[0].resource.hasMember[0]", body: bundle(member("a", "", "Patient?_id=p,q"))},
		{rule: "a conditional reference by an unknown parameter", status: 400, says: "shoe-size", body: bundle(member("a", "", "Patient?shoe-size=43"))},
		{rule: "a conditional reference to everything", status: 400, says: "Bundle.entry[0].resource.hasMember[0]", body: bundle(member("a", "", "Patient?"))},
		{rule: "a resource twice", status: 400, says: "Bundle.entry[1]", body: bundle(member("a", "", "Patient/p"), member("a", "", "Patient/q"))},
		{rule: "an entry without a request", status: 400, says: "Bundle.entry[0].request", body: bundle(`{"resource":` + patient("x", "") + `}`)},
		{rule: "an entry with an address that is none", status: 400, says: "Bundle.entry[0].request.url", body: bundle(`{"request":{"method":"GET","url":"http://elsewhere/x"}}`)},
		{rule: "an entry with a method that is none", status: 400, says: "Bundle.entry[0].request.method", body: bundle(`{"request":{"method":"TRACE","url":"Patient/p"}}`)},
		{rule: "a write without a resource", status: 400, says: "Bundle.entry[0]", body: bundle(`{"request":{"method":"POST","url":"Patient"}}`)},
		{rule: "a search in an entry by an unknown parameter", status: 400, says: "shoe-size", body: bundle(`{"request":{"method":"GET","url":"Patient?shoe-size=43"}}`)},
		{rule: "a count over the cap in an entry", status: 400, says: "_count is at most 100", body: bundle(`{"request":{"method":"GET","url":"Patient?_count=101"}}`)},
		{rule: "two entries of one fullUrl", status: 422, says: "fullUrl",
			body: bundle(`{"fullUrl":"urn:uuid:1b4e28ba-2fa1-11d2-883f-0016d3cca427","resource":{"resourceType":"Patient"},"request":{"method":"POST","url":"Patient"}}`,
				`{"fullUrl":"urn:uuid:1b4e28ba-2fa1-11d2-883f-0016d3cca427","resource":{"resourceType":"Patient"},"request":{"method":"POST","url":"Patient"}}`)},
	}
	for i := range all {
		all[i].method, all[i].target = http.MethodPost, "/fhir"
	}
	return all
}
