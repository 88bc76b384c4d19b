package validate

import (
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"meridian/fhir/codec"
	"meridian/fhir/fhirtest"
)

// FuzzValidate: whatever codec reads of a body is validated without a panic and within the limits.
func FuzzValidate(f *testing.F) {
	for i, x := range fhirtest.Examples(f) {
		if len(x.Body) < 5000 {
			f.Add(x.Body)
			if body, ok := mutate(x.Body, mutationKinds[i%len(mutationKinds)], uint64(i)); ok {
				f.Add(body)
			}
		}
	}
	v := New(Options{Codes: &fewCodes{}, Limits: Limits{Issues: 20, Checks: 200_000}})
	f.Fuzz(func(t *testing.T, body []byte) {
		tree, _ := codec.NewParser(codec.Options{MaxBytes: 1 << 20}).ParseWithIssues(body)
		if tree == nil {
			return
		}
		issues, err := v.Validate(t.Context(), tree.Root(), Params{})
		if err != nil {
			t.Fatal(err)
		}
		if len(issues) > 22 {
			t.Errorf("%d issues, 20 are allowed", len(issues))
		}
		for _, is := range issues {
			if is.Text == "" || is.Chinese == "" || is.Text == is.ID || is.Expression == "" && is.ID != "validate.more" {
				t.Errorf("%+v is not whole", is)
			}
		}
	})
}

// FuzzProfile: a StructureDefinition compiles without a panic, whatever it says.
func FuzzProfile(f *testing.F) {
	for _, name := range []string{"profile", "slicing", "extension"} {
		a, err := txtar.ParseFile("testdata/" + name + ".txtar")
		if err != nil {
			f.Fatal(err)
		}
		for _, x := range a.Files {
			if strings.HasPrefix(x.Name, "define") {
				f.Add([]byte(strings.ReplaceAll(string(x.Data), "Observation", "Patient")))
			}
		}
	}
	subject := root(f, `{"resourceType":"Patient","identifier":[{"system":"http://example.org/card"},{"value":"1"}],"contact":[{"name":{"text":"x"}}]}`)
	source := scripted{}
	v := New(Options{Source: source, Limits: Limits{Checks: 200_000}})
	f.Fuzz(func(t *testing.T, body []byte) {
		source["StructureDefinition http://example.org/p"] = body
		if _, err := v.Validate(t.Context(), subject, Params{Profiles: []string{"http://example.org/p"}}); err != nil {
			t.Fatal(err)
		}
	})
}
