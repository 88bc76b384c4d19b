package fhirpath

import "meridian/fhir/value"

// quotientPlaces is how many places '/' computes; FHIRPath asks for eight.
const quotientPlaces = 16

// unary evaluates a sign.
func (ev *evaluator) unary(n *Unary, sc *scope) error {
	x, ok, err := ev.singleton(n.X, sc)
	if err != nil || !ok {
		return err
	}
	v, _ := x.System()
	switch v.kind {
	case Integer:
		if n.Op == "-" {
			v.num = -v.num
		}
		ev.pushInteger(v.num)
	case Decimal:
		if d, _ := v.decimal(); n.Op == "-" {
			v = DecimalItem(d.Neg())
		}
		ev.push(v)
	case KindQuantity:
		q := *v.box.(*Quantity)
		if n.Op == "-" {
			q.Value = q.Value.Neg()
		}
		ev.push(QuantityItem(q))
	default:
		return ev.fail(Execution, n, "%s has no sign", x.TypeName())
	}
	return nil
}

// pushInteger pushes nothing where i is no Integer: an overflow is empty.
func (ev *evaluator) pushInteger(i int64) {
	if i >= -maxInteger-1 && i <= maxInteger {
		ev.push(IntegerItem(i))
	}
}

func (ev *evaluator) pushDecimal(d value.Decimal, ok bool) {
	if ok {
		ev.push(DecimalItem(d))
	}
}

// concatenate is '&': {} counts as ”.
func (ev *evaluator) concatenate(n *Binary, x, y Item, okX, okY bool) error {
	a, textX := x.Text()
	b, textY := y.Text()
	if okX && !textX || okY && !textY {
		return ev.fail(Execution, n, "'&' is between Strings")
	}
	return ev.pushText(n, a+b)
}

// arithmetic evaluates + - * / div mod on two values.
// https://hl7.org/fhirpath/N1/#math
func (ev *evaluator) arithmetic(n *Binary, x, y Item) error {
	a, okA := x.System()
	b, okB := y.System()
	if !okA || !okB {
		if systemOrElementKind(x) && systemOrElementKind(y) {
			return nil // an element without a value
		}
		return ev.noOperator(n, x, y)
	}
	da, numA := a.decimal()
	db, numB := b.decimal()
	switch {
	case a.kind == Integer && b.kind == Integer && n.op != opDiv:
		ev.integers(n.op, a.num, b.num)
		return nil
	case numA && numB:
		ev.decimals(n.op, da, db)
		return nil
	case a.kind == String && b.kind == String && n.op == opAdd:
		return ev.pushText(n, a.str+b.str)
	case a.kind == KindQuantity && b.kind == KindQuantity:
		return ev.quantities(n, *a.box.(*Quantity), *b.box.(*Quantity))
	case a.kind == KindQuantity && numB:
		return ev.quantities(n, *a.box.(*Quantity), Quantity{Value: db, Unit: "1"})
	case numA && b.kind == KindQuantity && n.op != opDiv:
		return ev.quantities(n, *b.box.(*Quantity), Quantity{Value: da, Unit: "1"})
	case b.kind == KindQuantity && (n.op == opAdd || n.op == opSub):
		return ev.shift(n, x, a, *b.box.(*Quantity))
	}
	return ev.noOperator(n, x, y)
}

func (ev *evaluator) noOperator(n *Binary, x, y Item) error {
	return ev.fail(Execution, n, "there is no '%s' between %s and %s", n.Op, x.TypeName(), y.TypeName())
}

func (ev *evaluator) integers(op operator, a, b int64) {
	switch {
	case op == opAdd:
		ev.pushInteger(a + b)
	case op == opSub:
		ev.pushInteger(a - b)
	case op == opMul:
		ev.pushInteger(a * b)
	case b == 0: // a division by zero is empty
	case op == opIntDiv:
		ev.pushInteger(a / b)
	case op == opMod:
		ev.pushInteger(a % b)
	}
}

func (ev *evaluator) decimals(op operator, a, b value.Decimal) {
	switch op {
	case opAdd:
		ev.pushDecimal(a.Add(b))
	case opSub:
		ev.pushDecimal(a.Sub(b))
	case opMul:
		ev.pushDecimal(a.Mul(b))
	case opDiv:
		ev.pushDecimal(a.Quo(b, quotientPlaces))
	case opIntDiv:
		if q, ok := a.QuoInt(b); ok {
			if i, ok := q.Int64(); ok {
				ev.pushInteger(i)
			}
		}
	case opMod:
		ev.pushDecimal(a.Rem(b))
	}
}

// quantities evaluates + and - in the unit of x, and * and / where one side has
// no unit or both have the same.
func (ev *evaluator) quantities(n *Binary, x, y Quantity) error {
	switch n.op {
	case opAdd, opSub:
		if x.Unit != y.Unit || x.Calendar != y.Calendar {
			return ev.quantitySum(n, x, y)
		}
		v, ok := x.Value.Add(y.Value)
		if n.op == opSub {
			v, ok = x.Value.Sub(y.Value)
		}
		ev.pushQuantity(v, x.Unit, x.Calendar, ok)
	case opMul:
		return ev.quantityProduct(n, x, y)
	case opDiv:
		return ev.quantityQuotient(n, x, y)
	default:
		return ev.fail(Execution, n, "there is no '%s' between quantities", n.Op)
	}
	return nil
}

func (ev *evaluator) pushQuantity(v value.Decimal, unit string, calendar, ok bool) {
	if ok {
		ev.push(QuantityItem(Quantity{Value: v, Unit: unit, Calendar: calendar}))
	}
}

