package codec

import (
	"bytes"
	"math/bits"

	"meridian/fhir/element"
	"meridian/fhir/issue"
	"meridian/fhir/schema"
)

const xmlDeclaration = `<?xml version="1.0" encoding="UTF-8"?>`

// XMLOptions of a document. The zero value writes all of it on one line.
type XMLOptions struct {
	Pretty bool // one element to a line
	// Replace gives strings, by their Index, another text.
	Replace map[int]string
}

// AppendXML appends the resource n as an XML document, its elements in the
// order of the definition, which may not be that of the JSON. The error is an
// *issue.Error of the code not-supported: the resource holds a character that XML 1.0
// does not have, or an id of the narrative's div beside the one in it.
func AppendXML(dst []byte, n element.Node, o XMLOptions) ([]byte, error) {
	w := xmlWriter{dst: append(dst, xmlDeclaration...), XMLOptions: o}
	w.line()
	w.resource(n, ` xmlns="`+fhirNamespace+`"`)
	if o.Pretty {
		w.dst = append(w.dst, '\n')
	}
	if w.err != nil {
		return dst, w.err
	}
	return w.dst, nil
}

type xmlWriter struct {
	XMLOptions
	dst   []byte
	depth int
	err   error
}

func (w *xmlWriter) line() {
	if w.Pretty {
		w.dst = newLine(w.dst, w.depth)
	}
}

func (w *xmlWriter) failed(n element.Node, id, text string) {
	if w.err == nil {
		w.err = issue.New(issue.NotSupported, id, text, n.Location())
	}
}

func (w *xmlWriter) resource(n element.Node, attributes string) {
	start := len(w.dst)
	w.dst = append(append(w.dst, '<'), n.Type().Name...)
	name := len(w.dst) - start
	w.dst = append(w.dst, attributes...)
	w.content(n, start, name)
}

// content ends the start tag of n and writes its children and the end tag. The
// tag starts at start, and is name long with its < and without attributes.
func (w *xmlWriter) content(n element.Node, start, name int) {
	mark := len(w.dst)
	w.dst = append(w.dst, '>')
	w.depth++
	w.children(n)
	w.depth--
	if len(w.dst) == mark+1 {
		w.dst = append(w.dst[:mark], "/>"...)
		return
	}
	w.endTag(start, name)
}

func (w *xmlWriter) endTag(start, name int) {
	w.line()
	w.dst = append(w.dst, "</"...)
	w.dst = append(append(w.dst, w.dst[start+1:start+name]...), '>')
}

// children writes the elements below n in the order of the definition, but for attributes.
func (w *xmlWriter) children(n element.Node) {
	seen, last, ordered := uint64(0), 0, true
	for c := n.First(); c.Valid(); c = c.Next() {
		k := c.ElementIndex()
		seen |= 1 << k
		ordered = ordered && k >= last
		last = k
	}
	if ordered {
		for c := n.First(); c.Valid(); c = c.Next() {
			w.element(c)
		}
		return
	}
	for ; seen != 0; seen &= seen - 1 {
		k := bits.TrailingZeros64(seen)
		for c := n.First(); c.Valid(); c = c.Next() {
			if c.ElementIndex() == k {
				w.element(c)
			}
		}
	}
}

func (w *xmlWriter) element(c element.Node) {
	e, t := c.Element(), c.Type()
	if e.Attr {
		return
	}
	w.line()
	if t.ID == schema.TypeXhtml {
		w.narrative(c)
		return
	}
	start := len(w.dst)
	w.dst = append(append(w.dst, '<'), e.Name...)
	if e.Choice {
		w.dst = append(append(w.dst, t.Name[0]&^0x20), t.Name[1:]...)
	}
	name := len(w.dst) - start
	if t.Kind == schema.Resource {
		w.dst = append(w.dst, '>')
		w.depth++
		w.line()
		w.resource(c, "")
		w.depth--
		w.endTag(start, name)
		return
	}
	w.attribute(c, "id")
	if t.Kind != schema.Primitive {
		w.attribute(c, "url")
	} else if c.HasValue() {
		w.dst = append(w.dst, ` value="`...)
		w.text(c)
		w.dst = append(w.dst, '"')
	}
	w.content(c, start, name)
}

// attribute writes the child of that name when it is one.
func (w *xmlWriter) attribute(n element.Node, name string) {
	for c := n.First(); c.Valid(); c = c.Next() {
		if e := c.Element(); e.Attr && e.Name == name {
			w.dst = append(append(append(w.dst, ' '), name...), `="`...)
			w.text(c)
			w.dst = append(w.dst, '"')
			return
		}
	}
}

// xmlEscaped marks the bytes that do not stand for themselves in an attribute's
// value; 0xEF starts the two characters above U+FFFD that XML does not have.
var xmlEscaped = [256]bool{'&': true, '<': true, '>': true, '"': true, '\t': true, '\n': true, '\r': true, 0xEF: true}

// text writes a primitive's value inside an attribute.
func (w *xmlWriter) text(n element.Node) {
	b := n.Bytes()
	if len(w.Replace) > 0 {
		if text, ok := w.Replace[n.Index()]; ok {
			b = []byte(text)
		}
	}
	start := 0
	for i, c := range b {
		if c >= ' ' && !xmlEscaped[c] {
			continue
		}
		var ref string
		switch c {
		case '&':
			ref = "&amp;"
		case '<':
			ref = "&lt;"
		case '>':
			ref = "&gt;"
		case '"':
			ref = "&quot;"
		case '\t':
			ref = "&#9;"
		case '\n':
			ref = "&#10;"
		case '\r':
			ref = "&#13;"
		default:
			if noXMLCharacter(b[i:min(i+3, len(b))]) == 0 {
				w.failed(n, idXMLCharacter, "the text holds a character that XML 1.0 does not have; ask for JSON")
			}
			continue
		}
		w.dst = append(append(w.dst, b[start:i]...), ref...)
		start = i + 1
	}
	w.dst = append(w.dst, b[start:]...)
}

// narrative writes the div as it is in JSON's string. It says its namespace;
// the id that JSON may have beside it is the div's own attribute.
func (w *xmlWriter) narrative(n element.Node) {
	b := bytes.Trim(n.Bytes(), " \t\r\n")
	if noXMLCharacter(b) >= 0 {
		w.failed(n, idXMLCharacter, "the text holds a character that XML 1.0 does not have; ask for JSON")
		return
	}
	if !n.HasValue() {
		w.failed(n, idXMLDivID, "there is an id without a div, for which XML has no place; ask for JSON")
		return
	}
	const start = "<div"
	s := xhtml{b: b}
	if !bytes.HasPrefix(b, []byte(start)) || !s.startTag() {
		w.failed(n, idNarrative, "the narrative is no div element")
		return
	}
	w.dst = append(w.dst, start...)
	if !s.gave("xmlns") {
		w.dst = append(w.dst, ` xmlns="`+xhtmlNamespace+`"`...)
	}
	if id := n.Child("id"); id.Valid() && !s.gave("id") {
		w.attribute(n, "id")
	} else if id.Valid() && !bytes.Contains(b[:s.i], append(append([]byte(`id="`), id.Bytes()...), '"')) {
		w.failed(n, idXMLDivID, "the div has an id beside the one in it, for which XML has no place; ask for JSON")
	}
	w.dst = append(w.dst, b[len(start):]...)
}
