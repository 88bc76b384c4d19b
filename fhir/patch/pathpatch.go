package patch

import (
	"slices"
	"strconv"

	"meridian/fhir/codec"
	"meridian/fhir/element"
	"meridian/fhir/fhirpath"
	"meridian/fhir/schema"
)

// maxSteps is what the paths of one patch may evaluate together, each at least
// minSteps: a step is about 50 ns.
const (
	maxSteps = 5_000_000
	minSteps = 50_000
)

// editor changes the tree of a resource.
type editor struct {
	tree *element.Tree
	env  *fhirpath.Env
}

// applyPaths carries out a FHIRPath Patch and gives the resource as JSON.
func (p *Patch) applyPaths(t Target) ([]byte, error) {
	tree, err := t.Parser.Parse(t.Body)
	if err != nil {
		return nil, err
	}
	tree.Src = slices.Clip(tree.Src) // what is appended goes into a copy
	steps := maxSteps / max(len(p.path), 1)
	e := editor{tree: tree, env: &fhirpath.Env{Now: t.Now, Limits: fhirpath.Limits{Steps: max(steps, minSteps)}}}
	for i := range p.path {
		if err := e.apply(&p.path[i]); err != nil {
			return nil, err
		}
	}
	return codec.AppendJSON(make([]byte, 0, len(t.Body)+len(t.Body)/8+64), tree.Root(), nil), nil
}

func (e *editor) apply(o *pathOperation) error {
	found, err := e.find(o, o.path)
	if err != nil {
		return err
	}
	switch o.op {
	case "insert", "move":
		return e.list(o, found)
	}
	switch len(found) {
	case 0:
		if o.op == "delete" {
			return nil // https://hl7.org/fhir/R4/fhirpatch.html: the element to delete (if found)
		}
		return o.fail("there is nothing at the path")
	case 1:
	default:
		return o.fail("the path names " + strconv.Itoa(len(found)) + " elements, and one is asked for")
	}
	n := found[0]
	if o.op == "add" {
		return e.add(o, n.Index(), o.name, o.value)
	}
	if !n.Parent().Valid() {
		return o.fail("this is the resource itself")
	}
	if o.op == "delete" {
		e.remove(n)
		return nil
	}
	return e.replace(o, n)
}

// find evaluates a path; its results are elements of the resource.
func (e *editor) find(o *pathOperation, path *fhirpath.Expr) ([]element.Node, error) {
	items, err := path.Eval(e.env, e.tree.Root())
	if err != nil {
		return nil, o.badPath(err)
	}
	found := make([]element.Node, 0, len(items))
	for _, i := range items {
		if i.Kind() != fhirpath.Element || i.Node().Tree() != e.tree {
			return nil, o.fail("the path gives a value, where an element of the resource is asked for")
		}
		found = append(found, i.Node())
	}
	return found, nil
}

// add puts a value below node parent: behind its like where the element
// repeats, else, if there is none yet, where the definition has it.
func (e *editor) add(o *pathOperation, parent int, name string, part element.Node) error {
	at := e.tree.At(parent)
	elem, typ, ok := elementNamed(at.Type(), name)
	if !ok {
		return o.fail(at.Type().Name + " has no element " + shownName(name))
	}
	prev := -1
	for c := at.First(); c.Valid(); c = c.Next() {
		switch k := c.ElementIndex(); {
		case k == elem && !at.Type().Elements[elem].Repeats():
			return o.fail("the element " + at.Type().Elements[elem].Path + " is there already, and does not repeat; replace it")
		case k == elem:
			prev = c.Index()
		case k < elem && (prev < 0 || e.tree.At(prev).ElementIndex() < elem):
			prev = c.Index()
		}
	}
	return e.graft(o, place{parent, prev, elem, typ}, part)
}

// elementNamed finds an element by its name: value, value[x], or the name that
// JSON gives it, valueQuantity, which settles its type; else typ is 0.
func elementNamed(t *schema.Type, name string) (elem int, typ schema.ID, ok bool) {
	for i := range t.Elements {
		e := &t.Elements[i]
		if e.Name == name || e.Choice && e.Name+"[x]" == name {
			return i, 0, true
		}
	}
	if p, ok := t.Lookup([]byte(name)); ok {
		return int(p.Element), p.Type, true
	}
	return 0, 0, false
}