// quantitySum adds quantities of different units in the finer one, as FHIRPath
// says; empty where they have no common measure.
func (ev *evaluator) quantitySum(n *Binary, x, y Quantity) error {
	a, b, unit, ok := finerUnit(x, y)
	if !ok {
		return nil
	}
	v, ok := a.Add(b)
	if n.op == opSub {
		v, ok = a.Sub(b)
	}
	ev.pushQuantity(v, unit.Unit, unit.Calendar, ok)
	return nil
}

func (ev *evaluator) quantityProduct(n *Binary, x, y Quantity) error {
	v, ok := x.Value.Mul(y.Value)
	switch {
	case y.Unit == "1":
		ev.pushQuantity(v, x.Unit, x.Calendar, ok)
	case x.Unit == "1":
		ev.pushQuantity(v, y.Unit, y.Calendar, ok)
	default:
		return ev.unitProduct(n, x, y)
	}
	return nil
}

func (ev *evaluator) quantityQuotient(n *Binary, x, y Quantity) error {
	v, ok := x.Value.Quo(y.Value, quotientPlaces)
	switch {
	case y.Unit == "1":
		ev.pushQuantity(v, x.Unit, x.Calendar, ok)
	case x.Unit == y.Unit && x.Calendar == y.Calendar:
		ev.pushQuantity(v, "1", false, ok)
	default:
		return ev.unitQuotient(n, x, y)
	}
	return nil
}

// shift moves a date, dateTime or time by a quantity of time.
// https://hl7.org/fhirpath/N1/#datetime-arithmetic
func (ev *evaluator) shift(n *Binary, x, v Item, q Quantity) error {
	unit := q.duration()
	if w := calendarUnit(q.Unit); unit == 0 && w != 0 {
		unit = w // 1 'month': a word in quotes
	}
	if unit == 0 {
		return ev.fail(Execution, n, "a date is moved by a calendar unit, not by a quantity of another unit")
	}
	if n.op == opSub {
		q.Value = q.Value.Neg()
	}
	switch v.kind {
	case Date, DateTime:
		d, ok := shiftDate(v.box.(value.DateTime), q.Value, unit)
		if ok {
			ev.push(Item{kind: v.kind, box: d})
		}
	case Time:
		t := v.box.(value.Time)
		nano, ok := nanoseconds(q.Value, unit)
		if unit > calHour {
			return ev.fail(Execution, n, "a Time is moved by hours at most")
		}
		if unit := precisionUnit(t.Precision()); ok && unit != 0 {
			ev.push(TimeItem(t.Add(nano / unit * unit)))
		}
	default:
		return ev.fail(Execution, n, "there is no '%s' between %s and Quantity", n.Op, x.TypeName())
	}
	return nil
}

// nanoseconds gives the length of amount; places behind the point count for
// seconds and milliseconds only. False where it does not fit.
func nanoseconds(amount value.Decimal, unit calendar) (int64, bool) {
	if unit > calSecond {
		amount = amount.Truncate()
	}
	d, ok := amount.Mul(value.DecimalFromInt(unit.milliseconds() * 1_000_000))
	if !ok {
		return 0, false
	}
	return d.Int64()
}

// precisionUnit is the length of the last field in nanoseconds.
func precisionUnit(p value.Precision) int64 {
	switch p {
	case value.Hour:
		return 3600e9
	case value.Minute:
		return 60e9
	}
	return 1
}

// shiftDate moves d by whole units. A unit finer than d is brought to d's
// precision: 12 months or 365 days a year, 30 days a month, 24 hours a day.
func shiftDate(d value.DateTime, amount value.Decimal, unit calendar) (value.DateTime, bool) {
	p := d.Precision()
	if unit >= calMonth || p <= value.Month {
		n, ok := wholeMonths(amount, unit, p)
		if !ok {
			return d, false
		}
		return d.AddMonths(n)
	}
	if unit > calSecond {
		amount = amount.Truncate()
	}
	ms, ok := amount.Mul(value.DecimalFromInt(unit.milliseconds()))
	if !ok {
		return d, false
	}
	nano, ok := ms.Mul(value.DecimalFromInt(1_000_000))
	if !ok {
		return d, false
	}
	perSecond := value.DecimalFromInt(1_000_000_000)
	q, _ := nano.QuoInt(perSecond)
	r, _ := nano.Rem(perSecond)
	sec, ok := q.Int64()
	rest, _ := r.Int64()
	if !ok {
		return d, false
	}
	switch p {
	case value.Day:
		sec, rest = sec/86400*86400, 0
	case value.Hour:
		sec, rest = sec/3600*3600, 0
	case value.Minute:
		sec, rest = sec/60*60, 0
	case value.Second:
		rest = 0
	}
	return d.Add(sec, rest)
}

// wholeMonths gives amount in months; for a d of years, in whole years.
func wholeMonths(amount value.Decimal, unit calendar, p value.Precision) (int64, bool) {
	per := int64(12)
	if unit < calMonth {
		days := int64(30)
		if p == value.Year {
			days = 365
		} else {
			per = 1
		}
		n, ok := nanoseconds(amount, unit)
		return n / (days * 86400e9) * per, ok
	}
	n, ok := amount.Truncate().Int64()
	if n > 1<<40 || n < -1<<40 {
		return 0, false
	}
	if unit == calYear {
		return n * 12, ok
	}
	if p == value.Year {
		n = n / 12 * 12
	}
	return n, ok
}
