package pebblestore

import (
	"bytes"
	"encoding/binary"

	"github.com/cockroachdb/pebble/v2"
)

// pointList runs over the points of one prefix (run.go), a group of keys at a
// time: one point, or a run with the marks before it.
type pointList struct {
	e      *exec
	iter   *pebble.Iterator
	desc   bool
	prefix int
	key    []byte
	begun  bool
	ended  bool

	group   []interval // numbers of the group, ascending, with its marks applied
	next    int        // the interval in group that the last seek gave, in the order of reading
	removed []uint64   // marks on the way to their run
	added   []uint64

	from, to uint64 // what group decides, for has

	groups, smalls int    // met, and how many of them are small
	lowest         uint64 // number of a small one
}

func (e *exec) pointList(prefix []byte, desc bool) *pointList {
	return e.pointsOn(e.listIter(prefix, after(prefix)), prefix, desc)
}

func (e *exec) pointsOn(it *pebble.Iterator, prefix []byte, desc bool) *pointList {
	e.spend(2 * unitSeek)
	return &pointList{e: e, iter: it, ended: it == nil, desc: desc, prefix: len(prefix), key: bytes.Clone(prefix), from: 1}
}

func (l *pointList) seek(at uint64) (uint64, bool) {
	for !l.ended && l.e.err == nil {
		if p, ok := l.inGroup(at); ok {
			return p, true
		}
		if l.next = 0; l.desc {
			l.down(^at)
		} else {
			l.up(at)
		}
	}
	return 0, false
}

// inGroup is the first place of the group at or after at.
func (l *pointList) inGroup(at uint64) (uint64, bool) {
	for ; l.next < len(l.group); l.next++ {
		if l.desc {
			if x := l.group[len(l.group)-1-l.next]; x.first <= ^at {
				return ^min(x.last, ^at), true
			}
		} else if x := l.group[l.next]; x.last >= at {
			return max(x.first, at), true
		}
	}
	return 0, false
}

// gallop is how many keys a list goes on by before it seeks. A step costs a
// tenth of a seek, and lists of one commit each, which lie side by side, need one.
const gallop = 3

// up reads the next group that ends at or after a number.
func (l *pointList) up(at uint64) {
	ok := false
	for n := 0; ; n++ {
		if !l.begun || n == gallop {
			l.begun = true
			ok = l.seekGE(at)
			break
		}
		if ok = l.step(l.iter.Next()); !ok || l.number() >= at {
			break
		}
	}
	l.removed, l.added = l.removed[:0], l.added[:0]
	for ; ok; ok = l.step(l.iter.Next()) {
		if l.take() {
			l.to = l.number()
			if len(l.removed) > 0 {
				l.e.store.sweeper.marked(l.key[:l.prefix], l.to, countOf(l.group), len(l.removed))
			}
			l.met()
			l.apply()
			return
		}
	}
	l.finish()
}

// down reads the next group that begins at or before a number. The iterator
// stands on what was not read yet.
func (l *pointList) down(at uint64) {
	ok := l.begun && l.iter.Valid()
	if !l.begun || ok && l.number() > at {
		l.begun = true
		ok = l.land(at)
	}
	l.removed, l.added = l.removed[:0], l.added[:0]
	for ok && !l.take() {
		ok = l.step(l.iter.Prev())
	}
	if !ok {
		l.finish()
		return
	}
	// Its marks follow, which take puts aside.
	for ok = l.step(l.iter.Prev()); ok && l.marked(); ok = l.step(l.iter.Prev()) {
		l.take()
	}
	l.met()
	l.apply()
}

// met counts the group that was read, and hints at a list of small ones.
func (l *pointList) met() {
	l.groups++
	if !small(l.group) {
		return
	}
	if first := l.group[0].first; l.smalls == 0 || first < l.lowest {
		l.lowest = first
	}
	if l.smalls++; l.smalls%l.e.tuning.foldAfter == 0 && 4*l.smalls >= 3*l.groups {
		l.e.store.sweeper.hint(stretch{string(l.key[:l.prefix]), l.lowest, true})
	}
}

