package value

// form is what a parser accepts beyond the fields themselves.
type form struct {
	name    string
	least   Precision // coarsest precision
	most    Precision // finest
	zone    bool      // a zone is required once there is a time
	minutes bool      // a time may end at minutes
	hours   bool      // or at hours
	emptyT  bool      // "2015T" and "2015-02T", as FHIRPath writes partial dateTimes
}

// ParseDate reads R4's date: YYYY, YYYY-MM or YYYY-MM-DD.
// https://hl7.org/fhir/R4/datatypes.html#date
func ParseDate[T Text](s T) (DateTime, error) {
	return parseDateTime(s, &form{name: "date", least: Year, most: Day})
}

// ParseDateTime reads a dateTime as elements and as searches write it: the zone
// may be missing, and seconds may be. The second :60 is read, as R4's pattern
// allows, and means the first second of the next minute. 24:00 is an error.
// https://hl7.org/fhir/R4/search.html#date
func ParseDateTime[T Text](s T) (DateTime, error) {
	return parseDateTime(s, &form{name: "dateTime", least: Year, most: Fraction, minutes: true})
}

// ParseElementDateTime reads R4's dateTime as it may stand in a resource: with
// a time come seconds and a zone.
// https://hl7.org/fhir/R4/datatypes.html#dateTime
func ParseElementDateTime[T Text](s T) (DateTime, error) {
	return parseDateTime(s, &form{name: "dateTime", least: Year, most: Fraction, zone: true})
}

// ParseInstant reads R4's instant: everything down to the second, and a zone.
// https://hl7.org/fhir/R4/datatypes.html#instant
func ParseInstant[T Text](s T) (DateTime, error) {
	return parseDateTime(s, &form{name: "instant", least: Second, most: Fraction, zone: true})
}

// ParsePartialDateTime reads what FHIRPath writes behind '@' in a DateTime
// literal: any precision, hours included, with an optional zone, and a T behind
// a bare year, month or day.
// https://hl7.org/fhirpath/N1/#datetime
func ParsePartialDateTime[T Text](s T) (DateTime, error) {
	return parseDateTime(s, &form{name: "dateTime", least: Year, most: Fraction, minutes: true, hours: true, emptyT: true})
}

// ParseTime reads R4's time, hh:mm:ss with an optional fraction.
// https://hl7.org/fhir/R4/datatypes.html#time
func ParseTime[T Text](s T) (Time, error) { return parseTime(s, &form{name: "time"}) }

// ParsePartialTime reads what FHIRPath writes behind '@T': hh, hh:mm or more.
// https://hl7.org/fhirpath/N1/#time
func ParsePartialTime[T Text](s T) (Time, error) {
	return parseTime(s, &form{name: "time", minutes: true, hours: true})
}

func parseTime[T Text](s T, f *form) (Time, error) {
	var d DateTime
	i, reason := readClock(s, 0, f, &d)
	if reason == "" && i < len(s) {
		reason = "unexpected character"
	}
	if reason != "" {
		return Time{}, &SyntaxError{f.name, i, reason}
	}
	return d.clock(), nil
}

func parseDateTime[T Text](s T, f *form) (DateTime, error) {
	var d DateTime
	i, reason := readDate(s, &d)
	if reason == "" && i < len(s) && s[i] == 'T' && f.most > Day {
		switch {
		case f.emptyT && i+1 == len(s):
			i++
		case d.prec < Day:
			reason = "a time without a day"
		default:
			if i, reason = readClock(s, i+1, f, &d); reason == "" {
				i, reason = readZone(s, i, &d)
			}
		}
	}
	switch {
	case reason != "":
	case i < len(s):
		reason = "unexpected character"
	case d.prec < f.least:
		reason = "too short"
	case f.zone && d.prec > Day && d.zone == zoneNone:
		reason = "a time without a zone"
	default:
		return d, nil
	}
	return DateTime{}, &SyntaxError{f.name, i, reason}
}

func readDate[T Text](s T, d *DateTime) (int, string) {
	hi, lo := two(s, 0), two(s, 2)
	switch {
	case hi < 0 || lo < 0:
		return 0, "a year has four digits"
	case hi+lo == 0:
		return 0, "there is no year 0000"
	}
	d.year, d.month, d.day, d.prec = int16(hi*100+lo), 1, 1, Year
	if len(s) == 4 || s[4] != '-' {
		return 4, ""
	}
	m := two(s, 5)
	if m < 1 || m > 12 {
		return 5, "month"
	}
	d.month, d.prec = uint8(m), Month
	if len(s) == 7 || s[7] != '-' {
		return 7, ""
	}
	day := two(s, 8)
	if day < 1 || day > daysIn(int(d.year), m) {
		return 8, "day of month"
	}
	d.day, d.prec = uint8(day), Day
	return 10, ""
}

// two reads two digits at i, -1 when they are not there.
func two[T Text](s T, i int) int {
	if i+1 >= len(s) || !isDigit(s[i]) || !isDigit(s[i+1]) {
		return -1
	}
	return int(s[i]-'0')*10 + int(s[i+1]-'0')
}

func daysIn(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

func readClock[T Text](s T, i int, f *form, d *DateTime) (int, string) {
	h := two(s, i)
	if h < 0 || h > 23 {
		return i, "hour"
	}
	d.hour, d.prec = uint8(h), Hour
	if i += 2; i >= len(s) || s[i] != ':' {
		return i, missing(f.hours, "minutes are missing")
	}
	m := two(s, i+1)
	if m < 0 || m > 59 {
		return i + 1, "minute"
	}
	d.minute, d.prec = uint8(m), Minute
	if i += 3; i >= len(s) || s[i] != ':' {
		return i, missing(f.minutes, "seconds are missing")
	}
	sec := two(s, i+1)
	if sec < 0 || sec > 60 {
		return i + 1, "second"
	}
	d.second, d.prec = uint8(sec), Second
	if i += 3; i >= len(s) || s[i] != '.' {
		return i, ""
	}
	return readFraction(s, i+1, d)
}

func missing(allowed bool, reason string) string {
	if allowed {
		return ""
	}
	return reason
}

func readFraction[T Text](s T, i int, d *DateTime) (int, string) {
	start, n := i, int32(0)
	for ; i < len(s) && isDigit(s[i]); i++ {
		if i-start < MaxFraction {
			n = n*10 + int32(s[i]-'0')
		}
	}
	if i == start {
		return i, "a digit of the fraction is missing"
	}
	d.prec, d.digits = Fraction, uint8(min(i-start, MaxFraction))
	for k := d.digits; k < MaxFraction; k++ {
		n *= 10
	}
	d.nano = n
	return i, ""
}

func readZone[T Text](s T, i int, d *DateTime) (int, string) {
	if i >= len(s) {
		return i, ""
	}
	switch s[i] {
	case 'Z':
		d.zone = zoneZ
		return i + 1, ""
	case '+':
		d.zone = zonePlus
	case '-':
		d.zone = zoneMinus
	default:
		return i, "zone"
	}
	h, m := two(s, i+1), two(s, i+4)
	if h < 0 || m < 0 || m > 59 || h*60+m > 14*60 || s[i+3] != ':' {
		return i, "zone"
	}
	d.offset = int16(h*60 + m)
	if d.zone == zoneMinus {
		d.offset = -d.offset
	}
	return i + 6, ""
}
