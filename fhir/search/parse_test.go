package search

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"meridian/fhir/issue"
)

func TestRefusals(t *testing.T) {
	r := testRegistry(t)
	for _, c := range []struct{ query, id, text string }{
		{"cod=1", idUnknownParameter, `did you mean "code"?`},
		{"Subject=1", idUnknownParameter, `did you mean "subject"?`},
		{"value-quanttiy=1", idUnknownParameter, `did you mean "value-quantity"?`},
		{"_cuont=1", idUnknownParameter, `did you mean "_count"?`},
		{"zzzzzz=1", idUnknownParameter, `no search parameter "zzzzzz" for Observation`},
		{"code:nott=1", idUnknownModifier, "did you mean :not?"},
		{"subject:Pateint=1", idUnknownModifier, "did you mean :Patient?"},
		{"code:in=http://x", idTerminology, `code:in of "http://x": there is no such value set`},
		{"code:above=http://x|broken", idTerminology, "the terminology does not answer"},
		{"code:above=x", idInvalidValue, "system|code"},
		{"code:below=x|", idInvalidValue, "system|code"},
		{"code:text=--", idInvalidValue, "no word"},
		{"code:code-text=--", idInvalidValue, "no word"},
		{"status:text=final", idModifierNotForKind, "no text stands beside"},
		{"_id:text=final", idModifierNotForKind, "it is an id"},
		{"code:of-type=a|b|c", idModifierNotForKind, "no identifiers"},
		{"identifier:of-type=a|b", idInvalidValue, "system|code|value"},
		{"identifier:of-type=a||c", idInvalidValue, "system|code|value"},
		{"value-string:text=a", idModifierNotForKind, "not for a string parameter"},
		{"subject:below=Patient/1", idInvalidValue, "no hierarchy of \"Patient\""},
		{"specimen:below=http://other/Specimen/1", idInvalidValue, "another server"},
		{"value-concept.x:below=1", idNoReference, ""},
		{"derived-from:below=Patient/1", idModifierNotForKind, "no hierarchy"},
		{"instantiates-uri:below=urn:oid:1.2", idUnknownParameter, ""},
		{"_source:below=urn:oid:1.2", idInvalidValue, "URN"},
		{"_profile:text=x", idModifierNotForKind, "not for a uri parameter"},
		{"date:below=2020", idModifierNotForKind, "not for a date parameter"},
		{"code-value-quantity:missing=true", idModifierNotForKind, "not for a composite parameter"},
		{"code-value-quantity:exact=a$1", idModifierNotForKind, "not for a composite parameter"},
		{"code:exact=x", idModifierNotForKind, "not for a token parameter"},
		{"date:not=2020", idModifierNotForKind, "not for a date parameter"},
		{"subject:Practitioner=1", idUnknownModifier, `"subject" cannot refer to a Practitioner`},
		{"code:Patient=1", idModifierNotForKind, "not for a token parameter"},
		{"code-value-quantity=a", idInvalidValue, "it is not code$value-quantity"},
		{"code-value-quantity=a$1$2", idInvalidValue, "it is not code$value-quantity"},
		{"code-value-quantity=a$", idInvalidValue, "value-quantity: it is empty"},
		{"code-value-quantity=a$b", idInvalidValue, "value-quantity: it is not a decimal number"},
		{`code-value-quantity=a\$1`, idInvalidValue, "it is not code$value-quantity"},
		{"_text=x", idUnsupported, "full-text"},
		{"_content=x", idUnsupported, "full-text"},
		{"status.name=x", idNoReference, `"status" of Observation is a token parameter, no reference`},
		{"subject:Pateint.name=x", idUnknownModifier, `did you mean "Patient"?`},
		{"subject:Practitioner.name=x", idUnknownModifier, `"subject" cannot refer to a Practitioner`},
		{"subject:Patient.nam=x", idUnknownParameter, `no search parameter "nam" for Patient; did you mean "name"?`},
		{"subject.nothing=x", idUnknownParameter, `no type that "subject" refers to has a search parameter "nothing"`},
		{"subject:Patient.birthdate=x", idInvalidValue, "date"},
		{"subject.name:nott=x", idUnknownModifier, "did you mean :not?"},
		{"patient.link:Patient.link:Patient.link:Patient.link:Patient.name=x", idTooMany, "at most 4 references"},
		{"focus.focus.focus=x", idTooMany, "name the types"},
		{"subjekt.name=x", idUnknownParameter, `did you mean "subject"?`},
		{"_has:Provenance:target=1", idInvalidValue, "_has:Type:reference:parameter"},
		{"_has:Provenence:target:agent=1", "search.unknown-type", "_has"},
		{"_has:Provenance:agent:agent=1", idUnsupported, "does not refer to a Observation"},
		{"_has:Provenance:target:agnt=1", idUnknownParameter, `did you mean "agent"?`},
		{"_has:Provenance:recorded:agent=1", idNoReference, "no reference"},
		{"_list=$current-problems", idUnsupported, "functional"},
		{"_list=a b", idInvalidValue, "_list"},
		{"_not-referenced=Provenance", idInvalidValue, "Type:reference"},
		{"_not-referenced=*:subject", idInvalidValue, "Type:reference"},
		{"_not-referenced=Provenance:target,List:item", idInvalidValue, "several parameters"},
		{"_not-referenced=Provenence:target", idInvalidValue, `did you mean "Provenance"?`},
		{"_not-referenced=Provenance:targe", idUnknownParameter, `did you mean "target"?`},
		{"_not-referenced=Provenance:agent", idInvalidValue, "does not refer to a Observation"},
		{"_not-referenced=Organization:*", idInvalidValue, "can refer to a Observation"},
		{"_not-referenced=Provenance:target&_contained=true", idUnsupported, "chains"},
		{"_contained=maybe", idInvalidValue, "true, both, false"},
		{"_containedType=x", idInvalidValue, "container, contained"},
		{"_contained=true&_sort=date", idUnsupported, "_sort"},
		{"_contained=both&patient.name=x", idUnsupported, "chains"},
		{"_contained=true&_include=*", idUnsupported, "includes"},
		{"_include:recurse=Observation:subject", idUnknownModifier, "send :iterate"},
		{"_include:iterate=Patient:code", idUnknownParameter, "no reference parameter"},
		{"_include=Patient:*", idUnsupported, "starts at the searched type Observation"},
		{"_revinclude=Provenance:target:Patient", idInvalidValue, "the target is the searched type"},
		{"_sort=subject.name", idNotSortable, "by their own values"},
		{"_include=Patient:organization", idUnsupported, "starts at the searched type Observation"},
		{"_include=Observation:code", idUnknownParameter, "no reference parameter"},
		{"_include=Observation:subjct", idUnknownParameter, `did you mean "subject"?`},
		{"_include=Observation:subject:Practitioner", idInvalidValue, "does not refer to"},
		{"_include=subject", idInvalidValue, "Type:parameter"},
		{"_revinclude=Nothing:x", "search.unknown-type", "Nothing"},
		{"_revinclude=Provenance:agent", idInvalidValue, "does not refer to"},
		{"_sort=subjec", idUnknownParameter, `did you mean "subject"?`},
		{"_sort=combo-code", idNotSortable, "combo-code"},
		{"_sort=patient", idNotSortable, `part of "subject"`},
		{"_sort=-patient", idNotSortable, `part of "subject"`},
		{"_elements=stauts", idUnknownParameter, `did you mean "status"?`},
		{"_count=-1", idInvalidValue, "_count"},
		{"_count=5&_count=6", idInvalidValue, "twice"},
		{"_summary=yes", idInvalidValue, "true, text, data, count, false"},
		{"_total=all", idInvalidValue, "none, estimate, accurate"},
		{"_pretty=1", idInvalidValue, "_pretty"},
		{"date=2026-13", idInvalidValue, `"date"`},
		{"date=2026-02-30", idInvalidValue, `"date"`},
		{"date=xx2026", idInvalidValue, "prefix"},
		{"date=xx", idInvalidValue, "it is not a date or time"},
		{"date=eq", idInvalidValue, "it is not a date or time"},
		{"date=yesterday", idInvalidValue, "it is not a date or time"},
		{"value-quantity=abc", idInvalidValue, "it is not a decimal number"},
		{"value-quantity=xx5", idInvalidValue, "prefix"},
		{"value-quantity=xx-5", idInvalidValue, "prefix"},
		{"value-quantity=geabc", idInvalidValue, "it is not a decimal number"},
		{"date=2026-01-01T10:00:00 08:00", idInvalidValue, "%2B"},
		{"value-quantity=abc", idInvalidValue, "value-quantity"},
		{"value-quantity=1|x", idInvalidValue, "number|system|code"},
		{"value-quantity=1||", idInvalidValue, "unit"},
		{"cod=", idUnknownParameter, `did you mean "code"?`},
		{"code:50050", idUnknownModifier, "no modifier :50050"},
		{"code=a,", idInvalidValue, "empty"},
		{"code=a|b|c", idInvalidValue, "escaped"},
		{"code=|", idInvalidValue, "neither"},
		{"code:missing=maybe", idInvalidValue, "true or false"},
		{"subject=Patient/", idInvalidValue, "no id"},
		{"subject:Patient=Group/1", idInvalidValue, "it is an id"},
		{"_id=a b", idInvalidValue, "64"},
		{"code=\xff", idInvalidValue, "UTF-8"},
		{"value-string=--", idInvalidValue, "punctuation"},
	} {
		_, _, err := r.Parse("Observation", pairs(t, c.query), false)
		e := issue.As(err)
		if e == nil || len(e.Issues) != 1 || e.Issues[0].ID != c.id || !strings.Contains(e.Issues[0].Text, c.text) || e.Status != 400 {
			t.Errorf("%s: %v, want %s … %s", c.query, err, c.id, c.text)
		}
	}
}

