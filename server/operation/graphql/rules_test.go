package graphql_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"meridian/server/operation/graphql"
)

// record is what the rules below are about.
func record() []string {
	return []string{
		`{"resourceType":"Organization","id":"hospital","name":"医院","active":true}`,
		`{"resourceType":"Organization","id":"ab","name":"A, B"}`,
		`{"resourceType":"Organization","id":"atom","name":"Atom"}`,
		`{"resourceType":"Patient","id":"p1","active":true,"birthDate":"1990-05-01","name":[{"family":"张"}],"managingOrganization":{"reference":"Organization/hospital"}}`,
		`{"resourceType":"Patient","id":"p2","active":false,"name":[{"family":"李"}],"managingOrganization":{"reference":"Organization/hospital"}}`,
		`{"resourceType":"Group","id":"g","active":true,"type":"person","actual":true,"name":"ward"}`,
		`{"resourceType":"Questionnaire","id":"q","status":"active","url":"http://example.org/q"}`,
		`{"resourceType":"QuestionnaireResponse","id":"r","status":"completed","questionnaire":"http://example.org/q"}`,
		`{"resourceType":"Observation","id":"o1","status":"final","code":{"text":"a,b"},"subject":{"reference":"Patient/p1"},"effectiveDateTime":"2026-01-01","valueQuantity":{"value":5.40,"unit":"mmol/L"}}`,
		`{"resourceType":"Observation","id":"o2","status":"amended","code":{"text":"c"},"subject":{"reference":"Group/g"},"effectiveDateTime":"2026-01-02","valueString":"x"}`,
		`{"resourceType":"Observation","id":"o3","status":"final","code":{"text":"c"},"subject":{"reference":"Patient/p1/_history/1"},"performer":[{"reference":"#me"}],` +
			`"contained":[{"resourceType":"Practitioner","id":"me","name":[{"family":"王"}]}],` +
			`"component":[{"code":{"text":"x"},"valueQuantity":{"value":1.0}},{"code":{"text":"y"},"valueQuantity":{"value":1}},{"code":{"text":"z"},"valueQuantity":{"value":2}}]}`,
		`{"resourceType":"Basic","id":"b","code":{"text":"x"},"extension":[{"url":"http://a","valueString":"1"},{"url":"http://b","valueInteger":2}],"language":"zh","_language":{"id":"l"}}`,
		`{"resourceType":"Patient","id":"gaps","name":[{"given":["a",null,"c"],"_given":[null,{"id":"g"},null]}]}`,
	}
}

