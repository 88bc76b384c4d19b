package fhirpath

import (
	"sync/atomic"

	"meridian/fhir/schema"
)

// Node is one node of an expression's tree: *Literal, *Variable, *Special,
// *Member, *Call, *Indexer, *Unary, *Binary or *TypeTest.
type Node interface {
	// Offset is the place in the source, in bytes.
	Offset() int
	height() int
}

type place struct {
	offset int
	depth  int // of the tree below and with this node
	// closes marks the last step of a path in which a variable is defined: behind it the variable is unknown.
	closes bool
}

func (p *place) Offset() int { return p.offset }
func (p *place) height() int { return p.depth }
func (p *place) close()      { p.closes = true }

// Literal is a system value, or {} when Value is empty.
type Literal struct {
	place
	Value Collection
}

// Variable is %name.
type Variable struct {
	place
	Name string
}

// Special is $this, $index or $total; Name is with the dollar sign.
type Special struct {
	place
	Name string
}

// Member is a step to an element: X.Name, or Name alone where X is nil. Without
// X and with an upper-case letter, Name is the focus itself where that is of the type.
type Member struct {
	place
	X    Node
	Name string
}

// Call is a function: X.Name(Args), or Name(Args) where X is nil. Type is set
// for is(), as() and ofType(), and may be for getReferenceKey(), which then have no Args.
type Call struct {
	place
	X    Node
	Name string
	Args []Node
	Type *TypeName

	fn *function
	// typeOnly marks a resolve() whose result is only asked for its type.
	typeOnly bool
	regex    atomic.Pointer[compiledRegex] // of matches() and its like
}

// Indexer is X[Index].
type Indexer struct {
	place
	X, Index Node
}

// Unary is Op X, Op being "+" or "-".
type Unary struct {
	place
	Op string
	X  Node
}

// Binary is X Op Y, Op as written in the source.
type Binary struct {
	place
	Op   string
	X, Y Node

	op operator
}

// TypeTest is X Op Type, Op being "is" or "as".
type TypeTest struct {
	place
	X    Node
	Op   string
	Type *TypeName
}

// TypeName is a type specifier as written, and what it stands for.
type TypeName struct {
	Namespace string // "System", "FHIR", or empty
	Name      string

	fhir   *schema.Type // nil when it is none of FHIR's
	system Kind         // 0 when it is none of the system types
}

// FHIR is the FHIR type that t names, nil when it names a system type only.
func (t *TypeName) FHIR() *schema.Type { return t.fhir }

// Walk calls f for n and, where f returns true, for the nodes below it.
func Walk(n Node, f func(Node) bool) {
	if n == nil || !f(n) {
		return
	}
	switch n := n.(type) {
	case *Member:
		walkTarget(n.X, f)
	case *Call:
		walkTarget(n.X, f)
		for _, a := range n.Args {
			Walk(a, f)
		}
	case *Indexer:
		Walk(n.X, f)
		Walk(n.Index, f)
	case *Unary:
		Walk(n.X, f)
	case *Binary:
		Walk(n.X, f)
		Walk(n.Y, f)
	case *TypeTest:
		Walk(n.X, f)
	}
}

func walkTarget(n Node, f func(Node) bool) {
	if n != nil {
		Walk(n, f)
	}
}