func TestAllIssuesAreCollected(t *testing.T) {
	_, _, err := testRegistry(t).Parse("Observation", pairs(t, "cod=1&date=x&_count=x"), false)
	if e := issue.As(err); e == nil || len(e.Issues) != 3 {
		t.Error(err)
	}
	if _, _, err := testRegistry(t).Parse("Nothing", nil, true); issue.As(err) == nil {
		t.Error("an unknown type is an error, lenient or not")
	}
}

func TestErrorsDoNotRepeatValues(t *testing.T) {
	r := testRegistry(t)
	for _, q := range []string{"birthdate=19880501secret", "identifier=secret|secret|x", "general-practitioner=secret/"} {
		_, _, err := r.Parse("Patient", pairs(t, q), false)
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", q, err)
		}
	}
}

// https://hl7.org/fhir/R4/search.html#errors
func TestLenient(t *testing.T) {
	r := testRegistry(t)
	q, warnings, err := r.Parse("Observation", pairs(t, "cod=1&code:exact=x&status=final&_text=a&_sort=nothing&subject.nothing=x&_elements=code,bad,status"), true)
	if err != nil || len(warnings) != 6 {
		t.Fatal(err, warnings)
	}
	for _, w := range warnings {
		if w.Severity != issue.Warning || !strings.HasSuffix(w.Text, "; it was left out") {
			t.Errorf("%+v", w)
		}
	}
	if got := q.Canonical(); !slices.Equal(got, []Pair{{"status", "final"}, {"_elements", "code,status"}}) {
		t.Errorf("used %v", got)
	}
	plan, err := r.Compile(q)
	if err != nil || show(plan.Where) != "status=final" {
		t.Error(show(plan.Where), err)
	}
	if _, _, err := r.Parse("Observation", pairs(t, "date=x"), true); err == nil {
		t.Error("an unreadable value is an error in a lenient search too")
	}
}

