package definitions

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
)

// Numbers of https://hl7.org/fhir/R4/downloads.html, bundle by bundle, and last those of additional.json and of our own tables.
func TestEveryDefinitionIsRead(t *testing.T) {
	var s Set
	count := map[string]int{}
	for e := range s.Entries("") {
		raw, err := s.JSON(e)
		if err != nil {
			t.Fatal(err)
		}
		var head struct{ ResourceType, URL string }
		if err := json.Unmarshal(raw, &head); err != nil {
			t.Fatalf("%s %s: %v", e.Kind, e.URL, err)
		}
		if head.ResourceType != e.Kind || head.URL != e.URL {
			t.Errorf("%s %s holds %s %s", e.Kind, e.URL, head.ResourceType, head.URL)
		}
		if found, ok := s.Find(e.Kind, e.URL+"|4.0.1"); !ok || found != e {
			t.Errorf("%s %s is not found", e.Kind, e.URL)
		}
		count[e.Kind]++
	}
	want := map[string]int{
		"StructureDefinition": 63 + 149 + 393 + 44 + 1, "OperationDefinition": 46, "CompartmentDefinition": 5,
		"CapabilityStatement": 2, "SearchParameter": 1375 + 10, "ValueSet": 672 + 216 + 428 + 10,
		"CodeSystem": 495 + 143 + 424 + 10, "ConceptMap": 19 + 9,
	}
	for kind, n := range want {
		if count[kind] != n {
			t.Errorf("%s: %d, want %d", kind, count[kind], n)
		}
	}
	if len(count) != len(want) {
		t.Errorf("kinds: %v", count)
	}
}

func TestResource(t *testing.T) {
	var s Set
	if _, err := s.Structure("Patient"); err != nil {
		t.Error(err)
	}
	for _, c := range []struct{ kind, url string }{
		{"StructureDefinition", "http://hl7.org/fhir/StructureDefinition/Unknown"},
		{"ValueSet", "http://hl7.org/fhir/StructureDefinition/Patient"},
		{"", ""}, {"Zzz", "x"},
	} {
		if _, err := s.Resource(c.kind, c.url); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s %s: %v", c.kind, c.url, err)
		}
	}
	if _, err := s.JSON(Entry{}); err == nil {
		t.Error("the zero entry has a resource")
	}
	n := 0
	for e := range s.Entries("CompartmentDefinition") {
		if e.Kind != "CompartmentDefinition" {
			t.Errorf("%s among compartments", e.Kind)
		}
		n++
	}
	if n != 5 {
		t.Errorf("%d compartment definitions", n)
	}
}

// The table says the same as the resources that it was made from.
func TestSearchParametersMatchTheirResources(t *testing.T) {
	var s Set
	list := SearchParameters()
	if len(list) != 1375+10 {
		t.Fatalf("%d search parameters", len(list))
	}
	without := []string{}
	for _, p := range list {
		raw, err := s.Resource("SearchParameter", p.URL)
		if err != nil {
			t.Fatal(err)
		}
		var r struct {
			Code, Name, Type, Expression string
			Base, Target, Comparator     []string
			MultipleOr                   *bool
			Component                    []Component
		}
		if err := json.Unmarshal(raw, &r); err != nil {
			t.Fatal(err)
		}
		if r.Code != p.Code || r.Name != p.Name || r.Type != p.Type || r.Expression != p.Expression || !slices.Equal(r.Base, p.Base) ||
			!slices.Equal(r.Target, p.Target) || !slices.Equal(r.Comparator, p.Comparators) || !slices.Equal(r.Component, p.Components) ||
			p.MultipleOr != (r.MultipleOr == nil || *r.MultipleOr) || !p.MultipleAnd {
			t.Errorf("%s differs: %+v", p.URL, p)
		}
		if p.Expression == "" {
			without = append(without, p.Code)
		}
	}
	slices.Sort(without)
	if !slices.Equal(without, []string{"_content", "_query", "_text"}) {
		t.Errorf("without expression: %v", without)
	}
}

// https://hl7.org/fhir/R4/compartmentdefinition-patient.html
func TestPatientCompartment(t *testing.T) {
	if len(Compartments()) != 5 {
		t.Fatalf("%d compartments", len(Compartments()))
	}
	if CompartmentOf("Organization") != nil {
		t.Error("an organization has no compartment")
	}
	want := map[string][]string{"Observation": {"subject", "performer"}, "Patient": {"link"}, "Appointment": {"actor"}, "Organization": nil}
	for _, r := range CompartmentOf("Patient").Resources {
		if params, ok := want[r.Type]; ok {
			if !slices.Equal(r.Params, params) {
				t.Errorf("%s: %v, want %v", r.Type, r.Params, params)
			}
			delete(want, r.Type)
		}
	}
	if len(want) != 1 {
		t.Errorf("left: %v", want)
	}
}

func BenchmarkFirstStructure(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		var s Set
		if _, err := s.Structure("Patient"); err != nil {
			b.Fatal(err)
		}
	}
}
