package hl7v2

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Precision of a time stamp as written.
type Precision uint8

const (
	ToYear Precision = iota + 1
	ToMonth
	ToDay
	ToHour
	ToMinute
	ToSecond
	ToFraction
)

// Zone says in which zone a time stamp without an offset of its own is meant: in the offset of the message's MSH-7, else in the
// source's zone.
type Zone struct {
	// MessageOffset is MSH-7's own offset, "+0800", or empty. See OffsetOf.
	MessageOffset string
	// Location is the source's zone, from the tz database rather than a constant: Asia/Shanghai had +09:00 in the summers of
	// 1986 to 1991. Nil is UTC.
	Location *time.Location
}

// Timestamp is a value of the data types DT, TS and DTM, read for FHIR. The zero Timestamp is not valid.
type Timestamp struct {
	Precision Precision
	// ZeroFilled: minutes or seconds were not written and are printed as 00, as FHIR wants them where there is a time.
	ZeroFilled bool
	// Uncertain: the clock of the source's zone showed this time twice (the earlier is meant) or not at all (the offset from before
	// the change is used).
	Uncertain bool

	local    time.Time // fields as written, with the zone found; meaningful to Precision
	fraction string    // as written, with its point
}

var errTime = errors.New("not of the form YYYY[MM[DD[HH[MM[SS[.S[S[S[S]]]]]]]]][+/-ZZZZ]")

// ParseTime reads YYYY[MM[DD[HH[MM[SS[.S[S[S[S]]]]]]]]][+/-ZZZZ], HL7 v2.5.1 ch. 2.A.22 (DTM). A time that does not exist in the calendar
// is an error, as is anything else around it. The offset is that of the value, else of zone.
func ParseTime(s string, zone Zone) (Timestamp, error) {
	digits, offset := s, ""
	if i := strings.IndexAny(s, "+-"); i >= 0 {
		digits, offset = s[:i], s[i:]
	}
	digits, fraction, dotted := strings.Cut(digits, ".")
	t := Timestamp{}
	if dotted {
		if len(digits) != 14 || len(fraction) < 1 || len(fraction) > 4 || !allDigits(fraction) {
			return Timestamp{}, errTime
		}
		t.fraction = "." + fraction
	}
	var f [6]int // year to second
	n, err := splitTime(digits, &f)
	if err != nil {
		return Timestamp{}, err
	}
	t.Precision = Precision(n)
	if dotted {
		t.Precision = ToFraction
	}
	t.ZeroFilled = n == int(ToHour) || n == int(ToMinute)
	if offset == "" && n >= int(ToHour) {
		offset = zone.MessageOffset
	}
	if offset == "" {
		t.local, t.Uncertain = inLocation(f, zone.Location, n >= int(ToHour))
		return t, nil
	}
	loc, err := parseOffset(offset)
	if err != nil {
		return Timestamp{}, err
	}
	t.local = date(f, loc)
	return t, nil
}

// splitTime reads year to second into f and returns how many of them there are.
func splitTime(digits string, f *[6]int) (n int, err error) {
	if len(digits) < 4 || len(digits) > 14 || len(digits)%2 != 0 || !allDigits(digits) {
		return 0, errTime
	}
	*f = [6]int{0, 1, 1, 0, 0, 0}
	f[0] = number4(digits[:2])*100 + number4(digits[2:4])
	n = 1
	for i := 4; i < len(digits); i += 2 {
		f[n] = number4(digits[i : i+2])
		n++
	}
	t := date(*f, time.UTC)
	if f[0] == 0 || t.Year() != f[0] || int(t.Month()) != f[1] || t.Day() != f[2] || f[3] > 23 || f[4] > 59 || f[5] > 59 {
		return 0, errors.New("no such date or time")
	}
	return n, nil
}

func number4(two string) int { return int(two[0]-'0')*10 + int(two[1]-'0') }

func allDigits(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return true
}

func date(f [6]int, loc *time.Location) time.Time {
	return time.Date(f[0], time.Month(f[1]), f[2], f[3], f[4], f[5], 0, loc)
}

