package value

import (
	"bytes"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	l, err := time.LoadLocation(name)
	if err != nil {
		t.Skipf("no tz database with %s", name)
	}
	return l
}

func TestDateForms(t *testing.T) {
	type parser struct {
		name  string
		parse func(string) (DateTime, error)
	}
	date := parser{"date", ParseDate[string]}
	search := parser{"search dateTime", ParseDateTime[string]}
	element := parser{"dateTime", ParseElementDateTime[string]}
	instant := parser{"instant", ParseInstant[string]}
	path := parser{"FHIRPath dateTime", ParsePartialDateTime[string]}
	all := []parser{date, search, element, instant, path}
	for _, c := range []struct {
		rule, text string
		read       []parser
	}{
		{"a year", "2026", []parser{date, search, element, path}},
		{"a month", "2026-12", []parser{date, search, element, path}},
		{"a day", "2026-02-28", []parser{date, search, element, path}},
		{"29 February of a leap year", "2024-02-29", []parser{date, search, element, path}},
		{"of a century that is one", "2000-02-29", []parser{date, search, element, path}},
		{"first year", "0001-01-01", []parser{date, search, element, path}},
		{"last year", "9999-12-31", []parser{date, search, element, path}},
		{"no 29 February 1900", "1900-02-29", nil},
		{"no 29 February 2026", "2026-02-29", nil},
		{"no 30 February", "2026-02-30", nil},
		{"no 31 April", "2026-04-31", nil},
		{"no day 0", "2026-04-00", nil},
		{"no month 0", "2026-00", nil},
		{"no month 13", "2026-13", nil},
		{"no year 0", "0000", nil},
		{"four digits of year", "202", nil},
		{"not five", "20260", nil},
		{"two digits of month", "2026-1", nil},
		{"two digits of day", "2026-01-1", nil},
		{"nothing", "", nil},
		{"spaces are not trimmed", "2026 ", nil},
		{"a time with zone", "2026-02-28T10:00:00Z", []parser{search, element, instant, path}},
		{"with offset", "2026-02-28T10:00:00+08:00", []parser{search, element, instant, path}},
		{"with the offset -00:00", "2026-02-28T10:00:00-00:00", []parser{search, element, instant, path}},
		{"with the largest offset", "2026-02-28T10:00:00+14:00", []parser{search, element, instant, path}},
		{"not more", "2026-02-28T10:00:00+14:01", nil},
		{"offset with colon", "2026-02-28T10:00:00+0800", nil},
		{"a fraction", "2026-02-28T10:00:00.120Z", []parser{search, element, instant, path}},
		{"nine places", "2026-02-28T10:00:00.123456789Z", []parser{search, element, instant, path}},
		{"a fraction has digits", "2026-02-28T10:00:00.Z", nil},
		{"leap second", "2016-12-31T23:59:60Z", []parser{search, element, instant, path}},
		{"no second 61", "2016-12-31T23:59:61Z", nil},
		{"no hour 24", "2016-12-31T24:00:00Z", nil},
		{"no minute 60", "2016-12-31T23:60:00Z", nil},
		{"no zone", "2026-02-28T10:00:00", []parser{search, path}},
		{"no seconds", "2026-02-28T10:00", []parser{search, path}},
		{"no seconds, zone", "2026-02-28T10:00+08:00", []parser{search, path}},
		{"hour alone", "2026-02-28T10", []parser{path}},
		{"a T alone", "2026-02T", nil}, // prints without the T: TestEmptyT
		{"lower case t", "2026-02-28t10:00:00Z", nil},
		{"lower case z", "2026-02-28T10:00:00z", nil},
		{"a zone without time", "2026-02-28Z", nil},
		{"a time without day", "2026-02T10:00:00Z", nil},
	} {
		for _, p := range all {
			want := false
			for _, r := range c.read {
				want = want || r.name == p.name
			}
			if c.text == "2026-02T" && p.name == path.name {
				continue
			}
			d, err := p.parse(c.text)
			if (err == nil) != want {
				t.Errorf("%s: %q as %s: %v", c.rule, c.text, p.name, err)
			}
			if err == nil && d.String() != c.text {
				t.Errorf("%s: %q prints as %q", c.rule, c.text, d)
			}
		}
	}
}

func TestEmptyT(t *testing.T) {
	d, err := ParsePartialDateTime("2015-02T")
	if err != nil || d.Precision() != Month {
		t.Fatalf("%v, %v", d, err)
	}
}

func TestTimeForms(t *testing.T) {
	for _, c := range []struct {
		text          string
		time, partial bool
	}{
		{"08:30:00", true, true}, {"23:59:60", true, true}, {"08:30:00.5", true, true}, {"08:30:00.000000001", true, true},
		{"08:30", false, true}, {"08", false, true},
		{"24:00:00", false, false}, {"8:30:00", false, false}, {"08:30:00Z", false, false}, {"", false, false}, {"08:", false, false},
	} {
		a, errA := ParseTime(c.text)
		b, errB := ParsePartialTime([]byte(c.text))
		if (errA == nil) != c.time || (errB == nil) != c.partial {
			t.Errorf("%q: %v, %v", c.text, errA, errB)
		}
		if c.time && a.String() != c.text || c.partial && b.String() != c.text {
			t.Errorf("%q prints as %q, %q", c.text, a, b)
		}
	}
}

