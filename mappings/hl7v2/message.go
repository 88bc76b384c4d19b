package hl7v2

import (
	"fmt"
	"math/bits"
	"strings"
)

// Limits of Parse. Zero means the default.
type Limits struct {
	MaxBytes    int // length of the text in bytes; default DefaultMaxBytes, at most 1 GiB
	MaxSegments int // default DefaultMaxSegments
	MaxFields   int // field separators in the whole message; default DefaultMaxFields
}

// Defaults of Limits. A report of 20 results has some 25 segments and 400 fields; a PDF of 10 MiB in base64 is 14 MiB.
const (
	DefaultMaxBytes    = 64 << 20
	DefaultMaxSegments = 50_000
	DefaultMaxFields   = 2_000_000

	maxTextBytes = 1 << 30 // offsets are kept in 32 bits
)

func (l Limits) withDefaults() Limits {
	if l.MaxBytes <= 0 {
		l.MaxBytes = DefaultMaxBytes
	}
	l.MaxBytes = min(l.MaxBytes, maxTextBytes)
	if l.MaxSegments <= 0 {
		l.MaxSegments = DefaultMaxSegments
	}
	if l.MaxFields <= 0 {
		l.MaxFields = DefaultMaxFields
	}
	return l
}

// ParseOptions of Parse; the zero value works.
type ParseOptions struct {
	Limits Limits
	// Charset that the text was decoded from (Decoded.Used): bytes given as \X..\ are read in it. Default UTF-8.
	Charset Charset
}

// Message is one parsed message. Its Segments stand in the order of the text.
type Message struct {
	Findings []Finding // of Parse; at most MaxFindings

	text   string
	delims Delimiters
	hex    Charset
	segs   []Segment
	seps   []uint32 // offset of every field separator, in order
}

// Parse splits decoded text into segments and fields. The text starts with MSH, whose first bytes give the delimiters.
//
// A segment ends with CR; LF and CR LF are accepted and reported. A line break that is not followed by a segment (three
// letters or digits, then the field separator) is taken as part of the field it stands in, and reported: senders let
// multi-line report texts through unescaped, and the fields after the break are then still where they belong. The error is
// an *Error with CodeMessageEmpty, CodeMessageHeader, CodeMessageSecond or CodeLimit.
//
// HL7 v2.5.1 ch. 2.5 (delimiters), 2.6 (construction rules).
func Parse(text string, opt ParseOptions) (*Message, error) {
	lim := opt.Limits.withDefaults()
	if len(text) > lim.MaxBytes {
		return nil, &Error{Code: CodeLimit, Offset: lim.MaxBytes, Detail: fmt.Sprintf("text is longer than %d bytes", lim.MaxBytes)}
	}
	var fs findings
	start, end := trim(text, &fs)
	if start == end {
		return nil, &Error{Code: CodeMessageEmpty, Offset: -1, Detail: "no text"}
	}
	d, err := readDelimiters(text[start:end], start, &fs)
	if err != nil {
		return nil, err
	}
	m := &Message{text: text, delims: d, hex: opt.Charset}
	if m.hex == "" {
		m.hex = UTF8
	}
	p := parser{m: m, lim: lim, fs: &fs, end: end, nextCR: -1, hasLF: strings.IndexByte(text[start:end], '\n') >= 0}
	if err := p.run(start); err != nil {
		return nil, err
	}
	m.Findings = fs.done()
	return m, nil
}

// trim finds the message inside what surrounds it: frame bytes, byte order mark, blank lines, the end-of-file byte 0x1A.
func trim(text string, fs *findings) (start, end int) {
	const around = "\r\n\v\x1c\x1a\x00"
	s := strings.TrimLeft(strings.TrimPrefix(text, "\uFEFF"), around+" \t")
	start = len(text) - len(s)
	for {
		s = strings.TrimRight(s, around)
		t := strings.TrimRight(s, " \t")
		if t == "" || (t[len(t)-1] != '\r' && t[len(t)-1] != '\n') {
			break // trailing blanks of the last field are its own
		}
		s = t
	}
	end = start + len(s)
	if start > 0 || strings.Trim(text[end:], "\r\n") != "" {
		fs.add(CodeTextTrimmed, Information, "", "bytes before or after the message were left aside")
	}
	return start, end
}

