package patch

import (
	"meridian/fhir/element"
	"meridian/fhir/schema"
)

// place is where a value goes: below parent, behind prev (-1: as the first), as
// its element elem. typ is its type where the name says it, else 0.
type place struct {
	parent, prev, elem int
	typ                schema.ID
}

// graft adds the value of a part at a place.
func (e *editor) graft(o *pathOperation, at place, part element.Node) error {
	def := &e.tree.At(at.parent).Type().Elements[at.elem]
	if nested := part.Child("part"); nested.Valid() {
		return e.graftParts(o, at, def, part)
	}
	src := valueOf(part)
	if !src.Valid() {
		src = part.Child("resource")
	}
	if !src.Valid() {
		return o.fail("the element " + def.Path + " is given no value")
	}
	typ, ok := typeFor(def, at.typ, src.Type())
	if !ok {
		return o.fail("the element " + def.Path + " does not take a " + src.Type().Name)
	}
	for c := src.First(); c.Valid(); c = c.Next() { // below it both types are the same
		if elementLike(schema.ByID(typ), src.Type(), c.ElementIndex()) < 0 {
			return o.fail("the element " + def.Path + " takes no " + c.Name())
		}
	}
	e.copy(at.parent, at.prev, at.elem, typ, src)
	return nil
}

// typeFor gives the type of the node that holds a value of type src as the
// element def; wanted is a type that must come out, or 0.
func typeFor(def *schema.Element, wanted schema.ID, src *schema.Type) (schema.ID, bool) {
	for _, id := range def.Types {
		if wanted != 0 && id != wanted {
			continue
		}
		t := schema.ByID(id)
		switch {
		case id == src.ID:
			return id, true
		case def.Choice: // the type is what the client says
		case t.Kind == schema.Resource:
			if src.Kind == schema.Resource {
				return src.ID, true
			}
		case t.Kind == schema.Primitive && src.Kind == schema.Primitive:
			if related(t, src) {
				return id, true
			}
		case t.Kind == schema.Complex && src.Kind == schema.Complex && isData(t) && (t.IsA(src.ID) || src.IsA(id)):
			return id, true
		}
	}
	return 0, false
}

// isData leaves out Element and BackboneElement, from which all derive.
func isData(t *schema.Type) bool {
	return !t.Abstract && t.Name != "Element" && t.Name != "BackboneElement"
}

// related says that a value of one primitive type can be one of the other: a
// string where a code is asked for, a date where a dateTime is. Whether its text
// is a code is checked with the result.
func related(t, src *schema.Type) bool {
	if t.IsA(src.ID) || src.IsA(t.ID) {
		return true
	}
	switch t.ID {
	case schema.TypeXhtml:
		return src.ID == schema.TypeString
	case schema.TypeDate, schema.TypeDateTime, schema.TypeInstant:
		return src.ID == schema.TypeDate || src.ID == schema.TypeDateTime || src.ID == schema.TypeInstant
	}
	return false
}

// graftParts adds a complex element that is given part by part, as those are
// that have no type with a name.
func (e *editor) graftParts(o *pathOperation, at place, def *schema.Element, part element.Node) error {
	typ := at.typ
	if typ == 0 && len(def.Types) == 1 {
		typ = def.Types[0]
	}
	if typ == 0 {
		return o.fail("the element " + def.Path + " may have several types, so that it is not given by parts")
	}
	if k := schema.ByID(typ).Kind; k != schema.Complex && k != schema.Backbone {
		return o.fail("the element " + def.Path + " is a " + schema.ByID(typ).Name + " and has no parts")
	}
	n := e.tree.Insert(at.parent, at.prev, element.Data{Start: 0, End: 1, Type: typ, Elem: at.elem})
	for c := part.First(); c.Valid(); c = c.Next() {
		if c.Name() != "part" {
			continue
		}
		if err := e.add(o, n, c.Child("name").Text(), c); err != nil {
			return err
		}
	}
	return nil
}

// copy adds src, of another tree, with all below it, as a node of type typ.
func (e *editor) copy(parent, prev, elem int, typ schema.ID, src element.Node) int {
	d := element.Data{Type: typ, Elem: elem}
	switch {
	case src.Type().Kind != schema.Primitive:
		d.End = 1 // complex: it is there
	case src.HasValue():
		d.Start, d.End = e.tree.AppendText(src.Raw())
		d.String, d.Escaped = src.IsString(), src.Escaped()
	}
	n := e.tree.Insert(parent, prev, d)
	t, last := schema.ByID(typ), -1
	for c := src.First(); c.Valid(); c = c.Next() {
		last = e.copy(n, last, elementLike(t, src.Type(), c.ElementIndex()), c.TypeID(), c)
	}
	return n
}

// elementLike gives the element of t that has the name of element i of src.
func elementLike(t, src *schema.Type, i int) int {
	if t == src {
		return i
	}
	name := src.Elements[i].Name
	for k := range t.Elements {
		if t.Elements[k].Name == name {
			return k
		}
	}
	return -1
}
