package element

import "meridian/fhir/schema"

// Data describes a node to be added. A primitive without a value has Start
// equal to End: at the place of the null that was sent for it, or 0 when there
// was none.
type Data struct {
	Start, End int // value in Src, quotes included; equal when there is no value
	Type       schema.ID
	Elem       int // index into the parent type's Elements, -1 for the root
	String     bool
	Escaped    bool
}

func (d *Data) flags() uint8 {
	f := uint8(0)
	if d.Escaped {
		f |= flagEscaped
	}
	if d.String {
		f |= flagString
	}
	return f
}

// Grow makes room for n more nodes.
func (t *Tree) Grow(n int) {
	if cap(t.nodes)-len(t.nodes) < n {
		t.nodes = append(make([]node, 0, len(t.nodes)+n), t.nodes...)
	}
}

// Add appends a node below parent (index -1 for the root) after prev, its last
// sibling so far (-1 when it is the first child), and gives its index.
func (t *Tree) Add(parent, prev int, d Data) int {
	i := len(t.nodes)
	if i == cap(t.nodes) {
		t.nodes = append(t.nodes, node{})
	} else {
		t.nodes = t.nodes[:i+1]
	}
	n := &t.nodes[i]
	n.start, n.end = uint32(d.Start), uint32(d.End)
	n.first, n.next, n.parent = 0, 0, uint32(max(parent, 0))
	n.typ, n.elem, n.flags = d.Type, int16(d.Elem), d.flags()
	if prev >= 0 {
		t.nodes[prev].next = uint32(i)
	} else if parent >= 0 {
		t.nodes[parent].first = uint32(i)
	}
	return i
}

// SetValue gives node i its value after it was added (a twin read before its value).
func (t *Tree) SetValue(i int, d Data) {
	n := &t.nodes[i]
	n.start, n.end = uint32(d.Start), uint32(d.End)
	n.flags = n.flags&flagTwin | d.flags()
}

// SetEnd closes a complex node whose end was not known when it was added.
func (t *Tree) SetEnd(i, end int) { t.nodes[i].end = uint32(end) }

// SetTwin notes that null stood for node i in the "_name" array.
func (t *Tree) SetTwin(i int) { t.nodes[i].flags |= flagTwin }

// MoveLast unlinks the run of siblings from first to last, children of parent, and links
// it behind tail, the last child. The arena keeps its order until Renumber.
func (t *Tree) MoveLast(parent, first, last, tail int) {
	if last == tail {
		return
	}
	after := t.nodes[last].next
	if p := &t.nodes[parent]; p.first == uint32(first) {
		p.first = after
	} else {
		c := p.first
		for t.nodes[c].next != uint32(first) {
			c = t.nodes[c].next
		}
		t.nodes[c].next = after
	}
	t.nodes[tail].next = uint32(first)
	t.nodes[last].next = 0
}

// Renumber brings the arena into depth-first order after nodes were added out
// of it. Every index changes; its cost is two copies of the arena.
func (t *Tree) Renumber() {
	if len(t.nodes) == 0 {
		return
	}
	old := t.nodes
	t.nodes = t.spare[:0]
	t.place(old, 0, 0)
	// The arena stays the one that has grown with the bodies read so far.
	t.nodes, t.spare = append(old[:0], t.nodes...), t.nodes
}

// place appends node i of old and all below it.
func (t *Tree) place(old []node, i, parent uint32) uint32 {
	at := uint32(len(t.nodes))
	n := old[i]
	n.parent, n.first, n.next = parent, 0, 0
	t.nodes = append(t.nodes, n)
	prev := uint32(0)
	for c := old[i].first; c != 0; c = old[c].next {
		k := t.place(old, c, at)
		if prev == 0 {
			t.nodes[at].first = k
		} else {
			t.nodes[prev].next = k
		}
		prev = k
	}
	return at
}
