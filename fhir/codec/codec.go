// Package codec reads and writes resources as JSON and XML, lossless to the lexeme:
// syntax here, meaning in the packages above.
//
// Contract for JSON; XML is turned into it and made from it, see xml.go:
//
//	Parse(src, Options) (*element.Tree, error)        one resource; *issue.Error with every issue found, each with
//	                                                  FHIRPath location and byte offset; limits are named in Options
//	(*Parser).ParseWithIssues                          the tree beside the issues, for those who can use the rest of it
//	(*Parser).ParseElements                            some elements of a stored form, at a third of the price
//	NewParser / (*Parser).Parse                        the same, reusing one arena: the tree is valid until the next call
//	AppendStored(dst, root, Meta{ID, VersionID, LastUpdated}) []byte
//	                                                  the stored form: minified; resourceType, id, meta first; in meta
//	                                                  versionId, lastUpdated, then the client's other members; all else as sent
//	AppendJSON(dst, node, *Edit) []byte               minified, as sent, with replaced values, left-out elements
//	AppendPretty(dst, json) []byte                    an answer's indentation
//	ParseXML(src, Options) (*element.Tree, error)     Parse for XML; the places are those in the XML
//	AppendXML(dst, node, XMLOptions) ([]byte, error)  a resource as an XML document
//	XMLReader                                         XML to JSON, for those who work on JSON, and places back again
//	StoredMeta(body) (Meta, tail)                     id, version and time from the fixed place of a stored body, without a parse
//	CheckSyntax(src, Options) error                   whether a body that is no resource, such as a JSON Patch, is JSON
//
// What a tree keeps, and AppendJSON writes again to the letter: every value as
// spelled (1.10e3, "A/B"), the order of members, nulls in the arrays of
// primitives. What is brought into one form: white space; a name written with
// escapes; resourceType, which comes first; a primitive's "_name", which comes
// right after its "name".
//
//	{"_birthDate":{"id":"a"},"gender":"male","birthDate":"1990","resourceType":"Patient"}
//	{"resourceType":"Patient","gender":"male","birthDate":"1990","_birthDate":{"id":"a"}}
//
// A decimal has at most value.MaxDigits digits and a power of ten of at most
// value.MaxExponent either way, beyond which it could not be searched.
//
// A body is read in one pass by a scanner written for it, straight into the
// arena, checked against the tables of fhir/schema on the way. Syntax errors
// end the parse; everything else is collected. A tree points into the bytes
// given to Parse, so these must not change while the tree is in use.
//
// A Parser serves one goroutine at a time; a Pool hands them out. All else is
// safe for concurrent use.
//
// https://hl7.org/fhir/R4/json.html
package codec

import (
	"sync"

	"meridian/fhir/element"
	"meridian/fhir/issue"
)

// Limits of Options that are left 0.
const (
	DefaultMaxBytes  = 64 << 20 // bytes of one body
	DefaultMaxDepth  = 64       // objects and arrays inside each other, the resource being the first
	DefaultMaxNodes  = 4 << 20  // element instances of one body, 32 bytes each
	DefaultMaxIssues = 50       // issues listed; further ones are counted
)

const (
	maxBytesEver    = 1<<31 - 1 // the arena's offsets have 32 bits
	maxString       = 1 << 20   // characters of one string, https://hl7.org/fhir/R4/datatypes.html#string
	maxNameShown    = 64        // bytes of a client's name that an issue repeats
	maxNamesShown   = 12        // names that an issue lists
	lookAheadFactor = 8         // bytes that the search for resourceType may read, in lengths of the body
	bytesPerNode    = 24        // of a minified resource; sizes a new arena
	maxPooledNodes  = 1 << 16   // a larger arena is not kept by a Pool (2 MB)
	maxPooledText   = 1 << 20   // nor a larger buffer for unescaped text
)

// Options of a parse. The zero value takes any resource with the default limits.
type Options struct {
	// Type is the resource type that the body must have or derive from, or a
	// data type ("HumanName") of which the body is one value; empty takes any resource.
	Type      string
	MaxBytes  int // DefaultMaxBytes when 0
	MaxDepth  int // DefaultMaxDepth when 0
	MaxNodes  int // DefaultMaxNodes when 0
	MaxIssues int // DefaultMaxIssues when 0
	// AnyCardinality does not report missing required elements, as for a
	// resource that was cut down by _elements.
	AnyCardinality bool
}

