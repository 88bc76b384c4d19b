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

// One Validator serves many at once, with the same verdicts as one after the other.
func TestConcurrent(t *testing.T) {
	var bodies [][]byte
	for i, x := range fhirtest.Examples(t) {
		if i%12 == 0 && len(x.Body) < maxMutated {
			bodies = append(bodies, x.Body)
		}
	}
	alone, shared := make([]int, len(bodies)), New(Options{})
	for i, b := range bodies {
		alone[i] = len(judge(t, New(Options{}), b))
	}
	for range 4 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			for i, b := range bodies {
				if got := len(judge(t, shared, b)); got != alone[i] {
					t.Errorf("body %d has %d errors, alone %d", i, got, alone[i])
				}
			}
		})
	}
}

// Limits end a validation with an issue that says so.
func TestLimits(t *testing.T) {
	tree := root(t, `{"resourceType":"Patient","contact":[{"gender":"male"},{"gender":"male"},{"gender":"male"},{"gender":"male"}]}`)
	ids := func(l Limits) (out []string) {
		issues, err := New(Options{Limits: l}).Validate(t.Context(), tree, Params{})
		if err != nil {
			t.Fatal(err)
		}
		for _, is := range issues {
			if is.Severity == issue.SevError || is.ID == "validate.more" {
				out = append(out, is.ID)
			}
		}
		return out
	}
	if got := ids(Limits{Issues: 2}); len(got) != 2 || got[1] != "validate.more" {
		t.Errorf("two issues are listed, one of them may be a warning: %v", got)
	}
	if got := ids(Limits{Checks: 5}); len(got) != 1 || got[0] != "validate.limit" {
		t.Errorf("after five checks: %v", got)
	}
	if got := ids(Limits{}); len(got) != 4 {
		t.Errorf("four contacts have neither name, telecom, address nor organization: %v", got)
	}
}

// Line and column are those of the element's value, from 1, in characters.
func TestPlaces(t *testing.T) {
	tree := root(t, "{\"resourceType\":\"Patient\",\n \"name\":[{\"text\":\"张三\"}], \"contact\":[{\"gender\":\"male\"}]}")
	issues, err := New(Options{}).Validate(t.Context(), tree, Params{})
	if err != nil {
		t.Fatal(err)
	}
	if last := issues[len(issues)-1]; last.Expression != "Patient.contact[0]" || last.Line != 2 || last.Column != 37 {
		t.Errorf("%s stands at line %d, column %d", last.Expression, last.Line, last.Column)
	}
}
