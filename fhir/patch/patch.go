// Package patch changes parts of a resource as a document asks for it: JSON
// Patch (RFC 6902), JSON Merge Patch (RFC 7396) and FHIRPath Patch (Parameters).
//
// Contract:
//
//	ParseJSON(src, Limits), ParseMerge(src, Limits), ParseParameters(root, Limits)   → *Patch, checked as far as it can be without a resource
//	(*Patch).Apply(Target{Body, Parser, Now})                                        → the tree of the patched resource, parsed strictly
//
// What no operation touches stays byte for byte: the first two work on the JSON
// text and open an object or array only where a path leads into it; FHIRPath
// Patch works on the element tree, whose values are written as they were sent.
// Numbers keep their digits, members and items their order. A new member stands
// behind the others in JSON Patch and Merge Patch, where the definition has it
// in FHIRPath Patch. What operations emptied is left out, as FHIR's JSON knows
// no {} and no []:
//
//	{"resourceType":"Patient","name":[{"family":"A"}],"gender":"male"}
//	[{"op":"remove","path":"/name/0/family"}]
//	{"resourceType":"Patient","gender":"male"}
//
// All operations happen or none. The result may have any id and meta; who calls
// decides what may change.
//
// Errors are *issue.Error: invalid, structure, required or value (400) for a
// document that is no patch; processing (422) for one that does not apply, with
// the id patch.test where a test failed, and for a result that is no valid
// resource; too-costly and too-long where a limit is passed. The text names the
// operation by its index and its path, string literals left out.
//
// A Patch is immutable and may be applied many times and concurrently. It points
// into the bytes, or the tree, that it was parsed from.
//
// https://hl7.org/fhir/R4/http.html#patch, https://hl7.org/fhir/R4/fhirpatch.html
package patch

import (
	"strconv"
	"time"

	"meridian/fhir/codec"
	"meridian/fhir/element"
	"meridian/fhir/issue"
)

// Limits that are left 0.
const (
	DefaultMaxOperations = 1000                   // operations of one patch
	DefaultMaxBytes      = codec.DefaultMaxBytes  // bytes that operations may add together, copies included
	DefaultMaxNodes      = 1 << 20                // JSON values that operations may look into, at most 56 bytes each
	maxDepth             = codec.DefaultMaxDepth  // of a patch document
	maxIssues            = codec.DefaultMaxIssues // of a patch document that are listed
)

// Limits of a patch. The zero value has the defaults. The size of the document
// and of the result is bounded by whoever reads and parses them.
type Limits struct {
	Operations int // DefaultMaxOperations when 0
	Bytes      int // DefaultMaxBytes when 0
	Nodes      int // DefaultMaxNodes when 0
}

func (l Limits) withDefaults() Limits {
	for _, d := range []struct {
		limit *int
		value int
	}{{&l.Operations, DefaultMaxOperations}, {&l.Bytes, DefaultMaxBytes}, {&l.Nodes, DefaultMaxNodes}} {
		if *d.limit <= 0 {
			*d.limit = d.value
		}
	}
	return l
}

// Patch is a patch document.
type Patch struct {
	limits Limits
	// Exactly one of these is meant: json and path may be empty, which changes nothing.
	kind  kind
	json  []jsonOperation
	merge []byte
	path  []pathOperation
}

type kind uint8

const (
	jsonPatch kind = iota + 1
	mergePatch
	pathPatch
)

// Target is what a patch is applied to.
type Target struct {
	Body []byte // the resource as JSON; not changed
	// Parser reads the result, and for FHIRPath Patch the body before.
	Parser *codec.Parser
	Now    time.Time // what now() says in a path; zero makes it an error
}

// Apply gives the tree of the patched resource. It belongs to t.Parser and is
// valid until that reads the next one.
func (p *Patch) Apply(t Target) (*element.Tree, error) {
	out, err := p.text(t)
	if err != nil {
		return nil, err
	}
	tree, err := t.Parser.Parse(out)
	if err != nil {
		return nil, invalidResult(err)
	}
	return tree, nil
}

// text gives the patched resource as JSON.
func (p *Patch) text(t Target) ([]byte, error) {
	switch p.kind {
	case jsonPatch, mergePatch:
		d, err := p.applyText(t.Body)
		if err != nil {
			return nil, err
		}
		d.prune()
		return d.root.append(make([]byte, 0, len(t.Body)+len(t.Body)/8+64)), nil
	}
	return p.applyPaths(t)
}

// applyText gives the patched JSON before what was emptied is left out.
func (p *Patch) applyText(body []byte) (*document, error) {
	d := &document{root: newValue(body), bytes: p.limits.Bytes, nodes: p.limits.Nodes}
	if p.kind == mergePatch {
		patch := newValue(p.merge)
		return d, d.merge(&d.root, &patch)
	}
	for i := range p.json {
		if err := d.apply(&p.json[i]); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// Issue ids: details.coding.code of an OperationOutcome.
const (
	idDocument   = "patch.document"   // the document is no patch
	idOperations = "patch.operations" // too many operations
	idPath       = "patch.path"       // a path is not well-formed
	idApply      = "patch.apply"      // an operation does not apply to this resource
	idTest       = "patch.test"       // a test failed
	idGrowth     = "patch.growth"     // operations add more than the limit
	idResult     = "patch.result"     // the result is no valid resource
)

// statusUnprocessable is the status of a patch whose result is no valid
// resource (RFC 5789 section 2.2): the document itself is well-formed, so it is not 400.
const statusUnprocessable = 422

// invalidResult makes the issues of a parsed result those of a patch: their
// offsets are in a text that the client has not seen.
func invalidResult(err error) error {
	e := issue.As(err)
	if e == nil {
		return err
	}
	out := &issue.Error{Issues: make([]issue.Issue, len(e.Issues)), Status: statusUnprocessable}
	for i, is := range e.Issues {
		is.Offset = issue.NoOffset
		if is.Severity == issue.Information {
			out.Issues[i] = is
			continue
		}
		is.Text = "the patched resource would not be valid: " + is.Text
		is.ID = idResult
		out.Issues[i] = is
	}
	if code := e.Issues[0].Code; code == issue.TooLong || code == issue.TooCostly {
		out.Status = 0
	}
	return out
}

func tooMany(limit int) error {
	return issue.New(issue.TooCostly, idOperations, "a patch has at most "+strconv.Itoa(limit)+" operations", "")
}

func tooMuch() error {
	return issue.New(issue.TooCostly, idGrowth, "the operations add, copy or look into more than this server allows for one patch", "")
}
