package fhirpath

import (
	"strings"

	"meridian/fhir/value"
)

// https://hl7.org/fhirpath/N1/#conversion
var conversionFunctions = []function{
	{name: "iif", least: 2, most: 3, eval: fnIif},
	{name: "toBoolean", eval: simple(toBoolean)},
	{name: "convertsToBoolean", eval: converts(toBoolean)},
	{name: "toInteger", eval: simple(toInteger)},
	{name: "convertsToInteger", eval: converts(toInteger)},
	{name: "toDate", eval: simple(toDate)},
	{name: "convertsToDate", eval: converts(toDate)},
	{name: "toDateTime", eval: simple(toDateTime)},
	{name: "convertsToDateTime", eval: converts(toDateTime)},
	{name: "toDecimal", eval: simple(toDecimal)},
	{name: "convertsToDecimal", eval: converts(toDecimal)},
	{name: "toQuantity", most: 1, eval: fnToQuantity},
	{name: "convertsToQuantity", most: 1, eval: fnConvertsToQuantity},
	{name: "toString", eval: simple(toText)},
	{name: "convertsToString", eval: converts(toText)},
	{name: "toTime", eval: simple(toTime)},
	{name: "convertsToTime", eval: converts(toTime)},
}

// converts says whether f gives something.
func converts(f func(Item) (Item, bool)) func(*evaluator, *Call, []Item, *scope) error {
	return simple(func(i Item) (Item, bool) {
		_, ok := f(i)
		return BooleanItem(ok), true
	})
}

// fnIif evaluates only the branch that it gives. Its input is $this, if it was
// called on one.
func fnIif(ev *evaluator, n *Call, in []Item, sc *scope) error {
	if _, _, err := ev.one(n, in); err != nil {
		return err
	}
	inner := ev.enter(sc)
	defer ev.leave()
	*inner = *sc
	inner.this = in
	mark := len(ev.stack)
	if err := ev.eval(n.Args[0], inner); err != nil {
		return err
	}
	criterion := ev.results(mark)
	ev.cut(mark)
	if len(criterion) > 1 || len(criterion) == 1 && !isBoolean(criterion[0]) {
		return ev.fail(Execution, n.Args[0], "the criterion of iif() is a Boolean")
	}
	t, _ := truth(criterion)
	switch {
	case t == yes:
		return ev.eval(n.Args[1], inner)
	case len(n.Args) == 3:
		return ev.eval(n.Args[2], inner)
	}
	return nil
}

func isBoolean(i Item) bool {
	return i.kind == Boolean || i.kind == Element && systemKind(i.node.TypeID()) == Boolean
}

func toBoolean(i Item) (Item, bool) {
	v, _ := i.System()
	switch v.kind {
	case Boolean:
		return v, true
	case Integer:
		return BooleanItem(v.num == 1), v.num == 0 || v.num == 1
	case Decimal:
		d, _ := v.decimal()
		one := d.Cmp(value.DecimalFromInt(1)) == 0
		return BooleanItem(one), one || d.Sign() == 0
	case String:
		switch strings.ToLower(v.str) {
		case "true", "t", "yes", "y", "1", "1.0":
			return BooleanItem(true), true
		case "false", "f", "no", "n", "0", "0.0":
			return BooleanItem(false), true
		}
	}
	return Item{}, false
}

func toInteger(i Item) (Item, bool) {
	v, _ := i.System()
	switch v.kind {
	case Integer:
		return v, true
	case Boolean:
		return IntegerItem(v.num), true
	case String:
		if d, ok := parseNumber(v.str); ok && strings.IndexByte(v.str, '.') < 0 {
			k, ok := d.Int64()
			return IntegerItem(k), ok && k >= -maxInteger-1 && k <= maxInteger
		}
	}
	return Item{}, false
}

// parseNumber reads (\+|-)?\d+(\.\d+)?, which allows a plus sign and leading zeros.
func parseNumber(s string) (value.Decimal, bool) {
	digits := strings.TrimPrefix(s, "+")
	neg := len(digits) == len(s) && strings.HasPrefix(s, "-")
	if neg {
		digits = s[1:]
	}
	for len(digits) > 1 && digits[0] == '0' && digits[1] != '.' {
		digits = digits[1:]
	}
	if strings.ContainsAny(digits, "eE-+") {
		return value.Decimal{}, false
	}
	d, err := value.ParseDecimal(digits)
	if neg {
		d = d.Neg()
	}
	return d, err == nil
}

