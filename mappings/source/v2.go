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
	t := &Tree{names: V2Names(), nodes: make([]node, 0, 64+18*m.Len())}
	t.unesc = func(s string) (string, bool) {
		if d.Escape == 0 || strings.IndexByte(s, d.Escape) < 0 {
			return s, true
		}
		out, unknown := d.Unescape(s, "")
		return out, unknown == 0
	}
	t.origin = v2Origin
	b := newBuilder(t)
	w := v2Builder{builder: b, d: d}
	root := b.add(-1, b.sym(g.Structure), "", Present, true)
	w.group(root, g.Root)
	b.done()
	return t
}

// v2Builder splits the fields of segments.
type v2Builder struct {
	*builder
	d hl7v2.Delimiters
}

func (b *builder) sym(name string) Sym {
	y, _ := b.t.names.Sym(name)
	return y
}

func (b *v2Builder) group(at int32, g *hl7v2.Group) {
	for s, c := range g.Children() {
		if c != nil {
			b.group(b.add(at, b.sym(c.Name), "", Present, true), c)
			continue
		}
		b.segment(at, s)
	}
}

func (b *v2Builder) segment(at int32, s hl7v2.Segment) {
	name := s.Name()
	i := b.add(at, b.sym(name), name, Present, true)
	b.t.nodes[i].number = int32(s.Occurrence())
	header := name == "MSH"
	for f, n := 1, min(s.Fields(), MaxField); f <= n; f++ {
		raw := s.Field(f).Raw()
		switch {
		case raw == "":
		case header && f <= 2: // the delimiters themselves
			b.add(i, Field(f), raw, Present, false)
		default:
			b.field(i, Field(f), raw)
		}
	}
}

// field adds the repetitions of a field. An empty one among others has a node, so that the others keep their numbers.
func (b *v2Builder) field(at int32, name Sym, raw string) {
	for rest, more := raw, true; more; {
		var r string
		r, rest, more = cutAt(rest, b.d.Repetition)
		b.value(at, name, r, b.d.Component)
	}
}

// value adds a repetition with its components (below is the component delimiter), or a component with its sub-components.
func (b *v2Builder) value(at int32, name Sym, text string, below byte) {
	state := Present
	switch text {
	case "":
		state = Empty
	case `""`:
		state = Null
	}
	i := b.add(at, name, text, state, false)
	if state != Present || below == 0 {
		return
	}
	parts := has(text, below)
	next := b.d.Subcomponent
	if below == b.d.Subcomponent {
		next = 0
	} else {
		parts = parts || has(text, next)
	}
	if !parts {
		return
	}
	k, more := 1, true
	for rest := text; more && k <= MaxComponent; k++ {
		var c string
		if c, rest, more = cutAt(rest, below); c != "" {
			b.value(i, Component(k), c, next)
		}
	}
}

// cutAt is strings.Cut at one byte; 0 is no delimiter.
func cutAt(s string, sep byte) (head, rest string, found bool) {
	if sep != 0 {
		if i := strings.IndexByte(s, sep); i >= 0 {
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}

func has(s string, sep byte) bool { return sep != 0 && strings.IndexByte(s, sep) >= 0 }

// v2Origin prints a place as the standard does: OBX[3].5.1, PID[1].3(2).1.
func v2Origin(t *Tree, n Node) string {
	d := &t.nodes[n.i]
	p := Node{t, d.parent}
	switch {
	case d.object && d.number > 0:
		return d.text + "[" + strconv.Itoa(int(d.number)) + "]"
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
