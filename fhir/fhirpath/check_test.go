package fhirpath

import (
	"slices"
	"strings"
	"testing"

	"meridian/fhir/definitions"
	"meridian/fhir/schema"
)

func on(names ...string) CheckParams {
	var p CheckParams
	for _, n := range names {
		p.Context.add(schema.ByName(n).ID)
	}
	return p
}

func TestCheck(t *testing.T) {
	for _, c := range []struct{ rule, context, src, want string }{
		{"a path", "Patient", "name.given", "string many"},
		{"a path from its type", "Patient", "Patient.birthDate", "date"},
		{"from a base type", "Patient", "DomainResource.text.status", "code"},
		{"a choice", "Patient", "multipleBirth", "boolean, integer"},
		{"ofType chooses", "Observation", "value.ofType(Quantity).value", "decimal"},
		{"as chooses", "Observation", "(value as dateTime)", "dateTime"},
		{"a content reference", "Questionnaire", "item.item.item.linkId", "string many"},
		{"repeat", "Questionnaire", "repeat(item)", "Questionnaire.item many"},
		{"repeat of two", "QuestionnaireResponse", "repeat(item | answer.item).linkId", "string many"},
		{"where keeps", "Patient", "name.where(use = 'official').first()", "HumanName"},
		{"a criterion", "Patient", "name.exists(family = 'x')", "System.Boolean"},
		{"select", "Patient", "name.select(family & 'x')", "System.String many"},
		{"iif", "Patient", "iif(active, 1, 'x')", "System.Integer, System.String"},
		{"a boundary", "Patient", "birthDate.lowBoundary()", "System.Date"},
		{"a boundary of a Period", "Encounter", "period.highBoundary()", "System.DateTime"},
		{"a sum", "Patient", "1 + 2.5", "System.Decimal"},
		{"a date moves", "Patient", "birthDate + 18 years", "System.Date"},
		{"a key", "Observation", "subject.getReferenceKey(Patient)", "System.String"},
		{"an abstract type may be any", "Bundle", "entry.resource.name", "open many"},
		{"a resource by type", "Bundle", "entry.resource.ofType(Patient).active", "boolean many"},
		{"an extension's value", "Patient", "extension('http://x').value.ofType(Coding).code", "code many"},
		{"union", "Patient", "name.family | 1", "string, System.Integer many"},
		{"nothing", "Patient", "{}", ""},
		{"a constant", "Patient", "%x", "System.Integer"},
		{"a defined variable", "Patient", "defineVariable('v', 1).name.select(%v)", "open many"},
		{"the resource", "Patient", "name.select(%resource.id)", "id many"},
		{"an index", "Patient", "name[0].period.start", "dateTime"},
	} {
		p := on(c.context)
		p.Vars = map[string]Static{"x": systemStatic(Integer)}
		e, err := Compile(c.src)
		if err != nil {
			t.Fatal(err)
		}
		s, errs := e.Check(p)
		got := strings.Join(slices.Concat(s.Names(), map[bool][]string{true: {"open"}}[s.Open]), ", ")
		if s.Many {
			got += " many"
		}
		if got != c.want || len(errs) > 0 {
			t.Errorf("%s: %s is %q %v, want %q", c.rule, c.src, got, errs, c.want)
		}
	}
}

func TestCheckErrors(t *testing.T) {
	for _, c := range []struct {
		rule, src, want string
		column          int
	}{
		{"an element that is not there", "name.firstName", `HumanName has no element "firstName"`, 6},
		{"a choice as JSON spells it", "multipleBirthInteger", "write multipleBirth.ofType(integer)", 1},
		{"another type's path", "Observation.value", "begins with Observation, but the context is Patient", 1},
		{"a type that never occurs", "name.ofType(Period)", "HumanName is never Period", 6},
		{"a system type of an element", "name.family as System.String", "string is never String", 13},
		{"a variable", "name.where(use = %use)", "there is no variable %use", 18},
		{"a variable behind its path", "%v", "there is no variable %v", 1},
		{"a sum", "name.family.first() + 1", "no '+' between string and System.Integer", 21},
		{"an order", "birthDate > 5", "no '>' between date and System.Integer", 11},
		{"an element of a string", "name.family.length().x", `System.Integer has no element "x"`, 22},
		{"a boundary of a name", "name.lowBoundary()", "HumanName has no boundaries", 6},
		{"key of no reference", "name.getReferenceKey()", "of a Reference, not of HumanName", 6},
		{"inside of a criterion", "name.where(usage = 'x').exists()", `HumanName has no element "usage"`, 12},
		{"a sign", "-name", "'-' is of a number, not of HumanName", 1},
		{"$index outside", "$index", "no meaning", 1},
	} {
		e, err := Compile(c.src)
		if err != nil {
			t.Fatal(err)
		}
		_, errs := e.Check(on("Patient"))
		if len(errs) != 1 || !strings.Contains(errs[0].Text, c.want) {
			t.Errorf("%s: %v, want %s", c.rule, errs, c.want)
			continue
		}
		if _, column := errs[0].Position(); column != c.column || errs[0].Kind != Semantic {
			t.Errorf("%s: column %d, want %d", c.rule, column, c.column)
		}
	}
	e, _ := Compile("foo | name.bar | baz")
	if _, errs := e.Check(on("Patient")); len(errs) != 3 || errs[0].Offset != 0 || errs[1].Offset != 11 || errs[2].Offset != 17 {
		t.Errorf("all errors in order: %v", errs)
	}
}

