package r4

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"unicode/utf8"

	"meridian/fhir/schema"
)

// MaxDepth bounds the nesting of structs that Marshal follows, contained
// resources included: a cycle of pointers ends there with an error.
const MaxDepth = 64

// Marshal writes a resource or datatype, a pointer to one of the structs, as
// minified JSON in the order of its definition. It checks that the text is
// JSON, not that it is valid FHIR. An error names the place, never the value.
func Marshal(v any) ([]byte, error) { return Append(nil, v) }

// Append is Marshal that appends to dst.
func Append(dst []byte, v any) ([]byte, error) {
	rv := reflect.ValueOf(v)
	if rv.Kind() != reflect.Pointer || rv.IsNil() {
		return dst, fmt.Errorf("r4: marshal %T: not a pointer to a struct: %w", v, ErrType)
	}
	p := planOf(rv.Type().Elem())
	if p == nil {
		return dst, fmt.Errorf("r4: marshal %T: %w", v, ErrType)
	}
	e := encoder{out: dst}
	e.object(p, rv.Elem())
	if e.err != nil {
		return dst, e.err
	}
	return e.out, nil
}

// encoder keeps the first error and goes on writing: the output is thrown away then.
type encoder struct {
	out   []byte
	depth int
	err   error
}

func (e *encoder) fail(p *plan, f *field, what string) {
	if e.err == nil {
		e.err = fmt.Errorf("r4: marshal %s.%s: %s: %w", p.typ.Name, f.name, what, ErrType)
	}
}

func (e *encoder) object(p *plan, v reflect.Value) {
	e.out = append(e.out, '{')
	if p.typ.Kind == schema.Resource {
		e.name("resourceType")
		e.out = append(append(append(e.out, '"'), p.typ.Name...), '"')
	}
	if e.depth++; e.depth > MaxDepth {
		e.fail(p, &p.fields[0], fmt.Sprintf("nested deeper than %d", MaxDepth))
	}
	for i := range p.fields {
		if e.err != nil {
			return
		}
		switch f := &p.fields[i]; {
		case f.repeats:
			e.slice(p, f, v)
		case f.shape == byChoice:
			e.choice(p, f, v)
		default:
			e.single(p, f, v)
		}
	}
	e.depth--
	e.out = append(e.out, '}')
}

// name writes a property name and the comma before it.
func (e *encoder) name(name string) {
	e.comma()
	e.out = append(append(append(e.out, '"'), name...), `":`...)
}

func (e *encoder) twinName(name string) {
	e.comma()
	e.out = append(append(append(e.out, `"_`...), name...), `":`...)
}

func (e *encoder) comma() {
	switch e.out[len(e.out)-1] {
	case '{', '[':
	default:
		e.out = append(e.out, ',')
	}
}

func (e *encoder) single(p *plan, f *field, v reflect.Value) {
	if x := v.Field(f.index); !empty(f, x) {
		e.name(f.json[0])
		e.value(p, f, x)
	}
	if f.twin >= 0 {
		e.twin(f.json[0], v.Field(f.twin))
	}
}

func (e *encoder) twin(name string, v reflect.Value) {
	if !v.IsNil() {
		e.twinName(name)
		e.object(planFor(schema.TypeElement), v.Elem())
	}
}

// empty says that a field, or a place of a slice, holds no value.
func empty(f *field, v reflect.Value) bool {
	switch {
	case f.shape == byPointer || f.shape == byName:
		return v.IsNil()
	case f.kind == isString || f.kind == isDecimal:
		return v.Len() == 0
	}
	return v.IsZero()
}

func (e *encoder) value(p *plan, f *field, v reflect.Value) {
	if f.shape == byName {
		e.resource(p, f, v)
		return
	}
	if f.shape == byPointer {
		v = v.Elem()
	}
	if f.kind == isStruct {
		e.object(planFor(f.typ), v)
		return
	}
	e.primitive(p, f, f.kind, v)
}

func (e *encoder) resource(p *plan, f *field, v reflect.Value) {
	v = v.Elem()
	if v.Kind() != reflect.Pointer || v.IsNil() {
		e.fail(p, f, "no resource")
		return
	}
	rp := planOf(v.Type().Elem())
	if rp == nil || rp.typ.Kind != schema.Resource {
		e.fail(p, f, "no resource")
		return
	}
	e.object(rp, v.Elem())
}