// land moves to the highest key that can have a point at or below a number: a run that reaches across it, or the key at or before it.
func (l *pointList) land(at uint64) bool {
	for ok := l.seekGE(at); ok; ok = l.step(l.iter.Next()) {
		tail := l.tail()
		if len(tail) == 0 && len(l.iter.Value()) == 0 {
			break
		}
		if len(tail) == 0 || tail[0] != runTail {
			continue
		}
		if l.take(); len(l.group) > 0 && l.group[0].first <= at {
			return true
		}
		break
	}
	l.e.spend(unitSeek)
	if at == ^uint64(0) {
		return l.step(l.iter.Last())
	}
	l.key = appendNumber(l.key[:l.prefix], at+1)
	return l.step(l.iter.SeekLT(l.key))
}

func (l *pointList) seekGE(at uint64) bool {
	l.e.spend(unitSeek - unitNext)
	l.key = appendNumber(l.key[:l.prefix], at)
	return l.step(l.iter.SeekGE(l.key))
}

// step counts a key.
func (l *pointList) step(ok bool) bool {
	l.e.spend(unitNext)
	l.e.keys++
	if ok && len(l.iter.Key()) < l.prefix+numberLen {
		l.e.fail(errCorrupt)
		return false
	}
	return ok
}

func (l *pointList) number() uint64 { return binary.BigEndian.Uint64(l.iter.Key()[l.prefix:]) }

func (l *pointList) tail() []byte { return l.iter.Key()[l.prefix+numberLen:] }

// marked says whether the key under the iterator belongs to the run behind it, or to no list of points.
func (l *pointList) marked() bool {
	tail := l.tail()
	return len(tail) > 0 && tail[0] != runTail || len(tail) == 0 && len(l.iter.Value()) > 0
}

// take reads the key under the iterator; true when it is a group's last one, which is then in group.
func (l *pointList) take() bool {
	tail := l.tail()
	var err error
	switch {
	case len(tail) == 0:
		var mark byte
		switch mark, err = pointMark(l.iter.Value()); mark {
		case pointRemoved:
			l.removed = append(l.removed, l.number())
		case pointAdded:
			l.added = append(l.added, l.number())
		default:
			l.group = append(l.group[:0], interval{l.number(), l.number()})
			return true
		}
	case tail[0] == runTail:
		l.group, err = cutRun(l.group[:0], l.number(), l.iter.Value())
		l.e.fail(err)
		return true
	}
	l.e.fail(err)
	return false
}

// apply puts the marks into the group.
func (l *pointList) apply() {
	for _, n := range l.removed {
		l.group = without(l.group, n)
	}
	for _, n := range l.added {
		l.group = with(l.group, n)
	}
}

func (l *pointList) finish() {
	l.e.fail(l.iter.Error())
	l.ended, l.group, l.to = true, l.group[:0], ^uint64(0)
}

// has says whether a number has the point; the list is then used for nothing else.
func (l *pointList) has(number uint64) bool {
	if l.iter == nil {
		return false
	}
	if number < l.from || number > l.to {
		l.from, l.begun, l.ended = number, false, false
		l.up(number)
	}
	return within(l.group, number)
}

func (l *pointList) remaining(limit int) int {
	if l.ended {
		return 0
	}
	rest := l.e.pointList(l.key[:l.prefix], l.desc)
	at := uint64(0)
	if l.next < len(l.group) {
		if x := l.group[l.next]; !l.desc {
			at = x.first
		} else {
			at = ^l.group[len(l.group)-1-l.next].last
		}
	}
	n := rest.sum(at, limit)
	l.e.spend(n)
	return min(n, limit)
}

// count gives how many points the list has, counting to one above limit (0: all).
func (l *pointList) count(limit int) int {
	if limit == 0 {
		return l.sum(0, int(^uint(0)>>1))
	}
	return min(l.sum(0, limit+1), limit+1)
}

// sum counts places at or after at, group by group, until there are so many.
func (l *pointList) sum(at uint64, enough int) int {
	n := 0
	for n < enough {
		p, ok := l.seek(at)
		if !ok {
			break
		}
		for ; l.next < len(l.group); l.next++ {
			if x := l.group[l.next]; l.desc {
				x = l.group[len(l.group)-1-l.next]
				n += int(min(x.last, ^p)-x.first) + 1
				at = ^x.first
			} else {
				n += int(x.last-max(x.first, p)) + 1
				at = x.last
			}
		}
		if at++; at == 0 {
			break
		}
	}
	return n
}
