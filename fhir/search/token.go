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
	conceptCoding      = index("CodeableConcept", "coding")
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
// compared as they are written, case included.
//
// https://hl7.org/fhir/R4/search.html#token
func (b *builder) token(p *Param, n element.Node) {
	before := len(b.keys)
	switch n.TypeID() {
	case schema.TypeCoding:
		b.tokenOf(p.main, n, codingSystem, codingCode)
	case schema.TypeCodeableConcept:
		for c := n.First(); c.Valid(); c = c.Next() {
			if c.ElementIndex() == conceptCoding {
				b.tokenOf(p.main, c, codingSystem, codingCode)
			}
		}
	case schema.TypeIdentifier:
		b.tokenOf(p.main, n, identifierSystem, identifierValue)
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
	if len(b.keys) == before {
		b.present(p, NoSystem)
	}
}

// tokenOf adds the keys of a value with system and code as children.
func (b *builder) tokenOf(name uint16, n element.Node, system, code int) {
	var sys, val element.Node
	for c := n.First(); c.Valid(); c = c.Next() {
		switch c.ElementIndex() {
		case system:
			sys = c
		case code:
			val = c
		}
	}
	if !sys.HasValue() && !val.HasValue() {
		return
	}
	var value span
	if val.HasValue() {
		value, _ = b.put(b.bytes(val))
		b.key(name, span{}, value)
	}
	if !sys.HasValue() {
		b.key(name, b.fixed(NoSystem), value)
		return
	}
	text := b.bytes(sys)
	if string(text) == NoSystem {
		b.key(name, b.fixed(barSystem), value)
		return
	}
	scope, _ := b.put(text)
	b.key(name, scope, value)
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
