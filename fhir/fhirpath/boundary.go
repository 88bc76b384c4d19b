package fhirpath

import (
	"strings"

	"meridian/fhir/schema"
	"meridian/fhir/value"
)

// Boundaries and precision are of FHIRPath 3.0; R5 and much of what is written
// for R4 uses them.
var boundaryFunctions = []function{
	{name: "lowBoundary", most: 1, eval: func(ev *evaluator, n *Call, in []Item, sc *scope) error { return ev.boundary(n, in, sc, false) }},
	{name: "highBoundary", most: 1, eval: func(ev *evaluator, n *Call, in []Item, sc *scope) error { return ev.boundary(n, in, sc, true) }},
	{name: "precision", eval: simple(precision)},
	{name: "comparable", least: 1, most: 1, eval: fnComparable},
}

// MaxBoundary is the most places that a boundary of a Decimal is given in.
const MaxBoundary = 28

// boundary pushes the least or greatest value that the only item could stand
// for, in as many places (Decimal) or digits (dates, times) as the argument says.
func (ev *evaluator) boundary(n *Call, in []Item, sc *scope, high bool) error {
	i, ok, err := ev.one(n, in)
	if err != nil || !ok {
		return err
	}
	digits, given, err := ev.intArgument(n, 0, sc)
	if err != nil {
		return err
	}
	if i.kind == Element && i.node.TypeID() == schema.TypePeriod { // of its start, or of its end
		side := i.node.Child("start")
		if high {
			side = i.node.Child("end")
		}
		if !side.HasValue() {
			return nil
		}
		i = NodeItem(side)
	}
	v, _ := i.System()
	var r Item
	switch d, number := v.decimal(); {
	case number:
		var b value.Decimal
		b, ok = decimalBoundary(d, orDefault(digits, given, 8), high)
		r = DecimalItem(b)
	case v.kind == KindQuantity:
		q := *v.box.(*Quantity)
		q.Value, ok = decimalBoundary(q.Value, orDefault(digits, given, 8), high)
		r = QuantityItem(q)
	case v.kind == Date:
		r, ok = dateBoundary(v, orDefault(digits, given, 8), high)
	case v.kind == DateTime:
		r, ok = dateBoundary(v, orDefault(digits, given, 17), high)
	case v.kind == Time:
		r, ok = timeBoundary(v.box.(value.Time), orDefault(digits, given, 9), high)
	default:
		return ev.fail(Execution, n, "%s has no boundaries", i.TypeName())
	}
	if ok {
		ev.push(r)
	}
	return nil
}

func orDefault(v int64, given bool, otherwise int64) int64 {
	if given {
		return v
	}
	return otherwise
}

// decimalBoundary rounds half a unit of the last place outwards.
func decimalBoundary(d value.Decimal, places int64, high bool) (value.Decimal, bool) {
	if places < 0 || places > MaxBoundary {
		return value.Decimal{}, false
	}
	lo, hi := d.Bounds()
	b := lo
	if high {
		b = hi
	}
	unit, _ := value.ParseDecimal("1e-" + value.DecimalFromInt(places).String())
	q, ok := b.QuoInt(unit)
	if !ok {
		return q, false
	}
	r, ok := q.Mul(unit)
	switch {
	case !ok:
	case high && r.Cmp(b) < 0:
		r, ok = r.Add(unit)
	case !high && r.Cmp(b) > 0:
		r, ok = r.Sub(unit)
	}
	return r, ok
}

// The text of a moment with all fields, and where a precision in digits ends in it.
const (
	lowest  = "0001-01-01T00:00:00.000"
	highest = "9999-12-31T23:59:59.999"
)

func dateEnd(digits int64) int {
	switch digits {
	case 4:
		return 4
	case 6:
		return 7
	case 8:
		return 10
	case 10:
		return 13
	case 12:
		return 16
	case 14:
		return 19
	case 17:
		return 23
	}
	return 0
}

func dateBoundary(v Item, digits int64, high bool) (Item, bool) {
	end := dateEnd(digits)
	if end == 0 || v.kind == Date && end > 10 {
		return Item{}, false
	}
	d := v.box.(value.DateTime)
	text := d.String()
	zone := ""
	if at := strings.LastIndexAny(text, "Z+-"); d.HasZone() && at > 0 {
		text, zone = text[:at], text[at:]
	}
	fill := lowest
	if high {
		fill = highest
		if len(text) == 7 { // the month's own last day
			last, _ := value.ParseDate(text)
			next, _ := last.AddMonths(1)
			next, _ = next.Add(-86400, 0)
			fill = strings.Replace(fill, "-31T", "-"+dayOf(next)+"T", 1)
		}
	}
	if len(text) < len(fill) {
		text += fill[len(text):]
	}
	text = text[:end]
	if end > 10 {
		switch {
		case zone != "":
		case high:
			zone = "-12:00"
		default:
			zone = "+14:00"
		}
		text += zone
	}
	r, err := value.ParsePartialDateTime(text)
	return Item{kind: v.kind, box: r}, err == nil
}

func dayOf(d value.DateTime) string {
	return string([]byte{'0' + byte(d.Day()/10), '0' + byte(d.Day()%10)})
}

func timeBoundary(t value.Time, digits int64, high bool) (Item, bool) {
	end := map[int64]int{2: 2, 4: 5, 6: 8, 9: 12}[digits]
	if end == 0 {
		return Item{}, false
	}
	fill := lowest[11:]
	if high {
		fill = highest[11:]
	}
	text := t.String()
	if len(text) < len(fill) {
		text += fill[len(text):]
	}
	r, err := value.ParsePartialTime(text[:end])
	return TimeItem(r), err == nil
}

// precision counts the places of a Decimal, and the digits of a date or time.
func precision(i Item) (Item, bool) {
	v, _ := i.System()
	switch v.kind {
	case Integer:
		return IntegerItem(0), true
	case Decimal:
		return IntegerItem(int64(v.box.(value.Decimal).Scale())), true
	case Date, DateTime:
		d := v.box.(value.DateTime)
		n := map[value.Precision]int{value.Year: 4, value.Month: 6, value.Day: 8, value.Hour: 10, value.Minute: 12, value.Second: 14}[d.Precision()]
		if n == 0 {
			n = 14 + d.FractionDigits()
		}
		return IntegerItem(int64(n)), true
	case Time:
		t := v.box.(value.Time)
		n := map[value.Precision]int{value.Hour: 2, value.Minute: 4, value.Second: 6}[t.Precision()]
		if n == 0 {
			n = 6 + t.FractionDigits()
		}
		return IntegerItem(int64(n)), true
	}
	return Item{}, false
}

// fnComparable says whether two quantities have a common measure.
func fnComparable(ev *evaluator, n *Call, in []Item, sc *scope) error {
	i, ok, err := ev.one(n, in)
	if err != nil {
		return err
	}
	j, okJ, err := ev.argument(n, 0, sc)
	if err != nil || !ok || !okJ {
		return err
	}
	x, okX := i.Quantity()
	y, okY := j.Quantity()
	if !okX || !okY {
		return ev.fail(Execution, n, "comparable() is of quantities")
	}
	_, _, ok = commensurable(x, y)
	ev.pushBool(ok)
	return nil
}
