package source

import "math/bits"

// Coverage: every node has two bits, one set by what reads it (Text, Whole,
// Mark), one by what sets it aside with a reason (Ignore). A leaf with neither
// was in the record and nobody looked at it.

// Mark notes that a rule used the node.
func (n Node) Mark() {
	if n.t != nil {
		n.t.used[n.i>>6] |= 1 << (uint(n.i) & 63)
	}
}

// Watch collects marks apart from those of its tree. It can be used again and again; the zero value is ready.
type Watch struct {
	bits []uint64 // of the nodes marked meanwhile; all 0 outside of a watch
	used []uint64 // the tree's, aside
}

// Watch begins to collect marks in w. Used and Leaves do not see them before Watched.
func (t *Tree) Watch(w *Watch) {
	if cap(w.bits) < len(t.used) {
		w.bits = make([]uint64, len(t.used))
	}
	w.bits = w.bits[:len(t.used)]
	w.used, t.used = t.used, w.bits
}

// Watched ends it: the marks are the tree's, and the nodes that have them are appended.
func (t *Tree) Watched(w *Watch, into []Node) []Node {
	t.used, w.used = w.used, nil
	for i, word := range w.bits {
		t.used[i] |= word
		w.bits[i] = 0
		for ; word != 0; word &= word - 1 {
			into = append(into, Node{t, int32(i<<6 + bits.TrailingZeros64(word))})
		}
	}
	return into
}

// MarkAll marks the node and all below it.
func (n Node) MarkAll() {
	n.Mark()
	for c := n.First(); c.Valid(); c = c.Next() {
		c.MarkAll()
	}
}

// Ignore sets the node aside, with all below it.
func (n Node) Ignore() {
	if n.t != nil {
		n.t.ignored[n.i>>6] |= 1 << (uint(n.i) & 63)
	}
}

// Ignored says whether the node itself was set aside.
func (n Node) Ignored() bool {
	return n.t != nil && n.t.ignored[n.i>>6]&(1<<(uint(n.i)&63)) != 0
}

// Used says whether a rule used the node or anything below it.
func (n Node) Used() bool {
	if n.t == nil {
		return false
	}
	if n.t.used[n.i>>6]&(1<<(uint(n.i)&63)) != 0 {
		return true
	}
	for c := n.First(); c.Valid(); c = c.Next() {
		if c.Used() {
			return true
		}
	}
	return false
}

// Forget clears all marks, for another run over the same record.
func (t *Tree) Forget() {
	clear(t.used)
	clear(t.ignored)
}

// Leaves walks the leaves that say something (present or null), in the order of the record, and tells for
// each whether it, or a field or component around it, was used, and whether it
// or anything around it was ignored. Parents come before their children, so
// that one pass hands marks down; it leaves the bits as they end.
func (t *Tree) Leaves(yield func(n Node, used, ignored bool)) {
	if len(t.nodes) == 0 {
		return
	}
	for i := int32(0); ; {
		d := &t.nodes[i]
		w, bit := i>>6, uint64(1)<<(uint(i)&63)
		if i > 0 {
			p := d.parent
			pw, pbit := p>>6, uint64(1)<<(uint(p)&63)
			if t.ignored[pw]&pbit != 0 {
				t.ignored[w] |= bit
			}
			if t.used[pw]&pbit != 0 && !t.nodes[p].object {
				t.used[w] |= bit
			}
		}
		if d.first == 0 && !d.object && d.state >= Null {
			yield(Node{t, i}, t.used[w]&bit != 0, t.ignored[w]&bit != 0)
		}
		if d.first != 0 {
			i = d.first
			continue
		}
		for t.nodes[i].next == 0 {
			if i == 0 {
				return
			}
			i = t.nodes[i].parent
		}
		i = t.nodes[i].next
	}
}

// Place is where a node stands, without occurrences: the object around it
// (a segment), and the names from there to the node, 0 where there are none.
type Place [4]Sym

// Place of the node. Of a path longer than three names below its object, the first three.
func (n Node) Place() Place {
	var up [8]Sym
	k := 0
	for n.t != nil {
		d := &n.t.nodes[n.i]
		if k < len(up) {
			up[k] = d.name
			k++
		} else {
			copy(up[:], up[1:])
			up[k-1] = d.name
		}
		if d.object || n.i == 0 {
			break
		}
		n.i = d.parent
	}
	var p Place
	for j := 0; j < min(k, len(p)); j++ {
		p[j] = up[k-1-j]
	}
	return p
}

// PlaceText prints the place: "OBX.17.1".
func (n Node) PlaceText() string {
	if n.t == nil {
		return ""
	}
	var s string
	for i, y := range n.Place() {
		name := n.t.names.bySym[y]
		switch {
		case y == 0:
		case i == 0:
			s = name
		case y <= MaxField && n.t.one == Component(1):
			s += "." + name[1:]
		default:
			s += "." + name
		}
	}
	return s
}

// Sym of the node's name.
func (n Node) Sym() Sym {
	if n.t == nil {
		return 0
	}
	return n.t.nodes[n.i].name
}

// Start is the segment with which a group begins; any other node itself.
func (n Node) Start() Node {
	for n.t != nil {
		c := n.First()
		if !c.Valid() || !n.t.nodes[c.i].object {
			break
		}
		n = c
	}
	return n
}
