package search

import (
	"strings"
	"testing"

	"meridian/fhir/issue"
)

func filterQuery(r *Registry, typ, s string) (*Query, error) {
	q, _, err := r.Parse(typ, []Pair{{"_filter", s}}, false)
	return q, err
}

// The examples of https://hl7.org/fhir/R4/search_filter.html and each operator.
func TestFilter(t *testing.T) {
	r := testRegistry(t)
	patient := `{"resourceType":"Patient","id":"p","active":true,"gender":"male","birthDate":"1974-12-25","name":[{"family":"Chalmers","given":["Peter","James"]}],
		"identifier":[{"system":"http://h","value":"12"}],"managingOrganization":{"reference":"Organization/1"},"address":[{"city":"a \"b\" (c]"}]}`
	observation := `{"resourceType":"Observation","id":"o","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"1234-5"},{"system":"http://snomed.info/sct","code":"77"}]},
		"subject":{"reference":"Patient/p"},"effectivePeriod":{"start":"2020-01-01","end":"2020-03-31"},"valueQuantity":{"value":5.4,"system":"http://unitsofmeasure.org","code":"mg"}}`
	for _, c := range []struct {
		body, filter string
		want         bool
	}{
		{patient, `name co "ete"`, true}, {patient, `name co "xx"`, false}, {patient, `name co ete`, true},
		{patient, `given eq "peter" and birthdate ge 1970-10-10`, true}, {patient, `given eq "pete"`, false}, {patient, `given eq "PÉTER"`, true},
		{patient, `given ne "peter"`, true}, {patient, `family ne "chalmers"`, false}, {patient, `family sw cha`, true}, {patient, `family ew mers`, true}, {patient, `family ew mer`, false},
		{patient, `birthdate gt 1974`, false}, {patient, `birthdate ge 1974`, true}, {patient, `birthdate lt 1975`, true}, {patient, `birthdate eq 1974-12`, true}, {patient, `birthdate ne 1974-12`, false},
		{patient, `birthdate sa 1974-11`, true}, {patient, `birthdate eb 1974-11`, false}, {patient, `birthdate ap 1974-12`, true},
		{patient, `gender eq male`, true}, {patient, `gender ne male`, false}, {patient, `gender ne female`, true}, {patient, `identifier eq http://h|12`, true}, {patient, `identifier ne http://h|12`, false},
		{patient, `gender pr true`, true}, {patient, `gender pr false`, false}, {patient, `telecom pr false`, true},
		{patient, `organization re Organization/1`, true}, {patient, `organization eq 1`, true}, {patient, `organization ne 1`, false}, {patient, `organization ne 2`, true}, {patient, `link ne 2`, false},
		{patient, `not (gender eq male)`, false}, {patient, `not(gender eq female) and active eq true`, true},
		// and, or: from left to right without precedence
		{patient, `gender eq male or gender eq female and active eq false`, false}, {patient, `gender eq male or (gender eq female and active eq false)`, true},
		{patient, `gender eq female and active eq false or gender eq male`, true},
		{patient, `(gender eq male)`, true}, {patient, `((gender eq male) and (given eq "peter" or given eq "x"))`, true},
		{patient, `address-city eq "a \"b\" (c]"`, true}, {patient, `address-city co "(c"`, true}, {patient, `not (name co "zz" or name co "ete")`, false},
		{observation, `code eq http://loinc.org|1234-5`, true}, {observation, `code eq loinc|1234-5`, true}, {observation, `code eq snomed|1234-5`, false}, {observation, `code ne loinc|1234-5`, true},
		{observation, `value-quantity gt 5`, true}, {observation, `value-quantity eq 5.4|ucum|mg`, true}, {observation, `value-quantity lt 5.4|ucum|mg`, false}, {observation, `value-quantity ap 5`, true},
		{observation, `date po 2020-03`, true}, {observation, `date po 2020-04`, false}, {observation, `date po 2019`, false}, {observation, `date po 2020`, true},
		{observation, `date co 2020-02`, true}, {observation, `date co 2020-01-01`, true}, {observation, `date co 2020-03-31`, true}, {observation, `date co 2020-04-01`, false}, {observation, `date co 2020`, false},
		{observation, `_id eq o`, true}, {observation, `_lastUpdated pr false`, true},
	} {
		root := parseBody(t, []byte(c.body))
		q, err := filterQuery(r, root.Type().Name, c.filter)
		if err != nil {
			t.Errorf("%s: %v", c.filter, err)
			continue
		}
		if agree(t, r, q, root) != c.want {
			t.Errorf("%s: not %v", c.filter, c.want)
		}
	}
}