// Offsets of Shanghai are those of the tz database: +8, and +9 in the summers of 1986 to 1991.
func TestInterval(t *testing.T) {
	shanghai := zone(t, "Asia/Shanghai")
	saoPaulo := zone(t, "America/Sao_Paulo")
	for _, c := range []struct {
		rule, text string
		zone       *time.Location
		lo, hi     string
	}{
		{"year", "2026", time.UTC, "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"},
		{"year in a zone", "2026", shanghai, "2025-12-31T16:00:00Z", "2026-12-31T16:00:00Z"},
		{"no zone given is UTC", "2026", nil, "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"},
		{"February of a leap year", "2024-02", time.UTC, "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"},
		{"29 February", "2024-02-29", time.UTC, "2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z"},
		{"28 February of a leap year", "2024-02-28", time.UTC, "2024-02-28T00:00:00Z", "2024-02-29T00:00:00Z"},
		{"28 February of another", "2026-02-28", time.UTC, "2026-02-28T00:00:00Z", "2026-03-01T00:00:00Z"},
		{"28 February 1900", "1900-02-28", time.UTC, "1900-02-28T00:00:00Z", "1900-03-01T00:00:00Z"},
		{"last day of a year", "2026-12-31", shanghai, "2026-12-30T16:00:00Z", "2026-12-31T16:00:00Z"},
		{"minute", "2026-05-01T10:30", shanghai, "2026-05-01T02:30:00Z", "2026-05-01T02:31:00Z"},
		{"second", "2026-05-01T10:30:00", shanghai, "2026-05-01T02:30:00Z", "2026-05-01T02:30:01Z"},
		{"the written zone wins", "2026-05-01T10:30:00-05:00", shanghai, "2026-05-01T15:30:00Z", "2026-05-01T15:30:01Z"},
		{"tenth of a second", "2026-05-01T10:30:00.5Z", shanghai, "2026-05-01T10:30:00.5Z", "2026-05-01T10:30:00.6Z"},
		{"zeros are precision", "2026-05-01T10:30:00.900Z", nil, "2026-05-01T10:30:00.9Z", "2026-05-01T10:30:00.901Z"},
		{"fraction before a full second", "2026-05-01T10:30:59.9Z", nil, "2026-05-01T10:30:59.9Z", "2026-05-01T10:31:00Z"},
		{"nanosecond", "2026-05-01T10:30:00.123456789Z", nil, "2026-05-01T10:30:00.123456789Z", "2026-05-01T10:30:00.12345679Z"},
		{"before 1970", "1969-12-31T23:59:59.5Z", nil, "1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59.6Z"},
		{"leap second is the next minute", "2016-12-31T23:59:60Z", nil, "2017-01-01T00:00:00Z", "2017-01-01T00:00:01Z"},
		{"last year", "9999", nil, "9999-12-31T00:00:00Z", ""},
		{"winter before the first summer time", "1986-01-15", shanghai, "1986-01-14T16:00:00Z", "1986-01-15T16:00:00Z"},
		{"summer time of 1986", "1986-07-01", shanghai, "1986-06-30T15:00:00Z", "1986-07-01T15:00:00Z"},
		{"summer time of 1991", "1991-07-01T10:30", shanghai, "1991-07-01T01:30:00Z", "1991-07-01T01:31:00Z"},
		{"none in 1992", "1992-07-01T10:30", shanghai, "1992-07-01T02:30:00Z", "1992-07-01T02:31:00Z"},
		{"the day that clocks went forward has 23 hours", "1988-04-17", shanghai, "1988-04-16T16:00:00Z", "1988-04-17T15:00:00Z"},
		{"the day that clocks went back has 25", "1988-09-11", shanghai, "1988-09-10T15:00:00Z", "1988-09-11T16:00:00Z"},
		{"a reading that comes twice covers both", "1988-09-11T01:30", shanghai, "1988-09-10T16:30:00Z", "1988-09-10T17:31:00Z"},
		{"a reading that was skipped is the change", "1988-04-17T02:30", shanghai, "1988-04-16T18:00:00Z", "1988-04-16T18:01:00Z"},
		{"a day whose midnight was skipped", "2018-11-04", saoPaulo, "2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"},
		{"and the day before it", "2018-11-03", saoPaulo, "2018-11-03T03:00:00Z", "2018-11-04T03:00:00Z"},
		{"local mean time before 1901", "1900-06-01", shanghai, "1900-05-31T15:54:17Z", "1900-06-01T15:54:17Z"},
	} {
		d, err := ParseDateTime(c.text)
		if err != nil {
			t.Fatal(err)
		}
		lo, hi := d.Interval(c.zone)
		if c.text == "9999" {
			if hi.Sec-lo.Sec != 365*86400 || hi.Time().Year() != 10000 {
				t.Errorf("9999 ends at %v", hi.Time())
			}
			continue
		}
		if g, w := lo.Time().Format(time.RFC3339Nano), c.lo; g != w {
			t.Errorf("%s: %s begins at %s, want %s", c.rule, c.text, g, w)
		}
		if g, w := hi.Time().Format(time.RFC3339Nano), c.hi; g != w {
			t.Errorf("%s: %s ends at %s, want %s", c.rule, c.text, g, w)
		}
	}
}

