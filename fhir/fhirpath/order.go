package fhirpath

import (
	"strings"

	"meridian/fhir/value"
)

// order evaluates < <= > >=.
// https://hl7.org/fhirpath/N1/#comparison
func (ev *evaluator) order(n *Binary, x, y Item) error {
	c, known, ok := compare(x, y)
	if !ok {
		return ev.fail(Execution, n, "%s and %s have no order", x.TypeName(), y.TypeName())
	}
	switch n.op {
	case opLess:
		ev.pushTruth(known.then(c < 0))
	case opLessEq:
		ev.pushTruth(known.then(c <= 0))
	case opGreater:
		ev.pushTruth(known.then(c > 0))
	case opGreaterEq:
		ev.pushTruth(known.then(c >= 0))
	}
	return nil
}

// compare orders two items. ok is false where their types have no order; an
// element without a value is unknown.
func compare(x, y Item) (c int, known knowledge, ok bool) {
	a, okA := x.System()
	b, okB := y.System()
	if !okA || !okB {
		return 0, false, systemOrElementKind(x) && systemOrElementKind(y)
	}
	if a.kind == String && b.kind == String {
		return strings.Compare(a.str, b.str), true, true
	}
	da, okA := a.decimal()
	db, okB := b.decimal()
	if okA && okB {
		return da.Cmp(db), true, true
	}
	switch v := a.box.(type) {
	case value.DateTime:
		if w, ok := b.box.(value.DateTime); ok {
			c, known = compareDates(v, w)
			return c, known, true
		}
	case value.Time:
		if w, ok := b.box.(value.Time); ok {
			c, known = compareTimes(v, w)
			return c, known, true
		}
	case *Quantity:
		if w, ok := b.box.(*Quantity); ok {
			c, known = compareQuantities(*v, *w)
			return c, known, true
		}
		if okB {
			c, known = compareQuantities(*v, Quantity{Value: db, Unit: "1"})
			return c, known, true
		}
	}
	if w, ok := b.box.(*Quantity); ok && okA {
		c, known = compareQuantities(Quantity{Value: da, Unit: "1"}, *w)
		return c, known, true
	}
	return 0, false, false
}

// systemOrElementKind says that i is, or could have had, a value with an order.
func systemOrElementKind(i Item) bool {
	k := i.kind
	if k == Element {
		k = systemKind(i.node.TypeID())
	}
	return k > Boolean && k <= KindQuantity
}

// compareDates compares field by field. Where one is less precise and all
// fields that both have are equal, the order is unknown; seconds and their
// fraction count as one field. Two zones are brought to UTC. Where only one has a
// zone, the order is known if no zone of the other could change it.
// https://hl7.org/fhirpath/N1/#datetime-comparison
func compareDates(x, y value.DateTime) (int, knowledge) {
	timed := x.Precision() > value.Day && y.Precision() > value.Day
	switch {
	case x.HasZone() && y.HasZone():
		x, y = x.UTC(), y.UTC()
	case timed && x.HasZone() != y.HasZone():
		return compareUnzoned(x, y)
	}
	return compareFields(x, y)
}

func compareFields(x, y value.DateTime) (int, knowledge) {
	px, py := min(x.Precision(), value.Second), min(y.Precision(), value.Second)
	for p := value.Year; p <= value.Second; p++ {
		if px < p || py < p {
			return 0, knowledge(px == py)
		}
		a, b := field(x, p), field(y, p)
		if p == value.Second {
			a, b = a*1e9+int64(x.Nanosecond()), b*1e9+int64(y.Nanosecond())
		}
		switch {
		case a < b:
			return -1, true
		case a > b:
			return 1, true
		}
	}
	return 0, true
}

func field(d value.DateTime, p value.Precision) int64 {
	switch p {
	case value.Year:
		return int64(d.Year())
	case value.Month:
		return int64(d.Month())
	case value.Day:
		return int64(d.Day())
	case value.Hour:
		return int64(d.Hour())
	case value.Minute:
		return int64(d.Minute())
	}
	return int64(d.Second())
}

// widestZone is the largest offset of a zone, in seconds.
const widestZone = 14 * 3600

func compareUnzoned(x, y value.DateTime) (int, knowledge) {
	a, _ := x.Interval(nil)
	b, _ := y.Interval(nil)
	switch d := a.Sec - b.Sec; {
	case d > widestZone+86400:
		return 1, true
	case d < -widestZone-86400:
		return -1, true
	}
	return 0, false
}

func compareTimes(x, y value.Time) (int, knowledge) {
	px, py := min(x.Precision(), value.Second), min(y.Precision(), value.Second)
	fields := [...][2]int64{
		{int64(x.Hour()), int64(y.Hour())},
		{int64(x.Minute()), int64(y.Minute())},
		{int64(x.Second())*1e9 + int64(x.Nanosecond()), int64(y.Second())*1e9 + int64(y.Nanosecond())},
	}
	for k, f := range fields {
		if p := value.Hour + value.Precision(k); px < p || py < p {
			return 0, knowledge(px == py)
		}
		switch {
		case f[0] < f[1]:
			return -1, true
		case f[0] > f[1]:
			return 1, true
		}
	}
	return 0, true
}
