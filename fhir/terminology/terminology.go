// Package terminology answers what codes mean: which are in a value set, what
// stands above and below one, how it is shown.
//
// Data shape: a Library finds code systems and value sets by canonical
// ("http://…/ValueSet/x", with "|version" too), first those of its Source (what
// a server has stored), then the official ones of R4, compiles each when it is
// first asked for, and keeps what it compiled.
//
//	Contains(ctx, "http://hl7.org/fhir/ValueSet/administrative-gender", Coding{System, Code}, Check{})  → in it, its concept
//	Lookup(ctx, system, version, code)                    → display, definition, designations, properties
//	Subsumes, Descendants, Ancestors(ctx, system, …)      → what the hierarchy says
//	Expand(ctx, ExpandParams)                             → a page of what a value set holds
//	Translate(ctx, TranslateParams)                       → what concept maps make of a code
//	Codes()                                               → the answers that searches with :in, :above, … ask for
//
// A compiled code system is a table of concepts with a map from code to row and
// the rows above and below each. A value set is bound to the code systems and
// value sets that it draws from; what was bound is used as long as all of them
// are those that a search for them finds, so that a changed resource counts at once.
//
// Not all systems are lists. The codes of UCUM, of languages (BCP 47), of MIME
// types (BCP 13) and URIs are known by their form. Of a system whose content is
// elsewhere (LOINC and SNOMED CT, until they are stored) only those codes are
// known that a value set lists; all else about it is an error that names it,
// never a no.
//
// Everything is bounded: Options. All functions are safe for concurrent use.
// What is handed out is shared and must not be changed. Errors are *issue.Error
// with the codes not-found (no such value set, system or code), not-supported,
// invalid, too-costly, or those of the Source.
//
// https://hl7.org/fhir/R4/terminology-module.html
package terminology

import (
	"context"

	"meridian/fhir/definitions"
)

// Limits of Options that are left 0, and others.
const (
	DefaultMaxExpansion = 10_000  // codes of one answer
	DefaultMaxScan      = 500_000 // codes looked at for one answer
	DefaultCacheCodes   = 500_000 // codes kept compiled, some 250 bytes each
	maxImports          = 20      // value sets inside each other
	maxWeight           = 1000    // value sets that one imports, each as often as there are ways to it
	maxPattern          = 1000    // bytes of a regular expression
)

// Source finds what is stored beside the official definitions. It is asked for
// every answer, so what it finds should be at hand. It must be safe for concurrent use.
type Source interface {
	// Find gives what has this url, all versions of it; or the one that a
	// relative reference ("ValueSet/x"), or an address of this server, names. kind is
	// CodeSystem, ValueSet or ConceptMap.
	Find(ctx context.Context, kind, reference string) ([]Resource, error)
	// Supplements gives the code systems that say they supplement this one.
	Supplements(ctx context.Context, system string) ([]Resource, error)
	// ConceptMaps gives all concept maps.
	ConceptMaps(ctx context.Context) ([]Resource, error)
	// Epoch is another one when any of the above may give something else than before.
	Epoch() uint64
}

// Resource is a stored one.
type Resource struct {
	Stamp string // another one when the body is another one: "ValueSet/x/_history/3"
	// Read gives the body, as JSON. It is called when the stamp is a new one.
	Read func(ctx context.Context) ([]byte, error)
}

// Options of a Library. The zero value knows what R4 defines.
type Options struct {
	Source       Source // nil: none
	MaxExpansion int    // DefaultMaxExpansion when 0
	MaxScan      int    // DefaultMaxScan when 0
	CacheCodes   int    // DefaultCacheCodes when 0
}

// Library finds and keeps terminology.
type Library struct {
	source  Source
	set     definitions.Set
	most    int
	scan    int
	cache   cache
	at      atHand
	grammar map[string]grammar
}

// New gives a Library. It reads nothing yet.
func New(o Options) *Library {
	or := func(v, def int) int {
		if v <= 0 {
			return def
		}
		return v
	}
	return &Library{source: o.Source, most: or(o.MaxExpansion, DefaultMaxExpansion), scan: or(o.MaxScan, DefaultMaxScan),
		cache: cache{most: or(o.CacheCodes, DefaultCacheCodes)}, grammar: grammars()}
}

// Coding is a code as an instance has it. System may be empty where it is not known.
type Coding struct{ System, Version, Code, Display string }

// Designation is a further way to say a concept.
type Designation struct {
	Language, Value    string
	UseSystem, UseCode string
	Use                string // JSON of the Coding, "" for none
}

// Property of a concept.
type Property struct {
	Code   string
	Member string // JSON member of its value: "valueCode"
	Raw    string // JSON of its value
	Text   string // a primitive's text, or the code of a Coding
}

// Concept is a code with what its system says about it.
type Concept struct {
	System, Version, Name string // of the system; Version and Name may be empty
	Code, Display         string
	Definition            string
	Abstract, Inactive    bool
	Designations          []Designation
	Properties            []Property
	Parents, Children     []string // codes
}
