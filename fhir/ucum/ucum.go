// Package ucum reads units of the Unified Code for Units of Measure (case
// sensitive form), brings them to base units and compares quantities, exactly.
//
// A unit is a factor, an exact fraction, times powers of base units:
//
//	mg/dL          factor 10, canonical "g.m-3"
//	mmol/L         factor 6.0221367e+23, canonical "m-3" (in UCUM, a mole is a number)
//	Cel            factor 1, offset 273.15, canonical "K"
//	[iU]/L         factor 1000, canonical "[iU].m-3": an arbitrary unit is its own dimension
//	[pH]           canonical "[pH]": so is a logarithmic one, and it stands alone
//	10*9/L         factor 1e12, canonical "m-3";  {cells}/uL is the same dimension
//
// The table (units.tsv) is vendored, embedded and read at first use. π is the
// fraction that the table gives, with 64 decimals. Units are immutable, and all
// functions are safe for concurrent use. Sources are bounded by MaxCode and
// MaxExponent.
//
// https://ucum.org/ucum, https://hl7.org/fhir/R4/datatypes.html#quantity
package ucum

import (
	"fmt"
	"math/big"
	"sort"
	"strconv"
	"strings"

	"meridian/fhir/value"
)

// Limits of a unit's code.
const (
	MaxCode     = 256 // bytes
	MaxExponent = 99  // of a unit, and of each base unit that it reduces to
	maxNesting  = 20
)

// Error says where a code is no unit.
type Error struct {
	Offset int // in bytes
	Reason string
}

func (e *Error) Error() string { return fmt.Sprintf("ucum: %s at byte %d", e.Reason, e.Offset) }

// Unit is a parsed unit: value × factor + offset is the value in base units.
type Unit struct {
	factor *big.Rat
	offset *big.Rat // nil but for Cel, [degF] and [degRe]
	dims   []dim    // sorted by base; none has exponent 0
	alone  bool     // may not be part of a product
}

type dim struct {
	base string
	exp  int
}

// Canonical is the product of base units that u reduces to, sorted, "1" for a number.
func (u Unit) Canonical() string {
	if len(u.dims) == 0 {
		return "1"
	}
	var b strings.Builder
	for k, d := range u.dims {
		if k > 0 {
			b.WriteByte('.')
		}
		b.WriteString(d.base)
		if d.exp != 1 {
			b.WriteString(strconv.Itoa(d.exp))
		}
	}
	return b.String()
}

// Comparable says that u and v measure the same.
func (u Unit) Comparable(v Unit) bool {
	if len(u.dims) != len(v.dims) {
		return false
	}
	for k := range u.dims {
		if u.dims[k] != v.dims[k] {
			return false
		}
	}
	return true
}

// Base gives d of u in base units, exactly.
func (u Unit) Base(d value.Decimal) *big.Rat {
	r := d.Rat()
	r.Mul(r, u.factor)
	if u.offset != nil {
		r.Add(r, u.offset)
	}
	return r
}

// Digits is how many significant digits a conversion keeps where its result has
// no end as a decimal (1/min in Hertz).
const Digits = 40

// ToBase gives d of u in base units (Canonical) as a decimal: exact where it
// has an end within Digits, else rounded. Equal quantities give equal results.
// False where the result is out of value's range.
func (u Unit) ToBase(d value.Decimal) (value.Decimal, bool) { return decimal(u.Base(d)) }

// Decimals gives what a value is multiplied by and what is added to it to bring
// it to base units; false where one of the two has no end within Digits.
func (u Unit) Decimals() (factor, offset value.Decimal, ok bool) {
	factor, ok = decimal(u.factor)
	ok = ok && factor.Rat().Cmp(u.factor) == 0
	if u.offset != nil && ok {
		offset, ok = decimal(u.offset)
		ok = ok && offset.Rat().Cmp(u.offset) == 0
	}
	return factor, offset, ok
}

// Convert gives d of from in the unit to; false where they do not measure the same.
func Convert(d value.Decimal, from, to Unit) (value.Decimal, bool) {
	if !from.Comparable(to) {
		return value.Decimal{}, false
	}
	r := from.Base(d)
	if to.offset != nil {
		r.Sub(r, to.offset)
	}
	return decimal(r.Quo(r, to.factor))
}

// Compare orders x of u and y of v, exactly; false where they do not measure the same.
func Compare(x value.Decimal, u Unit, y value.Decimal, v Unit) (int, bool) {
	if !u.Comparable(v) {
		return 0, false
	}
	return u.Base(x).Cmp(v.Base(y)), true
}

// decimal rounds r to Digits significant digits.
func decimal(r *big.Rat) (value.Decimal, bool) {
	if r.Sign() == 0 {
		return value.Decimal{}, true
	}
	// The power of ten of the first digit, or one more.
	first := (r.Num().BitLen() - r.Denom().BitLen() + 1) * 30103 / 100000
	places := Digits - first
	if places > value.MaxExponent || places < -value.MaxExponent {
		return value.Decimal{}, false
	}
	if places >= 0 {
		return value.DecimalFromRat(r, places)
	}
	// So large that digits before the point are rounded.
	scale := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(-places)), nil))
	d, ok := value.DecimalFromRat(r.Quo(r, scale), 0)
	if !ok {
		return d, false
	}
	power, err := value.ParseDecimal("1e" + strconv.Itoa(-places))
	if err != nil {
		return d, false
	}
	return d.Mul(power)
}

// mul gives u × v^exp. exp is 1 or -1.
func (u Unit) mul(v Unit, exp int) Unit {
	p := Unit{factor: new(big.Rat)}
	if exp > 0 {
		p.factor.Mul(u.factor, v.factor)
	} else {
		p.factor.Quo(u.factor, v.factor)
	}
	sum := map[string]int{}
	for _, d := range u.dims {
		sum[d.base] += d.exp
	}
	for _, d := range v.dims {
		sum[d.base] += d.exp * exp
	}
	for base, e := range sum {
		if e != 0 {
			p.dims = append(p.dims, dim{base, e})
		}
	}
	sort.Slice(p.dims, func(i, j int) bool { return p.dims[i].base < p.dims[j].base })
	return p
}

// pow gives u^n.
func (u Unit) pow(n int) Unit {
	p := Unit{factor: power(u.factor, n)}
	if n != 0 {
		for _, d := range u.dims {
			p.dims = append(p.dims, dim{d.base, d.exp * n})
		}
	}
	return p
}

// bounded says that no base unit has an exponent over MaxExponent.
func (u Unit) bounded() bool {
	for _, d := range u.dims {
		if d.exp > MaxExponent || d.exp < -MaxExponent {
			return false
		}
	}
	return true
}

func power(r *big.Rat, n int) *big.Rat {
	num, den := r.Num(), r.Denom()
	if n < 0 {
		num, den, n = den, num, -n
	}
	e := big.NewInt(int64(n))
	return new(big.Rat).SetFrac(new(big.Int).Exp(num, e, nil), new(big.Int).Exp(den, e, nil))
}