func toDecimal(i Item) (Item, bool) {
	v, _ := i.System()
	switch v.kind {
	case Decimal:
		return v, true
	case Integer, Boolean:
		return DecimalItem(value.DecimalFromInt(v.num)), true
	case String:
		d, ok := parseNumber(v.str)
		return DecimalItem(d), ok
	}
	return Item{}, false
}

func toDate(i Item) (Item, bool) {
	v, _ := i.System()
	switch v.kind {
	case Date:
		return v, true
	case DateTime:
		return DateItem(v.box.(value.DateTime).Date()), true
	case String:
		if d, err := value.ParseDate(v.str); err == nil {
			return DateItem(d), true
		}
		d, err := value.ParsePartialDateTime(v.str)
		return DateItem(d.Date()), err == nil
	}
	return Item{}, false
}

func toDateTime(i Item) (Item, bool) {
	v, _ := i.System()
	switch v.kind {
	case Date, DateTime:
		return DateTimeItem(v.box.(value.DateTime)), true
	case String:
		d, err := value.ParsePartialDateTime(v.str)
		return DateTimeItem(d), err == nil
	}
	return Item{}, false
}

func toTime(i Item) (Item, bool) {
	v, _ := i.System()
	switch v.kind {
	case Time:
		return v, true
	case String:
		t, err := value.ParsePartialTime(strings.TrimPrefix(v.str, "T"))
		return TimeItem(t), err == nil
	}
	return Item{}, false
}

func toText(i Item) (Item, bool) {
	v, _ := i.System()
	switch v.kind {
	case String:
		return v, true
	case Boolean, Integer, KindQuantity:
		return StringItem(v.String()), true
	case Decimal:
		return StringItem(v.box.(value.Decimal).String()), true
	case Date, DateTime:
		return StringItem(v.box.(value.DateTime).String()), true
	case Time:
		return StringItem(v.box.(value.Time).String()), true
	}
	return Item{}, false
}

func toQuantity(i Item) (Item, bool) {
	v, _ := i.System()
	switch v.kind {
	case KindQuantity:
		return v, true
	case Boolean, Integer, Decimal:
		d, _ := toDecimal(v)
		return QuantityItem(Quantity{Value: d.box.(value.Decimal), Unit: "1"}), true
	case String:
		q, ok := parseQuantity(v.str)
		return QuantityItem(q), ok
	}
	return Item{}, false
}

// parseQuantity reads a number, and behind white space a unit in quotes or a calendar unit.
// https://hl7.org/fhirpath/N1/#toquantityunit--string--quantity
func parseQuantity(s string) (Quantity, bool) {
	end := strings.IndexAny(s, " \t\r\n'")
	if end < 0 {
		d, ok := parseNumber(s)
		return Quantity{Value: d, Unit: "1"}, ok
	}
	d, ok := parseNumber(s[:end])
	unit := strings.TrimSpace(s[end:])
	switch {
	case !ok || unit == "":
		return Quantity{}, false
	case len(unit) > 2 && unit[0] == '\'' && strings.IndexByte(unit[1:], '\'') == len(unit)-2:
		return Quantity{Value: d, Unit: unit[1 : len(unit)-1]}, true
	case calendarUnit(unit) != 0:
		return Quantity{Value: d, Unit: unit, Calendar: true}, true
	}
	return Quantity{}, false
}

func fnToQuantity(ev *evaluator, n *Call, in []Item, sc *scope) error {
	q, ok, err := ev.quantityIn(n, in, sc)
	if ok {
		ev.push(q)
	}
	return err
}

func fnConvertsToQuantity(ev *evaluator, n *Call, in []Item, sc *scope) error {
	_, ok, err := ev.quantityIn(n, in, sc)
	if err == nil && len(in) > 0 {
		ev.pushBool(ok)
	}
	return err
}

// quantityIn converts the only item to a Quantity, in the unit of the argument if there is one.
func (ev *evaluator) quantityIn(n *Call, in []Item, sc *scope) (Item, bool, error) {
	i, ok, err := ev.one(n, in)
	if err != nil || !ok {
		return Item{}, false, err
	}
	unit, hasUnit, err := ev.textArgument(n, 0, sc)
	if err != nil || !hasUnit && len(n.Args) > 0 {
		return Item{}, false, err
	}
	q, ok := toQuantity(i)
	if !ok || !hasUnit {
		return q, ok, nil
	}
	converted, ok := convertQuantity(*q.box.(*Quantity), unit)
	return QuantityItem(converted), ok, nil
}
