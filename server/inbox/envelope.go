package inbox

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"meridian/mappings/engine"
)

// Envelope is what is known of a message beside its bytes; it stands in the
// queue item's Note. It holds places and codes, no values of patients but the
// control id that the sender gave.
type Envelope struct {
	Source   string    `json:"source"`
	Remote   string    `json:"remote,omitempty"` // channel and address: "mllp 127.0.0.1:51234"
	Received time.Time `json:"received"`

	Type      string `json:"type,omitempty"`    // "ORU^R01"
	Version   string `json:"version,omitempty"` // MSH-12
	Control   string `json:"control,omitempty"` // MSH-10
	Sender    string `json:"sender,omitempty"`  // MSH-3 / MSH-4
	Declared  string `json:"declared,omitempty"`
	Charset   string `json:"charset,omitempty"`
	Map       string `json:"map,omitempty"`
	Outcome   string `json:"outcome,omitempty"`
	Resources int    `json:"resources,omitempty"` // that the message makes
	Written   int    `json:"written,omitempty"`   // of them, that made a version

	Failures int      `json:"failures,omitempty"` // for internal reasons, since the last end
	Leases   int      `json:"leases,omitempty"`   // of the item, when it was last put back or ended; more of them since were lost
	Lanes    []string `json:"lanes,omitempty"`    // of a message to be tried again: hashes of the patients' numbers
	Refused  string   `json:"refused,omitempty"`  // why only the beginning was stored: "too-long"

	Parked   *Parked    `json:"parked,omitempty"`
	Findings []Finding  `json:"findings,omitempty"`
	Unmapped []Unmapped `json:"unmapped,omitempty"`
	Unread   []Unread   `json:"unread,omitempty"`
	Timeline []Step     `json:"timeline,omitempty"`
}

// Finding is something that a person should know about a message; it went on.
type Finding struct {
	Code string `json:"code"`
	Path string `json:"path,omitempty"` // place in the message, or the resource
	Text string `json:"text,omitempty"`
}

// Unmapped is a local code that no table knew.
type Unmapped struct {
	Table   string `json:"table"`
	Code    string `json:"code,omitempty"`
	Display string `json:"display,omitempty"`
	Unit    string `json:"unit,omitempty"`
	Path    string `json:"path,omitempty"`
}

// Unread is a place that says something and that no rule of the map reads or sets aside.
type Unread struct {
	Place string `json:"place"`           // without occurrences: "OBX.17.1"
	First string `json:"first,omitempty"` // where it stands first: "OBX[3].17.1"
	Count int    `json:"count"`
}

// ran notes what a run of a map found.
func (e *Envelope) ran(res *engine.Result) {
	e.Map, e.Resources = res.Map, len(res.Resources)
	for _, f := range res.Findings {
		e.Findings = append(e.Findings, Finding(f))
	}
	for _, u := range res.Unmapped {
		e.Unmapped = append(e.Unmapped, Unmapped(u))
	}
	if res.Coverage == nil {
		return
	}
	for _, u := range res.Coverage.Unread {
		e.Unread = append(e.Unread, Unread(u))
	}
}

// Parked says why a message stands still.
type Parked struct {
	Stage  string `json:"stage"`
	Code   string `json:"code"`
	Path   string `json:"path,omitempty"` // position in the message, or element of a resource
	Hint   string `json:"hint"`
	HintZH string `json:"hintZH,omitempty"`
}

func parked(p *engine.Park) *Parked {
	return &Parked{Stage: p.Stage, Code: p.Code, Path: place(p.Path), Hint: p.Hint, HintZH: p.HintZH}
}

// Step is one transition.
type Step struct {
	At     time.Time `json:"at"`
	State  string    `json:"state"`
	Detail string    `json:"detail,omitempty"`
}

// maxTimeline bounds the steps kept; a message replayed more often forgets its middle.
const maxTimeline = 200

func (e *Envelope) step(at time.Time, state, detail string) {
	if len(e.Timeline) >= maxTimeline {
		e.Timeline = append(e.Timeline[:maxTimeline/2], e.Timeline[maxTimeline/2+1:]...)
	}
	e.Timeline = append(e.Timeline, Step{At: at.UTC(), State: state, Detail: detail})
}

// maxEnvelope bounds an envelope, in bytes; both stores take as much beside the largest message.
const maxEnvelope = 256 << 10

// marshal gives the envelope as JSON. Lists that make it too long are cut, and
// a finding says so.
func (e *Envelope) marshal() []byte {
	b := encode(e)
	for n := max(len(e.Findings), len(e.Unmapped), len(e.Unread)); len(b) > maxEnvelope && n > 0; {
		n /= 2
		short := *e
		short.Findings = append(slices.Clip(e.Findings[:min(n, len(e.Findings))]), Finding{Code: "findings.cut",
			Text: fmt.Sprintf("%d findings, %d unmapped codes and %d places that were not read; at most %d of each are kept", len(e.Findings), len(e.Unmapped), len(e.Unread), n)})
		short.Unmapped, short.Unread = e.Unmapped[:min(n, len(e.Unmapped))], e.Unread[:min(n, len(e.Unread))]
		b = encode(&short)
	}
	return b
}

func encode(e *Envelope) []byte {
	b, err := json.Marshal(e)
	if err != nil { // there is nothing in it that JSON cannot say
		panic(fmt.Sprintf("envelope: %v", err))
	}
	return b
}

func readEnvelope(note []byte) (Envelope, error) {
	var e Envelope
	if err := json.Unmarshal(note, &e); err != nil {
		return e, fmt.Errorf("read envelope: %w", err)
	}
	return e, nil
}
