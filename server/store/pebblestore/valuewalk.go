package pebblestore

import (
	"bytes"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"meridian/fhir/search"
)

// valueWalk is a walk by a first sort key that has no list of sort values: one
// that is not a range and not declared. Its postings stand in the order of
// values, so each value's matches are a search of their own, in the order of
// the other sort keys: what matches the plan and has the value's point. What
// has no value at all is the last of these searches.
//
// A resource with several values must stand at one of them only, so where such
// were seen each match is verified on its facts. Where values with a space
// were seen, all values with the same low half are one group, which is sorted.
type valueWalk struct {
	r       *run
	order   search.Order
	param   *paramName
	verify  bool
	odd     bool
	sources []*valueSource
	begun   bool
	ended   bool // the last search was made, too
	after   *search.Cursor

	iters []*pebble.Iterator // of the search of one value
	hits  []hit
	spent int
}

// valueSource is the values of one scope. A reference's sort value is its
// scope, a slash and the value; all others have theirs in the empty scope.
type valueSource struct {
	prefix []byte
	text   string
	iter   *pebble.Iterator
	lo     []byte // under the iterator
	ok     bool
}

// newValueWalk is nil when the postings are not in the order of sort values.
func (r *run) newValueWalk() *valueWalk {
	w := &valueWalk{r: r, order: r.plan.Sort[0], after: r.plan.After}
	if w.param = r.param(w.order.Param); w.param == nil {
		return nil
	}
	flags := w.param.flags.Load()
	if flags&(paramRanged|paramPlain|paramLoose|paramApart) != paramLoose {
		return nil
	}
	w.verify, w.odd = flags&(paramMulti|paramHollow|paramScoped|paramOdd) != 0, flags&paramOdd != 0
	w.sources = append(w.sources, &valueSource{prefix: scopePrefix(nil, r.typ.number, w.param.number, 0)})
	if flags&paramScoped != 0 && !w.scopes() {
		return nil
	}
	for _, s := range w.sources {
		if s.iter = r.listIter(s.prefix, after(s.prefix)); s.iter == nil {
			return nil
		}
	}
	return w
}

// maxSources is how many scopes a walk merges: the types that a parameter refers to.
const maxSources = 300

// scopes adds a source for each scope of the parameter; false when there are too many.
func (w *valueWalk) scopes() bool {
	head := paramPrefix(nil, w.r.typ.number, w.param.number)
	it := w.r.listIter(head, after(head))
	if it == nil {
		return false
	}
	for ok := it.First(); ok; {
		w.r.spend(unitSeek)
		w.r.keys++
		scope, _, good := cutNum(it.Key()[len(head):])
		if !good || len(w.sources) > maxSources {
			return false
		}
		prefix := appendNum(slices.Clone(head), scope)
		if scope != 0 {
			w.sources = append(w.sources, &valueSource{prefix: prefix, text: w.r.store.names.scopeName(scope) + "/"})
		}
		ok = it.SeekGE(after(prefix))
	}
	w.r.fail(it.Error())
	return true
}

func (w *valueWalk) name() string { return "walk the values of " + w.order.Param }

func (w *valueWalk) taken() []hit { return w.hits }

// needs foretells what fills the page, at the rate at which hits came so far.
func (w *valueWalk) needs() int { return foretell(w.spent, w.r.want, len(w.hits)) }

// run goes on until the page is full or the walk is over (true), or so many units are spent.
func (w *valueWalk) run(units int) (done bool) {
	began := w.r.units
	defer func() { w.spent += w.r.units - began }()
	for w.r.err == nil && len(w.hits) < w.r.want && !w.ended {
		if w.r.units-began >= units {
			return false
		}
		w.next()
	}
	return true
}

// next makes the search of the next value.
func (w *valueWalk) next() {
	if !w.begun {
		w.begun = true
		for _, s := range w.sources {
			w.position(s)
		}
	}
	text, sources := w.first()
	of := flatten(w.r.where)
	var points []node
	for _, s := range sources {
		prefix := append(append(slices.Clone(s.prefix), s.lo...), 0)
		points = append(points, &pointNode{e: w.r.exec, prefix: prefix, starts: w.odd})
		w.r.spend(unitSeek)
		w.r.keys++
		if w.order.Desc {
			s.take(s.iter.SeekLT(prefix[:len(prefix)-1]))
		} else {
			prefix := slices.Clone(prefix)
			prefix[len(prefix)-1]++
			s.take(s.iter.SeekGE(prefix))
		}
		w.r.fail(s.iter.Error())
	}
	switch {
	case len(points) == 0:
		w.ended = true
		of = append(of, &notNode{of: &valuedNode{e: w.r.exec, param: w.param}})
	case len(points) == 1:
		of = append(of, points[0])
	default:
		of = append(of, &orNode{e: w.r.exec, of: points})
	}
	if len(points) > 0 && w.verify {
		of = append(of, &valueNode{e: w.r.exec, order: w.order, text: text, odd: w.odd})
	}
	w.group(text, len(points) > 0, &andNode{e: w.r.exec, of: of})
}

