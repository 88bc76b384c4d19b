package search

import "meridian/fhir/value"

// limits are the encoded ends that the prefixes of one searched value need. The
// searched range runs from low up to, not including, high; below under and from
// over on lie the ranges below and above it. around is the range of ap.
type limits struct {
	low, high   string
	under, over string
	apLow       string
	apHigh      string
}

// boxes compiles a prefix. The sentences are the specification's; "range" of a
// resource's value is what Index encodes, from its first to its last point.
//
//	eq  the range of the search value fully contains the range of the target value
//	ne  … does not fully contain …
//	gt  the range above the search value intersects (i.e. overlaps) with the range of the target value
//	lt  the range below the search value intersects …
//	ge  … above …, or the range of the search value fully contains the range of the target value
//	le  … below …, or …
//	sa  the range of the search value does not overlap with the range of the target value, and the
//	    range above the search value contains the range of the target value
//	eb  … below …
//	ap  the range of the search value overlaps with the range of the target value
//
// A target that begins within the searched range either ends in it (eq) or
// reaches above it (gt), so ge needs one end of each box only; le likewise.
//
// https://hl7.org/fhir/R4/search.html#prefix
func (l limits) boxes(p Comparator, param, scope string) Expr {
	box := Box{Param: param, Scope: scope}
	other := box
	switch p {
	case Eq:
		box.LoMin, box.HiMax = l.low, l.high
	case Ne:
		box.LoMax, other.HiMin = l.low, l.high
		return Or{[]Expr{box, other}}
	case Gt:
		box.HiMin = l.over
	case Lt:
		box.LoMax = l.under
	case Ge:
		box.HiMin, other.LoMin = l.over, l.under
		return Or{[]Expr{box, other}}
	case Le:
		box.LoMax, other.HiMax = l.under, l.over
		return Or{[]Expr{box, other}}
	case Sa:
		box.LoMin = l.over
	case Eb:
		box.HiMax = l.under
	case Ap:
		box.LoMax, box.HiMin = l.apHigh, l.apLow
	}
	return box
}

// dates: a search value is as wide as its precision; ap widens it on both sides
// by 10 % of its distance from now.
// https://hl7.org/fhir/R4/search.html#date
func (c *compiler) dates(p *Param, v *Value) Expr {
	lo, hi := v.Date.Interval(c.r.zone)
	l := limits{low: instantKey(lo), high: instantKey(hi)}
	l.under, l.over = l.low, l.high
	switch v.Comparator {
	case Ap:
		a, b := approximately(lo, hi, c.at)
		l.apLow, l.apHigh = instantKey(a), instantKey(b)
	case overlaps:
		return Box{Param: p.key, LoMax: l.high, HiMin: l.low}
	case covers:
		return Box{Param: p.key, LoMax: l.low + above, HiMin: instantKey(hi.Add(-1))}
	}
	return l.boxes(v.Comparator, p.key, "")
}

// earliest is the first instant that has a key.
const earliest = -62167219200 // 0000-01-01T00:00:00Z

func instantKey(i value.Instant) string {
	if i.Sec < earliest {
		return value.InstantKeyMin
	}
	return string(i.AppendKey(nil))
}

// approximately widens [lo, hi) by a tenth of the seconds between it and now.
func approximately(lo, hi, now value.Instant) (value.Instant, value.Instant) {
	gap := int64(0)
	switch {
	case now.Compare(lo) < 0:
		gap = (lo.Sec - now.Sec) / 10
	case now.Compare(hi) >= 0:
		gap = (now.Sec - hi.Sec) / 10
	}
	lo.Sec -= gap
	hi.Sec += gap
	return lo, hi
}

// numbers: eq and ne take a number as wide as its significant figures say (100
// is [99.5, 100.5)); the others take it as exact; ap is 10 % of it either way.
// https://hl7.org/fhir/R4/search.html#number
func (a asked) boxes(p *Param, scope string, by Comparator) Expr {
	key := func(d value.Decimal) string { return string(d.AppendKey(nil)) }
	l := limits{low: key(a.low), high: key(a.high), under: key(a.at), over: key(a.at) + above}
	if by == Ap {
		l.apLow, l.apHigh = key(a.apLow), key(a.apHigh)+above
	}
	return l.boxes(by, p.key, scope)
}

// tenthAround gives d - |d|/10 and d + |d|/10, exact; d itself where that has
// more digits than a Decimal.
func tenthAround(d value.Decimal) (lo, hi value.Decimal) {
	tenth, err := value.ParseDecimal("0.1")
	if err != nil {
		return d, d
	}
	t, ok1 := d.Abs().Mul(tenth)
	lo, ok2 := d.Sub(t)
	hi, ok3 := d.Add(t)
	if !ok1 || !ok2 || !ok3 {
		return d, d
	}
	return lo, hi
}
