package pebblestore

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"meridian/fhir/search"
)

// A node is a criterion of a plan, ready to be executed.
type node interface {
	// list is a new stream of the numbers that match, nil when there is none
	// that costs no more than it is read.
	list(desc bool) list
	// check says whether a live resource of the type matches.
	check(number uint64) bool
	// settle spends about so many units on making list possible and check
	// cheap; settled says that there is nothing left to spend them on.
	settle(units int)
	settled() bool
	// weight is about what a check costs, in units.
	weight() int
}

// plain is a node that needs no settling.
type plain struct{}

func (plain) settle(int)    {}
func (plain) settled() bool { return true }

// build makes the node of a tree.
func (e *exec) build(x search.Expr) node {
	switch x := x.(type) {
	case nil, search.All:
		return &allNode{e: e}
	case search.Point:
		return e.buildPoint(x.Key)
	case search.Prefix, search.Box, search.Contains:
		return e.buildRange(x)
	case search.Present:
		if p := e.param(x.Param); p != nil {
			return &presentNode{e: e, param: p}
		}
		return noneNode{}
	case search.IDs:
		return e.buildIDs(x.IDs)
	case search.And:
		return e.buildAnd(x.Of)
	case search.Or:
		return e.buildOr(x.Of)
	case search.Not:
		if inner, ok := x.Of.(search.Not); ok {
			return e.build(inner.Of)
		}
		return &notNode{of: e.build(x.Of)}
	case search.ChainForward:
		return e.buildChainForward(&x)
	case search.ChainReverse:
		return e.buildChainReverse(&x)
	}
	e.fail(fmt.Errorf("a plan with %T is not understood", x))
	return noneNode{}
}

func (e *exec) param(name string) *paramName { return e.store.names.param(e.typ, name) }

// noneNode matches nothing.
type noneNode struct{ plain }

func (noneNode) list(bool) list    { return emptyList{} }
func (noneNode) check(uint64) bool { return false }
func (noneNode) weight() int       { return 0 }

// allNode matches every live resource of the type.
type allNode struct {
	plain
	e *exec
}

func (n *allNode) list(desc bool) list {
	return n.e.keyList(appendNum([]byte{prefixAll}, n.e.typ.number), desc, nil)
}
func (n *allNode) check(uint64) bool { return true }
func (n *allNode) weight() int       { return 0 }

// sliceNode matches the numbers of a sorted slice.
type sliceNode struct {
	plain
	numbers []uint64
}

func (n *sliceNode) list(desc bool) list { return &sliceList{numbers: n.numbers, desc: desc} }
func (n *sliceNode) check(number uint64) bool {
	_, ok := slices.BinarySearch(n.numbers, number)
	return ok
}
func (n *sliceNode) weight() int { return unitNext }

// pointNode matches one posting list: all keys of a prefix that ends after
// lo's 0, whose rest is hi, or, with starts, begins with hi.
type pointNode struct {
	plain
	e      *exec
	prefix []byte
	hi     string
	starts bool
	points *pointList       // for checks of points
	iter   *pebble.Iterator // for checks of keys with a high half
	key    []byte
}

func (e *exec) buildPoint(k search.Key) node {
	p := e.param(k.Param)
	scope, ok := e.store.names.scope(k.Scope)
	if p == nil || !ok || strings.IndexByte(k.Value, 0) >= 0 {
		return noneNode{}
	}
	lo, hi := splitValue(k.Value)
	prefix := append(append(scopePrefix(nil, e.typ.number, p.number, scope), lo...), 0)
	return &pointNode{e: e, prefix: prefix, hi: hi}
}

func (n *pointNode) list(desc bool) list {
	if n.hi != "" {
		return n.e.keyList(n.prefix, desc, func(rest, _ []byte) bool { return n.accepts(rest) })
	}
	points := n.e.pointList(n.prefix, desc)
	if !n.starts {
		return points
	}
	return newMerge([]list{points, n.e.keyList(n.prefix, desc, func(rest, _ []byte) bool { return n.accepts(rest) })})
}

// accepts says whether the rest of a key is a high half that is asked for.
func (n *pointNode) accepts(rest []byte) bool {
	if n.starts {
		return len(rest) > 0 && rest[0] == search.RangeSep[0] && strings.HasPrefix(string(rest), n.hi)
	}
	return string(rest) == n.hi
}

func (n *pointNode) check(number uint64) bool {
	if n.hi == "" {
		if n.points == nil {
			n.points = n.e.pointsOn(n.e.iter(n.prefix, after(n.prefix)), n.prefix, false)
		}
		if has := n.points.has(number); has || !n.starts {
			return has
		}
	}
	if n.iter == nil {
		if n.iter = n.e.iter(n.prefix, after(n.prefix)); n.iter == nil {
			return false
		}
	}
	n.e.spend(unitSeek)
	n.e.keys++
	n.key = appendNumber(append(n.key[:0], n.prefix...), number)
	whole := len(n.key)
	n.key = append(n.key, cmp.Or(n.hi, search.RangeSep)...)
	found := n.iter.SeekGE(n.key)
	n.e.fail(n.iter.Error())
	return found && bytes.HasPrefix(n.iter.Key(), n.key[:whole]) && n.accepts(n.iter.Key()[whole:])
}

func (n *pointNode) weight() int { return unitSeek }

// presentNode matches what has a key of a parameter; the A list says so.
type presentNode struct {
	plain
	e     *exec
	param *paramName
}

