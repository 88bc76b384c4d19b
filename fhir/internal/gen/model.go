package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

const structureURL = "http://hl7.org/fhir/StructureDefinition/"

// Kinds in the order in which their types are numbered; the names are those of
// schema.Kind.
const (
	kindPrimitive = "Primitive"
	kindComplex   = "Complex"
	kindBackbone  = "Backbone"
	kindResource  = "Resource"
)

// model is the checked content of the definitions, ready to be written.
type model struct {
	types []*typ // types[i].id == i; types[0] is none
	names map[string]*typ
	defs  *definitions
}

// typ is one row of schema's table.
type typ struct {
	id       int
	name     string
	kind     string
	abstract bool
	base     string
	short    string
	elements []*elem
}

// elem is one child of a typ.
type elem struct {
	name, path        string
	min, max          int
	types             []string
	choice            bool
	summary, modifier bool
	attr              bool
	targets           []string
	binding           string
	strength          string
	system            string
	short             string
}

// unbounded is schema.Unbounded.
const unbounded = 0xFFFF

// top says that the type has a name of its own, not a path.
func (t *typ) top() bool { return t.kind != kindBackbone }

func buildModel(d *definitions) (*model, error) {
	m := &model{types: []*typ{{}}, names: map[string]*typ{}, defs: d}
	byKind := map[string][]*structure{}
	for _, s := range d.structures {
		if s.Derivation == "constraint" || s.Kind == "logical" {
			continue // SimpleQuantity and MoneyQuantity are Quantity; MetadataResource has no instances
		}
		byKind[s.Kind] = append(byKind[s.Kind], s)
	}
	for _, kind := range []string{"primitive-type", "complex-type", "resource"} {
		list := byKind[kind]
		slices.SortFunc(list, func(a, b *structure) int { return strings.Compare(a.Type, b.Type) })
		for _, s := range list {
			if err := m.addStructure(s); err != nil {
				return nil, fmt.Errorf("%s: %w", s.Type, err)
			}
		}
	}
	return m, m.check()
}

// addStructure adds a type and, after it, its backbone types in the order of the snapshot.
func (m *model) addStructure(s *structure) error {
	kind := map[string]string{"primitive-type": kindPrimitive, "complex-type": kindComplex, "resource": kindResource}[s.Kind]
	elements := s.Snapshot.Element
	parents := map[string]bool{}
	for _, e := range elements[1:] {
		parents[parentPath(e.Path)] = true
	}
	m.add(&typ{name: s.Type, kind: kind, abstract: s.Abstract, base: strings.TrimPrefix(s.BaseDefinition, structureURL), short: elements[0].Short})
	for _, e := range elements[1:] {
		if parents[e.Path] {
			m.add(&typ{name: e.Path, kind: kindBackbone, base: e.Type[0].Code, short: e.Short})
		}
	}
	for _, e := range elements[1:] {
		if e.Max == "0" || kind == kindPrimitive && e.Path == s.Type+".value" {
			continue
		}
		el, err := m.element(e, parents[e.Path])
		if err != nil {
			return fmt.Errorf("%s: %w", e.Path, err)
		}
		parent := m.names[parentPath(e.Path)]
		parent.elements = append(parent.elements, el)
	}
	return nil
}

func (m *model) add(t *typ) {
	t.id = len(m.types)
	m.types = append(m.types, t)
	m.names[t.name] = t
}

func (m *model) element(e *elementDef, backbone bool) (*elem, error) {
	last := e.Path[strings.LastIndexByte(e.Path, '.')+1:]
	el := &elem{
		name: strings.TrimSuffix(last, "[x]"), path: e.Path, min: e.Min, max: unbounded,
		choice: strings.HasSuffix(last, "[x]"), summary: e.IsSummary, modifier: e.IsModifier,
		attr: slices.Contains(e.Representation, "xmlAttr"), short: e.Short,
	}
	if e.Max != "*" {
		n, err := strconv.Atoi(e.Max)
		if err != nil {
			return nil, err
		}
		el.max = n
	}
	switch {
	case e.ContentReference != "":
		el.types = []string{strings.TrimPrefix(e.ContentReference, "#")}
	case backbone:
		el.types = []string{e.Path}
	default:
		for _, t := range e.Type {
			el.types = append(el.types, typeName(e, t))
			for _, p := range t.TargetProfile {
				if name := strings.TrimPrefix(p, structureURL); !slices.Contains(el.targets, name) {
					el.targets = append(el.targets, name)
				}
			}
		}
	}
	if b := e.Binding; b != nil {
		m.bind(el, b.Strength, b.ValueSet)
	}
	return el, nil
}

// typeName maps the FHIRPath system types of snapshots to FHIR types. The
// snapshots of 4.0.1 call Resource.id a string; its type is id.
// https://hl7.org/fhir/R4/resource.html#Resource
func typeName(e *elementDef, t typeRef) string {
	if e.Base.Path == "Resource.id" {
		return "id"
	}
	for _, x := range t.Extension {
		if x.URL == structureURL+"structuredefinition-fhir-type" {
			return x.ValueURL
		}
	}
	if strings.HasPrefix(t.Code, "http://hl7.org/fhirpath/System.") {
		return "string" // xhtml.id, the one without the extension
	}
	return t.Code
}

func (m *model) bind(el *elem, strength, canonical string) {
	canonical, _, _ = strings.Cut(canonical, "|")
	el.binding = canonical
	el.strength = map[string]string{"required": "r", "extensible": "e", "preferred": "p", "example": "x"}[strength]
	if strength != "required" || !slices.Equal(el.types, []string{"code"}) {
		return
	}
	systems := map[string]bool{}
	if m.systems(canonical, systems, map[string]bool{}) && len(systems) == 1 {
		for s := range systems {
			el.system = s
		}
	}
}

// systems collects the code systems that a value set draws from; false when
// that cannot be said.
func (m *model) systems(canonical string, into, seen map[string]bool) bool {
	canonical, _, _ = strings.Cut(canonical, "|")
	v := m.defs.valueSets[canonical]
	if v == nil || seen[canonical] {
		return v != nil
	}
	seen[canonical] = true
	for _, in := range v.Compose.Include {
		if in.System != "" {
			into[in.System] = true // further value sets only narrow it
			continue
		}
		for _, s := range in.ValueSet {
			if !m.systems(s, into, seen) {
				return false
			}
		}
	}
	return true
}

// check proves that every type named is in the table and that the limits that
// the readers of the table rely on hold.
func (m *model) check() error {
	for _, t := range m.types[1:] {
		if t.base != "" && m.names[t.base] == nil {
			return fmt.Errorf("%s: unknown base %s", t.name, t.base)
		}
		if len(t.elements) > 64 {
			return fmt.Errorf("%s: %d elements; bit sets over elements hold 64", t.name, len(t.elements))
		}
		for _, e := range t.elements {
			for _, n := range e.types {
				if m.names[n] == nil {
					return fmt.Errorf("%s: unknown type %s", e.path, n)
				}
			}
			if len(e.types) == 0 || len(e.types) > 1 && !e.choice {
				return fmt.Errorf("%s: %d types", e.path, len(e.types))
			}
		}
	}
	return nil
}

func parentPath(path string) string {
	if i := strings.LastIndexByte(path, '.'); i >= 0 {
		return path[:i]
	}
	return ""
}

// upper gives name with its first letter in upper case, as in valueQuantity.
func upper(name string) string { return strings.ToUpper(name[:1]) + name[1:] }
