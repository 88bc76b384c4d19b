package validate

import (
	"strings"
	"sync"

	"meridian/fhir/codec"
	"meridian/fhir/element"
	"meridian/fhir/issue"
	"meridian/fhir/schema"
)

// baseType is what the definition of a type says about its instances beyond what codec checks.
type baseType struct {
	self     []*invariant
	elements []baseElement // by schema.Type.Elements
}

// baseElement is what a type says about one of its elements.
type baseElement struct {
	invariants []*invariant
	profiles   []typeProfile
	maxLength  int
	min, max   element.Node
}

// typeProfile names profiles that values of a type are held to: SimpleQuantity of Observation.referenceRange.low.
type typeProfile struct {
	typ  schema.ID
	urls []string
}

// baseEntry is a baseType, compiled when it is first asked for.
type baseEntry struct {
	once sync.Once
	t    *baseType
}

// baseOf gives the base rules of a type. Those of a backbone are made with those of the type it belongs to.
func (v *Validator) baseOf(id schema.ID) *baseType {
	e := &v.base[id]
	e.once.Do(func() {
		t := schema.ByID(id)
		e.t = &baseType{elements: make([]baseElement, len(t.Elements))}
		owner, _, _ := strings.Cut(t.Name, ".")
		if owner == "" {
			return
		}
		data, err := v.set.Structure(owner)
		if err != nil {
			return // abstract rows have no definition of their own to check
		}
		tree, err := codec.Parse(data, codec.Options{})
		if err != nil {
			return
		}
		for c := tree.Root().Child("snapshot").First(); c.Valid(); c = c.Next() {
			if c.Name() == "element" {
				v.baseElement(e.t, t, c)
			}
		}
	})
	return e.t
}

// baseElement reads one ElementDefinition that is about type t or one of its elements.
func (v *Validator) baseElement(b *baseType, t *schema.Type, def element.Node) {
	path := def.Child("path").Text()
	if path == t.Name {
		b.self = append(b.self, v.invariants(def, nil)...)
		return
	}
	rest, ok := strings.CutPrefix(path, t.Name+".")
	if !ok || strings.Contains(rest, ".") {
		return
	}
	k := elementIndex(t, strings.TrimSuffix(rest, "[x]"))
	if k < 0 {
		return
	}
	e := &b.elements[k]
	if value := schema.ByID(t.Elements[k].Types[0]); value.Kind != schema.Backbone {
		e.invariants = v.invariants(def, nil)
	}
	for c := def.First(); c.Valid(); c = c.Next() {
		switch c.Name() {
		case "type":
			if p := texts(c, "profile"); len(p) > 0 {
				if typ := schema.ByName(c.Child("code").Text()); typ != nil {
					e.profiles = append(e.profiles, typeProfile{typ.ID, p})
				}
			}
		case "maxLength":
			e.maxLength = number(c)
		case "minValue":
			e.min = detached(c)
		case "maxValue":
			e.max = detached(c)
		}
	}
}

// elementIndex finds an element of t by its name, -1 when there is none.
func elementIndex(t *schema.Type, name string) int {
	for i := range t.Elements {
		if t.Elements[i].Name == name {
			return i
		}
	}
	return -1
}

// baseLayer walks the whole tree once.
func (r *run) baseLayer() {
	for i := r.root.Index(); i < r.end; i++ {
		n := r.tree.At(i)
		if r.skipped(n) {
			continue
		}
		if !r.step() {
			return
		}
		r.identity(n)
		switch n.Name() {
		case "contained":
			r.contained(n)
		case "id":
			r.uniqueID(n)
		}
		base := r.v.baseOf(n.TypeID())
		r.hasInvariants(n, base.self)
		if e := n.Element(); e != nil && n != r.root {
			r.baseValue(n, e, &r.v.baseOf(n.Parent().TypeID()).elements[n.ElementIndex()])
		}
	}
}

// baseValue checks n against the element that it stands for.
func (r *run) baseValue(n element.Node, e *schema.Element, b *baseElement) {
	r.hasInvariants(n, b.invariants)
	if e.Strength != 0 && e.Strength != 'x' && e.Binding != "" {
		r.bound(n, e.Binding, e.Strength)
	}
	for i := range b.profiles {
		if b.profiles[i].typ == n.TypeID() {
			r.holdAny(n, b.profiles[i].urls)
		}
	}
	r.within(n, b.maxLength, b.min, b.max)
	switch n.TypeID() {
	case schema.TypeReference:
		r.reference(n, e.Targets)
	case schema.TypeExtension:
		r.extension(n)
	case schema.TypeCoding:
		r.coding(n)
	case schema.TypeQuantity, schema.TypeAge, schema.TypeDistance, schema.TypeDuration, schema.TypeCount:
		r.unit(n)
	case schema.TypeCanonical, schema.TypeUri, schema.TypeUrl:
		r.uri(n)
	case schema.TypeXhtml:
		r.narrative(n)
	case schema.TypeIdentifier:
		r.identifier(n)
	}
}

// identity checks what ele-1 and ext-1 say of n, which are so frequent that they are not left to FHIRPath. A contained
// resource, and an element of which only an id was sent, are all that codec lets through.
//
// https://hl7.org/fhir/R4/element.html#invs, https://hl7.org/fhir/R4/extensibility.html#Extension
func (r *run) identity(n element.Node) {
	t := n.Type()
	if t.Kind == schema.Resource || n.ElementIndex() >= 0 && n.Element().Attr {
		return
	}
	if t.Kind == schema.Primitive {
		if !n.HasValue() && !n.Child("extension").Valid() {
			r.report(n, issue.SevError, issue.Invariant, "invariant.ele-1")
		}
		return
	}
	only := true
	extensions, value := false, false
	for c := n.First(); c.Valid(); c = c.Next() {
		name := c.Name()
		only = only && name == "id"
		extensions = extensions || name == "extension"
		value = value || name == "value"
	}
	if only {
		r.report(n, issue.SevError, issue.Invariant, "invariant.ele-1")
	}
	if t.ID == schema.TypeExtension && extensions == value {
		r.report(n, issue.SevError, issue.Invariant, "invariant.ext-1")
	}
}
