package operation

import (
	"fmt"
	"strings"
	"testing"

	"meridian/fhir/codec"
	"meridian/fhir/issue"
	"meridian/server/interaction"
)

const pathResource = `{"name":"resource","resource":{"resourceType":"Patient","id":"x","active":true,"name":[{"family":"王","given":["小","明"]}],"managingOrganization":{"reference":"Organization/o"},"contained":[{"resourceType":"Organization","id":"c"}]}}`

func callFHIRPath(t testing.TB, s *interaction.Service, expression string, more ...string) ([]byte, error) {
	body := `{"resourceType":"Parameters","parameter":[{"name":"expression","valueString":` + string(codec.AppendString(nil, expression)) + `},` + strings.Join(append(more, pathResource), ",") + `]}`
	r, err := s.Operate(t.Context(), interaction.OperateParams{Name: "fhirpath", Body: []byte(body)})
	return r.Body, err
}

// Each result has its type, and its path where it is an element.
func TestFHIRPathResults(t *testing.T) {
	s := newService(t)
	put(t, s, `{"resourceType":"Organization","id":"o","name":"医院"}`)
	for expression, want := range map[string]string{
		"name.given.first()":                     `{"name":"string","extension":[{"url":"` + resourcePathURL + `","valueString":"Patient.name[0].given[0]"}],"valueString":"小"}`,
		"5.40":                                   `{"name":"decimal","valueDecimal":5.40}`,
		"contained":                              `{"name":"Organization","extension":[{"url":"` + resourcePathURL + `","valueString":"Patient.contained[0]"}],"resource":{"resourceType":"Organization","id":"c"}}`,
		"managingOrganization.resolve().name":    `"valueString":"医院"}`,
		"'a' & ''":                               `{"name":"string","valueString":"a"}`,
		"4 'mg'":                                 `{"name":"Quantity","valueQuantity":{"value":4,"system":"http://unitsofmeasure.org","code":"mg"}}`,
		"%resource.id = %rootResource.id":        `{"name":"boolean","valueBoolean":true}`,
		"getResourceKey()":                       `{"name":"string","valueString":"Patient/x"}`,
		"defineVariable('a', 2).select(%a * %a)": `{"name":"integer","valueInteger":4}`,
		"0''":                                    `{"name":"Quantity","valueQuantity":{"value":0}}`,
		"4 ' mg'":                                `{"name":"Quantity","valueQuantity":{"value":4,"unit":" mg"}}`,
		"trace('').id":                           `{"name":"trace","valueString":"\"\"","part":[`,
		"{}":                                     `{"name":"result"}]}`,
	} {
		body, err := callFHIRPath(t, s, expression)
		if err != nil || !strings.Contains(string(body), want) {
			t.Errorf("%s: %v\n%s\nwant %s", expression, err, body, want)
		}
	}
}

func TestFHIRPathRefuses(t *testing.T) {
	s := newService(t)
	for _, c := range []struct{ rule, expression, more, want string }{
		{"a context of too many", "1", `{"name":"context","valueString":"'` + strings.Repeat("a,", maxPathContexts) + `'.split(',')"}`, "fhirpath.contexts"},
		{"an answer that is too large", strings.Repeat("'a,b,c,d,e,f,g,h'.split(',').select(", 5) + "%resource.combine(%resource)" + strings.Repeat(")", 5), "", "fhirpath.answer"},
		{"a variable twice", "1", `{"name":"variables","part":[{"name":"a","valueCode":"x"},{"name":"a","valueCode":"y"}]}`, "fhirpath.variable"},
		{"a variable without value", "1", `{"name":"variables","part":[{"name":"a"}]}`, "operation.parameter-type"},
		{"an argument of %terminologies that is none", "%terminologies.lookup('x' | 'y')", "", "fhirpath.terminologies"},
		{"deep nesting", strings.Repeat("(", 2000) + "1" + strings.Repeat(")", 2000), "", "fhirpath.expression"},
		{"a repeat without end", "repeat($this.toString() & 'a')", "", "fhirpath.expression"},
		{"two expressions", "1", `{"name":"expression","valueString":"2"}`, "operation.parameter-repeats"},
	} {
		var more []string
		if c.more != "" {
			more = append(more, c.more)
		}
		_, err := callFHIRPath(t, s, c.expression, more...)
		if e := issue.As(err); e == nil || e.Issues[0].ID != c.want {
			t.Errorf("%s: %v, want %s", c.rule, err, c.want)
		}
	}
}

// Whatever the expression, the answer is a valid Parameters or an error that a client may see.
func FuzzFHIRPath(f *testing.F) {
	for _, s := range []string{"name.given", "trace('a').name.select(given & 'x')", "%resource.descendants().type()", "@T14 | @2026-01-02T10 | 4 days | 1.0", "repeat(children()).ofType(string)",
		"%terminologies.expand('http://hl7.org/fhir/ValueSet/administrative-gender').expansion.contains.code", "managingOrganization.resolve()", "'\\u0000'", "name.memberOf('x')"} {
		f.Add(s)
	}
	s := newService(f)
	f.Fuzz(func(t *testing.T, expression string) {
		body, err := callFHIRPath(t, s, expression, `{"name":"validate","valueBoolean":false}`)
		if err != nil {
			if issue.As(err) == nil {
				t.Fatal(err)
			}
			return
		}
		if _, err := codec.Parse(body, codec.Options{Type: "Parameters"}); err != nil {
			t.Fatal(fmt.Errorf("%w in %s", err, body))
		}
	})
}
