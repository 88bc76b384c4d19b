package codec

import (
	"bytes"

	"meridian/fhir/issue"
)

// The XML scanner: tags with their attributes and namespaces, and what may
// stand between them. It reads XML 1.0 with namespaces but for what a DTD could
// bring: a DOCTYPE is refused, so there are no entities to expand and nothing
// is ever fetched. Names are in ASCII, as all of FHIR's are.
//
// https://www.w3.org/TR/xml/, https://www.w3.org/TR/xml-names/

// xmlSpace is a namespace as far as it matters.
type xmlSpace uint8

const (
	spaceNone xmlSpace = iota
	spaceFHIR
	spaceXHTML
	spaceXSI
	spaceXML
	spaceOther
)

func spaceOf(uri []byte) xmlSpace {
	switch string(uri) {
	case "":
		return spaceNone
	case fhirNamespace:
		return spaceFHIR
	case xhtmlNamespace:
		return spaceXHTML
	case xsiNamespace:
		return spaceXSI
	case xmlNamespace:
		return spaceXML
	}
	return spaceOther
}

// binding is a namespace declaration; the prefix is empty for xmlns="…".
type binding struct {
	prefix []byte
	space  xmlSpace
}

// xmlTag is a start tag. name and full point into the body.
type xmlTag struct {
	at, end  int    // from < to behind >
	full     []byte // name with its prefix, which the end tag repeats
	name     []byte
	space    xmlSpace
	empty    bool // <x/>
	binds    int  // bindings in force outside of it
	prefixes bool // it declares prefixes
}

// xmlAttr is an attribute that is no namespace declaration.
type xmlAttr struct {
	at, end int    // from the name to behind the closing quote
	full    []byte // name with its prefix
	space   xmlSpace
	value   []byte // between the quotes, as written
	quote   int    // offset of the opening quote
}

func (x *XMLReader) peek() byte {
	if x.i < len(x.src) {
		return x.src[x.i]
	}
	return 0
}

func (x *XMLReader) has(prefix string) bool {
	return len(x.src)-x.i >= len(prefix) && string(x.src[x.i:x.i+len(prefix)]) == prefix
}

func (x *XMLReader) white() bool {
	start := x.i
	for x.i < len(x.src) && isSpace(x.src[x.i]) {
		x.i++
	}
	return x.i > start
}

// qname reads a name and the place of its colon, -1 when there is none.
func (x *XMLReader) qname() (name []byte, colon int) {
	start, colon := x.i, -1
	for ; x.i < len(x.src); x.i++ {
		c := x.src[x.i]
		switch {
		case c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_':
			continue
		case (c >= '0' && c <= '9' || c == '-' || c == '.') && x.i > start && x.i != start+colon+1:
			continue
		case c == ':' && colon < 0 && x.i > start:
			colon = x.i - start
			continue
		}
		break
	}
	if name = x.src[start:x.i]; len(name) == colon+1 {
		return nil, -1
	}
	return name, colon
}

// between steps over white space, comments and processing instructions, which
// a resource in JSON has no place for, up to a tag. Text is reported, unless all
// that is read here is skipped.
func (x *XMLReader) between(skipped bool) bool {
	for {
		x.white()
		switch {
		case x.i >= len(x.src):
			return x.expected("an element is not closed")
		case x.src[x.i] != '<' || x.has("<![CDATA["):
			if !x.stray(skipped) {
				return false
			}
		case x.has("<!--"), x.has("<?"):
			if !x.aside() {
				return false
			}
		case x.has("<!"):
			return x.declaration()
		default:
			return true
		}
	}
}

// stray reports text between elements and steps over it.
func (x *XMLReader) stray(skipped bool) bool {
	if !skipped {
		x.report(issue.Structure, idXMLText, x.i, x.location(), "text stands between elements; a value is written as an attribute")
	}
	ending := "<"
	if x.src[x.i] == '<' {
		ending = "]]>"
	}
	k := bytes.Index(x.src[x.i:], []byte(ending))
	if k < 0 {
		return x.fail(len(x.src), idXMLSyntax, "the body ends too early: an element is not closed")
	}
	x.i += k
	if ending != "<" {
		x.i += len(ending)
	}
	return true
}

