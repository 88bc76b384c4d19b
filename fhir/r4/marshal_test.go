package r4_test

import (
	"errors"
	"strings"
	"testing"

	"meridian/fhir/r4"
)

func TestMarshal(t *testing.T) {
	reason := []r4.Extension{{Url: "http://x", Value: r4.Code("unknown")}}
	cases := []struct {
		rule string
		v    any
		want string
	}{
		{"a resource begins with its type, then the order of the definition", &r4.Patient{Active: new(false), Id: new("1")},
			`{"resourceType":"Patient","id":"1","active":false}`},
		{"a decimal keeps its text", &r4.Quantity{Value: new(r4.Decimal("5.40")), Unit: new("g/L")}, `{"value":5.40,"unit":"g/L"}`},
		{"a choice is named by its Go type", &r4.Extension{Url: "u", Value: r4.DateTime("2026")}, `{"url":"u","valueDateTime":"2026"}`},
		{"string, bool and int are the FHIR types in a choice", &r4.Extension{Url: "u", Value: "s"}, `{"url":"u","valueString":"s"}`},
		{"a false boolean in a choice is a value", &r4.Extension{Url: "u", Value: false}, `{"url":"u","valueBoolean":false}`},
		{"a datatype in a choice", &r4.Extension{Url: "u", Value: &r4.Period{Start: new("2026")}}, `{"url":"u","valuePeriod":{"start":"2026"}}`},
		{"a twin follows its value", &r4.Patient{BirthDate: new("2026"), BirthDateElement: &r4.Element{Id: new("b")}},
			`{"resourceType":"Patient","birthDate":"2026","_birthDate":{"id":"b"}}`},
		{"a twin without value", &r4.Observation{StatusElement: &r4.Element{Extension: reason}},
			`{"resourceType":"Observation","_status":{"extension":[{"url":"http://x","valueCode":"unknown"}]}}`},
		{"a choice without value says its type by a typed nil", &r4.Patient{Deceased: (*bool)(nil), DeceasedElement: &r4.Element{Extension: reason}},
			`{"resourceType":"Patient","_deceasedBoolean":{"extension":[{"url":"http://x","valueCode":"unknown"}]}}`},
		{"places without value are null", &r4.HumanName{Given: []string{"a", "", "c"}, GivenElement: []*r4.Element{nil, {Id: new("b")}}},
			`{"given":["a",null,"c"],"_given":[null,{"id":"b"},null]}`},
		{"only twins", &r4.HumanName{GivenElement: []*r4.Element{{Id: new("b")}}}, `{"_given":[{"id":"b"}]}`},
		{"zero in a list of integers is a value", &r4.ClaimItem{Sequence: new(1), CareTeamSequence: []*int{new(0)}}, `{"sequence":1,"careTeamSequence":[0]}`},
		{"a contained resource", &r4.Patient{Contained: []r4.Resource{&r4.Organization{Name: new("h")}}},
			`{"resourceType":"Patient","contained":[{"resourceType":"Organization","name":"h"}]}`},
		{"only what JSON demands is escaped", &r4.HumanName{Text: new("张\"\\\n\x01/<\u2028")}, "{\"text\":\"张\\\"\\\\\\n\\u0001/<\u2028\"}"},
		{"an empty slice is left out", &r4.HumanName{Given: []string{}}, `{}`},
	}
	for _, c := range cases {
		t.Run(c.rule, func(t *testing.T) {
			got, err := r4.Marshal(c.v)
			if err != nil || string(got) != c.want {
				t.Errorf("got %s, %v\nwant %s", got, err, c.want)
			}
		})
	}
}

func TestMarshalErrors(t *testing.T) {
	section := &r4.Bundle{Type: "collection"}
	section.Entry = []r4.BundleEntry{{Resource: section}}
	cases := []struct {
		rule  string
		v     any
		place string
	}{
		{"a type that the choice does not allow", &r4.Observation{Value: r4.Uuid("x")}, "Observation.value"},
		{"a Go type that is no FHIR type", &r4.Extension{Url: "u", Value: 1.5}, "Extension.value"},
		{"a twin without the type of the choice", &r4.Extension{Url: "u", ValueElement: &r4.Element{Id: new("x")}}, "Extension.value"},
		{"a decimal that is no number", &r4.Quantity{Value: new(r4.Decimal("1,5"))}, "Quantity.value"},
		{"a decimal with more behind it", &r4.Quantity{Value: new(r4.Decimal("1 "))}, "Quantity.value"},
		{"text that is not UTF-8", &r4.HumanName{Text: new("\xff")}, "HumanName.text"},
		{"a place with neither value nor extension", &r4.HumanName{Given: []string{"a", ""}}, "HumanName.given"},
		{"an empty struct in a list", &r4.Patient{Name: []r4.HumanName{{}}}, "Patient.name"},
		{"a nil resource in a list", &r4.Patient{Contained: []r4.Resource{nil}}, "Patient.contained"},
		{"a resource that is no struct of R4", &r4.Patient{Contained: []r4.Resource{foreign{}}}, "Patient.contained"},
		{"a cycle", section, "deeper than 64"},
		{"no pointer", r4.Patient{}, "not a pointer"},
		{"no struct of R4", &struct{}{}, "struct {}"},
		{"a nil pointer", (*r4.Patient)(nil), "not a pointer"},
	}
	for _, c := range cases {
		t.Run(c.rule, func(t *testing.T) {
			got, err := r4.Marshal(c.v)
			if !errors.Is(err, r4.ErrType) || !strings.Contains(err.Error(), c.place) || len(got) != 0 {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

type foreign struct{}

func (foreign) ResourceType() string { return "Patient" }