// https://hl7.org/fhir/R4/http.html#search: empty parameters are not an error.
func TestEmptyParameters(t *testing.T) {
	for _, lenient := range []bool{true, false} {
		q, warnings, err := testRegistry(t).Parse("Observation", pairs(t, "code=&_count=&status=final"), lenient)
		if err != nil || len(warnings) != 2 || len(q.Criteria) != 1 || len(q.Canonical()) != 1 {
			t.Error(err, warnings)
		}
	}
}

func TestResultParameters(t *testing.T) {
	r := testRegistry(t)
	q := query(t, r, "Observation", "_count=0&_sort=-date,status&_total=accurate&_summary=data&_elements=status,code,status&_include=Observation:subject:Patient"+
		"&_include=Observation:encounter&_revinclude=Provenance:target&_format=json&_pretty=true&_contained=false")
	if q.Count != 0 || q.Total != TotalAccurate || q.Summary != SummaryData || q.Format != "json" || q.Pretty != Yes {
		t.Errorf("%+v", q)
	}
	if !slices.Equal(q.Elements, []string{"status", "code"}) {
		t.Error(q.Elements)
	}
	show := func(in []Include) (s string) {
		for _, i := range in {
			s += fmt.Sprint(i.Source, ":", i.Param.Code, ":", i.Target, " ")
		}
		return s
	}
	if got := show(q.Includes) + show(q.RevIncludes); got != "Observation:subject:Patient Observation:encounter: Provenance:target: " {
		t.Error(got)
	}
	if len(q.Sort) != 2 || q.Sort[0].Param.Code != "date" || !q.Sort[0].Desc || q.Sort[1].Desc {
		t.Error(q.Sort)
	}
	if q := query(t, r, "Observation", ""); q.Count != -1 || q.Pretty != NotGiven {
		t.Errorf("nothing given: %+v", q)
	}
	if got := query(t, r, "Observation", "code=a,b&_count=3").Canonical(); !slices.Equal(got, []Pair{{"code", "a,b"}, {"_count", "3"}}) {
		t.Error(got)
	}
}

