package fhirpath

import (
	"bytes"
	"strings"
	"unicode"

	"meridian/fhir/element"
	"meridian/fhir/value"
)

// equalAll is '=' between collections: unknown where either is empty, or where
// the precision of dates leaves it open.
// https://hl7.org/fhirpath/N1/#equals
func (ev *evaluator) equalAll(x, y []Item) ternary {
	if len(x) == 0 || len(y) == 0 {
		return unknown
	}
	if len(x) != len(y) {
		return no
	}
	all := yes
	for k := range x {
		all = and(all, ev.equal(x[k], y[k]))
	}
	return all
}

// equal is '=' between two items.
func (ev *evaluator) equal(x, y Item) ternary {
	if x.kind == Element && y.kind == Element {
		if x.node == y.node {
			return yes
		}
		if kx, ky := systemKind(x.node.TypeID()), systemKind(y.node.TypeID()); kx == String && ky == String {
			return ev.equalText(x.node, y.node)
		} else if kx == 0 || ky == 0 {
			return ev.equalNodes(x.node, y.node)
		}
	}
	if t, ok := equalNodeText(x, y); ok {
		return t
	}
	a, okA := x.System()
	b, okB := y.System()
	switch {
	case okA && okB:
		return equalSystem(a, b)
	case x.kind == Element && y.kind == Element:
		return ev.equalNodes(x.node, y.node)
	}
	return ternaryOf(x.kind == y.kind && x.kind != Element && x.num == y.num && x.str == y.str)
}

// equalText compares two strings without copying them.
func (ev *evaluator) equalText(x, y element.Node) ternary {
	if !x.HasValue() || !y.HasValue() {
		return ev.equalNodes(x, y)
	}
	return ternaryOf(bytes.Equal(x.Bytes(), y.Bytes()))
}

// equalNodeText compares a FHIR string with a String without copying it.
func equalNodeText(x, y Item) (ternary, bool) {
	if x.kind == String {
		x, y = y, x
	}
	if x.kind != Element || y.kind != String || systemKind(x.node.TypeID()) != String || !x.node.HasValue() {
		return unknown, false
	}
	return ternaryOf(string(x.node.Bytes()) == y.str), true
}

func equalSystem(x, y Item) ternary {
	if dx, ok := x.decimal(); ok {
		if dy, ok := y.decimal(); ok {
			return ternaryOf(dx.Cmp(dy) == 0)
		}
		if qy, ok := y.box.(*Quantity); ok {
			return equalQuantities(Quantity{Value: dx, Unit: "1"}, *qy)
		}
		return no
	}
	if qx, ok := x.box.(*Quantity); ok {
		if dy, ok := y.decimal(); ok {
			return equalQuantities(*qx, Quantity{Value: dy, Unit: "1"})
		}
		if qy, ok := y.box.(*Quantity); ok {
			return equalQuantities(*qx, *qy)
		}
		return no
	}
	if dx, ok := x.box.(value.DateTime); ok {
		if dy, ok := y.box.(value.DateTime); ok {
			c, known := compareDates(dx, dy)
			return known.then(c == 0)
		}
		return no
	}
	if tx, ok := x.box.(value.Time); ok {
		if ty, ok := y.box.(value.Time); ok {
			c, known := compareTimes(tx, ty)
			return known.then(c == 0)
		}
		return no
	}
	return ternaryOf(x.kind == y.kind && x.num == y.num && x.str == y.str)
}

// knowledge says whether a comparison could be made.
type knowledge bool

func (k knowledge) then(b bool) ternary {
	if !k {
		return unknown
	}
	return ternaryOf(b)
}

// equalNodes compares two elements: a primitive by its value, all else by type
// of child, order and content. Ids and extensions count where they are children
// of a complex element.
func (ev *evaluator) equalNodes(x, y element.Node) ternary {
	if !ev.charge(1) {
		return no
	}
	if systemKind(x.TypeID()) != 0 || systemKind(y.TypeID()) != 0 {
		a, okA := NodeItem(x).System()
		b, okB := NodeItem(y).System()
		if okA && okB {
			return equalSystem(a, b)
		}
		if okA != okB {
			return no
		}
	}
	all := yes
	c, d := x.First(), y.First()
	for ; c.Valid() && d.Valid(); c, d = c.Next(), d.Next() {
		if c.Name() != d.Name() {
			return no
		}
		if all = and(all, ev.equalNodes(c, d)); all == no {
			return no
		}
	}
	if c.Valid() || d.Valid() {
		return no
	}
	return all
}

// equivalentAll is '~' between collections: in any order, {} ~ {}.
// https://hl7.org/fhirpath/N1/#equivalent
func (ev *evaluator) equivalentAll(x, y []Item) bool {
	if len(x) != len(y) {
		return false
	}
	used := make([]bool, len(y))
	for _, a := range x {
		found := false
		for k, b := range y {
			if !used[k] && ev.equivalent(a, b) {
				used[k], found = true, true
				break
			}
		}
		if !found {
			return false
		}
	}
	return true
}

func (ev *evaluator) equivalent(x, y Item) bool {
	if !ev.charge(1) {
		return false
	}
	a, okA := x.System()
	b, okB := y.System()
	switch {
	case okA && okB:
		return equivalentSystem(a, b)
	case x.kind == Element && y.kind == Element:
		return ev.equivalentNodes(x.node, y.node)
	}
	return ev.equal(x, y) == yes
}

func equivalentSystem(x, y Item) bool {
	if x.kind == String && y.kind == String {
		return normalText(x.str) == normalText(y.str)
	}
	dx, okX := x.decimal()
	dy, okY := y.decimal()
	if okX && okY {
		return equivalentDecimals(dx, dy)
	}
	qx, okQX := x.box.(*Quantity)
	qy, okQY := y.box.(*Quantity)
	switch {
	case okQX && okQY:
		return equivalentQuantities(*qx, *qy)
	case okQX && okY:
		return equivalentQuantities(*qx, Quantity{Value: dy, Unit: "1"})
	case okX && okQY:
		return equivalentQuantities(Quantity{Value: dx, Unit: "1"}, *qy)
	}
	return equalSystem(x, y) == yes
}

// equivalentDecimals compares to the precision of the less precise.
func equivalentDecimals(x, y value.Decimal) bool {
	places := min(scale(x), scale(y))
	return x.Round(places).Cmp(y.Round(places)) == 0
}

// scale is the number of places without zeros at the end.
func scale(d value.Decimal) int {
	s := d.Scale()
	for s > 0 && d.Round(s-1).Cmp(d) == 0 {
		s--
	}
	return s
}

// normalText folds case and white space.
func normalText(s string) string {
	return strings.ToLower(strings.Join(strings.FieldsFunc(s, unicode.IsSpace), " "))
}

// equivalentNodes compares children in any order. The ids of elements do not count.
func (ev *evaluator) equivalentNodes(x, y element.Node) bool {
	a, b := childItems(x), childItems(y)
	if len(a) != len(b) {
		return false
	}
	used := make([]bool, len(b))
	for _, c := range a {
		found := false
		for k, d := range b {
			if !used[k] && c.node.Name() == d.node.Name() && ev.equivalent(c, d) {
				used[k], found = true, true
				break
			}
		}
		if !found {
			return false
		}
	}
	return true
}

func childItems(n element.Node) []Item {
	var out []Item
	for c := n.First(); c.Valid(); c = c.Next() {
		if c.Name() != "id" {
			out = append(out, NodeItem(c))
		}
	}
	return out
}
