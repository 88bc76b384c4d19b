package value

import (
	"math/big"
	"math/bits"
)

// The results of Add, Sub, Mul and Quo come with false where they would have
// more than MaxDigits digits or an exponent over MaxExponent (FHIRPath: an
// overflow is empty), and where the divisor is 0.

// Add is d + e, exact; it has as many places as the one with more.
func (d Decimal) Add(e Decimal) (Decimal, bool) {
	exp := min(d.exp, e.exp)
	a, b := d.scaled(exp), e.scaled(exp)
	return signed(a.Add(a, b), exp)
}

// Sub is d - e, exact.
func (d Decimal) Sub(e Decimal) (Decimal, bool) { return d.Add(e.Neg()) }

// Mul is d × e, exact.
func (d Decimal) Mul(e Decimal) (Decimal, bool) {
	if over, n := bits.Mul64(d.small, e.small); d.large == nil && e.large == nil && over == 0 && n < 1e18 {
		return Decimal{neg: d.neg != e.neg && n != 0, small: n, exp: d.exp + e.exp}.within()
	}
	n := d.bigDigits()
	n.Mul(n, e.bigDigits())
	return makeDecimal(d.neg != e.neg && n.Sign() != 0, n, d.exp+e.exp).within()
}

// Neg is -d; 0 stays 0.
func (d Decimal) Neg() Decimal {
	d.text = ""
	d.neg = !d.neg && d.Sign() != 0
	return d
}

// Abs is d without its sign.
func (d Decimal) Abs() Decimal {
	if d.neg {
		return d.Neg()
	}
	return d
}

// Quo is d / e to places digits behind the point, rounded half away from zero,
// without zeros at the end; false when e is 0.
func (d Decimal) Quo(e Decimal, places int) (Decimal, bool) {
	if e.Sign() == 0 {
		return Decimal{}, false
	}
	num, den := d.bigDigits(), e.bigDigits()
	if shift := int(d.exp) - int(e.exp) + places; shift >= 0 {
		num.Mul(num, pow10(shift))
	} else {
		den.Mul(den, pow10(-shift))
	}
	n := quoHalfUp(num, den)
	return makeDecimal(d.neg != e.neg && n.Sign() != 0, n, int32(-places)).trimmed().within()
}

// QuoInt is the integer part of d / e, truncated towards zero; false when e is 0.
func (d Decimal) QuoInt(e Decimal) (Decimal, bool) {
	if e.Sign() == 0 {
		return Decimal{}, false
	}
	exp := min(d.exp, e.exp)
	q := d.scaled(exp)
	return signed(q.Quo(q, e.scaled(exp)), 0)
}

// Rem is what QuoInt leaves, with the sign of d; false when e is 0.
func (d Decimal) Rem(e Decimal) (Decimal, bool) {
	if e.Sign() == 0 {
		return Decimal{}, false
	}
	exp := min(d.exp, e.exp)
	r := d.scaled(exp)
	return signed(r.Rem(r, e.scaled(exp)), exp)
}

// Round gives d with at most places digits behind the point, half away from zero.
func (d Decimal) Round(places int) Decimal {
	if int(d.exp) >= -places {
		return d.plain()
	}
	n := quoHalfUp(d.bigDigits(), pow10(-int(d.exp)-places))
	return makeDecimal(d.neg && n.Sign() != 0, n, int32(-places))
}

// Truncate drops the digits behind the point.
func (d Decimal) Truncate() Decimal {
	if d.exp >= 0 {
		return d.plain()
	}
	n := d.bigDigits()
	n.Quo(n, pow10(-int(d.exp)))
	return makeDecimal(d.neg && n.Sign() != 0, n, 0)
}

// Floor is the greatest integer that is not above d.
func (d Decimal) Floor() Decimal {
	t := d.Truncate()
	if d.Sign() < 0 && t.Cmp(d) != 0 {
		t, _ = t.Sub(Decimal{small: 1}) // t has a digit less than d
	}
	return t
}

// Ceiling is the least integer that is not below d.
func (d Decimal) Ceiling() Decimal { return d.Neg().Floor().Neg() }

// DecimalFromRat rounds r to places digits behind the point, half away from
// zero, without zeros at the end.
func DecimalFromRat(r *big.Rat, places int) (Decimal, bool) {
	num := new(big.Int).Abs(r.Num())
	n := quoHalfUp(num.Mul(num, pow10(places)), new(big.Int).Set(r.Denom()))
	return makeDecimal(r.Sign() < 0 && n.Sign() != 0, n, int32(-places)).trimmed().within()
}

// quoHalfUp gives num / den rounded to the nearest integer; it changes both.
func quoHalfUp(num, den *big.Int) *big.Int {
	q, r := num.QuoRem(num, den, new(big.Int))
	if r.Lsh(r, 1).CmpAbs(den) >= 0 {
		q.Add(q, big.NewInt(1))
	}
	return q
}

// scaled gives d in units of 10^exp, which is not above d.exp.
func (d Decimal) scaled(exp int32) *big.Int {
	n := d.bigDigits()
	if d.exp > exp {
		n.Mul(n, pow10(int(d.exp-exp)))
	}
	if d.neg {
		n.Neg(n)
	}
	return n
}

func signed(n *big.Int, exp int32) (Decimal, bool) {
	neg := n.Sign() < 0
	return makeDecimal(neg, n.Abs(n), exp).within()
}

// within is false where d is over the limits.
func (d Decimal) within() (Decimal, bool) {
	if d.exp > MaxExponent || d.exp < -MaxExponent || d.large != nil && d.Digits() > MaxDigits {
		return Decimal{}, false
	}
	return d, true
}

// plain forgets that d was written with an exponent.
func (d Decimal) plain() Decimal {
	d.text = ""
	return d
}

// trimmed drops zeros at the end of the places.
func (d Decimal) trimmed() Decimal {
	var buf [MaxDigits + 1]byte
	digits, exp := d.normal(buf[:0])
	if len(digits) == 0 {
		return Decimal{}
	}
	drop := min(exp, 0) - int(d.exp)
	if drop <= 0 {
		return d
	}
	n := d.bigDigits()
	return makeDecimal(d.neg, n.Quo(n, pow10(drop)), d.exp+int32(drop))
}

// Reduced is d without the zeros at the end of its digits, so that it is quicker to compute with: 3000 becomes 3e3.
func (d Decimal) Reduced() Decimal {
	var buf [MaxDigits + 1]byte
	digits, exp := d.normal(buf[:0])
	drop := exp - int(d.exp)
	if len(digits) == 0 || drop <= 0 {
		return d
	}
	n := d.bigDigits()
	return makeDecimal(d.neg, n.Quo(n, pow10(drop)), int32(exp))
}
