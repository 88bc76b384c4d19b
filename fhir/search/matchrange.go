package search

import (
	"time"

	"meridian/fhir/element"
	"meridian/fhir/value"
)

// interval is a stretch of time of a resource, half-open; a nil end is open.
type interval struct{ lo, hi *value.Instant }

// dateInterval reads a date, Period or Timing.
func dateInterval(n element.Node, zone *time.Location) (interval, bool) {
	var all interval
	some := false
	widen := func(x interval) {
		if !some {
			all, some = x, true
			return
		}
		if all.lo != nil && (x.lo == nil || x.lo.Compare(*all.lo) < 0) {
			all.lo = x.lo
		}
		if all.hi != nil && (x.hi == nil || x.hi.Compare(*all.hi) > 0) {
			all.hi = x.hi
		}
	}
	if !n.Valid() {
		return all, false
	}
	switch n.Type().Name {
	case "date", "dateTime", "instant":
		d, err := value.ParseDateTime(n.Text())
		if err != nil {
			return all, false
		}
		lo, hi := d.Interval(zone)
		return interval{&lo, &hi}, true
	case "Period":
		if start, ok := dateInterval(n.Child("start"), zone); ok {
			all.lo, some = start.lo, true
		}
		if end, ok := dateInterval(n.Child("end"), zone); ok {
			all.hi, some = end.hi, true
		}
	case "Timing":
		for c := n.First(); c.Valid(); c = c.Next() {
			if c.Name() == "event" {
				if x, ok := dateInterval(c, zone); ok {
					widen(x)
				}
			}
		}
		if b := n.Path("repeat", "bounds"); b.Valid() && b.Type().Name == "Period" {
			if x, ok := dateInterval(b, zone); ok {
				widen(x)
			}
		}
	}
	return all, some
}

func (m *matcher) dateNode(n element.Node) bool {
	t, ok := dateInterval(n, m.r.zone)
	if !ok {
		return false
	}
	for i := range m.c.Values {
		v := &m.c.Values[i]
		lo, hi := v.Date.Interval(m.r.zone)
		if t.is(v.Comparator, lo, hi, m.q.at) {
			return true
		}
	}
	return false
}

// is decides a prefix on the searched range [lo, hi).
func (t interval) is(p Comparator, lo, hi, now value.Instant) bool {
	contained := t.lo != nil && t.lo.Compare(lo) >= 0 && t.hi != nil && t.hi.Compare(hi) <= 0
	reachesAbove := t.hi == nil || t.hi.Compare(hi) > 0
	reachesBelow := t.lo == nil || t.lo.Compare(lo) < 0
	switch p {
	case Eq:
		return contained
	case Ne:
		return !contained
	case Gt:
		return reachesAbove
	case Lt:
		return reachesBelow
	case Ge:
		return reachesAbove || contained
	case Le:
		return reachesBelow || contained
	case Sa:
		return t.lo != nil && t.lo.Compare(hi) >= 0
	case Eb:
		return t.hi != nil && t.hi.Compare(lo) <= 0
	case overlaps:
		return (t.lo == nil || t.lo.Compare(hi) < 0) && (t.hi == nil || t.hi.Compare(lo) > 0)
	case covers:
		return (t.lo == nil || t.lo.Compare(lo) <= 0) && (t.hi == nil || t.hi.Compare(hi) >= 0)
	}
	tenth := int64(0)
	if now.Compare(lo) < 0 {
		tenth = (lo.Sec - now.Sec) / 10
	} else if now.Compare(hi) >= 0 {
		tenth = (now.Sec - hi.Sec) / 10
	}
	lo.Sec, hi.Sec = lo.Sec-tenth, hi.Sec+tenth
	return (t.lo == nil || t.lo.Compare(hi) < 0) && (t.hi == nil || t.hi.Compare(lo) > 0)
}

// stretch is a range of numbers of a resource; a nil end is open, an end that
// is out does not belong to it.
type stretch struct {
	lo, hi       *value.Decimal
	loOut, hiOut bool
}

func exactly(n element.Node) (stretch, bool) {
	d, err := value.ParseDecimal(n.Text())
	return stretch{lo: &d, hi: &d}, err == nil
}

func quantityStretch(n element.Node) (stretch, bool) {
	s, ok := exactly(n.Child("value"))
	switch n.Child("comparator").Text() {
	case "<":
		s.lo, s.hiOut = nil, true
	case "<=":
		s.lo = nil
	case ">":
		s.hi, s.loOut = nil, true
	case ">=":
		s.hi = nil
	}
	return s, ok
}