// Every function of the table has its static side.
func TestCheckKnowsEveryFunction(t *testing.T) {
	var decidedByArguments = []string{"select", "aggregate", "repeat", "iif", "trace", "defineVariable", "union", "combine"}
	for name, f := range functions {
		n := &Call{Name: name, fn: f, Type: &TypeName{Name: "String", system: String}}
		if _, ok := new(checker).result(n, Static{}); !ok && !slices.Contains(decidedByArguments, name) {
			t.Errorf("%s is not checked", name)
		}
	}
}

// What HL7 published is right: no search parameter and no invariant has an
// error on its own types.
func TestCheckAcceptsWhatIsPublished(t *testing.T) {
	n := 0
	for _, p := range definitions.SearchParameters() {
		if p.Expression == "" {
			continue
		}
		e, err := Compile(p.Expression)
		if err != nil {
			t.Fatal(err)
		}
		n++
		if _, errs := e.Check(on(p.Base...)); len(errs) > 0 {
			t.Errorf("%q: %v in %s", p.URL, errs, p.Expression)
		}
	}
	for path, list := range constraints(t) {
		p, ok := typesAt(path)
		if !ok {
			if !strings.HasPrefix(path, "MetadataResource") && path != "xhtml.extension" { // no instance has these
				t.Errorf("no type at %s", path)
			}
			continue
		}
		for _, c := range list {
			n++
			if _, errs := c.expr.Check(p); len(errs) > 0 {
				t.Errorf("%q at %s: %v in %s", c.key, path, errs, c.source)
			}
		}
	}
	t.Logf("%d expressions", n)
}

// typesAt gives the types of an element by its path, or a type by its name.
func typesAt(path string) (CheckParams, bool) {
	if t := schema.ByName(path); t != nil {
		return on(path), true
	}
	dot := strings.LastIndexByte(path, '.')
	parent := schema.ByName(path[:max(dot, 0)])
	if parent == nil {
		return CheckParams{}, false
	}
	for i := range parent.Elements {
		if e := &parent.Elements[i]; e.Path == path {
			return CheckParams{Context: Static{FHIR: e.Types}}, true
		}
	}
	return CheckParams{}, false
}

// What an expression gives is always of the types that Check foretold.
func TestCheckForetellsEvaluation(t *testing.T) {
	trees, items := examples(t), 0
	for _, p := range definitions.SearchParameters() {
		if p.Expression == "" {
			continue
		}
		e, err := Compile(p.Expression)
		if err != nil {
			t.Fatal(err)
		}
		for name, tree := range trees {
			if !hasBase(p.Base, tree.Root().Type()) {
				continue
			}
			s, _ := e.Check(on(tree.Root().Type().Name))
			out, err := e.Eval(&Env{FilterAs: true}, tree.Root())
			if err != nil {
				t.Fatal(err)
			}
			if len(out) > 1 && !s.Many {
				t.Errorf("%s gives %d items on %s, one was foretold", p.Expression, len(out), name)
			}
			for _, i := range out {
				items++
				if !s.Open && !slices.ContainsFunc(s.FHIR, func(id schema.ID) bool { return i.Node().Valid() && i.Node().Type().IsA(id) }) && !slices.Contains(s.System, i.Kind()) {
					t.Errorf("%s gives %s on %s, foretold are %s", p.Expression, i.TypeName(), name, s)
				}
			}
		}
	}
	t.Logf("%d items", items)
}