// position moves a source to its first value, at or after the cursor's.
func (w *valueWalk) position(s *valueSource) {
	w.r.spend(2 * unitSeek)
	w.r.keys++
	if w.after != nil && w.after.Values[0] == nil {
		return
	}
	from, within := "", false
	if w.after != nil {
		if from, within = strings.CutPrefix(*w.after.Values[0], s.text); !within {
			// All values of the source are on one side of the cursor's.
			if (s.text > *w.after.Values[0]) == w.order.Desc {
				return
			}
		} else if lo, _ := splitValue(from); w.odd {
			from = lo
		}
	}
	key := append(slices.Clone(s.prefix), from...)
	switch {
	case !w.order.Desc && within:
		s.take(s.iter.SeekGE(key))
	case !w.order.Desc:
		s.take(s.iter.First())
	case within:
		s.take(s.iter.SeekLT(append(key, 1)))
	default:
		s.take(s.iter.Last())
	}
	w.r.fail(s.iter.Error())
}

// take reads the value under the iterator.
func (s *valueSource) take(ok bool) {
	if s.ok = ok; ok {
		rest := s.iter.Key()[len(s.prefix):]
		s.lo = append(s.lo[:0], rest[:max(bytes.IndexByte(rest, 0), 0)]...)
	}
}

// first is the next value in order and the sources that have it.
func (w *valueWalk) first() (text string, sources []*valueSource) {
	for _, s := range w.sources {
		if !s.ok {
			continue
		}
		at := s.text + string(s.lo)
		if len(sources) > 0 && at != text {
			if (at < text) == w.order.Desc {
				continue
			}
			sources = sources[:0]
		}
		text, sources = at, append(sources, s)
	}
	return text, sources
}

// group takes the matches of one value, or of none.
func (w *valueWalk) group(text string, has bool, where node) {
	was := w.r.passing
	w.r.passing = &w.iters
	defer func() {
		w.r.passing = was
		for _, it := range w.iters {
			w.r.fail(it.Close())
		}
		w.iters = w.iters[:0]
	}()
	sub := &run{exec: w.r.exec, want: w.r.want - len(w.hits), where: where, down: w.r.down}
	p := *w.r.plan
	sub.plan = &p
	if has && w.odd {
		c := sub.newCollect()
		c.run(int(^uint(0) >> 1))
		w.hits = append(w.hits, c.result()...)
		return
	}
	p.Sort, p.After = p.Sort[1:], nil
	if a := w.after; a != nil && (a.Values[0] != nil) == has && (!has || *a.Values[0] == text) {
		p.After = &search.Cursor{Values: a.Values[1:], Number: a.Number}
	}
	sub.make()
	for _, h := range sub.hits {
		var value *string
		if has {
			value = &text
		}
		h.values = append([]*string{value}, h.values...)
		w.hits = append(w.hits, h)
	}
}

// flatten is the criteria of a node that must all hold.
func flatten(n node) []node {
	switch n := n.(type) {
	case *andNode:
		return slices.Clone(n.of)
	case *allNode:
		return nil
	}
	return []node{n}
}

// valueNode matches what stands at a value of a sort parameter, by its facts.
type valueNode struct {
	plain
	e     *exec
	order search.Order
	text  string
	odd   bool // text is the low half
}

func (n *valueNode) list(bool) list { return nil }
func (n *valueNode) check(number uint64) bool {
	f := n.e.forwardFact(number, n.order.Param)
	if f == nil {
		return false
	}
	at := f.Low
	if n.order.Desc {
		at = f.High
	}
	if n.odd {
		at, _ = splitValue(at)
	}
	return at == n.text
}
func (n *valueNode) weight() int { return unitBody }

// valuedNode matches what has a sort value of a parameter that has none in D.
type valuedNode struct {
	plain
	e     *exec
	param *paramName
}

func (n *valuedNode) list(bool) list { return nil }
func (n *valuedNode) check(number uint64) bool {
	bits, ok := n.e.presence(number)
	if !ok || !hasBit(bits, n.param.number) {
		return false
	}
	return n.param.flags.Load()&paramHollow == 0 || n.e.forwardFact(number, n.param.name) != nil
}
func (n *valuedNode) weight() int { return unitSeek }

// forwardFact is the sort value of a resource by its facts; nil when it has none.
func (e *exec) forwardFact(number uint64, param string) *search.Forward {
	facts := e.factsOf(number)
	if facts == nil {
		return nil
	}
	for i := range facts.Forward {
		if facts.Forward[i].Param == param {
			return &facts.Forward[i]
		}
	}
	return nil
}