func TestAnswers(t *testing.T) {
	s := newService(t, record()...)
	e := &graphql.Engine{}
	for _, c := range []struct{ rule, query, want string }{
		{"decimals keep their digits", `{ Observation(id: o1) { valueQuantity { value } } }`, `{"Observation":{"valueQuantity":{"value":5.40}}}`},
		{"a choice is named by its type, another type is null", `{ Observation(id: o2) { valueString valueQuantity { value } } }`, `{"Observation":{"valueString":"x","valueQuantity":null}}`},
		{"an alias", `{ a: Observation(id: o2) { b: status } }`, `{"a":{"b":"amended"}}`},
		{"fields of one name are merged", `{ Observation(id: o1) { code { text } code { id } } }`, `{"Observation":{"code":{"text":"a,b","id":null}}}`},
		{"a fragment within a fragment", `{ Observation(id: o2) { ...a } } fragment a on Observation { ...b status } fragment b on DomainResource { id }`, `{"Observation":{"id":"o2","status":"amended"}}`},
		{"a fragment on another type gives nothing", `{ Observation(id: o2) { subject { resource { ... on Patient { birthDate } id } } } }`, `{"Observation":{"subject":{"resource":{"id":"g"}}}}`},
		{"__typename of a resource and of an element", `{ Observation(id: o2) { subject { __typename resource { __typename } } } }`, `{"Observation":{"subject":{"__typename":"Reference","resource":{"__typename":"Group"}}}}`},
		{"@skip and @include", `{ Observation(id: o2) { id status @skip(if: true) code @include(if: false) { text } } }`, `{"Observation":{"id":"o2"}}`},
		{"values of a list are alternatives", `{ ObservationList(_id: [o1, "o2", 3]) { id } }`, `{"ObservationList":[{"id":"o1"},{"id":"o2"}]}`},
		{"a comma is a part of a value", `{ OrganizationList(name: "A, B") { id } }`, `{"OrganizationList":[{"id":"ab"}]}`},
		{"a dash in a name is an underscore", `{ ObservationList(value_string: "x") { id } }`, `{"ObservationList":[{"id":"o2"}]}`},
		{"_filter", `{ ObservationList(_filter: "status eq final and date ge 2026-01-01") { id } }`, `{"ObservationList":[{"id":"o1"}]}`},
		{"_sort and _count", `{ ObservationList(_sort: "-date", _count: 1) { id } }`, `{"ObservationList":[{"id":"o2"}]}`},
		{"fhirpath of a list", `{ ObservationList(fhirpath: "component.count() > 2") { id } }`, `{"ObservationList":[{"id":"o3"}]}`},
		{"a list of nothing", `{ ObservationList(status: "cancelled") { id } }`, `{"ObservationList":[]}`},
		{"decimals are equal as numbers", `{ Observation(id: o3) { component { valueQuantity(value: 1.00) { value } } } }`,
			`{"Observation":{"component":[{"valueQuantity":{"value":1.0}},{"valueQuantity":{"value":1}},{"valueQuantity":null}]}}`},
		{"an extension by its url", `{ Basic(id: b) { x: extension(url: "http://b") { valueInteger } } }`, `{"Basic":{"x":[{"valueInteger":2}]}}`},
		{"id and extension of a primitive", `{ Basic(id: b) { language _language { id extension { url } } } }`, `{"Basic":{"language":"zh","_language":{"id":"l","extension":null}}}`},
		{"values and extensions stand beside each other", `{ Patient(id: gaps) { name { given _given { id } } } }`, `{"Patient":{"name":[{"given":["a",null,"c"],"_given":[null,{"id":"g"},null]}]}}`},
		{"a flattened list has no gaps", `{ Patient(id: gaps) { name @flatten { given } } }`, `{"Patient":{"given":["a","c"]}}`},
		{"a contained resource", `{ Observation(id: o3) { performer { resource { ... on Practitioner { name { family } } } } contained { __typename id } } }`,
			`{"Observation":{"performer":[{"resource":{"name":[{"family":"王"}]}}],"contained":[{"__typename":"Practitioner","id":"me"}]}}`},
		{"a reference to a version", `{ Observation(id: o3) { subject { resource { id } } } }`, `{"Observation":{"subject":{"resource":{"id":"p1"}}}}`},
		{"resource(type:) of another type is null", `{ ObservationList(_id: [o1, o2]) { subject { resource(type: Patient) { birthDate } } } }`,
			`{"ObservationList":[{"subject":{"resource":{"birthDate":"1990-05-01"}}},{"subject":{"resource":null}}]}`},
		{"resource(type:) twice, as the page has it", `{ ObservationList(_id: [o1, o2]) { subject { resource(type: Patient) { birthDate } resource(type: Group) { type } } } }`,
			`{"ObservationList":[{"subject":{"resource":{"birthDate":"1990-05-01"}}},{"subject":{"resource":{"type":"person"}}}]}`},
		{"a field of some of the targets", `{ ObservationList(_id: [o1, o2]) { subject { resource { active name { family } } } } }`,
			`{"ObservationList":[{"subject":{"resource":{"active":true,"name":[{"family":"张"}]}}},{"subject":{"resource":{"active":true}}}]}`},
		{"references of references", `{ Observation(id: o1) { subject { resource { ... on Patient { managingOrganization { resource { ... on Organization { name } } } } } } } }`,
			`{"Observation":{"subject":{"resource":{"managingOrganization":{"resource":{"name":"医院"}}}}}}`},
		{"references flattened", `{ ObservationList(_id: o1) @flatten { subject @flatten { resource @flatten { id ... on Patient { birthDate @singleton } } } } }`, `{"id":["p1"],"birthDate":"1990-05-01"}`},
		{"a reverse reference", `{ Patient(id: p1) { ObservationList(_reference: subject, status: final) { id } } }`, `{"Patient":{"ObservationList":[{"id":"o1"},{"id":"o3"}]}}`},
		{"a reverse reference by canonical", `{ Questionnaire(id: q) { QuestionnaireResponseList(_reference: questionnaire) { id } } }`, `{"Questionnaire":{"QuestionnaireResponseList":[{"id":"r"}]}}`},
		{"a reverse reference of what may refer to anything", `{ Basic(id: b) { ProvenanceList(_reference: target, _filter: "recorded gt 2020") { id } } }`, `{"Basic":{"ProvenanceList":[]}}`},
		{"each has its own list, in the order asked for", `{ PatientList(_id: [p1, p2]) { id ObservationList(_reference: subject, _sort: "-_id") { id subject { resource { id } } } } }`,
			`{"PatientList":[{"id":"p1","ObservationList":[{"id":"o3","subject":{"resource":{"id":"p1"}}},{"id":"o1","subject":{"resource":{"id":"p1"}}}]},{"id":"p2","ObservationList":[]}]}`},
		{"lists of lists, @first and fhirpath", `{ Organization(id: hospital) { PatientList(_reference: organization, _sort: "_id") { id ObservationList(_reference: patient, fhirpath: "status = 'final'") @first { id } } } }`,
			`{"Organization":{"PatientList":[{"id":"p1","ObservationList":[{"id":"o1"}]},{"id":"p2","ObservationList":[]}]}}`},
		{"a flattened list of each", `{ PatientList(_id: [p1, p2]) { id ObservationList(_reference: subject) @flatten { o: id } } }`, `{"PatientList":[{"id":"p1","o":["o1","o3"]},{"id":"p2"}]}`},
		{"a reverse connection", `{ Patient(id: p1) { ObservationConnection(_reference: patient) { count edges { resource { id } } } } }`,
			`{"Patient":{"ObservationConnection":{"count":2,"edges":[{"resource":{"id":"o1"}},{"resource":{"id":"o3"}}]}}}`},
		{"a connection filtered after its page", `{ ObservationConnection(_count: 2, fhirpath: "status = 'amended'") { count edges { mode score resource { id } } } }`,
			`{"ObservationConnection":{"count":3,"edges":[{"mode":"match","score":null,"resource":{"id":"o2"}}]}}`},
		{"an anonymous type", `{ __type(name: "Nobody") { name } }`, `{"__type":null}`},
		{"of introspection, lists and non-null", `{ __type(name: "Query") { fields { name } } t: __type(name: "__Directive") { fields { name type { kind ofType { kind ofType { name } } } } } }`, ""},
	} {
		got := ask(t, s, e, graphql.Request{Query: c.query})
		if c.want == "" {
			if !strings.HasPrefix(got, `{"data":{`) {
				t.Errorf("%s: %s", c.rule, got)
			}
			continue
		}
		if diff := cmp.Diff(`{"data":`+c.want+`}`, got); diff != "" {
			t.Errorf("%s: %s\n%s", c.rule, c.query, diff)
		}
	}
}

