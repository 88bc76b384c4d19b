package engine

import (
	"encoding/binary"

	"meridian/mappings/source"
)

// memo remembers what a member of a rule that repeats wrote, so that a row that says the same gets a copy: a laboratory's items come
// in every message with the same names, units and ranges, and the results of one report share how and by whom they were tested.
//
// It is exact because a map is pure. While a member writes, every path that it reads leaves the field in which it ends, with
// all repetitions (path.note): those fields are its reads. Where all of them have the same texts, the member takes the same way,
// writes the same bytes and marks the same places as read. More than bytes and marks is not remembered: a finding, an
// unmapped code, a parked message, what reads a whole segment (obxValue) or a result of several rows.
//
//	reads      o.OBX.f3  o.OBX.f6  oo.SPECIMEN.SPM.f4  oo.OBR.f15 …       united over all rows so far
//	key        each field's length and text, 0 where the row has none
//	entry      the bytes, and where the marks lie in those fields
//
// What a member read besides (ids of other resources, times, which depend on the receipt) is the same in one scope instance of one
// message only: such a memo is local and begins anew with each. The others live as long as the run is kept for one map and one source.
type memo struct {
	off     bool // not worth it: the rows differ, or the member reads whole segments
	local   bool
	score   int8 // rows that were known less rows that were not
	message int  // of a local memo
	scope   int32
	reads   []*path
	entries map[string]remembered
}

// remembered is what a member wrote, and what it marked.
type remembered struct {
	out   []byte
	wrote bool
	marks []mark
}

// mark is a place that a member marked: a repetition of a field by its distance from the first, or a node below one by its
// distance from the first node below. Fields of one text have nodes in one order.
type mark struct {
	read   int // index into memo.reads
	below  bool
	offset int
}

// Limits of memos.
const (
	memoTries    = 100  // how many more rows may be new than known before a memo is given up
	memoMessages = 1024 // how many messages later it is tried again
	memoEntries  = 64   // of one member; then it begins anew
	memoBytes    = 1024 // of a key, and of what was written
	memoReads    = 16   // fields of one member
	memoSets     = 8    // maps and sources of which memos are kept
)

// field gives the field in which the path ends or through which it goes. ok is false where it reads a whole segment or chooses
// among segments.
func (p *path) field(rt *run) (at source.Node, text string, ok bool) {
	n := rt.vars[p.slot]
	for i := range p.steps {
		st := &p.steps[i]
		if n = n.Child(st.sym); !n.Valid() {
			return n, "", true
		}
		if text, ok = n.Repetitions(); ok {
			return n, text, true
		}
		if st.filter != nil || st.index > 0 || st.all {
			break
		}
	}
	return source.Node{}, "", false
}

// tracer is the state of the member that is being written for a memo.
type tracer struct {
	on    bool
	whole bool // it read what is no field
	local bool
	at    []source.Node // of each of the memo's reads
	key   []byte
	watch source.Watch
	marks []source.Node
}

// note adds what the path reads to the memo that is being written.
func (p *path) note(rt *run) {
	t, k := &rt.trace, rt.memo
	if !rt.m.rowOrScope(p.slot, rt.current.def) { // it lies below what was noted already
		return
	}
	if p.slot == rt.current.def.slot && rt.vars[p.slot] != rt.current.bound { // another row, which the map chooses by its resources
		t.local = true
		return
	}
	at, _, ok := p.field(rt)
	if !ok || len(k.reads) == memoReads {
		t.whole = true
		return
	}
	for i, q := range k.reads {
		if q == p || at.Valid() && t.at[i] == at {
			return
		}
	}
	k.reads, t.at = append(k.reads, p), append(t.at, at)
	clear(k.entries)
}

// rowOrScope says that a slot is that of the rule's row, of a scope or of the message.
func (m *Map) rowOrScope(slot int, def *resourceDef) bool {
	if slot == 0 || slot == def.slot {
		return true
	}
	for i := range m.scopes {
		if m.scopes[i].slot == slot {
			return true
		}
	}
	return false
}

// key puts the texts of what the memo reads into the tracer, and where they stand; ok is false where there is no key.
func (k *memo) key(rt *run) bool {
	t := &rt.trace
	t.key, t.at = t.key[:0], t.at[:0]
	for _, p := range k.reads {
		at, text, ok := p.field(rt)
		if !ok || len(t.key)+len(text) > memoBytes {
			return false
		}
		t.at = append(t.at, at)
		if !at.Valid() {
			t.key = append(t.key, 0)
			continue
		}
		t.key = binary.AppendUvarint(t.key, uint64(len(text))+1)
		t.key = append(t.key, text...)
	}
	return true
}

