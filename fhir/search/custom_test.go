package search

import (
	"slices"
	"strings"
	"testing"

	"meridian/fhir/definitions"
	"meridian/fhir/element"
	"meridian/fhir/issue"
)

const shoeURL = "http://example.org/shoe-size"

// shoeSize is the example of docs/operation/reindex.md.
func shoeSize(ready bool) Added {
	return Added{Ready: ready, Definition: Definition{ID: "sp1", URL: "http://example.org/SearchParameter/shoe-size", Code: "shoe-size", Type: "number", Base: []string{"Patient"},
		Expression: "Patient.extension.where(url = '" + shoeURL + "').value"}}
}

const shodPatient = `{"resourceType":"Patient","id":"p1","extension":[{"url":"` + shoeURL + `","valueDecimal":42.5},{"url":"http://other","valueDecimal":7}],"gender":"female"}`

func keysOf(f Facts, beginning string) (out []string) {
	for _, k := range f.Keys {
		if strings.HasPrefix(k.Param, beginning) {
			out = append(out, k.Param)
		}
	}
	return out
}

func TestAddedParametersGiveKeysOfTheirOwn(t *testing.T) {
	r := testRegistry(t)
	before, version := facts(t, r, shodPatient), r.IndexVersion()
	a := shoeSize(false)
	r.Adopt(7, []Added{a})
	got := facts(t, r, shodPatient)
	if want := []string{a.Key()}; !slices.Equal(keysOf(got, "shoe-size@"), want) || got.Generation != 7 {
		t.Errorf("keys %v of generation %d, want %v of 7", got.Keys, got.Generation, want)
	}
	rest := slices.DeleteFunc(slices.Clone(got.Keys), func(k Key) bool { return isAdded(k.Param) })
	if !slices.Equal(rest, before.Keys) || r.IndexVersion() != version {
		t.Error("what is built in has changed")
	}
	r.Adopt(8, nil)
	if got := facts(t, r, shodPatient); !slices.Equal(got.Keys, before.Keys) || got.Generation != 8 {
		t.Errorf("taken away: %v", got)
	}
}

func TestAPendingParameterIsRefusedWithItsProgress(t *testing.T) {
	r := testRegistry(t)
	a := shoeSize(false)
	a.Percent = 12
	r.Adopt(1, []Added{a})
	refused := func(pairs ...Pair) string {
		t.Helper()
		_, _, err := r.Parse("Patient", pairs, false)
		e := issue.As(err)
		if e == nil || e.Issues[0].Code != issue.NotSupported {
			t.Fatalf("%v: %v", pairs, err)
		}
		return e.Issues[0].Text
	}
	if text := refused(Pair{"shoe-size", "42"}); !strings.Contains(text, "it is being indexed, 12 in 100 resources are done") {
		t.Error(text)
	}
	r.Progress(a.Key(), 80)
	for _, p := range []Pair{{"shoe-size:missing", "true"}, {"_sort", "shoe-size"}, {"_filter", "shoe-size eq 42"}, {"link.shoe-size", "42"}} {
		if text := refused(p); !strings.Contains(text, "80 in 100") {
			t.Errorf("%v: %s", p, text)
		}
	}
	q, warnings, err := r.Parse("Patient", []Pair{{"shoe-size", "42"}, {"gender", "female"}}, true)
	if err != nil || len(q.Criteria) != 1 || len(warnings) != 1 || !strings.Contains(warnings[0].Text, "it was left out") {
		t.Errorf("lenient: %v, %v", warnings, err)
	}
	if slices.ContainsFunc(r.Params("Patient"), func(p *Param) bool { return p.Added }) {
		t.Error("it is listed before it is ready")
	}
}

