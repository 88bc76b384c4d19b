package search

import (
	"bytes"
	"strings"

	"meridian/fhir/element"
	"meridian/fhir/schema"
)

// Places of elements in Reference.
var (
	referenceReference  = index("Reference", "reference")
	referenceType       = index("Reference", "type")
	referenceIdentifier = index("Reference", "identifier")
	referenceDisplay    = index("Reference", "display")
)

const historyPart = "/_history/"

// Reference is what a reference element or a reference value of a query says.
type Reference struct {
	Type    string // resource type, where the text tells it; also of a URL of another server
	ID      string // logical id, for a resource of this server
	Version string // of a versioned reference to this server
	URL     string // the text as written where it is none of ours: absolute URL, canonical, URN, "#contained"
}

// Local says that the reference names a resource of this server.
func (x Reference) Local() bool { return x.ID != "" }

// place is a parsed reference text: type, id and version are parts of text.
type place struct {
	typ              *schema.Type
	at, slash, endID int    // text[at:slash] is the type, text[slash+1:endID] the id
	version          []byte // nil without one
	local            bool
}

// parsePlace reads [base/]Type/id[/_history/version]. typ is nil where the text
// names no resource type in front of an id.
func (r *Registry) parsePlace(text []byte) place {
	var p place
	if n := len(r.base); n > 0 && len(text) > n && string(text[:n]) == r.base {
		p.at = n
	}
	p.endID = len(text)
	p.slash = bytes.LastIndexByte(text, '/')
	if head := p.slash + 1 - len(historyPart); head > 0 && string(text[head:p.slash+1]) == historyPart {
		p.endID, p.version = head, text[p.slash+1:]
		p.slash = bytes.LastIndexByte(text[:head], '/')
		if !validID(p.version) {
			return place{}
		}
	}
	if p.slash < p.at || !validID(text[p.slash+1:p.endID]) {
		return place{}
	}
	start := bytes.LastIndexByte(text[:p.slash], '/') + 1
	t := schema.ByNameBytes(text[max(start, p.at):p.slash])
	if t == nil || t.Kind != schema.Resource || t.Abstract {
		return place{}
	}
	p.typ, p.local = t, start <= p.at
	if !p.local && !bytes.Contains(text[:start], []byte("://")) {
		return place{} // a/Patient/1 is no absolute URL
	}
	p.at = max(start, p.at)
	return p
}

// ParseReference reads a reference's text; absolute URLs below the server's
// base are local.
func (r *Registry) ParseReference(text string) Reference {
	b := []byte(text)
	p := r.parsePlace(b)
	switch {
	case p.typ == nil:
		return Reference{URL: text}
	case !p.local:
		return Reference{Type: p.typ.Name, URL: text}
	}
	return Reference{Type: p.typ.Name, ID: text[p.slash+1 : p.endID], Version: string(p.version)}
}

// validID checks an id: [A-Za-z0-9\-\.]{1,64}.
func validID[T string | []byte](s T) bool {
	if len(s) == 0 || len(s) > 64 {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.') {
			return false
		}
	}
	return true
}

// reference adds the keys of a Reference, canonical or uri, and of a resource
// that stands in the place of one (Bundle.entry.resource):
//
//	Patient/123, <base>/Patient/123    (Patient, 123)
//	Patient/123/_history/2             also ("", Patient/123/_history/2)
//	http://other/Patient/1             ("", the text), and (Patient, "") as its type is known
//	http://x/Questionnaire/q|1.0       ("", the text) and ("", http://x/Questionnaire/q)
//	#p1                                (type of the contained resource, "")
//	identifier only                    keys of the form :identifier, and (Reference.type or NoSystem, "")
//	display                            its words are keys of the form :text
//
// A key with an empty value says no more than that there is a reference (to
// that type); it is never asked for as a value.
//
// https://hl7.org/fhir/R4/search.html#reference
func (b *builder) reference(p *Param, n element.Node) {
	switch t := n.TypeID(); {
	case t == schema.TypeReference:
		b.referenceValue(p, n)
	case t == schema.TypeCanonical || t == schema.TypeUri || t == schema.TypeUrl:
		if n.HasValue() {
			b.referenceText(p, b.bytes(n), element.Node{})
		}
	case schema.ByID(t).Kind == schema.Resource:
		id := n.Child("id")
		if !id.HasValue() {
			b.present(p, n.Type().Name)
			return
		}
		at := uint32(len(b.buf))
		b.buf = append(append(append(b.buf, n.Type().Name...), '/'), b.bytes(id)...)
		slash := at + uint32(len(n.Type().Name))
		b.key(p.main, span{at, slash}, span{slash + 1, uint32(len(b.buf))})
	}
}

