package validate

import (
	"slices"
	"strings"

	"meridian/fhir/element"
	"meridian/fhir/issue"
	"meridian/fhir/schema"
)

// value checks one element against its rule, then what stands below it.
//
// https://hl7.org/fhir/R4/elementdefinition.html
func (r *run) value(n element.Node, x *rule) {
	if !r.step() || r.skipped(n) {
		return
	}
	if x.types != nil {
		r.ofTypes(n, x.types)
	}
	if x.fixed.Valid() && !same(n, x.fixed) {
		r.report(n, issue.SevError, issue.Value, "value.fixed", x.id)
	}
	if x.pattern.Valid() && !matches(n, x.pattern) {
		r.report(n, issue.SevError, issue.Value, "value.pattern", x.id)
	}
	r.within(n, x.length, x.low, x.high)
	if x.binding != "" {
		r.bound(n, x.binding, x.strength)
	}
	r.hasInvariants(n, x.invariants)
	for _, c := range x.children {
		r.element(n, c)
	}
}

// element checks all repetitions of one element of n against its rule.
func (r *run) element(n element.Node, x *rule) {
	if elementIndex(n.Type(), x.name) < 0 {
		return // below a choice, another type was chosen
	}
	var room [8]element.Node
	nodes := room[:0]
	for c := n.First(); c.Valid(); c = c.Next() {
		if c.Name() == x.name {
			nodes = append(nodes, c)
		}
	}
	if x.card {
		r.cardinality(n, x.name, "", len(nodes), x)
	}
	for _, c := range nodes {
		r.value(c, x)
	}
	if x.slicing != nil {
		r.slice(n, x.name, nodes, x.slicing)
	}
}

// cardinality checks how many of an element, or of a slice of it, n has.
func (r *run) cardinality(n element.Node, name, slice string, got int, x *rule) {
	if r.skip != nil && got < x.min {
		return // what is missing may be what codec refused
	}
	what := name
	if slice != "" {
		what += ":" + slice
	}
	if got < x.min {
		r.reportAt(n, "."+name, issue.SevError, issue.Required, "cardinality.min", what, count(x.min), count(got))
	}
	if x.max != unbounded && got > x.max {
		if x.max == 0 {
			r.reportAt(n, "."+name, issue.SevError, issue.Structure, "cardinality.none", what)
			return
		}
		r.reportAt(n, "."+name, issue.SevError, issue.Structure, "cardinality.max", what, count(x.max), count(got))
	}
}

// ofTypes checks that n is of one of the types, and conforms to what that type's rule names.
func (r *run) ofTypes(n element.Node, types []typeRule) {
	var names []string
	for i := range types {
		t := &types[i]
		if !isType(n, t.code) {
			names = append(names, t.code)
			continue
		}
		if len(t.profiles) > 0 {
			r.holdAny(n, t.profiles)
		}
		if len(t.targets) > 0 && n.TypeID() == schema.TypeReference {
			r.targets(n, t.targets)
		}
		return
	}
	r.report(n, issue.SevError, issue.Structure, "type", n.Type().Name, strings.Join(names, ", "))
}

// isType says that n is of a type that a definition names. Element.id and Extension.url are of FHIRPath's String.
func isType(n element.Node, code string) bool {
	t := schema.ByName(code)
	if t == nil {
		return code == "String" || code == "BackboneElement" || code == "Element"
	}
	return n.Type().IsA(t.ID) || n.Type().Kind == schema.Backbone
}

// holdAny holds n to the one profile, or to any of several.
func (r *run) holdAny(n element.Node, urls []string) {
	if r.depth >= r.v.opt.Limits.Depth {
		return
	}
	if len(urls) == 1 {
		r.holdTo(n, urls[0])
		return
	}
	if slices.ContainsFunc(urls, func(url string) bool { return r.probe(func() { r.holdTo(n, url) }) }) {
		return
	}
	r.report(n, issue.SevError, issue.Structure, "profile.none", strings.Join(urls, ", "))
}

// holdTo holds n to a profile by its canonical. One that is not known is a warning.
func (r *run) holdTo(n element.Node, url string) {
	if isCore(url, n.Type()) {
		return
	}
	p := r.known(url)
	switch {
	case p == nil:
		r.report(n, issue.Warning, issue.NotFound, "profile.unknown")
	case p.typ == 0 || !n.Type().IsA(p.typ):
		r.report(n, issue.SevError, issue.Structure, "profile.type", p.typeName, n.Type().Name)
	default:
		r.hold(n, p)
	}
}

// known gives a profile, looked up once in a run.
func (r *run) known(url string) *profile {
	p := r.loader.profile(url)
	r.fail(r.loader.err)
	return p
}