func (n *presentNode) list(desc bool) list {
	return n.e.keyList(appendNum([]byte{prefixAll}, n.e.typ.number), desc, func(_, value []byte) bool {
		bits, _, _ := cutText(value)
		return hasBit(bits, n.param.number)
	})
}

func (n *presentNode) check(number uint64) bool {
	bits, ok := n.e.presence(number)
	return ok && hasBit(bits, n.param.number)
}

func (n *presentNode) weight() int { return unitSeek }

// buildIDs looks the ids up.
func (e *exec) buildIDs(ids []string) node {
	var numbers []uint64
	for _, id := range ids {
		e.spend(2 * unitSeek)
		e.keys++
		number, err := getNumber(e.db, idKey(nil, e.typ.number, id))
		if err != nil {
			e.fail(err)
			break
		}
		if number == 0 {
			continue
		}
		if _, live := e.presence(number); live {
			numbers = append(numbers, number)
		}
	}
	slices.Sort(numbers)
	return &sliceNode{numbers: slices.Compact(numbers)}
}

// notNode matches what its criterion does not.
type notNode struct{ of node }

func (n *notNode) list(bool) list           { return nil }
func (n *notNode) check(number uint64) bool { return !n.of.check(number) }
func (n *notNode) settle(units int)         { n.of.settle(units) }
func (n *notNode) settled() bool            { return n.of.settled() }
func (n *notNode) weight() int              { return n.of.weight() }

// andNode matches what all its criteria match.
type andNode struct {
	e  *exec
	of []node
}

func (e *exec) buildAnd(of []search.Expr) node {
	n := &andNode{e: e}
	for _, x := range of {
		switch c := e.build(x).(type) {
		case *andNode:
			n.of = append(n.of, c.of...)
		case *allNode:
		case noneNode:
			return c
		default:
			n.of = append(n.of, c)
		}
	}
	switch len(n.of) {
	case 0:
		return &allNode{e: e}
	case 1:
		return n.of[0]
	}
	slices.SortStableFunc(n.of, func(a, b node) int { return cmp.Compare(a.weight(), b.weight()) })
	return n
}

func (n *andNode) list(desc bool) list {
	c := conjoin(n.e, n.of, desc)
	if len(c.lists) == 0 {
		return nil
	}
	return c
}

func (n *andNode) check(number uint64) bool {
	for _, c := range n.of {
		if !c.check(number) {
			return false
		}
	}
	return true
}

func (n *andNode) settle(units int) { settleAll(n.of, units) }
func (n *andNode) settled() bool    { return allSettled(n.of) }
func (n *andNode) weight() int      { return totalWeight(n.of) }

// conjoin drives what has a list and checks the rest, cheap checks first.
func conjoin(e *exec, of []node, desc bool) *conjunction {
	c := &conjunction{e: e, desc: desc}
	for _, n := range of {
		if l := n.list(desc); l != nil {
			c.lists = append(c.lists, l)
		} else {
			c.checks = append(c.checks, n)
		}
	}
	slices.SortStableFunc(c.checks, func(a, b node) int { return cmp.Compare(a.weight(), b.weight()) })
	return c
}

// drive is the list of a node in any case: driven by all resources of the type where it has none of its own.
func (e *exec) drive(n node, desc bool) list {
	of := []node{n}
	if and, ok := n.(*andNode); ok {
		of = and.of
	}
	c := conjoin(e, of, desc)
	if len(c.lists) == 0 {
		c.lists = append(c.lists, (&allNode{e: e}).list(desc))
	}
	if len(c.lists) == 1 && len(c.checks) == 0 {
		return c.lists[0]
	}
	return c
}

// orNode matches what one of its criteria matches.
type orNode struct {
	e  *exec
	of []node
}

func (e *exec) buildOr(of []search.Expr) node {
	n := &orNode{e: e}
	var points []*pointNode
	for _, x := range of {
		switch c := e.build(x).(type) {
		case *orNode:
			n.of = append(n.of, c.of...)
		case *allNode:
			return c
		case noneNode:
		case *pointNode:
			points = append(points, c)
		default:
			n.of = append(n.of, c)
		}
	}
	if len(points) > e.tuning.maxMerge {
		n.of = append(n.of, e.unionOf(points))
		points = nil
	}
	for _, p := range points {
		n.of = append(n.of, p)
	}
	switch len(n.of) {
	case 0:
		return noneNode{}
	case 1:
		return n.of[0]
	}
	return n
}

func (n *orNode) list(desc bool) list {
	if len(n.of) > n.e.tuning.maxMerge {
		return nil
	}
	lists := make([]list, len(n.of))
	for i, c := range n.of {
		if lists[i] = c.list(desc); lists[i] == nil {
			return nil
		}
	}
	return newMerge(lists)
}

func (n *orNode) check(number uint64) bool {
	for _, c := range n.of {
		if c.check(number) {
			return true
		}
	}
	return false
}

func (n *orNode) settle(units int) { settleAll(n.of, units) }
func (n *orNode) settled() bool    { return allSettled(n.of) }
func (n *orNode) weight() int      { return totalWeight(n.of) }

func settleAll(of []node, units int) {
	open := 0
	for _, c := range of {
		if !c.settled() {
			open++
		}
	}
	for _, c := range of {
		if !c.settled() {
			c.settle(max(units/open, 1))
		}
	}
}

func allSettled(of []node) bool {
	for _, c := range of {
		if !c.settled() {
			return false
		}
	}
	return true
}

func totalWeight(of []node) int {
	total := 0
	for _, c := range of {
		total += c.weight()
	}
	return total
}
