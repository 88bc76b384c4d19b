// Package element is the typed tree of one resource: what codec builds from
// bytes and what every engine walks.
//
// Contract: a Tree is an arena of nodes in depth-first order that point back
// into the source bytes (JSON). A repeating element is a run of sibling nodes
// of the same element; whether it is an array in JSON follows from the schema.
// A primitive's id and extension (JSON's "_name" twin) are children of the
// primitive's node; a primitive that has only these has no value (HasValue is
// false). Nodes stand in the order of the source, except that a "_name" twin
// joins its value.
//
// A Node is a small handle that stays valid as long as its Tree is neither
// reset nor its Src changed. Reading is safe for concurrent use, building is
// not. The zero Node is "nothing": it has no children, no text and is not
// Valid.
//
//	{"resourceType":"Patient","active":true,"name":[{"family":"张"},{"text":"x"}]}
//
//	0 Patient
//	1   active boolean  true
//	2   name HumanName
//	3     family string "张"
//	4   name HumanName
//	5     text string "x"
package element

import (
	"strconv"

	"meridian/fhir/schema"
)

// node is one element instance. 32 bytes.
type node struct {
	start, end uint32 // value in Src, with quotes; equal when a primitive has no value
	first      uint32 // first child, 0 when there is none
	next       uint32 // next sibling, 0 when there is none
	parent     uint32 // the root is its own parent
	typ        schema.ID
	elem       int16 // index into the parent type's Elements; -1 at the root
	flags      uint8
	_          [7]byte
}

const (
	flagEscaped = 1 << iota // the JSON string holds a backslash
	flagString              // the value is a JSON string
	flagTwin                // a null stood for it in the "_name" array
)

// Tree is the arena of one parsed resource (or of one datatype, as root).
type Tree struct {
	Src   []byte
	nodes []node
	spare []node // room for Renumber
}

// Len gives the number of nodes.
func (t *Tree) Len() int { return len(t.nodes) }

// Cap gives the number of nodes that the arena holds without growing.
func (t *Tree) Cap() int { return cap(t.nodes) }

// Reset empties the tree for reuse; all Nodes of it become invalid.
func (t *Tree) Reset(src []byte) {
	t.Src = src
	t.nodes = t.nodes[:0]
}

// Root gives the resource, the zero Node when the tree is empty.
func (t *Tree) Root() Node {
	if t == nil || len(t.nodes) == 0 {
		return Node{}
	}
	return Node{t, 0}
}

// At gives the node with arena index i.
func (t *Tree) At(i int) Node { return Node{t, uint32(i)} }

// Node is a handle on one element instance.
type Node struct {
	t *Tree
	i uint32
}

// Valid is false for the zero Node.
func (n Node) Valid() bool { return n.t != nil }

// Tree gives the arena that n belongs to.
func (n Node) Tree() *Tree { return n.t }

// Index gives the arena index of n, in depth-first order.
func (n Node) Index() int { return int(n.i) }

// TypeID is the type of the value; for a choice the one chosen.
func (n Node) TypeID() schema.ID {
	if n.t == nil {
		return 0
	}
	return n.t.nodes[n.i].typ
}

// Type is the row of TypeID. n must be valid.
func (n Node) Type() *schema.Type { return schema.ByID(n.t.nodes[n.i].typ) }

// ElementIndex is the index into the parent's Type().Elements, -1 for a root.
func (n Node) ElementIndex() int {
	if n.t == nil {
		return -1
	}
	return int(n.t.nodes[n.i].elem)
}

// Element is the definition under which n stands in its parent, nil for a root.
func (n Node) Element() *schema.Element {
	if n.t == nil || n.t.nodes[n.i].elem < 0 {
		return nil
	}
	return &n.Parent().Type().Elements[n.t.nodes[n.i].elem]
}

// Name is the element's name without a choice's type suffix: "value"; for a root its type's name.
func (n Node) Name() string {
	if n.t == nil {
		return ""
	}
	if e := n.Element(); e != nil {
		return e.Name
	}
	return n.Type().Name
}

// Parent of n, the zero Node for a root.
func (n Node) Parent() Node {
	if n.t == nil || n.i == 0 {
		return Node{}
	}
	return Node{n.t, n.t.nodes[n.i].parent}
}

