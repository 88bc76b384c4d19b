package patch

import (
	"bytes"

	"meridian/fhir/element"
	"meridian/fhir/issue"
)

// document is the JSON that operations change.
type document struct {
	root  value
	bytes int // that operations may still add
	nodes int // that may still be opened
}

// value is a JSON value: its text, until something below it is asked for. The
// text is checked before (codec.CheckSyntax, or a stored body).
type value struct {
	text []byte // from its first byte to its last; nil for a member that was removed
	box  *box   // of what was opened; text holds no more than its first byte's meaning then
}

// box holds the members of an object, or the items of an array.
type box struct {
	names   [][]byte       // of members, with quotes, as written; nil for an array
	items   []value        // a member that was removed stays as the zero value
	index   map[string]int // of members, once there are many
	live    int            // members or items that are there
	emptied bool           // an operation took away what was in it
}

// indexFrom is the number of members from which on they are looked up by a map.
const indexFrom = 16

func newValue(text []byte) value {
	i, k := 0, len(text)
	for i < k && isSpace(text[i]) {
		i++
	}
	for k > i && isSpace(text[k-1]) {
		k--
	}
	return value{text: text[i:k:k]}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func (v *value) kind() byte      { return v.text[0] }
func (v *value) isObject() bool  { return v.text[0] == '{' }
func (v *value) isArray() bool   { return v.text[0] == '[' }
func (v *value) isNull() bool    { return v.text[0] == 'n' }
func (v *value) isString() bool  { return v.text[0] == '"' }
func (v *value) isRemoved() bool { return v.text == nil }

// string gives the text of a JSON string, unescaped.
func (v *value) string() string { return unquote(v.text) }

func unquote(s []byte) string {
	s = s[1 : len(s)-1]
	if bytes.IndexByte(s, '\\') < 0 {
		return string(s)
	}
	return string(element.AppendUnescaped(make([]byte, 0, len(s)), s))
}

// open gives what is in an object or array. Error: a name that stands twice, or too much.
func (d *document) open(v *value) (*box, error) {
	if v.box != nil {
		return v.box, nil
	}
	b, text, object := &box{}, v.text, v.isObject()
	for i := space(text, 1); text[i] != '}' && text[i] != ']'; {
		if object {
			end := stringEnd(text, i)
			b.names = append(b.names, text[i:end:end])
			i = space(text, space(text, end)+1)
		}
		end := valueEnd(text, i)
		b.items = append(b.items, value{text: text[i:end:end]})
		if i = space(text, end); text[i] == ',' {
			i = space(text, i+1)
		}
		if len(b.items) > d.nodes {
			return nil, tooMuch()
		}
	}
	d.nodes -= len(b.items)
	b.live = len(b.items)
	if object && b.hasTwice() {
		return nil, issue.New(issue.Structure, idDocument, "an object has two members of the same name", "")
	}
	v.box = b
	return b, nil
}

// hasTwice says that two members have the same name, and makes the index where there are many.
func (b *box) hasTwice() bool {
	if len(b.names) >= indexFrom {
		b.index = make(map[string]int, len(b.names))
		for i, n := range b.names {
			b.index[unquote(n)] = i
		}
		return len(b.index) < len(b.names)
	}
	for i := range b.names {
		if b.find(unquote(b.names[i])) < i {
			return true
		}
	}
	return false
}

// find gives the place of a member, -1 when there is none.
func (b *box) find(name string) int {
	if b.index != nil {
		if i, ok := b.index[name]; ok {
			return i
		}
		return -1
	}
	for i, n := range b.names {
		if !b.items[i].isRemoved() && isNamed(n, name) {
			return i
		}
	}
	return -1
}

func isNamed(quoted []byte, name string) bool {
	if s := quoted[1 : len(quoted)-1]; bytes.IndexByte(s, '\\') < 0 {
		return string(s) == name
	}
	return unquote(quoted) == name
}

// set replaces a member's value, or adds it behind the others. quoted is the name as it is to be written.
func (b *box) set(name string, quoted []byte, v value) {
	if i := b.find(name); i >= 0 {
		b.items[i] = v
		return
	}
	b.names, b.items = append(b.names, quoted), append(b.items, v)
	b.live++
	if b.index != nil {
		b.index[name] = len(b.items) - 1
	} else if len(b.items) == indexFrom {
		b.reindex()
	}
}

func (b *box) reindex() {
	b.index = make(map[string]int, 2*len(b.items))
	for i := range b.items {
		if !b.items[i].isRemoved() {
			b.index[unquote(b.names[i])] = i
		}
	}
}

// unset takes the member at i away and gives its value.
func (b *box) unset(i int) value {
	v := b.items[i]
	if b.index != nil {
		delete(b.index, unquote(b.names[i]))
	}
	b.items[i] = value{}
	b.live--
	b.emptied = b.live == 0
	return v
}

// insert puts an item of an array at i, which is at most their number.
func (b *box) insert(i int, v value) {
	b.items = append(b.items, value{})
	copy(b.items[i+1:], b.items[i:])
	b.items[i] = v
	b.live++
}

// cut takes the item at i out of an array.
func (b *box) cut(i int) value {
	v := b.items[i]
	b.items = append(b.items[:i], b.items[i+1:]...)
	b.live--
	b.emptied = b.live == 0
	return v
}

// append writes v; what was not opened as it was.
func (v *value) append(dst []byte) []byte {
	b := v.box
	if b == nil {
		return append(dst, v.text...)
	}
	open, object := v.kind(), v.isObject()
	dst = append(dst, open)
	first := true
	for i := range b.items {
		if b.items[i].isRemoved() {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		if object {
			dst = append(append(dst, b.names[i]...), ':')
		}
		dst = b.items[i].append(dst)
	}
	return append(dst, open+2) // in ASCII { and }, [ and ] are two apart
}

// prune leaves out what operations emptied, with what is emptied by that.
func (d *document) prune() { pruned(&d.root, false) }

// pruned says that v is empty by an operation. In a primitive's "_name" array
// (twin) null keeps the place of what is left out.
func pruned(v *value, twin bool) bool {
	b := v.box
	if b == nil {
		return false
	}
	object, nulls := v.isObject(), 0
	for i := len(b.items) - 1; i >= 0; i-- {
		item := &b.items[i]
		if item.isRemoved() {
			continue
		}
		under := object && len(b.names[i]) > 2 && b.names[i][1] == '_'
		if !pruned(item, under) {
			continue
		}
		switch {
		case object:
			b.unset(i)
		case twin:
			*item = value{text: []byte("null")}
			nulls++
		default:
			b.cut(i)
		}
	}
	if nulls > 0 && b.onlyNulls() {
		b.live, b.emptied = 0, true
	}
	return b.live == 0 && b.emptied
}

func (b *box) onlyNulls() bool {
	for i := range b.items {
		if !b.items[i].isNull() {
			return false
		}
	}
	return true
}

// The scanner of checked JSON text.

func space(s []byte, i int) int {
	for isSpace(s[i]) {
		i++
	}
	return i
}

// stringEnd takes the offset of the opening quote and gives that behind the closing one.
func stringEnd(s []byte, i int) int {
	for i++; s[i] != '"'; i++ {
		if s[i] == '\\' {
			i++
		}
	}
	return i + 1
}

func valueEnd(s []byte, i int) int {
	switch s[i] {
	case '"':
		return stringEnd(s, i)
	case '{', '[':
		depth := 0
		for {
			switch s[i] {
			case '"':
				i = stringEnd(s, i)
				continue
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
			i++
		}
	}
	for i < len(s) && s[i] != ',' && s[i] != '}' && s[i] != ']' && !isSpace(s[i]) {
		i++
	}
	return i
}
