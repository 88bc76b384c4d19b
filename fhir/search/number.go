package search

import (
	"meridian/fhir/element"
	"meridian/fhir/schema"
	"meridian/fhir/value"
)

// MoneySystem is the system of Money.currency.
const MoneySystem = "urn:iso:std:iso:4217"

// above follows the key of a number to stand for what is just over it: it sorts
// behind RangeSep and before every byte of a bound, so no number lies between.
const above = "!"

// Places of elements in Quantity (and Age, Duration, …), Money and Range.
var (
	quantityValue      = index("Quantity", "value")
	quantityComparator = index("Quantity", "comparator")
	quantityUnit       = index("Quantity", "unit")
	quantitySystem     = index("Quantity", "system")
	quantityCode       = index("Quantity", "code")
	moneyValue         = index("Money", "value")
	moneyCurrency      = index("Money", "currency")
	rangeLow           = index("Range", "low")
	rangeHigh          = index("Range", "high")
)

// number adds a key of an integer, decimal or Range; a value is the point that
// is written, whatever its precision. A missing end of a Range is open.
//
// https://hl7.org/fhir/R4/search.html#number
func (b *builder) number(p *Param, n element.Node) {
	switch n.TypeID() {
	case schema.TypeInteger, schema.TypePositiveInt, schema.TypeUnsignedInt, schema.TypeDecimal:
		if d, ok := decimalOf(n); ok {
			b.key(p.main, span{}, b.bounds(point(d)))
		}
	case schema.TypeRange:
		if r, _ := b.rangeOf(n); r.some() {
			b.key(p.main, span{}, b.bounds(r))
			return
		}
		b.present(p, NoSystem)
	}
}

// quantity adds the keys of a Quantity, Money or Range: without unit, with
// system and code, and with the code and with the unit alone. The key of a UCUM
// unit is in base units, so that 5 g/L is found as 500 mg/dL. A comparator
// opens the range: <5 is all below 5. SampledData only says that there is a value.
//
// https://hl7.org/fhir/R4/search.html#quantity
func (b *builder) quantity(p *Param, n element.Node) {
	var r numberRange
	var u unit
	switch t := n.TypeID(); {
	case t == schema.TypeMoney:
		if d, ok := decimalOf(childAt(n, moneyValue)); ok {
			r = point(d)
		}
		u.code = childAt(n, moneyCurrency)
		u.fixed = MoneySystem
	case t == schema.TypeRange:
		r, u = b.rangeOf(n)
	case t == schema.TypeSampledData:
	case schema.ByID(t).IsA(schema.TypeQuantity):
		r, u = b.quantityOf(n)
	default:
		return
	}
	if !r.some() {
		b.present(p, NoSystem)
		return
	}
	v := b.bounds(r)
	b.key(p.main, span{}, v)
	b.units(p, u, v, b.inBase(p, u, r))
}

// inBase adds the key of r in base units where its unit is one of UCUM.
func (b *builder) inBase(p *Param, u unit, r numberRange) bool {
	if u.fixed != "" || string(u.system.Bytes()) != UCUMSystem || !u.code.HasValue() {
		return false
	}
	m := b.r.measures.of(u.code.Bytes())
	if m == nil {
		return false
	}
	r, ok := r.inBase(m)
	if ok {
		b.key(p.main, b.fixed(m.scope), b.bounds(r))
	}
	return ok
}

// units adds v once for each way to name its unit; inBase says that system and
// code are answered by the key in base units.
func (b *builder) units(p *Param, u unit, v span, inBase bool) {
	at := uint32(len(b.buf))
	if u.fixed != "" {
		b.buf = append(b.buf, u.fixed...)
	} else if u.system.HasValue() {
		s, _ := cut(b.bytes(u.system))
		b.buf = append(b.buf, s...)
	}
	bar := uint32(len(b.buf))
	code, _ := cut(u.code.Bytes())
	if len(code) > 0 {
		b.buf = append(append(b.buf, '|'), code...)
		end := uint32(len(b.buf))
		if bar > at && !inBase {
			b.key(p.main, span{at, end}, v)
		}
		b.key(p.main, span{bar, end}, v)
	}
	if text, _ := cut(u.unit.Bytes()); len(text) > 0 && string(text) != string(code) {
		at := uint32(len(b.buf))
		b.buf = append(append(b.buf, '|'), text...)
		b.key(p.main, span{at, uint32(len(b.buf))}, v)
	}
}

