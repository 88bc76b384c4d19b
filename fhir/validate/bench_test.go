package validate

import (
	"testing"

	"meridian/fhir/codec"
	"meridian/fhir/element"
	"meridian/fhir/fhirtest"
)

func example(b *testing.B, name string) element.Node {
	for _, x := range fhirtest.Examples(b) {
		if x.Name == name {
			tree, err := codec.Parse(x.Body, codec.Options{})
			if err != nil {
				b.Fatal(err)
			}
			return tree.Root()
		}
	}
	b.Fatal("no example", name)
	return element.Node{}
}

// What a parsed resource costs, everything compiled.
func BenchmarkValidate(b *testing.B) {
	for _, name := range []string{"observation-example-f004-erythrocyte.json", "observation-example-bmi.json", "patient-example.json", "bundle-example.json"} {
		b.Run(name, func(b *testing.B) {
			v, n := newOfficial(), example(b, name)
			if _, err := v.Validate(b.Context(), n, Params{}); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Validate(b.Context(), n, Params{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// What the first resource of a type costs, with a profile.
func BenchmarkCompile(b *testing.B) {
	n := example(b, "observation-example-bmi.json")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := New(Options{}).Validate(b.Context(), n, Params{}); err != nil {
			b.Fatal(err)
		}
	}
}
