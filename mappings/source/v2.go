package source

import (
	"strconv"
	"strings"
	"sync"

	"meridian/mappings/hl7v2"
)

// segmentFields is the number of fields of each segment in HL7 v2.8.2, and
// which of them repeat: what a path may name. Segments that are not listed (and
// Z segments) may have any field up to MaxField, and every one may repeat.
// HL7 v2.8.2 ch. 2, 3, 4, 7.
var segmentFields = map[string]struct {
	fields  int
	repeats []int
}{
	"MSH": {25, []int{18, 21}},
	"PID": {40, []int{3, 4, 5, 6, 9, 10, 11, 13, 14, 21, 22, 26, 32, 39, 40}},
	"PD1": {23, []int{2, 3, 4, 10, 11, 15, 20, 22, 23}},
	"PV1": {54, []int{7, 8, 9, 15, 17, 20, 24, 25, 26, 27, 50, 52, 53}},
	"PV2": {50, []int{5, 13, 37, 42, 45, 50}},
	"ORC": {38, []int{8, 10, 11, 12, 14, 19, 21, 22, 23, 24, 28, 36, 37, 38}},
	"OBR": {55, []int{5, 10, 16, 17, 28, 31, 32, 33, 34, 35, 39, 43, 46, 47, 49, 51, 53, 54}},
	"OBX": {33, []int{5, 8, 9, 10, 16, 17, 18, 20, 21, 27, 30, 31, 32, 33}},
	"NTE": {9, []int{3}},
	"SPM": {35, []int{3, 5, 6, 9, 10, 11, 14, 19, 21, 22, 23, 24, 31, 32, 34}},
	"NK1": {41, []int{2, 4, 5, 6, 13, 14, 18, 21, 26, 30, 31, 32, 33, 35, 40, 41}},
	"EVN": {7, []int{5}},
	"TQ1": {14, []int{3, 4, 5, 6, 8, 9, 11}},
}

// V2Names numbers every name that an HL7 v2 record can have.
var V2Names = sync.OnceValue(func() *Names {
	n := NewNames(positions())
	var walk func(structure string, groups []string)
	walk = func(structure string, groups []string) {
		places, _ := hl7v2.Places(structure, groups...)
		for p := range places {
			n.add(p.Name)
			if p.Group {
				walk(structure, append(append([]string(nil), groups...), p.Name))
			}
		}
	}
	for _, s := range hl7v2.Structures() {
		n.add(s)
		walk(s, nil)
	}
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	for _, a := range letters {
		for _, b := range letters {
			n.add("Z" + string(a) + string(b))
		}
	}
	return n
})

// FromV2 builds the record of a message from its groups. Empty fields have no
// node: to HL7 they say the same as absent ones.
func FromV2(m *hl7v2.Message, g hl7v2.Tree) *Tree {
	d := m.Delimiters()
	t := &Tree{names: V2Names(), text: m.Text()}
	t.unesc = func(s string) (string, bool) {
		if d.Escape == 0 || strings.IndexByte(s, d.Escape) < 0 {
			return s, true
		}
		out, unknown := d.Unescape(s, "")
		return out, unknown == 0
	}
	t.origin = v2Origin
	b, scratch := newBuilder(t)
	w := v2Builder{builder: b}
	w.learn(d)
	root := b.add(-1, b.sym(g.Structure), 0, 0, Present, true)
	w.group(root, g.Root)
	b.done(scratch)
	return t
}

// v2Builder splits the fields of segments.
type v2Builder struct {
	*builder
	d      hl7v2.Delimiters
	senses [256]sense // of each byte of the text
}

// sense is what a byte may mean in a segment; a byte can have several where a sender chose the same twice.
type sense uint8

const (
	fieldSense sense = 1 << iota
	repetitionSense
	partSense // a component or sub-component ends
	escapeSense
)

func (b *v2Builder) learn(d hl7v2.Delimiters) {
	b.d = d
	for _, k := range [...]struct {
		sign byte
		s    sense
	}{{d.Field, fieldSense}, {d.Repetition, repetitionSense}, {d.Component, partSense}, {d.Subcomponent, partSense}, {d.Escape, escapeSense}} {
		if k.sign != 0 { // 0 is no delimiter
			b.senses[k.sign] |= k.s
		}
	}
}

func (b *builder) sym(name string) Sym {
	y, _ := b.t.names.Sym(name)
	return y
}

func (b *v2Builder) group(at int32, g *hl7v2.Group) {
	for s, c := range g.Children() {
		if c != nil {
			b.group(b.add(at, b.sym(c.Name), 0, 0, Present, true), c)
			continue
		}
		b.segment(at, s)
	}
}

// segment adds a segment with its fields side by side, then what stands below each. Its text is its name.
func (b *v2Builder) segment(at int32, s hl7v2.Segment) {
	name, raw, start := s.Name(), s.Raw(), s.Offset()
	end := start + len(raw)
	i := b.add(at, b.sym(name), start, start+len(name), Present, true)
	b.t.nodes[i].ord, b.t.nodes[i].sorted = int32(s.Occurrence()), true
	f, from := 1, start+len(name)+1
	if name == "MSH" && from <= end { // MSH-1 and MSH-2 are the delimiters themselves
		stop := b.cut(from, end, b.d.Field)
		b.add(i, Field(1), from-1, from, Present, false)
		j := b.add(i, Field(2), from, stop, Present, false)
		b.t.nodes[j].escape = true
		f, from = 3, stop+1
	}
	for ; from <= end && f <= MaxField; f++ {
		stop, held := b.fieldEnd(from, end)
		if stop > from {
			b.field(i, Field(f), from, stop, held)
		}
		from = stop + 1
	}
	b.split(i, b.d.Component)
}