// unit is how a quantity names its unit.
type unit struct {
	system, code, unit element.Node
	fixed              string // the system where the datatype says it
}

// numberRange goes from lo to hi, both inclusive unless the end says otherwise.
type numberRange struct {
	lo, hi         value.Decimal
	loEnd, hiEnd   end
	loOpen, hiOpen bool // the end itself does not belong to the range
	point          bool // lo is hi
}

type end uint8

const (
	unbounded end = iota
	bounded
)

func point(d value.Decimal) numberRange {
	return numberRange{lo: d, hi: d, loEnd: bounded, hiEnd: bounded, point: true}
}

func (r numberRange) some() bool { return r.loEnd == bounded || r.hiEnd == bounded }

func decimalOf(n element.Node) (value.Decimal, bool) {
	if !n.HasValue() {
		return value.Decimal{}, false
	}
	d, err := value.ParseDecimal(n.Bytes())
	return d, err == nil
}

func (b *builder) quantityOf(n element.Node) (numberRange, unit) {
	var u unit
	var v, comparator element.Node
	for c := n.First(); c.Valid(); c = c.Next() {
		switch c.ElementIndex() {
		case quantityValue:
			v = c
		case quantityComparator:
			comparator = c
		case quantityUnit:
			u.unit = c
		case quantitySystem:
			u.system = c
		case quantityCode:
			u.code = c
		}
	}
	d, ok := decimalOf(v)
	if !ok {
		return numberRange{}, u
	}
	return compared(d, string(comparator.Bytes())), u
}

// compared is what Quantity.comparator makes of a value.
// https://hl7.org/fhir/R4/valueset-quantity-comparator.html
func compared(d value.Decimal, comparator string) numberRange {
	switch comparator {
	case "<":
		return numberRange{hi: d, hiEnd: bounded, hiOpen: true}
	case "<=":
		return numberRange{hi: d, hiEnd: bounded}
	case ">":
		return numberRange{lo: d, loEnd: bounded, loOpen: true}
	case ">=":
		return numberRange{lo: d, loEnd: bounded}
	}
	return point(d)
}

// rangeOf reads a Range; its unit is that of low, or of high where low has no
// value. Its ends have no comparator.
func (b *builder) rangeOf(n element.Node) (numberRange, unit) {
	var r numberRange
	low, high := childAt(n, rangeLow), childAt(n, rangeHigh)
	side := low
	if d, ok := decimalOf(childAt(low, quantityValue)); ok {
		r.lo, r.loEnd = d, bounded
	} else {
		side = high
	}
	if d, ok := decimalOf(childAt(high, quantityValue)); ok {
		r.hi, r.hiEnd = d, bounded
	}
	_, u := b.quantityOf(side)
	return r, u
}

// bounds appends the range key of r.
func (b *builder) bounds(r numberRange) span {
	at := uint32(len(b.buf))
	if r.point {
		b.buf = r.lo.AppendKey(b.buf)
		end := len(b.buf)
		b.buf = append(append(b.buf, RangeSep...), b.buf[at:end]...)
		return span{at, uint32(len(b.buf))}
	}
	if r.loEnd == unbounded {
		b.buf = append(b.buf, value.KeyMin...)
	} else if b.buf = r.lo.AppendKey(b.buf); r.loOpen {
		b.buf = append(b.buf, above...)
	}
	b.buf = append(b.buf, RangeSep...)
	if r.hiEnd == unbounded {
		b.buf = append(b.buf, value.KeyMax...)
	} else if b.buf = r.hi.AppendKey(b.buf); r.hiOpen {
		b.buf = justBelow(b.buf)
	}
	return span{at, uint32(len(b.buf))}
}

// justBelow turns the decimal key at the end of buf into a bound that is above
// all smaller numbers and below the number itself. A positive key ends in '-',
// below every digit: without it the key stands below all that begin with it and
// above all smaller ones. A negative one ends in 'A', over every digit: ':' is
// between the two. Zero is the single letter 'U', and all below it begin with a
// smaller one.
func justBelow(buf []byte) []byte {
	last := len(buf) - 1
	switch buf[last] {
	case '-':
		return buf[:last]
	case 'A':
		buf[last] = ':'
		return buf
	}
	buf[last]--
	return append(buf, '~')
}
