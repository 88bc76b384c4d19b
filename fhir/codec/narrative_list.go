package codec

import (
	"bytes"
	"strings"
)

// tag is one of the elements that a narrative may have: those of chapters 7 to
// 11 (without 9.4) and 15 of HTML 4.0 that are not deprecated, and a, img, map
// and area. The same list as the reference validator's.
type tag uint8

const (
	tagOther tag = iota + 1
	tagA
	tagArea
	tagImg
	tagMap
	tagPre
	tagQuote // blockquote and q
	tagTable
	tagCell
)

// The first tagKinds values have attributes of their own; the others are
// numbered so that an end tag can be told from another's.
const tagKinds = 16

func tagOf(name []byte) tag {
	switch string(name) {
	case "a":
		return tagA
	case "area":
		return tagArea
	case "img":
		return tagImg
	case "map":
		return tagMap
	case "pre":
		return tagPre
	case "q":
		return tagQuote
	case "blockquote":
		return tagQuote + tagKinds
	case "table":
		return tagTable
	case "td":
		return tagCell
	case "th":
		return tagCell + tagKinds
	}
	if k, ok := plainTags[string(name)]; ok {
		return k
	}
	return 0
}

// plainTags have no attribute of their own. Each has its number.
var plainTags = numbered(`abbr acronym address b bdo big br caption cite code col colgroup dd dfn div dl dt em
	h1 h2 h3 h4 h5 h6 hr i kbd li ol p samp small span strong sub sup tbody tfoot thead tr tt ul var`)

func numbered(names string) map[string]tag {
	m := map[string]tag{}
	for i, name := range strings.Fields(names) {
		m[name] = tag(2*tagKinds + i)
	}
	return m
}

func attributeAllowed(t tag, name []byte) bool {
	switch string(name) {
	case "title", "style", "class", "id", "lang", "xml:lang", "xml:id", "xml:space", "dir", "accesskey", "tabindex", "xmlns",
		"span", "width", "align", "valign", "char", "charoff", "abbr", "axis", "headers", "scope", "rowspan", "colspan":
		return true
	}
	if t >= 2*tagKinds {
		return false
	}
	switch t % tagKinds {
	case tagA:
		return oneOf(name, "href", "name", "charset", "type", "hreflang", "rel", "rev", "shape", "coords")
	case tagArea:
		return oneOf(name, "href", "shape", "coords", "nohref", "alt")
	case tagImg:
		return oneOf(name, "src", "alt", "border", "longdesc", "height", "usemap", "ismap")
	case tagMap:
		return oneOf(name, "name")
	case tagPre:
		return oneOf(name, "space")
	case tagQuote:
		return oneOf(name, "cite")
	case tagTable:
		return oneOf(name, "summary", "border", "frame", "rules", "cellspacing", "cellpadding")
	case tagCell:
		return oneOf(name, "nowrap")
	}
	return false
}

func oneOf(name []byte, allowed ...string) bool {
	for _, a := range allowed {
		if string(name) == a {
			return true
		}
	}
	return false
}

// harmless says that an attribute's value neither runs nor leaves the namespace.
func harmless(name, value []byte) bool {
	switch string(name) {
	case "xmlns":
		return string(value) == xhtmlNamespace
	case "href", "src", "cite", "longdesc", "usemap":
		if bytes.HasPrefix(value, []byte("http")) || bytes.HasPrefix(value, []byte("#")) {
			return true
		}
		v := plain(value)
		return !strings.HasPrefix(v, "javascript:") && !strings.HasPrefix(v, "vbscript:") &&
			(!strings.HasPrefix(v, "data:") || strings.HasPrefix(v, "data:image/"))
	case "style":
		if bytes.IndexByte(value, '(') < 0 && bytes.IndexByte(value, '&') < 0 && bytes.IndexByte(value, '\\') < 0 {
			return true
		}
		v := plain(value)
		return !strings.Contains(v, "javascript:") && !strings.Contains(v, "vbscript:") && !strings.Contains(v, "expression(")
	}
	return true
}

// plain is a value as a browser reads it: references resolved, without white
// space, control characters and backslashes, in small letters.
func plain(value []byte) string {
	var b strings.Builder
	for i := 0; i < len(value); {
		r, n := rune(value[i]), 1
		if r == '&' {
			r, n = reference(value[i:])
		}
		if r > ' ' && r != '\\' {
			b.WriteRune(r)
		}
		i += max(n, 1)
	}
	return strings.ToLower(b.String())
}
