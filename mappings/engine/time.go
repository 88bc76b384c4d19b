package engine

import (
	"strings"
	"time"

	"meridian/mappings/hl7v2"
	"meridian/mappings/source"
)

// messageZone is the offset that MSH-7 states, "" when it states none: times of
// the message without an offset of their own are read with it. An offset that the
// source's zone has at that moment says only that the sender is in the zone: then the zone's own history holds (Asia/Shanghai
// had summer time from 1986 to 1991), and the result is "" too.
func messageZone(t *source.Tree, zone *time.Location) string {
	msh, _ := source.V2Names().Sym("MSH")
	s := t.Root().Child(msh).F(7).Peek()
	offset := hl7v2.OffsetOf(s)
	if offset == "" {
		return ""
	}
	at, err := hl7v2.ParseTime(s, hl7v2.Zone{})
	if err != nil {
		return ""
	}
	_, stated := at.Time().Zone()
	if _, here := at.Time().In(zone).Zone(); here == stated {
		return ""
	}
	return offset
}

// timeCache keeps the last times of a message: the results of a report share theirs. What is to be said of a time is said once.
type timeCache struct {
	entries [8]timeEntry
	next    int
}

type timeEntry struct {
	raw      string
	t        hl7v2.Timestamp
	ok       bool
	dateTime string
}

// futureSlack is how far a time may lie behind the receipt before that is a finding: clocks differ, and zones are mistaken.
const futureSlack = 24 * time.Hour

// stamp reads a time of the message. Placeholders that senders write for
// "unknown" are no time and no finding; anything else that is no time is one.
func (rt *run) stamp(s string, n source.Node) *timeEntry {
	s = strings.TrimSpace(s)
	rt.trace.local = true // the zone and the receipt are the message's
	c := &rt.times
	for i := range c.entries {
		if e := &c.entries[i]; e.raw == s {
			return e
		}
	}
	e := &c.entries[c.next]
	c.next = (c.next + 1) % len(c.entries)
	*e = timeEntry{raw: s}
	if s == "" || placeholderTime(s) {
		return e
	}
	zone := hl7v2.Zone{MessageOffset: rt.msgZone, Location: rt.zone}
	t, err := hl7v2.ParseTime(s, zone)
	if err != nil {
		if loose, ok := looseTime(s); ok {
			if t, err = hl7v2.ParseTime(loose, zone); err == nil {
				rt.find("time.format", n, "the time is not written as HL7 asks; it is read by its parts")
			}
		}
	}
	if err != nil {
		rt.find("time.invalid", n, "not a time; the element is left out")
		return e
	}
	switch {
	case t.Uncertain:
		rt.find("time.uncertain", n, "the clock of the zone showed this time twice or never")
	case t.ZeroFilled:
		rt.find("time.zero-filled", n, "minutes or seconds are not known; FHIR shows them as 00")
	}
	if !rt.received.IsZero() && t.Time().After(rt.received.Add(futureSlack)) {
		rt.find("time.future", n, "the time lies more than a day after the receipt of the message")
	}
	e.t, e.ok, e.dateTime = t, true, t.DateTime()
	return e
}

// placeholderTime knows 00000000, 00010101 and 19000101, which stand for "not known" in hospital databases.
func placeholderTime(s string) bool {
	if s != "" && s[0] >= '2' && s[0] <= '9' { // none begins so
		return false
	}
	if strings.Trim(s, "0-/: T.") == "" {
		return true
	}
	for _, p := range [...]string{"00010101", "0001-01-01", "19000101", "1900-01-01", "1900/01/01", "1900/1/1"} {
		if rest, ok := strings.CutPrefix(s, p); ok && strings.Trim(rest, "0: T.") == "" {
			return true
		}
	}
	return false
}

// looseTime turns the forms that hospital databases print into HL7's: 2026-11-21 08:30:00, 2026/11/21 8:30, 2026年11月21日,
// 2026-11-21T08:30:00+08:00.
func looseTime(s string) (string, bool) {
	s = strings.NewReplacer("年", "-", "月", "-", "日", " ", "时", ":", "分", ":", "秒", "", "/", "-", "T", " ", "　", " ").Replace(s)
	zone := ""
	if rest, ok := strings.CutSuffix(s, "Z"); ok {
		s, zone = rest, "+0000"
	} else if i := strings.LastIndexAny(s, "+-"); i > 10 {
		s, zone = s[:i], strings.ReplaceAll(s[i:], ":", "")
	}
	date, clock, _ := strings.Cut(strings.TrimSpace(s), " ")
	day := strings.Split(strings.TrimSuffix(date, "-"), "-")
	if len(day) > 3 || len(day[0]) != 4 {
		return "", false
	}
	clock, fraction, dotted := strings.Cut(strings.TrimSuffix(strings.TrimSpace(clock), ":"), ".")
	parts := day[1:]
	if clock != "" {
		if len(day) != 3 {
			return "", false
		}
		parts = append(parts, strings.Split(clock, ":")...)
	}
	out := day[0]
	for _, p := range parts {
		if len(p) < 1 || len(p) > 2 || !allDigits(p) {
			return "", false
		}
		out += "00"[len(p):] + p
	}
	if dotted {
		out += "." + fraction[:min(len(fraction), 4)]
	}
	return out + zone, true
}

