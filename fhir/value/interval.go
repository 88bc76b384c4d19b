package value

import "time"

// Interval is the time that d stands for, half-open [lo, hi) in UTC, as wide
// as its precision: 2026 is a year, 2026-01-01T10:00Z a minute, 10:00:00.5 a
// tenth of a second. Where d has no zone, the wall clock of zone counts (nil is
// UTC), daylight saving time included: a day on which clocks change has 23 or
// 25 hours, and a wall time that comes twice covers both occurrences.
//
// The second :60 is the first second of the next minute, as in POSIX time.
//
// https://hl7.org/fhir/R4/search.html#date
func (d DateTime) Interval(zone *time.Location) (lo, hi Instant) {
	if d.prec == 0 {
		return Instant{}, Instant{}
	}
	if d.zone != zoneNone || zone == nil || zone == time.UTC {
		lo = Instant{d.seconds() - int64(d.offset)*60, d.nano}
		if d.prec <= Day {
			return lo, Instant{civil(d.nextDate()), 0}
		}
		return lo, d.after(lo)
	}
	if d.prec <= Day {
		y, m, day := d.nextDate()
		return startOfDay(int(d.year), int(d.month), int(d.day), zone), startOfDay(y, m, day, zone)
	}
	first, last := wall(d.seconds(), zone)
	return Instant{first, d.nano}, d.after(Instant{last, d.nano})
}

// after gives the end of a time of day that begins at lo.
func (d DateTime) after(lo Instant) Instant {
	switch d.prec {
	case Hour:
		return Instant{lo.Sec + 3600, lo.Nsec}
	case Minute:
		return Instant{lo.Sec + 60, lo.Nsec}
	case Second:
		return Instant{lo.Sec + 1, lo.Nsec}
	}
	unit := time.Duration(1)
	for k := d.digits; k < MaxFraction; k++ {
		unit *= 10
	}
	return lo.Add(unit)
}

// nextDate is the first day behind a year, month or day; it may be in year 10000.
func (d DateTime) nextDate() (year, month, day int) {
	year, month, day = int(d.year), int(d.month), int(d.day)
	switch d.prec {
	case Year:
		return year + 1, 1, 1
	case Day:
		if day < daysIn(year, month) {
			return year, month, day + 1
		}
	}
	if month == 12 {
		return year + 1, 1, 1
	}
	return year, month + 1, 1
}

// seconds is d's clock reading as if it were UTC.
func (d DateTime) seconds() int64 {
	return civil(int(d.year), int(d.month), int(d.day)) + int64(d.hour)*3600 + int64(d.minute)*60 + int64(d.second)
}

// civil gives the seconds from 1970-01-01 to a date of the proleptic Gregorian
// calendar, counted in years that begin in March, so that the leap day is the last.
func civil(year, month, day int) int64 {
	if month <= 2 {
		year--
		month += 12
	}
	leap := year/4 - year/100 + year/400
	days := year*365 + leap + (153*(month-3)+2)/5 + day - 1 - 719468
	return int64(days) * 86400
}

// startOfDay is the first instant of a date in zone, which is not 00:00 where
// clocks were put forward at midnight.
func startOfDay(year, month, day int, zone *time.Location) Instant {
	first, _ := wall(civil(year, month, day), zone)
	return Instant{Sec: first}
}

// wall gives the first and the last instant at which a clock in zone shows
// local, a reading in seconds as if it were UTC. A reading that clocks skip is
// the instant of the change.
func wall(local int64, zone *time.Location) (first, last int64) {
	// An offset is less than a day, so the zones in force a day to either side
	// are the candidates; two changes within two days do not happen.
	_, before := time.Unix(local-86400, 0).In(zone).Zone()
	_, after := time.Unix(local+86400, 0).In(zone).Zone()
	if before == after {
		return local - int64(before), local - int64(before)
	}
	early, late := local-int64(before), local-int64(after)
	earlyValid, lateValid := shows(early, before, zone), shows(late, after, zone)
	switch {
	case earlyValid && lateValid:
		return min(early, late), max(early, late)
	case earlyValid:
		return early, early
	case lateValid:
		return late, late
	}
	_, change := time.Unix(local-86400, 0).In(zone).ZoneBounds()
	return change.Unix(), change.Unix()
}

func shows(at int64, offset int, zone *time.Location) bool {
	_, o := time.Unix(at, 0).In(zone).Zone()
	return o == offset
}
