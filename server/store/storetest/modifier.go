package storetest

import (
	"strings"
	"testing"

	"meridian/fhir/search"
)

// modifierQueries ask by every modifier, by composites, units, places and full text.
var modifierQueries = map[string][]string{
	"Patient": {"identifier:of-type=http://terminology.hl7.org/CodeSystem/v2-0203|MR|12345", "identifier:not=12345", "general-practitioner:text=good health", "organization:code-text=gastro", "organization:identifier=x",
		"_text=peter", "_content=chalmers peter", "_content=\"james chalmers\"", "_content=chalmers OR windsor", "_text:missing=true", "_content:missing=false", "gender:in=http://vs/http://hl7.org/fhir/administrative-gender#male",
		"gender:not-in=http://vs/http://hl7.org/fhir/administrative-gender#male", "_profile:below=http://hl7.org/fhir", "name:contains=ete", "name:exact=Peter"},
	"Observation": {"code:text=glucose", "code:text=blood", "code:code-text=glucose", "code:code-text=glucose [moles", "subject:text=van", "patient:code-text=p. van", "category:in=http://vs/http://terminology.hl7.org/CodeSystem/observation-category#vital-signs",
		"code:in=http://vs/http://loinc.org#", "code:not-in=http://vs/http://loinc.org#", "code:below=http://loinc.org|15074-8", "code:above=http://loinc.org|15074-81&status=final",
		"value-quantity=6.3|http://unitsofmeasure.org|mmol/L", "value-quantity=6300|http://unitsofmeasure.org|umol/L", "value-quantity=gt6200|http://unitsofmeasure.org|umol/L&_sort=-value-quantity", "value-quantity=le100|http://unitsofmeasure.org|[degF]", "value-quantity=ap36|http://unitsofmeasure.org|Cel",
		"code-value-quantity=15074-8$6.3", "code-value-quantity=http://loinc.org|15074-8$gt6000|http://unitsofmeasure.org|umol/L&_sort=date", "component-code-value-quantity=http://loinc.org|8480-6$gt100", "component-code-value-quantity=8462-4$gt100", "component-code-value-quantity=8462-4$lt100,8480-6$lt10",
		"combo-code-value-quantity=15074-8$6.3,8462-4$lt100", "combo-code-value-concept=x$y", "code-value-concept=http://loinc.org|$http://loinc.org|", "code-value-string=15074-8$x", "code-value-date=15074-8$gt2000", "_content=glucose&_sort=-date", "_text=\"body mass\""},
	"Questionnaire":     {"url:below=http://hl7.org/fhir/Questionnaire", "url:above=http://hl7.org/fhir/Questionnaire/3141/x", "code:text=clinical", "context-type-value=focus$x"},
	"CarePlan":          {"instantiates-canonical:below=http://hl7.org", "category:text=plan", "performer:text=peter", "_text=plan"},
	"Encounter":         {"class:in=http://vs/http://terminology.hl7.org/CodeSystem/v3-ActCode#IMP", "length=gt1|http://unitsofmeasure.org|h", "type:text=consult"},
	"DiagnosticReport":  {"code:text=blood", "_content=normal"},
	"ValueSet":          {"url:below=http://hl7.org/fhir/ValueSet", "url:below=http://hl7.org/fhir/Val", "url:above=http://hl7.org/fhir/ValueSet/example/1", "context-type-value=a$b", "context-type-quantity=a$gt5", "_content=loinc OR snomed", "url:below=http://hl7.org", "_text=(value OR codes) and set", "_content:missing=false"},
	"MedicationRequest": {"code:text=tablet", "medication:text=rivaroxaban", "intended-performer:text=x"},
	"Location":          {"near=52.3|5.4|50|km", "near=42.2565|-83.6945|11", "near=42.2|-83.6|10000|m", "near=0|179.9|20000", "near=-90|0|100,42.25|-83.69|5|[mi_us]", "near:missing=true", "type:text=room"},
}

// hierarchyQueries go by joins.
var hierarchyQueries = map[string][]string{
	"Patient":   {"_has:Observation:patient:component-code-value-quantity=http://loinc.org|8480-6$gt100", "_has:Observation:patient:code:text=glucose", "_filter=_has:Observation:patient:code-value-quantity eq \"15074-8$gt1\"", "_has:Observation:patient:value-quantity=gt1000|http://unitsofmeasure.org|umol/L"},
	"Location":  {"partof:below=Location/1", "partof:above=2", "organization:below=f001"},
	"Encounter": {"location:below=Location/1", "location:above=2", "service-provider:below=Organization/f001"},
}

// askModifiers asks what must be understood, and find something now and then.
func (w *fhirWorld) askModifiers(t *testing.T, typ string, joins bool) {
	before, queries := w.hits[typ], modifierQueries[typ]
	if joins {
		queries = append(queries[:len(queries):len(queries)], hierarchyQueries[typ]...)
	}
	for _, text := range queries {
		if _, _, err := w.registry.Parse(typ, pairsOf(text), false); err != nil {
			t.Errorf("%s?%s: %v", typ, text, err)
		}
		w.ask(t, typ, text)
	}
	if len(queries) > 0 && w.hits[typ] == before {
		t.Error("no modifier found anything")
	}
}

// codes expands http://vs/system#code to that code, or to all of the system
// where there is none, and takes a code for the ancestor of those that are longer by a 1.
type codes struct{}

func (codes) Expand(valueSet string) ([]search.CodeSet, error) {
	system, code, _ := strings.Cut(strings.TrimPrefix(valueSet, "http://vs/"), "#")
	if code == "" {
		return []search.CodeSet{{System: system, All: true}}, nil
	}
	return []search.CodeSet{{System: system, Codes: []string{code, "none"}}}, nil
}

func (codes) Descendants(_, code string) ([]string, error) { return []string{code + "1"}, nil }

func (codes) Ancestors(_, code string) ([]string, error) { return []string{code[:len(code)-1]}, nil }