func (x *XMLReader) declaration() bool {
	if x.has("<!DOCTYPE") {
		return x.fail(x.i, idXMLDoctype, "a DOCTYPE is refused: neither entities nor other documents are read")
	}
	return x.fail(x.i, idXMLSyntax, "no such declaration in XML")
}

// aside reads a comment or a processing instruction.
func (x *XMLReader) aside() bool {
	if x.has("<!--") {
		k := bytes.Index(x.src[x.i+4:], []byte("--"))
		if k < 0 || !bytes.HasPrefix(x.src[x.i+4+k:], []byte("-->")) {
			return x.fail(x.i, idXMLSyntax, "a comment must end with --> and hold no -- before")
		}
		x.i += 4 + k + 3
		return true
	}
	at := x.i
	x.i += 2
	target, colon := x.qname()
	end := bytes.Index(x.src[x.i:], []byte("?>"))
	if target == nil || colon >= 0 || end < 0 || end > 0 && !isSpace(x.src[x.i]) || bytes.EqualFold(target, []byte("xml")) {
		return x.fail(at, idXMLSyntax, "a processing instruction is not well-formed")
	}
	x.i += end + 2
	return true
}

// startTag reads a start tag into tag and attrs. Its namespaces are in force
// until leave.
func (x *XMLReader) startTag() bool {
	t := &x.tag
	*t = xmlTag{at: x.i, binds: len(x.binds)}
	x.attrs = x.attrs[:0]
	x.i++
	full, colon := x.qname()
	if full == nil {
		return x.fail(t.at, idXMLSyntax, "a tag is not well-formed")
	}
	t.full, t.name = full, full[colon+1:]
	for n := 0; ; n++ {
		spaced := x.white()
		switch c := x.peek(); {
		case c == '>':
			x.i++
		case c == '/' && x.has("/>"):
			t.empty = true
			x.i += 2
		case n == maxXMLAttributes:
			return x.fail(x.i, idXMLSyntax, "an element has too many attributes")
		case !spaced:
			return x.expected("a tag is not well-formed")
		default:
			if !x.attribute() {
				return false
			}
			continue
		}
		break
	}
	t.end = x.i
	return x.resolve(colon)
}

// attribute reads name="value" into attrs or binds.
func (x *XMLReader) attribute() bool {
	a := xmlAttr{at: x.i}
	full, colon := x.qname()
	if full == nil {
		return x.expected("the name of an attribute is expected")
	}
	x.white()
	if x.peek() != '=' {
		return x.expected("an attribute needs a value")
	}
	x.i++
	x.white()
	a.quote = x.i
	q := x.peek()
	if q != '"' && q != '\'' {
		return x.expected("an attribute's value must stand in quotes")
	}
	k := bytes.IndexByte(x.src[x.i+1:], q)
	if k < 0 {
		return x.fail(a.quote, idXMLSyntax, "an attribute's value is not closed")
	}
	a.value = x.src[x.i+1 : x.i+1+k]
	x.i += k + 2
	a.full, a.end = full, x.i
	if !x.checkValue(&a) {
		return false
	}
	if string(full) == "xmlns" {
		return x.bind(nil, &a)
	}
	if colon == 5 && string(full[:5]) == "xmlns" {
		x.tag.prefixes = true
		return x.bind(full[6:], &a)
	}
	for k := range x.attrs {
		if bytes.Equal(x.attrs[k].full, full) {
			return x.fail(a.at, idXMLSyntax, "an attribute is given twice")
		}
	}
	x.attrs = append(x.attrs, a)
	return true
}

// checkValue refuses what an attribute's value must not hold.
func (x *XMLReader) checkValue(a *xmlAttr) bool {
	if k := bytes.IndexByte(a.value, '<'); k >= 0 {
		return x.fail(a.quote+1+k, idXMLSyntax, "< must not stand in an attribute's value")
	}
	for rest, at := a.value, a.quote+1; ; {
		k := bytes.IndexByte(rest, '&')
		if k < 0 {
			return true
		}
		_, n := reference(rest[k:])
		if n == 0 {
			return x.fail(at+k, idXMLSyntax, "& must start &lt; &gt; &amp; &quot; &apos; or a character number")
		}
		rest, at = rest[k+n:], at+k+n
	}
}