// Everything that is not understood is an error, with the status that REST has for it.
func TestRefusals(t *testing.T) {
	s := newService(t, record()...)
	e := &graphql.Engine{}
	for _, c := range []struct{ rule, query, want string }{
		{"an unknown field", `{ Patient(id: p1) { nam { family } } }`, `Cannot query field \"nam\" on type \"Patient\"`},
		{"an unknown argument", `{ PatientList(nam: "x") { id } }`, `Unknown argument \"nam\"`},
		{"an unknown directive", `{ PatientList @defr { id } }`, `Unknown directive \"@defr\"`},
		{"@defer, which is not supported", `{ PatientList { ... @defer { id } } }`, `Unknown directive \"@defer\"`},
		{"an unknown type", `{ Observation(id: o1) { subject { resource(type: Practioner) { id } } } }`, `Unknown type \"Practioner\"`},
		{"arguments of a primitive", `{ Patient(id: p1) { birthDate(_count: 1) } }`, `Unknown argument \"_count\"`},
		{"a field that none of the targets has", `{ Observation(id: o1) { subject { resource { birthdate } } } }`, `Cannot query field \"birthdate\" on type \"Resource\"`},
		{"no selection of an object", `{ Patient(id: p1) { name } }`, `must have a selection of subfields`},
		{"a selection of a scalar", `{ Patient(id: p1) { birthDate { x } } }`, `must not have a selection`},
		{"two operations, none named", `query a { PatientList { id } } query b { PatientList { id } }`, `operationName says which`},
		{"a subscription", `subscription { PatientList { id } }`, `no GraphQL subscriptions`},
		{"a fragment within itself", `{ Patient(id: p1) { ...a } } fragment a on Patient { ...a }`, `within itself`},
		{"no id", `{ Patient { id } }`, `is required`},
		{"a reference that must be resolved", `{ QuestionnaireResponse(id: r) { subject { resource { id } } } Observation(id: o3) { encounter { resource { id } } } Patient(id: gone) { id } }`, `there is no Patient with this id`},
		{"several values of a singleton", `{ PatientList @flatten { id @singleton } }`, `more than one value`},
		{"different types under one name", `{ Observation(id: o1) { code @flatten { x: text } subject @flatten { x: reference } valueQuantity @flatten { x: value } } }`, `values of different types come together under x`},
		{"@flatten of a primitive", `{ Patient(id: p1) { birthDate @flatten } }`, `@flatten is for fields that have a selection`},
		{"merged fields with different directives", `{ Patient(id: p1) { name @first { family } name { family } } }`, `different directives`},
		{"@first with @slice", `{ Patient(id: p1) { name @first @slice(path: "use") { family } } }`, `do not go together`},
		{"a reverse reference by another parameter", `{ Patient(id: p1) { ObservationList(_reference: encounter) { id } } }`, `it is one of focus, patient, performer, subject`},
		{"a cursor below the root", `{ Patient(id: p1) { ObservationConnection(_reference: patient, cursor: "x") { next } } }`, `Unknown argument \"cursor\"`},
		{"a negative count", `{ PatientList(_count: -1) { id } }`, `_count is a number from 0 on`},
		{"a FHIRPath with an element that is not there", `{ Patient(id: p1) { name(fhirpath: "famly = 'x'") { family } } }`, `FHIRPath, line 1, column 1`},
		{"a FHIRPath that does not end", `{ PatientList(fhirpath: "name.where(") { id } }`, `FHIRPath, line 1, column 12`},
		{"an empty document", ` # nothing`, `no operation`},
	} {
		got := ask(t, s, e, graphql.Request{Query: c.query})
		if !strings.Contains(got, c.want) || !strings.HasPrefix(got, `{"data":null,"errors":[`) {
			t.Errorf("%s: %s\n%s", c.rule, c.query, got)
		}
	}
}

