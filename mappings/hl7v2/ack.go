package hl7v2

import (
	"strconv"
	"strings"
	"time"
)

// AckCode is MSA-1, HL7 table 0008.
type AckCode string

const (
	ApplicationAccept AckCode = "AA"
	ApplicationError  AckCode = "AE"
	ApplicationReject AckCode = "AR"
	CommitAccept      AckCode = "CA"
	CommitError       AckCode = "CE"
	CommitReject      AckCode = "CR"
)

// Outcome of taking or processing a message.
type Outcome uint8

const (
	Accepted Outcome = iota
	Failed           // the message is at fault, or processing it failed
	Rejected         // not for us: message type, version or processing id; or no message at all
)

// AckPolicy is what a site sets for one source.
type AckPolicy struct {
	// IgnoreMSH15 and IgnoreMSH16 read the field as empty, for senders that use it for something else: Mindray BS writes 0, 1
	// or 2 for patient, calibrator and control into MSH-16. Values outside table 0155 are read as empty in any case.
	IgnoreMSH15, IgnoreMSH16 bool
}

// Acks says which acknowledgments the sender of a message asks for. HL7 v2.5.1 ch. 2.9.2 and 2.9.3.
type Acks struct {
	// Enhanced is false if MSH-15 and MSH-16 are both empty: then one application acknowledgment is always due. If it is true, an
	// accept acknowledgment is due when the message is safely stored, and an application acknowledgment when it is processed,
	// each as Accept and Application say.
	Enhanced bool

	accept, application string
}

// Acks reads MSH-15 and MSH-16.
func (h Header) Acks(p AckPolicy) Acks {
	a := Acks{accept: ackCondition(h.AcceptAck), application: ackCondition(h.ApplicationAck)}
	if p.IgnoreMSH15 {
		a.accept = ""
	}
	if p.IgnoreMSH16 {
		a.application = ""
	}
	a.Enhanced = a.accept != "" || a.application != ""
	return a
}

// ackCondition is a code of table 0155, or empty.
func ackCondition(s string) string {
	switch s {
	case "AL", "NE", "ER", "SU":
		return s
	}
	return ""
}

// Accept is the code of the accept acknowledgment, and whether one is due.
func (a Acks) Accept(o Outcome) (AckCode, bool) {
	code := [...]AckCode{CommitAccept, CommitError, CommitReject}[o]
	return code, a.Enhanced && due(a.accept, o)
}

// Application is the code of the application acknowledgment, and whether one is due.
func (a Acks) Application(o Outcome) (AckCode, bool) {
	code := [...]AckCode{ApplicationAccept, ApplicationError, ApplicationReject}[o]
	return code, !a.Enhanced || due(a.application, o)
}

func due(condition string, o Outcome) bool {
	switch condition {
	case "AL":
		return true
	case "ER":
		return o != Accepted
	case "SU":
		return o == Accepted
	}
	return false
}

// ErrorCode is a code of HL7 table 0357, in ERR-3 (ERR-1 before 2.5).
type ErrorCode int

const (
	SegmentSequenceError   ErrorCode = 100
	RequiredFieldMissing   ErrorCode = 101
	DataTypeError          ErrorCode = 102
	TableValueNotFound     ErrorCode = 103
	UnsupportedMessageType ErrorCode = 200
	UnsupportedEventCode   ErrorCode = 201
	UnsupportedProcessing  ErrorCode = 202
	UnsupportedVersion     ErrorCode = 203
	UnknownKey             ErrorCode = 204
	DuplicateKey           ErrorCode = 205
	RecordLocked           ErrorCode = 206
	InternalError          ErrorCode = 207
)

// String is the meaning the table gives.
func (c ErrorCode) String() string {
	switch c {
	case 0:
		return "Message accepted"
	case SegmentSequenceError:
		return "Segment sequence error"
	case RequiredFieldMissing:
		return "Required field missing"
	case DataTypeError:
		return "Data type error"
	case TableValueNotFound:
		return "Table value not found"
	case UnsupportedMessageType:
		return "Unsupported message type"
	case UnsupportedEventCode:
		return "Unsupported event code"
	case UnsupportedProcessing:
		return "Unsupported processing id"
	case UnsupportedVersion:
		return "Unsupported version id"
	case UnknownKey:
		return "Unknown key identifier"
	case DuplicateKey:
		return "Duplicate key identifier"
	case RecordLocked:
		return "Application record locked"
	}
	return "Application internal error"
}

// AckError is one ERR segment (one repetition of ERR-1 before 2.5).
type AckError struct {
	Code       ErrorCode
	Place      string // "OBX[3].5.1"; what cannot be read as a place is left out
	Warning    bool   // ERR-4 W instead of E
	Text       string // for the sender's user, ERR-8; before 2.5 MSA-3
	Diagnostic string // for the sender's engineer, ERR-7; not before 2.5
}

// Ack is what to answer.
type Ack struct {
	Code      AckCode
	ControlID string    // our own MSH-10
	Time      time.Time // MSH-7, printed with its offset
	Charset   Charset   // to encode in: Decoded.Used; empty is UTF-8
	Errors    []AckError
}

// BuildAck writes the acknowledgment of the message with header h, in the sender's delimiters, version and charset: MSH with
// sender and receiver exchanged, MSA-2 the MSH-10 of the message, and ERR. For the zero Header, bytes without an MSH, it is
// written with the default delimiters in version 2.5 and an empty MSA-2.
//
// MSH-18 repeats the sender's where that is true of the answer or the answer is in ASCII. Where the charset lacks a character, as Big5 does
// of simplified ones, the texts for users are left out and the meaning of the code, in English, remains.
func BuildAck(h Header, a Ack) []byte {
	if raw, err := Encode(ackText(h, a), a.Charset); err == nil {
		return raw
	}
	plain := a
	plain.Errors = append([]AckError(nil), a.Errors...)
	for i := range plain.Errors {
		plain.Errors[i].Text, plain.Errors[i].Diagnostic = "", ""
	}
	plain.Charset = UTF8
	return []byte(strings.ToValidUTF8(ackText(h, plain), ""))
}

