package pebblestore

import (
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"meridian/fhir/search"
)

// walk reads the list of the first sort key in order: wide ranges that lie
// before the part that it is narrowed to, that part, wide ranges behind it, and
// then the resources that have no value. Where there are more sort keys, what
// has the same first value is a group, which is collected and sorted.
type walk struct {
	r      *run
	order  search.Order
	byID   bool
	param  *paramName
	prefix []byte // of the list; the sort value follows

	before, behind []entry
	iter           *pebble.Iterator // nil when there is no list, or it is over
	started        bool
	last           uint64 // number of the entry before, for ranges with one low bound
	rest           list   // those without a value
	restAt         uint64
	inRest         bool

	group     *collect // nil with one sort key
	groupText string

	hits  []hit
	spent int
}

// entry is one place of a sort list.
type entry struct {
	text   []byte
	number uint64
}

// newWalk is nil when no list is in the order asked for.
func (r *run) newWalk() *walk {
	w := &walk{r: r, order: r.plan.Sort[0]}
	if len(r.plan.Sort) > 1 || r.down != w.order.Desc {
		w.group = r.newCollect()
	}
	at := r.plan.After
	if !w.find() {
		return nil
	}
	if at != nil && at.Values[0] == nil {
		if w.group == nil {
			w.restAt = place(at.Number, w.order.Desc) + 1
		}
		return w
	}
	if w.prefix == nil {
		return w
	}
	lower, upper := w.prefix, after(w.prefix)
	if w.param != nil && w.param.flags.Load()&(paramRanged|paramMulti|paramOdd) == paramRanged {
		lower, upper = w.narrow(lower, upper)
	}
	if w.iter = r.listIter(lower, upper); w.iter == nil {
		return nil
	}
	if at != nil {
		w.skip(&w.before)
		w.skip(&w.behind)
	}
	return w
}

// find sets the prefix of the list in the order asked for, and leaves it nil
// when the parameter has no values at all; false when there is no such list.
func (w *walk) find() bool {
	t := w.r.typ
	if isID(w.order.Param) {
		w.byID = true
		w.prefix = appendNum([]byte{prefixID}, t.number)
		return true
	}
	if w.param = w.r.param(w.order.Param); w.param == nil {
		return true
	}
	switch w.param.flags.Load() & (paramRanged | paramPlain | paramLoose) {
	case 0:
	case paramRanged:
		w.prefix = scopePrefix(nil, t.number, w.param.number, 0)
	case paramPlain:
		w.prefix = sortPrefix(nil, t.number, w.param.number)
	default:
		return false
	}
	return true
}

func isID(param string) bool { return param == "" || param == "_id" }

// maxStragglers is how many wide ranges a narrowed walk sorts in; with more it is not narrowed.
const maxStragglers = 10_000

// narrow keeps the walk to the low bounds that the plan's boxes on the same
// parameter let narrow ranges have, as long as no resource has two values.
func (w *walk) narrow(lower, upper []byte) (from, to []byte) {
	from, to = lower, upper
	var all [][]search.Box
	for _, x := range conjuncts(w.r.plan.Where) {
		boxes := w.boxes(x)
		if len(boxes) == 0 {
			continue
		}
		all = append(all, boxes)
		least, most := lower, lower
		for i := range boxes {
			lo, hi := lows(&boxes[i], classNarrow)
			a, b := append(slices.Clone(w.prefix), lo...), upper
			if hi != "" {
				b = append(slices.Clone(w.prefix), hi...)
			}
			if i == 0 || string(a) < string(least) {
				least = a
			}
			if string(b) > string(most) {
				most = b
			}
		}
		from, to = []byte(max(string(from), string(least))), []byte(min(string(to), string(most)))
	}
	if string(from) > string(to) {
		from = to
	}
	for _, boxes := range all {
		if w.gather(boxes, from, to) {
			// What has no value matches no box.
			w.rest = emptyList{}
			return from, to
		}
	}
	return lower, upper
}