// First child, the zero Node when there is none.
func (n Node) First() Node {
	if n.t == nil {
		return Node{}
	}
	if f := n.t.nodes[n.i].first; f != 0 {
		return Node{n.t, f}
	}
	return Node{}
}

// Next sibling, the zero Node after the last.
func (n Node) Next() Node {
	if n.t == nil {
		return Node{}
	}
	if x := n.t.nodes[n.i].next; x != 0 {
		return Node{n.t, x}
	}
	return Node{}
}

// Child gives the first child of that name (without [x]), the zero Node when there is none.
func (n Node) Child(name string) Node {
	for c := n.First(); c.Valid(); c = c.Next() {
		if c.Name() == name {
			return c
		}
	}
	return Node{}
}

// Path walks Child by Child.
func (n Node) Path(names ...string) Node {
	for _, s := range names {
		n = n.Child(s)
	}
	return n
}

// NullSent says that a JSON null stood for a primitive without a value.
func (n Node) NullSent() bool {
	return n.t != nil && n.t.nodes[n.i].start == n.t.nodes[n.i].end && n.t.nodes[n.i].start != 0
}

// TwinSent says that a JSON null stood for it in the "_name" array.
func (n Node) TwinSent() bool { return n.t != nil && n.t.nodes[n.i].flags&flagTwin != 0 }

// HasValue says that a primitive has a value, or that a complex element is there.
func (n Node) HasValue() bool {
	return n.t != nil && n.t.nodes[n.i].end > n.t.nodes[n.i].start
}

// IsString says that the value is a JSON string.
func (n Node) IsString() bool { return n.t != nil && n.t.nodes[n.i].flags&flagString != 0 }

// Offset of the value in Src.
func (n Node) Offset() int {
	if n.t == nil {
		return -1
	}
	return int(n.t.nodes[n.i].start)
}

// End of the value in Src, exclusive.
func (n Node) End() int {
	if n.t == nil {
		return -1
	}
	return int(n.t.nodes[n.i].end)
}

// Raw is the JSON text of the value as sent: a string with its quotes and
// escapes, a number as written. It points into Src.
func (n Node) Raw() []byte {
	if n.t == nil {
		return nil
	}
	d := &n.t.nodes[n.i]
	return n.t.Src[d.start:d.end]
}

// Bytes is the text of a primitive without quotes; unescaped. Where no escape
// stands in it, it points into Src, else it is a copy. Nil without a value.
func (n Node) Bytes() []byte {
	if !n.HasValue() {
		return nil
	}
	d := &n.t.nodes[n.i]
	if d.flags&flagString == 0 {
		return n.t.Src[d.start:d.end]
	}
	b := n.t.Src[d.start+1 : d.end-1]
	if d.flags&flagEscaped == 0 {
		return b
	}
	return AppendUnescaped(make([]byte, 0, len(b)), b)
}

// Text is Bytes as a string.
func (n Node) Text() string { return string(n.Bytes()) }

// Escaped says that the JSON string holds an escape, so that Bytes copies.
func (n Node) Escaped() bool { return n.t != nil && n.t.nodes[n.i].flags&flagEscaped != 0 }

// Ordinal is the position of n among its siblings of the same element, from 0.
func (n Node) Ordinal() int {
	k := 0
	for s := n.Parent().First(); s.Valid() && s.i != n.i; s = s.Next() {
		if s.ElementIndex() == n.ElementIndex() {
			k++
		}
	}
	return k
}

// Location is the FHIRPath of n from its root: "Observation.value.coding[0].code".
func (n Node) Location() string {
	if n.t == nil {
		return ""
	}
	return string(n.appendLocation(nil))
}

func (n Node) appendLocation(b []byte) []byte {
	p := n.Parent()
	if !p.Valid() {
		return append(b, n.Type().Name...)
	}
	b = append(p.appendLocation(b), '.')
	e := n.Element()
	b = append(b, e.Name...)
	if e.Repeats() {
		b = append(strconv.AppendInt(append(b, '['), int64(n.Ordinal()), 10), ']')
	}
	return b
}
