package graphql

import (
	"github.com/vektah/gqlparser/v2/ast"

	"meridian/fhir/codec"
	"meridian/fhir/issue"
	"meridian/fhir/schema"
)

// object of the answer. Where one resource is referred to twice by the same
// selection, its object stands in both places.
type object struct {
	slots  []slot
	shared bool // flattened elements put names here, too
}

// slot is a name of an object with its values.
type slot struct {
	name   string
	list   bool // an array, also of one
	empty  bool // an array also of none
	single bool
	step   *step     // that put the first here
	typ    schema.ID // of its values
	values []item
}

// item is a value: JSON as it stands, or an object. Neither is null.
type item struct {
	raw []byte
	obj *object
}

// place is where values go: an object, under names with a suffix, as lists where an element around was flattened.
type place struct {
	obj    *object
	list   bool
	suffix string
}

// flat says that names here come from below a flattened element.
func (p *place) flat() bool { return p.list || p.suffix != "" || p.obj.shared }

// slot finds or makes that of a step. What several fields put under one name must have one type.
//
// https://hl7.org/fhir/R4/graphql.html#flattening
func (x *run) slot(p place, st *step, suffix string, typ schema.ID) *slot {
	o, name := p.obj, st.key+p.suffix+suffix
	n := len(o.slots)
	if n > 0 && o.slots[n-1].step == st && o.slots[n-1].name == name {
		return &o.slots[n-1]
	}
	if o.shared || st.slice != nil {
		for i := range o.slots {
			s := &o.slots[i]
			if s.name != name {
				continue
			}
			if s.step != st && s.typ != typ {
				x.refuse(st.at(), issue.Invalid, "flatten", "values of different types come together under "+st.key+": give one of the fields another name")
			}
			return s
		}
	}
	o.slots = append(o.slots, slot{name: name, step: st, list: (p.list || st.repeats) && !st.single, single: st.single, typ: typ})
	return &o.slots[n]
}

// put adds a value.
func (x *run) put(s *slot, at *ast.Position, v item) {
	if s.single && len(s.values) > 0 {
		x.refuse(at, issue.MultipleMatch, "singleton", "@singleton: there is more than one value")
		return
	}
	s.values = append(s.values, v)
	if x.values++; x.values > x.limits.Values {
		x.costly(at, "values in its answer", x.limits.Values)
	}
}

// appendObject writes an object. It gives up over the limit of bytes.
func (x *run) appendObject(dst []byte, o *object) []byte {
	dst = append(dst, '{')
	for i := range o.slots {
		s := &o.slots[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(codec.AppendString(dst, s.name), ':')
		if len(dst) > x.limits.AnswerBytes {
			x.costly(nil, "bytes in its answer", x.limits.AnswerBytes)
			return dst
		}
		dst = x.appendSlot(dst, s)
	}
	return append(dst, '}')
}

func (x *run) appendSlot(dst []byte, s *slot) []byte {
	switch {
	case len(s.values) == 0 && !s.empty:
		return append(dst, "null"...)
	case !s.list && len(s.values) == 1:
		return x.appendItem(dst, &s.values[0])
	}
	dst = append(dst, '[')
	for i := range s.values {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = x.appendItem(dst, &s.values[i])
	}
	return append(dst, ']')
}

func (x *run) appendItem(dst []byte, v *item) []byte {
	switch {
	case v.obj != nil && !x.stopped:
		return x.appendObject(dst, v.obj)
	case v.raw != nil:
		return append(dst, v.raw...)
	}
	return append(dst, "null"...)
}
