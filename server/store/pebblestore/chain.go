package pebblestore

import (
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"meridian/fhir/search"
)

// A chain asks for other resources, on the same snapshot. Settling it runs the
// inner search and collects what it finds; until then a candidate is checked
// by looking at the resources that it refers to, or that refer to it. So a
// conjunction (list.go) finds the cheaper side by itself: where the inner search
// is selective its matches drive, where all are dense the candidates do, and a
// page is full before either is read to its end. Inner searches are nodes
// themselves, so chains within chains do the same.

// innerSearch is the search of a chain for resources of another type.
type innerSearch struct {
	*exec // of the inner type
	where node
	check func(body []byte) (bool, error)
	list  list
	at    uint64
	found int
	ended bool // all was read
	over  bool // more than MaxChain
}

// begin makes the inner search; nil when there are no resources of the type.
func (e *exec) begin(typ string, where search.Expr, check func([]byte) (bool, error)) *innerSearch {
	t := e.store.names.typ(typ)
	if t == nil || e.err != nil {
		return nil
	}
	s := &innerSearch{exec: e.inner(t), check: check}
	if s.where = s.build(where); s.where == (noneNode{}) {
		return nil
	}
	return s
}

func (s *innerSearch) settled() bool { return s.ended || s.over }

// collect goes on with the search until it has spent so many units, or is over.
func (s *innerSearch) collect(units int, each func(number uint64)) {
	if s.list == nil {
		s.list = s.drive(s.where, false)
	}
	until := s.units + units
	c, pauses := s.list.(*conjunction)
	if pauses {
		c.until = until
	}
	for !s.settled() && s.units < until {
		number, ok := s.list.seek(s.at)
		switch {
		case s.err != nil:
			return
		case !ok && pauses && c.paused:
			s.at = c.at
			return
		case !ok:
			s.ended = true
			return
		}
		s.at = number + 1
		if s.found == s.tuning.maxChain {
			s.over = true
			return
		}
		if s.passes(number) {
			s.found++
			each(number)
		}
	}
}

// passes decides the chain's Check on the body.
func (s *innerSearch) passes(number uint64) bool {
	if s.check == nil {
		return true
	}
	if !s.exec.read(number) {
		return false
	}
	ok, err := s.check(s.resource.Body)
	s.fail(err)
	return ok && s.err == nil
}

// weight is about what a look at one resource costs.
func (s *innerSearch) weight() int {
	if s.check != nil {
		return s.where.weight() + unitBody
	}
	return s.where.weight()
}

// forwardChain matches what refers to a match of the inner search.
type forwardChain struct {
	e      *exec
	x      *search.ChainForward
	inner  *innerSearch
	ids    map[string]struct{} // what the inner search found
	looked map[string]bool     // what was looked up before it ended, and whether it matches
	refs   node                // when it has ended, the references to what it found
}

// maxLooked is how many ids a forward chain remembers that it looked up.
const maxLooked = 10_000

func (e *exec) buildChainForward(x *search.ChainForward) node {
	inner := e.begin(x.Type, x.Where, x.Check)
	if inner == nil || e.param(x.Param) == nil {
		return noneNode{}
	}
	n := &forwardChain{e: e, x: x, inner: inner, ids: map[string]struct{}{}, looked: map[string]bool{}}
	n.settle(e.tuning.probeChain)
	if _, union := n.refs.(*rangeNode); n.refs != nil && !union {
		return n.refs
	}
	return n
}

func (n *forwardChain) list(desc bool) list {
	if n.refs == nil {
		return nil
	}
	return n.refs.list(desc)
}

func (n *forwardChain) settled() bool {
	return n.inner.over || n.refs != nil && n.refs.settled()
}

func (n *forwardChain) settle(units int) {
	if n.refs != nil {
		n.refs.settle(units)
		return
	}
	n.inner.collect(units, func(number uint64) {
		if _, id, ok := n.inner.live(number); ok {
			n.ids[string(id)] = struct{}{}
		}
	})
	if !n.inner.ended {
		return
	}
	or := search.Or{}
	for id := range n.ids {
		or.Of = append(or.Of, search.Point{Key: search.Key{Param: n.x.Param, Scope: n.x.Type, Value: id}})
	}
	n.refs = n.e.buildOr(or.Of)
}