// What a client sent as a value is not repeated in an error.
func TestErrorsHoldNoValues(t *testing.T) {
	s := newService(t, record()...)
	e := &graphql.Engine{}
	for _, r := range []graphql.Request{
		{Query: `{ PatientList(_count: "secret") { id } }`},
		{Query: `{ PatientList(name: 5150) { id } }`},
		{Query: `{ PatientList(name: "secret" "secret") { id } }`},
		{Query: `{ PatientList(name: "\qsecret") { id } }`},
		{Query: `{ PatientList(birthdate: "secret") { id } }`},
		{Query: `{ PatientList(fhirpath: "name = 'secret' +") { id } }`},
		{Query: `query($a: Int) { PatientList(_count: $a) { id } }`, Variables: []byte(`{"a":"secret"}`)},
		{Query: `query($a: Int) { PatientList(_count: $a) { id } }`, Variables: []byte(`{"a":1,"secret \u0020":1}`)},
		{Query: `query($a: Int) { PatientList(_count: $a) { id } }`, Variables: []byte(`["secret"]`)},
		{Query: `mutation { PatientCreate(res: { gender: "secret", birthDate: "secret" }) { id } }`, Writes: true},
	} {
		got := ask(t, s, e, r)
		if !strings.HasPrefix(got, `{"data":null`) || strings.Contains(got, "secret") || strings.Contains(got, "5150") {
			t.Errorf("%s: %s", r.Query, got)
		}
	}
}

