package fhirpath

import (
	"time"

	"meridian/fhir/element"
)

// Resolver finds what a reference points to; it is asked for references that
// are not contained in the focus's own tree.
type Resolver interface {
	// Resolve gives the root of the resource, the zero Node when there is none.
	Resolve(reference string) (element.Node, error)
}

// Terminology answers memberOf(), subsumes() and subsumedBy().
type Terminology interface {
	// MemberOf says whether code (a code, Coding or CodeableConcept) is in the
	// value set with that canonical; known is false where it cannot be said.
	MemberOf(code element.Node, valueSet string) (member, known bool, err error)
	// Subsumes says whether the concept a is b or an ancestor of b, both a
	// Coding or CodeableConcept; known is false where it cannot be said.
	Subsumes(a, b element.Node) (subsumes, known bool, err error)
}

// Terminologies answers the functions of %terminologies.
// https://hl7.org/fhir/R4/fhirpath.html#txapi
type Terminologies interface {
	// Operate carries out expand, lookup, validateVS, validateCS, subsumes or
	// translate and gives the root of its answer, a ValueSet or a Parameters; the
	// zero Node where there is none.
	Operate(name string, args []Collection) (element.Node, error)
}

// Profiles answers conformsTo().
type Profiles interface {
	// ConformsTo says whether n is valid against the profile with that
	// canonical; known is false when there is no such profile.
	ConformsTo(n element.Node, profile string) (conforms, known bool, err error)
}

// Env is what an evaluation may ask for. The zero value evaluates everything
// that depends on the focus alone.
type Env struct {
	// Now answers now(), today() and timeOfDay(), in its own zone. The zero
	// time makes them errors.
	Now time.Time
	// Vars are the values of %name beside the standard ones; names without '%'.
	Vars          map[string]Collection
	Resolver      Resolver
	Terminology   Terminology
	Terminologies Terminologies
	Profiles      Profiles
	// Trace gets what trace() is called with. Nil drops it.
	Trace func(name string, items Collection)
	// Strict makes the name of an element that a type does not have an error
	// instead of an empty result, and the order of children() too.
	Strict bool
	// FilterAs lets 'as' on more than one item keep those of the type, where
	// FHIRPath says that it is an error. R4's search parameters count on it:
	// (Group.characteristic.value as CodeableConcept).
	FilterAs bool
	// EmptyJoin lets join() of nothing be '', as SQL on FHIR has it; FHIRPath 3.0 says {}.
	EmptyJoin bool
	Limits    Limits
}

// Limits of one evaluation. Zero stands for the default.
type Limits struct {
	Steps int // evaluations of a node, comparisons, kilobytes of text read; default DefaultSteps
	Items int // items held at a time, results included; default DefaultItems
	Bytes int // of strings that are built, in sum; default DefaultBytes
}

// The defaults of Limits.
const (
	DefaultSteps = 5_000_000
	DefaultItems = 1_000_000
	DefaultBytes = 64 << 20
)

func (l Limits) withDefaults() Limits {
	if l.Steps == 0 {
		l.Steps = DefaultSteps
	}
	if l.Items == 0 {
		l.Items = DefaultItems
	}
	if l.Bytes == 0 {
		l.Bytes = DefaultBytes
	}
	return l
}
