package search

import (
	"sync"

	"meridian/fhir/ucum"
	"meridian/fhir/value"
)

// UCUMSystem is the system of units that are compared across units.
const UCUMSystem = "http://unitsofmeasure.org"

// maxMeasures is how many codes of units are kept; others are read each time.
const maxMeasures = 4096

// measure brings the values of one UCUM unit to base units. The nil measure is
// that of a code that is no unit.
type measure struct {
	scope  string // of the keys: "=" and the base units, as in =g.m-3
	unit   ucum.Unit
	factor value.Decimal
	offset value.Decimal
	exact  bool // factor and offset say all of the unit
	moved  bool // the offset is not 0
}

// base gives d in base units: exact up to ucum.Digits digits, rounded where
// there are more. It keeps the order, and equal quantities are equal, whatever
// their units. False where the result is beyond any number.
func (m *measure) base(d value.Decimal) (value.Decimal, bool) {
	if !m.exact || m.moved || d.Digits()+m.factor.Digits() > ucum.Digits {
		return m.unit.ToBase(d)
	}
	return d.Mul(m.factor)
}

// measures are the units that were seen. The zero value is ready; safe for concurrent use.
type measures struct {
	mu   sync.RWMutex
	seen map[string]*measure
}

// of gives the measure of a code, nil where it is no unit of UCUM.
func (u *measures) of(code []byte) *measure {
	u.mu.RLock()
	m, ok := u.seen[string(code)]
	u.mu.RUnlock()
	if ok {
		return m
	}
	if unit, err := ucum.Parse(string(code)); err == nil {
		m = &measure{scope: "=" + unit.Canonical(), unit: unit}
		m.factor, m.offset, m.exact = unit.Decimals()
		m.factor = m.factor.Reduced()
		m.moved = m.offset.Sign() != 0
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.seen == nil {
		u.seen = make(map[string]*measure)
	}
	if len(u.seen) < maxMeasures {
		u.seen[string(code)] = m
	}
	return m
}

// inBase gives the range in base units; false where an end cannot be said in them.
func (r numberRange) inBase(m *measure) (numberRange, bool) {
	ok := true
	if r.loEnd == bounded {
		r.lo, ok = m.base(r.lo)
	}
	if r.point {
		r.hi = r.lo
		return r, ok
	}
	if r.hiEnd == bounded && ok {
		r.hi, ok = m.base(r.hi)
	}
	return r, ok
}

// asked is a searched number with the ranges that the prefixes need.
type asked struct {
	low, high     value.Decimal // of its precision, half-open
	at            value.Decimal
	apLow, apHigh value.Decimal // of ap, both inclusive
}

// askedOf works out the ranges of v's number, for ap only where v asks for it.
func askedOf(v *Value) asked {
	a := asked{at: v.Number}
	a.low, a.high = v.Number.Bounds()
	if v.Comparator == Ap {
		a.apLow, a.apHigh = tenthAround(v.Number)
	}
	return a
}

// inBase gives the ranges in base units: precision is that of the number as it
// was asked, in the unit in which it was asked.
func (a asked) inBase(m *measure) (asked, bool) {
	for _, d := range []*value.Decimal{&a.low, &a.high, &a.at, &a.apLow, &a.apHigh} {
		var ok bool
		if *d, ok = m.base(*d); !ok {
			return a, false
		}
	}
	return a, true
}

// measured gives v's number in base units where its unit is one of UCUM.
func (r *Registry) measured(v *Value) (asked, *measure) {
	a := askedOf(v)
	if v.Unit.System == UCUMSystem {
		if m := r.measures.of([]byte(v.Unit.Code)); m != nil {
			if b, ok := a.inBase(m); ok {
				return b, m
			}
		}
	}
	return a, nil
}
