package fhirpath

import "strings"

// variable evaluates %name: Env.Vars, then the standard ones.
// https://hl7.org/fhir/R4/fhirpath.html#vars
func (ev *evaluator) variable(n *Variable) error {
	if v, ok := ev.env.Vars[n.Name]; ok {
		ev.pushAll(v)
		return nil
	}
	switch n.Name {
	case "context":
		ev.pushAll(ev.focus)
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
