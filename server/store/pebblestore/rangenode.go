package pebblestore

import (
	"bytes"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"meridian/fhir/search"
)

// rangeNode matches keys that are not in the order of numbers: Prefix, Box,
// Contains, or more points than are merged. Settling it scans its keys and
// collects the numbers; until then a candidate is checked on its forward
// value, or on the facts of its body. A Prefix or Contains that goes over few
// different values (fewValues among the first probeKeys) becomes a merge of the
// lists of those that fit.
type rangeNode struct {
	e     *exec
	expr  search.Expr
	spans []span
	box   *search.Box // for a check on the forward value
	param *paramName
	scope uint32

	iter    *pebble.Iterator // over spans[at], while scanning
	at      int
	scanned int
	numbers []uint64
	removed []uint64   // from the run that follows
	run     []interval // scratch
	state   rangeState
	values  valueCount
	groups  []node // the posting lists of a prefix with few values
}

type rangeState uint8

const (
	scanning rangeState = iota
	collected
	grouped
	givenUp // more than MaxCollect
)

// span is keys [lower, upper) that begin with head bytes of one of these
// kinds and whose rest is accepted.
type span struct {
	lower, upper []byte
	kind         spanKind
	head         int
	accept       func(lo, hi []byte) bool // nil takes all
}

type spanKind uint8

const (
	underScope spanKind = iota // the rest is lo 0 number hi
	underParam                 // the rest is scope lo 0 number hi
	underValue                 // the rest is number hi
)

// valueCount counts different low halves while keys go by in order.
type valueCount struct {
	last  []byte
	count int
}

func (e *exec) buildRange(x search.Expr) node {
	n := &rangeNode{e: e, expr: x}
	var ok bool
	switch x := x.(type) {
	case search.Prefix:
		if lo, hi := splitValue(x.Key.Value); hi != "" {
			return e.prefixInGroup(x.Key, lo, hi)
		}
		ok = n.prefix(&x)
	case search.Box:
		ok = n.boxed(&x)
	case search.Contains:
		ok = n.contains(&x)
	}
	if !ok {
		return noneNode{}
	}
	return n
}

// prefixInGroup is a prefix that reaches beyond a separator: one posting list
// with a condition on the rest.
func (e *exec) prefixInGroup(k search.Key, lo, hi string) node {
	n := e.buildPoint(search.Key{Param: k.Param, Scope: k.Scope, Value: lo})
	if p, ok := n.(*pointNode); ok {
		p.hi, p.starts = hi, true
	}
	return n
}

func (n *rangeNode) names(param, scope string) (prefix []byte, ok bool) {
	if n.param = n.e.param(param); n.param == nil {
		return nil, false
	}
	if n.scope, ok = n.e.store.names.scope(scope); !ok {
		return nil, false
	}
	return scopePrefix(nil, n.e.typ.number, n.param.number, n.scope), true
}

func (n *rangeNode) prefix(x *search.Prefix) bool {
	prefix, ok := n.names(x.Key.Param, x.Key.Scope)
	if !ok {
		return false
	}
	lower := append(slices.Clone(prefix), x.Key.Value...)
	n.spans = []span{{lower: lower, upper: after(lower), head: len(prefix)}}
	return true
}

func (n *rangeNode) boxed(x *search.Box) bool {
	prefix, ok := n.names(x.Param, x.Scope)
	if !ok {
		return false
	}
	n.box = x
	accept := func(lo, hi []byte) bool { return inBox(x, lo, hi) }
	add := func(prefix []byte, from, to string) {
		sp := span{lower: append(slices.Clone(prefix), from...), upper: after(prefix), head: len(prefix), accept: accept}
		if to != "" {
			sp.upper = append(slices.Clone(prefix), to...)
		}
		if bytes.Compare(sp.lower, sp.upper) < 0 {
			n.spans = append(n.spans, sp)
		}
	}
	from, to := lows(x, classNarrow)
	add(prefix, from, to)
	if from == x.LoMin && to == x.LoMax {
		return len(n.spans) > 0
	}
	// The narrow ones among the postings are in that span; the others may be outside of it.
	for class := byte(classWide); class <= classUnordered; class++ {
		if class == lastWide+1 {
			class = classUnordered
		}
		from, to := lows(x, class)
		add(widePrefix(nil, n.e.typ.number, n.param.number, n.scope, class), from, to)
	}
	return len(n.spans) > 0
}

