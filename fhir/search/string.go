package search

import (
	"bytes"
	"unicode/utf8"

	"meridian/fhir/element"
	"meridian/fhir/schema"
)

// Places of elements in HumanName and Address.
var (
	nameText     = index("HumanName", "text")
	nameFamily   = index("HumanName", "family")
	nameGiven    = index("HumanName", "given")
	namePrefix   = index("HumanName", "prefix")
	nameSuffix   = index("HumanName", "suffix")
	addressFirst = index("Address", "text")
	addressLast  = index("Address", "country")
)

// stringValue adds a key of the folded text of a string, and of each part of a
// HumanName (text, family, given, prefix, suffix; family and given together
// where they are Han) or Address (text, line, city, district, state,
// postalCode, country). Names with Han characters get keys of the form :py,
// texts that had to be cut one of the form :cut.
//
// https://hl7.org/fhir/R4/search.html#string
func (b *builder) stringValue(p *Param, n element.Node) {
	before := len(b.keys)
	switch n.TypeID() {
	case schema.TypeHumanName:
		b.humanName(p, n)
	case schema.TypeAddress:
		for c := n.First(); c.Valid(); c = c.Next() {
			if i := c.ElementIndex(); i >= addressFirst && i <= addressLast {
				b.folded(p, c, notAName)
			}
		}
	default:
		if !n.HasValue() {
			return
		}
		b.folded(p, n, nameRole(n.Name()))
	}
	if len(b.keys) == before {
		b.present(p, NoSystem)
	}
}

// role is how a text is read as a name.
type role uint8

const (
	notAName role = iota
	givenName
	fullName // begins with a surname
)

// nameRole tells by an element's name which strings are whole names. family and
// given alone are not read as pinyin: R4's `family=zhang` is a question about the
// letters, and a client that asks it of mixed data must not get 张 as well.
func nameRole(element string) role {
	switch element {
	case "name", "alias":
		return fullName
	}
	return notAName
}

func (b *builder) humanName(p *Param, n element.Node) {
	var family element.Node
	given := false
	for c := n.First(); c.Valid(); c = c.Next() {
		switch c.ElementIndex() {
		case nameText:
			b.folded(p, c, fullName)
		case nameFamily:
			family = c
			b.folded(p, c, fullName)
		case nameGiven:
			given = true
			b.folded(p, c, givenName)
		case namePrefix, nameSuffix:
			b.folded(p, c, notAName)
		}
	}
	if given && family.HasValue() {
		b.composed(p, n, family)
	}
}

// composed adds family and given names of Han characters as they are said, in one.
func (b *builder) composed(p *Param, n, family element.Node) {
	whole := append([]byte(nil), b.bytes(family)...)
	if !hasHan(whole) {
		return
	}
	for c := n.First(); c.Valid(); c = c.Next() {
		if c.ElementIndex() == nameGiven {
			whole = append(whole, b.bytes(c)...)
		}
	}
	b.foldedText(p, whole, fullName)
}

func (b *builder) folded(p *Param, n element.Node, as role) {
	if n.HasValue() {
		b.foldedText(p, b.bytes(n), as)
	}
}

func (b *builder) foldedText(p *Param, text []byte, as role) {
	b.fold = appendFold(b.fold[:0], text)
	if len(b.fold) == 0 {
		return
	}
	value, was := b.put(b.fold)
	b.key(p.main, span{}, value)
	if was {
		b.key(p.cut, span{}, span{})
	}
	if as != notAName && hasHan(b.fold) {
		b.pinyin(p, b.fold, as)
	}
}

// pinyin adds the readings of a folded name, and what begins at each of its
// characters but the first (三 of 张三).
func (b *builder) pinyin(p *Param, folded []byte, as role) {
	for _, r := range readings(folded, as == fullName) {
		full, _ := b.put([]byte(r.full))
		b.key(p.py, span{}, full)
		initials, _ := b.put([]byte(r.initials))
		b.key(p.py, span{}, initials)
	}
	if utf8.RuneCount(folded) > maxHan {
		return
	}
	for i, r := range string(folded) {
		if i > 0 && isHan(r) {
			inner, _ := b.put(bytes.ReplaceAll(folded[i:], []byte(" "), nil))
			b.key(p.py, span{}, inner)
		}
	}
}
