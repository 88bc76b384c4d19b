package patch

import (
	"testing"

	"meridian/fhir/codec"
)

// benchmark applies a patch of three operations to an Observation of 600 bytes:
// parsing of the document, which is done once, is not in it; that of the result is.
func benchmark(b *testing.B, p *Patch, err error) {
	if err != nil {
		b.Fatal(err)
	}
	target := Target{Body: []byte(observation), Parser: codec.NewParser(codec.Options{})}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Apply(target); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkJSON(b *testing.B) {
	p, err := ParseJSON([]byte(`[{"op":"test","path":"/status","value":"final"},{"op":"replace","path":"/status","value":"amended"},{"op":"add","path":"/note/-","value":{"text":"x"}}]`), Limits{})
	benchmark(b, p, err)
}

func BenchmarkMerge(b *testing.B) {
	p, err := ParseMerge([]byte(`{"status":"amended","valueQuantity":{"value":12.0},"note":null}`), Limits{})
	benchmark(b, p, err)
}

func BenchmarkParameters(b *testing.B) {
	tree, err := codec.Parse([]byte(`{"resourceType":"Parameters"`+parameters("replace | Observation.status | valueCode=\"amended\"\n"+
		"replace | Observation.value.value | valueDecimal=12.0\nadd | Observation | name=note | valueAnnotation={\"text\":\"x\"}")+`}`), codec.Options{})
	if err != nil {
		b.Fatal(err)
	}
	p, err := ParseParameters(tree.Root(), Limits{})
	benchmark(b, p, err)
}
