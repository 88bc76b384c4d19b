package hl7v2

import (
	"testing"
	"time"
)

func shanghai(t testing.TB) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		t.Skipf("no tz database: %v", err)
	}
	return loc
}

func TestParseTimeForFHIR(t *testing.T) {
	loc := shanghai(t)
	tests := []struct {
		name, in, messageOffset, dateTime, date, instant string
		zeroFilled, uncertain                            bool
	}{
		{"year", "1949", "", "1949", "1949", "", false, false},
		{"month", "194912", "", "1949-12", "1949-12", "", false, false},
		{"day", "19491231", "+0000", "1949-12-31", "1949-12-31", "", false, false},
		{"hour is filled with zeros", "2026112108", "", "2026-11-21T08:00:00+08:00", "2026-11-21", "2026-11-21T08:00:00+08:00", true, false},
		{"minute is filled with zeros", "202611210830", "", "2026-11-21T08:30:00+08:00", "2026-11-21", "2026-11-21T08:30:00+08:00", true, false},
		{"second", "20261121083015", "", "2026-11-21T08:30:15+08:00", "2026-11-21", "2026-11-21T08:30:15+08:00", false, false},
		{"fraction as written", "20261121083015.120", "", "2026-11-21T08:30:15.120+08:00", "2026-11-21", "2026-11-21T08:30:15.120+08:00", false, false},
		{"own offset goes first", "20261121083015-0500", "+0800", "2026-11-21T08:30:15-05:00", "2026-11-21", "2026-11-21T08:30:15-05:00", false, false},
		{"offset of the message goes before the source", "20261121083015", "+0900", "2026-11-21T08:30:15+09:00", "2026-11-21", "2026-11-21T08:30:15+09:00", false, false},
		{"UTC", "20261121083015+0000", "", "2026-11-21T08:30:15Z", "2026-11-21", "2026-11-21T08:30:15Z", false, false},
		{"midnight of a birth date stays that day", "19890118000000", "", "1989-01-18T00:00:00+08:00", "1989-01-18", "1989-01-18T00:00:00+08:00", false, false},
		{"29 February of a leap year", "20240229", "", "2024-02-29", "2024-02-29", "", false, false},
		// China's summer time: 1988-04-17 02:00 to 1988-09-11 02:00, +09:00 (tz database, asia).
		{"summer time of 1988", "198807011200", "", "1988-07-01T12:00:00+09:00", "1988-07-01", "1988-07-01T12:00:00+09:00", true, false},
		{"a day before summer time", "198804161200", "", "1988-04-16T12:00:00+08:00", "1988-04-16", "1988-04-16T12:00:00+08:00", true, false},
		{"a time the clock skipped", "19880417023000", "", "1988-04-17T02:30:00+08:00", "1988-04-17", "1988-04-17T02:30:00+08:00", false, true},
		{"a time the clock showed twice", "19880911013000", "", "1988-09-11T01:30:00+09:00", "1988-09-11", "1988-09-11T01:30:00+09:00", false, true},
		{"after the change", "19880911023000", "", "1988-09-11T02:30:00+08:00", "1988-09-11", "1988-09-11T02:30:00+08:00", false, false},
		// Local mean time +08:05:43: FHIR has no seconds in offsets.
		{"before standard time", "190001010000", "", "1899-12-31T15:54:17Z", "1900-01-01", "1899-12-31T15:54:17Z", true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ts, err := ParseTime(tt.in, Zone{MessageOffset: tt.messageOffset, Location: loc})
			if err != nil {
				t.Fatal(err)
			}
			instant, _ := ts.Instant()
			if ts.DateTime() != tt.dateTime || ts.Date() != tt.date || instant != tt.instant {
				t.Errorf("got %q %q %q", ts.DateTime(), ts.Date(), instant)
			}
			if ts.ZeroFilled != tt.zeroFilled || ts.Uncertain != tt.uncertain {
				t.Errorf("zero filled %v, uncertain %v", ts.ZeroFilled, ts.Uncertain)
			}
		})
	}
}

func TestParseTimeRefuses(t *testing.T) {
	for _, s := range []string{"", "202", "20263", "2026113", "20261301", "20260230", "20230229", "00000000", "20261121240000",
		"20261121086000", "20261121083060", "20261121083015.", "20261121083015.12345", "202611210830.5", "2026-11-21", "20261121 0830",
		"20261121083015+8", "20261121083015+08:00", "20261121083015+1500", "20261121083015+0860", "2026年", "20261121083015Z", "20261121083015+0800 "} {
		if ts, err := ParseTime(s, Zone{}); err == nil {
			t.Errorf("%q is read as %s", s, ts.DateTime())
		}
	}
}

func TestTimeGivesTheInstant(t *testing.T) {
	ts, err := ParseTime("20261121083015.25+0800", Zone{})
	if want := time.Date(2026, 11, 21, 0, 30, 15, 250_000_000, time.UTC); err != nil || !ts.Time().Equal(want) {
		t.Error(ts.Time(), err)
	}
	if got := OffsetOf("20261121083015+0800"); got != "+0800" {
		t.Error(got)
	}
	if got := OffsetOf("20261121083015"); got != "" {
		t.Error(got)
	}
}

func TestParseTimeOfDay(t *testing.T) {
	tests := []struct {
		in, want   string
		zeroFilled bool
		offset     bool
	}{
		{"0830", "08:30:00", true, false},
		{"08", "08:00:00", true, false},
		{"083015.5", "08:30:15.5", false, false},
		{"083015+0800", "08:30:15", false, true},
	}
	for _, tt := range tests {
		got, zeroFilled, offset, err := ParseTimeOfDay(tt.in)
		if err != nil || got != tt.want || zeroFilled != tt.zeroFilled || offset != tt.offset {
			t.Errorf("%s: %q %v %v %v", tt.in, got, zeroFilled, offset, err)
		}
	}
	for _, s := range []string{"", "8", "2460", "08:30"} {
		if got, _, _, err := ParseTimeOfDay(s); err == nil {
			t.Errorf("%q is read as %s", s, got)
		}
	}
}
