package value

import "strconv"

// Precision is how much of a date or time was given.
type Precision uint8

const (
	Year Precision = iota + 1
	Month
	Day
	Hour // FHIRPath only: @2015-02-04T14
	Minute
	Second
	Fraction
)

// MaxFraction is how many digits of a second are kept. More are read and, as
// Instants end at nanoseconds, dropped from arithmetic and from String; the
// element's own text still has them.
const MaxFraction = 9

// DateTime is a date, dateTime or instant with its precision and offset as
// written. Fields beyond the precision are 1 for month and day, 0 for the rest.
// The zero DateTime is no date.
type DateTime struct {
	year                             int16
	month, day, hour, minute, second uint8
	prec                             Precision
	digits                           uint8 // of the fraction, up to MaxFraction
	zone                             zoneForm
	offset                           int16 // minutes east of UTC
	nano                             int32
}

type zoneForm uint8

const (
	zoneNone zoneForm = iota
	zoneZ
	zonePlus
	zoneMinus // kept for -00:00
)

// Year is 1–9999.
func (d DateTime) Year() int { return int(d.year) }

// Month is 1–12.
func (d DateTime) Month() int { return int(d.month) }

// Day is 1–31.
func (d DateTime) Day() int { return int(d.day) }

// Hour is 0–23.
func (d DateTime) Hour() int { return int(d.hour) }

// Minute is 0–59.
func (d DateTime) Minute() int { return int(d.minute) }

// Second is 0–60.
func (d DateTime) Second() int { return int(d.second) }

// Nanosecond is 0–999,999,999.
func (d DateTime) Nanosecond() int { return int(d.nano) }

// Precision is the finest field that was given.
func (d DateTime) Precision() Precision { return d.prec }

// FractionDigits is how many digits of a second were written, at most MaxFraction.
func (d DateTime) FractionDigits() int { return int(d.digits) }

// HasZone says that Z or an offset was written.
func (d DateTime) HasZone() bool { return d.zone != zoneNone }

// Offset is the offset in minutes east of UTC, 0 without one.
func (d DateTime) Offset() int { return int(d.offset) }

// IsZero says that d is no date.
func (d DateTime) IsZero() bool { return d.prec == 0 }

// String is d as written.
func (d DateTime) String() string { return string(d.Append(nil)) }

// Append appends String.
func (d DateTime) Append(dst []byte) []byte {
	if d.prec == 0 {
		return dst
	}
	dst = append(dst, byte('0'+d.year/1000), byte('0'+d.year/100%10), byte('0'+d.year/10%10), byte('0'+d.year%10))
	if d.prec >= Month {
		dst = append2(append(dst, '-'), d.month)
	}
	if d.prec >= Day {
		dst = append2(append(dst, '-'), d.day)
	}
	if d.prec >= Hour {
		dst = d.clock().Append(append(dst, 'T'))
	}
	return d.appendZone(dst)
}

func (d DateTime) appendZone(dst []byte) []byte {
	o := d.offset
	switch d.zone {
	case zoneNone:
		return dst
	case zoneZ:
		return append(dst, 'Z')
	case zonePlus:
		dst = append(dst, '+')
	case zoneMinus:
		dst, o = append(dst, '-'), -o
	}
	return append2(append(append2(dst, uint8(o/60)), ':'), uint8(o%60))
}

func append2(dst []byte, n uint8) []byte { return append(dst, '0'+n/10, '0'+n%10) }

// clock gives the time of day with d's precision.
func (d DateTime) clock() Time {
	return Time{hour: d.hour, minute: d.minute, second: d.second, prec: d.prec, digits: d.digits, nano: d.nano}
}

// Date drops the time of day and the zone.
func (d DateTime) Date() DateTime {
	return DateTime{year: d.year, month: d.month, day: d.day, prec: min(d.prec, Day)}
}

// Clock gives the time of day; false when d has none.
func (d DateTime) Clock() (Time, bool) { return d.clock(), d.prec >= Hour }

// Time is a time of day with its precision as written. The zero Time is none.
type Time struct {
	hour, minute, second uint8
	prec                 Precision // Hour or finer
	digits               uint8
	nano                 int32
}

// Hour is 0–23.
func (t Time) Hour() int { return int(t.hour) }

// Minute is 0–59.
func (t Time) Minute() int { return int(t.minute) }

// Second is 0–60.
func (t Time) Second() int { return int(t.second) }

// Nanosecond is 0–999,999,999.
func (t Time) Nanosecond() int { return int(t.nano) }

// Precision is the finest field that was given, Hour or finer.
func (t Time) Precision() Precision { return t.prec }

// FractionDigits is how many digits of a second were written, at most MaxFraction.
func (t Time) FractionDigits() int { return int(t.digits) }

// String is t as written.
func (t Time) String() string { return string(t.Append(nil)) }

// Append appends String.
func (t Time) Append(dst []byte) []byte {
	if t.prec < Hour {
		return dst
	}
	dst = append2(dst, t.hour)
	if t.prec >= Minute {
		dst = append2(append(dst, ':'), t.minute)
	}
	if t.prec >= Second {
		dst = append2(append(dst, ':'), t.second)
	}
	if t.prec == Fraction {
		var b [MaxFraction + 1]byte
		f := strconv.AppendInt(b[:0], int64(t.nano)+1e9, 10)
		dst = append(append(dst, '.'), f[1:1+t.digits]...)
	}
	return dst
}
