package search

import (
	"slices"

	"meridian/fhir/fhirpath"
	"meridian/fhir/schema"
)

// Kind is the type of a search parameter.
// https://hl7.org/fhir/R4/search.html#ptypes
type Kind uint8

const (
	KindNumber Kind = iota + 1
	KindDate
	KindString
	KindToken
	KindReference
	KindComposite
	KindQuantity
	KindURI
	KindSpecial
)

var kindNames = [...]string{"", "number", "date", "string", "token", "reference", "composite", "quantity", "uri", "special"}

// String is the specification's word.
func (k Kind) String() string { return kindNames[k] }

func kindOf(name string) Kind {
	for i, n := range kindNames {
		if n == name {
			return Kind(i)
		}
	}
	return 0
}

// Param is one search parameter of one resource type.
type Param struct {
	Type    string // the resource type it is of
	Code    string // its name in a query string
	URL     string // canonical of its definition
	Kind    Kind
	Targets []string // resource types that a reference may point to
	// Unsupported says why it cannot be searched yet; empty when it can.
	Unsupported string
	// Pending says why an added parameter cannot be searched yet; nil when it can.
	Pending func() string
	// Added says that it is none of R4's: see Registry.Adopt.
	Added bool
	// Expression is the definition's FHIRPath as far as it is about Type.
	Expression string

	key      string         // the name of its keys: Code, but for an added parameter
	expr     *fhirpath.Expr // of Expression
	branches []branch
	simple   bool // branches say all of Expression
	names    bool // its texts may be names, which have keys of the form :py
	// bases, when not empty, are the parameters whose keys answer for this one,
	// each with the type that `where(resolve() is T)` asks for.
	bases []base
	// Places of this parameter's key names in the type's table; 0xFFFF for none.
	main, py, cut, ident, text, ofType uint16
	// types are those of the elements that it selects; nil where that is not known.
	types []schema.ID
	// parts and ofResource are of composites: see composite.go.
	parts      []part
	ofResource bool
	// fullText is textNone but for _text and _content.
	fullText textField
}

// base is a parameter that stands in for another.
type base struct {
	param   *Param
	resolve string // only references to this resource type; "" for all
}

// Suffixes of key names that are forms of a parameter, and of no parameter by themselves.
const (
	formPinyin     = ":py"
	formCut        = ":cut"
	formIdentifier = ":identifier"
	formText       = ":text"
	formOfType     = ":of-type"
)

const noName = 0xFFFF

// refusal says why p cannot be searched, "" when it can.
func (p *Param) refusal() string {
	if p.Unsupported == "" && p.Pending != nil {
		return p.Pending()
	}
	return p.Unsupported
}

// Sortable says whether `_sort` may name p.
func (p *Param) Sortable() bool { return p.sortedAs() != "" }

// sortedAs is the Param of Forward that p sorts by, "" when there is none. A
// parameter that is all of its base sorts as that. One that is its base narrowed
// to one target type has no values of its own: sorted as its base, a resource
// whose subject is a Group would have a place among the patients.
func (p *Param) sortedAs() string {
	switch {
	case p.Unsupported != "" || p.Kind == KindComposite || p.Kind == KindSpecial || p.fullText != textNone:
		return ""
	case p.Code == "_id":
		return p.Code
	case len(p.bases) == 1 && p.bases[0].resolve == "":
		return p.bases[0].param.key
	case len(p.bases) > 0:
		return ""
	}
	return p.key
}

// targetTypes lists the types that a reference parameter may refer to: all
// where its definition names none. Read only.
func (p *Param) targetTypes() []string {
	if len(p.Targets) == 0 {
		return schema.ResourceTypes()
	}
	return p.Targets
}

// mayBe says whether p can select elements of one of these types.
func (p *Param) mayBe(of ...schema.ID) bool {
	return p.types == nil || slices.ContainsFunc(of, func(id schema.ID) bool { return slices.Contains(p.types, id) })
}
