package engine

import (
	"strings"
	"time"

	"meridian/mappings/hl7v2"
	"meridian/mappings/source"
)

// messageZone is the offset that MSH-7 states, "" when it states none: times of
// the message without an offset of their own are read with it.
func messageZone(t *source.Tree) string {
	msh, _ := source.V2Names().Sym("MSH")
	return hl7v2.OffsetOf(t.Root().Child(msh).F(7).Text())
}

// timestamp reads a time of the message. Placeholders that senders write for
// "unknown" are no time and no finding; anything else that is no time is one.
func (rt *run) timestamp(s string, n source.Node) (hl7v2.Timestamp, bool) {
	s = strings.TrimSpace(s)
	if s == "" || placeholderTime(s) {
		return hl7v2.Timestamp{}, false
	}
	t, err := hl7v2.ParseTime(s, hl7v2.Zone{MessageOffset: rt.msgZone, Location: rt.zone})
	if err != nil {
		rt.find("time.invalid", n, "not a time; the element is left out")
		return hl7v2.Timestamp{}, false
	}
	return t, true
}

// placeholderTime knows 00000000, 00010101 and 19000101, which stand for "not known" in hospital databases.
func placeholderTime(s string) bool {
	return strings.Trim(s, "0") == "" || strings.HasPrefix(s, "00010101") || strings.HasPrefix(s, "19000101")
}

// instant gives the time itself, for the order of messages.
func (rt *run) instant(s string, n source.Node) (time.Time, bool) {
	t, ok := rt.timestamp(s, n)
	if !ok {
		return time.Time{}, false
	}
	return t.Time(), true
}

// dateTimeText gives a FHIR dateTime.
func (rt *run) dateTimeText(n source.Node) (string, bool) {
	t, ok := rt.timestamp(n.Text(), n)
	if !ok {
		return "", false
	}
	return t.DateTime(), true
}

func (c *call) timestamp() (hl7v2.Timestamp, bool) {
	s, n := c.text(0)
	return c.rt.timestamp(s, n)
}

func fnDateTime(c *call, b []byte) ([]byte, bool) {
	t, ok := c.timestamp()
	if !ok {
		return b, false
	}
	return appendString(b, t.DateTime()), true
}

func fnChoiceDateTime(c *call, b []byte) ([]byte, bool) {
	c.suffix = "DateTime"
	return fnDateTime(c, b)
}

func fnDate(c *call, b []byte) ([]byte, bool) {
	t, ok := c.timestamp()
	if !ok {
		return b, false
	}
	return appendString(b, t.Date()), true
}

// fnInstant writes an instant; a date without a time is none, with a finding.
func fnInstant(c *call, b []byte) ([]byte, bool) {
	t, ok := c.timestamp()
	if !ok {
		return b, false
	}
	s, ok := t.Instant()
	if !ok {
		_, n := c.text(0)
		c.find("time.imprecise", n, "a date without a time is no instant; the element is left out")
		return b, false
	}
	return appendString(b, s), true
}

// fnRecorded writes an instant, or the time of receipt where the message gives none.
func fnRecorded(c *call, b []byte) ([]byte, bool) {
	if t, ok := c.timestamp(); ok {
		if s, ok := t.Instant(); ok {
			return appendString(b, s), true
		}
	}
	return appendString(b, c.rt.received.UTC().Format("2006-01-02T15:04:05.000Z")), true
}
