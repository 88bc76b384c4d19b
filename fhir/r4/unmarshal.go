package r4

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"

	"meridian/fhir/element"
	"meridian/fhir/schema"
)

// ErrType says that a node or a Go value is not of the type that is asked for.
var ErrType = errors.New("type does not fit")

// Unmarshal fills v, a pointer to the struct of n's type, from a tree that
// codec built. Elements that n does not have are left as they are in v. An
// error names the place, never the value.
func Unmarshal(n element.Node, v any) error {
	rv := reflect.ValueOf(v)
	p := planFor(n.TypeID())
	if p == nil || rv.Kind() != reflect.Pointer || rv.IsNil() || rv.Type().Elem() != p.goType {
		return fmt.Errorf("r4: unmarshal %s into %T: %w", n.Name(), v, ErrType)
	}
	d := decoder{}
	return d.fill(n, p, rv.Elem())
}

// Read gives the resource that n holds, as a pointer to a new struct.
func Read(n element.Node) (Resource, error) {
	d := decoder{}
	return d.resource(n)
}

// decoder holds what the values of one tree share.
type decoder struct {
	tree    *element.Tree
	text    string   // copy of the tree's source
	strings []string // room for strings that are pointed to
}

// stringsAtOnce is how many strings are allocated together; they are kept
// alive together.
const stringsAtOnce = 16

func (d *decoder) fill(n element.Node, p *plan, v reflect.Value) error {
	for c := n.First(); c.Valid(); {
		f := &p.fields[c.ElementIndex()]
		var err error
		switch {
		case f.repeats:
			c, err = d.slice(c, f, v)
		case f.shape == byChoice:
			err = d.choice(c, f, v)
			c = c.Next()
		default:
			if err = d.value(c, f, v.Field(f.index)); err == nil && f.twin >= 0 && c.First().Valid() {
				err = d.twin(c, v.Field(f.twin))
			}
			c = c.Next()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// slice reads the run of siblings that starts with c and gives the first node after it.
func (d *decoder) slice(c element.Node, f *field, v reflect.Value) (element.Node, error) {
	count, twins := 0, false
	end := c
	for ; end.Valid() && end.ElementIndex() == c.ElementIndex(); end = end.Next() {
		count++
		twins = twins || f.twin >= 0 && end.First().Valid()
	}
	s := v.Field(f.index)
	s.Set(reflect.MakeSlice(s.Type(), count, count))
	if twins {
		v.Field(f.twin).Set(reflect.MakeSlice(twinsType, count, count))
	}
	for i := range count {
		if err := d.value(c, f, s.Index(i)); err != nil {
			return c, err
		}
		if twins && c.First().Valid() {
			if err := d.twin(c, v.Field(f.twin).Index(i)); err != nil {
				return c, err
			}
		}
		c = c.Next()
	}
	return end, nil
}

// value sets one field or one place of a slice. A primitive without value leaves it empty.
func (d *decoder) value(n element.Node, f *field, v reflect.Value) error {
	if f.shape == byName {
		r, err := d.resource(n)
		if err == nil {
			v.Set(reflect.ValueOf(r))
		}
		return err
	}
	if f.kind == isStruct {
		if f.shape == byPointer {
			v.Set(reflect.New(v.Type().Elem()))
			v = v.Elem()
		}
		p := planFor(n.TypeID())
		if p == nil || p.goType != v.Type() {
			return fmt.Errorf("r4: %s: %w", n.Location(), ErrType)
		}
		return d.fill(n, p, v)
	}
	if !n.HasValue() {
		return nil
	}
	if f.kind == isString && f.shape == byPointer {
		*v.Addr().Interface().(**string) = d.pointer(n)
		return nil
	}
	if f.shape == byPointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	return d.primitive(n, f.kind, v)
}

func (d *decoder) primitive(n element.Node, k kind, v reflect.Value) error {
	switch k {
	case isString, isDecimal:
		v.SetString(d.string(n))
	case isBool:
		v.SetBool(string(n.Raw()) == "true")
	case isInt:
		i, err := strconv.ParseInt(string(n.Raw()), 10, 32)
		if err != nil {
			return fmt.Errorf("r4: %s: no integer of 32 bits: %w", n.Location(), ErrType)
		}
		v.SetInt(i)
	}
	return nil
}

func (d *decoder) choice(n element.Node, f *field, v reflect.Value) error {
	id := n.TypeID()
	dst := v.Field(f.index)
	k := kindOf(id)
	if k == isStruct {
		p := planFor(id)
		if p == nil {
			return fmt.Errorf("r4: %s: %w", n.Location(), ErrType)
		}
		s := reflect.New(p.goType)
		dst.Set(s)
		return d.fill(n, p, s.Elem())
	}
	t := choiceTypes[id]
	if n.HasValue() {
		x := reflect.New(t).Elem()
		if err := d.primitive(n, k, x); err != nil {
			return err
		}
		dst.Set(x)
	} else {
		dst.Set(reflect.Zero(reflect.PointerTo(t)))
	}
	if n.First().Valid() {
		return d.twin(n, v.Field(f.twin))
	}
	return nil
}

// twin reads id and extension of a primitive. Every primitive begins with the
// elements of Element, in its order.
func (d *decoder) twin(n element.Node, v reflect.Value) error {
	e := new(Element)
	v.Set(reflect.ValueOf(e))
	return d.fill(n, planFor(schema.TypeElement), reflect.ValueOf(e).Elem())
}

func (d *decoder) resource(n element.Node) (Resource, error) {
	p := planFor(n.TypeID())
	if p == nil || p.typ.Kind != schema.Resource {
		return nil, fmt.Errorf("r4: %s: no resource: %w", n.Location(), ErrType)
	}
	v := reflect.New(p.goType)
	if err := d.fill(n, p, v.Elem()); err != nil {
		return nil, err
	}
	return v.Interface().(Resource), nil
}

// string gives the text of a primitive: a part of the one copy of the source,
// or unescaped memory of its own.
func (d *decoder) string(n element.Node) string {
	if n.Escaped() {
		return n.Text()
	}
	if t := n.Tree(); d.tree != t {
		d.tree, d.text = t, string(t.Src)
	}
	from, to := n.Offset(), n.End()
	if n.IsString() {
		from, to = from+1, to-1
	}
	return d.text[from:to]
}

func (d *decoder) pointer(n element.Node) *string {
	if len(d.strings) == 0 {
		d.strings = make([]string, stringsAtOnce)
	}
	s := &d.strings[0]
	d.strings = d.strings[1:]
	*s = d.string(n)
	return s
}
