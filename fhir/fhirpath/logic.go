package fhirpath

import "meridian/fhir/schema"

// ternary is a Boolean or nothing.
// https://hl7.org/fhirpath/N1/#boolean-logic
type ternary uint8

const (
	unknown ternary = iota
	no
	yes
)

func ternaryOf(b bool) ternary {
	if b {
		return yes
	}
	return no
}

func (t ternary) not() ternary {
	switch t {
	case yes:
		return no
	case no:
		return yes
	}
	return unknown
}

// truth reads a collection as a Boolean: its only item's value, or true for
// one item that is none. False when there is more than one item.
// https://hl7.org/fhirpath/N1/#singleton-evaluation-of-collections
func truth(c []Item) (ternary, bool) {
	switch len(c) {
	case 0:
		return unknown, true
	case 1:
		if b, ok := c[0].Bool(); ok {
			return ternaryOf(b), true
		}
		if c[0].Type() == schema.TypeBoolean { // an element without value
			return unknown, true
		}
		return yes, true
	}
	return unknown, false
}

// truthOf evaluates n as a Boolean.
func (ev *evaluator) truthOf(n Node, sc *scope) (ternary, error) {
	mark := len(ev.stack)
	if err := ev.eval(n, sc); err != nil {
		return unknown, err
	}
	t, ok := truth(ev.stack[mark:])
	count := len(ev.stack) - mark
	ev.cut(mark)
	if !ok {
		return unknown, ev.fail(Execution, n, "a Boolean is asked for, but there are %d items", count)
	}
	return t, nil
}

// logic evaluates and, or, xor and implies; the right side is left out where
// the left one decides.
func (ev *evaluator) logic(n *Binary, sc *scope) error {
	x, err := ev.truthOf(n.X, sc)
	if err != nil {
		return err
	}
	switch {
	case n.op == opAnd && x == no:
		ev.pushBool(false)
		return nil
	case n.op == opOr && x == yes, n.op == opImplies && x == no:
		ev.pushBool(true)
		return nil
	}
	y, err := ev.truthOf(n.Y, sc)
	if err != nil {
		return err
	}
	switch n.op {
	case opAnd:
		ev.pushTruth(and(x, y))
	case opOr:
		ev.pushTruth(and(x.not(), y.not()).not())
	case opImplies:
		ev.pushTruth(and(x, y.not()).not())
	case opXor:
		if x != unknown && y != unknown {
			ev.pushBool(x != y)
		}
	}
	return nil
}

func and(x, y ternary) ternary {
	switch {
	case x == no || y == no:
		return no
	case x == yes && y == yes:
		return yes
	}
	return unknown
}

// binary evaluates every operator with two operands.
func (ev *evaluator) binary(n *Binary, sc *scope) error {
	switch n.op {
	case opAnd, opOr, opXor, opImplies:
		return ev.logic(n, sc)
	case opEqual, opNotEqual, opEquiv, opNotEquiv, opUnion, opIn, opContains:
		return ev.collections(n, sc)
	}
	x, okX, err := ev.singleton(n.X, sc)
	if err != nil {
		return err
	}
	y, okY, err := ev.singleton(n.Y, sc)
	if err != nil {
		return err
	}
	if n.op == opConcat {
		return ev.concatenate(n, x, y, okX, okY)
	}
	if !okX || !okY {
		return nil
	}
	switch n.op {
	case opLess, opLessEq, opGreater, opGreaterEq:
		return ev.order(n, x, y)
	}
	return ev.arithmetic(n, x, y)
}

// collections evaluates the operators between collections.
func (ev *evaluator) collections(n *Binary, sc *scope) error {
	mark := len(ev.stack)
	if err := ev.eval(n.X, sc); err != nil {
		return err
	}
	mid := len(ev.stack)
	if err := ev.eval(n.Y, sc); err != nil {
		return err
	}
	end := len(ev.stack)
	x, y := ev.stack[mark:mid:mid], ev.stack[mid:end:end]
	if n.op == opUnion {
		ev.distinct(ev.stack[mark:end:end])
		ev.drop(mark, end)
		return ev.paid(n)
	}
	t, err := ev.compareCollections(n, x, y)
	ev.cut(mark)
	if err != nil {
		return err
	}
	ev.pushTruth(t)
	return ev.paid(n)
}

func (ev *evaluator) compareCollections(n *Binary, x, y []Item) (ternary, error) {
	switch n.op {
	case opEqual:
		return ev.equalAll(x, y), nil
	case opNotEqual:
		return ev.equalAll(x, y).not(), nil
	case opEquiv:
		return ternaryOf(ev.equivalentAll(x, y)), nil
	case opNotEquiv:
		return ternaryOf(!ev.equivalentAll(x, y)), nil
	case opContains:
		x, y = y, x
	}
	if len(x) > 1 {
		return unknown, ev.fail(Execution, n, "one item is asked for, but there are %d", len(x))
	}
	if len(x) == 0 {
		return unknown, nil
	}
	return ternaryOf(ev.includes(y, x[0])), nil
}

// includes says that items holds one equal to i.
func (ev *evaluator) includes(items []Item, i Item) bool {
	for _, k := range items {
		if ev.charge(1) && ev.equal(k, i) == yes {
			return true
		}
	}
	return false
}