// parseOffset reads +ZZZZ, at most 14 hours from UTC, as FHIR allows.
func parseOffset(s string) (*time.Location, error) {
	if len(s) != 5 || (s[0] != '+' && s[0] != '-') || !allDigits(s[1:]) {
		return nil, errTime
	}
	h, m := number4(s[1:3]), number4(s[3:5])
	if m > 59 || h*60+m > 14*60 {
		return nil, errors.New("no such offset from UTC")
	}
	seconds := (h*60 + m) * 60
	if s[0] == '-' {
		seconds = -seconds
	}
	return time.FixedZone("", seconds), nil
}

// inLocation finds the instant at which the clock of loc shows f. Where it does so twice, the earlier is taken; where never, the
// offset that held before.
func inLocation(f [6]int, loc *time.Location, exact bool) (t time.Time, uncertain bool) {
	if loc == nil {
		loc = time.UTC
	}
	wall := date(f, time.UTC)
	if !exact {
		return wall, false
	}
	_, before := wall.Add(-24 * time.Hour).In(loc).Zone()
	_, after := wall.Add(24 * time.Hour).In(loc).Zone()
	first := wall.Add(-time.Duration(before) * time.Second).In(loc)
	if before == after {
		return first, false
	}
	second := wall.Add(-time.Duration(after) * time.Second).In(loc)
	_, atFirst := first.Zone()
	_, atSecond := second.Zone()
	switch {
	case atFirst == before && atSecond == after:
		return first, true // twice: the offset before the change gives the earlier instant
	case atFirst == before:
		return first, false
	case atSecond == after:
		return second, false
	}
	// Not at all: keep the clock as written with the old offset.
	return date(f, time.FixedZone("", before)), true
}

// DateTime is the FHIR dateTime: partial as written to the day, else with seconds and offset.
// https://hl7.org/fhir/R4/datatypes.html#dateTime
func (t Timestamp) DateTime() string {
	switch t.Precision {
	case ToYear:
		return t.local.Format("2006")
	case ToMonth:
		return t.local.Format("2006-01")
	case ToDay:
		return t.local.Format("2006-01-02")
	}
	return t.exact()
}

func (t Timestamp) exact() string {
	local := t.local
	if _, offset := local.Zone(); offset%60 != 0 {
		local = local.UTC() // FHIR has no seconds in offsets; Shanghai's own mean time of before 1901 has
	}
	return local.Format("2006-01-02T15:04:05") + t.fraction + local.Format("Z07:00")
}

// Date is the FHIR date: the day as written, whatever the offset, or a partial one.
func (t Timestamp) Date() string {
	t.Precision = min(t.Precision, ToDay)
	return t.DateTime()
}

// Instant is the FHIR instant; ok is false if there is no time in the value. Minutes and seconds not written are 00, see ZeroFilled.
func (t Timestamp) Instant() (s string, ok bool) {
	if t.Precision < ToHour {
		return "", false
	}
	return t.exact(), true
}

// Time is the instant at which the value begins, with the zone found; for a date without a time, midnight UTC.
func (t Timestamp) Time() time.Time {
	d, err := time.ParseDuration("0" + t.fraction + "s")
	if err != nil {
		return t.local
	}
	return t.local.Add(d)
}

// OffsetOf is the offset written in a time stamp, such as MSH-7, or empty.
func OffsetOf(s string) string {
	if i := strings.IndexAny(s, "+-"); i >= 0 {
		if _, err := parseOffset(s[i:]); err == nil {
			return s[i:]
		}
	}
	return ""
}

// ParseTimeOfDay reads the data type TM, HH[MM[SS[.S[S[S[S]]]]]], into a FHIR time. An offset is dropped, since FHIR's time has none; zeroFilled
// says that minutes or seconds were not written, offset that one was.
func ParseTimeOfDay(s string) (text string, zeroFilled, offset bool, err error) {
	if i := strings.IndexAny(s, "+-"); i >= 0 {
		if _, err := parseOffset(s[i:]); err != nil {
			return "", false, false, err
		}
		s, offset = s[:i], true
	}
	zeroFilled = len(s) < 6
	t, err := ParseTime("20000101"+s, Zone{})
	if err != nil || t.Precision < ToHour {
		return "", false, false, fmt.Errorf("time of day: %w", errTime)
	}
	return t.local.Format("15:04:05") + t.fraction, zeroFilled, offset, nil
}
