package search

import (
	"strings"
	"testing"

	"meridian/fhir/element"
	"meridian/fhir/issue"
)

// https://hl7.org/fhir/R4/search.html#chaining, https://hl7.org/fhir/R4/search.html#has
func TestChainPlans(t *testing.T) {
	r := testRegistry(t)
	for _, c := range []struct{ typ, query, want string }{
		{"Observation", "subject:Patient.gender=male", "subject>Patient(gender=male)"},
		{"Observation", "patient.gender=male", "subject>Patient(gender=male)"},
		{"Observation", "subject.gender=male", "subject>Patient(gender=male)"},                                                               // Group, Device and Location have no gender
		{"Observation", "subject.type=person", "or(subject>Group(type=person), subject>Device(type=person), subject>Location(type=person))"}, // Patient has no type
		{"Observation", "patient.organization.name:exact=X", "subject>Patient(organization>Organization!(name=x))"},
		{"Observation", "patient.gender:not=male", "subject>Patient(not gender=male)"},
		{"Observation", "patient.gender:missing=true", "subject>Patient(not gender?)"},
		{"Observation", "patient.gender=male,female", "subject>Patient(or(gender=male, gender=female))"},
		{"Observation", "patient.gender=male&patient.active=true", "and(subject>Patient(gender=male), subject>Patient(active=true))"},
		{"Patient", "_has:Observation:patient:code=1234-5", "Observation.subject>(code=1234-5)"},
		{"Patient", "_has:Observation:patient:code:not=1234-5", "Observation.subject>(not code=1234-5)"},
		{"Patient", "_has:Observation:patient:_has:AuditEvent:entity:agent=Practitioner/1", "Observation.subject>(AuditEvent.entity>(agent[Practitioner]=1))"},
		{"Patient", "_has:Observation:patient:encounter.status=finished", "Observation.subject>(encounter>Encounter(status=finished))"},
		{"Observation", "patient._has:Encounter:patient:status=finished", "subject>Patient(Encounter.subject>(status=finished))"},
		{"Patient", "_list=42,43", "List.item>(ids[42 43])"},
		{"Patient", "_not-referenced=Observation:subject", "not Observation.subject>(all)"},
		{"Patient", "_not-referenced=Observation:patient", "not Observation.subject>(all)"},
		{"Patient", "_not-referenced=Appointment:*", "not or(Appointment.actor>(all), Appointment.supporting-info>(all))"},
	} {
		q, _, err := r.Parse(c.typ, pairs(t, c.query), false)
		if err != nil {
			t.Errorf("%s: %v", c.query, err)
			continue
		}
		plan, err := r.Compile(q)
		if err != nil || plan.Residual != nil || show(plan.Where) != c.want {
			t.Errorf("%s: %s, %v, want %s", c.query, show(plan.Where), err, c.want)
		}
	}
}

// The value of an untyped chain must be one for every type that has the
// parameter; a type without it, or where it is no reference, is passed over.
func TestUntypedChains(t *testing.T) {
	r := testRegistry(t)
	for query, ok := range map[string]bool{
		"subject.identifier=1":        true,
		"subject.organization.name=x": true, // Device has an organization too, Group none
		"entity.date=2020":            true, // of AuditEvent, to 146 types
	} {
		typ := "Observation"
		if strings.HasPrefix(query, "entity") {
			typ = "AuditEvent"
		}
		if _, _, err := r.Parse(typ, pairs(t, query), false); (err == nil) != ok {
			t.Errorf("%s: %v", query, err)
		}
	}
}

func TestMatchAmong(t *testing.T) {
	r := testRegistry(t)
	all := map[string]element.Node{}
	for _, body := range []string{
		`{"resourceType":"Patient","id":"p","gender":"male","name":[{"text":"张三"}],"managingOrganization":{"reference":"Organization/o"}}`,
		`{"resourceType":"Patient","id":"q","gender":"female"}`,
		`{"resourceType":"Organization","id":"o","name":"First"}`,
		`{"resourceType":"Observation","id":"x","status":"final","code":{"coding":[{"code":"a"}]},"subject":{"reference":"http://our.example/fhir/Patient/p"}}`,
		`{"resourceType":"Observation","id":"y","status":"final","code":{"coding":[{"code":"b"}]},"subject":{"reference":"Patient/q/_history/1"}}`,
		`{"resourceType":"Observation","id":"z","status":"final","code":{"coding":[{"code":"b"}]},"subject":{"reference":"Patient/none"}}`,
		`{"resourceType":"List","id":"l","status":"current","mode":"working","entry":[{"item":{"reference":"Patient/q"}}]}`,
	} {
		root := parseBody(t, []byte(body))
		all[root.Type().Name+"/"+root.Child("id").Text()] = root
	}
	others := Others{
		Resolve: func(typ, id string) (element.Node, bool) { n, ok := all[typ+"/"+id]; return n, ok },
		List: func(typ string) (out []element.Node) {
			for _, n := range all {
				if n.Type().Name == typ {
					out = append(out, n)
				}
			}
			return out
		},
	}
	for _, c := range []struct{ key, query string }{
		{"Observation/x", "subject:Patient.name=张"}, {"Observation/x", "subject.name=zhang"}, {"Observation/x", "patient.organization.name=first"},
		{"Observation/y", "patient.gender=female"}, {"Observation/y", "patient.organization:missing=true"}, {"Observation/y", "patient.gender:not=male"},
		{"Observation/y", "patient._list=l"}, {"Patient/p", "_has:Observation:patient:code=a"}, {"Patient/p", "_has:Observation:patient:code:not=b"},
		{"Patient/q", "_has:Observation:subject:code=b"}, {"Patient/q", "_list=l"}, {"Patient/p", "_not-referenced=List:item"}, {"Patient/p", "_not-referenced=List:*"}, {"Organization/o", "_has:Patient:organization:_has:Observation:patient:code=a"},
	} {
		typ, _, _ := strings.Cut(c.key, "/")
		q, _, err := r.Parse(typ, pairs(t, c.query), false)
		if c.query == "patient._list=l" {
			if e := issue.As(err); e == nil || e.Status != 400 {
				t.Errorf("%s: %v", c.query, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.query, err)
			continue
		}
		for key, root := range all {
			if root.Type().Name != typ {
				continue
			}
			if got, err := r.MatchAmong(q, root, others); err != nil || got != (key == c.key) {
				t.Errorf("%s?%s: %v, %v", key, c.query, got, err)
			}
		}
		if _, err := r.Match(q, all[c.key]); err == nil {
			t.Errorf("%s: decided without the other resources", c.query)
		}
	}
}

// Nothing is said to be unreferenced while it may be referred to by its canonical URL.
func TestNotReferencedOfCanonicals(t *testing.T) {
	r := testRegistry(t)
	for query, ok := range map[string]bool{"*:*": false, "QuestionnaireResponse:*": false, "Provenance:target": true, "Provenance:*": true} {
		_, _, err := r.Parse("Questionnaire", []Pair{{Name: "_not-referenced", Value: query}}, false)
		if (err == nil) != ok || err != nil && !strings.Contains(err.Error(), "canonical") {
			t.Errorf("Questionnaire?_not-referenced=%s: %v", query, err)
		}
	}
}
