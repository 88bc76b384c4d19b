package element

// The tree of one resource may be changed in place, as a patch does it. Nodes
// keep their indexes while others come and go; the arena is in depth-first
// order again only after Renumber. Text of new nodes is appended to Src.

// AppendText adds text to Src and gives where it lies there. Src must belong to
// the caller, not to whoever parsed it.
func (t *Tree) AppendText(text []byte) (start, end int) {
	start = len(t.Src)
	t.Src = append(t.Src, text...)
	return start, len(t.Src)
}

// Insert adds a node below parent, behind prev (-1: before the first child), in
// front of the siblings that are there, and gives its index.
func (t *Tree) Insert(parent, prev int, d Data) int {
	after := t.following(parent, prev)
	i := t.Add(parent, prev, d)
	t.nodes[i].next = after
	return i
}

// Remove takes node i, with all below it, out of its parent. The root cannot be removed.
func (t *Tree) Remove(i int) {
	p := int(t.nodes[i].parent)
	if prev := t.previous(p, uint32(i)); prev < 0 {
		t.nodes[p].first = t.nodes[i].next
	} else {
		t.nodes[prev].next = t.nodes[i].next
	}
	t.nodes[i].next = 0
}

// Restore puts node i, which was removed, back below its parent, behind prev (-1: before the first child).
func (t *Tree) Restore(i, prev int) {
	p := int(t.nodes[i].parent)
	t.nodes[i].next = t.following(p, prev)
	if prev < 0 {
		t.nodes[p].first = uint32(i)
	} else {
		t.nodes[prev].next = uint32(i)
	}
}

// following is the child of parent that stands behind prev, 0 for none.
func (t *Tree) following(parent, prev int) uint32 {
	if prev < 0 {
		return t.nodes[parent].first
	}
	return t.nodes[prev].next
}

// previous is the sibling before i, -1 when i is the first.
func (t *Tree) previous(parent int, i uint32) int {
	prev := -1
	for c := t.nodes[parent].first; c != i; c = t.nodes[c].next {
		prev = int(c)
	}
	return prev
}
