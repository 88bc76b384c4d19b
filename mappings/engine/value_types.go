package engine

import (
	"strings"

	"meridian/mappings/hl7v2"
)

// structured reads SN: comparator ^ num1 ^ separator ^ num2. HL7 v2.5.1 ch. 2.A.70
func (x *valueCall) structured(b []byte) ([]byte, bool) {
	comparator, sep := strings.TrimSpace(x.value.C(1).Text()), strings.TrimSpace(x.value.C(3).Text())
	n1, ok1 := number(x.value.C(2).Text(), x.rt.src.DecimalComma)
	n2, ok2 := number(x.value.C(4).Text(), x.rt.src.DecimalComma)
	if comparator == "=" {
		comparator = ""
	}
	known := comparator == "" || comparator == "<" || comparator == ">" || comparator == "<=" || comparator == ">="
	switch {
	case !ok1 || !known:
	case sep == "":
		x.suffix = "Quantity"
		return appendQuantity(b, n1, comparator, x.unit), true
	case sep == "-" && ok2 && comparator == "":
		return x.interval(b, n1, n2)
	case (sep == "/" || sep == ":") && ok2:
		x.suffix = "Ratio"
		b = append(b, `{"numerator":`...)
		b = appendQuantity(b, n1, comparator, unit{})
		b = append(b, `,"denominator":`...)
		return append(appendQuantity(b, n2, "", unit{}), '}'), true
	case sep == "+" && !ok2: // 2+ is a grade
		return x.string(b, comparator+n1+"+", "")
	}
	return x.text(b, "obx.structured")
}

func (x *valueCall) interval(b []byte, low, high string) ([]byte, bool) {
	lo, ok1 := number(low, x.rt.src.DecimalComma)
	hi, ok2 := number(high, x.rt.src.DecimalComma)
	if !ok1 && low != "" || !ok2 && high != "" || low == "" && high == "" {
		return x.text(b, "obx.range")
	}
	x.suffix = "Range"
	b = append(b, '{')
	if ok1 {
		b = append(b, `"low":`...)
		b = appendQuantity(b, lo, "", x.unit)
	}
	if ok2 {
		if ok1 {
			b = append(b, ',')
		}
		b = append(b, `"high":`...)
		b = appendQuantity(b, hi, "", x.unit)
	}
	return append(b, '}'), true
}

func (x *valueCall) period(b []byte) ([]byte, bool) {
	first, second := x.value.C(1), x.value.C(2)
	start := *x.rt.stamp(first.Text(), first)
	end := *x.rt.stamp(second.Text(), second)
	if !start.ok && !end.ok {
		return x.text(b, "obx.period")
	}
	x.suffix = "Period"
	return appendPeriod(b, &start, &end), true
}

func (x *valueCall) dateTime(b []byte) ([]byte, bool) {
	s, ok := x.rt.dateTimeText(x.value)
	if !ok {
		return x.text(b, "obx.time")
	}
	x.suffix = "DateTime"
	return appendString(b, s), true
}

// time writes a FHIR time, which needs seconds: 0830 is 08:30:00.
func (x *valueCall) time(b []byte) ([]byte, bool) {
	s, filled, offset, err := hl7v2.ParseTimeOfDay(strings.TrimSpace(x.value.Text()))
	if err != nil {
		return x.text(b, "obx.time")
	}
	if filled {
		x.find("time.zero-filled", x.value, "seconds are not known; FHIR shows them as 00")
	}
	if offset {
		x.find("time.offset-dropped", x.value, "FHIR's time has no offset; the one given is left out")
	}
	x.suffix = "Time"
	return appendString(b, s), true
}
