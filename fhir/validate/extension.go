package validate

import (
	"slices"
	"strings"

	"meridian/fhir/element"
	"meridian/fhir/fhirpath"
	"meridian/fhir/issue"
	"meridian/fhir/schema"
)

// contextRule is one StructureDefinition.context: where an extension may stand.
type contextRule struct{ typ, expression string }

func contexts(sd element.Node) (out []contextRule) {
	for c := sd.First(); c.Valid(); c = c.Next() {
		if c.Name() == "context" {
			out = append(out, contextRule{c.Child("type").Text(), c.Child("expression").Text()})
		}
	}
	return out
}

// extension checks that an extension is known, stands where it may and is what its definition says. One that is not known is
// information, under a url of HL7 a warning, since later versions define more of them; as a modifier an error.
//
// https://hl7.org/fhir/R4/extensibility.html, https://hl7.org/fhir/R4/defining-extensions.html#context
func (r *run) extension(n element.Node) {
	url := n.Child("url").Text()
	modifier := n.Name() == "modifierExtension"
	if !strings.Contains(url, ":") {
		r.nested(n, url)
		return
	}
	p := r.known(url)
	if p == nil || p.typeName != "Extension" {
		switch {
		case modifier && !forExamples(url):
			r.report(n, issue.SevError, issue.Extension, "extension.modifier-unknown")
		case strings.HasPrefix(url, "http://hl7.org/fhir/StructureDefinition/") && !strings.Contains(url, "extension-"):
			r.report(n, issue.Warning, issue.Extension, "extension.hl7-unknown")
		default:
			r.report(n, issue.Information, issue.Extension, "extension.unknown")
		}
		return
	}
	if p.modifier != modifier {
		r.report(n, issue.SevError, issue.Extension, map[bool]string{true: "extension.modifier", false: "extension.no-modifier"}[p.modifier])
	}
	if !r.allowed(n, p.context) {
		r.report(n, issue.SevError, issue.Extension, "extension.context", n.Parent().Type().Name)
	}
	r.hold(n, p)
}

// forExamples says that a url is one that documentation uses for what does not exist.
//
// https://www.rfc-editor.org/rfc/rfc2606
func forExamples(url string) bool {
	return strings.Contains(url, "example.org") || strings.Contains(url, "example.com") || strings.Contains(url, "acme.com")
}

// nested checks an extension with a relative url, which its parent's definition names.
func (r *run) nested(n element.Node, url string) {
	parent := n.Parent()
	if parent.TypeID() != schema.TypeExtension {
		r.report(n, issue.SevError, issue.Extension, "extension.relative")
		return
	}
	p := r.known(parent.Child("url").Text())
	if p == nil || !strings.Contains(parent.Child("url").Text(), ":") {
		return // what stands in an unknown one, or deeper down, is not known
	}
	for _, c := range p.root.children {
		if c.name != "extension" || c.slicing == nil {
			continue
		}
		if slices.ContainsFunc(c.slicing.slices, func(x *rule) bool { return r.extensionURL(x) == url }) {
			return
		}
	}
	r.report(n, issue.SevError, issue.Extension, "extension.nested-unknown")
}

// allowed says that one of the contexts holds where n stands. Without any it may stand everywhere.
func (r *run) allowed(n element.Node, contexts []contextRule) bool {
	if len(contexts) == 0 {
		return true
	}
	for _, c := range contexts {
		switch c.typ {
		case "element":
			if inContext(n.Parent(), c.expression) {
				return true
			}
		case "extension":
			if p := n.Parent(); p.TypeID() == schema.TypeExtension && p.Child("url").Text() == c.expression {
				return true
			}
		default: // fhirpath: all elements that it finds in the resource
			e := r.v.expr(c.expression)
			if e == nil {
				return true
			}
			at, err := e.Eval(&r.env, resourceOf(n))
			if err != nil || slices.ContainsFunc(at, func(i fhirpath.Item) bool { return i.Kind() == fhirpath.Element && i.Node() == n.Parent() }) {
				return true
			}
		}
	}
	return false
}

// resourceOf is the resource that n stands in.
func resourceOf(n element.Node) element.Node {
	for n.Parent().Valid() && n.Type().Kind != schema.Resource {
		n = n.Parent()
	}
	return n
}

// inContext says that n is what an element id or type name of a context means: Patient.contact, HumanName, Element, Resource.
func inContext(n element.Node, expression string) bool {
	if t := schema.ByName(expression); t != nil && n.Type().IsA(t.ID) {
		return true
	}
	switch expression {
	case "Element", "Any", "*":
		return true // in R4's definitions it stands for resources too
	case "BackboneElement":
		return n.Type().Kind == schema.Backbone
	}
	e := n.Element()
	if e == nil {
		return false
	}
	if trimmed := strings.TrimSuffix(e.Path, "[x]"); trimmed == strings.TrimSuffix(expression, "[x]") {
		return true
	}
	// An element of a type that derives from the one named, or one that the expression reaches through data types: Patient.name.given.
	steps := strings.Split(expression, ".")
	at := n
	for i := len(steps) - 1; i > 0; i-- {
		if at.Name() != strings.TrimSuffix(steps[i], "[x]") || !at.Parent().Valid() {
			return false
		}
		at = at.Parent()
	}
	t := schema.ByName(steps[0])
	return t != nil && at.Type().IsA(t.ID)
}