// fieldEnd gives the offset of the next field delimiter in [start, end), or end, and what may stand before it.
func (b *v2Builder) fieldEnd(start, end int) (stop int, held sense) {
	text := b.t.text[:end]
	for i := start; i < len(text); i++ {
		s := b.senses[text[i]]
		if s&fieldSense != 0 {
			return i, held
		}
		held |= s
	}
	return end, held
}

// cut gives the offset of the first sep in [start, end), or end; 0 is no delimiter.
func (b *v2Builder) cut(start, end int, sep byte) int {
	if sep != 0 {
		if i := strings.IndexByte(b.t.text[start:end], sep); i >= 0 {
			return start + i
		}
	}
	return end
}

// field adds the repetitions of a field. An empty one among others has a node, so that the others keep their numbers.
func (b *v2Builder) field(at int32, name Sym, start, end int, held sense) {
	if held&repetitionSense == 0 {
		b.value(at, name, start, end, held)
		return
	}
	for start <= end {
		stop := b.cut(start, end, b.d.Repetition)
		b.value(at, name, start, stop, held)
		start = stop + 1
	}
}

// value adds a repetition, a component or a sub-component; held is what its text may have.
func (b *v2Builder) value(at int32, name Sym, start, end int, held sense) {
	state := Present
	switch b.t.text[start:end] {
	case "":
		state = Empty
	case `""`:
		state = Null
	}
	d := &b.t.nodes[b.add(at, name, start, end, state, false)]
	d.escape, d.parts = held&escapeSense != 0, state == Present && held&partSense != 0
}

// split adds what the children of a node have between sep: their components, or below them their sub-components.
func (b *v2Builder) split(at int32, sep byte) {
	next := b.d.Subcomponent
	if sep == next {
		next = 0
	}
	if sep == 0 {
		return
	}
	for i := b.t.nodes[at].first; i != 0; i = b.t.nodes[i].next {
		d := &b.t.nodes[i]
		start, end := int(d.start), int(d.end)
		if !d.parts || b.cut(start, end, sep) == end && b.cut(start, end, next) == end {
			continue
		}
		d.sorted = true
		held := partSense
		if d.escape {
			held |= escapeSense
		}
		for k := 1; start <= end && k <= MaxComponent; k++ {
			stop := b.cut(start, end, sep)
			if stop > start {
				b.value(i, Component(k), start, stop, held)
			}
			start = stop + 1
		}
		b.split(i, next)
	}
}

// v2Origin prints a place as the standard does: OBX[3].5.1, PID[1].3(2).1.
func v2Origin(t *Tree, n Node) string {
	d := &t.nodes[n.i]
	p := Node{t, d.parent}
	switch {
	case d.object && d.end > d.start:
		return t.textOf(d) + "[" + strconv.Itoa(int(d.ord)) + "]"
	case d.object || n.i == 0:
		return n.Name()
	case d.name >= 1 && d.name <= MaxField:
		s := v2Origin(t, p) + "." + strconv.Itoa(int(d.name))
		if d.ord > 0 {
			s += "(" + strconv.Itoa(int(d.ord)+1) + ")"
		}
		return s
	}
	return v2Origin(t, p) + "." + n.Name()
}

// v2Grammar answers what a message structure can have.
type v2Grammar struct{ structure string }

// V2Grammar gives the grammar of a message structure such as ORU_R01.
func V2Grammar(structure string) (interface {
	Child(place []string, name string) (repeats, ok bool)
	Children(place []string) []string
}, bool) {
	_, ok := hl7v2.Places(structure)
	return v2Grammar{structure}, ok
}

// depth of a place below a segment: 0 is the segment itself; -1 is a group.
func (g v2Grammar) below(place []string) (segment string, depth int) {
	for i, name := range place {
		if _, ok := hl7v2.Places(g.structure, place[:i+1]...); !ok {
			return name, len(place) - 1 - i
		}
	}
	return "", -1
}

// Child says whether the input can have name at place.
func (g v2Grammar) Child(place []string, name string) (repeats, ok bool) {
	segment, depth := g.below(place)
	switch {
	case depth < 0:
		return g.childOfGroup(place, name)
	case depth == 0:
		n, err := strconv.Atoi(strings.TrimPrefix(name, "f"))
		if err != nil || !strings.HasPrefix(name, "f") || n < 1 || n > MaxField {
			return false, false
		}
		s, known := segmentFields[segment]
		if !known {
			return true, true
		}
		for _, r := range s.repeats {
			repeats = repeats || r == n
		}
		return repeats, n <= s.fields
	}
	n, err := strconv.Atoi(name)
	return false, err == nil && n >= 1 && n <= MaxComponent && depth <= 2+1
}

func (g v2Grammar) childOfGroup(place []string, name string) (repeats, ok bool) {
	places, known := hl7v2.Places(g.structure, place...)
	if !known {
		return false, false
	}
	for p := range places {
		if p.Name == name {
			return p.Repeats, true
		}
	}
	return true, len(name) == 3 && name[0] == 'Z'
}

// Children lists what stands below a place.
func (g v2Grammar) Children(place []string) []string {
	var out []string
	segment, depth := g.below(place)
	if depth < 0 {
		places, _ := hl7v2.Places(g.structure, place...)
		for p := range places {
			out = append(out, p.Name)
		}
		return out
	}
	if depth == 0 {
		for i := 1; i <= segmentFields[segment].fields; i++ {
			out = append(out, "f"+strconv.Itoa(i))
		}
	}
	return out
}