// Days of any zone follow each other without gap or overlap, and hold every
// moment that the zone's clocks show as theirs.
func TestDaysTileTime(t *testing.T) {
	for _, name := range []string{"Asia/Shanghai", "America/Sao_Paulo", "Europe/Berlin", "Africa/Cairo", "Asia/Beirut"} {
		loc := zone(t, name)
		rapid.Check(t, func(rt *rapid.T) {
			at := time.Unix(rapid.Int64Range(-2208988800, 4102444800).Draw(rt, "at"), 0).In(loc)
			d, err := ParseDate(at.Format("2006-01-02"))
			if err != nil {
				rt.Fatal(err)
			}
			lo, hi := d.Interval(loc)
			if i := InstantOf(at); i.Compare(lo) < 0 || i.Compare(hi) >= 0 {
				rt.Fatalf("%s is not in its day [%s, %s)", at, lo.Time(), hi.Time())
			}
			y, m, day := d.nextDate()
			if next := startOfDay(y, m, day, loc); next != hi {
				rt.Fatalf("%s ends at %s, the next begins at %s", d, hi.Time(), next.Time())
			}
			minute, _ := ParseDateTime(at.Format("2006-01-02T15:04"))
			if a, b := minute.Interval(loc); InstantOf(at).Compare(a) < 0 || InstantOf(at).Compare(b) >= 0 {
				rt.Fatalf("%s is not in its minute", at)
			}
		})
	}
}

func TestCivilIsTheGregorianCalendar(t *testing.T) {
	day := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	for ; day.Year() < 10000; day = day.AddDate(0, 0, 1) {
		if got := civil(day.Year(), int(day.Month()), day.Day()); got != day.Unix() {
			t.Fatalf("%s: %d", day, got)
		}
	}
}

func TestInstantKeyOrder(t *testing.T) {
	first, _ := ParseDateTime("0001-01-01T00:00:00+14:00")
	last, _ := ParseDateTime("9999")
	lo, _ := first.Interval(nil)
	_, hi := last.Interval(time.FixedZone("", -14*3600))
	gen := rapid.Custom(func(t *rapid.T) Instant {
		return Instant{rapid.Int64Range(lo.Sec, hi.Sec).Draw(t, "s"), rapid.Int32Range(0, 999999999).Draw(t, "n")}
	})
	rapid.Check(t, func(rt *rapid.T) {
		a, b := gen.Draw(rt, "a"), gen.Draw(rt, "b")
		if rapid.Bool().Draw(rt, "same second") {
			b.Sec = a.Sec
		}
		k, l := a.AppendKey(nil), b.AppendKey(nil)
		if len(k) != 12 || bytes.Compare(k, l) != a.Compare(b) || a.Time().Compare(b.Time()) != a.Compare(b) {
			rt.Fatalf("%v %s, %v %s", a, k, b, l)
		}
		if string(k) <= InstantKeyMin || string(k) >= InstantKeyMax {
			rt.Fatalf("%s is beyond the ends", k)
		}
		if d := a.Sub(b); d.Abs() < 290*365*24*time.Hour && b.Add(d) != a {
			rt.Fatalf("%v + %s is not %v", b, d, a)
		}
	})
}

func FuzzParseDateTime(f *testing.F) {
	for _, s := range []string{"2026", "2026-02-28T10:00:00.5+08:00", "2016-12-31T23:59:60Z", "1988-09-11T01:30", "2026-02-28T10:00:00-00:00"} {
		f.Add(s)
	}
	shanghai := time.FixedZone("", 8*3600)
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseDateTime(s)
		if err != nil {
			return
		}
		if d.digits < MaxFraction && d.String() != s {
			t.Fatalf("%q prints as %q", s, d)
		}
		if lo, hi := d.Interval(shanghai); lo.Compare(hi) >= 0 {
			t.Fatalf("%q: [%v, %v)", s, lo, hi)
		}
	})
}

func BenchmarkInterval(b *testing.B) {
	loc := zone(b, "Asia/Shanghai")
	for _, s := range []string{"2026-05-01", "2026-05-01T10:30:00+08:00"} {
		b.Run(s, func(b *testing.B) {
			src, dst := []byte(s), make([]byte, 0, 64)
			b.ReportAllocs()
			for b.Loop() {
				d, _ := ParseDateTime(src)
				lo, hi := d.Interval(loc)
				dst = hi.AppendKey(lo.AppendKey(dst[:0]))
			}
		})
	}
}
