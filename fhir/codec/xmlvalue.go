package codec

import (
	"unicode/utf8"

	"meridian/fhir/schema"
)

// single reads a primitive that does not repeat: "name":value,"_name":{…}.
func (x *XMLReader) single(prop *schema.Property, t *schema.Type) bool {
	value, given := x.valueAttribute()
	at := x.tag.at
	if given {
		x.name("", prop, at)
		x.out.mark(value.quote)
		x.literal(value.value, t)
	}
	if given && !x.mayHaveTwin() {
		return x.plain()
	}
	n, m := len(x.out.b), len(x.out.marks)
	x.name("_", prop, at)
	content := len(x.out.b)
	if !x.object(t) {
		return false
	}
	if given && len(x.out.b) == content+len("{}") {
		x.out.cut(n, m)
	}
	return true
}

// repeated reads an item of a primitive that repeats: its value, or null, into
// the array being written, and its id and extensions, or null, beside.
func (x *XMLReader) repeated(m *xmlMembers, t *schema.Type) bool {
	if m.n > 0 {
		x.out.b = append(x.out.b, ',')
	}
	value, given := x.valueAttribute()
	x.out.mark(x.tag.at)
	if given {
		m.values = true
		x.out.mark(value.quote)
		x.literal(value.value, t)
	} else {
		x.out.b = append(x.out.b, "null"...)
	}
	if given && !x.mayHaveTwin() {
		if m.side != nil {
			m.side.b = append(m.side.b, ",null"...)
		}
		return x.plain()
	}
	if m.side == nil {
		m.side = x.newSide(m.n)
	} else {
		m.side.b = append(m.side.b, ',')
	}
	out := x.out
	x.out = m.side
	n, marks := len(x.out.b), len(x.out.marks)
	ok := x.object(t)
	if given && len(x.out.b) == n+len("{}") {
		x.out.cut(n, marks)
		x.out.b = append(x.out.b, "null"...)
	} else {
		m.twins = true
	}
	x.out = out
	return ok
}

// newSide gives an empty text for a "_name" array, n items of which are null.
func (x *XMLReader) newSide(n int) *jsonText {
	if x.inUse == len(x.sides) {
		x.sides = append(x.sides, &jsonText{})
	}
	side := x.sides[x.inUse]
	x.inUse++
	side.cut(0, 0)
	for range n {
		side.b = append(side.b, "null,"...)
	}
	return side
}

func (x *XMLReader) valueAttribute() (xmlAttr, bool) {
	for k := range x.attrs {
		if string(x.attrs[k].full) == "value" {
			return x.attrs[k], true
		}
	}
	return xmlAttr{}, false
}

// mayHaveTwin says that the primitive has more than a value.
func (x *XMLReader) mayHaveTwin() bool { return !x.tag.empty || len(x.attrs) > 1 }

// plain ends a primitive that is nothing but its value.
func (x *XMLReader) plain() bool {
	x.leave(x.tag.binds)
	return true
}

// literal writes a primitive's value: as a number or boolean when that is its
// type and JSON can hold it so, else as a string, which the Parser refuses then.
func (x *XMLReader) literal(raw []byte, t *schema.Type) {
	switch types[t.ID].json {
	case 'n':
		if isJSONNumber(raw) {
			x.out.b = append(x.out.b, raw...)
			return
		}
	case 'b':
		if s := string(raw); s == "true" || s == "false" {
			x.out.b = append(x.out.b, s...)
			return
		}
	}
	x.quoted(raw)
}

func isJSONNumber(b []byte) bool {
	p := Parser{src: b}
	return len(b) > 0 && p.number(0) == len(b)
}

// quoted writes an attribute's value as a JSON string: references resolved,
// white space that is not written as a reference made a space.
// https://www.w3.org/TR/xml/#AVNormalize
func (x *XMLReader) quoted(raw []byte) {
	b := append(x.out.b, '"')
	start := 0
	for i := 0; i < len(raw); {
		c := raw[i]
		if c >= ' ' && c != '&' && c != '"' && c != '\\' {
			i++
			continue
		}
		b = append(b, raw[start:i]...)
		n := 1
		switch c {
		case '&':
			var r rune
			r, n = reference(raw[i:])
			b = appendRune(b, r)
		case '"', '\\':
			b = append(b, '\\', c)
		default:
			if c == '\r' && i+1 < len(raw) && raw[i+1] == '\n' {
				n = 2
			}
			b = append(b, ' ')
		}
		i += n
		start = i
	}
	x.out.b = append(append(b, raw[start:]...), '"')
}

// appendRune appends a character as it stands in a JSON string.
func appendRune(b []byte, r rune) []byte {
	switch r {
	case '"', '\\':
		return append(b, '\\', byte(r))
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	}
	return utf8.AppendRune(b, r)
}
