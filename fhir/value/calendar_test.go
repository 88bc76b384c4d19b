package value

import (
	"testing"
	"time"
)

func TestCalendarArithmetic(t *testing.T) {
	months := func(n int64) func(DateTime) (DateTime, bool) {
		return func(d DateTime) (DateTime, bool) { return d.AddMonths(n) }
	}
	seconds := func(s, n int64) func(DateTime) (DateTime, bool) {
		return func(d DateTime) (DateTime, bool) { return d.Add(s, n) }
	}
	for _, c := range []struct {
		rule, from string
		op         func(DateTime) (DateTime, bool)
		want       string // empty: out of range
	}{
		{"a month", "1973-12-25", months(1), "1974-01-25"},
		{"the last day of a shorter month", "2024-01-31", months(1), "2024-02-29"},
		{"back over a year", "2024-01-31", months(-2), "2023-11-30"},
		{"29 February in a year", "2024-02-29", months(12), "2025-02-28"},
		{"a year keeps its precision", "2024", months(12), "2025"},
		{"not beyond year 9999", "9999-12-01", months(1), ""},
		{"not before year 1", "0001-01-01", months(-1), ""},
		{"far too much", "2024", months(1 << 60), ""},
		{"a day keeps the offset", "1973-12-31T00:00:00.000+10:00", seconds(86400, 0), "1974-01-01T00:00:00.000+10:00"},
		{"milliseconds back over midnight", "1974-01-01T00:00:00.000Z", seconds(0, -1e6), "1973-12-31T23:59:59.999Z"},
		{"day precision", "2024-02-28", seconds(86400, 0), "2024-02-29"},
		{"not beyond year 9999", "9999-12-31", seconds(86400, 0), ""},
		{"far too much", "2024", seconds(1<<60, 0), ""},
	} {
		d, err := ParseDateTime(c.from)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := c.op(d)
		if ok != (c.want != "") || ok && got.String() != c.want {
			t.Errorf("%s: %s gives %s, %v; want %s", c.rule, c.from, got, ok, c.want)
		}
	}
}

func TestUTC(t *testing.T) {
	for _, c := range [][2]string{
		{"2012-04-15T16:00:00+03:00", "2012-04-15T13:00:00Z"},
		{"2012-12-31T22:30-05:00", "2013-01-01T03:30Z"},
		{"2012-12-31T22:30:00.5+00:00", "2012-12-31T22:30:00.5+00:00"},
		{"2012-12-31", "2012-12-31"},
		{"0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00+14:00"},
	} {
		d, err := ParseDateTime(c[0])
		if err != nil {
			t.Fatal(err)
		}
		if got := d.UTC().String(); got != c[1] {
			t.Errorf("%s is %s in UTC, want %s", c[0], got, c[1])
		}
	}
}

func TestDateTimeOf(t *testing.T) {
	at := time.Date(2026, 5, 1, 10, 30, 0, 123456789, time.FixedZone("", 8*3600))
	if got := DateTimeOf(at, 3).String(); got != "2026-05-01T10:30:00.123+08:00" {
		t.Error(got)
	}
	if got := DateTimeOf(at.UTC(), 0).String(); got != "2026-05-01T02:30:00Z" {
		t.Error(got)
	}
	if got := DateTimeOf(at.In(time.FixedZone("", -3*3600-1800)), 9).String(); got != "2026-04-30T23:00:00.123456789-03:30" {
		t.Error(got)
	}
}

func TestTimeAdd(t *testing.T) {
	for _, c := range []struct {
		from string
		nano int64
		want string
	}{
		{"10:30:00", 3600e9, "11:30:00"}, {"23:59:59.5", 500e6, "00:00:00.0"}, {"00:00", -60e9, "23:59"}, {"12", 25 * 3600e9, "13"},
	} {
		d, err := ParsePartialTime(c.from)
		if err != nil {
			t.Fatal(err)
		}
		if got := d.Add(c.nano).String(); got != c.want {
			t.Errorf("%s + %d is %s, want %s", c.from, c.nano, got, c.want)
		}
	}
}
