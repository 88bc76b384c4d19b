package schema

import (
	"slices"
	"testing"
)

func element(t *testing.T, typ, name string) *Element {
	t.Helper()
	row := ByName(typ)
	if row == nil {
		t.Fatalf("no type %s", typ)
	}
	for i := range row.Elements {
		if row.Elements[i].Name == name {
			return &row.Elements[i]
		}
	}
	t.Fatalf("no element %s.%s", typ, name)
	return nil
}

func typeNames(ids []ID) []string {
	var names []string
	for _, id := range ids {
		names = append(names, ByID(id).Name)
	}
	return names
}

// Counts of R4 4.0.1: 20 primitives, 41 complex types, 148 resources of which
// Resource and DomainResource are abstract (MetadataResource is a logical model); and ViewDefinition with its five parts.
func TestCounts(t *testing.T) {
	count := map[Kind]int{}
	for i := range types[1:] {
		row := &types[i+1]
		if row.ID != ID(i+1) {
			t.Errorf("row %d has ID %d", i+1, row.ID)
		}
		count[row.Kind]++
	}
	want := map[Kind]int{Primitive: 20, Complex: 41, Resource: 148 + 1, Backbone: 473 + 5}
	for k, n := range want {
		if count[k] != n {
			t.Errorf("kind %d: %d types, want %d", k, count[k], n)
		}
	}
	if n := len(ResourceTypes()); n != 146+1 {
		t.Errorf("%d concrete resource types, want 147", n)
	}
	if !slices.IsSorted(ResourceTypes()) {
		t.Error("resource types are not sorted")
	}
}

func TestEveryNameIsFound(t *testing.T) {
	names := 0
	for i := range types[1:] {
		row := &types[i+1]
		if got := ByName(row.Name); got != row {
			t.Errorf("ByName(%q) does not give its row", row.Name)
		}
		for k := range row.Properties() {
			p := &row.Properties()[k]
			names++
			if got, ok := row.Lookup([]byte(p.JSON)); !ok || got != p {
				t.Errorf("%s.%s is not found", row.Name, p.JSON)
			}
			e := &row.Elements[p.Element]
			if !slices.Contains(e.Types, p.Type) {
				t.Errorf("%s.%s has type %d, not a type of its element", row.Name, p.JSON, p.Type)
			}
			for _, wrong := range []string{p.JSON + "x", p.JSON[1:], "_" + p.JSON, "X" + p.JSON[1:]} {
				if got, ok := row.Lookup([]byte(wrong)); ok && got.JSON != wrong {
					t.Errorf("%s: %q finds %q", row.Name, wrong, got.JSON)
				}
			}
		}
	}
	t.Logf("%d types, %d JSON names", len(types)-1, names)
	for _, wrong := range []string{"", "patient", "Patientx", "Patient.", "http://hl7.org/fhir", "MetadataResource", "SimpleQuantity"} {
		if ByName(wrong) != nil {
			t.Errorf("ByName(%q) finds a type", wrong)
		}
	}
	if _, ok := ByID(0).Lookup([]byte("id")); ok {
		t.Error("the row of no type has a property")
	}
}