// maxNameShown is how many bytes of a name an error repeats.
const maxNameShown = 64

func shownName(name string) string {
	return strconv.QuoteToASCII(name[:min(len(name), maxNameShown)])
}

// replace puts a value in the place of n, with whatever was in it.
func (e *editor) replace(o *pathOperation, n element.Node) error {
	at := place{parent: n.Parent().Index(), prev: previous(n), elem: n.ElementIndex()}
	e.tree.Remove(n.Index())
	return e.graft(o, at, o.value)
}

// previous is the index of the sibling before n, -1 for the first.
func previous(n element.Node) int {
	prev := -1
	for c := n.Parent().First(); c.Valid() && c != n; c = c.Next() {
		prev = c.Index()
	}
	return prev
}

// remove takes n out, and then what is empty without it.
func (e *editor) remove(n element.Node) {
	for {
		up := n.Parent()
		e.tree.Remove(n.Index())
		if up.First().Valid() || !up.Parent().Valid() || up.Type().Kind == schema.Resource ||
			up.Type().Kind == schema.Primitive && up.HasValue() {
			return
		}
		n = up
	}
}

// list carries out insert and move, whose path names all elements of one list.
func (e *editor) list(o *pathOperation, run []element.Node) error {
	if len(run) == 0 {
		return e.startList(o)
	}
	if err := o.checkList(run); err != nil {
		return err
	}
	first, parent := previous(run[0]), run[0].Parent().Index()
	if o.op == "insert" {
		if o.index > len(run) {
			return o.fail("the list has " + strconv.Itoa(len(run)) + " elements, so that the index is too high")
		}
		prev := first
		if o.index > 0 {
			prev = run[o.index-1].Index()
		}
		return e.graft(o, place{parent: parent, prev: prev, elem: run[0].ElementIndex()}, o.value)
	}
	if o.source >= len(run) || o.destination >= len(run) {
		return o.fail("the list has " + strconv.Itoa(len(run)) + " elements, so that source or destination is too high")
	}
	moved := run[o.source]
	e.tree.Remove(moved.Index())
	rest := slices.Delete(slices.Clone(run), o.source, o.source+1)
	prev := first
	if o.destination > 0 {
		prev = rest[o.destination-1].Index()
	}
	e.tree.Restore(moved.Index(), prev)
	return nil
}

// checkList: the elements are all of one list, in its order.
func (o *pathOperation) checkList(run []element.Node) error {
	parent, elem := run[0].Parent(), run[0].ElementIndex()
	if !parent.Valid() || !run[0].Element().Repeats() {
		return o.fail("what the path names does not repeat, so that it is no list")
	}
	i := 0
	for c := parent.First(); c.Valid(); c = c.Next() {
		if c.ElementIndex() != elem {
			continue
		}
		if i >= len(run) || run[i] != c {
			return o.fail("the path names a part of a list; insert and move ask for all of it")
		}
		i++
	}
	if i < len(run) {
		return o.fail("the path names elements of several lists")
	}
	return nil
}

// startList inserts the first element of a list. Which one it is shows in the last step of the path.
func (e *editor) startList(o *pathOperation) error {
	if o.op != "insert" || o.member == "" {
		return o.fail("there is no list at the path")
	}
	holder := []element.Node{e.tree.Root()}
	if o.holder != nil {
		var err error
		if holder, err = e.find(o, o.holder); err != nil {
			return err
		}
	}
	if len(holder) != 1 {
		return o.fail("there is no list at the path")
	}
	elem, _, ok := elementNamed(holder[0].Type(), o.member)
	if !ok || !holder[0].Type().Elements[elem].Repeats() {
		return o.fail("there is no list at the path")
	}
	if o.index > 0 {
		return o.fail("the list has 0 elements, so that the index is too high")
	}
	return e.add(o, holder[0].Index(), o.member, o.value)
}
