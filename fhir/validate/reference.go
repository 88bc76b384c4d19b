package validate

import (
	"slices"
	"strings"

	"meridian/fhir/element"
	"meridian/fhir/fhirpath"
	"meridian/fhir/issue"
	"meridian/fhir/schema"
)

// reference checks that what a Reference names is of a type that it may point to. Whether it exists outside of the resource
// is not asked here.
//
// https://hl7.org/fhir/R4/references.html
func (r *run) reference(n element.Node, targets []string) {
	ref := n.Child("reference")
	t := r.targetType(n)
	if said := n.Child("type"); said.HasValue() && t != nil && schema.ByName(said.Text()) != nil && said.Text() != t.Name {
		r.report(said, issue.SevError, issue.Structure, "reference.type-differs", t.Name)
	}
	switch id, local := strings.CutPrefix(ref.Text(), "#"); {
	case local && (id == "" && !inContained(n) || !r.target(n).Valid()):
		r.report(ref, issue.SevError, issue.NotFound, "reference.contained")
	case strings.ContainsAny(ref.Text(), " \t\r\n"):
		r.report(ref, issue.SevError, issue.Value, "reference.form")
	}
	if t == nil || len(targets) == 0 || slices.Contains(targets, "Resource") {
		return
	}
	for _, name := range targets {
		if base := schema.ByName(name); base != nil && t.IsA(base.ID) {
			return
		}
	}
	r.report(n, r.certain(n), issue.Structure, "reference.target", t.Name, strings.Join(targets, ", "))
}

// certain is the severity of a wrong target: an error where it is at hand, a warning where only the text of the reference, or its type,
// says what it is.
func (r *run) certain(n element.Node) issue.Severity {
	if r.target(n).Valid() {
		return issue.SevError
	}
	return issue.Warning
}

// inContained says that n stands in a contained resource, where "#" is the one that contains it.
func inContained(n element.Node) bool {
	for ; n.Valid(); n = n.Parent() {
		if n.Name() == "contained" {
			return true
		}
	}
	return false
}

// targetType is the resource type that a Reference names: that of the target where it is in the tree, else what its text or type says;
// nil when it cannot be told.
func (r *run) targetType(n element.Node) *schema.Type {
	if t := r.target(n); t.Valid() {
		return t.Type()
	}
	if t := typeInReference(n.Child("reference").Text()); t != nil {
		return t
	}
	if t := schema.ByName(n.Child("type").Text()); t != nil && t.Kind == schema.Resource {
		return t
	}
	return nil
}

// typeInReference reads [base/]Type/id[/_history/version].
func typeInReference(ref string) *schema.Type {
	ref, _, _ = strings.Cut(ref, "/_history/")
	steps := strings.Split(ref, "/")
	if len(steps) < 2 || strings.ContainsAny(steps[len(steps)-1], ":?#") {
		return nil
	}
	t := schema.ByName(steps[len(steps)-2])
	if t == nil || t.Kind != schema.Resource || t.Abstract {
		return nil
	}
	return t
}

// target finds what a Reference (or a uri or canonical) points to inside the tree: a contained resource or an entry of the Bundle.
func (r *run) target(n element.Node) element.Node {
	ref := n
	if n.TypeID() == schema.TypeReference {
		ref = n.Child("reference")
	}
	if !ref.HasValue() {
		return element.Node{}
	}
	out, err := r.v.expr("resolve()").EvalItems(&r.env, nil, fhirpath.Collection{fhirpath.NodeItem(n)})
	if err != nil || len(out) == 0 || !out[0].Node().Valid() || out[0].Node().Tree() != r.tree {
		return element.Node{}
	}
	return out[0].Node()
}

// targets checks a Reference against the profiles that a type rule names. Where the target is not in the tree only its type is checked.
func (r *run) targets(n element.Node, urls []string) {
	to, t := r.target(n), r.targetType(n)
	if t == nil {
		return
	}
	unknown := false
	for _, url := range urls {
		if isCore(url, t) {
			return
		}
		p := r.known(url)
		switch {
		case p == nil:
			unknown = unknown || schema.ByName(strings.TrimPrefix(withoutVersion(url), "http://hl7.org/fhir/StructureDefinition/")) == nil
		case p.typ == 0 || !t.IsA(p.typ):
		case !to.Valid():
			return // of the type; its content is not here
		case r.probe(func() { r.hold(to, p) }):
			return
		}
	}
	if unknown {
		r.report(n, issue.Warning, issue.NotFound, "profile.unknown")
		return
	}
	r.report(n, r.certain(n), issue.Structure, "reference.profile", strings.Join(urls, ", "))
}
