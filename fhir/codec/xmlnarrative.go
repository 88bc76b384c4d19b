package codec

import "bytes"

// The narrative's div is copied as it stands, byte for byte, into the JSON
// string, so that it comes back as it was; comments in it are kept. Only what the
// string cannot say is rewritten: names with a prefix lose it, and the div says
// the namespace itself. Its content is the Parser's concern.
//
//	<h:div xmlns:h="http://www.w3.org/1999/xhtml">a<h:br/></h:div>
//	"<div xmlns=\"http://www.w3.org/1999/xhtml\">a<br/></div>"
//
// https://hl7.org/fhir/R4/narrative.html

// narrative reads the div whose start tag was read last.
func (x *XMLReader) narrative() bool {
	base := len(x.open)
	x.out.mark(x.tag.at)
	x.out.b = append(x.out.b, '"')
	x.copyTag(true)
	x.enter()
	for len(x.open) > base {
		if !x.copyText() {
			return false
		}
		if x.has("</") {
			if !x.copyEnd() {
				return false
			}
			continue
		}
		if len(x.open)-base == maxNarrativeDepth {
			return x.fail(x.i, idTooDeep, "the elements of the narrative are nested too deep")
		}
		if !x.startTag() {
			return false
		}
		x.copyTag(false)
		x.enter()
	}
	x.out.b = append(x.out.b, '"')
	return true
}

// copyText copies up to the next tag: text, comments, and what the Parser will refuse.
func (x *XMLReader) copyText() bool {
	start := x.i
	for {
		k := bytes.IndexByte(x.src[x.i:], '<')
		if k < 0 {
			return x.fail(len(x.src), idXMLSyntax, "the body ends too early: an element is not closed")
		}
		x.i += k
		switch {
		case x.has("<!--"), x.has("<?"):
			if !x.aside() {
				return false
			}
		case x.has("<![CDATA["):
			end := bytes.Index(x.src[x.i:], []byte("]]>"))
			if end < 0 {
				return x.fail(x.i, idXMLSyntax, "a CDATA section is not closed")
			}
			x.i += end + 3
		case x.has("<!"):
			return x.declaration()
		default:
			x.copy(start, x.i)
			return true
		}
	}
}

// copyTag copies the start tag read last.
func (x *XMLReader) copyTag(outer bool) {
	t := &x.tag
	prefixed := len(t.full) > len(t.name)
	if t.space != spaceXHTML || !prefixed && !t.prefixes {
		x.copy(t.at, t.end)
		return
	}
	x.out.mark(t.at)
	x.out.b = append(append(x.out.b, '<'), t.name...)
	if outer {
		x.out.b = append(x.out.b, ` xmlns=\"`+xhtmlNamespace+`\"`...)
	}
	for k := range x.attrs {
		x.out.b = append(x.out.b, ' ')
		x.copy(x.attrs[k].at, x.attrs[k].end)
	}
	if t.empty {
		x.out.b = append(x.out.b, '/')
	}
	x.out.b = append(x.out.b, '>')
}

// copyEnd copies the end tag of the innermost open element.
func (x *XMLReader) copyEnd() bool {
	at, full := x.i, x.open[len(x.open)-1].full
	if colon := bytes.IndexByte(full, ':'); colon >= 0 {
		if space, _ := x.lookup(full[:colon]); space == spaceXHTML {
			x.out.mark(at)
			x.out.b = append(x.out.b, "</"...)
			at += len("</") + colon + 1
		}
	}
	if !x.exit() {
		return false
	}
	x.copy(at, x.i)
	return true
}

// copy writes a part of the body inside a JSON string.
func (x *XMLReader) copy(start, end int) {
	x.out.mark(start)
	b := x.src[start:end]
	for i := 0; i < len(b); i++ {
		c := b[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		x.out.b = appendRune(append(x.out.b, b[:i]...), rune(c))
		start += i + 1
		b, i = b[i+1:], -1
		x.out.mark(start)
	}
	x.out.b = append(x.out.b, b...)
}