func TestFilterJoins(t *testing.T) {
	r := testRegistry(t)
	for _, c := range []struct{ typ, filter, want string }{
		{"Observation", `subject.name eq "pet"`, "or(subject>Group(…)…"},
		{"Observation", `subject:Patient.name co "pet"`, "subject>Patient!(or(name~pet, name:py~pet, name:cut?))"},
		{"Observation", `patient.organization.name eq "x" and status eq final`, "and(subject>Patient(organization>Organization(name=x)), status=final)"},
		{"Observation", `patient[gender eq male].birthdate pr true`, "subject>Patient(and(gender=male, birthdate?))"},
		{"Observation", `not (patient.gender eq male) or status eq final`, "or(not subject>Patient(gender=male), status=final)"},
		{"Patient", `gender eq male and _has:Observation:patient:code eq http://loinc.org|1234-5`, "and(gender=male, Observation.subject>(code[http://loinc.org]=1234-5))"},
		{"Observation", `(patient.name co "x" and value-string co "y")`, "and(subject>Patient!(or(name~x, name:py~x, name:cut?)), or(value-string~y, value-string:cut?))"},
	} {
		q, err := filterQuery(r, c.typ, c.filter)
		if err != nil {
			t.Errorf("%s: %v", c.filter, err)
			continue
		}
		plan, err := r.Compile(q)
		if err != nil {
			t.Errorf("%s: %v", c.filter, err)
			continue
		}
		if got := show(plan.Where); got != c.want && !strings.Contains(c.want, "…") {
			t.Errorf("%s: %s, want %s", c.filter, got, c.want)
		}
	}
}

func TestFilterRefusals(t *testing.T) {
	r := testRegistry(t)
	deep := strings.Repeat("(", MaxFilterDepth+1) + "status eq final" + strings.Repeat(")", MaxFilterDepth+1)
	for _, c := range []struct{ filter, id, text string }{
		{`status`, idInvalidValue, "at character 7: an operator is expected"},
		{`status is final`, idInvalidValue, "at character 8"},
		{`stauts eq final`, idUnknownParameter, `did you mean "status"?`},
		{`status eq`, idInvalidValue, "a value is expected"},
		{`status eq final and`, idInvalidValue, "a search parameter is expected"},
		{`status eq final or or`, idUnknownParameter, `"or"`},
		{`status eq final)`, idInvalidValue, "behind the end"},
		{`(status eq final`, idInvalidValue, "not closed"},
		{`not status eq final`, idInvalidValue, "parentheses"},
		{`status eq "final`, idInvalidValue, "JSON string"},
		{`status gt final`, idUnsupported, "the operator gt is not answered for the token parameter"},
		{`value-string gt "x"`, idUnsupported, "gt"},
		{`value-quantity co 5`, idUnsupported, "co"},
		{`date ge yesterday`, idInvalidValue, "cannot be read"},
		{`date ge ge2020`, idInvalidValue, "cannot be read"},
		{`status pr maybe`, idInvalidValue, "true or false"},
		{`related[type eq "has-component"].target pr false`, idUnknownParameter, `"related"`},
		{`status.name eq x`, idNoReference, "no reference"},
		{`subject.nothing eq x`, idUnknownParameter, `"subject"`},
		{`subject:Practitioner.name eq x`, idUnknownModifier, "cannot refer"},
		{`patient[gender eq male] eq 1`, idInvalidValue, "goes on behind a bracket"},
		{`patient[gender eq male.name eq 1`, idInvalidValue, "bracket"},
		{`_has:Provenance:target eq x`, idInvalidValue, "_has:Type"},
		{`patient.link:Patient.link:Patient.link:Patient.link:Patient.name eq x`, idTooMany, "at most 4"},
		{deep, idTooMany, "parentheses"},
		{"status eq a" + strings.Repeat(" or status eq a", MaxFilterTests), idTooMany, "comparisons"},
	} {
		_, err := filterQuery(r, "Observation", c.filter)
		e := issue.As(err)
		if e == nil || len(e.Issues) != 1 || e.Issues[0].ID != c.id || !strings.Contains(e.Issues[0].Text, c.text) || e.Status != 400 {
			t.Errorf("%s: %v, want %s … %s", c.filter, err, c.id, c.text)
		}
	}
	q, err := filterQuery(r, "Observation", `value-string co "x" or patient.gender eq male`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Compile(q); issue.As(err) == nil || issue.As(err).Status != 400 {
		t.Errorf("a join beside what only the body decides: %v", err)
	}
}

// FuzzFilter: no panic, no long time, and what is understood is decided alike on keys and on the resource.
func FuzzFilter(f *testing.F) {
	for _, s := range []string{`name co "pet"`, `given eq "peter" and birthdate ge 2014-10-10`, `not (gender eq male) or (active ne true)`, `organization.name sw x`,
		`general-practitioner[active eq true]:X.name eq 1`, `_has:Observation:patient:code eq loinc|1`, `name ew "\u0041"`, `birthdate po 2020`, `((`, `identifier in http://x`} {
		f.Add(s)
	}
	r := testRegistry(f)
	root := parseBody(f, []byte(`{"resourceType":"Patient","id":"p","active":true,"gender":"male","birthDate":"1974-12-25","name":[{"family":"张","given":["三"],"text":"Peter"}]}`))
	var facts Facts
	if err := r.Index(root, &facts); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		q, err := filterQuery(r, "Patient", s)
		if err != nil {
			if issue.As(err) == nil {
				t.Fatal(err)
			}
			return
		}
		plan, err := r.Compile(q)
		if err != nil {
			return
		}
		want, err := r.Match(q, root)
		if err != nil {
			return // it asks for other resources
		}
		got := MatchFacts(plan.Where, "p", &facts)
		if got && plan.Residual != nil {
			got, _ = plan.Residual(root.Tree().Src)
		}
		if got != want {
			t.Errorf("%s: plan says %v, Match %v: %s", s, got, want, show(plan.Where))
		}
	})
}
