package pebblestore

import (
	"cmp"
	"container/heap"
	"math"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"meridian/fhir/search"
)

// A sorted page is made in one of two ways:
//
//	walk      read the sort parameter's list in order and check each entry; costs page × total / matches
//	collect   drive all matches, look their sort values up, keep the first ones; costs the matches
//
// Neither number is known beforehand, and filters correlate with sort
// parameters. So each gets a first turn, in which a dense page is walked and a
// selective one collected. Then the walk foretells what it still needs, and
// the keys that collecting still has to go through are counted as far as that
// would be cheaper, which costs a tenth of it. A walk that was chosen and
// needs twice what it foretold is asked again. Nothing done is lost. More than
// one sort key is always collected.
func (r *run) sorted() {
	w := r.newWalk()
	c := r.newCollect()
	if w == nil {
		c.run(math.MaxInt)
		r.hits, r.strategy = c.result(), "collect and sort"
		return
	}
	turn := r.tuning.firstTurn
	walked, collected := w.run(turn), false
	if !walked {
		collected = c.run(turn)
	}
	for !walked && !collected && r.err == nil {
		need := max(w.needs(), turn)
		enough := need / collectUnits
		if c.list.remaining(enough+1) <= enough {
			collected = c.run(math.MaxInt)
		} else {
			walked = w.run(2 * need)
		}
	}
	if collected {
		r.hits, r.strategy = c.result(), "collect and sort"
		return
	}
	r.hits, r.strategy = w.hits, w.name()
}

// collectUnits is what collecting one match costs.
const collectUnits = unitNext + unitForward

// walk reads a sort list.
type walk struct {
	r       *run
	order   search.Order
	byID    bool
	param   *paramName
	iter    *pebble.Iterator
	head    int // bytes before the sort value
	started bool
	ended   bool   // of the list; those without a value follow
	last    uint64 // number of the entry before, for ranges with one low bound
	rest    list   // those without a value
	restAt  uint64
	hits    []hit
	spent   int
}

// newWalk is nil when no list is in the order asked for.
func (r *run) newWalk() *walk {
	if len(r.plan.Sort) != 1 {
		return nil
	}
	w := &walk{r: r, order: r.plan.Sort[0]}
	lower, upper, ok := w.bounds()
	if !ok {
		return nil
	}
	if lower == nil {
		w.ended = true
	} else if w.iter = r.iter(lower, upper); w.iter == nil {
		return nil
	}
	after := r.plan.After
	if after != nil && after.Values[0] == nil {
		w.ended = true
		w.restAt = place(after.Number, w.order.Desc) + 1
	}
	return w
}

// bounds are those of the sort list: nil when the parameter has no values at
// all, not ok when there is no list in its order.
func (w *walk) bounds() (lower, upper []byte, ok bool) {
	t := w.r.typ
	if isID(w.order.Param) {
		w.byID = true
		prefix := appendNum([]byte{prefixID}, t.number)
		w.head = len(prefix)
		return prefix, after(prefix), true
	}
	w.param = w.r.param(w.order.Param)
	if w.param == nil {
		return nil, nil, true
	}
	var prefix []byte
	switch w.param.flags.Load() & (paramRanged | paramPlain | paramLoose) {
	case 0:
		return nil, nil, true
	case paramRanged:
		prefix = scopePrefix(nil, t.number, w.param.number, 0)
		w.head = len(prefix)
		lower, upper = w.narrow(prefix)
		return lower, upper, true
	case paramPlain:
		prefix = sortPrefix(nil, t.number, w.param.number)
		w.head = len(prefix)
		return prefix, after(prefix), true
	}
	return nil, nil, false
}