func ackText(h Header, a Ack) string {
	if !h.Found() {
		h.Delimiters = DefaultDelimiters()
		h.MSH2 = h.Delimiters.MSH2()
	}
	if h.Version == "" {
		h.Version = "2.5"
	}
	if h.ProcessingID == "" {
		h.ProcessingID = "P"
	}
	v, _ := parseVersion(h.Version)
	w := ackWriter{d: h.Delimiters, old: v < v25}
	body := w.body(h, a)
	return w.header(h, a, v, body) + body
}

// ackWriter writes segments; old is the ERR of before 2.5.
type ackWriter struct {
	d   Delimiters
	old bool
}

func (w *ackWriter) segment(fields ...string) string {
	return strings.TrimRight(strings.Join(fields, one(w.d.Field)), one(w.d.Field)) + "\r"
}

// parts joins components; without a component delimiter only the first can be written.
func (w *ackWriter) parts(delimiter byte, parts ...string) string {
	if delimiter == 0 {
		return parts[0]
	}
	return strings.TrimRight(strings.Join(parts, one(delimiter)), one(delimiter))
}

func (w *ackWriter) header(h Header, a Ack, v version, body string) string {
	kind := w.parts(w.d.Component, "ACK", h.Event)
	if h.Event != "" && v >= v231 {
		kind = w.parts(w.d.Component, "ACK", h.Event, "ACK")
	}
	s := []string{"MSH", h.MSH2, h.ReceivingApplication, h.ReceivingFacility, h.SendingApplication, h.SendingFacility,
		a.Time.Format("20060102150405-0700"), "", kind, w.d.EscapeText(a.ControlID), h.ProcessingID, h.Version,
		"", "", "", "", "", answerCharset(h, a, body)}
	return w.segment(s...)
}

// answerCharset is MSH-18 of the answer.
func answerCharset(h Header, a Ack, body string) string {
	cs := a.Charset
	if cs == undeclared {
		cs = UTF8
	}
	declared, known := LookupCharset(h.Charset)
	ascii := asciiPrefix([]byte(body)) == len(body)
	wide := cs == UTF16LE || cs == UTF16BE
	switch {
	case ascii && !wide, known && declared == cs:
		return h.Charset
	case wide:
		return string(UTF16LE)
	}
	return string(cs)
}

func (w *ackWriter) body(h Header, a Ack) string {
	msa := []string{"MSA", string(a.Code), h.ControlID}
	if w.old && len(a.Errors) > 0 {
		e := a.Errors[0]
		text := e.Text
		if text == "" {
			text = e.Code.String()
		}
		msa = append(msa, w.d.EscapeText(text), "", "", w.coded(w.d.Component, e.Code))
	}
	b := w.segment(msa...)
	if len(a.Errors) == 0 {
		return b
	}
	if w.old {
		var locations []string
		for _, e := range a.Errors {
			l, _ := ParsePosition(e.Place)
			locations = append(locations, w.parts(w.d.Component, l.Segment, number(l.Occurrence), number(l.Field), w.coded(w.d.Subcomponent, e.Code)))
		}
		return b + w.segment("ERR", w.parts(w.d.Repetition, locations...))
	}
	for _, e := range a.Errors {
		severity := "E"
		if e.Warning {
			severity = "W"
		}
		l, _ := ParsePosition(e.Place)
		b += w.segment("ERR", "", w.location(l), w.coded(w.d.Component, e.Code), severity, "", "", w.d.EscapeText(e.Diagnostic), w.d.EscapeText(e.Text))
	}
	return b
}

func (w *ackWriter) coded(delimiter byte, c ErrorCode) string {
	return w.parts(delimiter, strconv.Itoa(int(c)), c.String(), "HL70357")
}

// location is the data type ERL of ERR-2.
func (w *ackWriter) location(p Position) string {
	return w.parts(w.d.Component, p.Segment, number(p.Occurrence), number(p.Field), number(p.Repetition), number(p.Component), number(p.Sub))
}

func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// Answer is a received acknowledgment.
type Answer struct {
	Code      AckCode // MSA-1
	ControlID string  // MSA-2
	Text      string  // MSA-3, else the first ERR-8, unescaped
	Message   *Message
}

// Positive reports AA or CA.
func (a Answer) Positive() bool { return a.Code == ApplicationAccept || a.Code == CommitAccept }

// ParseAck reads an acknowledgment. The error is that of Decode or Parse, or an *Error with CodeSegmentMissing if there is no MSA.
func ParseAck(raw []byte) (Answer, error) {
	d, err := Decode(raw, DecodeOptions{})
	if err != nil {
		return Answer{}, err
	}
	m, err := Parse(d.Text, ParseOptions{Charset: d.Used})
	if err != nil {
		return Answer{}, err
	}
	msa := m.Segment("MSA", 1)
	if !msa.Exists() {
		return Answer{}, &Error{Code: CodeSegmentMissing, Place: "MSA[1]", Offset: -1, Detail: "an acknowledgment without MSA"}
	}
	text := msa.Field(3).Text()
	if text == "" {
		text = m.Segment("ERR", 1).Field(8).Text()
	}
	return Answer{Code: AckCode(msa.Field(1).Text()), ControlID: msa.Field(2).Text(), Text: text, Message: m}, nil
}
