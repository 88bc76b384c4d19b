package interaction

import (
	"context"
	"testing"

	"meridian/fhir/codec"
	"meridian/fhir/element"
	"meridian/fhir/issue"
	"meridian/fhir/search"
)

type fake struct{ d *OperationDefinition }

func (f fake) Definition() *OperationDefinition { return f.d }

func (f fake) Run(context.Context, *OperationCall) (OperationResult, error) {
	return OperationResult{}, nil
}

func testDefinition() *OperationDefinition {
	return &OperationDefinition{Name: "test", URL: "urn:test", Type: true, Types: []string{"Patient"}, Params: []OperationParameter{
		{Name: "one", Min: 1, Max: 1, Type: "code"},
		{Name: "many", Type: "uri"},
		{Name: "flag", Max: 1, Type: "boolean"},
		{Name: "number", Max: 1, Type: "positiveInt"},
		{Name: "period", Max: 1, Type: "Period"},
		{Name: "reference", Max: 1, Type: "Reference"},
		{Name: "resource", Max: 1, Type: "Patient"},
		{Name: "pair", Max: 2, Parts: []OperationParameter{{Name: "left", Min: 1, Max: 1, Type: "string"}, {Name: "right", Max: 1, Type: "decimal"}}},
		{Name: "return", Out: true, Min: 1, Max: 1, Type: "Bundle"},
	}}
}

// Parameters are checked by the definition, wherever they come from.
func TestOperationParametersAreChecked(t *testing.T) {
	for _, c := range []struct {
		name  string
		body  string
		query []search.Pair
		want  string // id of the first issue, empty for none
	}{
		{name: "a primitive in the query", query: []search.Pair{{Name: "one", Value: "a"}}},
		{name: "a repeating one", query: []search.Pair{{Name: "one", Value: "a"}, {Name: "many", Value: "urn:a"}, {Name: "many", Value: "urn:b"}}},
		{name: "a mandatory one is missing", query: []search.Pair{{Name: "many", Value: "urn:a"}}, want: "operation.parameter-missing"},
		{name: "one too many", query: []search.Pair{{Name: "one", Value: "a"}, {Name: "one", Value: "b"}}, want: "operation.parameter-repeats"},
		{name: "an unknown name", query: []search.Pair{{Name: "one", Value: "a"}, {Name: "ones", Value: "b"}}, want: "operation.parameter-unknown"},
		{name: "an out parameter sent in", query: []search.Pair{{Name: "one", Value: "a"}, {Name: "return", Value: "b"}}, want: "operation.parameter-unknown"},
		{name: "a reference in the query", query: []search.Pair{{Name: "one", Value: "a"}, {Name: "reference", Value: "Patient/1"}}},
		{name: "a reference without text", query: []search.Pair{{Name: "one", Value: "a"}, {Name: "reference", Value: ""}}, want: "operation.parameter-value"},
		{name: "a complex one in the query", query: []search.Pair{{Name: "one", Value: "a"}, {Name: "period", Value: "2026"}}, want: "operation.parameter-complex"},
		{name: "a boolean", query: []search.Pair{{Name: "one", Value: "a"}, {Name: "flag", Value: "true"}}},
		{name: "no boolean", query: []search.Pair{{Name: "one", Value: "a"}, {Name: "flag", Value: "yes"}}, want: "operation.parameter-value"},
		{name: "a boolean that is an object", query: []search.Pair{{Name: "one", Value: "a"}, {Name: "flag", Value: `{"a":1}`}}, want: "operation.parameter-value"},
		{name: "no positive number", query: []search.Pair{{Name: "one", Value: "a"}, {Name: "number", Value: "0"}}, want: "operation.parameter-value"},
		{name: "a number with space", query: []search.Pair{{Name: "one", Value: "a"}, {Name: "number", Value: " 1"}}, want: "operation.parameter-value"},
		{name: "an empty value", query: []search.Pair{{Name: "one", Value: ""}}, want: "operation.parameter-value"},
		{name: "Parameters", body: `{"resourceType":"Parameters","parameter":[{"name":"one","valueCode":"a"},{"name":"period","valuePeriod":{"start":"2026"}}]}`},
		{name: "a code sent as string", body: `{"resourceType":"Parameters","parameter":[{"name":"one","valueString":"a"}]}`},
		{name: "a string that is no code", body: `{"resourceType":"Parameters","parameter":[{"name":"one","valueString":" a"}]}`, want: "operation.parameter-type"},
		{name: "a boolean sent as string", body: `{"resourceType":"Parameters","parameter":[{"name":"one","valueCode":"a"},{"name":"flag","valueString":"true"}]}`, want: "operation.parameter-type"},
		{name: "another complex type", body: `{"resourceType":"Parameters","parameter":[{"name":"one","valueCode":"a"},{"name":"period","valueRange":{"low":{"value":1}}}]}`, want: "operation.parameter-type"},
		{name: "no value", body: `{"resourceType":"Parameters","parameter":[{"name":"one"}]}`, want: "operation.parameter-type"},
		{name: "a resource for a value", body: `{"resourceType":"Parameters","parameter":[{"name":"one","resource":{"resourceType":"Patient"}}]}`, want: "operation.parameter-type"},
		{name: "another resource", body: `{"resourceType":"Parameters","parameter":[{"name":"one","valueCode":"a"},{"name":"resource","resource":{"resourceType":"Basic","code":{"text":"x"}}}]}`, want: "operation.parameter-type"},
		{name: "parts", body: `{"resourceType":"Parameters","parameter":[{"name":"one","valueCode":"a"},{"name":"pair","part":[{"name":"left","valueString":"x"},{"name":"right","valueDecimal":1.50}]}]}`},
		{name: "a part is missing", body: `{"resourceType":"Parameters","parameter":[{"name":"one","valueCode":"a"},{"name":"pair","part":[{"name":"right","valueDecimal":1}]}]}`, want: "operation.parameter-missing"},
		{name: "an unknown part", body: `{"resourceType":"Parameters","parameter":[{"name":"one","valueCode":"a"},{"name":"pair","part":[{"name":"lefd","valueString":"x"}]}]}`, want: "operation.parameter-unknown"},
		{name: "a modifier extension", body: `{"resourceType":"Parameters","parameter":[{"name":"one","valueCode":"a","modifierExtension":[{"url":"urn:x","valueCode":"a"}]}]}`, want: "operation.modifier"},
		{name: "the resource itself, with a primitive in the query", body: `{"resourceType":"Patient"}`, query: []search.Pair{{Name: "one", Value: "a"}}},
		{name: "another resource itself", body: `{"resourceType":"Basic","code":{"text":"x"}}`, query: []search.Pair{{Name: "one", Value: "a"}}, want: "operation.body"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := paramReader{def: testDefinition()}
			if c.body != "" {
				r.body(mustParse(t, c.body))
			}
			r.pairs(c.query)
			r.cardinality(r.def.Params, r.values, "")
			got := ""
			if len(r.failed.Issues) > 0 {
				got = r.failed.Issues[0].ID
			}
			if got != c.want {
				t.Errorf("issue %q, want %q: %v", got, c.want, r.failed.Issues)
			}
		})
	}
}

