package value

import (
	"math/big"
	"math/bits"
	"strconv"
)

// MaxDigits is the largest number of significant digits of a Decimal, counted
// from the first digit that is not 0, trailing zeros included. R4 asks for at
// least 18.
const MaxDigits = 128

// MaxExponent bounds the power of ten of a Decimal's last digit, either way:
// 1e5000 and 0.00…1 with 5,000 places are read, one more is an error.
const MaxExponent = 5000

// smallDigits is how many digits always fit a uint64.
const smallDigits = 18

// Decimal is a number with the digits it was written with: 5.40 is not 5.4,
// though they compare as equal. The zero Decimal is 0.
//
// https://hl7.org/fhir/R4/datatypes.html#decimal
type Decimal struct {
	text  string   // as written, where that is not plain(): exponent forms only
	large *big.Int // the digits when there are more than smallDigits; never changed once set
	small uint64   // the digits otherwise
	exp   int32    // value = ± digits × 10^exp
	neg   bool     // also for -0
}

// ParseDecimal reads the form of R4's decimal, exponent included:
// -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?
func ParseDecimal[T Text](s T) (Decimal, error) {
	var d Decimal
	i := 0
	if i < len(s) && s[i] == '-' {
		d.neg = true
		i++
	}
	start := i
	for i < len(s) && isDigit(s[i]) {
		i++
	}
	switch {
	case i == start:
		return Decimal{}, decimalError(i, "a digit is missing")
	case s[start] == '0' && i > start+1:
		return Decimal{}, decimalError(start, "leading zero")
	}
	point, end := i, i
	if i < len(s) && s[i] == '.' {
		i++
		for i < len(s) && isDigit(s[i]) {
			i++
		}
		if i == point+1 {
			return Decimal{}, decimalError(i, "a digit is missing")
		}
		d.exp = -int32(min(i-point-1, MaxExponent+1))
		end = i
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		e, at := parseExponent(s, i+1)
		if at < 0 {
			return Decimal{}, decimalError(i+1, "a digit of the exponent is missing")
		}
		d.exp += e
		d.text = string(s)
		i = at
	}
	if i < len(s) {
		return Decimal{}, decimalError(i, "unexpected character")
	}
	if d.exp > MaxExponent || d.exp < -MaxExponent {
		return Decimal{}, decimalError(start, "exponent over the limit of "+strconv.Itoa(MaxExponent))
	}
	if !readDigits(&d, s[start:end]) {
		return Decimal{}, decimalError(start, "more than "+strconv.Itoa(MaxDigits)+" digits")
	}
	return d, nil
}

// parseExponent reads [+-]?[0-9]+ from i and gives the value, held below twice
// the limit, and the end; -1 when there is no digit.
func parseExponent[T Text](s T, i int) (int32, int) {
	neg := false
	if i < len(s) && (s[i] == '+' || s[i] == '-') {
		neg = s[i] == '-'
		i++
	}
	start, e := i, int32(0)
	for ; i < len(s) && isDigit(s[i]); i++ {
		e = min(e*10+int32(s[i]-'0'), 3*MaxExponent)
	}
	if i == start {
		return 0, -1
	}
	if neg {
		e = -e
	}
	return e, i
}

// readDigits fills small or large from digits with at most one point between.
func readDigits[T Text](d *Decimal, s T) bool {
	n := 0
	for i := 0; i < len(s); i++ {
		if c := s[i]; c != '.' && (n > 0 || c != '0') {
			n++
			if n <= smallDigits {
				d.small = d.small*10 + uint64(c-'0')
			}
		}
	}
	if n <= smallDigits {
		return true
	}
	if n > MaxDigits {
		return false
	}
	var buf [MaxDigits]byte
	b := buf[:0]
	for i := 0; i < len(s); i++ {
		if c := s[i]; c != '.' && (len(b) > 0 || c != '0') {
			b = append(b, c)
		}
	}
	d.small = 0
	d.large, _ = new(big.Int).SetString(string(b), 10)
	return true
}

