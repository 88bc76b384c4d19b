package validate

import (
	"meridian/fhir/element"
	"meridian/fhir/fhirpath"
	"meridian/fhir/issue"
	"meridian/fhir/schema"
)

// bound checks n against a value set: an error where the binding is required, a warning where it is extensible, information
// where it is preferred. What terminology does not know is no issue.
//
// https://hl7.org/fhir/R4/terminologies.html#strength
func (r *run) bound(n element.Node, set string, strength byte) {
	if r.v.opt.Codes == nil {
		return
	}
	if _, coded := firstCode(n); !coded {
		if strength == 'r' && n.TypeID() == schema.TypeCodeableConcept && !n.Child("extension").Valid() {
			r.report(n, issue.SevError, issue.CodeInvalid, "binding.no-code", withoutVersion(set))
		}
		return
	}
	in, known := r.inValueSet(n, set)
	if in || !known {
		return
	}
	severity := map[byte]issue.Severity{'r': issue.SevError, 'e': issue.Warning, 'p': issue.Information}[strength]
	r.report(n, severity, issue.CodeInvalid, "binding."+bindingIDs[strength], withoutVersion(set))
}

var bindingIDs = map[byte]string{'r': "required", 'e': "extensible", 'p': "preferred"}

// inValueSet says that n, or one of its codings, is in a value set. It is not known when none is in it and one is not known to be out.
func (r *run) inValueSet(n element.Node, set string) (in, known bool) {
	if r.v.opt.Codes == nil {
		return false, false
	}
	known = true
	try := func(system, code string) {
		if system == "" && n.Type().Kind != schema.Primitive {
			return // a Coding without a system is none of any value set
		}
		yes, k, err := r.v.opt.Codes.Contains(r.ctx, set, system, code)
		r.fail(err)
		in = in || yes && k
		known = known && k
	}
	switch n.TypeID() {
	case schema.TypeCodeableConcept:
		any := false
		for c := n.First(); c.Valid(); c = c.Next() {
			if c.Name() == "coding" && c.Child("code").HasValue() {
				any = true
				try(c.Child("system").Text(), c.Child("code").Text())
			}
		}
		known = known && any
	case schema.TypeCoding:
		try(n.Child("system").Text(), n.Child("code").Text())
	default:
		if n.Type().Kind == schema.Primitive {
			try("", n.Text())
		} else {
			try(n.Child("system").Text(), n.Child("code").Text())
		}
	}
	return in, known || in
}

// firstCode is the code of a value, or of its first coding that has one.
func firstCode(n element.Node) (element.Node, bool) {
	switch n.Type().Kind {
	case schema.Primitive:
		return n, n.HasValue()
	}
	if n.TypeID() == schema.TypeCodeableConcept {
		for c := n.First(); c.Valid(); c = c.Next() {
			if code := c.Child("code"); c.Name() == "coding" && code.HasValue() {
				return code, true
			}
		}
		return element.Node{}, false
	}
	code := n.Child("code")
	return code, code.HasValue()
}

// coding checks that a code is one of its system.
func (r *run) coding(n element.Node) {
	system, code := n.Child("system"), n.Child("code")
	if system.HasValue() && !isAbsolute(system.Text()) {
		r.report(system, issue.SevError, issue.Value, "code.system")
		return
	}
	if r.v.opt.Codes == nil || !system.HasValue() || !code.HasValue() {
		return
	}
	yes, known, err := r.v.opt.Codes.Defines(r.ctx, system.Text(), code.Text())
	if r.fail(err); known && !yes {
		r.report(code, issue.SevError, issue.CodeInvalid, "code.unknown", system.Text())
	}
}

// membership answers memberOf() and subsumes() in invariants.
type membership struct{ r *run }

func (t membership) MemberOf(code element.Node, valueSet string) (member, known bool, err error) {
	member, known = t.r.inValueSet(code, valueSet)
	return member, known, t.r.err
}

// Subsumes compares the codings of one system with each other.
func (t membership) Subsumes(a, b element.Node) (subsumes, known bool, err error) {
	for _, x := range codings(a) {
		for _, y := range codings(b) {
			system := x.Child("system").Text()
			if system == "" || system != y.Child("system").Text() {
				continue
			}
			yes, k, err := t.r.v.opt.Codes.Subsumes(t.r.ctx, system, x.Child("code").Text(), y.Child("code").Text())
			if t.r.fail(err); err != nil || yes && k {
				return yes, k, err
			}
			known = known || k
		}
	}
	return false, known, nil
}

// codings are those of a CodeableConcept, or a Coding itself.
func codings(n element.Node) []element.Node {
	if n.TypeID() == schema.TypeCodeableConcept {
		return children(n, "coding")
	}
	return []element.Node{n}
}

var _ fhirpath.Terminology = membership{}
