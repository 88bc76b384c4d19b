// Package source is the one record tree that every mapping reads: HL7 v2
// messages now; XML, JSON, rows and ASTM records are further builders beside
// v2.go.
//
// A Tree is an arena of nodes. A node is an object (it has children), or a
// scalar with the text as written. Repetitions are siblings of one name. Every
// scalar has one of four states: absent (no node), empty, null (HL7's `""`,
// which means "delete"), present. Values stay as written: no number is
// converted, nothing is trimmed.
//
//	ORU_R01
//	  PATIENT_RESULT
//	    PATIENT
//	      PID
//	        f3              P0001^^^H001^MR
//	          1  P0001      4  H001      5  MR
//	        f3              110105…^^^^NI
//	        f5              张三          (one component: f5.1 is the same node)
//	    ORDER_OBSERVATION
//	      OBR  f3 …
//	      OBSERVATION
//	        OBX  f3  1 ALT   2 *谷丙转氨酶   3 99LIS
//
// Reading is safe for concurrent use except for Mark (coverage). Text points
// into the message and lives as long as it does.
package source

import (
	"math/bits"
	"strconv"
	"sync"
)

// State of a scalar.
type State uint8

const (
	Absent  State = iota // there is no such node
	Empty                // it is there without text
	Null                 // explicitly deleted
	Present              // it has text
)

// Sym is the number of a node name; see Names.
type Sym uint16

// node is one place of the record. It holds no pointer: a record is one allocation that the collector does not look into.
type node struct {
	start, end uint32 // of its text in Tree.text; objects may have one too (a field with its separators)
	first      int32  // 0: none
	next       int32
	parent     int32
	ord        int32 // position among the siblings of its name, from 0; of a v2 segment its occurrence in the message, from 1
	// mask has a bit for each position (see position) 1 to 63 among the children, so that asking a segment for a field that it
	// does not have costs nothing.
	mask   uint64
	name   Sym
	state  State
	object bool
	sorted bool // the children, fields or components, stand side by side in the arena, in the order of their names
	escape bool // the text may have escapes
	parts  bool // the text may have components
}

// position of a field in its segment or of a component in its field, which the mask has a bit for when it is less than 64.
func (y Sym) position() Sym {
	if y > MaxField {
		return y - MaxField
	}
	return y
}

// Tree is one record. The root is node 0.
type Tree struct {
	nodes   []node
	text    string // the nodes' texts are parts of it
	names   *Names
	used    []uint64                         // coverage: one bit a node, see coverage.go
	ignored []uint64                         // coverage: one bit a node
	unesc   func(text string) (string, bool) // resolves the format's escapes; nil: there are none
	origin  func(t *Tree, n Node) string     // how the format prints a place
	one     Sym                              // the name "1": the first component of a scalar is the scalar
	Charset string                           // the charset the text was decoded from, for people
}

func (t *Tree) textOf(d *node) string { return t.text[d.start:d.end] }

// Names numbers node names; one table a process. It is built once and read-only after.
type Names struct {
	bySym  []string
	byName map[string]Sym
}

// NewNames numbers the given names; 0 is no name.
func NewNames(list []string) *Names {
	n := &Names{bySym: []string{""}, byName: map[string]Sym{"": 0}}
	for _, s := range list {
		n.add(s)
	}
	return n
}

func (n *Names) add(s string) Sym {
	if y, ok := n.byName[s]; ok {
		return y
	}
	y := Sym(len(n.bySym))
	n.bySym = append(n.bySym, s)
	n.byName[s] = y
	return y
}

// Sym finds a name's number; ok is false for a name that no record can have.
func (n *Names) Sym(name string) (Sym, bool) {
	y, ok := n.byName[name]
	return y, ok
}

// Node is a place in a tree; the zero Node is absent.
type Node struct {
	t *Tree
	i int32
}

// Root of the record.
func (t *Tree) Root() Node {
	if t == nil || len(t.nodes) == 0 {
		return Node{}
	}
	return Node{t, 0}
}

// Len is the number of nodes.
func (t *Tree) Len() int { return len(t.nodes) }