// appendMemo copies what the member wrote for a row that says the same, or writes it.
func (m *member) appendMemo(rt *run, b []byte) ([]byte, bool) {
	k := &rt.memos[m.memo]
	if k.off || rt.moreSlot >= 0 {
		return m.append(rt, b)
	}
	if k.local && (k.message != rt.message || k.scope != rt.current.scope) {
		k.message, k.scope = rt.message, rt.current.scope
		clear(k.entries)
	}
	if !k.key(rt) {
		return m.append(rt, b)
	}
	if e, ok := k.entries[string(rt.trace.key)]; ok {
		k.score = min(k.score+1, memoTries)
		for _, at := range e.marks {
			first := rt.trace.at[at.read]
			if at.below {
				first = firstBelow(first)
			}
			rt.tree.At(first.Index() + at.offset).Mark()
		}
		return append(b, e.out...), e.wrote
	}
	if k.score--; k.score < -memoTries {
		k.off, k.entries = true, nil
	}
	return m.remember(rt, k, b)
}

// firstBelow is the first component of the first repetition that has some.
func firstBelow(n source.Node) source.Node {
	for ; n.Valid(); n = n.NextSame() {
		if c := n.First(); c.Valid() {
			return c
		}
	}
	return n
}

// remember writes the member and keeps how it came about.
func (m *member) remember(rt *run, k *memo, b []byte) ([]byte, bool) {
	t := &rt.trace
	start, findings, unmapped := len(b), len(rt.findings), len(rt.unmapped)
	t.on, t.whole, t.local, rt.memo = true, false, false, k
	rt.tree.Watch(&t.watch)
	b, ok := m.append(rt, b)
	t.on, rt.memo = false, nil
	t.marks = rt.tree.Watched(&t.watch, t.marks[:0])
	marks, placed := k.place(rt)
	if t.whole || !placed {
		k.off, k.entries = true, nil
		return b, ok
	}
	if t.local && !k.local {
		k.local, k.message, k.scope = true, rt.message, rt.current.scope
		clear(k.entries)
	}
	if rt.park != nil || len(rt.findings) > findings || len(rt.unmapped) > unmapped || ok && len(b)-start > memoBytes || !k.key(rt) {
		return b, ok
	}
	if k.entries == nil {
		k.entries = map[string]remembered{}
	} else if len(k.entries) >= memoEntries {
		clear(k.entries)
	}
	e := remembered{wrote: ok, marks: marks}
	if ok {
		e.out = append(e.out, b[start:]...)
	}
	k.entries[string(t.key)] = e
	return b, ok
}

// place finds the fields in which the marks lie; it is false when one lies in none of those that were read.
func (k *memo) place(rt *run) ([]mark, bool) {
	var out []mark
	for _, n := range rt.trace.marks {
		p, i := n, k.holder(rt, n)
		for i < 0 {
			if p = p.Parent(); !p.Valid() {
				return nil, false
			}
			i = k.holder(rt, p)
		}
		first := rt.trace.at[i]
		if p != n {
			first = firstBelow(first)
		}
		out = append(out, mark{read: i, below: p != n, offset: n.Index() - first.Index()})
	}
	return out, true
}

// holder is the read of which p is a repetition, -1: there is none.
func (k *memo) holder(rt *run, p source.Node) int {
	for i, at := range rt.trace.at {
		if at.Valid() && p.Sym() == at.Sym() && p.Parent() == at.Parent() {
			return i
		}
	}
	return -1
}

// memoSet is the memos of a map for the messages of one source.
type memoSet struct {
	m        *Map
	src      *Source
	messages int
	memos    []memo // none for the first message: another may never come
}

// startMemos finds the memos of the map and the source, or makes room for them.
func (rt *run) startMemos() {
	rt.memos = nil
	for i := range rt.sets {
		if s := &rt.sets[i]; s.m == rt.m && s.src == rt.src {
			rt.memos, rt.message = s.next(), s.messages
			return
		}
	}
	s := memoSet{m: rt.m, src: rt.src}
	if len(rt.sets) < memoSets {
		rt.sets = append(rt.sets, s)
		return
	}
	rt.sets[rt.nextSet] = s
	rt.nextSet = (rt.nextSet + 1) % memoSets
}

// next gives the memos for another message.
func (s *memoSet) next() []memo {
	if s.messages++; s.memos == nil {
		s.memos = make([]memo, s.m.memos+1)
	}
	if s.messages%memoMessages == 0 {
		for i := range s.memos {
			if s.memos[i].off {
				s.memos[i] = memo{}
			}
		}
	}
	return s.memos
}