func TestAddedParametersAreSearched(t *testing.T) {
	r := testRegistry(t)
	added := []Added{shoeSize(true),
		{Ready: true, Definition: Definition{ID: "2", URL: "http://x/2", Code: "tagged", Type: "token", Base: []string{"DomainResource"}, Expression: "DomainResource.extension('http://tag').value"}},
		{Ready: true, Definition: Definition{ID: "3", URL: "http://x/3", Code: "kin", Type: "string", Base: []string{"Patient"}, Expression: "Patient.contact.name"}},
		{Ready: true, Definition: Definition{ID: "4", URL: "http://x/4", Code: "many-names", Type: "token", Base: []string{"Patient"}, Expression: "Patient.name.count() > 1"}},
		{Ready: true, Definition: Definition{ID: "5", URL: "http://x/5", Code: "named-shoe", Type: "composite", Base: []string{"Patient"}, Expression: "Patient",
			Components: []definitions.Component{{Definition: "http://hl7.org/fhir/SearchParameter/individual-gender", Expression: "gender"}, {Definition: "http://example.org/SearchParameter/shoe-size", Expression: "extension.where(url = '" + shoeURL + "').value"}}}},
		{Ready: true, Definition: Definition{ID: "6", URL: "http://x/6", Code: "insurer", Type: "reference", Base: []string{"Patient"}, Target: []string{"Organization"}, Expression: "Patient.extension.where(url = 'http://insurer').value as Reference"}},
	}
	for i := range added {
		if issues := r.CheckAdded(&added[i].Definition); len(issues) > 0 && added[i].Code != "named-shoe" {
			t.Errorf("%s: %v", added[i].Code, issues)
		}
	}
	r.Adopt(1, added)
	body := strings.Replace(shodPatient, `"gender"`, `"contact":[{"name":{"family":"Li","text":"李四"}}],"name":[{"family":"A"},{"family":"B"}],"gender"`, 1)
	body = strings.Replace(body, `"extension":[`, `"extension":[{"url":"http://tag","valueCoding":{"system":"s","code":"vip"}},{"url":"http://insurer","valueReference":{"reference":"Organization/o1"}},`, 1)
	for q, want := range map[string]bool{
		"shoe-size=42.5": true, "shoe-size=gt42": true, "shoe-size=7": false, "shoe-size:missing=false": true, "shoe-size:missing=true": false,
		"tagged=s|vip": true, "tagged=vip": true, "tagged:not=vip": false, "tagged=other": false,
		"kin=li": true, "kin=李四": true, "kin:exact=Li": true, "kin:contains=i": true, "kin=wang": false, "kin=lisi": true,
		"many-names=true": true, "many-names=false": false,
		"named-shoe=female$42.5": true, "named-shoe=male$42.5": false,
		"insurer=Organization/o1": true, "insurer=o1": true, "insurer=Organization/o2": false,
	} {
		check(t, r, body, q, want)
	}
	if issues := r.CheckAdded(&added[4].Definition); len(issues) > 0 {
		t.Errorf("a composite of an added part: %v", issues)
	}
}

// An expression that fails on a resource keeps it from nothing: it has no value there.
func TestAnExpressionThatFailsGivesNothing(t *testing.T) {
	r := testRegistry(t)
	a := Added{Ready: true, Definition: Definition{ID: "s", URL: "http://x/s", Code: "only-name", Type: "string", Base: []string{"Patient"}, Expression: "Patient.name.single().family"}}
	if issues := r.CheckAdded(&a.Definition); len(issues) > 0 {
		t.Fatal(issues)
	}
	r.Adopt(1, []Added{a})
	check(t, r, `{"resourceType":"Patient","name":[{"family":"One"}]}`, "only-name=one", true)
	check(t, r, `{"resourceType":"Patient","name":[{"family":"One"},{"family":"Two"}]}`, "only-name=one", false)
	check(t, r, `{"resourceType":"Patient","name":[{"family":"One"},{"family":"Two"}]}`, "only-name:missing=true", true)
}

