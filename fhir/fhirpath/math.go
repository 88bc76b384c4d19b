package fhirpath

import (
	"github.com/cockroachdb/apd/v3"

	"meridian/fhir/value"
)

// https://hl7.org/fhirpath/N1/#math-1
var mathFunctions = []function{
	{name: "abs", eval: fnAbs},
	{name: "ceiling", eval: simple(toWhole(value.Decimal.Ceiling))},
	{name: "exp", eval: simple(transcendental((*apd.Context).Exp))},
	{name: "floor", eval: simple(toWhole(value.Decimal.Floor))},
	{name: "ln", eval: simple(transcendental((*apd.Context).Ln))},
	{name: "log", least: 1, most: 1, eval: fnLog},
	{name: "power", least: 1, most: 1, eval: fnPower},
	{name: "round", most: 1, eval: fnRound},
	{name: "sqrt", eval: simple(transcendental((*apd.Context).Sqrt))},
	{name: "truncate", eval: simple(toWhole(value.Decimal.Truncate))},
}

// mathDigits is the precision of functions whose result is not exact.
const mathDigits = 28

// mathContext makes inexact results, and no panics: what is out of range is an error.
func mathContext() *apd.Context {
	c := apd.BaseContext.WithPrecision(mathDigits)
	c.MaxExponent, c.MinExponent = value.MaxExponent, -value.MaxExponent
	return c
}

// number gives a Decimal or Integer that is the only item.
func (ev *evaluator) number(n *Call, in []Item) (value.Decimal, bool, error) {
	i, ok, err := ev.one(n, in)
	if err != nil || !ok {
		return value.Decimal{}, false, err
	}
	d, ok := i.Decimal()
	if !ok && !systemOrElementKind(i) {
		return d, false, ev.fail(Execution, n, "%s() is of a number, not of %s", n.Name, i.TypeName())
	}
	return d, ok, nil
}

// numberArgument is argument for a Decimal or Integer.
func (ev *evaluator) numberArgument(n *Call, k int, sc *scope) (value.Decimal, bool, error) {
	i, ok, err := ev.argument(n, k, sc)
	if err != nil || !ok {
		return value.Decimal{}, false, err
	}
	d, ok := i.Decimal()
	if !ok {
		return d, false, ev.fail(Execution, n.Args[k], "%s() takes a number, not %s", n.Name, i.TypeName())
	}
	return d, true, nil
}

func fnAbs(ev *evaluator, n *Call, in []Item, _ *scope) error {
	i, ok, err := ev.one(n, in)
	if err != nil || !ok {
		return err
	}
	v, _ := i.System()
	switch v.kind {
	case Integer:
		ev.pushInteger(max(v.num, -v.num))
	case Decimal:
		ev.push(DecimalItem(v.box.(value.Decimal).Abs()))
	case KindQuantity:
		q := *v.box.(*Quantity)
		q.Value = q.Value.Abs()
		ev.push(QuantityItem(q))
	default:
		return ev.fail(Execution, n, "abs() is of a number, not of %s", i.TypeName())
	}
	return nil
}

// toWhole gives an Integer, nothing where it is out of range.
func toWhole(f func(value.Decimal) value.Decimal) func(Item) (Item, bool) {
	return func(i Item) (Item, bool) {
		d, ok := i.Decimal()
		if !ok {
			return Item{}, false
		}
		k, ok := f(d).Int64()
		return IntegerItem(k), ok && k >= -maxInteger-1 && k <= maxInteger
	}
}

// transcendental computes in mathDigits; nothing where there is no real result.
func transcendental(f func(c *apd.Context, d, x *apd.Decimal) (apd.Condition, error)) func(Item) (Item, bool) {
	return func(i Item) (Item, bool) {
		d, ok := i.Decimal()
		if !ok {
			return Item{}, false
		}
		var r apd.Decimal
		if _, err := f(mathContext(), &r, toAPD(d)); err != nil {
			return Item{}, false
		}
		out, ok := fromAPD(&r)
		return DecimalItem(out), ok
	}
}

func toAPD(d value.Decimal) *apd.Decimal {
	r, _, err := apd.NewFromString(d.String())
	if err != nil {
		return &apd.Decimal{Form: apd.NaN}
	}
	return r
}

// fromAPD drops zeros behind the point.
func fromAPD(r *apd.Decimal) (value.Decimal, bool) {
	if r.Form != apd.Finite || r.Exponent > value.MaxExponent || r.Exponent < -value.MaxExponent {
		return value.Decimal{}, false
	}
	d, err := value.ParseDecimal(r.Text('f'))
	if err != nil {
		return value.Decimal{}, false
	}
	return d.Round(scale(d)), true
}

func fnLog(ev *evaluator, n *Call, in []Item, sc *scope) error {
	x, ok, err := ev.number(n, in)
	if err != nil {
		return err
	}
	base, okBase, err := ev.numberArgument(n, 0, sc)
	if err != nil || !ok || !okBase {
		return err
	}
	c := mathContext()
	c.Precision += 4 // guard digits, so that log(16, 2) is 4
	var a, b, q apd.Decimal
	if _, err := c.Ln(&a, toAPD(x)); err != nil {
		return nil
	}
	if _, err := c.Ln(&b, toAPD(base)); err != nil || b.IsZero() {
		return nil
	}
	c.Precision -= 4
	if _, err := c.Quo(&q, &a, &b); err == nil {
		ev.pushDecimal(fromAPD(&q))
	}
	return nil
}

func fnPower(ev *evaluator, n *Call, in []Item, sc *scope) error {
	x, ok, err := ev.number(n, in)
	if err != nil {
		return err
	}
	y, okY, err := ev.numberArgument(n, 0, sc)
	if err != nil || !ok || !okY {
		return err
	}
	var r apd.Decimal
	if _, err := mathContext().Pow(&r, toAPD(x), toAPD(y)); err != nil {
		return nil
	}
	d, ok := fromAPD(&r)
	if !ok {
		return nil
	}
	base, _ := in[0].System()
	if k, fits := d.Int64(); base.kind == Integer && d.IsInteger() && y.Scale() == 0 && fits {
		ev.pushInteger(k)
		return nil
	}
	ev.push(DecimalItem(d))
	return nil
}

func fnRound(ev *evaluator, n *Call, in []Item, sc *scope) error {
	x, ok, err := ev.number(n, in)
	if err != nil {
		return err
	}
	places, hasPlaces, err := ev.intArgument(n, 0, sc)
	if err != nil || !ok || len(n.Args) > 0 && !hasPlaces {
		return err
	}
	if places < 0 {
		return ev.fail(Execution, n, "round() takes no negative precision")
	}
	ev.push(DecimalItem(x.Round(int(min(places, value.MaxExponent)))))
	return nil
}
