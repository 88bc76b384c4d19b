package fhirpath

import "slices"

// binary is the static side of the operators.
func (c *checker) binary(n *Binary, sc staticScope) Static {
	x, y := c.node(n.X, sc), c.node(n.Y, sc)
	switch n.op {
	case opUnion:
		return x.Or(y).many()
	case opConcat:
		return systemStatic(String)
	case opAdd, opSub, opMul, opDiv, opIntDiv, opMod:
		return c.arithmetic(n, x, y)
	case opLess, opLessEq, opGreater, opGreaterEq:
		c.pair(n, x, y, func(a, b Kind) []Kind {
			if a == b && a != Boolean || sameOrder(a, b) {
				return []Kind{Boolean}
			}
			return nil
		})
	}
	return systemStatic(Boolean)
}

// sameOrder says that two different kinds have an order between them.
func sameOrder(a, b Kind) bool {
	number := func(k Kind) bool { return k == Integer || k == Decimal }
	date := func(k Kind) bool { return k == Date || k == DateTime }
	return number(a) && number(b) || date(a) && date(b)
}

// pair collects what an operator makes of each pair of kinds. That no pair goes
// together is an error.
func (c *checker) pair(n *Binary, x, y Static, of func(a, b Kind) []Kind) Static {
	kx, completeX := x.Kinds()
	ky, completeY := y.Kinds()
	var out Static
	for _, a := range kx {
		for _, b := range ky {
			for _, k := range of(a, b) {
				out.addKind(k)
			}
		}
	}
	if x.Open || y.Open {
		return Static{Open: true}
	}
	if out.none() && !x.none() && !y.none() {
		c.fail(n, "there is no '%s' between %s and %s", n.Op, x, y)
		return Static{Open: true}
	}
	out.Open = !completeX && len(kx) > 0 || !completeY && len(ky) > 0
	return out
}

func (c *checker) arithmetic(n *Binary, x, y Static) Static {
	return c.pair(n, x, y, func(a, b Kind) []Kind {
		moves := n.op == opAdd || n.op == opSub
		switch {
		case a == String && b == String && n.op == opAdd:
			return []Kind{String}
		case a == Integer && b == Integer && n.op != opDiv:
			return []Kind{Integer}
		case sameOrder(a, b) && (a == Integer || a == Decimal), a == Decimal && b == Decimal, a == Integer && b == Integer:
			if n.op == opIntDiv {
				return []Kind{Integer}
			}
			return []Kind{Decimal}
		case b == KindQuantity && slices.Contains([]Kind{Date, DateTime, Time}, a) && moves:
			return []Kind{a}
		case a == KindQuantity && slices.Contains([]Kind{Integer, Decimal, KindQuantity}, b), b == KindQuantity && (a == Integer || a == Decimal):
			return []Kind{KindQuantity}
		}
		return nil
	})
}

// numeric is what remains of a number under a sign, or in abs().
func (c *checker) numeric(n Node, what string, in Static) Static {
	kinds, _ := in.Kinds()
	out := Static{Open: in.Open, Many: in.Many}
	for _, k := range kinds {
		if k == Integer || k == Decimal || k == KindQuantity {
			out.addKind(k)
		}
	}
	if out.none() && !in.none() {
		c.fail(n, "'%s' is of a number, not of %s", what, in)
		out.Open = true
	}
	return out
}
