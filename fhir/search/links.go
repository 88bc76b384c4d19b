package search

import (
	"slices"

	"meridian/fhir/element"
	"meridian/fhir/schema"
)

// References lists what a reference parameter of a resource points to, for
// _include, in the order of the resource: target narrows to one resource type,
// "" is all. References that name no resource of this server have no ID. Where the parameter is about one
// type only (resolve() is Patient), those whose text does not tell theirs are left out.
func (r *Registry) References(root element.Node, p *Param, target string) []Reference {
	var out []Reference
	p.each(root, func(n element.Node, only string) {
		if n.TypeID() == schema.TypeReference {
			n = childAt(n, referenceReference)
		}
		if !n.HasValue() || n.Type().Kind != schema.Primitive {
			return
		}
		x := r.ParseReference(n.Text())
		if (target == "" || x.Type == target) && (only == "" || x.Type == only) {
			out = append(out, x)
		}
	})
	return out
}

// Elements says in which elements of its resource type p looks, as
// codec.Parser.ParseElements takes it: bit i for Type.Elements[i].
func (p *Param) Elements() uint64 {
	if !p.simple {
		return ^uint64(0)
	}
	var bits uint64
	t := schema.ByName(p.Type)
	for _, b := range p.branches {
		if i := elementIndex(t, b.steps[0].name); i >= 0 {
			bits |= 1 << i
		}
	}
	return bits
}

// each visits the values of p in a resource; only is the type that p's
// expression asks a reference to resolve to, "" for any.
func (p *Param) each(root element.Node, visit func(n element.Node, only string)) {
	if !p.simple {
		items, err := p.eval(root)
		if err != nil {
			return
		}
		for _, it := range items {
			visit(it.Node(), "")
		}
		return
	}
	var seen []element.Node // branches may meet
	for _, b := range p.branches {
		follow(root, b.steps, func(n element.Node) {
			if len(p.branches) > 1 {
				if slices.Contains(seen, n) {
					return
				}
				seen = append(seen, n)
			}
			visit(n, b.resolve())
		})
	}
}

// follow visits what steps lead to from n.
func follow(n element.Node, steps []step, visit func(element.Node)) {
	s := &steps[0]
	i := elementIndex(n.Type(), s.name)
	if i < 0 {
		return
	}
	for c := n.First(); c.Valid(); c = c.Next() {
		switch {
		case c.ElementIndex() != i || !s.takes(c):
		case len(steps) == 1:
			visit(c)
		default:
			follow(c, steps[1:], visit)
		}
	}
}

// takes says whether c fulfils the conditions of the step but for resolve.
func (s *step) takes(c element.Node) bool {
	if s.as != "" {
		if t := schema.ByName(s.as); t == nil || !c.Type().IsA(t.ID) {
			return false
		}
	}
	return (s.child == "" || c.Child(s.child).Text() == s.equals) && (!s.first || c.Ordinal() == 0)
}
