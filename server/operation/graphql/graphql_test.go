package graphql_test

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"meridian/fhir/search"
	"meridian/server/interaction"
	"meridian/server/operation/graphql"
	"meridian/server/store"
	"meridian/server/store/pebblestore"
)

// counting counts what is asked of a store.
type counting struct {
	store.Store
	reads, batches, searches atomic.Int64
}

func (c *counting) Read(ctx context.Context, key store.Key) (store.Resource, error) {
	c.reads.Add(1)
	return c.Store.Read(ctx, key)
}

func (c *counting) ReadMany(ctx context.Context, keys []store.Key) ([]store.Resource, error) {
	c.batches.Add(1)
	return c.Store.ReadMany(ctx, keys)
}

func (c *counting) Search(ctx context.Context, plan *search.Plan) (store.Page, error) {
	c.searches.Add(1)
	return c.Store.Search(ctx, plan)
}

func newService(t testing.TB, bodies ...string) *interaction.Service {
	t.Helper()
	s, _ := newCounted(t, bodies...)
	return s
}

func newCounted(t testing.TB, bodies ...string) (*interaction.Service, *counting) {
	t.Helper()
	clock := func() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }
	registry, err := search.New(search.Options{BaseURL: "http://example.org/fhir", Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	s, err := pebblestore.Open(pebblestore.Options{Dir: "g", CacheBytes: 32 << 20, MemTableBytes: 4 << 20, FS: vfs.NewMem(), Index: interaction.Indexer(registry), IndexVersion: registry.IndexVersion(), Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	var ids atomic.Int64
	count := &counting{Store: s}
	service, err := interaction.New(interaction.Options{Store: count, Registry: registry, BaseURL: "http://example.org/fhir", Clock: clock,
		NewID: func() string { return "id-" + strconv.FormatInt(ids.Add(1), 10) }})
	if err != nil {
		t.Fatal(err)
	}
	put(t, service, bodies...)
	return service, count
}

func put(t testing.TB, s *interaction.Service, bodies ...string) {
	t.Helper()
	var puts []interaction.Put
	for _, body := range bodies {
		var head struct{ ResourceType, ID string }
		if err := json.Unmarshal([]byte(body), &head); err != nil {
			t.Fatal(err)
		}
		puts = append(puts, interaction.Put{Key: store.Key{Type: head.ResourceType, ID: head.ID},
			Revise: func(*store.Resource) ([]byte, bool, error) { return []byte(body), false, nil }})
	}
	if _, err := s.Apply(t.Context(), puts); err != nil {
		t.Fatal(err)
	}
}

// ask answers a query about the system as JSON, also where it fails.
func ask(t testing.TB, s *interaction.Service, e *graphql.Engine, r graphql.Request) string {
	t.Helper()
	body, err := e.Execute(t.Context(), s, r)
	var failed *interaction.OperationError
	if errors.As(err, &failed) {
		body = failed.Body
	} else if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(body) {
		t.Fatalf("no JSON: %s", body)
	}
	return string(body)
}

// example is the patient that the page of FHIR uses, as far as it shows it, with a second element of each kind that rules need.
const example = `{"resourceType":"Patient","id":"example","identifier":[{"use":"usual","system":"urn:oid:1.2.36.146.595.217.0.1","value":"12345"}],"active":true,` +
	`"name":[{"use":"official","family":"Chalmers","given":["Peter","James"]},{"use":"usual","given":["Jim"]},{"use":"maiden","family":"Windsor","given":["Peter","James"]}],` +
	`"birthDate":"1974-12-25","_birthDate":{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/patient-birthTime","valueDateTime":"1974-12-25T14:35:45-05:00"}]}}`

var focus = store.Key{Type: "Patient", ID: "example"}

// The examples of https://hl7.org/fhir/R4/graphql.html: query and output as the page has them. Where it leaves out a
// field that is not there, GraphQL has null.
func TestExamplesOfThePage(t *testing.T) {
	s := newService(t, example)
	e := &graphql.Engine{}
	for _, c := range []struct{ rule, query, want string }{
		{"elements", `{ identifier { system value } active name { text given family } }`,
			`{"identifier":[{"system":"urn:oid:1.2.36.146.595.217.0.1","value":"12345"}],"active":true,` +
				`"name":[{"text":null,"given":["Peter","James"],"family":"Chalmers"},{"text":null,"given":["Jim"],"family":null},{"text":null,"given":["Peter","James"],"family":"Windsor"}]}`},
		{"extensions of primitives", `{ birthDate _birthDate { extension {valueDateTime} } }`,
			`{"birthDate":"1974-12-25","_birthDate":{"extension":[{"valueDateTime":"1974-12-25T14:35:45-05:00"}]}}`},
		{"fhirpath chooses", `{ name(fhirpath: "family.exists()") { family } }`, `{"name":[{"family":"Chalmers"},{"family":"Windsor"}]}`},
		{"a field chooses", `{ name(use: official) { text given family } }`, `{"name":[{"text":null,"given":["Peter","James"],"family":"Chalmers"}]}`},
		{"_count and _offset", `{ name(_count: 1, _offset: 1) { given } }`, `{"name":[{"given":["Jim"]}]}`},
		{"they apply to the filtered list", `{ name(fhirpath: "family.exists()", _offset: 1) { family } }`, `{"name":[{"family":"Windsor"}]}`},
		{"@flatten", `{ identifier @flatten { system value } active name @flatten { text given family } }`,
			`{"system":["urn:oid:1.2.36.146.595.217.0.1"],"value":["12345"],"active":true,"given":["Peter","James","Jim","Peter","James"],"family":["Chalmers","Windsor"]}`},
		{"@first", `{ identifier @flatten { system value } active name @flatten { text given @first family } }`,
			`{"system":["urn:oid:1.2.36.146.595.217.0.1"],"value":["12345"],"active":true,"given":["Peter","Jim","Peter"],"family":["Chalmers","Windsor"]}`},
		{"@singleton", `{ identifier @flatten { system @singleton value @singleton } active name @flatten @first { text given family @singleton } }`,
			`{"system":"urn:oid:1.2.36.146.595.217.0.1","value":"12345","active":true,"given":["Peter","James"],"family":"Chalmers"}`},
		{"@slice by a path", `{ identifier @flatten { system value } active name @flatten @slice(path: "use") { given family @singleton } }`,
			`{"system":["urn:oid:1.2.36.146.595.217.0.1"],"value":["12345"],"active":true,"given.official":["Peter","James"],"family.official":"Chalmers",` +
				`"given.usual":["Jim"],"given.maiden":["Peter","James"],"family.maiden":"Windsor"}`},
		{"@slice by index", `{ identifier @flatten { system value } active name @flatten @slice(path: "$index") { given family @singleton } }`,
			`{"system":["urn:oid:1.2.36.146.595.217.0.1"],"value":["12345"],"active":true,"given.0":["Peter","James"],"family.0":"Chalmers",` +
				`"given.1":["Jim"],"given.2":["Peter","James"],"family.2":"Windsor"}`},
		{"@slice, @first and @singleton", `{ name @slice(path: "$index") @flatten { given @first @singleton family } }`,
			`{"given.0":"Peter","family.0":["Chalmers"],"given.1":"Jim","given.2":"Peter","family.2":["Windsor"]}`},
	} {
		got := ask(t, s, e, graphql.Request{Query: c.query, Focus: focus})
		if diff := cmp.Diff(`{"data":`+c.want+`}`, got); diff != "" {
			t.Errorf("%s: %s\n%s", c.rule, c.query, diff)
		}
	}
}