type parser struct {
	m      *Message
	lim    Limits
	fs     *findings
	end    int
	hasLF  bool
	nextCR int  // offset of a CR behind all that is read, or where the text ends
	ending bool // CodeSegmentEnding is reported
	seen   occurrences
}

// run splits the text from the first byte of MSH on.
func (p *parser) run(at int) error {
	m, text := p.m, p.m.text[:p.end]
	sep := m.delims.Field
	n := strings.Count(text[at:], one(sep))
	if n > p.lim.MaxFields {
		return &Error{Code: CodeLimit, Offset: -1, Detail: fmt.Sprintf("more than %d fields", p.lim.MaxFields)}
	}
	m.seps = make([]uint32, 0, n)
	lines := 1 + strings.Count(text[at:], "\r")
	if p.hasLF {
		lines += strings.Count(text[at:], "\n")
	}
	m.segs = make([]Segment, 0, min(lines, n+1, p.lim.MaxSegments))
	for at < len(text) {
		end, next, breaks := p.segmentEnd(text, at)
		if len(m.segs) >= p.lim.MaxSegments {
			return &Error{Code: CodeLimit, Offset: at, Detail: fmt.Sprintf("more than %d segments", p.lim.MaxSegments)}
		}
		if len(m.segs) > 0 && text[at:at+3] == "MSH" {
			return &Error{Code: CodeMessageSecond, Offset: at, Detail: "a second MSH; use Split first"}
		}
		seg := Segment{m: m, start: uint32(at), end: uint32(end), first: uint32(len(m.seps))}
		seg.header = isHeader(text[at:])
		seg.occurrence = p.seen.next(text[at:])
		m.seps = appendOffsets(m.seps, text, at+3, end, sep)
		seg.fields = uint32(len(m.seps)) - seg.first
		m.segs = append(m.segs, seg)
		if breaks > 0 {
			p.fs.add(CodeSegmentContinued, Warning, seg.Label(), "a line break inside a field is not escaped")
		}
		at = next
	}
	return nil
}

// segmentEnd finds where the segment at offset at ends, where the next one starts, and how many bare line breaks it holds.
func (p *parser) segmentEnd(text string, at int) (end, next, breaks int) {
	for i := at; ; breaks++ {
		end = p.lineEnd(text, i)
		next = end
		for next < len(text) && (text[next] == '\r' || text[next] == '\n') {
			if text[next] == '\n' && !p.ending {
				p.ending = true
				p.fs.add(CodeSegmentEnding, Information, "", "a segment ends with LF or CR LF instead of CR")
			}
			next++
		}
		if next == len(text) || isSegmentStart(text[next:], p.m.delims.Field) {
			return end, next, breaks
		}
		i = next
	}
}

// lineEnd is the offset of the first CR or LF from at on. The next CR is remembered, for a text without any is searched only once.
func (p *parser) lineEnd(text string, at int) int {
	if p.nextCR < at {
		p.nextCR = len(text)
		if i := strings.IndexByte(text[at:], '\r'); i >= 0 {
			p.nextCR = at + i
		}
	}
	if p.hasLF {
		if i := strings.IndexByte(text[at:p.nextCR], '\n'); i >= 0 {
			return at + i
		}
	}
	return p.nextCR
}

func isHeader(s string) bool { return s[:3] == "MSH" || s[:3] == "FHS" || s[:3] == "BHS" }