// An added parameter with the expression of one of R4's agrees with it on every resource, as its keys and as Match.
func TestAddedParametersAgreeWithThoseOfR4(t *testing.T) {
	r := testRegistry(t)
	twins := map[*Param]*Param{}
	var added []Added
	for _, typ := range []string{"Patient", "Observation", "Encounter"} {
		for _, p := range r.Params(typ) {
			if p.Unsupported == "" && p.Expression != "" && p.Code != "_id" && p.Code != "_lastUpdated" && p.Kind != KindComposite && p.Kind != KindSpecial {
				added = append(added, Added{Ready: true, Definition: Definition{ID: typ + p.Code, URL: "http://x/" + typ + p.Code, Code: "my-" + strings.TrimPrefix(p.Code, "_"), Type: p.Kind.String(), Base: []string{typ}, Expression: p.Expression, Target: p.Targets}})
			}
		}
	}
	r.Adopt(1, added)
	for _, a := range added {
		mine, _ := r.Param(a.Base[0], a.Code)
		theirs, ok := r.Param(a.Base[0], strings.TrimPrefix(a.Code, "my-"))
		if !ok {
			theirs, _ = r.Param(a.Base[0], "_"+strings.TrimPrefix(a.Code, "my-"))
		}
		twins[mine] = theirs
	}
	compared := 0
	corpus(t, 20, func(name string, root element.Node) {
		typ := root.Type().Name
		if typ != "Patient" && typ != "Observation" && typ != "Encounter" {
			return
		}
		var f Facts
		if err := r.Index(root, &f); err != nil {
			t.Fatal(err)
		}
		for mine, theirs := range twins {
			if mine.Type != typ || len(theirs.bases) > 0 {
				continue
			}
			compared++
			if a, b := valuesOf(f, mine.key), valuesOf(f, theirs.key); !slices.Equal(a, b) {
				t.Errorf("%s: %s has %q, %s has %q", name, mine.Code, a, theirs.Code, b)
			}
		}
	})
	if compared < 1000 {
		t.Errorf("%d comparisons only", compared)
	}
}

// valuesOf lists scope and value of the keys of a parameter in all its forms.
func valuesOf(f Facts, param string) (out []string) {
	for _, k := range f.Keys {
		if base, form, _ := strings.Cut(k.Param, ":"); base == param {
			out = append(out, form+" "+k.Scope+" "+k.Value)
		}
	}
	slices.Sort(out)
	return out
}

func TestAnAddedParameterMayStandInForOneOfR4(t *testing.T) {
	r := testRegistry(t)
	builtin, _ := r.Param("Patient", "gender")
	mine := Added{Definition: Definition{ID: "g", URL: builtin.URL, Code: "gender", Type: "token", Base: []string{"Patient"}, Expression: "Patient.contact.gender"}}
	if issues := r.CheckAdded(&mine.Definition); len(issues) > 0 {
		t.Fatal(issues)
	}
	body := `{"resourceType":"Patient","gender":"female","contact":[{"gender":"male"}]}`
	r.Adopt(1, []Added{mine})
	check(t, r, body, "gender=female", true) // until it is ready
	mine.Ready = true
	r.Adopt(1, []Added{mine})
	check(t, r, body, "gender=female", false)
	check(t, r, body, "gender=male", true)
	r.Adopt(2, nil)
	check(t, r, body, "gender=female", true)
}

