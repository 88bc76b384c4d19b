package pebblestore

import (
	"encoding/binary"
	"sort"

	"github.com/cockroachdb/pebble/v2"
)

// A list is a stream of resource numbers in ascending order of places, where
// the place of a number is the number itself, or its complement when the list
// runs downward. seek gives the first place at or after at; at never falls
// from call to call. After the end, or an error of the exec, ok stays false.
type list interface {
	seek(at uint64) (place uint64, ok bool)
	// remaining is at most how many places are still to come, or limit if
	// that is less; it costs as many units as it gives.
	remaining(limit int) int
}

// place turns a number into its place, and back.
func place(number uint64, desc bool) uint64 {
	if desc {
		return ^number
	}
	return number
}

// emptyList has no numbers.
type emptyList struct{}

func (emptyList) seek(uint64) (uint64, bool) { return 0, false }
func (emptyList) remaining(int) int          { return 0 }

// sliceList runs over sorted numbers.
type sliceList struct {
	numbers []uint64 // ascending
	desc    bool
	next    int
}

func (l *sliceList) seek(at uint64) (uint64, bool) {
	low, high := l.next, l.next
	for step := 1; high < len(l.numbers) && l.get(high) < at; step *= 2 {
		low, high = high+1, high+step
	}
	high = min(high, len(l.numbers))
	l.next = low + sort.Search(high-low, func(i int) bool { return l.get(low+i) >= at })
	if l.next == len(l.numbers) {
		return 0, false
	}
	return l.get(l.next), true
}

func (l *sliceList) remaining(limit int) int { return min(len(l.numbers)-l.next, limit) }

func (l *sliceList) get(i int) uint64 {
	if l.desc {
		return ^l.numbers[len(l.numbers)-1-i]
	}
	return l.numbers[i]
}

// keyList runs over the keys of one prefix, after which a number follows:
// a posting list (prefix up to the 0 after lo, then number, then hi) or A.
type keyList struct {
	e      *exec
	iter   *pebble.Iterator
	desc   bool
	prefix int
	key    []byte
	accept func(rest, value []byte) bool // on what follows the number, and the value; nil takes all
	place  uint64
	valid  bool
	ended  bool
}

func (e *exec) keyList(prefix []byte, desc bool, accept func(rest, value []byte) bool) list {
	it := e.listIter(prefix, after(prefix))
	if it == nil {
		return emptyList{}
	}
	e.spend(2 * unitSeek)
	return &keyList{e: e, iter: it, desc: desc, prefix: len(prefix), key: append([]byte(nil), prefix...), accept: accept}
}

func (l *keyList) seek(at uint64) (uint64, bool) {
	if l.ended || l.valid && l.place >= at {
		return l.place, !l.ended
	}
	ok := l.move(at)
	for ok && !l.take(at) {
		ok = l.step()
	}
	if !ok || l.e.err != nil {
		l.e.fail(l.iter.Error())
		l.ended = true
		return 0, false
	}
	return l.place, true
}

// move positions the iterator at the first key at or after a place.
func (l *keyList) move(at uint64) bool {
	if l.valid && at == l.place+1 {
		return l.step()
	}
	l.valid = true
	l.e.spend(unitSeek)
	l.e.keys++
	if !l.desc {
		l.key = appendNumber(l.key[:l.prefix], at)
		return l.iter.SeekGE(l.key)
	}
	// Downward, keys of the number itself, with any rest, are still wanted.
	number := ^at
	if number == ^uint64(0) {
		return l.iter.Last()
	}
	l.key = appendNumber(l.key[:l.prefix], number+1)
	return l.iter.SeekLT(l.key)
}

func (l *keyList) step() bool {
	l.e.spend(unitNext)
	l.e.keys++
	if l.desc {
		return l.iter.Prev()
	}
	return l.iter.Next()
}

func (l *keyList) remaining(limit int) int {
	lower, upper := l.key[:l.prefix:l.prefix], after(l.key[:l.prefix])
	switch {
	case l.ended:
		return 0
	case l.valid && l.desc:
		upper = appendNumber(lower, ^l.place)
	case l.valid:
		lower = appendNumber(lower, l.place)
	}
	it := l.e.listIter(lower, upper)
	if it == nil {
		return 0
	}
	n := 0
	for it.First(); n < limit && it.Valid(); it.Next() {
		n++
	}
	l.e.fail(it.Error())
	l.e.keys += n
	l.e.spend(unitSeek + n)
	return n
}

// count gives how many places the list has, counting to one above limit (0: all).
// The list must not have been read yet, and is over afterwards.
func (l *keyList) count(limit int) int {
	n, read := 0, 0
	last, any := uint64(0), false
	for ok := l.iter.First(); ok && (limit == 0 || n <= limit); ok = l.iter.Next() {
		if read++; read%tickUnits == 0 {
			if l.e.spend(tickUnits); l.e.err != nil {
				break
			}
		}
		rest := l.iter.Key()[l.prefix:]
		if len(rest) < numberLen {
			l.e.fail(errCorrupt)
			break
		}
		number := binary.BigEndian.Uint64(rest)
		if any && number == last || l.accept != nil && !l.accept(rest[numberLen:], l.iter.Value()) {
			continue
		}
		last, any = number, true
		n++
	}
	l.e.fail(l.iter.Error())
	l.e.keys += read
	l.ended = true
	return n
}

