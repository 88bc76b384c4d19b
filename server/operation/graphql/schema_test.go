package graphql

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"

	"meridian/fhir/schema"
	"meridian/fhir/search"
)

func testModel(t testing.TB) *model {
	t.Helper()
	r, err := search.New(search.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return newModel(r)
}

// The schema is one by the rules of GraphQL: every type that it names is there, an object has the fields of its interfaces.
func TestTheSchemaIsValid(t *testing.T) {
	m := testModel(t)
	doc, err := parser.ParseSchema(validator.Prelude)
	if err != nil {
		t.Fatal(err)
	}
	own := map[string]bool{}
	for _, d := range doc.Definitions {
		own[d.Name] = true
	}
	for name, d := range m.schema.Types {
		if own[name] {
			continue
		}
		if d.Name == "Query" {
			d.Fields = d.Fields[:len(d.Fields)-len(m.meta)]
		}
		d.Position = nowhere()
		for _, f := range d.Fields {
			f.Position = nowhere()
			f.Type.Position = nowhere()
			for _, a := range f.Arguments {
				a.Position, a.Type.Position = nowhere(), nowhere()
			}
		}
		doc.Definitions = append(doc.Definitions, d)
	}
	doc.Schema = ast.SchemaDefinitionList{{OperationTypes: ast.OperationTypeDefinitionList{{Operation: ast.Query, Type: "Query"}, {Operation: ast.Mutation, Type: "Mutation"}}}}
	s, err := validator.ValidateSchemaDocument(doc)
	if err != nil {
		t.Fatal(err)
	}
	if s.Types["Subscription"].Fields.ForName("criteria") == nil {
		t.Error("the resource Subscription is not a type like others")
	}
	for _, typ := range schema.ResourceTypes() {
		for _, name := range []string{typ, typ + "List", typ + "Connection"} {
			if s.Query.Fields.ForName(name) == nil {
				t.Errorf("Query has no %s", name)
			}
		}
	}
}

// No two types of FHIR have one name in GraphQL, and none that of a type of ours.
func TestNamesAreUnique(t *testing.T) {
	seen := map[string]string{"Query": "", "Mutation": "", "ElementBase": ""}
	for id := schema.ID(1); id < schema.Count; id++ {
		name := nameOf(schema.ByID(id))
		if other, ok := seen[name]; ok {
			t.Errorf("%s: %s and %s", name, other, schema.ByID(id).Name)
		}
		seen[name] = schema.ByID(id).Name
		for _, suffix := range []string{"Connection", "Edge"} {
			if of, ok := strings.CutSuffix(name, suffix); ok && slices.Contains(schema.ResourceTypes(), of) {
				t.Errorf("%s is also a type of ours", name)
			}
		}
	}
	m := testModel(t)
	for name, want := range map[string]string{"Task": "Task_Input", "StructureMapGroup": "StructureMapGroup_Input", "Patient": "PatientInput"} {
		if got := m.inputName(name); got != want || m.schema.Types[got].Kind != ast.InputObject {
			t.Errorf("the input type of %s is %s", name, got)
		}
	}
}

// No parameter is lost because another has its name when dashes are underscores.
func TestEverySearchParameterIsAnArgument(t *testing.T) {
	r, err := search.New(search.Options{FullText: true})
	if err != nil {
		t.Fatal(err)
	}
	m := newModel(r)
	for _, typ := range schema.ResourceTypes() {
		args := m.schema.Query.Fields.ForName(typ + "List").Arguments
		for _, p := range r.Params(typ) {
			if a := args.ForName(strings.ReplaceAll(p.Code, "-", "_")); p.Unsupported == "" && (a == nil || m.codes[typ][a.Name] != p.Code) {
				t.Errorf("%sList has no argument for %s", typ, p.Code)
			}
		}
	}
}

// A parameter that was added is an argument from then on; one that GraphQL cannot name is not.
func TestAddedSearchParameters(t *testing.T) {
	r, err := search.New(search.Options{})
	if err != nil {
		t.Fatal(err)
	}
	e := &Engine{}
	has := func(name string) bool {
		return e.model(r).schema.Query.Fields.ForName("PatientList").Arguments.ForName(name) != nil
	}
	if has("eye_colour") {
		t.Error("an argument that is not there yet")
	}
	before := e.model(r)
	if e.model(r) != before {
		t.Error("the schema is made for every request")
	}
	add := func(code string) search.Added {
		return search.Added{Ready: true, Definition: search.Definition{ID: code, URL: "http://x/" + code, Code: code, Type: "token", Base: []string{"Patient"}, Expression: "Patient.gender"}}
	}
	r.Adopt(1, []search.Added{add("eye-colour"), add("a.b"), add("cursor")})
	if !has("eye_colour") || has("a.b") || !has("gender") {
		t.Error("the arguments are not those of the parameters as they are now")
	}
	r.Adopt(2, nil)
	if has("eye_colour") {
		t.Error("a parameter that was taken away is still an argument")
	}
}

func FuzzVariables(f *testing.F) {
	for _, seed := range []string{`{}`, `null`, `{"a":1.50,"b":[true,null,{"c":"x"}]}`, `[`, `{"a":1,"a":2}`, `{"a":1}x`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := readVariables(text)
		if err != nil || len(got) == 0 {
			return
		}
		x := &run{variables: got}
		for name, v := range got {
			if out := x.appendInput(nil, nil, v); !json.Valid(out) {
				t.Errorf("%s: %s is no JSON", name, out)
			}
		}
	})
}