func TestLimits(t *testing.T) {
	s := newService(t, record()...)
	deep := "{ Questionnaire(id: q) { " + strings.Repeat("item { ", 10) + "linkId" + strings.Repeat(" }", 12)
	for _, c := range []struct {
		limit graphql.Limits
		query string
		want  string
	}{
		{graphql.Limits{QueryBytes: 10}, `{ PatientList { id } }`, "more than 10 bytes"},
		{graphql.Limits{Tokens: 5}, `{ PatientList { id } }`, "token limit of 5"},
		{graphql.Limits{Depth: 10}, deep, "more than 10 levels"},
		{graphql.Limits{Fields: 5}, `{ a: Patient(id: p1) { ...f } b: Patient(id: p1) { ...f } } fragment f on Patient { id active }`, "more than 5 fields"},
		{graphql.Limits{Merged: 2}, `{ Patient(id: p1) { name { family } name { id } ...f } } fragment f on Patient { name { text } }`, "more than 2 fields under one name"},
		{graphql.Limits{References: 1}, `{ ObservationList(_id: [o1, o2]) { subject { resource { id } } } }`, "more than 1 references"},
		{graphql.Limits{List: 1}, `{ Patient(id: p1) { ObservationList(_reference: subject) { id } } }`, "more than 1 resources match"},
		{graphql.Limits{Searches: 2}, `{ PatientList { ObservationList(_reference: subject, _count: 1) { id } } }`, "more than 2 searches"},
		{graphql.Limits{List: 2}, `{ ObservationList { id } }`, "more than 2 resources match"},
		{graphql.Limits{Values: 5}, `{ ObservationList { id status } }`, "more than 5 values"},
		{graphql.Limits{AnswerBytes: 20}, `{ ObservationList { id status } }`, "more than 20 bytes"},
		{graphql.Limits{AnswerBytes: 1000}, `{ __schema { types { name fields { name } } } }`, "more than 1000 bytes"},
	} {
		e := &graphql.Engine{Limits: c.limit}
		if got := ask(t, s, e, graphql.Request{Query: c.query}); !strings.Contains(got, c.want) || !strings.Contains(got, `"data":null`) {
			t.Errorf("%+v: %s", c.limit, got)
		}
	}
	var many strings.Builder
	for i := range 200 {
		fmt.Fprintf(&many, "x%d ", i)
	}
	got := ask(t, s, &graphql.Engine{}, graphql.Request{Query: "{" + many.String() + "}"})
	if n := strings.Count(got, `"message"`); n != 50 {
		t.Errorf("%d errors are listed, 50 is the limit", n)
	}
	// Fragments that spread each other twice would be 2^30 fields.
	var bomb strings.Builder
	bomb.WriteString("{ Patient(id: p1) { ...f0 } }")
	for i := range 30 {
		fmt.Fprintf(&bomb, " fragment f%d on Patient { a%d: id ...f%d ...f%d }", i, i, i+1, i+1)
	}
	bomb.WriteString(" fragment f30 on Patient { id }")
	if got := ask(t, s, &graphql.Engine{}, graphql.Request{Query: bomb.String()}); !strings.Contains(got, "more than 5000 fields") {
		t.Errorf("fragments: %s", got)
	}
	loose := "{ Observation(id: o1) { subject " + strings.Repeat("{ resource { extension { valueReference ", 6) + "{ resource { active } }" + strings.Repeat("} } }", 6) + " } }"
	if got := ask(t, s, &graphql.Engine{}, graphql.Request{Query: loose}); !json.Valid([]byte(got)) {
		t.Errorf("fields without a fragment: %s", got)
	}
}

