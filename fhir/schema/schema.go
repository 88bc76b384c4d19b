// Package schema holds the element tables of R4: for every type its children
// in order, with cardinality, choice, binding and JSON names. The tables are
// generated (types_gen.go) and are plain data; no code is generated.
//
// Contract: a type is found by its ID, an index into the table; 0 is no type.
// Element order is the order of the definition's snapshot, inherited elements
// first (id, extension, …). Content references (Questionnaire.item.item) name
// the same type as the element they refer to. All of it is read-only and safe
// for concurrent use.
//
// https://hl7.org/fhir/R4/elementdefinition.html
package schema

//go:generate go run ../internal/gen -root ../..

// ID is the index of a type in the table; 0 means none.
type ID uint16

// Kind tells how a type stands in an instance.
type Kind uint8

const (
	Primitive Kind = iota + 1 // string, code, decimal, xhtml, …
	Complex                   // HumanName, Quantity, Extension, …
	Backbone                  // Patient.contact, Dosage.doseAndRate: named by its path
	Resource                  // Patient, …; also Resource and DomainResource (abstract)
)

// Unbounded is Element.Max for "*".
const Unbounded = 0xFFFF

// Type is one row of the table.
type Type struct {
	ID       ID
	Name     string // "Patient", "HumanName", "code", "Patient.contact"
	Kind     Kind
	Abstract bool
	Base     ID // parent type (Age → Quantity → Element; Patient → DomainResource); 0 at the root
	Elements []Element
	names    nameTable
}

// Element is one child of a type.
type Element struct {
	Name     string   // without [x]: "value" for value[x]
	Path     string   // "Observation.value[x]"
	Min      uint16   // 0 or 1 in R4, as defined
	Max      uint16   // 1, n or Unbounded; an element with Max > 1 is an array in JSON
	Types    []ID     // one, or the allowed types of a choice in the order of the definition
	Choice   bool     // value[x]
	Summary  bool     // isSummary: part of _summary=true
	Modifier bool     // isModifier
	Attr     bool     // an XML attribute (Element.id, Extension.url)
	Targets  []string // for Reference and canonical: allowed resource types; empty or "Resource" is any
	Binding  string   // canonical of the bound value set, without version; empty when there is none
	// Strength is the binding strength: 'r' required, 'e' extensible, 'p' preferred, 'x' example, 0 none.
	Strength byte
	// System is the one code system that a required binding of a code element
	// draws from ("http://hl7.org/fhir/administrative-gender"); empty where it is not exactly one.
	System string
}

// Repeats says that the element is an array in JSON.
func (e *Element) Repeats() bool { return e.Max > 1 }

// Count is one more than the highest ID.
const Count = ID(len(types))

// ByID gives the row of id. It panics on an id that is not in the table.
func ByID(id ID) *Type { return &types[id] }

// ByName finds a type by its name ("Patient", "Patient.contact", "code"); nil when there is none.
func ByName(name string) *Type { return byName(name) }

// ResourceTypes lists the names of the concrete resource types, sorted.
func ResourceTypes() []string { return resourceNames }

// Property is what a JSON property name means inside a type.
type Property struct {
	Element int16 // index into Type.Elements
	Type    ID    // the type of the value; for a choice the one that the name says
	JSON    string
}

// Lookup finds a JSON property name ("birthDate", "valueQuantity"), without the
// leading underscore of a primitive's twin. It does not allocate.
func (t *Type) Lookup(name []byte) (*Property, bool) { return t.names.lookup(name) }

// Properties lists all JSON names of the type, in the order of the elements
// and for a choice in the order of its types.
func (t *Type) Properties() []Property { return t.names.props }

// IsA says whether t is base or derives from it.
func (t *Type) IsA(base ID) bool {
	for t != nil {
		if t.ID == base {
			return true
		}
		if t.Base == 0 {
			return false
		}
		t = ByID(t.Base)
	}
	return false
}
