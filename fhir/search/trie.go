package search

import (
	"slices"

	"meridian/fhir/element"
	"meridian/fhir/schema"
)

// trieNode is a place in a resource type's definition at which search
// parameters look further down: what to do with the children of an element of
// one type. One walk of the resource serves all parameters.
type trieNode struct {
	// elems by index into the type's Elements; shorter than that where the
	// last ones are not looked at.
	elems [][]edge
}

// edge is taken by a child that fulfils its conditions.
type edge struct {
	step   step
	types  []schema.ID // the child's type is one of these; nil is any
	child  int16       // where(child = equals): index in the child's type, -1 without
	emits  []emit
	node   *trieNode // nil where nothing lies below
	target schema.ID // the type that node is about
	free   bool      // there are no conditions
}

// emit says that the child is a value of a parameter.
type emit struct {
	param  *Param
	exists bool
}

// insert adds a branch of p below n, which is about t.
func (n *trieNode) insert(t *schema.Type, b branch, p *Param) {
	n.add(t, b.steps, emit{p, b.exists})
}

func (n *trieNode) add(t *schema.Type, steps []step, e emit) {
	i := elementIndex(t, steps[0].name)
	if i < 0 {
		return
	}
	el, s, last := &t.Elements[i], steps[0], len(steps) == 1
	types := typesOf(el, s.as)
	if last {
		if s.as == "" {
			types = nil
		}
		ed := n.edge(t, i, s, types, 0)
		ed.emits = append(ed.emits, e)
		return
	}
	for _, id := range types {
		next := schema.ByID(id)
		if elementIndex(next, steps[1].name) < 0 {
			continue
		}
		var only []schema.ID
		if len(el.Types) > 1 {
			only = []schema.ID{id}
		}
		ed := n.edge(t, i, s, only, id)
		if ed.node == nil {
			ed.node = &trieNode{}
		}
		ed.node.add(next, steps[1:], e)
	}
}

// edge finds or makes the edge for element i with these conditions. target is
// 0 where nothing is looked for below.
func (n *trieNode) edge(t *schema.Type, i int, s step, types []schema.ID, target schema.ID) *edge {
	for len(n.elems) <= i {
		n.elems = append(n.elems, nil)
	}
	s.name, s.as = "", ""
	for k := range n.elems[i] {
		ed := &n.elems[i][k]
		if ed.step == s && slices.Equal(ed.types, types) && (ed.target == target || ed.target == 0 || target == 0) {
			if target != 0 {
				ed.target = target
			}
			return ed
		}
	}
	ed := edge{step: s, types: types, child: -1, target: target, free: types == nil && s == step{}}
	if s.child != "" {
		ed.child = int16(elementIndex(schema.ByID(t.Elements[i].Types[0]), s.child))
	}
	n.elems[i] = append(n.elems[i], ed)
	return &n.elems[i][len(n.elems[i])-1]
}

// typesOf lists the types of el that are as, or all when as is empty.
func typesOf(el *schema.Element, as string) []schema.ID {
	if as == "" {
		return el.Types
	}
	want := schema.ByName(as)
	var out []schema.ID
	for _, id := range el.Types {
		if want != nil && schema.ByID(id).IsA(want.ID) {
			out = append(out, id)
		}
	}
	return out
}

func elementIndex(t *schema.Type, name string) int {
	for i := range t.Elements {
		if t.Elements[i].Name == name {
			return i
		}
	}
	return -1
}

// ends lists the definitions of the elements that b leads to in t, and the
// types that they may have.
func (b branch) ends(t *schema.Type) (elements []*schema.Element, types []schema.ID) {
	types = []schema.ID{t.ID}
	for _, s := range b.steps {
		var next []schema.ID
		elements = nil
		for _, id := range types {
			if i := elementIndex(schema.ByID(id), s.name); i >= 0 {
				e := &schema.ByID(id).Elements[i]
				elements = append(elements, e)
				next = append(next, typesOf(e, s.as)...)
			}
		}
		types = next
	}
	return elements, types
}

// isName says whether the strings that b leads to are read as names.
func (b branch) isName(t *schema.Type) bool {
	_, types := b.ends(t)
	if slices.Contains(types, schema.TypeHumanName) {
		return true
	}
	return nameRole(b.steps[len(b.steps)-1].name) != notAName && slices.Contains(types, schema.TypeString)
}

// mayName says whether the elements that b leads to may refer to resources of type target.
func (b branch) mayName(t *schema.Type, target string) bool {
	if r := b.resolve(); r != "" && r != target {
		return false
	}
	elements, _ := b.ends(t)
	return slices.ContainsFunc(elements, func(e *schema.Element) bool {
		return len(e.Targets) == 0 || slices.Contains(e.Targets, "Resource") || slices.Contains(e.Targets, target)
	})
}

// holds says whether c fulfils the edge's conditions.
func (b *builder) holds(ed *edge, c element.Node) bool {
	if ed.types != nil && !slices.Contains(ed.types, c.TypeID()) {
		return false
	}
	if ed.child >= 0 {
		v := childAt(c, int(ed.child))
		if string(v.Bytes()) != ed.step.equals {
			return false
		}
	}
	if ed.step.resolve != "" && b.refersTo(c) != ed.step.resolve {
		return false
	}
	return !ed.step.first || c.Ordinal() == 0
}

// childAt gives the first child that is element i of n's type.
func childAt(n element.Node, i int) element.Node {
	for c := n.First(); c.Valid(); c = c.Next() {
		if c.ElementIndex() == i {
			return c
		}
	}
	return element.Node{}
}

func (b *builder) walk(n element.Node, t *trieNode) {
	for c := n.First(); c.Valid(); c = c.Next() {
		b.child(c, t)
	}
}

// child takes the edges of t that lead to c.
func (b *builder) child(c element.Node, t *trieNode) {
	i := c.ElementIndex()
	if i >= len(t.elems) {
		return
	}
	edges := t.elems[i]
	for k := range edges {
		ed := &edges[k]
		if !ed.free && !b.holds(ed, c) {
			continue
		}
		for _, e := range ed.emits {
			if e.exists {
				b.exists(e.param, c)
			} else {
				b.value(e.param, c)
			}
		}
		if ed.node != nil {
			b.walk(c, ed.node)
		}
	}
}