// rangeStretch reads a Range; unit is the Quantity that says its unit. SimpleQuantity has no comparator.
func rangeStretch(n element.Node) (s stretch, unit element.Node, ok bool) {
	low, okLow := exactly(n.Path("low", "value"))
	high, okHigh := exactly(n.Path("high", "value"))
	if okHigh {
		s.hi, unit = high.hi, n.Child("high")
	}
	if okLow {
		s.lo, unit = low.lo, n.Child("low")
	}
	return s, unit, okLow || okHigh
}

func (m *matcher) numberNode(n element.Node) bool {
	s, ok := exactly(n)
	if n.Type().Name == "Range" {
		s, _, ok = rangeStretch(n)
	}
	for i := range m.c.Values {
		if ok && s.is(m.c.Values[i].Comparator, askedOf(&m.c.Values[i])) {
			return true
		}
	}
	return false
}

func (m *matcher) quantityNode(n element.Node) bool {
	var s stretch
	ok, unit := false, n
	switch n.Type().Name {
	case "SampledData":
		return false
	case "Money":
		s, ok = exactly(n.Child("value"))
	case "Range":
		s, unit, ok = rangeStretch(n)
	default:
		s, ok = quantityStretch(n)
	}
	for i := range m.c.Values {
		if ok && m.quantityIs(s, unit, &m.c.Values[i]) {
			return true
		}
	}
	return false
}

// quantityIs compares in base units where both units are of UCUM, else as written.
func (m *matcher) quantityIs(s stretch, unit element.Node, v *Value) bool {
	a, in := m.r.measured(v)
	if unit.Type().Name != "Money" && unit.Child("system").Text() == UCUMSystem && v.Unit.System == UCUMSystem {
		of := m.r.measures.of(unit.Child("code").Bytes())
		if b, ok := s.inBase(of); ok {
			return in != nil && in.unit.Comparable(of.unit) && b.is(v.Comparator, a)
		}
	}
	return in == nil && unitIs(unit, v.Unit) && s.is(v.Comparator, a)
}

// inBase gives the stretch in base units; false where that is no unit, or an end beyond any number.
func (s stretch) inBase(m *measure) (stretch, bool) {
	ok := m != nil
	for _, end := range []**value.Decimal{&s.lo, &s.hi} {
		if ok && *end != nil {
			var d value.Decimal
			d, ok = m.base(**end)
			*end = &d
		}
	}
	return s, ok
}

// unitIs: without unit any; |code the code or the unit as printed; system|code both.
func unitIs(n element.Node, u Unit) bool {
	if n.Type().Name == "Money" {
		return u.Code == "" || n.Child("currency").Text() == u.Code && (u.System == "" || u.System == MoneySystem)
	}
	switch {
	case u.Code == "":
		return true
	case u.System == "":
		return n.Child("code").Text() == u.Code || n.Child("unit").Text() == u.Code
	}
	return n.Child("system").Text() == u.System && n.Child("code").Text() == u.Code
}

// is decides a prefix on a searched number.
func (s stretch) is(p Comparator, v asked) bool {
	contained := s.lo != nil && s.hi != nil && s.lo.Cmp(v.low) >= 0 && s.hi.Cmp(v.high) < 0
	within := s.lo != nil && s.hi != nil && s.lo.Cmp(v.at) >= 0 && s.hi.Cmp(v.at) <= 0
	reachesAbove := s.hi == nil || s.hi.Cmp(v.at) > 0
	reachesBelow := s.lo == nil || s.lo.Cmp(v.at) < 0
	switch p {
	case Eq:
		return contained
	case Ne:
		return !contained
	case Gt:
		return reachesAbove
	case Lt:
		return reachesBelow
	case Ge:
		return reachesAbove || within
	case Le:
		return reachesBelow || within
	case Sa:
		return s.lo != nil && (s.lo.Cmp(v.at) > 0 || s.loOut && s.lo.Cmp(v.at) == 0)
	case Eb:
		return s.hi != nil && (s.hi.Cmp(v.at) < 0 || s.hiOut && s.hi.Cmp(v.at) == 0)
	}
	under := s.lo == nil || s.lo.Cmp(v.apHigh) < 0 || !s.loOut && s.lo.Cmp(v.apHigh) == 0
	over := s.hi == nil || s.hi.Cmp(v.apLow) > 0 || !s.hiOut && s.hi.Cmp(v.apLow) == 0
	return under && over
}
