package search

import (
	"meridian/fhir/element"
	"meridian/fhir/schema"
)

// BooleanSystem is the implied system of boolean tokens.
const BooleanSystem = "http://hl7.org/fhir/special-values"

// Places of elements in the datatypes that tokens come from.
var (
	codingSystem       = index("Coding", "system")
	codingCode         = index("Coding", "code")
	codingDisplay      = index("Coding", "display")
	conceptCoding      = index("CodeableConcept", "coding")
	conceptText        = index("CodeableConcept", "text")
	identifierType     = index("Identifier", "type")
	identifierSystem   = index("Identifier", "system")
	identifierValue    = index("Identifier", "value")
	contactPointSystem = index("ContactPoint", "system")
	contactPointValue  = index("ContactPoint", "value")
)

func index(typ, name string) int {
	t := schema.ByName(typ)
	if t == nil {
		return -1
	}
	return elementIndex(t, name)
}

// token adds the keys of a token:
//
//	datatype         system                             code
//	Coding           system                             code
//	CodeableConcept  of each coding
//	Identifier       system                             value
//	ContactPoint     system (phone, email, …)           value
//	code             of the required binding, if one    the code
//	boolean          BooleanSystem                      true or false
//	id, string, uri  none                               the text
//
// Each gives a key to be asked for without and one with the system. Codes are
// compared as they are written, case included. The words of CodeableConcept.text,
// Coding.display and Identifier.type.text is a key of the form :text; an
// identifier has one of the form :of-type for each coding of its type.
//
// https://hl7.org/fhir/R4/search.html#token
func (b *builder) token(p *Param, n element.Node) {
	before := len(b.keys)
	switch n.TypeID() {
	case schema.TypeCoding:
		b.coding(p, n)
	case schema.TypeCodeableConcept:
		for c := n.First(); c.Valid(); c = c.Next() {
			switch c.ElementIndex() {
			case conceptCoding:
				b.coding(p, c)
			case conceptText:
				b.words(p.text, c)
			}
		}
	case schema.TypeIdentifier:
		if id := b.tokenOf(p.main, n, identifierSystem, identifierValue); p.ofType != noName {
			b.identifierType(p, childAt(n, identifierType), id)
		}
	case schema.TypeContactPoint:
		b.tokenOf(p.main, n, contactPointSystem, contactPointValue)
	case schema.TypeBoolean:
		if n.HasValue() {
			b.boolean(p, n.Bytes())
		}
		return
	default:
		b.primitiveToken(p, n)
		return
	}
	for _, k := range b.keys[before:] {
		if k.name == p.main {
			return
		}
	}
	b.present(p, NoSystem)
}

// coding adds the keys of a Coding, and the words of its display.
func (b *builder) coding(p *Param, n element.Node) {
	b.tokenOf(p.main, n, codingSystem, codingCode)
	if p.text != noName {
		b.words(p.text, childAt(n, codingDisplay))
	}
}

// identifierType adds the keys of the form :of-type, one for each coding of an
// identifier's type, and the words of the type's text.
func (b *builder) identifierType(p *Param, typ element.Node, value span) {
	if !typ.Valid() {
		return
	}
	for c := typ.First(); c.Valid(); c = c.Next() {
		switch c.ElementIndex() {
		case conceptText:
			b.words(p.text, c)
		case conceptCoding:
			if code := childAt(c, codingCode); value.end > value.at && code.HasValue() {
				at := uint32(len(b.buf))
				b.put(b.bytes(childAt(c, codingSystem)))
				b.buf = append(b.buf, '|')
				b.put(b.bytes(code))
				b.key(p.ofType, span{at, uint32(len(b.buf))}, value)
			}
		}
	}
}

// words adds the key of a text beside a code: its words, each with a mark in
// front. What is longer than a key continues in others, which overlap by half.
//
//	Hemoglobin [Mass/volume] in Blood   _hemoglobin_mass_volume_in_blood
func (b *builder) words(name uint16, n element.Node) {
	if name == noName || !n.HasValue() {
		return
	}
	b.scan.rest = b.bytes(n)
	b.joined = b.joined[:0]
	for w, _ := b.scan.next(); w != nil; w, _ = b.scan.next() {
		b.joined = append(append(b.joined, wordMark), w...)
	}
	if len(b.joined) == 0 {
		return
	}
	value, was := b.put(b.joined)
	b.key(name, span{}, value)
	for rest := b.joined; was; {
		at := MaxValue / 2
		for rest[at]&0xC0 == 0x80 {
			at--
		}
		rest = rest[at-1:]
		rest[0] = continued
		value, was = b.put(rest)
		b.key(name, span{}, value)
	}
}

const (
	wordMark  = '_' // begins a word
	continued = '~' // begins what goes on from another key
)

// tokenOf adds the keys of a value with system and code as children, and gives the code.
func (b *builder) tokenOf(name uint16, n element.Node, system, code int) span {
	var sys, val element.Node
	for c := n.First(); c.Valid(); c = c.Next() {
		switch c.ElementIndex() {
		case system:
			sys = c
		case code:
			val = c
		}
	}
	var value span
	if !sys.HasValue() && !val.HasValue() {
		return value
	}
	if val.HasValue() {
		value, _ = b.put(b.bytes(val))
		b.key(name, span{}, value)
	}
	if !sys.HasValue() {
		b.key(name, b.fixed(NoSystem), value)
		return value
	}
	text := b.bytes(sys)
	if string(text) == NoSystem {
		b.key(name, b.fixed(barSystem), value)
		return value
	}
	scope, _ := b.put(text)
	b.key(name, scope, value)
	return value
}

// barSystem is the Scope of a token whose system is "|", which as such means none.
const barSystem = "||"

func systemScope(system string) string {
	if system == NoSystem {
		return barSystem
	}
	return system
}

func (b *builder) primitiveToken(p *Param, n element.Node) {
	if !n.HasValue() {
		return
	}
	value, _ := b.put(b.bytes(n))
	b.key(p.main, span{}, value)
	b.key(p.main, b.fixed(impliedSystem(n)), value)
}

// impliedSystem is the system of a code element's required binding, NoSystem
// where that is not exactly one.
func impliedSystem(n element.Node) string {
	if n.TypeID() == schema.TypeCode {
		if e := n.Element(); e != nil && e.System != "" {
			return e.System
		}
	}
	return NoSystem
}

func (b *builder) boolean(p *Param, text []byte) {
	value, _ := b.put(text)
	b.key(p.main, span{}, value)
	b.key(p.main, b.fixed(BooleanSystem), value)
}

// uri adds the text; of a canonical with a version also the part before it.
// https://hl7.org/fhir/R4/search.html#uri
func (b *builder) uri(p *Param, n element.Node) {
	if !n.HasValue() {
		return
	}
	text := b.bytes(n)
	value, _ := b.put(text)
	b.key(p.main, span{}, value)
	if n.TypeID() == schema.TypeCanonical {
		if i := versionAt(text); i > 0 {
			value, _ := b.put(text[:i])
			b.key(p.main, span{}, value)
		}
	}
}

// versionAt is the place of the '|' before a canonical's version, -1 without one.
func versionAt[T string | []byte](s T) int {
	for i := 0; i < len(s); i++ {
		if s[i] == '|' {
			return i
		}
	}
	return -1
}
