package terminology

import (
	"strings"
	"testing"

	"meridian/fhir/issue"
)

// answers writes matches as equivalence code, in the order in which they came.
func answers(t Translation) string {
	var out []string
	for _, m := range t.Matches {
		out = append(out, strings.TrimSpace(m.Equivalence+" "+m.Concept.Code))
	}
	return strings.Join(out, ", ")
}

// https://hl7.org/fhir/R4/conceptmap.html: groups, unmapped, dependsOn; and official maps.
func TestTranslate(t *testing.T) {
	l, _ := library(t,
		"ConceptMap urn:m", `{"url":"urn:m","sourceUri":"urn:vs:a","targetUri":"urn:vs:b","group":[
			{"source":"urn:a","target":"urn:b","element":[{"code":"1","target":[{"code":"x","equivalence":"equal"},{"code":"y","equivalence":"wider"}]},{"code":"2","target":[{"equivalence":"unmatched"}]}],"unmapped":{"mode":"provided"}},
			{"source":"urn:a","target":"urn:c","element":[{"code":"1","target":[{"code":"z","equivalence":"narrower"}]}]}]}`,
		"ConceptMap urn:a1", `{"url":"urn:a1","group":[{"source":"urn:l","target":"urn:c","unmapped":{"mode":"other-map","url":"urn:a2"}}]}`,
		"ConceptMap urn:a2", `{"url":"urn:a2","group":[{"source":"urn:l","target":"urn:c","unmapped":{"mode":"other-map","url":"urn:a1"}}]}`)
	const gendersV2 = "http://hl7.org/fhir/ConceptMap/cm-administrative-gender-v2"
	for _, c := range []struct {
		p    TranslateParams
		want string
	}{
		{TranslateParams{Map: "urn:m", Codings: []Coding{{System: "urn:a", Code: "1"}}}, "equal x, wider y, narrower z"},
		{TranslateParams{Map: "urn:m", TargetSystem: "urn:c", Codings: []Coding{{System: "urn:a", Code: "1"}}}, "narrower z"},
		{TranslateParams{Map: "urn:m", Codings: []Coding{{System: "urn:a", Code: "2"}}}, "unmatched"},
		{TranslateParams{Map: "urn:m", Codings: []Coding{{System: "urn:a", Code: "3"}}}, "equal 3"},
		{TranslateParams{Map: "urn:m", Codings: []Coding{{System: "urn:other", Code: "1"}}}, ""},
		{TranslateParams{Map: "urn:m", Reverse: true, Codings: []Coding{{System: "urn:b", Code: "y"}}}, "narrower 1"},
		{TranslateParams{Source: "urn:vs:a", Target: "urn:vs:b", Codings: []Coding{{System: "urn:a", Code: "2"}}}, "unmatched"},
		{TranslateParams{Map: gendersV2, Codings: []Coding{{System: gender, Code: "female"}}}, "equal F"},
		{TranslateParams{Map: gendersV2 + "|4.0.1", Codings: []Coding{{System: gender, Code: "other"}, {System: gender, Code: "unknown"}}}, "wider A, wider O, equal U"},
	} {
		got, err := l.Translate(t.Context(), c.p)
		if err != nil || answers(got) != c.want {
			t.Errorf("%+v: got %q, want %q, %v", c.p, answers(got), c.want, err)
		}
	}
	if _, err := l.Translate(t.Context(), TranslateParams{Map: "urn:a1", Codings: []Coding{{System: "urn:l", Code: "1"}}}); issue.As(err) == nil || issue.As(err).Issues[0].Code != issue.Processing {
		t.Errorf("maps in a circle: %v", err)
	}
}