// boxes are the alternatives of a criterion that is about the sort parameter only, else nil.
func (w *walk) boxes(x search.Expr) []search.Box {
	of := []search.Expr{x}
	if or, ok := x.(search.Or); ok {
		of = or.Of
	}
	var out []search.Box
	for _, x := range of {
		b, ok := x.(search.Box)
		if !ok || b.Param != w.order.Param || b.Scope != "" {
			return nil
		}
		out = append(out, b)
	}
	return out
}

// conjuncts are the criteria that must all hold.
func conjuncts(x search.Expr) []search.Expr {
	and, ok := x.(search.And)
	if !ok {
		return []search.Expr{x}
	}
	var out []search.Expr
	for _, of := range and.Of {
		out = append(out, conjuncts(of)...)
	}
	return out
}

// gather collects the wide ranges in one of the boxes that stand outside of
// [from, to); false when there are too many.
func (w *walk) gather(boxes []search.Box, from, to []byte) bool {
	var out []entry
	for i := range boxes {
		n := rangeNode{e: w.r.exec}
		n.boxed(&boxes[i])
		for _, sp := range n.spans {
			if sp.lower[0] != prefixWide {
				continue
			}
			it := w.r.listIter(sp.lower, sp.upper)
			if it == nil {
				return false
			}
			for it.First(); it.Valid(); it.Next() {
				w.r.spend(unitNext)
				w.r.keys++
				lo, number, hi, ok := sp.cut(it.Key())
				if !ok {
					w.r.fail(errCorrupt)
					return false
				}
				at := string(w.prefix) + string(lo)
				if (at < string(from) || at >= string(to)) && sp.accept(lo, hi) {
					out = append(out, entry{slices.Clone(lo), number})
				}
				if len(out) > maxStragglers {
					return false
				}
			}
		}
	}
	w.place(out, from)
	return true
}

// place puts gathered entries into the order of the walk.
func (w *walk) place(out []entry, from []byte) {
	slices.SortFunc(out, w.compare)
	out = slices.CompactFunc(out, func(a, b entry) bool { return w.compare(a, b) == 0 })
	for _, x := range out {
		if (string(w.prefix)+string(x.text) < string(from)) != w.order.Desc {
			w.before = append(w.before, x)
		} else {
			w.behind = append(w.behind, x)
		}
	}
}

func (w *walk) compare(a, b entry) int {
	c := compareText(a.text, string(b.text))
	if c == 0 && a.number != b.number {
		c = 1
		if a.number < b.number {
			c = -1
		}
	}
	if w.order.Desc {
		return -c
	}
	return c
}

// skip drops the entries up to the cursor; of its group none.
func (w *walk) skip(entries *[]entry) {
	at := entry{[]byte(*w.r.plan.After.Values[0]), w.r.plan.After.Number}
	*entries = slices.DeleteFunc(*entries, func(x entry) bool {
		return w.compare(x, at) <= 0 && (w.group == nil || string(x.text) != string(at.text))
	})
}

func (w *walk) name() string {
	if w.byID {
		return "walk _id"
	}
	return "walk " + w.order.Param
}

// needs foretells what fills the page, at the rate at which hits came so far.
func (w *walk) needs() int { return foretell(w.spent, w.r.want, len(w.hits)) }

func (w *walk) taken() []hit { return w.hits }

func foretell(spent, want, hits int) int {
	return int(float64(spent) * float64(want-hits) / max(float64(hits), 0.5))
}

// run goes on until the page is full or the walk is over (true), or so many units are spent.
func (w *walk) run(units int) (done bool) {
	began := w.r.units
	defer func() { w.spent += w.r.units - began }()
	for w.r.err == nil && len(w.hits) < w.r.want {
		if w.r.units-began >= units {
			return false
		}
		if !w.next() {
			return true
		}
	}
	return true
}

// next looks at the next entry; false when the walk is over.
func (w *walk) next() bool {
	switch {
	case len(w.before) > 0:
		w.take(w.before[0])
		w.before = w.before[1:]
	case w.iter != nil:
		if w.advance() {
			w.look()
			break
		}
		w.r.fail(w.iter.Error())
		w.iter = nil
	case len(w.behind) > 0:
		w.take(w.behind[0])
		w.behind = w.behind[1:]
	default:
		return w.missing()
	}
	return true
}

