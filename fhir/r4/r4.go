// Package r4 holds a Go struct for every datatype, backbone element and
// resource of R4, for code that builds or reads one type by hand. The structs
// are generated; reading and writing is one plan over the element tree, no code
// per type. Nothing is lost: what Unmarshal reads, Marshal writes back, decimals
// as written.
//
//	obs := &r4.Observation{
//		Status: "final",
//		Code:   r4.CodeableConcept{Coding: []r4.Coding{{System: new("http://loinc.org"), Code: new("718-7")}}},
//		Value:  &r4.Quantity{Value: new(r4.Decimal("5.40")), Unit: new("g/L")},
//	}
//	body, err := r4.Marshal(obs)
//
// The shape of a field:
//
//	optional            pointer: *string, *bool, *int, *Decimal, *HumanName
//	required            value: string, Decimal, CodeableConcept; bool and int are pointers, since false and 0 are values
//	repeating           slice: []HumanName, []string, []Decimal; []*int
//	a primitive's twin  BirthDateElement *Element, GivenElement []*Element: its id and extensions (JSON's _birthDate, _given)
//	choice              any: a pointer to a datatype, or a primitive by its Go type (string, bool, int, Decimal, Code, DateTime, …)
//	resource            the interface Resource
//
// A string or Decimal that is "" has no value; in a slice it is then null, and
// so is a nil pointer. A required struct that is all zero is left out. A choice
// whose primitive has only an extension holds a typed nil, (*bool)(nil), beside
// its twin.
//
// The strings of one Unmarshal share one copy of its source: whoever keeps one
// string for long clones it. Structs are as safe for concurrent use as any.
//
// https://hl7.org/fhir/R4/json.html
package r4

// Resource is any resource of R4, as a pointer to its struct.
type Resource interface {
	// ResourceType is the name of the type: "Patient".
	ResourceType() string
}

// Decimal is a FHIR decimal as it was written: "5.40", "1e2".
// https://hl7.org/fhir/R4/datatypes.html#decimal
type Decimal string

// The primitives that a choice tells apart by their Go type; string, boolean and
// integer are string, bool and int there. In fields of one type they are plain
// strings and ints.
// https://hl7.org/fhir/R4/datatypes.html#primitive
type (
	Base64Binary string
	Canonical    string
	Code         string
	Date         string
	DateTime     string
	Id           string
	Instant      string
	Markdown     string
	Oid          string
	PositiveInt  int
	Time         string
	UnsignedInt  int
	Uri          string
	Url          string
	Uuid         string
	Xhtml        string
)