// At gives node i, 0 <= i < Len.
func (t *Tree) At(i int) Node { return Node{t, int32(i)} }

// Valid is false where there is no such node.
func (n Node) Valid() bool { return n.t != nil }

// Index of the node in its tree.
func (n Node) Index() int { return int(n.i) }

// Name of the node: a group, segment, field ("f5"), component ("1"), member.
func (n Node) Name() string {
	if n.t == nil {
		return ""
	}
	return n.t.names.bySym[n.t.nodes[n.i].name]
}

// Ordinal counts siblings of the same name from 0. (Of a segment of HL7 v2 it is the occurrence in the message, from 1.)
func (n Node) Ordinal() int {
	if n.t == nil {
		return 0
	}
	return int(n.t.nodes[n.i].ord)
}

// State of the node.
func (n Node) State() State {
	if n.t == nil {
		return Absent
	}
	return n.t.nodes[n.i].state
}

// Leaf says that the node has no children.
func (n Node) Leaf() bool { return n.t != nil && n.t.nodes[n.i].first == 0 }

// Raw is the text as written, escapes included.
func (n Node) Raw() string {
	if n.t == nil {
		return ""
	}
	return n.t.textOf(&n.t.nodes[n.i])
}

// Text is the text of a present scalar with the format's escapes resolved and
// marks the node as used. For an object it is the text of its first component,
// as HL7 v2 reads a field that got more components in a later version. Null,
// empty and absent give "".
func (n Node) Text() string {
	n = n.scalar()
	n.Mark()
	return n.plain()
}

// Peek is Text without the mark.
func (n Node) Peek() string { return n.scalar().plain() }

// Whole is the text as written with its separators, escapes resolved.
func (n Node) Whole() string {
	n.Mark()
	return n.plain()
}

func (n Node) plain() string {
	if n.t == nil {
		return ""
	}
	d := &n.t.nodes[n.i]
	switch {
	case d.state != Present:
		return ""
	case !d.escape || n.t.unesc == nil:
		return n.t.textOf(d)
	}
	s, _ := n.t.unesc(n.t.textOf(d))
	return s
}

// Scalar is the node whose text Text gives: the first component of an object that is not a segment or group.
func (n Node) Scalar() Node { return n.scalar() }

// scalar descends to the first component.
func (n Node) scalar() Node {
	for n.t != nil {
		d := &n.t.nodes[n.i]
		if d.first == 0 || d.object {
			return n
		}
		if n.t.nodes[d.first].name != n.t.one {
			return Node{}
		}
		n.i = d.first
	}
	return n
}

// Parent, First child, Next sibling.
func (n Node) Parent() Node {
	if n.t == nil || n.i == 0 {
		return Node{}
	}
	return Node{n.t, n.t.nodes[n.i].parent}
}

// First child, absent when there is none.
func (n Node) First() Node {
	if n.t == nil || n.t.nodes[n.i].first == 0 {
		return Node{}
	}
	return Node{n.t, n.t.nodes[n.i].first}
}

// Next sibling, absent after the last.
func (n Node) Next() Node {
	if n.t == nil || n.t.nodes[n.i].next == 0 {
		return Node{}
	}
	return Node{n.t, n.t.nodes[n.i].next}
}

// Child gives the first child of that name. The first component of a scalar is the scalar itself.
func (n Node) Child(name Sym) Node {
	if n.t == nil {
		return Node{}
	}
	nodes := n.t.nodes
	d := &nodes[n.i]
	if d.first == 0 {
		if name == n.t.one && !d.object {
			return n
		}
		return Node{}
	}
	if at := name.position(); d.sorted && at < 64 {
		// A segment has fields, a field has components.
		if d.object == (name > MaxField) || d.mask>>at&1 == 0 {
			return Node{}
		}
		i := d.first + int32(bits.OnesCount64(d.mask&(1<<at-1)))
		for nodes[i].name != name { // past the repetitions of those before
			i++
		}
		return Node{n.t, i}
	}
	for i := d.first; i != 0; i = nodes[i].next {
		if nodes[i].name == name {
			return Node{n.t, i}
		}
	}
	return Node{}
}

