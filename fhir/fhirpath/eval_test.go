package fhirpath

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"meridian/fhir/codec"
	"meridian/fhir/element"
	"meridian/fhir/value"
)

const patientJSON = `{"resourceType":"Patient","id":"p1",
"contained":[{"resourceType":"Organization","id":"o1","name":"医院"}],
"extension":[{"url":"http://x/a","valueDecimal":5.40},{"url":"http://x/b","valueString":"s"},{"url":"http://x/a","valueDecimal":0.60}],
"active":true,
"name":[{"family":"张","given":["三","四"],"use":"official"},{"text":"Zhang San","use":"usual"}],
"_gender":{"extension":[{"url":"http://x/unknown","valueBoolean":true}]},
"birthDate":"1974-12","_birthDate":{"extension":[{"url":"http://x/time","valueDateTime":"1974-12-25T14:35:45-05:00"}]},
"multipleBirthInteger":2,
"managingOrganization":{"reference":"#o1"},
"generalPractitioner":[{"reference":"Practitioner/1"},{"reference":"http://a.b/fhir/Organization/2/_history/3"},{"reference":"urn:uuid:1"},{"type":"PractitionerRole","identifier":{"value":"9"}}]}`

const bundleJSON = `{"resourceType":"Bundle","type":"collection","entry":[
{"fullUrl":"http://s/fhir/Observation/1","resource":{"resourceType":"Observation","id":"1","status":"final","code":{"text":"x"},
 "subject":{"reference":"Patient/2"},"performer":[{"reference":"urn:uuid:7"}],
 "valueQuantity":{"value":5.40,"unit":"g","system":"http://unitsofmeasure.org","code":"g"},
 "component":[{"code":{"text":"c"},"valueQuantity":{"value":3,"comparator":"<","unit":"g"}},{"code":{"text":"d"},"valueString":"v"}]}},
{"fullUrl":"http://s/fhir/Patient/2","resource":{"resourceType":"Patient","id":"2","active":true}},
{"fullUrl":"urn:uuid:7","resource":{"resourceType":"Practitioner","id":"7"}}]}`

