package search

import (
	"meridian/fhir/element"
	"meridian/fhir/schema"
	"meridian/fhir/value"
)

// Places of elements in Period and Timing.
var (
	periodStart  = index("Period", "start")
	periodEnd    = index("Period", "end")
	timingEvent  = index("Timing", "event")
	timingRepeat = index("Timing", "repeat")
	repeatBounds = index("Timing.repeat", "bounds")
)

// span of time from the first to the last instant, both inclusive; an end that
// is not ok is open.
type timeSpan struct {
	lo, last     value.Instant
	loOK, lastOK bool
}

// date adds a key from the first to the last instant that a value covers:
//
//	date, dateTime, instant   as wide as its precision, in the registry's zone where it has none
//	Period                    from the first instant of start to the last of end; a missing end is open
//	Timing                    the outer limits of its events and bounds
//
// https://hl7.org/fhir/R4/search.html#date
func (b *builder) date(p *Param, n element.Node) {
	switch n.TypeID() {
	case schema.TypeDate, schema.TypeDateTime, schema.TypeInstant:
		if s, ok := b.point(n); ok {
			b.timeKey(p, s)
		}
	case schema.TypePeriod:
		if s, ok := b.period(n); ok {
			b.timeKey(p, s)
			return
		}
		b.present(p, NoSystem)
	case schema.TypeTiming:
		if s, ok := b.timing(n); ok {
			b.timeKey(p, s)
			return
		}
		b.present(p, NoSystem)
	}
}

func (b *builder) timeKey(p *Param, s timeSpan) {
	at := uint32(len(b.buf))
	if s.loOK {
		b.buf = s.lo.AppendKey(b.buf)
	} else {
		b.buf = append(b.buf, value.InstantKeyMin...)
	}
	b.buf = append(b.buf, RangeSep...)
	if s.lastOK {
		b.buf = s.last.AppendKey(b.buf)
	} else {
		b.buf = append(b.buf, value.InstantKeyMax...)
	}
	b.key(p.main, span{}, span{at, uint32(len(b.buf))})
}

// point reads one date or time.
func (b *builder) point(n element.Node) (timeSpan, bool) {
	d, err := value.ParseDateTime(n.Bytes())
	if err != nil {
		return timeSpan{}, false
	}
	lo, hi := d.Interval(b.r.zone)
	return timeSpan{lo, hi.Add(-1), true, true}, true
}

func (b *builder) period(n element.Node) (timeSpan, bool) {
	var s timeSpan
	for c := n.First(); c.Valid(); c = c.Next() {
		switch c.ElementIndex() {
		case periodStart:
			if t, ok := b.point(c); ok {
				s.lo, s.loOK = t.lo, true
			}
		case periodEnd:
			if t, ok := b.point(c); ok {
				s.last, s.lastOK = t.last, true
			}
		}
	}
	return s, s.loOK || s.lastOK
}

func (b *builder) timing(n element.Node) (timeSpan, bool) {
	var all timeSpan
	found := false
	take := func(s timeSpan) {
		if !found {
			all, found = s, true
			return
		}
		if !s.loOK || all.loOK && s.lo.Compare(all.lo) < 0 {
			all.lo, all.loOK = s.lo, s.loOK
		}
		if !s.lastOK || all.lastOK && s.last.Compare(all.last) > 0 {
			all.last, all.lastOK = s.last, s.lastOK
		}
	}
	for c := n.First(); c.Valid(); c = c.Next() {
		switch c.ElementIndex() {
		case timingEvent:
			if s, ok := b.point(c); ok {
				take(s)
			}
		case timingRepeat:
			if bounds := childAt(c, repeatBounds); bounds.TypeID() == schema.TypePeriod {
				if s, ok := b.period(bounds); ok {
					take(s)
				}
			}
		}
	}
	return all, found
}
