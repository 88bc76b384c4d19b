package r4

import (
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"

	"meridian/fhir/schema"
)

// plan says how the elements of one type stand in its struct. It is made from
// the schema at first use and kept: it depends on the Go type only.
type plan struct {
	typ    *schema.Type
	goType reflect.Type
	fields []field // by index into typ.Elements
}

// field is one element of a plan.
type field struct {
	index   int // of the struct field
	twin    int // of the field with id and extension, -1 where there is none
	shape   shape
	kind    kind      // of the value, not for choices
	typ     schema.ID // of the value, not for choices
	repeats bool
	name    string      // element name
	types   []schema.ID // as in the schema
	json    []string    // the JSON name for each of types
}

// shape is how the Go field holds the value or, when it repeats, each of them.
type shape uint8

const (
	byValue   shape = iota // string, HumanName
	byPointer              // *string, *HumanName
	byChoice               // any
	byName                 // Resource
)

// kind is how a value is written.
type kind uint8

const (
	isStruct kind = iota
	isString
	isBool
	isInt
	isDecimal
)

// plans and typeIDs are caches of what the tables say.
var (
	plans   [len(goTypes)]atomic.Pointer[plan]
	typeIDs = sync.OnceValue(func() map[reflect.Type]schema.ID {
		ids := make(map[reflect.Type]schema.ID, len(goTypes))
		for id, v := range goTypes {
			if v != nil {
				ids[reflect.TypeOf(v).Elem()] = schema.ID(id)
			}
		}
		return ids
	})
)

var twinType, twinsType = reflect.TypeFor[*Element](), reflect.TypeFor[[]*Element]()

// planFor gives the plan of a type, nil when it has no struct.
func planFor(id schema.ID) *plan {
	if int(id) >= len(goTypes) || goTypes[id] == nil {
		return nil
	}
	if p := plans[id].Load(); p != nil {
		return p
	}
	p := newPlan(schema.ByID(id), reflect.TypeOf(goTypes[id]).Elem())
	plans[id].Store(p)
	return p
}

// planOf gives the plan of a Go struct type, nil when it is none of R4.
func planOf(t reflect.Type) *plan {
	id, ok := typeIDs()[t]
	if !ok {
		return nil
	}
	return planFor(id)
}

func newPlan(t *schema.Type, goType reflect.Type) *plan {
	p := &plan{typ: t, goType: goType, fields: make([]field, len(t.Elements))}
	for i := range t.Elements {
		e := &t.Elements[i]
		name := fieldName(e.Name)
		sf, ok := goType.FieldByName(name)
		if !ok {
			panic(fmt.Sprintf("r4: %s has no field %s", goType, name)) // generated from one table; a test builds every plan
		}
		f := &p.fields[i]
		*f = field{index: sf.Index[0], twin: -1, repeats: e.Repeats(), name: e.Name, types: e.Types}
		// SubstanceReferenceInformation.geneElement is an element, not the twin of gene.
		if twin, ok := goType.FieldByName(name + "Element"); ok && (twin.Type == twinType || twin.Type == twinsType) {
			f.twin = twin.Index[0]
		}
		f.setValue(e, sf.Type)
	}
	for i := range t.Properties() {
		prop := &t.Properties()[i]
		f := &p.fields[prop.Element]
		f.json = append(f.json, prop.JSON)
	}
	return p
}

func (f *field) setValue(e *schema.Element, goType reflect.Type) {
	if e.Choice {
		f.shape = byChoice
		return
	}
	f.typ = e.Types[0]
	f.kind = kindOf(f.typ)
	if f.repeats {
		goType = goType.Elem()
	}
	switch goType.Kind() {
	case reflect.Pointer:
		f.shape = byPointer
	case reflect.Interface:
		f.shape = byName
	}
}

func kindOf(id schema.ID) kind {
	if schema.ByID(id).Kind != schema.Primitive {
		return isStruct
	}
	switch id {
	case schema.TypeBoolean:
		return isBool
	case schema.TypeInteger, schema.TypePositiveInt, schema.TypeUnsignedInt:
		return isInt
	case schema.TypeDecimal:
		return isDecimal
	}
	return isString
}

// fieldName is the Go name of an element. The names are ASCII.
func fieldName(name string) string { return string(name[0]&^0x20) + name[1:] }

// choiceTypes gives the Go type of each primitive inside a choice.
var choiceTypes = [...]reflect.Type{
	schema.TypeBase64Binary: reflect.TypeFor[Base64Binary](),
	schema.TypeBoolean:      reflect.TypeFor[bool](),
	schema.TypeCanonical:    reflect.TypeFor[Canonical](),
	schema.TypeCode:         reflect.TypeFor[Code](),
	schema.TypeDate:         reflect.TypeFor[Date](),
	schema.TypeDateTime:     reflect.TypeFor[DateTime](),
	schema.TypeDecimal:      reflect.TypeFor[Decimal](),
	schema.TypeId:           reflect.TypeFor[Id](),
	schema.TypeInstant:      reflect.TypeFor[Instant](),
	schema.TypeInteger:      reflect.TypeFor[int](),
	schema.TypeMarkdown:     reflect.TypeFor[Markdown](),
	schema.TypeOid:          reflect.TypeFor[Oid](),
	schema.TypePositiveInt:  reflect.TypeFor[PositiveInt](),
	schema.TypeString:       reflect.TypeFor[string](),
	schema.TypeTime:         reflect.TypeFor[Time](),
	schema.TypeUnsignedInt:  reflect.TypeFor[UnsignedInt](),
	schema.TypeUri:          reflect.TypeFor[Uri](),
	schema.TypeUrl:          reflect.TypeFor[Url](),
	schema.TypeUuid:         reflect.TypeFor[Uuid](),
	schema.TypeXhtml:        reflect.TypeFor[Xhtml](),
}