func TestWhatCannotBeAddedIsRefusedWithItsPlace(t *testing.T) {
	r := testRegistry(t)
	good := shoeSize(true)
	r.Adopt(1, []Added{good})
	for _, c := range []struct {
		name   string
		change func(*Definition)
		at     string
		code   issue.Code
	}{
		{"an expression that does not compile", func(d *Definition) { d.Expression = "Patient.name." }, "expression", issue.Value},
		{"an expression that is missing", func(d *Definition) { d.Expression = "" }, "expression", issue.Required},
		{"an element that the type has not", func(d *Definition) { d.Expression = "Patient.shoe" }, "expression", issue.Value},
		{"an expression about another type", func(d *Definition) { d.Expression = "Observation.value" }, "expression", issue.Value},
		{"an element that the parameter's type does not read", func(d *Definition) { d.Expression = "Patient.name" }, "expression", issue.Value},
		{"an expression that follows references", func(d *Definition) { d.Expression = "Patient.generalPractitioner.resolve().name.text" }, "expression", issue.NotSupported},
		{"an expression that asks for the time", func(d *Definition) { d.Type = "token"; d.Expression = "Patient.birthDate < today()" }, "expression", issue.NotSupported},
		{"an expression that computes a text", func(d *Definition) { d.Type = "string"; d.Expression = "Patient.name.family.lower()" }, "expression", issue.NotSupported},
		{"an expression whose types do not fit", func(d *Definition) { d.Expression = "Patient.name.first()" }, "expression", issue.Value},
		{"a code of the specification", func(d *Definition) { d.Code = "birthdate" }, "code", issue.Duplicate},
		{"a code of another added one", func(d *Definition) { d.ID = "sp2"; d.URL = "http://x/2" }, "code", issue.Duplicate},
		{"a url of another added one", func(d *Definition) { d.ID = "sp2"; d.Code = "size" }, "code", issue.Duplicate},
		{"a code with a blank", func(d *Definition) { d.Code = "shoe size" }, "code", issue.Value},
		{"a code with the mark of key names", func(d *Definition) { d.Code = "shoe@1" }, "code", issue.Value},
		{"a code that begins as those of all types", func(d *Definition) { d.Code = "_shoe" }, "code", issue.Value},
		{"a base that is no resource type", func(d *Definition) { d.Base = []string{"Shoe"} }, "base", issue.Value},
		{"no base", func(d *Definition) { d.Base = nil }, "base", issue.Required},
		{"a target that is no resource type", func(d *Definition) { d.Target = []string{"HumanName"} }, "target", issue.Value},
		{"a special one", func(d *Definition) { d.Type = "special" }, "type", issue.NotSupported},
		{"a type of which there is none", func(d *Definition) { d.Type = "shoe" }, "type", issue.NotSupported},
		{"components of what is no composite", func(d *Definition) { d.Components = []definitions.Component{{}} }, "component", issue.Invariant},
		{"a composite of a part that is not known", func(d *Definition) {
			d.Type, d.Expression, d.Components = "composite", "Patient", []definitions.Component{{Definition: "http://nowhere", Expression: "gender"}}
		}, "component", issue.NotSupported},
		{"a reference of the specification", func(d *Definition) {
			p, _ := r.Param("Patient", "organization")
			d.Code, d.URL, d.Type, d.Expression = "organization", p.URL, "reference", "Patient.generalPractitioner"
		}, "code", issue.NotSupported},
	} {
		d := good.Definition
		c.change(&d)
		issues := r.CheckAdded(&d)
		if len(issues) == 0 || issues[0].Expression != "SearchParameter."+c.at || issues[0].Code != c.code {
			t.Errorf("%s: %+v, want %s at SearchParameter.%s", c.name, issues, c.code, c.at)
		}
	}
	if issues := r.CheckAdded(&good.Definition); len(issues) > 0 {
		t.Errorf("the same again: %v", issues)
	}
}

func TestContainedResourcesAreFoundByAddedParameters(t *testing.T) {
	r := testRegistry(t)
	r.Adopt(1, []Added{{Ready: true, Definition: Definition{ID: "m", URL: "http://x/m", Code: "form2", Type: "token", Base: []string{"Medication"}, Expression: "Medication.form"}}})
	body := `{"resourceType":"Patient","contained":[{"resourceType":"Medication","id":"m","form":{"coding":[{"code":"pill"}]}}]}`
	q, _, err := r.Parse("Medication", []Pair{{"form2", "pill"}, {"_contained", "true"}}, false)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := r.CompileContained(q, "Patient", false)
	if err != nil {
		t.Fatal(err)
	}
	f := facts(t, r, body)
	ok, err := plan.Residual([]byte(body))
	if err != nil || !ok || !MatchFacts(plan.Where, "x", &f) {
		t.Errorf("not found: residual %v, keys %v, %v", ok, MatchFacts(plan.Where, "x", &f), err)
	}
}
