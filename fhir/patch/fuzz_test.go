package patch

import (
	"strconv"
	"testing"
	"time"

	"meridian/fhir/codec"
	"meridian/fhir/issue"
)

// fuzzApply: whatever the document, an error is one for clients, and a result
// is a resource that the document can be applied to again without a panic.
func fuzzApply(t *testing.T, p *Patch, err error) {
	target := Target{Parser: codec.NewParser(codec.Options{}), Now: time.Unix(0, 0)}
	for _, body := range []string{observation, patient} {
		for range 2 {
			if err == nil {
				target.Body = []byte(body)
				var out []byte
				if out, err = p.text(target); err == nil {
					if _, err = target.Parser.Parse(out); err == nil {
						body = string(out)
						continue
					}
				}
			}
			if issue.As(err) == nil {
				t.Fatalf("an error that is not for clients: %v", err)
			}
			return
		}
	}
}

func FuzzJSON(f *testing.F) {
	for _, seed := range []string{
		`[{"op":"add","path":"/note/-","value":{"text":"x"}},{"op":"move","from":"/note/0","path":"/note/1"},{"op":"test","path":"/status","value":"final"}]`,
		`[{"op":"copy","from":"","path":"/contained/0"},{"op":"remove","path":"/name/0/_given/1/id"},{"op":"replace","path":"","value":{"resourceType":"Basic"}}]`,
		`[{"op":"add","path":"/~0~1","value":1.0e1}]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		p, err := ParseJSON(src, Limits{Bytes: 1 << 16, Nodes: 1 << 12})
		fuzzApply(t, p, err)
	})
}

func FuzzMerge(f *testing.F) {
	for _, seed := range []string{`{"status":"amended","valueQuantity":{"unit":null,"x":{"y":null}}}`, `{"name":[{"given":[null]}],"_birthDate":null}`, `{"a":{},"a":null}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		p, err := ParseMerge(src, Limits{Bytes: 1 << 16, Nodes: 1 << 12})
		fuzzApply(t, p, err)
	})
}

// FuzzParameters applies an operation twice; value is the member of the part that
// holds the value, as JSON.
func FuzzParameters(f *testing.F) {
	operations := []string{"add", "insert", "delete", "replace", "move"}
	for _, seed := range []struct {
		op                uint8
		path, name, value string
		i, j              uint8
	}{
		{0, "Patient", "birthDate", `"valueDate":"1990"`, 0, 0},
		{0, "Patient", "contained", `"resource":{"resourceType":"Basic"}`, 0, 0},
		{0, "$this", "component", `"part":[{"name":"code","valueCodeableConcept":{"text":"c"}},{"name":"value","valueQuantity":{"value":1.0}}]`, 0, 0},
		{1, "Patient.name[0].given", "", `"valueString":"x","_valueString":{"id":"i"}`, 1, 0},
		{1, "Patient.address", "", `"valueAddress":{"city":"c"}`, 0, 0},
		{2, "descendants().where(text.exists()).first()", "", "", 0, 0},
		{3, "Observation.component[0].value", "", `"valueString":"x"`, 0, 0},
		{4, "Observation.note", "", "", 0, 2},
	} {
		f.Add(seed.op, seed.path, seed.name, seed.value, seed.i, seed.j)
	}
	f.Fuzz(func(t *testing.T, op uint8, path, name, value string, i, j uint8) {
		operation := operations[int(op)%len(operations)]
		b := []byte(`{"name":"operation","part":[{"name":"type","valueCode":"` + operation + `"},{"name":"path","valueString":`)
		b = append(codec.AppendString(b, path), '}')
		parts, _ := partsOf(operation)
		for _, part := range parts {
			b = append(b, `,{"name":"`+part+`",`...)
			switch part {
			case "name":
				b = codec.AppendString(append(b, `"valueString":`...), name)
			case "value":
				b = append(b, value...)
			case "destination":
				b = strconv.AppendInt(append(b, `"valueInteger":`...), int64(j), 10)
			default:
				b = strconv.AppendInt(append(b, `"valueInteger":`...), int64(i), 10)
			}
			b = append(b, '}')
		}
		src := `{"resourceType":"Parameters","parameter":[` + string(b) + `]},` + string(b) + `]}]}`
		tree, err := codec.Parse([]byte(src), codec.Options{})
		if err != nil {
			return
		}
		p, err := ParseParameters(tree.Root(), Limits{})
		fuzzApply(t, p, err)
	})
}