// NextSame gives the next sibling of the same name: the next repetition.
func (n Node) NextSame() Node {
	if n.t == nil {
		return Node{}
	}
	nodes := n.t.nodes
	d := &nodes[n.i]
	for i := d.next; i != 0; i = nodes[i].next {
		if nodes[i].name == d.name {
			return Node{n.t, i}
		}
		if nodes[d.parent].sorted {
			break
		}
	}
	return Node{}
}

// Repetitions is the text of a field or component with all repetitions as they stand side by side; n is the first. ok is false for
// what the format does not keep so: an object.
func (n Node) Repetitions() (text string, ok bool) {
	if n.t == nil {
		return "", false
	}
	nodes := n.t.nodes
	d := &nodes[n.i]
	if d.object || !nodes[d.parent].sorted {
		return "", false
	}
	end := d.end
	for i := d.next; i != 0 && nodes[i].name == d.name; i = nodes[i].next {
		end = nodes[i].end
	}
	return n.t.text[d.start:end], true
}

// Origin prints the place for people: "OBX[3].5.1", "PID.3[2].1".
func (n Node) Origin() string {
	if n.t == nil {
		return ""
	}
	if n.t.origin != nil {
		return n.t.origin(n.t, n)
	}
	return n.path()
}

func (n Node) path() string {
	p := n.Parent()
	if !p.Valid() {
		return n.Name()
	}
	s := p.path() + "." + n.Name()
	if n.Ordinal() > 0 || n.NextSame().Valid() {
		s += "[" + strconv.Itoa(n.Ordinal()+1) + "]"
	}
	return s
}

// builder fills a tree; the children of a node are added in order. It is pooled: the tree gets a copy of the nodes in their exact number.
type builder struct {
	t    *Tree
	last []int32 // last child of each node, 0 when there is none
}

var builders = sync.Pool{New: func() any { return new(scratch) }}

// scratch is what a builder leaves for the next one.
type scratch struct {
	nodes []node
	last  []int32
}

// maxKept bounds what is kept for the next record, in nodes.
const maxKept = 1 << 14

func newBuilder(t *Tree) (*builder, *scratch) {
	s := builders.Get().(*scratch)
	t.nodes = s.nodes[:0]
	t.one, _ = t.names.Sym("1")
	return &builder{t: t, last: s.last[:0]}, s
}

// done fixes the nodes, sizes the coverage bits and gives the scratch back.
func (b *builder) done(s *scratch) {
	s.nodes, s.last = b.t.nodes, b.last
	b.t.nodes = append([]node(nil), s.nodes...)
	n := len(b.t.nodes)/64 + 1
	bits := make([]uint64, 2*n)
	b.t.used, b.t.ignored = bits[:n:n], bits[n:]
	if cap(s.nodes) <= maxKept {
		builders.Put(s)
	}
}

// add appends a node below parent (-1: the root) and gives its index. Its text is that of Tree.text from start to end.
func (b *builder) add(parent int32, name Sym, start, end int, state State, object bool) int32 {
	i := int32(len(b.t.nodes))
	n := node{start: uint32(start), end: uint32(end), parent: max(parent, 0), name: name, state: state, object: object}
	b.last = append(b.last, 0)
	if parent < 0 {
		b.t.nodes = append(b.t.nodes, n)
		return i
	}
	known := true
	if at := name.position(); at < 64 {
		known = b.t.nodes[parent].mask>>at&1 != 0
		b.t.nodes[parent].mask |= 1 << at
	}
	prev := b.last[parent]
	b.last[parent] = i
	if prev == 0 {
		b.t.nodes = append(b.t.nodes, n)
		b.t.nodes[parent].first = i
		return i
	}
	if p := &b.t.nodes[prev]; object && end > start {
		// a segment: the format numbers it
	} else if p.name == name {
		n.ord = p.ord + 1
	} else if known {
		for j := b.t.nodes[parent].first; j != 0; j = b.t.nodes[j].next {
			if b.t.nodes[j].name == name {
				n.ord = b.t.nodes[j].ord + 1
			}
		}
	}
	b.t.nodes = append(b.t.nodes, n)
	b.t.nodes[prev].next = i
	return i
}