func TestUnlessKey(t *testing.T) {
	r := testRegistry(t)
	key := func(typ, s string) string { return UnlessKey(query(t, r, typ, s)) }
	same := key("Patient", "identifier=a|1&name=x,y")
	for _, s := range []string{"name=y,x&identifier=a|1", "identifier=a|1&name=x,y&_count=2", "identifier=a|1&name=y,x&name=x,y"} {
		if key("Patient", s) != same {
			t.Errorf("%s has another key", s)
		}
	}
	seen := map[string]string{same: "first"}
	for _, c := range [][2]string{{"Person", "identifier=a|1&name=x,y"}, {"Patient", "identifier=a|1"}, {"Patient", "identifier=1"}, {"Patient", "identifier=|1"},
		{"Patient", "identifier=a|"}, {"Patient", "identifier:not=1"}, {"Patient", "name:exact=x"}, {"Patient", "name=x"}, {"Patient", "birthdate=2020"},
		{"Patient", "birthdate=gt2020"}, {"Patient", "identifier:missing=true"}, {"Patient", "identifier:missing=false"}} {
		k := key(c[0], c[1])
		if seen[k] != "" {
			t.Errorf("%v has the key of %s", c, seen[k])
		}
		seen[k] = fmt.Sprint(c)
	}
	if strings.Contains(same, "name") || len(same) > 64 {
		t.Error(same)
	}
}

func TestLimits(t *testing.T) {
	r := testRegistry(t)
	many := func(n int, s string) []Pair { return slices.Repeat([]Pair{{"code", s}}, n) }
	for _, c := range []struct {
		rule string
		q    []Pair
		ok   bool
	}{
		{"MaxPairs", many(MaxPairs, "a"), true},
		{"over MaxPairs", many(MaxPairs+1, "a"), false},
		{"MaxValues", many(1, strings.Repeat("a,", MaxValues-1)+"a"), true},
		{"over MaxValues", many(1, strings.Repeat("a,", MaxValues)+"a"), false},
		{"over MaxQueryValue", many(1, strings.Repeat("a", MaxQueryValue+1)), false},
	} {
		_, _, err := r.Parse("Observation", c.q, false)
		e := issue.As(err)
		if c.ok != (err == nil) || !c.ok && e.Issues[0].Code != issue.TooCostly {
			t.Errorf("%s: %v", c.rule, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"code=a|b,c", `name:exact=a\,b`, "date=ge2026-01-01T10:00Z", "value-quantity=lt5.4|http://x|mg", "subject:Patient=1", "_sort=-date",
		"_include=Observation:subject", "combo-code:not=x", "_id=1", "patient:identifier=a|b", "_has:a:b:c=d", "a.b:c=d", "subject:Patient.name:exact=x", "patient.organization.name=x", "_has:Observation:patient:_has:DiagnosticReport:result:status=final", "_list=1,2", "_filter=status eq final or not (code eq loinc|1)", "_contained=both&_containedType=contained", "_include:iterate=*", "_revinclude=*:x", "_include=Observation:*:Patient", "probability=1e5", "_elements=code", "code:text=hemo 血", "code:code-text=a b", "identifier:of-type=a|b|c", `code:in=http://vs/[{"System":"a"\,"Codes":["b"]}]`,
		"code:below=a|bc", "_profile:above=http://a/b|1.2", "code-value-quantity=a$gt5|http://unitsofmeasure.org|mg,b\\$1$2", "near=1|2|3|km", `_text=(a or "b c") and 血糖病`, "_content=x",
		"value-quantity=ap5|http://unitsofmeasure.org|[degF]"} {
		f.Add("Observation", s, true)
		f.Add("Patient", s, false)
	}
	r := fullRegistry(f)
	root := parseBody(f, []byte(observation(`"subject":{"reference":"Patient/1","display":"a b 血糖病"},"valueQuantity":{"value":5,"unit":"mg","system":"http://unitsofmeasure.org","code":"mg"}`)))
	f.Fuzz(func(t *testing.T, typ, s string, lenient bool) {
		var in []Pair
		for _, part := range strings.Split(s, "&") {
			name, v, _ := strings.Cut(part, "=")
			in = append(in, Pair{name, v})
		}
		q, warnings, err := r.Parse(typ, in, lenient)
		if err != nil {
			if issue.As(err) == nil {
				t.Fatalf("%v is not for clients", err)
			}
			return
		}
		if len(warnings) == 0 && len(q.Canonical()) != len(in) {
			t.Fatalf("used %v of %v with %d warnings", q.Canonical(), in, len(warnings))
		}
		again, _, err := r.Parse(typ, q.Canonical(), false)
		if err != nil {
			t.Fatalf("what was used is not understood again: %v", err)
		}
		if UnlessKey(q) != UnlessKey(again) || !slices.Equal(q.Elements, again.Elements) || !slices.Equal(q.Sort, again.Sort) {
			t.Fatal("what was used means something else")
		}
		if _, err := r.Compile(q); err != nil && issue.As(err) == nil {
			t.Fatal(err)
		} else if err == nil && typ == "Observation" && !slices.ContainsFunc(q.Criteria, func(c Criterion) bool { return c.joined() }) {
			agree(t, r, q, root)
		}
	})
}
