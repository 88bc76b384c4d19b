package fhirpath

import (
	"strings"

	"meridian/fhir/ucum"
	"meridian/fhir/value"
)

const ucumSystem = "http://unitsofmeasure.org"

// calendar units, from the finest; 0 is none.
type calendar uint8

const (
	calMillisecond calendar = iota + 1
	calSecond
	calMinute
	calHour
	calDay
	calWeek
	calMonth
	calYear
)

// calendarUnit reads a unit written as a word, singular or plural.
// https://hl7.org/fhirpath/N1/#time-valued-quantities
func calendarUnit(word string) calendar {
	switch word {
	case "millisecond", "milliseconds":
		return calMillisecond
	case "second", "seconds":
		return calSecond
	case "minute", "minutes":
		return calMinute
	case "hour", "hours":
		return calHour
	case "day", "days":
		return calDay
	case "week", "weeks":
		return calWeek
	case "month", "months":
		return calMonth
	case "year", "years":
		return calYear
	}
	return 0
}

// ucumTime reads the UCUM units of time that are equal to calendar ones. The
// UCUM month and year (mo, a) are not: they have a fixed length.
func ucumTime(unit string) calendar {
	switch unit {
	case "ms":
		return calMillisecond
	case "s":
		return calSecond
	case "min":
		return calMinute
	case "h":
		return calHour
	case "d":
		return calDay
	case "wk":
		return calWeek
	}
	return 0
}

// calendarWord gives the word for the UCUM units a and mo of a FHIR Quantity,
// which R4 reads as calendar durations.
// https://hl7.org/fhir/R4/fhirpath.html#quantity
func calendarWord(code string) (string, bool) {
	switch code {
	case "a":
		return "year", true
	case "mo":
		return "month", true
	}
	return "", false
}

// seconds gives the length of calendar and UCUM units up to the week, in
// milliseconds; 0 for months and years, which have none.
func (c calendar) milliseconds() int64 {
	switch c {
	case calMillisecond:
		return 1
	case calSecond:
		return 1000
	case calMinute:
		return 60 * 1000
	case calHour:
		return 3600 * 1000
	case calDay:
		return 86400 * 1000
	case calWeek:
		return 7 * 86400 * 1000
	}
	return 0
}

// duration gives the time unit of q, 0 when it is none.
func (q Quantity) duration() calendar {
	if q.Calendar {
		return calendarUnit(q.Unit)
	}
	return ucumTime(q.Unit)
}

// commensurable brings two quantities to one unit; ok is false where that cannot be done.
func commensurable(x, y Quantity) (a, b value.Decimal, ok bool) {
	if x.Calendar == y.Calendar && x.Unit == y.Unit {
		return x.Value, y.Value, true
	}
	cx, cy := x.duration(), y.duration()
	if cx != 0 && cx == cy {
		return x.Value, y.Value, true
	}
	if mx, my := cx.milliseconds(), cy.milliseconds(); mx != 0 && my != 0 {
		a, okA := x.Value.Mul(value.DecimalFromInt(mx))
		b, okB := y.Value.Mul(value.DecimalFromInt(my))
		return a, b, okA && okB
	}
	if x.Calendar && y.Calendar && cx >= calMonth && cy >= calMonth {
		return months(x), months(y), true
	}
	u, v, ok := units(x, y)
	if !ok || !u.Comparable(v) {
		return value.Decimal{}, value.Decimal{}, false
	}
	a, okA := u.ToBase(x.Value)
	b, okB := v.ToBase(y.Value)
	return a, b, okA && okB
}

// units parses both units.
func units(x, y Quantity) (u, v ucum.Unit, ok bool) {
	codeX, okX := x.ucumCode()
	codeY, okY := y.ucumCode()
	if !okX || !okY {
		return u, v, false
	}
	u, errX := ucum.Parse(codeX)
	v, errY := ucum.Parse(codeY)
	return u, v, errX == nil && errY == nil
}

// ucumCode gives q's unit in UCUM; false for calendar months and years, which have no length.
func (q Quantity) ucumCode() (string, bool) {
	if !q.Calendar {
		return q.Unit, true
	}
	codes := [...]string{calMillisecond: "ms", calSecond: "s", calMinute: "min", calHour: "h", calDay: "d", calWeek: "wk"}
	if c := q.duration(); int(c) < len(codes) {
		return codes[c], true
	}
	return "", false
}

func months(q Quantity) value.Decimal {
	if q.duration() == calYear {
		m, _ := q.Value.Mul(value.DecimalFromInt(12))
		return m
	}
	return q.Value
}

// equalQuantities is unknown where the units have no common measure.
func equalQuantities(x, y Quantity) ternary {
	c, known := compareQuantities(x, y)
	return known.then(c == 0)
}

