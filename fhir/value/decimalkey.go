package value

// A decimal's key:
//
//	head [exponent] digits end
//
// head is one of keyAlphabet, in ascending order of the numbers it begins:
//
//	0           KeyMin, below every number
//	1 … T       negative, by falling magnitude
//	U           zero; the whole key
//	V … x       positive: V an exponent below -9, W…w one of -9…17, x above 17
//	y           KeyMax, above every number
//
// exponent, only behind V, x and their twins 1 and T, is four digits: the power
// of ten of the first digit, plus keyBias behind V and T. digits are the
// significant ones without zeros at the end. end is '-', below every digit, so
// that 54 stands before 541 and no key begins another. A negative key is the
// positive one with head, exponent and digits complemented and 'A' as its end.
//
//	5.40   f54-       5.41  f541-      541   h541-
//	-5.40  J45A       0     U          1e20  x00201-
const (
	keyAlphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	keyZero     = 30
	keySmall    = 31 // exponent below keyLow
	keyLarge    = 59 // exponent above keyHigh
	keyLow      = -9
	keyHigh     = 17
	keyBias     = 9999 // exponents reach -MaxExponent-2, and MaxExponent+MaxDigits+1
	keyEnd      = '-'
	keyEndNeg   = 'A'

	// keyBuffer holds any key.
	keyBuffer = MaxDigits + 8
)

// KeyMin is below, KeyMax above the key of every decimal; they stand for an
// end that is open.
const (
	KeyMin = "0"
	KeyMax = "y"
)

// AppendKey appends a form of d whose order as bytes is the order of numbers,
// for any Decimal and without rounding. 1.0, 1.00 and 1e0 have the same key. It
// holds ASCII letters, digits and '-' only.
func (d Decimal) AppendKey(dst []byte) []byte {
	var buf [MaxDigits + 4]byte
	digits, exp := d.normal(buf[:0])
	if len(digits) == 0 {
		return append(dst, keyAlphabet[keyZero])
	}
	exp += len(digits) - 1
	head, long := 0, 0
	switch {
	case exp < keyLow:
		head, long = keySmall, exp+keyBias
	case exp > keyHigh:
		head, long = keyLarge, exp
	default:
		head, long = keySmall+1+exp-keyLow, -1
	}
	at := len(dst)
	if d.neg {
		head = 2*keyZero - head
	}
	dst = append(dst, keyAlphabet[head])
	if long >= 0 {
		dst = append(dst, byte('0'+long/1000), byte('0'+long/100%10), byte('0'+long/10%10), byte('0'+long%10))
	}
	dst = append(dst, digits...)
	if !d.neg {
		return append(dst, keyEnd)
	}
	for i := at + 1; i < len(dst); i++ {
		dst[i] = '0' + '9' - dst[i]
	}
	return append(dst, keyEndNeg)
}