// check looks at what the candidate refers to.
func (n *forwardChain) check(number uint64) bool {
	facts := n.e.factsOf(number)
	if facts == nil {
		return false
	}
	for i := range facts.Keys {
		k := &facts.Keys[i]
		if k.Param == n.x.Param && k.Scope == n.x.Type && k.Value != "" && n.matches(k.Value) {
			return true
		}
	}
	return false
}

// matches says whether the resource of an id matches the inner search.
func (n *forwardChain) matches(id string) bool {
	if _, found := n.ids[id]; found || n.refs != nil {
		return found
	}
	if match, known := n.looked[id]; known {
		return match
	}
	in := n.inner
	number := in.numberOf(id)
	match := number != 0 && in.where.check(number) && in.passes(number) && in.err == nil
	if len(n.looked) == maxLooked {
		clear(n.looked)
	}
	n.looked[id] = match
	return match
}

func (n *forwardChain) weight() int {
	if n.refs != nil {
		return unitBody
	}
	return unitBody + 2*unitSeek + n.inner.weight()
}

// numberOf is the number of a live resource of the type, 0 when there is none.
func (e *exec) numberOf(id string) uint64 {
	e.spend(2 * unitSeek)
	e.keys++
	number, err := getNumber(e.db, idKey(nil, e.typ.number, id))
	e.fail(err)
	if err != nil || number == 0 {
		return 0
	}
	if _, live := e.presence(number); !live {
		return 0
	}
	return number
}

// reverseChain matches what a match of the inner search refers to.
type reverseChain struct {
	e     *exec
	x     *search.ChainReverse
	inner *innerSearch
	refs  []byte     // prefix of the postings of references to the type
	names []string   // whom the matches so far refer to
	done  *sliceNode // when the inner search has ended
}

func (e *exec) buildChainReverse(x *search.ChainReverse) node {
	inner := e.begin(x.Type, x.Where, x.Check)
	if inner == nil {
		return noneNode{}
	}
	param := inner.param(x.Param)
	scope, ok := e.store.names.scope(e.typ.name)
	if param == nil || !ok {
		return noneNode{}
	}
	n := &reverseChain{e: e, x: x, inner: inner, refs: scopePrefix(nil, inner.typ.number, param.number, scope)}
	n.settle(e.tuning.probeChain)
	if n.done != nil {
		return n.done
	}
	return n
}

func (n *reverseChain) list(desc bool) list {
	if n.done == nil {
		return nil
	}
	return n.done.list(desc)
}

func (n *reverseChain) settled() bool { return n.inner.over || n.done != nil }

func (n *reverseChain) settle(units int) {
	in := n.inner
	in.collect(units, func(number uint64) {
		facts := in.factsOf(number)
		if facts == nil {
			return
		}
		for i := range facts.Keys {
			if k := &facts.Keys[i]; k.Param == n.x.Param && k.Scope == n.e.typ.name {
				n.names = append(n.names, k.Value)
			}
		}
	})
	if !in.ended {
		return
	}
	slices.Sort(n.names)
	n.done = n.e.buildIDs(slices.Compact(n.names)).(*sliceNode)
}

// check looks at what refers to the candidate.
func (n *reverseChain) check(number uint64) bool {
	if n.done != nil {
		return n.done.check(number)
	}
	_, id, ok := n.e.live(number)
	if !ok {
		return false
	}
	in := n.inner
	var iters []*pebble.Iterator
	in.passing = &iters
	defer func() {
		in.passing = nil
		for _, it := range iters {
			in.fail(it.Close())
		}
	}()
	c := in.refer(append(append(slices.Clone(n.refs), id...), 0))
	for at := uint64(0); ; {
		found, ok := c.seek(at)
		if !ok || in.passes(found) {
			return ok && in.err == nil
		}
		at = found + 1
	}
}

// refer leapfrogs the references to one resource with the points of the inner search, and checks the rest.
func (s *innerSearch) refer(prefix []byte) *conjunction {
	of := []node{s.where}
	if and, ok := s.where.(*andNode); ok {
		of = and.of
	}
	c := &conjunction{e: s.exec, lists: []list{s.pointList(prefix, false)}}
	for _, n := range of {
		if p, ok := n.(*pointNode); ok {
			c.lists = append(c.lists, p.list(false))
		} else {
			c.checks = append(c.checks, n)
		}
	}
	return c
}

func (n *reverseChain) weight() int {
	if n.done != nil {
		return unitNext
	}
	return 5*unitSeek + n.inner.weight()
}