func compareQuantities(x, y Quantity) (int, knowledge) {
	a, b, ok := commensurable(x, y)
	if !ok {
		return 0, false
	}
	return a.Cmp(b), true
}

// equivalentQuantities compares in the coarser unit, to the precision of the
// less precise. A calendar year or month is equivalent to UCUM's.
func equivalentQuantities(x, y Quantity) bool {
	if x.lasting() != "" && x.lasting() == y.lasting() {
		return equivalentDecimals(x.Value, y.Value)
	}
	u, v, ok := units(x, y)
	if !ok || !u.Comparable(v) {
		a, b, ok := commensurable(x, y)
		return ok && equivalentDecimals(a, b)
	}
	if c, _ := ucum.Compare(value.DecimalFromInt(1), u, value.DecimalFromInt(1), v); c < 0 {
		x, y, u, v = y, x, v, u
	}
	b, ok := ucum.Convert(y.Value, v, u)
	return ok && equivalentDecimals(x.Value, b)
}

// lasting is "a" or "mo" for years and months of either kind.
func (q Quantity) lasting() string {
	switch {
	case q.Calendar && q.duration() == calYear, !q.Calendar && q.Unit == "a":
		return "a"
	case q.Calendar && q.duration() == calMonth, !q.Calendar && q.Unit == "mo":
		return "mo"
	}
	return ""
}

// finerUnit brings x and y to the finer of their units. ok is false where there is none.
func finerUnit(x, y Quantity) (a, b value.Decimal, unit Quantity, ok bool) {
	unit = x
	if one := value.DecimalFromInt(1); finer(Quantity{one, y.Unit, y.Calendar}, Quantity{one, x.Unit, x.Calendar}) {
		unit = y
	}
	if a, ok = convertTo(x, unit); !ok {
		return a, b, unit, false
	}
	b, ok = convertTo(y, unit)
	return a, b, unit, ok
}

func finer(x, y Quantity) bool {
	c, known := compareQuantities(x, y)
	return bool(known) && c < 0
}

// convertTo gives q's value in another unit.
func convertTo(q, unit Quantity) (value.Decimal, bool) {
	if q.duration() != 0 && unit.duration() != 0 {
		return convertTime(q, unit)
	}
	u, v, ok := units(q, unit)
	if !ok {
		return value.Decimal{}, false
	}
	return ucum.Convert(q.Value, u, v)
}

// convertTime gives q's value in another unit of time.
func convertTime(q, unit Quantity) (value.Decimal, bool) {
	from, to := q.duration(), unit.duration()
	if from == calYear && to == calMonth {
		return months(q), true
	}
	if from == to {
		return q.Value, true
	}
	ms := to.milliseconds()
	v, ok := q.Value.Mul(value.DecimalFromInt(from.milliseconds()))
	if !ok || ms == 0 || from.milliseconds() == 0 {
		return v, false
	}
	return v.Quo(value.DecimalFromInt(ms), quotientPlaces)
}

// convertQuantity gives q in a unit written as a UCUM code or a calendar word.
func convertQuantity(q Quantity, unit string) (Quantity, bool) {
	to := Quantity{Unit: unit, Calendar: calendarUnit(unit) != 0}
	if to.Unit == q.Unit && to.Calendar == q.Calendar {
		return q, true
	}
	v, ok := convertTo(q, to)
	to.Value = v
	return to, ok
}

// unitProduct multiplies two units; where the result has no dimension, it is a number.
func (ev *evaluator) unitProduct(n *Binary, x, y Quantity) error {
	return ev.unitCombination(n, x, y, ".", value.Decimal.Mul)
}

func (ev *evaluator) unitQuotient(n *Binary, x, y Quantity) error {
	return ev.unitCombination(n, x, y, "/", func(a, b value.Decimal) (value.Decimal, bool) { return a.Quo(b, quotientPlaces) })
}

func (ev *evaluator) unitCombination(n *Binary, x, y Quantity, sign string, op func(a, b value.Decimal) (value.Decimal, bool)) error {
	codeX, okX := x.ucumCode()
	codeY, okY := y.ucumCode()
	if !okX || !okY {
		return ev.fail(Execution, n, "a calendar unit is no part of a product")
	}
	if strings.ContainsAny(codeY, "./") {
		codeY = "(" + codeY + ")"
	}
	code := codeX + sign + codeY
	u, err := ucum.Parse(code)
	if err != nil {
		return ev.fail(Execution, n, "'%s' needs units of UCUM that may be multiplied", n.Op)
	}
	v, ok := op(x.Value, y.Value)
	if ok && u.Canonical() == "1" {
		v, ok = u.ToBase(v)
		code = "1"
	}
	ev.pushQuantity(v, code, false, ok)
	return nil
}