// A level of references costs one batch, whatever it holds.
func TestReferencesCostOneBatchALevel(t *testing.T) {
	bodies := []string{`{"resourceType":"Organization","id":"h","name":"x"}`}
	for i := range 60 {
		bodies = append(bodies, fmt.Sprintf(`{"resourceType":"Patient","id":"p%d","managingOrganization":{"reference":"Organization/h"}}`, i),
			fmt.Sprintf(`{"resourceType":"Observation","id":"o%d","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/p%d"},"performer":[{"reference":"Organization/h"}]}`, i, i))
	}
	s, count := newCounted(t, bodies...)
	e := &graphql.Engine{}
	for _, c := range []struct {
		query                    string
		reads, batches, searches int64
	}{
		{`{ ObservationList { id } }`, 0, 0, 1},
		{`{ ObservationList { subject { resource { id } } performer { resource { id } } } }`, 0, 1, 1},
		{`{ ObservationList { subject { resource { ... on Patient { managingOrganization { resource { id } } } } } } }`, 0, 2, 1},
		{`{ Patient(id: p1) { managingOrganization { resource { id } } } }`, 1, 1, 0},
		{`{ PatientList { ObservationList(_reference: patient) { id } EncounterList(_reference: subject) { id } } }`, 0, 0, 3},
		{`{ Organization(id: h) { PatientList(_reference: organization) { ObservationList(_reference: subject) { performer { resource { id } } } } } }`, 1, 1, 2},
		{`{ PatientList(_count: 7) { ObservationList(_reference: patient, _count: 1) { id } } }`, 0, 0, 8},
	} {
		reads, batches, searches := count.reads.Load(), count.batches.Load(), count.searches.Load()
		if got := ask(t, s, e, graphql.Request{Query: c.query}); !strings.HasPrefix(got, `{"data":{`) {
			t.Errorf("%s: %s", c.query, got)
		}
		reads, batches, searches = count.reads.Load()-reads, count.batches.Load()-batches, count.searches.Load()-searches
		if reads != c.reads || batches != c.batches || searches != c.searches {
			t.Errorf("%s: %d reads, %d batches, %d searches", c.query, reads, batches, searches)
		}
	}
}

// A walk by cursors shows each resource once, forward and back, and leads to the first page again.
func TestPages(t *testing.T) {
	var bodies []string
	for i := range 7 {
		bodies = append(bodies, fmt.Sprintf(`{"resourceType":"Patient","id":"p%d","active":true,"birthDate":"199%d"}`, i, i))
	}
	s := newService(t, bodies...)
	e := &graphql.Engine{}
	type page struct {
		Count                 int
		PageSize              int
		First, Previous, Next string
		Edges                 []struct{ Resource struct{ ID string } }
	}
	get := func(args string) (p page, ids string) {
		var out struct {
			Data struct{ PatientConnection page }
		}
		text := ask(t, s, e, graphql.Request{Query: "{ PatientConnection(" + args + ") { count pagesize first previous next edges { resource { id } } } }"})
		if err := json.Unmarshal([]byte(text), &out); err != nil || len(out.Data.PatientConnection.Edges) == 0 {
			t.Fatal(text, err)
		}
		p = out.Data.PatientConnection
		for _, edge := range p.Edges {
			ids += edge.Resource.ID + " "
		}
		return p, ids
	}
	first, ids := get(`active: true, _sort: "-birthdate", _count: 3`)
	if ids != "p6 p5 p4 " || first.Count != 7 || first.PageSize != 3 || first.Previous != "" {
		t.Errorf("first: %s %+v", ids, first)
	}
	second, ids := get(`_cursor: "` + first.Next + `"`)
	if ids != "p3 p2 p1 " || second.Count != 7 || second.PageSize != 3 {
		t.Errorf("second: %s %+v", ids, second)
	}
	third, ids := get(`cursor: "` + second.Next + `"`)
	if ids != "p0 " || third.Next != "" {
		t.Errorf("third: %s %+v", ids, third)
	}
	if _, ids := get(`cursor: "` + third.Previous + `"`); ids != "p3 p2 p1 " {
		t.Errorf("back: %s", ids)
	}
	for _, p := range []page{first, second, third} {
		if _, ids := get(`cursor: "` + p.First + `"`); ids != "p6 p5 p4 " {
			t.Errorf("the first page again: %s", ids)
		}
	}
	other := ask(t, s, e, graphql.Request{Query: `{ ObservationConnection(cursor: "` + second.First + `") { next } }`})
	if !strings.Contains(other, "not one of this server") {
		t.Errorf("a cursor of another type: %s", other)
	}
}

