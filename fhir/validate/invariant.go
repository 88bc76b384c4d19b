package validate

import (
	"errors"
	"slices"

	"meridian/fhir/element"
	"meridian/fhir/fhirpath"
	"meridian/fhir/issue"
)

// invariant is one ElementDefinition.constraint.
//
// https://hl7.org/fhir/R4/elementdefinition-definitions.html#ElementDefinition.constraint
type invariant struct {
	key, human string
	source     string
	expr       *fhirpath.Expr // nil when it cannot be compiled
	severity   issue.Severity
}

// native are the keys that identity and narrative check; what txt-1 allows is all that codec reads.
var native = []string{"ele-1", "ext-1", "txt-1", "txt-2"}

// invariants compiles the constraints of a definition, save those in known.
func (v *Validator) invariants(def element.Node, known []*invariant) (out []*invariant) {
	for c := def.First(); c.Valid(); c = c.Next() {
		if c.Name() != "constraint" {
			continue
		}
		if i := v.invariant(c, known); i != nil {
			out = append(out, i)
		}
	}
	return out
}

// invariant compiles one constraint; nil when it has no expression, is checked otherwise or is in known.
func (v *Validator) invariant(c element.Node, known []*invariant) *invariant {
	key, source := c.Child("key").Text(), c.Child("expression").Text()
	if source == "" || slices.Contains(native, key) {
		return nil
	}
	if e, ok := errata[key]; ok && e.published == source {
		source = e.meant
	}
	for _, k := range known {
		if k.key == key && k.source == source {
			return nil
		}
	}
	i := &invariant{key: key, source: source, human: c.Child("human").Text(), severity: issue.SevError}
	if c.Child("severity").Text() == "warning" {
		i.severity = issue.Warning
	}
	i.expr = v.expr(source)
	return i
}

// expr compiles a source once; nil when it is no FHIRPath.
func (v *Validator) expr(source string) *fhirpath.Expr {
	v.mu.Lock()
	defer v.mu.Unlock()
	if e, ok := v.exprs[source]; ok {
		return e
	}
	if len(v.exprs) >= 4*v.opt.Limits.Profiles {
		clear(v.exprs)
	}
	e, err := fhirpath.Compile(source)
	if err != nil {
		e = nil
	}
	v.exprs[source] = e
	return e
}

// hasInvariants evaluates invariants on n.
func (r *run) hasInvariants(n element.Node, list []*invariant) {
	for _, i := range list {
		if !r.step() {
			return
		}
		if i.expr == nil {
			r.report(n, issue.Warning, issue.NotSupported, "invariant.unreadable", i.key)
			continue
		}
		switch ok, known, err := i.expr.EvalBool(&r.env, n); {
		case err != nil:
			r.unevaluated(n, i, err)
		case known && !ok: // what is empty is not known to be broken: '#'.startsWith() of no reference at all
			r.report(n, i.severity, issue.Invariant, "invariant", i.key, i.human)
		}
	}
}

// unevaluated reports an invariant that cannot be decided, which is no fault of the instance unless it is too costly.
func (r *run) unevaluated(n element.Node, i *invariant, err error) {
	code := issue.NotSupported
	var e *fhirpath.Error
	if errors.As(err, &e) && e.Kind == fhirpath.Costly {
		code = issue.TooCostly
	}
	r.report(n, issue.Warning, code, "invariant.undecided", i.key)
}

// errata are invariants whose published expression does not say what its text says; what is meant is what R5 says.
var errata = map[string]struct{ published, meant string }{
	// No FHIR element is a System.Boolean.
	"que-7": {"operator = 'exists' implies (answer is Boolean)", "operator = 'exists' implies (answer is boolean)"},
}
