package codec

import (
	"meridian/fhir/element"
	"meridian/fhir/schema"
)

// Edit says what AppendJSON writes otherwise than it was sent.
type Edit struct {
	// Replace gives nodes, by their Index, another value: a JSON literal. A
	// primitive keeps its id and extensions.
	Replace map[int][]byte
	// Keep is asked for every element below the one written, parents before
	// children; false leaves it out with all that is in it. A primitive stays or
	// goes as a whole: its id and extensions are not asked for. An object that
	// loses all its members is left out as well. Nil keeps everything.
	Keep func(element.Node) bool
	// Subsetted adds the tag SUBSETTED to the meta of the resource written, as
	// a part of a resource must have. Meta is kept whole then.
	// https://hl7.org/fhir/R4/search.html#summary
	Subsetted bool
}

const subsettedTag = `{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED"}`

// AppendJSON appends the value of n minified: an object, or a primitive's
// literal without its id and extensions. e may be nil.
func AppendJSON(dst []byte, n element.Node, e *Edit) []byte {
	if !n.Valid() {
		return dst
	}
	w := writer{dst: dst}
	if e != nil {
		w.replace, w.keep = e.Replace, e.Keep
		if e.Subsetted && n.Type().Kind == schema.Resource {
			w.subsetted(n)
			return w.dst
		}
	}
	w.value(n)
	return w.dst
}

type writer struct {
	dst     []byte
	replace map[int][]byte
	keep    func(element.Node) bool
}

// value writes a value without its name.
func (w *writer) value(n element.Node) {
	if len(w.replace) > 0 {
		if literal, ok := w.replace[n.Index()]; ok {
			w.dst = append(w.dst, literal...)
			return
		}
	}
	t := n.Type()
	switch {
	case t.Kind != schema.Primitive:
		w.open(t)
		w.members(n, t)
		w.dst = append(w.dst, '}')
	case n.HasValue():
		w.dst = append(w.dst, n.Raw()...)
	default:
		w.dst = append(w.dst, "null"...)
	}
}

// open writes the brace and, for a resource, its type.
func (w *writer) open(t *schema.Type) {
	w.dst = append(w.dst, '{')
	if t.Kind == schema.Resource {
		w.dst = append(w.dst, `"resourceType":"`...)
		w.dst = append(w.dst, t.Name...)
		w.dst = append(w.dst, '"')
	}
}

// members writes the children of n, of type t.
func (w *writer) members(n element.Node, t *schema.Type) {
	for c := n.First(); c.Valid(); {
		c = w.element(c, &t.Elements[c.ElementIndex()])
	}
}

// element writes the run of siblings that starts with c and gives the node behind it.
func (w *writer) element(c element.Node, e *schema.Element) element.Node {
	if !e.Repeats() {
		if w.kept(c) {
			w.one(c, e)
		}
		return c.Next()
	}
	if c.Type().Kind == schema.Primitive {
		return w.primitives(c, e)
	}
	return w.array(c, e)
}

func (w *writer) kept(n element.Node) bool { return w.keep == nil || w.keep(n) }

// comma separates from the member before, if there is one.
func (w *writer) comma() {
	if w.dst[len(w.dst)-1] != '{' {
		w.dst = append(w.dst, ',')
	}
}

// name writes the separator and the member's name.
func (w *writer) name(prefix string, e *schema.Element, t *schema.Type) {
	w.comma()
	w.dst = append(w.dst, '"')
	w.dst = append(w.dst, prefix...)
	w.dst = append(w.dst, e.Name...)
	if e.Choice {
		w.dst = append(w.dst, t.Name[0]&^0x20)
		w.dst = append(w.dst, t.Name[1:]...)
	}
	w.dst = append(w.dst, '"', ':')
}

// one writes an element that does not repeat.
func (w *writer) one(c element.Node, e *schema.Element) {
	t := c.Type()
	mark := len(w.dst)
	if t.Kind != schema.Primitive {
		w.name("", e, t)
		w.value(c)
		if w.emptied() {
			w.dst = w.dst[:mark]
		}
		return
	}
	if c.HasValue() || w.replaced(c) {
		w.name("", e, t)
		w.value(c)
	}
	if c.First().Valid() {
		w.name("_", e, t)
		w.twin(c, t)
	}
}

func (w *writer) replaced(n element.Node) bool {
	if len(w.replace) == 0 {
		return false
	}
	_, ok := w.replace[n.Index()]
	return ok
}