func mustParse(t *testing.T, body string) element.Node {
	t.Helper()
	tree, err := codec.Parse([]byte(body), codec.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return tree.Root()
}

func TestOperationsAreFoundByLevelAndType(t *testing.T) {
	everything := &OperationDefinition{Name: "everything", URL: "urn:p", Type: true, Instance: true, Types: []string{"Patient"}}
	ofEncounter := &OperationDefinition{Name: "everything", URL: "urn:e", Instance: true, Types: []string{"Encounter"}}
	meta := &OperationDefinition{Name: "meta", URL: "urn:m", System: true, Type: true, Instance: true}
	ops, err := newOperations([]Operation{fake{everything}, fake{ofEncounter}, fake{meta}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		level Level
		typ   string
		want  string // url, or the error's id
	}{
		{"everything", TypeLevel, "Patient", "urn:p"},
		{"everything", InstanceLevel, "Encounter", "urn:e"},
		{"everything", TypeLevel, "Encounter", "operation.level"},
		{"everything", SystemLevel, "", "operation.level"},
		{"everything", InstanceLevel, "Observation", "operation.level"},
		{"meta", SystemLevel, "", "urn:m"},
		{"meta", InstanceLevel, "Basic", "urn:m"},
		{"metta", InstanceLevel, "Basic", "operation.unknown"},
		{"", SystemLevel, "", "operation.unknown"},
	} {
		got := ""
		r, err := ops.find(c.name, c.level, c.typ)
		if err != nil {
			got = issue.As(err).Issues[0].ID
		} else {
			got = r.URL
		}
		if got != c.want {
			t.Errorf("%s on level %d of %q: %s, want %s", c.name, c.level, c.typ, got, c.want)
		}
	}
	for name, list := range map[string][]Operation{
		"twice":                {fake{meta}, fake{meta}},
		"no level":             {fake{&OperationDefinition{Name: "a", URL: "urn:a"}}},
		"no type":              {fake{&OperationDefinition{Name: "a", URL: "urn:a", Type: true, Types: []string{"Nothing"}}}},
		"no parameter type":    {fake{&OperationDefinition{Name: "a", URL: "urn:a", System: true, Params: []OperationParameter{{Name: "x", Type: "nothing"}}}}},
		"paged and not simple": {fake{&OperationDefinition{Name: "a", URL: "urn:a", System: true, Paged: true, Params: []OperationParameter{{Name: "x", Type: "Period"}}}}},
	} {
		if _, err := newOperations(list); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// Whatever is sent, the parameters are values that agree with the definition, or issues.
func FuzzOperationParameters(f *testing.F) {
	f.Add(`{"resourceType":"Parameters","parameter":[{"name":"one","valueString":"a"},{"name":"pair","part":[{"name":"left","valueString":"x"}]}]}`, "many=urn:a&flag=true")
	f.Add(`{"resourceType":"Patient"}`, "one=%20&number=1e3")
	f.Add("", "one=a&period=2026&one=b")
	f.Fuzz(func(t *testing.T, body, query string) {
		r := paramReader{def: testDefinition()}
		if tree, err := codec.Parse([]byte(body), codec.Options{}); err == nil {
			r.body(tree.Root())
		}
		pairs, err := ParseQuery(query)
		if err != nil {
			return
		}
		r.pairs(pairs)
		r.cardinality(r.def.Params, r.values, "")
		if len(r.failed.Issues) > 0 {
			return
		}
		for _, v := range r.values {
			p := r.declared(v.Name)
			if p == nil || len(p.Parts) == 0 && !v.Node.Valid() || p.primitive() && v.Node.Type().Name != p.Type {
				t.Errorf("%q was taken as a value of what the definition does not have so", v.Name)
			}
		}
	})
}
