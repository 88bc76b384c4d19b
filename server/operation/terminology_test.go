package operation

import (
	"strings"
	"testing"

	"meridian/fhir/issue"
	"meridian/server/interaction"
	"meridian/server/store"
)

// Of each call: what its answer has, or how its error is called; and what it has not.
func TestTerminologyOperations(t *testing.T) {
	s := newService(t)
	put(t, s,
		`{"resourceType":"CodeSystem","id":"v1","url":"urn:s","version":"1","name":"S","status":"active","content":"complete","concept":[{"code":"a","concept":[{"code":"b"}]}]}`,
		`{"resourceType":"CodeSystem","id":"v2","url":"urn:s","version":"2","name":"S","status":"active","content":"complete","concept":[{"code":"a"},{"code":"b"}]}`,
		`{"resourceType":"CodeSystem","id":"more","url":"urn:more","status":"active","content":"supplement","supplements":"urn:s","property":[{"code":"unit","type":"code"}],
			"concept":[{"code":"a","property":[{"code":"unit","valueCode":"U/L"}]}]}`,
		`{"resourceType":"CodeSystem","id":"part","url":"urn:part","status":"active","content":"fragment","concept":[{"code":"x"}]}`,
		`{"resourceType":"ValueSet","id":"part","url":"urn:vs:part","status":"active","compose":{"include":[{"system":"urn:part"}]}}`,
		`{"resourceType":"ValueSet","id":"outer","url":"urn:vs:outer","status":"active","compose":{"include":[{"valueSet":["urn:vs:part"]}]}}`,
		`{"resourceType":"ValueSet","id":"listed","url":"urn:vs:listed","status":"active","compose":{"include":[{"system":"urn:part","concept":[{"code":"x"}]}]}}`)
	coding := func(name, version, code string) string {
		return `{"name":"` + name + `","valueCoding":{"system":"urn:s","version":"` + version + `","code":"` + code + `"}}`
	}
	const unclosed = `"http://hl7.org/fhir/StructureDefinition/valueset-unclosed","valueBoolean":true`
	for _, c := range []struct{ why, typ, name, body, has, hasNot string }{
		{"a supplement declares properties", "CodeSystem", "lookup", coding("coding", "1", "a") + `,{"name":"property","valueCode":"unit"}`, `"U/L"`, ""},
		{"subsumes, in version 1", "CodeSystem", "subsumes", coding("codingA", "1", "a") + "," + coding("codingB", "1", "b"), `"subsumes"`, ""},
		{"the version of the second counts", "CodeSystem", "subsumes", `{"name":"codingA","valueCoding":{"system":"urn:s","code":"a"}},` + coding("codingB", "1", "b"), `"subsumes"`, ""},
		{"two versions", "CodeSystem", "subsumes", coding("codingA", "1", "a") + "," + coding("codingB", "2", "b"), "subsumes.versions", ""},
		{"the coding names the version", "CodeSystem", "validate-code", `{"name":"url","valueUri":"urn:s"},` + coding("coding", "1", "a"), `"valueBoolean":true`, ""},
		{"another version than asked for", "CodeSystem", "validate-code", `{"name":"url","valueUri":"urn:s"},{"name":"version","valueString":"2"},` + coding("coding", "1", "a"), `"valueBoolean":false`, ""},
		{"a part of a system", "ValueSet", "expand", `{"name":"url","valueUri":"urn:vs:part"}`, unclosed, ""},
		{"a part, imported", "ValueSet", "expand", `{"name":"url","valueUri":"urn:vs:outer"}`, unclosed, ""},
		{"a list is closed", "ValueSet", "expand", `{"name":"url","valueUri":"urn:vs:listed"}`, `"x"`, unclosed},
	} {
		r, err := s.Operate(t.Context(), interaction.OperateParams{Name: c.name, Key: store.Key{Type: c.typ}, Body: []byte(`{"resourceType":"Parameters","parameter":[` + c.body + `]}`)})
		got := string(r.Body)
		if e := issue.As(err); e != nil {
			got = e.Issues[0].ID
		} else if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(got, c.has) || c.hasNot != "" && strings.Contains(got, c.hasNot) {
			t.Errorf("%s: %s", c.why, got)
		}
	}
}
