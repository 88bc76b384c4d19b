package fhirpath

import (
	"hash/maphash"

	"meridian/fhir/element"
	"meridian/fhir/value"
)

// itemSet keeps items that are not equal to each other, in the order in which
// they came.
type itemSet struct {
	ev     *evaluator // pays for comparisons
	items  []Item
	byHash map[uint64][]int32 // indexes into items, once there are more than smallSet
	seed   maphash.Seed
}

// smallSet is how many items are compared one by one.
const smallSet = 8

// add says whether i was new.
func (s *itemSet) add(i Item) bool {
	if s.byHash == nil && len(s.items) < smallSet {
		if s.ev.includes(s.items, i) {
			return false
		}
		s.items = append(s.items, i)
		return true
	}
	if s.byHash == nil {
		s.seed = maphash.MakeSeed()
		s.byHash = make(map[uint64][]int32)
		for k, old := range s.items {
			h := s.hash(old)
			s.byHash[h] = append(s.byHash[h], int32(k))
		}
	}
	h := s.hash(i)
	for _, k := range s.byHash[h] {
		if s.ev.charge(1) && s.ev.equal(s.items[k], i) == yes {
			return false
		}
	}
	s.byHash[h] = append(s.byHash[h], int32(len(s.items)))
	s.items = append(s.items, i)
	return true
}

// has says whether an equal item was added.
func (s *itemSet) has(i Item) bool {
	if s.byHash == nil {
		return s.ev.includes(s.items, i)
	}
	for _, k := range s.byHash[s.hash(i)] {
		if s.ev.charge(1) && s.ev.equal(s.items[k], i) == yes {
			return true
		}
	}
	return false
}

// hash is the same for equal items.
func (s *itemSet) hash(i Item) uint64 {
	var h maphash.Hash
	h.SetSeed(s.seed)
	if i.kind == Element && systemKind(i.node.TypeID()) == 0 {
		hashShape(&h, i.node)
		return h.Sum64()
	}
	v, ok := i.System()
	if !ok {
		return 1
	}
	hashValue(&h, v)
	return h.Sum64()
}

// hashValue writes what equal values have in common: text, number, moment; of
// a quantity, which may be equal to one of another unit, nothing.
func hashValue(h *maphash.Hash, v Item) {
	switch d, ok := v.decimal(); {
	case ok:
		var buf [64]byte
		h.Write(d.AppendKey(buf[:0]))
	case v.kind == String:
		h.WriteString(v.str)
	case v.kind == Boolean:
		h.WriteByte(byte(v.num))
	case v.kind == Date || v.kind == DateTime:
		lo, _ := v.box.(value.DateTime).Interval(nil)
		var buf [16]byte
		h.Write(lo.AppendKey(buf[:0]))
	case v.kind == Time:
		t := v.box.(value.Time)
		h.Write([]byte{byte(t.Hour()), byte(t.Minute()), byte(t.Second())})
	}
}

// hashShape writes the names of n's children and their strings.
func hashShape(h *maphash.Hash, n element.Node) {
	for c := n.First(); c.Valid(); c = c.Next() {
		h.WriteString(c.Name())
		switch systemKind(c.TypeID()) {
		case String:
			h.Write(c.Bytes())
		case 0:
			hashShape(h, c)
		}
	}
	h.WriteByte(0)
}

// distinct pushes the items that are not equal to one before.
func (ev *evaluator) distinct(in []Item) {
	if len(in) <= smallSet {
		from := len(ev.stack)
		for _, i := range in {
			if !ev.includes(ev.stack[from:], i) {
				ev.push(i)
			}
		}
		return
	}
	s := itemSet{ev: ev, items: make([]Item, 0, min(len(in), smallSet))}
	for _, i := range in {
		if s.add(i) {
			ev.push(i)
		}
	}
}