// instant gives the time itself, for the order of messages.
func (rt *run) instant(s string, n source.Node) (time.Time, bool) {
	e := rt.stamp(s, n)
	return e.t.Time(), e.ok
}

// dateTimeText gives a FHIR dateTime.
func (rt *run) dateTimeText(n source.Node) (string, bool) {
	e := rt.stamp(n.Text(), n)
	return e.dateTime, e.ok
}

// stamp reads argument i: the first of its paths that holds a time.
func (c *call) stamp(i int) *timeEntry {
	v := &c.args[i].value
	for _, p := range v.paths {
		n := p.one(c.rt)
		s := n.Text()
		if s == "" {
			continue
		}
		if e := c.rt.stamp(s, n); e.ok {
			return e
		}
	}
	return c.rt.stamp(v.text, source.Node{})
}

func fnDateTime(c *call, b []byte) ([]byte, bool) {
	e := c.stamp(0)
	if !e.ok {
		return b, false
	}
	return appendString(b, e.dateTime), true
}

// fnChoiceTime writes a dateTime, or a Period where an end is given that differs from the start.
func fnChoiceTime(c *call, b []byte) ([]byte, bool) {
	start := *c.stamp(0)
	end := *c.stamp(1)
	switch {
	case !end.ok || end.dateTime == start.dateTime:
		c.suffix = "DateTime"
		return fnDateTime(c, b)
	case start.ok && end.t.Time().Before(start.t.Time()):
		_, n := c.text(1)
		c.find("time.order", n, "the end lies before the start; the end is left out")
		c.suffix = "DateTime"
		return fnDateTime(c, b)
	}
	c.suffix = "Period"
	return appendPeriod(b, &start, &end), true
}

func fnPeriod(c *call, b []byte) ([]byte, bool) {
	start := *c.stamp(0)
	end := *c.stamp(1)
	if !start.ok && !end.ok {
		return b, false
	}
	return appendPeriod(b, &start, &end), true
}

func appendPeriod(b []byte, start, end *timeEntry) []byte {
	b = append(b, '{')
	if start.ok {
		b = append(append(append(b, `"start":"`...), start.dateTime...), '"')
	}
	if end.ok {
		if start.ok {
			b = append(b, ',')
		}
		b = append(append(append(b, `"end":"`...), end.dateTime...), '"')
	}
	return append(b, '}')
}

func fnDate(c *call, b []byte) ([]byte, bool) {
	e := c.stamp(0)
	if !e.ok {
		return b, false
	}
	return appendString(b, e.t.Date()), true
}

// fnInstant writes an instant; a date without a time is none, with a finding.
func fnInstant(c *call, b []byte) ([]byte, bool) {
	e := c.stamp(0)
	if !e.ok {
		return b, false
	}
	if e.t.Precision < hl7v2.ToHour {
		_, n := c.text(0)
		c.find("time.imprecise", n, "a date without a time is no instant; the element is left out")
		return b, false
	}
	return appendString(b, e.dateTime), true
}

// fnRecorded writes an instant, or the time of receipt where the message gives none.
func fnRecorded(c *call, b []byte) ([]byte, bool) {
	if e := c.stamp(0); e.ok && e.t.Precision >= hl7v2.ToHour {
		return appendString(b, e.dateTime), true
	}
	return appendString(b, c.rt.received.UTC().Format("2006-01-02T15:04:05.000Z")), true
}

// birth reads PID-7. Months and days of 00, which databases write for "not known", leave a partial date; a date that cannot be is none.
func (c *call) birth() (t hl7v2.Timestamp, ok bool) {
	s, n := c.text(0)
	s = strings.TrimSpace(s)
	if s == "" {
		return t, false
	}
	if placeholderTime(s) {
		c.find("birthdate.placeholder", n, "the date stands for not known; it is left out")
		return t, false
	}
	if len(s) == 8 && allDigits(s) && s[6:] == "00" {
		c.find("birthdate.partial", n, "month or day are 00; the rest of the date is kept")
		s = strings.TrimSuffix(s[:6], "00")
	}
	e := c.rt.stamp(s, n)
	if !e.ok {
		return t, false
	}
	if !c.rt.received.IsZero() && e.t.Time().After(c.rt.received.Add(futureSlack)) {
		c.find("birthdate.future", n, "the date lies in the future; it is left out")
		return t, false
	}
	return e.t, true
}

func fnBirthDate(c *call, b []byte) ([]byte, bool) {
	t, ok := c.birth()
	if !ok {
		return b, false
	}
	return appendString(b, t.Date()), true
}

// fnBirthTime writes the time of birth where PID-7 has one.
func fnBirthTime(c *call, b []byte) ([]byte, bool) {
	s, n := c.text(0)
	if len(strings.TrimSpace(s)) <= 8 {
		return b, false
	}
	e := c.rt.stamp(s, n)
	if !e.ok || e.t.Precision < hl7v2.ToHour || !c.rt.received.IsZero() && e.t.Time().After(c.rt.received.Add(futureSlack)) {
		return b, false
	}
	return appendString(b, e.dateTime), true
}