// isSegmentStart reports whether s begins with a segment's name and the field separator. A name alone on its line is
// accepted in capitals only (an empty DSC), for a continued text may well have a word of three letters.
func isSegmentStart(s string, sep byte) bool {
	if len(s) < 3 || !isLetter(s[0]) || !isAlnum(s[1]) || !isAlnum(s[2]) {
		return false
	}
	if len(s) > 3 && s[3] == sep {
		return true
	}
	return (len(s) == 3 || s[3] == '\r' || s[3] == '\n') && strings.ToUpper(s[:3]) == s[:3]
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
func isAlnum(c byte) bool  { return isLetter(c) || isDigit(c) }

// appendOffsets appends the offset of each sep in text[at:end], eight bytes a step.
func appendOffsets(dst []uint32, text string, at, end int, sep byte) []uint32 {
	const low, high = 0x0101010101010101, 0x8080808080808080
	s := text[:end]
	pattern := low * uint64(sep)
	i := at
	for ; i+8 <= len(s); i += 8 {
		b := s[i : i+8]
		w := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
			uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
		// A byte of w^pattern is zero where w holds sep; the exact form, for a false hit would follow a true one otherwise.
		w ^= pattern
		hit := ^((w&^high + (low * 0x7F)) | w | low*0x7F)
		for ; hit != 0; hit &= hit - 1 {
			dst = append(dst, uint32(i+bits.TrailingZeros64(hit)/8))
		}
	}
	for ; i < len(s); i++ {
		if s[i] == sep {
			dst = append(dst, uint32(i))
		}
	}
	return dst
}

// occurrences counts segments by name. Few names occur, and mostly the last one again.
type occurrences struct {
	names  [24]uint32 // three characters each
	counts [24]uint32
	n      int
	last   int
	more   map[uint32]uint32
}

func (o *occurrences) next(text string) uint32 {
	name := uint32(text[0])<<16 | uint32(text[1])<<8 | uint32(text[2])
	if o.n > 0 && o.names[o.last] == name {
		o.counts[o.last]++
		return o.counts[o.last]
	}
	for i, known := range o.names[:o.n] {
		if known == name {
			o.last = i
			o.counts[i]++
			return o.counts[i]
		}
	}
	if o.n < len(o.names) {
		o.names[o.n], o.counts[o.n], o.last = name, 1, o.n
		o.n++
		return 1
	}
	if o.more == nil {
		o.more = make(map[uint32]uint32)
	}
	o.more[name]++
	return o.more[name]
}

// Text is the text as it was parsed, with all that surrounded the message.
func (m *Message) Text() string { return m.text }

// Delimiters of MSH-1 and MSH-2.
func (m *Message) Delimiters() Delimiters { return m.delims }

// Len is the number of segments.
func (m *Message) Len() int { return len(m.segs) }

// At is the segment at position i in the text, 0 to Len()-1.
func (m *Message) At(i int) Segment { return m.segs[i] }

// Segments are all segments in the order of the text. The caller must not change the slice.
func (m *Message) Segments() []Segment { return m.segs }

// Header is the MSH segment.
func (m *Message) Header() Segment { return m.segs[0] }

// Segment is the nth segment of a name, counted from 1: Segment("OBX", 3) is what a label calls OBX[3]. A segment that is
// not there is the zero Segment, whose fields are all Absent.
func (m *Message) Segment(name string, n int) Segment {
	for _, s := range m.segs {
		if int(s.occurrence) == n && s.Name() == name {
			return s
		}
	}
	return Segment{}
}

// Print writes the segments, each ended with CR. It equals the parsed text if that ended its segments with CR; otherwise
// LF and CR LF are CR, blank lines and what surrounded the message are gone, and a final CR is there. Parsing the result
// and printing it again changes nothing.
func (m *Message) Print() string {
	var b strings.Builder
	b.Grow(len(m.text) + 1)
	for _, s := range m.segs {
		b.WriteString(s.Raw())
		b.WriteByte('\r')
	}
	return b.String()
}