func parse(t testing.TB, src string) *element.Tree {
	t.Helper()
	tree, err := codec.Parse([]byte(src), codec.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// literals writes a collection so that it can be compared: values as literals, elements as their value or place.
func literals(c Collection) string {
	var out []string
	for _, i := range c {
		if v, ok := i.System(); ok {
			i = v
		}
		out = append(out, i.String())
	}
	return strings.Join(out, ", ")
}

// Expected results follow from N1 and from R4's FHIRPath page.
func TestEval(t *testing.T) {
	patient := parse(t, patientJSON).Root()
	bundle := parse(t, bundleJSON).Root()
	observation := bundle.Child("entry").Child("resource")
	env := &Env{
		Now:  time.Date(2026, 5, 1, 10, 30, 0, 123e6, time.FixedZone("", 8*3600)),
		Vars: map[string]Collection{"limit": {IntegerItem(1)}, "many": {IntegerItem(1), StringItem("a")}},
	}
	for _, c := range []struct {
		rule  string
		focus element.Node
		src   string
		want  string
	}{
		{"a path of the focus's type", patient, "Patient.name.given", "'三', '四'"},
		{"a supertype begins a path", patient, "DomainResource.id | Resource.id", "'p1'"},
		{"another type's path is empty", patient, "Observation.value", ""},
		{"a type's name in a criterion is the item's", patient, "name.where(HumanName.use = 'usual').text", "'Zhang San'"},
		{"a choice is found without its type", patient, "multipleBirth", "2"},
		{"the JSON name of a choice is no element", patient, "multipleBirthInteger", ""},
		{"a primitive without value is there", patient, "gender.exists()", "true"},
		{"but has no value", patient, "gender.hasValue()", "false"},
		{"and compares as nothing", patient, "gender = 'male'", "false"},
		{"and orders as nothing", patient, "gender < 'male'", ""},
		{"its extensions are its children", patient, "gender.extension('http://x/unknown').value", "true"},
		{"extensions of every item", patient, "extension('http://x/a').value", "5.40, 0.60"},
		{"decimals as written", patient, "extension('http://x/a').value.first().toString()", "'5.40'"},
		{"exact arithmetic", patient, "extension('http://x/a').value.aggregate($this + $total, 0) = 6", "true"},
		{"no binary fractions", patient, "0.1 + 0.2 = 0.3", "true"},
		{"$index", patient, "name.select($index)", "0, 1"},
		{"$this", patient, "name.given.where($this = '四')", "'四'"},
		{"nested criteria have their own $this", patient, "name.where(given.where($this = '三').exists()).family", "'张'"},
		{"arguments are in the scope of the call", patient, "name.select(given.take(%limit))", "'三'"},
		{"$total outside of aggregate is empty", patient, "name.where($total.empty()).count()", "2"},
		{"variables of the caller", patient, "%many", "1, 'a'"},
		{"%resource", patient.Path("name", "family"), "%resource.id", "'p1'"},
		{"%resource of a contained resource", patient.Path("contained", "name"), "%resource.id", "'o1'"},
		{"%rootResource of a contained resource", patient.Path("contained", "name"), "%rootResource.id", "'p1'"},
		{"%rootResource in a Bundle is the entry's", observation.Child("status"), "%rootResource.id", "'1'"},
		{"%context", patient.Child("name"), "%context.family", "'张'"},
		{"an index out of range is empty", patient, "name[5].family | name[-1].family", ""},
		{"parts of Chinese text are characters", patient, "contained.name.substring(1) & contained.name.length().toString()", "'院2'"},
		{"resolve finds the contained resource", patient, "managingOrganization.resolve().name", "'医院'"},
		{"resolve is Type: contained", patient, "managingOrganization.where(resolve() is Organization).exists()", "true"},
		{"resolve is Type: relative", patient, "generalPractitioner.where(resolve() is Practitioner).reference", "'Practitioner/1'"},
		{"resolve is Type: absolute, with version", patient, "generalPractitioner.where(resolve() is Organization).reference", "'http://a.b/fhir/Organization/2/_history/3'"},
		{"resolve is Type: Reference.type", patient, "generalPractitioner.where(resolve().is(PractitionerRole)).identifier.value", "'9'"},
		{"resolve is a supertype", patient, "generalPractitioner.where(resolve() is DomainResource).count()", "3"},
		{"resolve in a Bundle: relative", observation, "subject.resolve().active", "true"},
		{"resolve in a Bundle: urn", observation, "performer.resolve().id", "'7'"},
		{"resolve is Type in a Bundle: urn", observation, "performer.where(resolve() is Practitioner).exists()", "true"},
		{"FHIR quantities compare with system ones", observation, "value = 5.4 'g' and value > 5 'g'", "true"},
		{"a comparator is no value", observation, "component.value.where($this is Quantity) > 2 'g'", ""},
		{"quantities without a common measure are unknown", observation, "value = 5.4 'm'", ""},
		{"units are converted exactly", observation, "value = 5400 'mg' and value < 0.0054001 'kg'", "true"},
		{"sums are in the finer unit", observation, "1 'g' + 1 'mg'", "1001 'mg'"},
		{"products", observation, "(2 'cm' * 2 'm') = 0.04 'm2'", "true"},
		{"quotients", observation, "6 'g' / 2 'L' = 3 'g/L'", "true"},
		{"a quotient of like units is a number", observation, "1 'm' / 1 'cm'", "100 '1'"},
		{"temperatures", observation, "37 'Cel' = 310.15 'K'", "true"},
		{"equivalence to the precision of the coarser", observation, "4 'g' ~ 4040 'mg'", "true"},
		{"a calendar year is equivalent to UCUM's", observation, "1 year ~ 1 'a'", "true"},
		{"but not equal", observation, "1 year = 1 'a'", ""},
		{"toQuantity converts", observation, "'1 \\'g\\''.toQuantity('mg')", "1000 'mg'"},
		{"and gives nothing where it cannot", observation, "'1 \\'g\\''.toQuantity('m')", ""},
		{"ofType filters", observation, "component.value.ofType(string)", "'v'"},
		{"as takes one item", observation, "(component[1].value as string)", "'v'"},
		{"is of nothing is nothing", observation, "bodySite is CodeableConcept", ""},
		{"type", observation, "value.type().namespace & '.' & value.type().name", "'FHIR.Quantity'"},
		{"type of a backbone element", observation, "component[0] is BackboneElement", "true"},
		{"getValue", patient, "birthDate.getValue() is Date", "true"},
		{"unknown where precision differs", patient, "birthDate = @1974-12-25", ""},
		{"known where a field differs", patient, "birthDate < @1975-01-25", "true"},
		{"zones are brought together", patient, "birthDate.extension.value = @1974-12-26T03:35:45+08:00", "true"},
		{"now", patient, "now()", "@2026-05-01T10:30:00.123+08:00"},
		{"today", patient, "today()", "@2026-05-01"},
		{"timeOfDay", patient, "timeOfDay()", "@T10:30:00.123"},
		{"age in years", patient, "today() - 18 years > birthDate", "true"},
		{"the end of a short month", patient, "@2024-01-31 + 1 month", "@2024-02-29"},
		{"finer units of a coarse date", patient, "@2014 + 25 months", "@2016"},
		{"days of a year", patient, "@2014 + 366 days", "@2015"},
		{"hours of a date", patient, "@2014-01-01 + 23 hours", "@2014-01-01"},
		{"hours over midnight", patient, "@2014-12-31T23:00 + 1 hour", "@2015-01-01T00:00"},
		{"time around midnight", patient, "@T23:30 + 45 minutes", "@T00:15"},
		{"beyond the calendar is empty", patient, "@9999-12-31 + 1 day", ""},
		{"an overflow is empty", patient, "2147483647 + 1", ""},
		{"the least integer", patient, "-2147483648 - 1", ""},
		{"division by zero is empty", patient, "1 / 0 | 1 div 0 | 1 mod 0 | 1.0 / 0.0", ""},
		{"div truncates", patient, "-7 div 2", "-3"},
		{"mod has the sign of the dividend", patient, "(-7) mod 2", "-1"},
		{"and is false with one false", patient, "{} and false", "false"},
		{"or decides early", patient, "true or name.single().exists()", "true"},
		{"implies of nothing and true", patient, "{} implies true", "true"},
		{"union has no duplicates", patient, "(1 | 1.0 | 'a' | 'a').count()", "2"},
		{"combine has", patient, "(1).combine(1).count()", "2"},
		{"exclude keeps duplicates", patient, "(1).combine(1).combine(2).exclude(2)", "1, 1"},
		{"intersect does not", patient, "(1).combine(1).combine(2).intersect(1)", "1"},
		{"distinct over many", patient, "('1,2,3,4,5,6,7,8,9,10,1,2,10').split(',').distinct().count()", "10"},
		{"equality of elements", patient, "name[0] = name[0] and name[0] != name[1]", "true"},
		{"equivalence folds case and space", patient, "'  Ab  c' ~ 'aB C'", "true"},
		{"equivalence in any order", patient, "(1 | 2) ~ (2 | 1)", "true"},
		{"equality in order", patient, "(1 | 2) = (2 | 1)", "false"},
		{"in", patient, "'usual' in name.use", "true"},
		{"contains", patient, "name.use contains 'old'", "false"},
		{"repeat", bundle, "repeat(children()).ofType(Patient).id", "'2'"},
		{"descendants", patient, "descendants().where($this is Organization).id", "'o1'"},
		{"children of nothing", patient, "animal.children()", ""},
		{"iif leaves the other branch", patient, "iif(active, 'a', name.single().text)", "'a'"},
		{"a single item is true", patient, "name[0] and active", "true"},
		{"matches is anywhere", patient, "'abc'.matches('b')", "true"},
		{"groups in replaceMatches", patient, "'11/30/1972'.replaceMatches('(?P<m>[0-9]+)/(?P<d>[0-9]+)/(?P<y>[0-9]+)', '${y}-${m}-${d}')", "'1972-11-30'"},
		{"power of integers is one", patient, "2.power(3)", "8"},
		{"root", patient, "2.sqrt().round(4)", "1.4142"},
		{"log", patient, "16.log(2) = 4", "true"},
		{"ln of nothing real", patient, "0.ln() | (-1).ln()", ""},
		{"round half away from zero", patient, "(-0.5).round() | 2.5.round()", "-1.0, 3.0"},
		{"join", patient, "name.given.join('·')", "'三·四'"},
		{"empty focus", element.Node{}, "name.exists()", "false"},
		{"literals need no focus", element.Node{}, "1 + 1", "2"},
		{"no modifier extension", patient, "checkModifiers('http://x').id", "'p1'"},
		{"boundaries of a month", patient, "birthDate.highBoundary() | birthDate.lowBoundary()", "@1974-12-31, @1974-12-01"},
		{"high boundary of a leap February", patient, "@2024-02.highBoundary()", "@2024-02-29"},
		{"a variable is the input", patient, "name.defineVariable('n').given.select(%n.count())", "2, 2"},
		{"a variable is the second argument, of the whole input", patient, "name.defineVariable('n', first().family).given.where(%n = '张')", "'三', '四'"},
		{"a variable is known below", patient, "defineVariable('a', 1).name.select(given.select(%a))", "1, 1"},
		{"a variable of an item", patient, "name.select(defineVariable('n', given.count()).select(%n))", "2, 0"},
		{"two paths may use one name", patient, "defineVariable('a', 1).select(%a) | defineVariable('a', 2).select(%a)", "1, 2"},
		{"key of a resource", patient, "getResourceKey()", "'Patient/p1'"},
		{"a contained resource has no key", patient, "contained.getResourceKey()", ""},
		{"keys of references by type and id", patient, "generalPractitioner.getReferenceKey()", "'Practitioner/1'"},
		{"the other type has no key", patient, "generalPractitioner.getReferenceKey(Patient) | managingOrganization.getReferenceKey()", ""},
		{"keys of a type", patient, "generalPractitioner.getReferenceKey(Practitioner)", "'Practitioner/1'"},
		{"join of nothing is nothing", patient, "photo.title.join(',')", ""},
	} {
		e, err := Compile(c.src)
		if err != nil {
			t.Errorf("%s: %v", c.rule, err)
			continue
		}
		out, err := e.Eval(env, c.focus)
		if got := literals(out); err != nil || got != c.want {
			t.Errorf("%s: %s gives %s (%v), want %s", c.rule, c.src, got, err, c.want)
		}
	}
}

func TestEvalErrors(t *testing.T) {
	patient := parse(t, patientJSON).Root()
	for _, c := range []struct {
		rule, src string
		env       Env
		kind      ErrorKind
	}{
		{"an operator takes one item", "name.given + 'a'", Env{}, Execution},
		{"a function takes one item", "name.given.upper()", Env{}, Execution},
		{"single", "name.single()", Env{}, Execution},
		{"a criterion is one item", "name.where(given)", Env{}, Execution},
		{"as takes one item", "name.given as string", Env{}, Execution},
		{"types without order", "1 < 'a'", Env{}, Execution},
		{"types without sum", "1 + 'a'", Env{}, Execution},
		{"an index is an Integer", "name['a']", Env{}, Execution},
		{"$index outside", "$index", Env{}, Semantic},
		{"no clock", "today()", Env{}, Missing},
		{"no resolver", "generalPractitioner.resolve().id", Env{}, Missing},
		{"no terminology", "active.memberOf('http://x')", Env{}, Missing},
		{"no profiles", "conformsTo('http://x')", Env{}, Missing},
		{"unknown variable", "%nothing", Env{}, Missing},
		{"unknown element when strict", "name.firstName", Env{Strict: true}, Semantic},
		{"a month of UCUM does not move dates", "@2014-01-01 + 1 'mo'", Env{}, Execution},
		{"a variable behind its path", "defineVariable('a').select(%a) | %a", Env{}, Missing},
		{"a variable in another operand", "defineVariable('a', 1).id & %a", Env{}, Missing},
		{"a variable is defined once", "defineVariable('a').defineVariable('a')", Env{}, Semantic},
		{"a standard variable stays", "defineVariable('resource')", Env{}, Semantic},
		{"a given variable stays", "defineVariable('x')", Env{Vars: map[string]Collection{"x": nil}}, Semantic},
		{"key of no resource", "name.getResourceKey()", Env{}, Execution},
		{"key of no reference", "name.getReferenceKey()", Env{}, Execution},
		{"no terminologies", "%terminologies.lookup(maritalStatus.coding.first())", Env{}, Missing},
		{"expand is of %terminologies", "name.first().expand('x')", Env{}, Execution},
		{"a bad pattern", "'a'.matches('(')", Env{}, Execution},
		{"no terminology for subsumes", "name.use.first().subsumes(name.use.last())", Env{}, Missing},
		{"steps", "descendants().select(descendants().count())", Env{Limits: Limits{Steps: 20}}, Costly},
		{"comparisons of many with many", "descendants() ~ descendants().tail().combine(id)", Env{Limits: Limits{Steps: 40}}, Costly},
		{"comparisons within a set", "descendants().select($index.toQuantity()).distinct()", Env{Limits: Limits{Steps: 300}}, Costly},
		{"items", "descendants()", Env{Limits: Limits{Items: 5}}, Costly},
		{"items of a repeat without end", "repeat($this.toString() & 'a')", Env{Limits: Limits{Items: 50}}, Costly},
		{"bytes", "'aaaa'.replace('a', 'bbbb')", Env{Limits: Limits{Bytes: 10}}, Costly},
	} {
		e, err := Compile(c.src)
		if err != nil {
			t.Errorf("%s: %v", c.rule, err)
			continue
		}
		_, err = e.Eval(&c.env, patient)
		var fe *Error
		if !errors.As(err, &fe) || fe.Kind != c.kind {
			t.Errorf("%s: %s: %v", c.rule, c.src, err)
			continue
		}
		if strings.Contains(err.Error(), "张") || strings.Contains(err.Error(), "Zhang") {
			t.Errorf("%s: the error holds a value: %v", c.rule, err)
		}
		if is := fe.Issue(); is.Code == "" || is.Text == "" {
			t.Errorf("%s: issue %+v", c.rule, is)
		}
	}
}

func TestFilterAs(t *testing.T) {
	e, err := Compile("(name.given as string) | name.given.as(string)")
	if err != nil {
		t.Fatal(err)
	}
	out, err := e.Eval(&Env{FilterAs: true}, parse(t, patientJSON).Root())
	if err != nil || literals(out) != "'三', '四'" {
		t.Errorf("%s, %v", literals(out), err)
	}
}

type fakeServices struct{ tree *element.Tree }

func (f fakeServices) Resolve(ref string) (element.Node, error) {
	if ref == "Practitioner/1" {
		return f.tree.Root(), nil
	}
	return element.Node{}, nil
}

func (f fakeServices) MemberOf(n element.Node, valueSet string) (member, known bool, err error) {
	return n.Text() == "true", valueSet == "http://x", nil
}

func (f fakeServices) Subsumes(a, b element.Node) (subsumes, known bool, err error) {
	return len(a.Text()) <= len(b.Text()), true, nil
}

func TestServicesOfEnv(t *testing.T) {
	f := fakeServices{parse(t, `{"resourceType":"Practitioner","id":"1"}`)}
	env := &Env{Resolver: f, Terminology: f}
	var traced string
	env.Trace = func(name string, items Collection) { traced = name + ":" + literals(items) }
	for _, c := range [][2]string{
		{"generalPractitioner.resolve().id", "'1'"},
		{"active.memberOf('http://x')", "true"},
		{"active.memberOf('http://y')", ""},
		{"name.trace('n', use).count()", "2"},
		{"name[1].use.subsumes(name[0].use)", "true"},
		{"name[1].use.subsumedBy(name[0].use)", "false"},
	} {
		e, err := Compile(c[0])
		if err != nil {
			t.Fatal(err)
		}
		out, err := e.Eval(env, parse(t, patientJSON).Root())
		if err != nil || literals(out) != c[1] {
			t.Errorf("%s: %s, %v", c[0], literals(out), err)
		}
	}
	if traced != "n:'official', 'usual'" {
		t.Error(traced)
	}
}

func TestItemAccessors(t *testing.T) {
	root := parse(t, patientJSON).Root()
	if b, ok := NodeItem(root.Child("active")).Bool(); !b || !ok {
		t.Error("active")
	}
	if s, ok := NodeItem(root.Path("name", "family")).Text(); s != "张" || !ok {
		t.Error("family")
	}
	if n, ok := NodeItem(root.Child("multipleBirth")).Int(); n != 2 || !ok {
		t.Error("multipleBirth")
	}
	if d, ok := NodeItem(root.Child("birthDate")).DateTime(); d.Precision() != value.Month || !ok {
		t.Error("birthDate")
	}
	if d, ok := NodeItem(root.Child("extension").Child("value")).Decimal(); d.String() != "5.40" || !ok {
		t.Error("decimal")
	}
	if _, ok := NodeItem(root).Text(); ok {
		t.Error("a resource has no text")
	}
	q, err := Compile("4 days")
	if err != nil {
		t.Fatal(err)
	}
	out, _ := q.Eval(nil, root)
	if v, ok := out[0].Quantity(); !ok || v.Unit != "days" || !v.Calendar || out[0].TypeName() != "System.Quantity" {
		t.Errorf("%+v", v)
	}
}

func TestExprIsSafeForConcurrentUse(t *testing.T) {
	e, err := Compile("name.where(given.exists($this.matches('三'))).given.select($this & 'x').join(',')")
	if err != nil {
		t.Fatal(err)
	}
	root := parse(t, patientJSON).Root()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				if out, err := e.Eval(nil, root); err != nil || literals(out) != "'三x,四x'" {
					t.Errorf("%s, %v", literals(out), err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func FuzzEval(f *testing.F) {
	for _, s := range []string{
		"name.where(given.count() > 1).given.first().substring(1) & 'x'", "descendants().select($this.toString())", "(1 | 2.5 | 'a').aggregate($total & $this.toString(), '')",
		"birthDate + 3 months - 4 days > today()", "repeat(children()).distinct().count()", "extension.value.lowBoundary(3).sqrt().power(2)",
		"name.sort(-use).given.join(',').replaceMatches('.', 'b').encode('base64')", "managingOrganization.resolve().name ~ 'x'", "-1e", "%resource.name[0] = name[0]",
	} {
		f.Add(s)
	}
	root := parse(f, patientJSON).Root()
	env := &Env{Now: time.Unix(1e9, 0), FilterAs: true, Limits: Limits{Steps: 20000, Items: 20000, Bytes: 1 << 20}}
	f.Fuzz(func(t *testing.T, s string) {
		e, err := Compile(s)
		if err != nil {
			return
		}
		first, err1 := e.Eval(env, root)
		second, err2 := e.Eval(env, root)
		if (err1 == nil) != (err2 == nil) || literals(first) != literals(second) {
			t.Fatalf("%q gives %s, %v and then %s, %v", s, literals(first), err1, literals(second), err2)
		}
	})
}