// Of a resource whose input type has a name that another type took; a list of one without brackets; null as not given.
func TestMutations(t *testing.T) {
	s := newService(t)
	e := &graphql.Engine{}
	for _, c := range []struct{ query, variables, want string }{
		{`mutation($t: Task_Input!) { TaskCreate(res: $t) { id status input { type { text } valueString } } }`,
			`{"t":{"status":"draft","intent":"order","description":null,"input":{"type":{"text":"x"},"valueString":"y"}}}`,
			`{"data":{"TaskCreate":{"id":"id-1","status":"draft","input":[{"type":{"text":"x"},"valueString":"y"}]}}}`},
		{`mutation { PatientUpdate(id: "p", res: { id: "p", _birthDate: { id: "b" }, name: { family: null, given: "a" } }) { name { given } _birthDate { id } } }`, ``,
			`{"data":{"PatientUpdate":{"name":[{"given":["a"]}],"_birthDate":{"id":"b"}}}}`},
		{`mutation { __typename }`, ``, `{"data":{"__typename":"Mutation"}}`},
	} {
		if got := ask(t, s, e, graphql.Request{Query: c.query, Variables: []byte(c.variables), Writes: true}); got != c.want {
			t.Errorf("%s: %s", c.query, got)
		}
	}
	got := ask(t, s, e, graphql.Request{Query: `mutation { PatientUpdate(id: "p", res: { id: "other" }) { id } }`, Writes: true})
	if !strings.Contains(got, `"data":null`) {
		t.Errorf("another id: %s", got)
	}
}

// The query that GraphiQL and code generators begin with: every type that is named in the answer is described in it.
func TestIntrospectionOfTools(t *testing.T) {
	const query = `query IntrospectionQuery { __schema { queryType { name } mutationType { name } subscriptionType { name } types { ...FullType } directives { name description locations args { ...InputValue } } } }
fragment FullType on __Type { kind name description fields(includeDeprecated: true) { name description args { ...InputValue } type { ...TypeRef } isDeprecated deprecationReason } inputFields { ...InputValue } interfaces { ...TypeRef } enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason } possibleTypes { ...TypeRef } }
fragment InputValue on __InputValue { name description type { ...TypeRef } defaultValue }
fragment TypeRef on __Type { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name }}}}}}}}}}`
	got := ask(t, newService(t), &graphql.Engine{}, graphql.Request{Query: query})
	t.Logf("%d bytes", len(got))
	type typ struct {
		Kind, Name string
		OfType     *typ
	}
	type argument struct{ Type *typ }
	var out struct {
		Data struct {
			Schema struct {
				QueryType, MutationType, SubscriptionType *typ
				Types                                     []struct {
					typ
					Fields []struct {
						Type *typ
						Args []argument
					}
					InputFields               []argument
					Interfaces, PossibleTypes []*typ
				}
			} `json:"__schema"`
		}
	}
	if err := json.Unmarshal([]byte(got), &out); err != nil {
		t.Fatal(err)
	}
	schema := &out.Data.Schema
	if schema.QueryType.Name != "Query" || schema.MutationType.Name != "Mutation" || schema.SubscriptionType != nil {
		t.Errorf("roots: %+v", schema)
	}
	known := map[string]bool{}
	for _, d := range schema.Types {
		known[d.Name] = true
	}
	check := func(t0 string, u *typ) {
		for u.OfType != nil {
			u = u.OfType
		}
		if !known[u.Name] {
			t.Errorf("%s names a type %q that is not described", t0, u.Name)
		}
	}
	for _, d := range schema.Types {
		for _, f := range d.Fields {
			check(d.Name, f.Type)
			for _, a := range f.Args {
				check(d.Name, a.Type)
			}
		}
		for _, a := range d.InputFields {
			check(d.Name, a.Type)
		}
		for _, u := range append(d.Interfaces, d.PossibleTypes...) {
			check(d.Name, u)
		}
	}
}

// What was changed is told though not all that was asked about it can be answered: who takes that for a failure creates twice.
func TestAMutationThatWasCarriedOutIsNoFailure(t *testing.T) {
	s := newService(t)
	e := &graphql.Engine{}
	create := `mutation { PatientCreate(res: { managingOrganization: { reference: "Organization/none" } }) { id managingOrganization { resource { ... on Organization { name } } } } }`
	got := ask(t, s, e, graphql.Request{Query: create, Writes: true})
	if !strings.HasPrefix(got, `{"data":{"PatientCreate":{"id":"id-1","managingOrganization":{"resource":null}}},"errors":[{"message":"the reference cannot be resolved`) {
		t.Error(got)
	}
	got = ask(t, s, &graphql.Engine{Limits: graphql.Limits{AnswerBytes: 9}}, graphql.Request{Query: `mutation { PatientCreate(res: { active: true }) { id } }`, Writes: true})
	if !strings.HasPrefix(got, `{"data":null,"errors":[{"message":"the query has more than 9 bytes`) {
		t.Error(got)
	}
}
