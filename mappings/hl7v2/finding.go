package hl7v2

import "fmt"

// Severity says what a Finding asks of the reader.
type Severity uint8

const (
	Information Severity = iota // worth counting, changes nothing
	Warning                     // read, but probably not as the sender's documentation says
	Serious                     // read, but a person should look before the content is trusted
)

func (s Severity) String() string {
	switch s {
	case Information:
		return "information"
	case Warning:
		return "warning"
	}
	return "error"
}

// Codes of findings and errors. They are stable: sites count and filter by them.
const (
	CodeCharsetUnknown      = "charset.unknown"       // MSH-18 or the override names no charset known here
	CodeCharsetContradicted = "charset.contradicted"  // the bytes are not in the declared charset
	CodeCharsetPrivate      = "charset.private"       // characters of a user-defined area (造字): readable only at the sender's site
	CodeCharsetMojibake     = "charset.mojibake"      // the text looks like UTF-8 that was read as GBK before it was sent
	CodeCharsetReplaced     = "charset.replaced"      // the text holds U+FFFD: a character was lost before it was sent
	CodeCharsetUndecodable  = "charset.undecodable"   // error: bytes that are no character
	CodeCharsetUnencodable  = "charset.unencodable"   // error: a character the charset does not have
	CodeMessageEmpty        = "v2.message.empty"      // error
	CodeMessageHeader       = "v2.message.header"     // error: no MSH, or one without delimiters
	CodeMessageSecond       = "v2.message.second"     // error: a second MSH in one message
	CodeLimit               = "v2.limit"              // error: a limit of Limits is reached
	CodeDelimiters          = "v2.delimiters"         // MSH-2 is short or repeats a delimiter
	CodeTextTrimmed         = "v2.text.trimmed"       // bytes around the message that belong to no segment
	CodeSegmentEnding       = "v2.segment.ending"     // LF or CR LF instead of CR
	CodeSegmentContinued    = "v2.segment.continued"  // a bare line break inside a field
	CodeSegmentUnexpected   = "v2.segment.unexpected" // the grammar of the message has no such segment
	CodeSegmentOrder        = "v2.segment.order"      // the segment stands later than the grammar allows
	CodeSegmentMissing      = "v2.segment.missing"    // a segment the grammar requires is not there
	CodeSegmentVersion      = "v2.segment.version"    // legal, but not in the version of MSH-12
	CodeSpecimenResults     = "v2.specimen.results"   // every OBX of an order stands below its SPM
	CodeStructureUnknown    = "v2.structure.unknown"  // no grammar for MSH-9: the nearest is used
	CodeVersionUnknown      = "v2.version.unknown"    // no such MSH-12: the nearest version is used
	CodeFindingsCut         = "v2.findings.cut"       // more findings than MaxFindings
)

// MaxFindings bounds the findings of one Parse or GroupMessage; the last one then says how many were left out.
const MaxFindings = 200

// Finding is something accepted that the standard or the sender's declaration does not cover.
type Finding struct {
	Code     string
	Severity Severity
	Place    string // "OBX[3].5", "MSH[1].18", or empty for the whole message
	Detail   string // one English sentence without any value of the message
}

func (f Finding) String() string {
	if f.Place == "" {
		return f.Severity.String() + " " + f.Code + ": " + f.Detail
	}
	return f.Severity.String() + " " + f.Code + " at " + f.Place + ": " + f.Detail
}

// Error says why bytes are no message. Its text holds places and offsets only.
type Error struct {
	Code   string
	Place  string // as in Finding
	Offset int    // byte offset into the input, or -1
	Detail string
}

func (e *Error) Error() string {
	s := "hl7v2: " + e.Code
	if e.Place != "" {
		s += " at " + e.Place
	}
	if e.Offset >= 0 {
		s += fmt.Sprintf(" at byte %d", e.Offset)
	}
	return s + ": " + e.Detail
}

// findings collects up to MaxFindings.
type findings struct {
	list []Finding
	cut  int
}

func (f *findings) add(code string, sev Severity, place, detail string) {
	if len(f.list) >= MaxFindings-1 {
		f.cut++
		return
	}
	f.list = append(f.list, Finding{Code: code, Severity: sev, Place: place, Detail: detail})
}

func (f *findings) done() []Finding {
	if f.cut > 0 {
		f.list = append(f.list, Finding{Code: CodeFindingsCut, Severity: Warning,
			Detail: fmt.Sprintf("%d further findings left out", f.cut)})
		f.cut = 0
	}
	return f.list
}
