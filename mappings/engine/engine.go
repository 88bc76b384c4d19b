// Package engine is the mapping language: YAML files whose tree mirrors the
// target resource, compiled once into closures and run over a source.Tree.
//
// Shape of a map (docs/mapping/language.md has the whole language):
//
//	map: oru_r01
//	version: 1
//	input: {kind: hl7v2, type: ORU_R01}
//	scopes:
//	  - {as: pr, each: msg.PATIENT_RESULT}
//	  - {as: oo, in: pr, each: pr.ORDER_OBSERVATION}
//	filters:
//	  - {when: "msg.MSH.f11.1 == 'Q'", rule: qc}
//	resources:
//	  - name: obs
//	    type: Observation
//	    scope: oo
//	    each: {path: oo.OBSERVATION, as: o}
//	    when: "o.OBX.f11 != 'O'"
//	    id: [oo.OBR.f3.1, o.OBX.f3.1, o.OBX.f4, $dup]
//	    target:
//	      status: {lookup: status.obx, from: o.OBX.f11, onMissing: park}
//	      "value[x]": {fn: obxValue, args: {obx: o.OBX}}
//
// Invariants: a map has no I/O, no clock, no randomness and no loops but
// `each`, so the same message, source and map version give the same bytes. Ids
// are UUIDv5 of source and business key. Everything that Load accepts has been
// checked against the R4 element tables and the input's grammar; what is wrong
// is a Problem with a code, a line and a column. Run never guesses: what cannot
// be mapped parks the message (*Park) or leaves a Finding.
//
// A *Map is read-only and safe for concurrent use.
package engine

import (
	"fmt"
	"strings"
	"time"
)

// Limits of one run.
const (
	MaxResources = 20_000
	MaxFindings  = 1_000
	MaxOutput    = 64 << 20 // bytes of JSON
)

// Problem is one thing that is wrong with a mapping file.
type Problem struct {
	Code         string // "M010"; docs/mapping/checks.md
	File         string
	Line, Column int // from 1
	Message      string
	Suggestion   string // what was probably meant; empty when nothing is near
}

func (p Problem) String() string {
	s := fmt.Sprintf("%s:%d:%d: %s %s", p.File, p.Line, p.Column, p.Code, p.Message)
	if p.Suggestion != "" {
		s += "; did you mean " + p.Suggestion + "?"
	}
	return s
}

// Problems is the error that Load returns.
type Problems []Problem

func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Source is what a site says about a sender. The zero value works for a sender
// that follows the standard. It stays as it is once a message was mapped with it: what its messages have in common is remembered for
// the pointer.
type Source struct {
	ID            string            // names the sender; part of every id; "default" when empty
	Zone          *time.Location    // for times without an offset; Asia/Shanghai when nil
	ItemSystem    string            // code system of local item codes; "urn:meridian:source:<ID>:item" when empty
	IDSystems     map[string]string // assigning authority (CX.4.1) → identifier system
	CodeSystems   map[string]string // coding system of the sender (CWE.3) → URI
	DecimalComma  bool              // 11,49 is a number
	DefaultType   string            // OBX-2 where it is empty; "" parks nothing and maps to text
	DefaultStatus string            // OBX-11 / OBR-25 where it is empty; "" gives unknown
	// Layer names the layer over the map that fits this sender ("oru_r01_mindray_bs"); "" is the one that fits by itself, or
	// the map; the map's own name is the map without any layer.
	Layer string
}

func (s *Source) id() string {
	if s.ID == "" {
		return "default"
	}
	return s.ID
}

// Write is how a resource meets the version that stands in the store.
type Write string

const (
	// Replace: the message says all there is; the resource becomes what it says.
	Replace Write = "replace"
	// Merge: elements that the message does not mention stay as they are.
	Merge Write = "merge"
)

// Out is one resource that a message made.
type Out struct {
	Rule string // name of the resource rule
	Type string
	ID   string
	JSON []byte // minified, with resourceType and id
	Write
	Union    []string // top-level lists whose entries are added to those that stand (DiagnosticReport.result)
	Volatile []string // top-level elements that alone make no new version (Observation.issued)
	Initial  []string // top-level elements for a new resource only: what stands stays (Encounter.status of a result message)
	// Clear lists top-level elements that the message deletes (HL7's `""`).
	Clear []string
	// Scope numbers the scope instance (one report of a message); 0 is the whole message.
	Scope int
	// Guard, when not zero, is the source's time of this state: a resource that
	// stands with a later one must not be overwritten, and its scope is stale.
	Guard time.Time
	// Sent is the last of the guard's places, the time of the message: it
	// decides between two states of the same Guard.
	Sent time.Time
}

// Finding is something that a person should know about a message; the message went on.
type Finding struct {
	Code string // "obx.number", "flag.unknown"
	Path string // place in the message: "OBX[3].5"
	Text string // without values
}

// Result of a run.
type Result struct {
	Map       string // name@version
	Resources []Out
	Findings  []Finding
	// Filtered is the rule that says that this message is not for the record (quality control); then there are no resources.
	Filtered string
	// Subject is the key by which messages about one patient are kept in order.
	Subject string
	// Unmapped lists codes that no table knew.
	Unmapped []Unmapped
	// Coverage says which places of the message no rule read; nil when the message was filtered or parked.
	Coverage *Coverage

	bundle []byte // the transaction; Resources are parts of it
}

// Unmapped is a local code for the work list.
type Unmapped struct {
	Table, Code, Display, Unit, Path string
}

// Park says why a message stands still: nothing of it was applied.
type Park struct {
	Stage  string // "map"
	Code   string // "patient.unidentified"
	Path   string // place in the message
	Hint   string // what a person can do, English
	HintZH string
}

func (p *Park) Error() string {
	return fmt.Sprintf("parked at %s: %s (%s): %s", p.Stage, p.Code, p.Path, p.Hint)
}
