package codec

import (
	"bytes"

	"meridian/fhir/element"
	"meridian/fhir/issue"
)

// The narrative: XHTML that a browser may show. It must be well-formed XML with
// one div around it, made of the elements and attributes of the list, and
// nothing in it may run. Comments, CDATA and character references are read the
// way XML reads them, and refused where HTML would read them otherwise.
// https://hl7.org/fhir/R4/narrative.html

const (
	maxNarrativeDepth = 128 // elements inside each other
	maxAttributes     = 32  // of one element
	xhtmlNamespace    = "http://www.w3.org/1999/xhtml"
)

func (p *Parser) checkNarrative(n int, d *element.Data, text []byte) {
	s := xhtml{b: text}
	s.document()
	if s.err == "" {
		return
	}
	at := s.i
	if d.Escaped {
		at = escapedOffset(p.src[d.Start+1:d.End-1], at)
	}
	p.reportNode(n, issue.Value, idNarrative, d.Start+1+at, "the narrative is refused: "+s.err)
}

// escapedOffset gives the offset in raw of what stands at n when its escapes are resolved.
func escapedOffset(raw []byte, n int) int {
	var buf [8]byte
	for i := 0; i < len(raw); {
		k := 1
		if raw[i] == '\\' {
			k = 2
			if raw[i+1] == 'u' {
				k = 6
			}
			if k == 6 && isHighSurrogate(raw[i+2:]) {
				k = 12
			}
		}
		if n -= len(element.AppendUnescaped(buf[:0], raw[i:i+k])); n < 0 {
			return i
		}
		i += k
	}
	return len(raw)
}

// isHighSurrogate says that four hexadecimal digits are D800 to DBFF.
func isHighSurrogate(hex []byte) bool {
	return hex[0]|0x20 == 'd' && bytes.IndexByte([]byte("89abAB"), hex[1]) >= 0
}

// xhtml scans one narrative. i is where it stands, or where it has stopped.
type xhtml struct {
	b     []byte
	i     int
	err   string
	depth int
	open  [maxNarrativeDepth]tag
	attrs [maxAttributes][]byte // names of the element being read
	given int                   // of attrs
}

func (s *xhtml) fail(text string) bool {
	if s.err == "" {
		s.err = text
	}
	return false
}

func (s *xhtml) space() {
	for s.i < len(s.b) && isSpace(s.b[s.i]) {
		s.i++
	}
}

func (s *xhtml) has(prefix string) bool { return bytes.HasPrefix(s.b[s.i:], []byte(prefix)) }

func (s *xhtml) document() bool {
	s.space()
	if !s.has("<div") {
		return s.fail("it must be one div element")
	}
	for s.step() {
		if s.depth == 0 {
			if s.space(); s.i < len(s.b) {
				return s.fail("something follows the div element")
			}
			return true
		}
	}
	return false
}

// step reads one tag or comment and the text behind it.
func (s *xhtml) step() bool {
	ok := false
	switch {
	case s.i >= len(s.b):
		return s.fail("an element is not closed")
	case s.has("</"):
		ok = s.endTag()
	case s.has("<!--"):
		ok = s.comment()
	case s.has("<!"), s.has("<?"):
		return s.fail("CDATA, declarations and processing instructions are not allowed")
	default:
		ok = s.startTag()
	}
	return ok && (s.depth == 0 || s.text())
}

// text reads up to the next tag.
func (s *xhtml) text() bool {
	end := bytes.IndexByte(s.b[s.i:], '<')
	if end < 0 {
		s.i = len(s.b)
		return s.fail("an element is not closed")
	}
	end += s.i
	part := s.b[s.i:end]
	if bytes.IndexByte(part, '&') >= 0 && !s.references(end) {
		return false
	}
	if k := bytes.IndexByte(part, ']'); k >= 0 && bytes.Contains(part[k:], []byte("]]>")) {
		return s.fail("]]> must not stand in text")
	}
	s.i = end
	return true
}

// references checks every & from i to end.
func (s *xhtml) references(end int) bool {
	for {
		k := bytes.IndexByte(s.b[s.i:end], '&')
		if k < 0 {
			return true
		}
		s.i += k
		_, n := reference(s.b[s.i:end])
		if n == 0 {
			return s.fail("& must start &lt; &gt; &amp; &quot; &apos; or a character number")
		}
		s.i += n
	}
}

// reference gives the character that a reference at the start of b stands for
// and its length, 0 when it is none that XML has without a DTD.
func reference(b []byte) (r rune, n int) {
	semi := bytes.IndexByte(b[:min(len(b), 12)], ';')
	if semi < 2 {
		return 0, 0
	}
	switch name := string(b[1:semi]); name {
	case "lt":
		return '<', semi + 1
	case "gt":
		return '>', semi + 1
	case "amp":
		return '&', semi + 1
	case "quot":
		return '"', semi + 1
	case "apos":
		return '\'', semi + 1
	}
	if r = characterNumber(b[1:semi]); r < 0 {
		return 0, 0
	}
	return r, semi + 1
}