// advance moves to the next entry of the list.
func (w *walk) advance() bool {
	w.r.spend(unitNext)
	w.r.keys++
	switch {
	case w.started && w.order.Desc:
		return w.iter.Prev()
	case w.started:
		return w.iter.Next()
	}
	w.started = true
	w.r.spend(unitSeek)
	at := w.r.plan.After
	if at == nil {
		if w.order.Desc {
			return w.iter.Last()
		}
		return w.iter.First()
	}
	key := append(slices.Clone(w.prefix), *at.Values[0]...)
	switch {
	case w.group != nil && w.order.Desc: // the whole group once more
		return w.iter.SeekLT(append(key, 1))
	case w.group != nil:
		return w.iter.SeekGE(key)
	case w.byID && w.order.Desc:
		return w.iter.SeekLT(key)
	case w.byID:
		return w.iter.SeekGE(append(key, 0))
	case w.order.Desc:
		return w.iter.SeekLT(appendNumber(append(key, 0), at.Number))
	}
	return w.iter.SeekGE(appendNumber(append(key, 0), at.Number+1))
}

// look reads the entry under the iterator.
func (w *walk) look() {
	rest, value := w.iter.Key()[len(w.prefix):], w.iter.Value()
	if w.byID {
		if len(value) != numberLen {
			w.r.fail(errCorrupt)
			return
		}
		number := numberAt(value)
		if _, live := w.r.presence(number); live {
			w.take(entry{rest, number})
		}
		return
	}
	text, number, hi, ok := cutPosting(rest)
	if !ok {
		w.r.fail(errCorrupt)
		return
	}
	if w.prefix[0] == prefixPosting && (len(hi) == 0 || hi[0] == runTail) {
		return // a point: no range
	}
	want := byte(lowest)
	if w.order.Desc {
		want = highest
	}
	// Ranges of one resource with the same low bound stand side by side.
	if len(value) > 0 && value[0]&want == 0 || number == w.last {
		return
	}
	w.last = number
	w.take(entry{text, number})
}

// take makes an entry a hit if it matches.
func (w *walk) take(x entry) {
	w.r.checked++
	if w.group != nil && string(x.text) != w.groupText {
		w.flush()
		w.groupText = string(x.text)
	}
	if !w.r.where.check(x.number) {
		return
	}
	if w.group != nil {
		w.group.add(x.number)
		return
	}
	v := string(x.text)
	if w.r.residual(x.number) {
		w.hits = append(w.hits, w.r.hit(x.number, []*string{&v}))
	}
}

// flush makes the group hits, in its order.
func (w *walk) flush() {
	if w.group != nil {
		w.hits = append(w.hits, w.group.result()...)
		w.group.first = w.group.first[:0]
	}
}

// missing takes the next row without a value; false when there is none.
func (w *walk) missing() bool {
	if !w.inRest {
		w.inRest = true
		w.flush()
		if w.byID {
			w.rest = emptyList{}
		}
		if w.rest == nil {
			w.rest = w.r.driveMissing(w.param, w.order.Desc)
		}
		return true
	}
	p, ok := w.rest.seek(w.restAt)
	if !ok {
		w.flush()
		return false
	}
	w.restAt = p + 1
	switch number := place(p, w.order.Desc); {
	case w.group != nil:
		w.group.add(number)
	case w.r.residual(number):
		w.hits = append(w.hits, w.r.hit(number, []*string{nil}))
	}
	return p != ^uint64(0)
}

// driveMissing lists what matches and has no forward value of a parameter.
func (r *run) driveMissing(p *paramName, desc bool) list {
	if p == nil {
		return r.drive(r.where, desc)
	}
	of := []node{r.where}
	if and, ok := r.where.(*andNode); ok {
		of = slices.Clone(and.of)
	}
	return r.drive(&andNode{e: r.exec, of: append(of, &notNode{of: &forwardNode{e: r.exec, param: p}})}, desc)
}

// forwardNode matches what has a forward value of a parameter.
type forwardNode struct {
	plain
	e     *exec
	param *paramName
}

func (n *forwardNode) list(bool) list           { return nil }
func (n *forwardNode) check(number uint64) bool { return n.e.forwardOf(n.param).get(number) != nil }
func (n *forwardNode) weight() int              { return unitForward }