// inBox is search.Box.InBox on the halves of a stored value.
func inBox(x *search.Box, lo, hi []byte) bool {
	if len(hi) > 0 {
		hi = hi[1:] // the separator
	}
	return (x.LoMin == "" || string(lo) >= x.LoMin) && (x.LoMax == "" || string(lo) < x.LoMax) &&
		(x.HiMin == "" || string(hi) >= x.HiMin) && (x.HiMax == "" || string(hi) < x.HiMax)
}

func (n *rangeNode) contains(x *search.Contains) bool {
	if n.param = n.e.param(x.Param); n.param == nil {
		return false
	}
	prefix := paramPrefix(nil, n.e.typ.number, n.param.number)
	var scratch []byte
	n.spans = []span{{lower: prefix, upper: after(prefix), kind: underParam, head: len(prefix), accept: func(lo, hi []byte) bool {
		if len(hi) == 0 {
			return bytes.Contains(lo, []byte(x.Text))
		}
		scratch = append(append(scratch[:0], lo...), hi...)
		return bytes.Contains(scratch, []byte(x.Text))
	}}}
	return true
}

// unionOf is an Or of more points than are merged.
func (e *exec) unionOf(points []*pointNode) node {
	n := &rangeNode{e: e, expr: search.Or{}}
	for _, p := range points {
		n.groups = append(n.groups, p)
		n.spans = append(n.spans, span{lower: p.prefix, upper: after(p.prefix), kind: underValue, head: len(p.prefix),
			accept: func(_, hi []byte) bool { return p.accepts(hi) }})
	}
	return n
}

func (n *rangeNode) list(desc bool) list {
	switch n.state {
	case collected:
		return &sliceList{numbers: n.numbers, desc: desc}
	case grouped:
		return (&orNode{e: n.e, of: n.groups}).list(desc)
	}
	return nil
}

func (n *rangeNode) settled() bool { return n.state != scanning }

func (n *rangeNode) settle(units int) {
	for units > 0 && n.state == scanning && n.e.err == nil {
		units -= n.scan(units)
		if n.scanned >= n.e.tuning.probeKeys && n.values.count <= n.e.tuning.fewValues && n.groups == nil && n.state == scanning {
			if n.groupable() && n.group() {
				n.state = grouped
			}
			n.values.count = n.e.tuning.fewValues + 1 // asked once
		}
	}
}

// scan reads at most so many keys and collects their numbers.
func (n *rangeNode) scan(limit int) (read int) {
	if n.iter == nil {
		if n.at == len(n.spans) {
			n.finish()
			return 0
		}
		sp := &n.spans[n.at]
		if n.iter = n.e.iter(sp.lower, sp.upper); n.iter == nil {
			return limit
		}
		n.e.spend(unitSeek)
		n.iter.First()
	}
	sp := &n.spans[n.at]
	for ; n.iter.Valid() && read < limit; n.iter.Next() {
		read++
		lo, number, hi, ok := sp.cut(n.iter.Key())
		if !ok {
			n.e.fail(errCorrupt)
			break
		}
		if n.values.count <= n.e.tuning.fewValues && !bytes.Equal(lo, n.values.last) {
			n.values.last = append(n.values.last[:0], lo...)
			n.values.count++
		}
		n.take(sp, lo, number, hi)
	}
	n.scanned += read
	n.e.keys += read
	n.e.spend(read)
	if len(n.numbers) > n.e.tuning.maxCollect {
		n.state, n.numbers = givenUp, nil
	} else if !n.iter.Valid() {
		n.e.fail(n.iter.Error())
		n.iter = nil
		n.at++
	}
	return max(read, 1)
}

// take collects the numbers of the key under the iterator.
func (n *rangeNode) take(sp *span, lo []byte, number uint64, hi []byte) {
	run := len(hi) > 0 && hi[0] == runTail
	if run {
		hi = nil
	}
	if sp.accept != nil && !sp.accept(lo, hi) {
		return
	}
	switch {
	case run:
		var err error
		n.run, err = cutRun(n.run[:0], number, n.iter.Value())
		n.e.fail(err)
		for _, x := range n.run {
			for number := x.first; number <= x.last; number++ {
				if !slices.Contains(n.removed, number) {
					n.numbers = append(n.numbers, number)
				}
			}
		}
		n.removed = n.removed[:0]
	case len(hi) == 0 && isRemoved(n.iter.Value()):
		n.removed = append(n.removed, number)
	default:
		n.numbers = append(n.numbers, number)
	}
}