// narrow keeps a walk within the boxes that the plan has on the same
// parameter, which holds as long as no resource has two values in it.
func (w *walk) narrow(prefix []byte) (lower, upper []byte) {
	lower, upper = prefix, after(prefix)
	if w.param.flags.Load()&paramMulti != 0 {
		return lower, upper
	}
	for _, x := range conjuncts(w.r.plan.Where) {
		b, ok := x.(search.Box)
		if !ok || b.Param != w.order.Param || b.Scope != "" {
			continue
		}
		if from := append(slices.Clone(prefix), b.LoMin...); string(from) > string(lower) {
			lower = from
		}
		if b.LoMax != "" {
			if to := append(slices.Clone(prefix), b.LoMax...); string(to) < string(upper) {
				upper = to
			}
		}
		// Those without a value do not match the box.
		w.rest = emptyList{}
	}
	if string(lower) > string(upper) {
		lower = upper
	}
	return lower, upper
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

func isID(param string) bool { return param == "" || param == "_id" }

func (w *walk) name() string {
	if w.byID {
		return "walk _id"
	}
	return "walk " + w.order.Param
}

// needs foretells what fills the page, at the rate at which hits came so far.
func (w *walk) needs() int {
	return int(float64(w.spent) * float64(w.r.limit-len(w.hits)) / max(float64(len(w.hits)), 0.5))
}

// run goes on until the page is full or the walk is over (true), or so many units are spent.
func (w *walk) run(units int) (done bool) {
	began := w.r.units
	defer func() { w.spent += w.r.units - began }()
	for w.r.err == nil && len(w.hits) < w.r.limit {
		if w.r.units-began >= units {
			return false
		}
		if w.ended {
			if !w.missing() {
				return true
			}
			continue
		}
		if !w.advance() {
			w.r.fail(w.iter.Error())
			w.ended = true
			continue
		}
		w.entry()
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
	if w.r.plan.After == nil {
		if w.order.Desc {
			return w.iter.Last()
		}
		return w.iter.First()
	}
	at := w.r.plan.After
	key := append(w.prefix(), *at.Values[0]...)
	switch {
	case w.byID && w.order.Desc:
		return w.iter.SeekLT(key)
	case w.byID:
		return w.iter.SeekGE(append(key, 0))
	case w.order.Desc:
		return w.iter.SeekLT(appendNumber(append(key, 0), at.Number))
	}
	return w.iter.SeekGE(appendNumber(append(key, 0), at.Number+1))
}

func (w *walk) prefix() []byte {
	switch {
	case w.byID:
		return appendNum([]byte{prefixID}, w.r.typ.number)
	case w.param.flags.Load()&paramRanged != 0:
		return scopePrefix(nil, w.r.typ.number, w.param.number, 0)
	}
	return sortPrefix(nil, w.r.typ.number, w.param.number)
}

// entry takes the row under the iterator if it matches.
func (w *walk) entry() {
	key, value := w.iter.Key(), w.iter.Value()
	if w.byID {
		if len(value) != numberLen {
			w.r.fail(errCorrupt)
			return
		}
		number := numberAt(value)
		if _, live := w.r.presence(number); live {
			w.take(number, key[w.head:])
		}
		return
	}
	text, number, _, ok := cutPosting(key[w.head:])
	if !ok {
		w.r.fail(errCorrupt)
		return
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
	w.take(number, text)
}

func (w *walk) take(number uint64, text []byte) {
	w.r.checked++
	if !w.r.where.check(number) {
		return
	}
	v := string(text)
	if w.r.residual(number) {
		w.hits = append(w.hits, w.r.hit(number, []*string{&v}))
	}
}

// missing takes the next row without a value; false when there is none.
func (w *walk) missing() bool {
	if w.byID {
		return false
	}
	if w.rest == nil {
		w.rest = w.r.driveMissing(w.param, w.order.Desc)
	}
	p, ok := w.rest.seek(w.restAt)
	if !ok {
		return false
	}
	w.restAt = p + 1
	if number := place(p, w.order.Desc); w.r.residual(number) {
		w.hits = append(w.hits, w.r.hit(number, []*string{nil}))
	}
	return p != ^uint64(0)
}

// driveMissing lists what matches and has no forward value of a parameter.
func (r *run) driveMissing(p *paramName, desc bool) list {
	if p == nil {
		return r.drive(r.where, desc)
	}
	var of []node
	if and, ok := r.where.(*andNode); ok {
		of = slices.Clone(and.of)
	} else {
		of = []node{r.where}
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

// collect drives all matches and keeps the first limit of them.
type collect struct {
	r      *run
	list   list
	at     uint64
	params []*paramName
	first  []hit // a heap, the last of them on top
	after  *hit
	values []sortText // of the match at hand
}

// sortText is a sort value that is only valid until the next one is read.
type sortText struct {
	has  bool
	text []byte
}

func (r *run) newCollect() *collect {
	c := &collect{r: r, values: make([]sortText, len(r.plan.Sort))}
	for _, o := range r.plan.Sort {
		c.params = append(c.params, r.param(o.Param))
	}
	if a := r.plan.After; a != nil {
		c.after = &hit{values: a.Values, number: a.Number}
	}
	return c
}

// run goes on until all matches are seen (true) or so many units are spent.
func (c *collect) run(units int) (done bool) {
	began := c.r.units
	if c.list == nil {
		c.list = c.r.drive(c.r.where, false)
	}
	for c.r.err == nil {
		if c.r.units-began >= units {
			return false
		}
		p, ok := c.list.seek(c.at)
		if !ok {
			return true
		}
		c.at = p + 1
		c.add(p)
	}
	return true
}

// add puts a match among the first ones if it belongs there.
func (c *collect) add(number uint64) {
	for i, o := range c.r.plan.Sort {
		v := &c.values[i]
		v.text, v.has = c.r.sortValue(v.text[:0], number, o, c.params[i])
	}
	if c.after != nil && c.compareTo(number, c.after) <= 0 {
		return
	}
	full := len(c.first) == c.r.limit
	if full && c.compareTo(number, &c.first[0]) >= 0 || !c.r.residual(number) {
		return
	}
	values := make([]*string, len(c.values))
	for i := range c.values {
		if c.values[i].has {
			text := string(c.values[i].text)
			values[i] = &text
		}
	}
	h := c.r.hit(number, values)
	if full {
		c.first[0] = h
		heap.Fix(c, 0)
		return
	}
	heap.Push(c, h)
}

// sortValue appends what a resource is sorted by; has is false when it has no value.
func (r *run) sortValue(b []byte, number uint64, o search.Order, p *paramName) (text []byte, has bool) {
	if isID(o.Param) {
		if !r.read(number) {
			return b, false
		}
		return append(b, r.resource.ID...), true
	}
	if p == nil {
		return b, false
	}
	if value := r.forwardOf(p).get(number); value != nil {
		low, high, err := sortBounds(value)
		r.fail(err)
		if o.Desc {
			low = high
		}
		return append(b, low...), true
	}
	if p.flags.Load()&paramLoose == 0 {
		return b, false
	}
	facts := r.factsOf(number)
	if facts == nil {
		return b, false
	}
	for i := range facts.Forward {
		if f := &facts.Forward[i]; f.Param == o.Param {
			if o.Desc {
				return append(b, f.High...), true
			}
			return append(b, f.Low...), true
		}
	}
	return b, false
}

// result is the first hits in order.
func (c *collect) result() []hit {
	slices.SortFunc(c.first, func(a, b hit) int { return c.compare(&a, &b) })
	return c.first
}

// compare orders as search.Plan says: by values, what has none last, then by number.
func (c *collect) compare(a, b *hit) int {
	for i := range c.r.plan.Sort {
		x, y := a.values[i], b.values[i]
		if x == nil || y == nil {
			if d := missingLast(x != nil, y != nil); d != 0 {
				return d
			}
		} else if d := c.direct(i, strings.Compare(*x, *y)); d != 0 {
			return d
		}
	}
	return c.direct(0, cmp.Compare(a.number, b.number))
}

// compareTo is compare with the match at hand on the left.
func (c *collect) compareTo(number uint64, b *hit) int {
	for i := range c.r.plan.Sort {
		x, y := &c.values[i], b.values[i]
		if !x.has || y == nil {
			if d := missingLast(x.has, y != nil); d != 0 {
				return d
			}
		} else if d := c.direct(i, compareText(x.text, *y)); d != 0 {
			return d
		}
	}
	return c.direct(0, cmp.Compare(number, b.number))
}

// direct turns a comparison around where the i-th sort key runs downward.
func (c *collect) direct(i, d int) int {
	if c.r.plan.Sort[i].Desc {
		return -d
	}
	return d
}

func missingLast(x, y bool) int {
	switch {
	case x == y:
		return 0
	case y:
		return 1
	}
	return -1
}

func compareText(x []byte, y string) int {
	switch {
	case string(x) == y:
		return 0
	case string(x) < y:
		return -1
	}
	return 1
}

// The heap of a collect has the last of the first hits on top.
func (c *collect) Len() int           { return len(c.first) }
func (c *collect) Less(i, j int) bool { return c.compare(&c.first[i], &c.first[j]) > 0 }
func (c *collect) Swap(i, j int)      { c.first[i], c.first[j] = c.first[j], c.first[i] }
func (c *collect) Push(x any)         { c.first = append(c.first, x.(hit)) }
func (c *collect) Pop() any {
	last := c.first[len(c.first)-1]
	c.first = c.first[:len(c.first)-1]
	return last
}
