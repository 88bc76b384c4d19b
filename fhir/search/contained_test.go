package search

import (
	"slices"
	"testing"
)

const prescription = `{"resourceType":"MedicationRequest","id":"r","contained":[{"resourceType":"Medication","id":"m1","code":{"coding":[{"system":"http://x","code":"1"}]},"status":"active"},` +
	`{"resourceType":"Medication","id":"m2","code":{"coding":[{"system":"http://x","code":"2"}]},"status":"inactive"},{"resourceType":"Organization","id":"o","name":"Zhang 三"}],` +
	`"status":"active","intent":"order","medicationReference":{"reference":"#m1"},"subject":{"reference":"Patient/1"}}`

// https://hl7.org/fhir/R4/search.html#contained
func TestContainedResources(t *testing.T) {
	r := testRegistry(t)
	root := parseBody(t, []byte(prescription))
	var f Facts
	if err := r.Index(root, &f); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		typ, query string
		want       []string
	}{
		{"Medication", "_contained=true", []string{"m1", "m2"}},
		{"Medication", "code=1&_contained=true", []string{"m1"}},
		{"Medication", "code=http://x|2&_contained=true", []string{"m2"}},
		{"Medication", "code=http://x|&_contained=true", []string{"m1", "m2"}},
		{"Medication", "code=1&status=inactive&_contained=true", nil}, // each of another one
		{"Medication", "code=1,2&status:not=inactive&_contained=true", []string{"m1"}},
		{"Medication", "code=3&_contained=true", nil},
		{"Medication", "_id=m2&_contained=true", []string{"m2"}},
		{"Medication", "expiration-date:missing=true&_contained=true", []string{"m1", "m2"}},
		{"Organization", "name=zhang&_contained=true", []string{"o"}},
		{"Organization", "name:contains=ang&_contained=both", []string{"o"}},
		{"Organization", "name:exact=zhang&_contained=true", nil},
		{"Medication", "_filter=code eq http://x|1 or status eq inactive&_contained=true", []string{"m1", "m2"}},
		{"Patient", "_contained=true", nil},
		{"MedicationRequest", "status=active&_contained=true", nil},
	} {
		q := query(t, r, c.typ, c.query)
		nodes, err := r.ContainedMatches(q, root)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, n := range nodes {
			got = append(got, n.Child("id").Text())
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s?%s: %v, want %v", c.typ, c.query, got, c.want)
		}
		plan, err := r.CompileContained(q, "MedicationRequest", false)
		if err != nil {
			t.Fatal(err)
		}
		found := MatchFacts(plan.Where, "r", &f)
		if found {
			if found, err = plan.Residual([]byte(prescription)); err != nil {
				t.Fatal(err)
			}
		}
		if found != (len(c.want) > 0) {
			t.Errorf("%s?%s: the plan says %v", c.typ, c.query, found)
		}
	}
	if plan, _ := r.CompileContained(query(t, r, "Medication", "code=http://x|1&_contained=true"), "MedicationRequest", false); show(plan.Where) != "and(_contained=Medication, _contained[Medication:code:http://x]=1)" {
		t.Error(show(plan.Where))
	}
}