// take reads the key under the iterator; false when it is not to be given.
func (l *keyList) take(at uint64) bool {
	rest := l.iter.Key()[l.prefix:]
	if len(rest) < numberLen {
		l.e.fail(errCorrupt)
		return true
	}
	p := place(binary.BigEndian.Uint64(rest), l.desc)
	if p < at {
		return false
	}
	if l.accept != nil && !l.accept(rest[numberLen:], l.iter.Value()) {
		return false
	}
	l.place = p
	return true
}

// mergeList is the union of lists: a heap by their places.
type mergeList struct {
	heap  []mergeEntry
	begun bool
}

type mergeEntry struct {
	place uint64
	list  list
}

func newMerge(lists []list) *mergeList {
	m := &mergeList{heap: make([]mergeEntry, len(lists))}
	for i, l := range lists {
		m.heap[i].list = l
	}
	return m
}

func (m *mergeList) seek(at uint64) (uint64, bool) {
	if !m.begun {
		m.begin(at)
	}
	for len(m.heap) > 0 && m.heap[0].place < at {
		p, ok := m.heap[0].list.seek(at)
		m.heap[0].place = p
		if !ok {
			last := len(m.heap) - 1
			m.heap[0] = m.heap[last]
			m.heap = m.heap[:last]
		}
		m.down(0)
	}
	if len(m.heap) == 0 {
		return 0, false
	}
	return m.heap[0].place, true
}

func (m *mergeList) remaining(limit int) int {
	n := 0
	for i := range m.heap {
		if n += m.heap[i].list.remaining(limit - n); n >= limit {
			break
		}
	}
	return n
}

// begin moves every list to its first place.
func (m *mergeList) begin(at uint64) {
	m.begun = true
	kept := m.heap[:0]
	for _, entry := range m.heap {
		if p, ok := entry.list.seek(at); ok {
			kept = append(kept, mergeEntry{p, entry.list})
		}
	}
	m.heap = kept
	for i := len(kept)/2 - 1; i >= 0; i-- {
		m.down(i)
	}
}

// down restores the heap below i.
func (m *mergeList) down(i int) {
	for {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < len(m.heap); c++ {
			if m.heap[c].place < m.heap[least].place {
				least = c
			}
		}
		if least == i {
			return
		}
		m.heap[i], m.heap[least] = m.heap[least], m.heap[i]
		i = least
	}
}

// conjunction gives the numbers that are in all lists and pass all checks.
// While its checks cost much it settles them (node.settle) with as much
// effort as it spends on checking, so that it costs at most twice the better
// of both ways without knowing either beforehand.
type conjunction struct {
	e       *exec
	desc    bool
	lists   []list
	checks  []node
	page    bool // only the first matches are wanted: checks that pass were not in vain
	paid    int  // units spent on lists and checks
	settled int  // units spent on settling

	until  int    // a seek ends without a match when the search has spent so many units; 0 is never
	at     uint64 // where such a seek goes on
	paused bool   // the last seek ended so
}

func (c *conjunction) seek(at uint64) (uint64, bool) {
	for c.paused = false; c.e.err == nil; {
		if c.until > 0 && c.e.units >= c.until {
			c.at, c.paused = at, true
			return 0, false
		}
		if c.paid-c.settled > c.e.tuning.settleAfter {
			c.settle()
		}
		before := c.e.units
		p, ok := c.agree(at)
		if !ok {
			return 0, false
		}
		passed := c.passes(place(p, c.desc))
		if !passed || !c.page {
			c.paid += c.e.units - before
		}
		if passed {
			return p, c.e.err == nil
		}
		if p == ^uint64(0) {
			return 0, false
		}
		at = p + 1
	}
	return 0, false
}

// remaining is that of the shortest list.
func (c *conjunction) remaining(limit int) int {
	for _, l := range c.lists {
		limit = l.remaining(limit)
	}
	return limit
}

// agree leapfrogs to the first place that all lists have.
func (c *conjunction) agree(at uint64) (uint64, bool) {
	for i, same := 0, 0; same < len(c.lists); i = (i + 1) % len(c.lists) {
		p, ok := c.lists[i].seek(at)
		if !ok {
			return 0, false
		}
		if p != at {
			at, same = p, 0
		}
		same++
	}
	return at, true
}

func (c *conjunction) passes(number uint64) bool {
	c.e.checked++
	for _, n := range c.checks {
		if !n.check(number) {
			return false
		}
	}
	return true
}

// settle spends what was paid since on the nodes that are still checked.
func (c *conjunction) settle() {
	open := 0
	for _, n := range c.checks {
		if !n.settled() {
			open++
		}
	}
	if open == 0 {
		c.settled = c.paid
		return
	}
	budget := max(c.paid-c.settled, 1) / open
	kept := c.checks[:0]
	for _, n := range c.checks {
		if !n.settled() {
			n.settle(budget)
			if l := n.list(c.desc); l != nil {
				c.lists = append(c.lists, l)
				continue
			}
		}
		kept = append(kept, n)
	}
	c.checks = kept
	c.settled = c.paid
}