// emptied says that the value just written lost all its members.
func (w *writer) emptied() bool {
	k := len(w.dst)
	return w.keep != nil && w.dst[k-1] == '}' && w.dst[k-2] == '{'
}

// twin writes a primitive's id and extensions.
func (w *writer) twin(n element.Node, t *schema.Type) {
	keep := w.keep
	w.keep = nil
	w.dst = append(w.dst, '{')
	w.members(n, t)
	w.dst = append(w.dst, '}')
	w.keep = keep
}

// array writes a run of complex elements or resources.
func (w *writer) array(c element.Node, e *schema.Element) element.Node {
	mark, items := len(w.dst), 0
	elem := c.ElementIndex()
	w.name("", e, c.Type())
	w.dst = append(w.dst, '[')
	for ; c.Valid() && c.ElementIndex() == elem; c = c.Next() {
		if !w.kept(c) {
			continue
		}
		back := len(w.dst)
		if items > 0 {
			w.dst = append(w.dst, ',')
		}
		w.value(c)
		if w.emptied() {
			w.dst = w.dst[:back]
			continue
		}
		items++
	}
	if items == 0 {
		w.dst = w.dst[:mark]
		return c
	}
	w.dst = append(w.dst, ']')
	return c
}

// primitives writes a run of primitives: the array of values and, where any
// has one, that of ids and extensions, nulls filling both as they were sent.
func (w *writer) primitives(c element.Node, e *schema.Element) element.Node {
	t, elem := c.Type(), c.ElementIndex()
	values, twins, mark := false, false, len(w.dst)
	w.name("", e, t)
	w.dst = append(w.dst, '[')
	n := c
	for ; n.Valid() && n.ElementIndex() == elem; n = n.Next() {
		if !w.kept(n) {
			continue
		}
		values = values || n.HasValue() || n.NullSent() || w.replaced(n)
		twins = twins || n.TwinSent() || n.First().Valid()
		w.value(n)
		w.dst = append(w.dst, ',')
	}
	if values {
		w.dst[len(w.dst)-1] = ']'
	} else {
		w.dst = w.dst[:mark]
	}
	if twins {
		w.twins(c, e, t, elem)
	}
	return n
}

func (w *writer) twins(n element.Node, e *schema.Element, t *schema.Type, elem int) {
	w.name("_", e, t)
	w.dst = append(w.dst, '[')
	for ; n.Valid() && n.ElementIndex() == elem; n = n.Next() {
		if !w.kept(n) {
			continue
		}
		if n.First().Valid() {
			w.twin(n, t)
		} else {
			w.dst = append(w.dst, "null"...)
		}
		w.dst = append(w.dst, ',')
	}
	w.dst[len(w.dst)-1] = ']'
}

// subsetted writes the resource n with the tag in its meta.
func (w *writer) subsetted(n element.Node) {
	t := n.Type()
	w.open(t)
	meta := n.Child("meta")
	if !meta.Valid() {
		c := n.First()
		if c.Valid() && c.Name() == "id" {
			c = w.element(c, &t.Elements[c.ElementIndex()])
		}
		w.dst = append(w.dst, `,"meta":{"tag":[`+subsettedTag+`]}`...)
		for c.Valid() {
			c = w.element(c, &t.Elements[c.ElementIndex()])
		}
		w.dst = append(w.dst, '}')
		return
	}
	for c := n.First(); c.Valid(); {
		if c == meta {
			w.subsettedMeta(meta)
			c = c.Next()
			continue
		}
		c = w.element(c, &t.Elements[c.ElementIndex()])
	}
	w.dst = append(w.dst, '}')
}

// subsettedMeta writes all of meta, whatever Keep says, and the tag as the last.
func (w *writer) subsettedMeta(meta element.Node) {
	w.dst = append(w.dst, `,"meta":{`...)
	all := writer{dst: w.dst, replace: w.replace}
	t, tagged := meta.Type(), false
	for c := meta.First(); c.Valid(); {
		e := &t.Elements[c.ElementIndex()]
		if e.Name != "tag" {
			c = all.element(c, e)
			continue
		}
		all.name("", e, c.Type())
		all.dst = append(all.dst, '[')
		for ; c.Valid() && c.Name() == "tag"; c = c.Next() {
			if c.Child("code").Text() != "SUBSETTED" {
				all.value(c)
				all.dst = append(all.dst, ',')
			}
		}
		all.dst = append(append(all.dst, subsettedTag...), ']')
		tagged = true
	}
	if !tagged {
		all.comma()
		all.dst = append(all.dst, `"tag":[`+subsettedTag+`]`...)
	}
	w.dst = append(all.dst, '}')
}