// slice writes a repeating element: values and, where there are any, twins,
// with null in the places that have none.
func (e *encoder) slice(p *plan, f *field, v reflect.Value) {
	s := v.Field(f.index)
	var twins []*Element
	if f.twin >= 0 {
		twins = v.Field(f.twin).Interface().([]*Element)
	}
	values, count := 0, max(s.Len(), len(twins))
	for i := range s.Len() {
		if f.kind == isStruct || !empty(f, s.Index(i)) {
			values++
		}
	}
	if values > 0 {
		e.name(f.json[0])
		e.out = append(e.out, '[')
		for i := range count {
			e.comma()
			if i >= s.Len() || empty(f, s.Index(i)) {
				if i >= len(twins) || twins[i] == nil {
					e.fail(p, f, "a place without value and extension")
				}
				e.out = append(e.out, "null"...)
				continue
			}
			e.value(p, f, s.Index(i))
		}
		e.out = append(e.out, ']')
	}
	e.twins(f, twins, count)
}

func (e *encoder) twins(f *field, twins []*Element, count int) {
	some := false
	for _, t := range twins {
		some = some || t != nil
	}
	if !some {
		return
	}
	e.twinName(f.json[0])
	e.out = append(e.out, '[')
	for i := range count {
		e.comma()
		if i >= len(twins) || twins[i] == nil {
			e.out = append(e.out, "null"...)
			continue
		}
		e.object(planFor(schema.TypeElement), reflect.ValueOf(twins[i]).Elem())
	}
	e.out = append(e.out, ']')
}

func (e *encoder) choice(p *plan, f *field, v reflect.Value) {
	x := v.Field(f.index)
	if x.IsNil() {
		if f.twin >= 0 && !v.Field(f.twin).IsNil() {
			e.fail(p, f, "an extension without a type; the choice holds a typed nil then")
		}
		return
	}
	x = x.Elem()
	t, absent := x.Type(), false
	if x.Kind() == reflect.Pointer {
		t = t.Elem()
		absent = x.IsNil()
		x = x.Elem()
	}
	id := idInChoice(t)
	name := f.jsonName(id)
	if name == "" {
		e.fail(p, f, "type "+t.String()+" is not one of the choice")
		return
	}
	if k := kindOf(id); k != isStruct {
		if !absent {
			e.name(name)
			e.primitive(p, f, k, x)
		}
		e.twin(name, v.Field(f.twin))
		return
	}
	if absent {
		return
	}
	e.name(name)
	e.object(planFor(id), x)
}

// idInChoice gives the FHIR type of a Go type inside a choice, 0 when it is none.
func idInChoice(t reflect.Type) schema.ID {
	if t.Kind() == reflect.Struct {
		return typeIDs()[t]
	}
	for id, c := range choiceTypes {
		if c == t {
			return schema.ID(id)
		}
	}
	return 0
}

// jsonName gives the name that says the type: valueQuantity. Empty when the
// choice does not allow it.
func (f *field) jsonName(id schema.ID) string {
	if i := slices.Index(f.types, id); i >= 0 {
		return f.json[i]
	}
	return ""
}

func (e *encoder) primitive(p *plan, f *field, k kind, v reflect.Value) {
	switch k {
	case isBool:
		e.out = strconv.AppendBool(e.out, v.Bool())
	case isInt:
		e.out = strconv.AppendInt(e.out, v.Int(), 10)
	case isDecimal:
		if !isNumber(v.String()) {
			e.fail(p, f, "no decimal")
			return
		}
		e.out = append(e.out, v.String()...)
	default:
		if !utf8.ValidString(v.String()) {
			e.fail(p, f, "text is not UTF-8")
			return
		}
		e.out = appendString(e.out, v.String())
	}
}

// isNumber says that s is a JSON number and nothing else.
func isNumber(s string) bool {
	return s != "" && (s[0] == '-' || s[0] >= '0' && s[0] <= '9') && s[len(s)-1] >= '0' && s[len(s)-1] <= '9' && json.Valid([]byte(s))
}

const hexDigits = "0123456789abcdef"

// appendString writes s as a JSON string, escaping only what JSON demands.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	from := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[from:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		from = i + 1
	}
	return append(append(dst, s[from:]...), '"')
}