// bind takes a namespace declaration of the tag being read.
func (x *XMLReader) bind(prefix []byte, a *xmlAttr) bool {
	space := spaceOf(a.value)
	switch {
	case string(prefix) == "xmlns", (string(prefix) == "xml") != (space == spaceXML), prefix != nil && space == spaceNone:
		return x.fail(a.at, idXMLNamespace, "the namespace declaration is not allowed")
	}
	for _, b := range x.binds[x.tag.binds:] {
		if bytes.Equal(b.prefix, prefix) {
			return x.fail(a.at, idXMLSyntax, "an attribute is given twice")
		}
	}
	x.binds = append(x.binds, binding{prefix, space})
	if prefix == nil {
		x.space = space
	}
	return true
}

// resolve finds the namespaces of the tag's name and of its attributes.
func (x *XMLReader) resolve(colon int) (ok bool) {
	t := &x.tag
	t.space = x.space
	if colon >= 0 {
		if t.space, ok = x.lookup(t.full[:colon]); !ok {
			return x.fail(t.at, idXMLNamespace, "the prefix of a name is not declared")
		}
	}
	for k := range x.attrs {
		a := &x.attrs[k]
		if colon := bytes.IndexByte(a.full, ':'); colon >= 0 {
			if a.space, ok = x.lookup(a.full[:colon]); !ok {
				return x.fail(a.at, idXMLNamespace, "the prefix of a name is not declared")
			}
		}
	}
	return true
}

func (x *XMLReader) lookup(prefix []byte) (xmlSpace, bool) {
	if string(prefix) == "xml" {
		return spaceXML, true
	}
	for k := len(x.binds) - 1; k >= 0; k-- {
		if len(prefix) > 0 && bytes.Equal(x.binds[k].prefix, prefix) {
			return x.binds[k].space, true
		}
	}
	return spaceNone, false
}

// leave ends the scope of the namespaces that were declared since binds were in force.
func (x *XMLReader) leave(binds int) {
	if len(x.binds) == binds {
		return
	}
	x.binds = x.binds[:binds]
	x.space = spaceNone
	for k := len(x.binds) - 1; k >= 0; k-- {
		if len(x.binds[k].prefix) == 0 {
			x.space = x.binds[k].space
			break
		}
	}
}

// xmlOpen is an element whose end tag is still to come.
type xmlOpen struct {
	full  []byte
	binds int
}

// enter opens the element whose start tag was read last, unless it ended there.
func (x *XMLReader) enter() {
	if x.tag.empty {
		x.leave(x.tag.binds)
		return
	}
	x.open = append(x.open, xmlOpen{x.tag.full, x.tag.binds})
}

// exit reads the end tag of the innermost open element.
func (x *XMLReader) exit() bool {
	o := x.open[len(x.open)-1]
	if !x.endTag(o.full) {
		return false
	}
	x.open = x.open[:len(x.open)-1]
	x.leave(o.binds)
	return true
}

// endTag reads the end tag that belongs to a start tag of this name.
func (x *XMLReader) endTag(full []byte) bool {
	at := x.i
	x.i += 2
	if !bytes.HasPrefix(x.src[x.i:], full) {
		return x.fail(at, idXMLSyntax, "an end tag does not match its start tag")
	}
	x.i += len(full)
	x.white()
	if x.peek() != '>' {
		return x.fail(at, idXMLSyntax, "an end tag does not match its start tag")
	}
	x.i++
	return true
}

// skip reads the rest of an element whose content plays no part, for its
// form. The start tag is the one read last.
func (x *XMLReader) skip() bool {
	base := len(x.open)
	x.enter()
	for len(x.open) > base {
		if !x.between(true) {
			return false
		}
		if x.has("</") {
			if !x.exit() {
				return false
			}
			continue
		}
		if !x.startTag() {
			return false
		}
		x.enter()
		if len(x.open)-base+len(x.path) > x.opt.MaxDepth {
			return x.tooDeep(x.tag.at)
		}
	}
	return true
}