// characterNumber reads #123 or #x7B, -1 when it is no character of XML 1.0.
func characterNumber(b []byte) rune {
	base, digits := rune(10), b[1:]
	if b[0] != '#' {
		return -1
	}
	if len(digits) > 0 && digits[0] == 'x' {
		base, digits = 16, digits[1:]
	}
	if len(digits) == 0 {
		return -1
	}
	r := rune(0)
	for _, c := range digits {
		v := rune(99)
		switch {
		case c >= '0' && c <= '9':
			v = rune(c - '0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			v = rune(c|0x20-'a') + 10
		}
		if v >= base || r > 0x10FFFF {
			return -1
		}
		r = r*base + v
	}
	if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r >= 0xD800 && r <= 0xDFFF || r > 0x10FFFF || r == 0xFFFE || r == 0xFFFF {
		return -1
	}
	return r
}

// comment reads <!-- … -->. HTML ends a comment at > or -> right at its start
// and at --!>, and would run what follows; XML has no -- inside.
func (s *xhtml) comment() bool {
	body := s.b[s.i+4:]
	end := bytes.Index(body, []byte("--"))
	if end < 0 || !bytes.HasPrefix(body[end:], []byte("-->")) {
		return s.fail("a comment must end with --> and hold no -- before")
	}
	if bytes.HasPrefix(body, []byte(">")) || bytes.HasPrefix(body, []byte("->")) {
		return s.fail("a comment must not start with >")
	}
	s.i += 4 + end + 3
	return true
}

// name gives the letters, digits, colons and hyphens at i.
func (s *xhtml) name() []byte {
	start := s.i
	for s.i < len(s.b) {
		c := s.b[s.i]
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != ':' && c != '-' && c != '_' {
			break
		}
		s.i++
	}
	return s.b[start:s.i]
}

func (s *xhtml) endTag() bool {
	at := s.i
	s.i += 2
	t := tagOf(s.name())
	s.space()
	if s.i >= len(s.b) || s.b[s.i] != '>' || t == 0 || s.open[s.depth-1] != t {
		s.i = at
		return s.fail("an end tag does not match its start tag")
	}
	s.i++
	s.depth--
	return true
}

func (s *xhtml) startTag() bool {
	at := s.i
	s.i++
	t := tagOf(s.name())
	if t == 0 {
		s.i = at
		return s.fail("the element is not among those allowed in a narrative")
	}
	if s.depth == maxNarrativeDepth {
		return s.fail("elements are nested too deep")
	}
	for n := 0; ; n++ {
		before := s.i
		s.given = n
		s.space()
		switch {
		case s.i < len(s.b) && s.b[s.i] == '>':
			s.i++
			s.open[s.depth] = t
			s.depth++
			return true
		case s.has("/>"):
			s.i += 2
			return true
		case s.i == before || n == maxAttributes:
			s.i = at
			return s.fail("a tag is not well-formed")
		}
		if !s.attribute(t, n) {
			return false
		}
	}
}

// gave says that the start tag read last has the attribute.
func (s *xhtml) gave(name string) bool {
	for _, a := range s.attrs[:s.given] {
		if string(a) == name {
			return true
		}
	}
	return false
}

// attribute reads the n-th attribute of an element.
func (s *xhtml) attribute(t tag, n int) bool {
	at := s.i
	name := s.name()
	if !attributeAllowed(t, name) {
		s.i = at
		return s.fail("the attribute is not among those allowed in a narrative")
	}
	for _, other := range s.attrs[:n] {
		if bytes.Equal(other, name) {
			s.i = at
			return s.fail("an attribute is given twice")
		}
	}
	s.attrs[n] = name
	if s.space(); s.i >= len(s.b) || s.b[s.i] != '=' {
		return s.fail("an attribute needs a value")
	}
	s.i++
	s.space()
	if s.i >= len(s.b) || s.b[s.i] != '"' && s.b[s.i] != '\'' {
		return s.fail("an attribute's value must stand in quotes")
	}
	quote := s.b[s.i]
	s.i++
	end := bytes.IndexByte(s.b[s.i:], quote)
	if end < 0 {
		return s.fail("an attribute's value is not closed")
	}
	value := s.b[s.i : s.i+end]
	end += s.i
	if bytes.IndexByte(value, '<') >= 0 {
		return s.fail("< must not stand in an attribute's value")
	}
	if bytes.IndexByte(value, '&') >= 0 && !s.references(end) {
		return false
	}
	if !harmless(name, value) {
		s.i = at
		return s.fail("the attribute's value is not allowed")
	}
	s.i = end + 1
	return true
}