func TestElements(t *testing.T) {
	cases := []struct {
		rule, typ, name string
		check           func(*Element) bool
	}{
		{"id is an attribute of type string", "HumanName", "id", func(e *Element) bool { return e.Attr && typeNames(e.Types)[0] == "string" }},
		{"Extension.url is an attribute of type uri", "Extension", "url", func(e *Element) bool { return e.Attr && e.Min == 1 && typeNames(e.Types)[0] == "uri" }},
		{"a resource's id has type id and is no attribute", "Patient", "id", func(e *Element) bool { return !e.Attr && e.Path == "Patient.id" && typeNames(e.Types)[0] == "id" }},
		{"a choice lists its types in the order of the definition", "Observation", "value", func(e *Element) bool {
			return e.Choice && e.Path == "Observation.value[x]" && slices.Equal(typeNames(e.Types), []string{"Quantity", "CodeableConcept",
				"string", "boolean", "integer", "Range", "Ratio", "SampledData", "time", "dateTime", "Period"})
		}},
		{"an open choice has fifty types", "Extension", "value", func(e *Element) bool { return len(e.Types) == 50 }},
		{"a required binding to one system names it", "Patient", "gender", func(e *Element) bool {
			return e.Strength == 'r' && e.System == "http://hl7.org/fhir/administrative-gender" &&
				e.Binding == "http://hl7.org/fhir/ValueSet/administrative-gender" && e.Summary
		}},
		{"a preferred binding gives no system", "Patient", "language", func(e *Element) bool { return e.Strength == 'p' && e.System == "" }},
		{"a binding to two systems gives none", "OperationDefinition.parameter", "type", func(e *Element) bool { return e.Strength == 'r' && e.System == "" }},
		{"MIME types draw from urn:ietf:bcp:13", "Attachment", "contentType", func(e *Element) bool { return e.System == "urn:ietf:bcp:13" }},
		{"a content reference is the same type", "Questionnaire.item", "item", func(e *Element) bool {
			return e.Repeats() && e.Types[0] == ByName("Questionnaire.item").ID
		}},
		{"a content reference into another branch", "Bundle.entry", "link", func(e *Element) bool { return e.Types[0] == ByName("Bundle.link").ID }},
		{"contained has type Resource", "Patient", "contained", func(e *Element) bool { return e.Max == Unbounded && e.Types[0] == TypeResource }},
		{"entry.resource has type Resource", "Bundle.entry", "resource", func(e *Element) bool { return e.Max == 1 && e.Types[0] == TypeResource }},
		{"Parameters.parameter.resource has type Resource", "Parameters.parameter", "resource", func(e *Element) bool { return e.Types[0] == TypeResource }},
		{"a reference names its targets", "Observation", "subject", func(e *Element) bool {
			return slices.Equal(e.Targets, []string{"Patient", "Group", "Device", "Location"})
		}},
		{"a modifier element", "Observation", "status", func(e *Element) bool { return e.Modifier && e.Min == 1 && e.Max == 1 }},
		{"narrative is xhtml", "Narrative", "div", func(e *Element) bool { return typeNames(e.Types)[0] == "xhtml" && ByID(e.Types[0]).Kind == Primitive }},
		{"a profile of Quantity is a Quantity", "Range", "low", func(e *Element) bool { return e.Types[0] == TypeQuantity }},
		{"an element type inside a datatype is a backbone", "Dosage", "doseAndRate", func(e *Element) bool {
			b := ByID(e.Types[0])
			return b.Kind == Backbone && b.Name == "Dosage.doseAndRate" && b.Base == TypeElement
		}},
	}
	for _, c := range cases {
		if e := element(t, c.typ, c.name); !c.check(e) {
			t.Errorf("%s: %+v", c.rule, *e)
		}
	}
}

func TestPrimitiveHasIDAndExtensionOnly(t *testing.T) {
	for i := range types[1:] {
		row := &types[i+1]
		if row.Kind != Primitive || row.Name == "xhtml" { // xhtml.extension has max 0
			continue
		}
		if len(row.Elements) != 2 || row.Elements[0].Name != "id" || row.Elements[1].Name != "extension" {
			t.Errorf("%s: %+v", row.Name, row.Elements)
		}
	}
}

func TestInheritance(t *testing.T) {
	cases := []struct {
		typ, base ID
		want      bool
	}{
		{TypeAge, TypeQuantity, true}, {TypeAge, TypeElement, true}, {TypeQuantity, TypeAge, false},
		{TypePatient, TypeDomainResource, true}, {TypePatient, TypeResource, true}, {TypeBundle, TypeDomainResource, false},
		{TypeCode, TypeString, true}, {TypeUrl, TypeUri, true}, {TypeTiming, TypeBackboneElement, true},
	}
	for _, c := range cases {
		if got := ByID(c.typ).IsA(c.base); got != c.want {
			t.Errorf("%s is a %s: %v", ByID(c.typ).Name, ByID(c.base).Name, got)
		}
	}
	if names := ByName("Patient").Elements[0:4]; names[0].Name != "id" || names[1].Name != "meta" || names[2].Name != "implicitRules" || names[3].Name != "language" {
		t.Error("inherited elements do not come first")
	}
}

func TestLookupDoesNotAllocate(t *testing.T) {
	row, name, long := ByName("Observation"), []byte("valueCodeableConcept"), "ExplanationOfBenefit.addItem.detail.subDetail"
	if n := testing.AllocsPerRun(100, func() {
		row.Lookup(name)
		ByName(long)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkLookup(b *testing.B) {
	row := ByName("Observation")
	var names [][]byte
	for _, n := range []string{"id", "meta", "status", "category", "code", "subject", "effectiveDateTime", "issued", "valueQuantity", "interpretation", "referenceRange"} {
		names = append(names, []byte(n))
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, ok := row.Lookup(names[i]); !ok {
			b.Fatal("not found")
		}
		if i++; i == len(names) {
			i = 0
		}
	}
}

func BenchmarkByName(b *testing.B) {
	names := []string{"Patient", "Observation", "Bundle.entry", "HumanName", "Questionnaire.item"}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if ByName(names[i]) == nil {
			b.Fatal("not found")
		}
		if i++; i == len(names) {
			i = 0
		}
	}
}