func (b *builder) referenceValue(p *Param, n element.Node) {
	var text, typ element.Node
	before := len(b.keys)
	for c := n.First(); c.Valid(); c = c.Next() {
		switch c.ElementIndex() {
		case referenceReference:
			text = c
		case referenceType:
			typ = c
		case referenceIdentifier:
			b.tokenOf(p.ident, c, identifierSystem, identifierValue)
		case referenceDisplay:
			b.words(p.text, c)
		}
	}
	idents := len(b.keys) - before
	if text.HasValue() {
		b.referenceText(p, b.bytes(text), typ)
	}
	if len(b.keys) == before+idents {
		b.present(p, b.typeName(typ))
	}
}

// typeName is the resource type that Reference.type names, NoSystem without one.
func (b *builder) typeName(n element.Node) string {
	if !n.HasValue() {
		return NoSystem
	}
	return resourceTypeOf(b.bytes(n))
}

// resourceTypeOf reads Reference.type: a type's name, or its canonical.
func resourceTypeOf(text []byte) string {
	text = bytes.TrimPrefix(text, []byte("http://hl7.org/fhir/StructureDefinition/"))
	if t := schema.ByNameBytes(text); t != nil && t.Kind == schema.Resource {
		return t.Name
	}
	return NoSystem
}

// refersTo is the type of the resource that a reference names, NoSystem where
// neither its text nor Reference.type tells: what `resolve() is T` is decided by.
func (b *builder) refersTo(n element.Node) string {
	if n.TypeID() != schema.TypeReference {
		return NoSystem
	}
	text, typ := childAt(n, referenceReference), childAt(n, referenceType)
	if !text.HasValue() {
		return b.typeName(typ)
	}
	return b.placeType(b.bytes(text), typ)
}

// placeType is refersTo for a reference's text; typ is Reference.type.
func (b *builder) placeType(text []byte, typ element.Node) string {
	if len(text) > 0 && text[0] == '#' {
		if name := b.containedType(text[1:]); name != NoSystem {
			return name
		}
	} else if at := b.r.parsePlace(text); at.typ != nil {
		return at.typ.Name
	}
	return b.typeName(typ)
}

func (b *builder) referenceText(p *Param, text []byte, typ element.Node) {
	at := b.r.parsePlace(text)
	switch {
	case at.typ != nil && at.local:
		start := uint32(len(b.buf))
		b.buf = append(b.buf, text[at.at:]...)
		slash, end := start+uint32(at.slash-at.at), start+uint32(at.endID-at.at)
		b.key(p.main, span{start, slash}, span{slash + 1, end})
		if at.version != nil {
			b.key(p.main, span{}, span{start, uint32(len(b.buf))})
		}
		return
	case len(text) > 0 && text[0] == '#':
		b.present(p, b.placeType(text, typ))
		return
	}
	value, _ := b.put(text)
	b.key(p.main, span{}, value)
	if i := versionAt(text); i > 0 {
		value, _ := b.put(text[:i])
		b.key(p.main, span{}, value)
	}
	if at.version != nil {
		value, _ := b.put(text[:at.endID])
		b.key(p.main, span{}, value)
	}
	if name := b.placeType(text, typ); name != NoSystem {
		b.present(p, name)
	}
}

// containedType is the type of the resource that stands in `contained` under
// id, NoSystem without one.
func (b *builder) containedType(id []byte) string {
	for c := b.root.First(); c.Valid(); c = c.Next() {
		if c.Name() == "contained" && bytes.Equal(c.Child("id").Bytes(), id) {
			return c.Type().Name
		}
	}
	return NoSystem
}

// unversioned drops the version of a reference text.
func unversioned(s string) string {
	s, _, _ = strings.Cut(s, historyPart)
	return s
}
