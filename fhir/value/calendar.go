package value

import "time"

// DateTimeOf gives t with a zone and digits places of a second (0–9).
func DateTimeOf(t time.Time, digits int) DateTime {
	d := DateTime{
		year: int16(t.Year()), month: uint8(t.Month()), day: uint8(t.Day()),
		hour: uint8(t.Hour()), minute: uint8(t.Minute()), second: uint8(t.Second()),
		prec: Second, zone: zonePlus,
	}
	_, offset := t.Zone()
	if d.offset = int16(offset / 60); d.offset < 0 {
		d.zone = zoneMinus
	} else if t.Location() == time.UTC {
		d.zone = zoneZ
	}
	if digits > 0 {
		d.prec, d.digits = Fraction, uint8(min(digits, MaxFraction))
		unit := int32(1)
		for k := d.digits; k < MaxFraction; k++ {
			unit *= 10
		}
		d.nano = int32(t.Nanosecond()) / unit * unit
	}
	return d
}

// UTC gives the same moment in UTC with the same precision. A value without
// zone or without time of day gives itself, and so does one that UTC would take
// out of the years 1–9999.
func (d DateTime) UTC() DateTime {
	if d.offset == 0 || d.prec < Hour {
		return d
	}
	if u, ok := d.withSeconds(d.seconds() - int64(d.offset)*60); ok {
		u.zone, u.offset = zoneZ, 0
		return u
	}
	return d
}

// AddMonths moves d by n calendar months; where the month is too short, to its
// last day. False when the year leaves 1–9999.
func (d DateTime) AddMonths(n int64) (DateTime, bool) {
	const most = 12 * 10000
	if n > most || n < -most {
		return DateTime{}, false
	}
	m := int64(d.year)*12 + int64(d.month) - 1 + n
	if m < 12 || m >= most {
		return DateTime{}, false
	}
	d.year, d.month = int16(m/12), uint8(m%12)+1
	d.day = min(d.day, uint8(daysIn(int(d.year), int(d.month))))
	return d, true
}

// Add moves d's clock by seconds and nanoseconds (of the sign of seconds, below
// 1e9); the zone and the precision stay. False when the year leaves 1–9999.
func (d DateTime) Add(seconds, nano int64) (DateTime, bool) {
	const most = 10000 * 366 * 86400
	if seconds > most || seconds < -most {
		return DateTime{}, false
	}
	i := Instant{d.seconds() + seconds, d.nano}.Add(time.Duration(nano))
	r, ok := d.withSeconds(i.Sec)
	r.nano = i.Nsec
	return r, ok
}

// withSeconds gives d with another clock reading.
func (d DateTime) withSeconds(s int64) (DateTime, bool) {
	t := time.Unix(s, 0).UTC()
	y := t.Year()
	if y < 1 || y > 9999 {
		return DateTime{}, false
	}
	d.year, d.month, d.day = int16(y), uint8(t.Month()), uint8(t.Day())
	d.hour, d.minute, d.second = uint8(t.Hour()), uint8(t.Minute()), uint8(t.Second())
	return d, true
}

// Add moves t by nano nanoseconds, around midnight where it leaves the day; the
// precision stays.
func (t Time) Add(nano int64) Time {
	const day = 86400 * 1_000_000_000
	n := (int64(t.hour)*3600+int64(t.minute)*60+int64(t.second))*1_000_000_000 + int64(t.nano) + nano%day
	n = (n%day + day) % day
	t.nano = int32(n % 1_000_000_000)
	s := n / 1_000_000_000
	t.hour, t.minute, t.second = uint8(s/3600), uint8(s/60%60), uint8(s%60)
	return t
}