// cut takes a key apart. Under a value lo is empty.
func (sp *span) cut(key []byte) (lo []byte, number uint64, hi []byte, ok bool) {
	rest := key[sp.head:]
	switch sp.kind {
	case underParam:
		if _, rest, ok = cutNum(rest); !ok {
			return nil, 0, nil, false
		}
	case underValue:
		if len(rest) < numberLen {
			return nil, 0, nil, false
		}
		return nil, numberAt(rest[:numberLen]), rest[numberLen:], true
	}
	return cutPosting(rest)
}

// finish sorts what was collected.
func (n *rangeNode) finish() {
	slices.Sort(n.numbers)
	n.e.spend(len(n.numbers) / 2)
	n.numbers = slices.Compact(n.numbers)
	n.state = collected
}

// groupable says that the first half of a value decides whether it fits.
func (n *rangeNode) groupable() bool {
	switch n.expr.(type) {
	case search.Prefix:
		return true
	case search.Contains:
		return n.param.flags.Load()&(paramRanged|paramOdd) == 0
	}
	return false
}

// group finds the different values of the span by skipping from one to the
// next, and of each that fits its list; false when there are more than are
// merged, or more to look at than lookValues times probeKeys.
func (n *rangeNode) group() bool {
	sp := &n.spans[0]
	it := n.e.iter(sp.lower, sp.upper)
	if it == nil {
		return false
	}
	looked := 0
	for ok := it.First(); ok; {
		n.e.spend(2 * unitSeek)
		n.e.keys++
		looked++
		lo, _, _, good := sp.cut(it.Key())
		if !good || looked > lookValues*n.e.tuning.probeKeys {
			n.groups = nil
			return false
		}
		prefix := append(slices.Clone(it.Key()[:sp.valueEnd(it.Key(), lo)]), 0)
		if sp.accept == nil || sp.accept(lo, nil) {
			if len(n.groups) == n.e.tuning.maxMerge {
				n.groups = nil
				return false
			}
			n.groups = append(n.groups, &pointNode{e: n.e, prefix: prefix, starts: true})
		}
		ok = it.SeekGE(after(prefix))
	}
	n.e.fail(it.Error())
	return true
}

const lookValues = 4

// valueEnd is where lo ends in a key.
func (sp *span) valueEnd(key, lo []byte) int {
	at := sp.head
	if sp.kind == underParam {
		_, rest, _ := cutNum(key[at:])
		at = len(key) - len(rest)
	}
	return at + len(lo)
}

func (n *rangeNode) check(number uint64) bool {
	switch {
	case n.state == collected:
		n.e.spend(unitNext)
		_, ok := slices.BinarySearch(n.numbers, number)
		return ok
	case n.box != nil:
		return n.checkBox(number)
	case len(n.groups) > 0 && len(n.groups) <= unitBody/unitSeek || n.points():
		for _, g := range n.groups {
			if g.check(number) {
				return true
			}
		}
		return false
	}
	return n.checkBody(number)
}

// points says whether the node is a union of points, which no single key of a body decides.
func (n *rangeNode) points() bool {
	_, ok := n.expr.(search.Or)
	return ok
}

func (n *rangeNode) checkBox(number uint64) bool {
	f := n.e.forwardOf(n.param)
	in := false
	if value := f.get(number); value != nil {
		whole, err := eachRange(value, func(r []byte, scope uint32) bool {
			lo, hi := splitBytes(r)
			in = scope == n.scope && inBox(n.box, lo, hi)
			return in
		})
		n.e.fail(err)
		if whole {
			return in
		}
	}
	if n.param.flags.Load()&paramOdd == 0 {
		return false
	}
	return n.checkBody(number)
}

func (n *rangeNode) checkBody(number uint64) bool {
	facts := n.e.factsOf(number)
	if facts == nil {
		return false
	}
	return search.MatchFacts(n.expr, "", facts)
}

func (n *rangeNode) weight() int {
	switch {
	case n.state == collected:
		return unitNext
	case n.box != nil:
		return unitForward
	case n.points():
		return unitSeek * len(n.groups)
	}
	return unitBody
}
