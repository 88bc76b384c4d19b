package fhirpath

import (
	"slices"
	"strings"
)

// variable evaluates %name: what the path defined, Env.Vars, then the standard ones.
// https://hl7.org/fhir/R4/fhirpath.html#vars
func (ev *evaluator) variable(n *Variable, sc *scope) error {
	if b := sc.vars.find(n.Name); b != nil {
		ev.pushAll(b.value)
		return nil
	}
	if v, ok := ev.env.Vars[n.Name]; ok {
		ev.pushAll(v)
		return nil
	}
	switch n.Name {
	case "context":
		ev.pushAll(ev.focus)
		return nil
	case "terminologies":
		ev.push(Item{kind: terminologies})
		return nil
	case "resource", "rootResource":
		if len(ev.focus) == 0 || ev.focus[0].kind != Element {
			return nil
		}
		r := resourceOf(ev.focus[0].node)
		if n.Name == "rootResource" {
			r = rootResourceOf(ev.focus[0].node)
		}
		if r.Valid() {
			ev.push(NodeItem(r))
		}
		return nil
	}
	s, ok := standardURL(n.Name)
	if !ok {
		return ev.fail(Missing, n, "there is no variable %%%s", n.Name)
	}
	ev.push(StringItem(s))
	return nil
}

func (b *defined) find(name string) *defined {
	for ; b != nil && b.name != name; b = b.next {
	}
	return b
}

// StandardVariable says that %name is one that every expression knows.
func StandardVariable(name string) bool {
	_, ok := standardURL(name)
	return ok || slices.Contains([]string{"context", "resource", "rootResource", "terminologies"}, name)
}

func standardURL(name string) (string, bool) {
	switch name {
	case "ucum":
		return ucumSystem, true
	case "sct":
		return "http://snomed.info/sct", true
	case "loinc":
		return "http://loinc.org", true
	}
	if s, ok := strings.CutPrefix(name, "vs-"); ok {
		return "http://hl7.org/fhir/ValueSet/" + s, true
	}
	if s, ok := strings.CutPrefix(name, "ext-"); ok {
		return "http://hl7.org/fhir/StructureDefinition/" + s, true
	}
	return "", false
}

// fnDefineVariable gives its input, and the steps behind it a variable: the
// input, or what the second argument makes of it. It is of FHIRPath 3.0.
func fnDefineVariable(ev *evaluator, n *Call, in []Item, sc *scope) error {
	name, ok, err := ev.textArgument(n, 0, sc)
	if err != nil {
		return err
	}
	if _, given := ev.env.Vars[name]; !ok || given || StandardVariable(name) || sc.vars.find(name) != nil {
		return ev.fail(Semantic, n, "defineVariable() takes a name that has no value yet")
	}
	value := in
	if len(n.Args) == 2 {
		inner := ev.enter(sc)
		inner.this, inner.inner = in, sc.inner
		mark := len(ev.stack)
		err := ev.eval(n.Args[1], inner)
		ev.leave()
		if err != nil {
			return err
		}
		value = ev.results(mark)
		ev.cut(mark)
	}
	sc.vars = &defined{name, append([]Item(nil), value...), sc.vars}
	ev.pushAll(in)
	return nil
}
