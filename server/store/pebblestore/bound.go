package pebblestore

import (
	"strings"

	"meridian/fhir/search"
)

// Postings of ranges stand in the order of their low bounds. A search for high
// bounds (`date=ge…`, everything since) would have to read all of them. Where
// ranges are narrow it need not: one that reaches up to X begins shortly
// before X. The few wide ones have a second entry by the class of their width,
// so that each class too is read from shortly before X only:
//
//	W type param scope class lo 0 number hi
//
// Widths are taken on the text of bounds, whose alphabet (docs/format/postings.md)
// has 64 letters in the order of bytes: its first ten letters as a number. What
// is outside of the alphabet, or ends before it begins, is in a class of its own
// that is always read whole; so none of this is ever a matter of right or wrong.

const (
	// ordinalLen is how many letters of a bound are counted; for dates that is to 4 µs.
	ordinalLen = 10
	// narrowDigits: a range of less than 64^6 is narrow; for dates that is three days.
	narrowDigits = 6
	// Classes of wide ranges: classWide+n is below 64^(7+n).
	classNarrow    = 0
	classWide      = 1
	classUnordered = 9
	lastWide       = classWide + ordinalLen - narrowDigits - 1
)

const boundAlphabet = "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"

// letter is the place of a byte in the alphabet, -1 when it is not in it.
func letter(c byte) int {
	switch {
	case c == '-':
		return 0
	case c >= '0' && c <= '9':
		return int(c-'0') + 1
	case c >= 'A' && c <= 'Z':
		return int(c-'A') + 11
	case c == '_':
		return 37
	case c >= 'a' && c <= 'z':
		return int(c-'a') + 38
	}
	return -1
}

// ordinal is the number of a bound: never falling as bounds rise, as long as ok.
func ordinal(bound string) (n uint64, ok bool) {
	for i := range ordinalLen {
		n <<= 6
		if i < len(bound) {
			l := letter(bound[i])
			if l < 0 {
				return 0, false
			}
			n |= uint64(l)
		}
	}
	return n, true
}

// lowestBound is the lowest text whose ordinal is at least n.
func lowestBound(n uint64) string {
	var b [ordinalLen]byte
	for i := ordinalLen - 1; i >= 0; i-- {
		b[i] = boundAlphabet[n&63]
		n >>= 6
	}
	return strings.TrimRight(string(b[:]), "-")
}

// widthClass is the class of a range whose high bound is hi.
func widthClass(lo, hi string) byte {
	a, okLo := ordinal(lo)
	b, okHi := ordinal(hi)
	if !okLo || !okHi || hi < lo {
		return classUnordered
	}
	class := byte(classNarrow)
	for width := (b - a) >> (6 * narrowDigits); width > 0; width >>= 6 {
		class++
	}
	return class
}

// reach is the lowest low bound that a range of a class can have when its high
// bound is at least hiMin; empty when it can have any.
func reach(hiMin string, class byte) string {
	// What is outside of the alphabet is cut off, which only lowers hiMin.
	for i := range hiMin {
		if letter(hiMin[i]) < 0 {
			hiMin = hiMin[:i]
			break
		}
	}
	n, _ := ordinal(hiMin)
	width := uint64(1) << (6 * (narrowDigits + int(class)))
	if n <= width {
		return ""
	}
	return lowestBound(n - width)
}

// lows are the low bounds [from, to) that ranges of a class within a box can
// have; an empty end is open.
func lows(x *search.Box, class byte) (from, to string) {
	from, to = x.LoMin, x.LoMax
	if class == classUnordered {
		return from, to
	}
	if x.HiMin != "" {
		from = max(from, reach(x.HiMin, class))
	}
	// A range begins no later than it ends.
	if x.HiMax != "" && (to == "" || x.HiMax < to) {
		to = x.HiMax
	}
	return from, to
}