func decimalError(at int, reason string) error {
	return &SyntaxError{Type: "decimal", Offset: at, Reason: reason}
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// DecimalFromInt gives i with exponent 0.
func DecimalFromInt(i int64) Decimal {
	u := uint64(i)
	if i < 0 {
		u = -u
	}
	if u >= 1e18 {
		return makeDecimal(i < 0, new(big.Int).SetUint64(u), 0)
	}
	return Decimal{small: u, neg: i < 0}
}

// makeDecimal keeps digits small where they fit. digits is not negative.
func makeDecimal(neg bool, digits *big.Int, exp int32) Decimal {
	d := Decimal{neg: neg, exp: exp}
	if digits.IsUint64() && digits.Uint64() < 1e18 {
		d.small = digits.Uint64()
	} else {
		d.large = digits
	}
	return d
}

// Sign is -1, 0 or 1.
func (d Decimal) Sign() int {
	switch {
	case d.small == 0 && d.large == nil:
		return 0
	case d.neg:
		return -1
	}
	return 1
}

// IsInteger says that d has no digits behind the point other than zeros.
func (d Decimal) IsInteger() bool {
	var buf [MaxDigits + 1]byte
	digits, exp := d.normal(buf[:0])
	return len(digits) == 0 || exp >= 0
}

// String is d as it was written. The result of arithmetic has an exponent only
// where it would be longer than MaxDigits without.
func (d Decimal) String() string { return string(d.Append(nil)) }

// Append appends String.
func (d Decimal) Append(dst []byte) []byte {
	if d.text != "" {
		return append(dst, d.text...)
	}
	if d.neg {
		dst = append(dst, '-')
	}
	var buf [MaxDigits + 1]byte
	digits := d.appendDigits(buf[:0])
	if d.exp >= 0 {
		dst = append(dst, digits...)
		switch {
		case d.Sign() == 0:
			return dst
		case len(digits)+int(d.exp) > MaxDigits:
			return strconv.AppendInt(append(dst, 'e'), int64(d.exp), 10)
		}
		return appendZeros(dst, int(d.exp))
	}
	places := int(-d.exp)
	if len(digits) > places {
		dst = append(dst, digits[:len(digits)-places]...)
		return append(append(dst, '.'), digits[len(digits)-places:]...)
	}
	dst = appendZeros(append(dst, '0', '.'), places-len(digits))
	return append(dst, digits...)
}

func appendZeros(dst []byte, n int) []byte {
	for ; n > 0; n-- {
		dst = append(dst, '0')
	}
	return dst
}

// appendDigits appends the digits without sign and leading zeros; "0" for zero.
func (d Decimal) appendDigits(dst []byte) []byte {
	if d.large != nil {
		return d.large.Append(dst, 10)
	}
	return strconv.AppendUint(dst, d.small, 10)
}

// normal gives the digits without trailing zeros, none for zero, and the power of ten of the last.
func (d Decimal) normal(buf []byte) ([]byte, int) {
	exp := int(d.exp)
	if d.large == nil {
		s := d.small
		if s == 0 {
			return buf, 0
		}
		for s%10 == 0 {
			s /= 10
			exp++
		}
		return strconv.AppendUint(buf, s, 10), exp
	}
	digits := d.large.Append(buf, 10)
	n := len(digits)
	for n > 1 && digits[n-1] == '0' {
		n--
		exp++
	}
	return digits[:n], exp
}

// Cmp compares the numbers, exactly: -1, 0 or 1.
func (d Decimal) Cmp(e Decimal) int {
	if d.large == nil && e.large == nil && d.exp == e.exp && d.neg == e.neg {
		c := 0
		switch {
		case d.small < e.small:
			c = -1
		case d.small > e.small:
			c = 1
		}
		if d.neg {
			return -c
		}
		return c
	}
	var a, b [keyBuffer]byte
	x, y := d.AppendKey(a[:0]), e.AppendKey(b[:0])
	switch {
	case string(x) < string(y):
		return -1
	case string(x) > string(y):
		return 1
	}
	return 0
}

// Scale is the number of digits behind the point as written; 0 for 1e2.
func (d Decimal) Scale() int { return max(0, int(-d.exp)) }

// Digits is the number of significant digits as written: 3 for 5.40 and 100, 1 for 0 and 1e2.
func (d Decimal) Digits() int {
	var buf [MaxDigits + 1]byte
	return len(d.appendDigits(buf[:0]))
}

// Bounds is the range that d stands for in a search, half a unit of the last
// digit either way: 5.40 is [5.395, 5.405), 100 is [99.5, 100.5).
//
// A single digit with an exponent is read to one more place, since the
// specification prints [95, 105) for 1e2; so 1e2 and 1.0e2 mean the same range.
//
// https://hl7.org/fhir/R4/search.html#number
func (d Decimal) Bounds() (lo, hi Decimal) {
	exp, scale := d.exp-1, uint64(10)
	if d.text != "" && d.large == nil && d.small < 10 && d.exp > 0 {
		exp, scale = d.exp-2, 100
	}
	over, n := bits.Mul64(d.small, scale)
	if d.large == nil && over == 0 && n < 1e18-5 {
		lo, hi = Decimal{neg: d.neg, small: n, exp: exp}, Decimal{neg: d.neg, small: n, exp: exp}
		if n == 0 { // the range around 0 has ends of either sign
			lo.neg, hi.neg, lo.small, hi.small = true, false, 5, 5
			return lo, hi
		}
		lo.small -= 5
		hi.small += 5
	} else {
		b := d.bigDigits()
		b.Mul(b, new(big.Int).SetUint64(scale))
		five := big.NewInt(5)
		lo = makeDecimal(d.neg, new(big.Int).Sub(b, five), exp)
		hi = makeDecimal(d.neg, new(big.Int).Add(b, five), exp)
	}
	if d.neg {
		lo, hi = hi, lo
	}
	return lo, hi
}

// bigDigits gives the digits as a new number that may be changed.
func (d Decimal) bigDigits() *big.Int {
	if d.large != nil {
		return new(big.Int).Set(d.large)
	}
	return new(big.Int).SetUint64(d.small)
}

// Rat gives d as an exact fraction. Its size grows with the exponent.
func (d Decimal) Rat() *big.Rat {
	n := d.bigDigits()
	if d.neg {
		n.Neg(n)
	}
	if d.exp >= 0 {
		return new(big.Rat).SetInt(n.Mul(n, pow10(int(d.exp))))
	}
	return new(big.Rat).SetFrac(n, pow10(int(-d.exp)))
}

func pow10(n int) *big.Int {
	return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil)
}

// Int64 gives the integer part; false when it is out of range.
func (d Decimal) Int64() (int64, bool) {
	if d.exp == 0 && d.large == nil {
		if d.neg {
			return -int64(d.small), true
		}
		return int64(d.small), true
	}
	if int(d.exp)+d.Digits() > 20 && d.Sign() != 0 {
		return 0, false
	}
	r := d.Rat()
	q := new(big.Int).Quo(r.Num(), r.Denom())
	return q.Int64(), q.IsInt64()
}
