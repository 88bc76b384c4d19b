package validate

import (
	"strings"
	"testing"

	"meridian/fhir/codec"
	"meridian/fhir/element"
	"meridian/fhir/fhirtest"
	"meridian/fhir/issue"
)

// root parses a resource, which codec must find valid.
func root(t testing.TB, body string) element.Node {
	t.Helper()
	tree, err := codec.Parse([]byte(body), codec.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return tree.Root()
}

// faults gives the issues that are no information, as "severity id place".
func faults(t testing.TB, v *Validator, body string, profiles ...string) (out []string) {
	t.Helper()
	issues, err := v.Validate(t.Context(), root(t, body), Params{Profiles: profiles})
	if err != nil {
		t.Fatal(err)
	}
	for _, is := range issues {
		if is.Severity != issue.Information && is.ID != "invariant" {
			out = append(out, string(is.Severity)+" "+is.ID+" "+is.Expression)
		} else if is.ID == "invariant" && is.Severity != issue.Warning {
			key, _, _ := strings.Cut(is.Text, ":")
			out = append(out, string(is.Severity)+" "+key+" "+is.Expression)
		}
	}
	return out
}

func TestExamplesAreValid(t *testing.T) {
	v := New(Options{})
	for _, x := range fhirtest.Examples(t) {
		tree, err := codec.Parse(x.Body, codec.Options{})
		if err != nil {
			t.Errorf("%s: %v", x.Name, err)
			continue
		}
		issues, err := v.Validate(t.Context(), tree.Root(), Params{})
		if err != nil {
			t.Fatal(err)
		}
		bad := false
		for _, is := range issues {
			if bad = bad || is.Severity == issue.SevError; is.Severity == issue.SevError && exceptions[x.Name] == "" {
				t.Errorf("%s: %s %s: %s", x.Name, is.ID, is.Expression, is.Text)
			}
		}
		if !bad && exceptions[x.Name] != "" {
			t.Errorf("%s has no error any more; take it off the list", x.Name)
		}
	}
}
