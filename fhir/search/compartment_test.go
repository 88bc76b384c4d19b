package search

import (
	"slices"
	"testing"

	"meridian/fhir/definitions"
	"meridian/fhir/schema"
)

// Every parameter that an official CompartmentDefinition lists is one of the
// type, can name the compartment's resource, and can be searched.
func TestCompartmentDefinitions(t *testing.T) {
	r := testRegistry(t)
	for _, c := range definitions.Compartments() {
		for _, x := range c.Resources {
			for _, code := range x.Params {
				p, ok := r.Param(x.Type, code)
				if code != "{def}" && (!ok || p.Unsupported != "" || p.Kind != KindReference || !r.MayRefer(p, c.Code)) {
					t.Errorf("%s compartment: %s of %s: %+v", c.Code, code, x.Type, p)
				}
			}
			q, _, err := r.Parse(x.Type, nil, false)
			if err != nil {
				t.Fatal(err)
			}
			if in, ok := r.InCompartment(q, c.Code, "1"); !ok || len(in.Criteria) != 1 || len(in.Criteria[0].Of) != len(x.Params) {
				t.Errorf("%s compartment: %s: %+v", c.Code, x.Type, in)
			}
		}
	}
}

// https://hl7.org/fhir/R4/compartmentdefinition-patient.html
func TestCompartmentPlans(t *testing.T) {
	r := testRegistry(t)
	for _, c := range []struct{ of, typ, query, want string }{
		{"Patient", "Observation", "", "or(subject[Patient]=1, performer[Patient]=1)"},
		{"Patient", "Observation", "code=a", "and(or(subject[Patient]=1, performer[Patient]=1), code=a)"},
		{"Patient", "Condition", "", "or(subject[Patient]=1, asserter[Patient]=1)"},
		{"Patient", "Patient", "", "link[Patient]=1"},
		{"Encounter", "Encounter", "", "ids[1]"},
		{"Device", "Observation", "", "or(subject[Device]=1, device[Device]=1)"},
	} {
		q, _, err := r.Parse(c.typ, pairs(t, c.query), false)
		if err != nil {
			t.Fatal(err)
		}
		in, ok := r.InCompartment(q, c.of, "1")
		if !ok {
			t.Errorf("%s is not in the %s compartment", c.typ, c.of)
			continue
		}
		plan, err := r.Compile(in)
		if err != nil || show(plan.Where) != c.want {
			t.Errorf("%s in %s: %s, %v, want %s", c.typ, c.of, show(plan.Where), err, c.want)
		}
	}
	q, _, _ := r.Parse("Medication", nil, false)
	if _, ok := r.InCompartment(q, "Patient", "1"); ok {
		t.Error("a Medication is in no patient's compartment")
	}
	if _, ok := r.InCompartment(q, "Organization", "1"); ok {
		t.Error("an Organization has no compartment")
	}
}

func TestParseAll(t *testing.T) {
	r := testRegistry(t)
	two := []string{"Patient", "Observation"}
	for _, c := range []struct {
		types   []string
		query   string
		lenient bool
		ok      bool
	}{
		{two, "_lastUpdated=ge2020&_sort=-_lastUpdated", false, true},
		{two, "identifier=1", false, true},
		{two, "code=1", false, false},
		{two, "code=1&identifier=1", true, true},
		{two, "_sort=date", false, false},
		{[]string{"Observation", "Encounter"}, "_sort=date", false, true},
		{[]string{"Composition", "Questionnaire"}, "_sort=title", false, true},
		{schema.ResourceTypes(), "_id=1&_tag=x", false, true},
		{schema.ResourceTypes(), "name=1", false, false},
	} {
		queries, warnings, err := r.ParseAll(c.types, pairs(t, c.query), c.lenient)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.query, err)
			continue
		}
		if err == nil && (len(queries) != len(c.types) || len(warnings) > 0 != c.lenient) {
			t.Errorf("%s: %d queries, %v", c.query, len(queries), warnings)
		}
		for i, q := range queries {
			if q.Type != c.types[i] || !slices.Equal(q.Canonical(), queries[0].Canonical()) {
				t.Errorf("%s: %s %v", c.query, q.Type, q.Canonical())
			}
		}
	}
}
