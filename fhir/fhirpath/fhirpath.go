// Package fhirpath is FHIRPath 2.0.0 (N1) over fhir/element, with what R4 adds
// to it: lexer, parser, evaluator and the function table.
//
// An expression is compiled once into a tree of nodes (ast.go) and evaluated
// against a focus. A Collection is a slice of Items; an Item is an element of
// the focus's tree or a system value. Nothing is copied out of the tree before
// an operator needs a value: a FHIR primitive stays a node until then.
//
//	e, err := fhirpath.Compile("Observation.value.ofType(Quantity).value > 180")
//	out, err := e.Eval(&fhirpath.Env{Now: now}, tree.Root())      {true}
//
// Evaluation works on one stack of Items: an expression leaves its results on
// top of it, and whoever asked for them takes them off. So a path of many steps
// needs one buffer, which is pooled with the Expr.
//
// An Expr is immutable and safe for concurrent use. Items that are nodes are
// valid as long as their tree is. The clock, the resolver of references,
// terminology and profiles are in Env; where one is missing and needed, that is
// an error, not an empty result.
//
// Check says before any evaluation what an expression gives on a type, and what is
// wrong with it there.
//
// Everything is bounded: the length and depth of a source at Compile, steps and
// items in evaluation (Limits). Errors are *Error, with the place in the source
// and never a value of the instance.
//
// https://hl7.org/fhirpath/N1/, https://hl7.org/fhir/R4/fhirpath.html
package fhirpath

import (
	"fmt"
	"strings"
	"sync"

	"meridian/fhir/element"
	"meridian/fhir/issue"
)

// Limits of a source, checked by Compile.
const (
	MaxSource = 64 << 10 // bytes
	MaxDepth  = 1000     // of the tree of nodes
)

// ErrorKind tells when an expression failed.
type ErrorKind uint8

const (
	Syntax    ErrorKind = iota + 1 // not FHIRPath
	Semantic                       // an unknown function, type or element; wrong arguments
	Execution                      // for this focus: more than one item where one is asked for, a type that does not fit
	Costly                         // over a limit
	Missing                        // needs something that Env does not have
)

// Error is a failed compilation or evaluation. Text names types and counts,
// never values.
type Error struct {
	Kind   ErrorKind
	Source string // the expression
	Offset int    // in Source, in bytes
	Text   string
}

func (e *Error) Error() string {
	line, column := e.Position()
	return fmt.Sprintf("fhirpath %d:%d: %s", line, column, e.Text)
}

// Position gives line and column in Source, both from 1, the column in bytes.
func (e *Error) Position() (line, column int) {
	before := e.Source[:min(e.Offset, len(e.Source))]
	return 1 + strings.Count(before, "\n"), len(before) - strings.LastIndexByte(before, '\n')
}

// Issue gives e as a client may see it.
func (e *Error) Issue() issue.Issue {
	code := map[ErrorKind]issue.Code{
		Syntax: issue.Invalid, Semantic: issue.Invalid, Execution: issue.Processing, Costly: issue.TooCostly, Missing: issue.NotSupported,
	}[e.Kind]
	return issue.Issue{Severity: issue.SevError, Code: code, ID: "fhirpath", Text: e.Error(), Offset: issue.NoOffset}
}

// Expr is a compiled expression.
type Expr struct {
	source string
	root   Node
	pool   sync.Pool // *evaluator
}

// Compile parses src and binds its functions and types. Errors are *Error of
// kind Syntax or Semantic.
func Compile(src string) (*Expr, error) {
	p := parser{lexer: lexer{src: src}}
	root, err := p.parse()
	if err != nil {
		return nil, err
	}
	return &Expr{source: src, root: root}, nil
}

// Source is the text that was compiled.
func (e *Expr) Source() string { return e.source }

// AST is the tree of the expression. It must not be changed.
func (e *Expr) AST() Node { return e.root }

// String prints the expression in a canonical form: comments and needless
// parentheses are gone. Compiling it gives the same tree.
func (e *Expr) String() string { return Print(e.root) }

// Eval evaluates e with focus as $this, %context and, through its ancestors,
// %resource and %rootResource. env may be nil. Errors are *Error of the kinds
// Execution, Costly, Missing, and Semantic when env is Strict.
func (e *Expr) Eval(env *Env, focus element.Node) (Collection, error) {
	return e.EvalItems(env, nil, focusOf(focus))
}

// focusOf is empty for the zero Node.
func focusOf(n element.Node) Collection {
	if !n.Valid() {
		return nil
	}
	return Collection{NodeItem(n)}
}

// EvalItems is Eval with any collection as focus, and appends to dst.
func (e *Expr) EvalItems(env *Env, dst Collection, focus Collection) (Collection, error) {
	ev, _ := e.pool.Get().(*evaluator)
	if ev == nil {
		ev = new(evaluator)
	}
	ev.reset(e, env, focus)
	top := ev.enter(&scope{})
	top.this, top.inner = ev.focus, false
	err := ev.eval(e.root, top)
	if err == nil {
		dst = append(dst, ev.stack...)
	}
	ev.clear()
	e.pool.Put(ev)
	return dst, err
}

// EvalBool is Eval for a criterion: known is false where the result is empty. A
// single item that is no Boolean counts as true; more than one is an error.
// https://hl7.org/fhirpath/N1/#singleton-evaluation-of-collections
func (e *Expr) EvalBool(env *Env, focus element.Node) (result, known bool, err error) {
	var out [4]Item
	c, err := e.EvalItems(env, out[:0], focusOf(focus))
	if err != nil {
		return false, false, err
	}
	t, ok := truth(c)
	if !ok {
		return false, false, &Error{Execution, e.source, 0, fmt.Sprintf("a Boolean is asked for, but there are %d items", len(c))}
	}
	return t == yes, t != unknown, nil
}