func (o Options) withDefaults() Options {
	for _, l := range []struct {
		limit *int
		value int
	}{
		{&o.MaxBytes, DefaultMaxBytes},
		{&o.MaxDepth, DefaultMaxDepth},
		{&o.MaxNodes, DefaultMaxNodes},
		{&o.MaxIssues, DefaultMaxIssues},
	} {
		if *l.limit <= 0 {
			*l.limit = l.value
		}
	}
	o.MaxBytes = min(o.MaxBytes, maxBytesEver)
	return o
}

// Parse reads one resource into a tree of its own. The error is an
// *issue.Error with the codes structure, value, required, too-long (body over
// the limit) or too-costly (nodes).
func Parse(src []byte, o Options) (*element.Tree, error) { return NewParser(o).Parse(src) }

// Parser reads one resource after the other into the same arena.
type Parser struct {
	opt     Options
	tree    element.Tree
	src     []byte
	scratch []byte // unescaped text of the value being checked

	issues   []issue.Issue
	unlisted int    // issues beyond MaxIssues
	unplaced bool   // the last issue, a syntax error, has no location yet
	ahead    int    // bytes that the search for resourceType may still read
	renumber bool   // nodes were added out of depth-first order
	left     uint64 // elements of the root that are left out, by index
}

// NewParser gives a parser with an empty arena.
func NewParser(o Options) *Parser { return &Parser{opt: o.withDefaults()} }

// Parse reads one resource. The tree is valid until the next call.
func (p *Parser) Parse(src []byte) (*element.Tree, error) {
	p.reset(src)
	return p.parse()
}

// ParseElements is Parse of a stored form that builds only some of the
// resource's elements: bit i of only stands for Type.Elements[i]. Of the others
// no more than the syntax is read.
func (p *Parser) ParseElements(src []byte, only uint64) (*element.Tree, error) {
	p.reset(src)
	p.left = ^only
	return p.parse()
}

func (p *Parser) parse() (*element.Tree, error) {
	src := p.src
	if len(src) > p.opt.MaxBytes {
		p.report(issue.TooLong, idTooLarge, p.opt.MaxBytes, "", "the body is larger than the limit")
	} else if i := p.root(p.space(0)); i >= 0 {
		if i = p.space(i); i < len(src) {
			p.fail(i, idSyntax, "something follows the end of the resource")
			if p.tree.Len() > 0 {
				p.place(0, "")
			}
		}
	}
	if len(p.issues) > 0 {
		return nil, p.error()
	}
	if p.renumber {
		p.tree.Renumber()
	}
	return &p.tree, nil
}

// ParseWithIssues is Parse that gives the tree beside an *issue.Error when the
// body was read to its end and every issue is listed, so that a batch can be
// carried out but for the entries that the issues are about. Whatever an
// issue's expression names, and what is below it, may be in the tree in part or not at all.
func (p *Parser) ParseWithIssues(src []byte) (*element.Tree, error) {
	tree, err := p.Parse(src)
	if err == nil || p.unlisted > 0 || p.tree.Len() == 0 || p.issues[len(p.issues)-1].Severity == issue.Fatal {
		return tree, err
	}
	if p.renumber {
		p.tree.Renumber()
	}
	return &p.tree, err
}

func (p *Parser) reset(src []byte) {
	p.src = src
	p.tree.Reset(src)
	if len(src) <= p.opt.MaxBytes {
		p.tree.Grow(min(len(src)/bytesPerNode+16, p.opt.MaxNodes))
	}
	p.issues, p.unlisted, p.unplaced = nil, 0, false
	p.ahead = lookAheadFactor * len(src)
	p.renumber, p.left = false, 0
}

// oversized says that the parser has grown beyond what a Pool keeps.
func (p *Parser) oversized() bool {
	return p.tree.Cap() > maxPooledNodes || cap(p.scratch) > maxPooledText
}

// Pool hands out parsers with the same options. The zero Pool works.
type Pool struct {
	Options Options // not to be changed after the first Get
	parsers sync.Pool
}

// Get gives a parser that belongs to the caller until Put.
func (l *Pool) Get() *Parser {
	if p, ok := l.parsers.Get().(*Parser); ok {
		return p
	}
	return NewParser(l.Options)
}

// Put takes a parser back; the tree of its last Parse is no longer valid.
func (l *Pool) Put(p *Parser) {
	if p.oversized() {
		return
	}
	p.reset(nil)
	l.parsers.Put(p)
}
