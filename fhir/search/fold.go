package search

import (
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// appendFold appends the form in which strings are compared: lower case, width
// and compatibility forms unified (ＡＢＣ is abc), accents dropped, punctuation
// dropped, white space as one blank and none at the ends or between two Han
// characters. The fold of a text's beginning is the beginning of its fold.
//
// Han characters themselves are kept: simplified and traditional forms differ.
//
// https://hl7.org/fhir/R4/search.html#string
func appendFold(dst []byte, s []byte) []byte {
	f := folder{dst: dst, start: len(dst)}
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			f.ascii(c)
			i++
			continue
		}
		r, n := utf8.DecodeRune(s[i:])
		f.rune(r, s[i:i+n])
		i += n
	}
	return f.dst
}

// fold is appendFold for a query's text.
func fold(s string) string { return string(appendFold(nil, []byte(s))) }

type folder struct {
	dst   []byte
	start int
	blank bool // white space was seen and is not written yet
	han   bool // the last rune written is Han
}

func (f *folder) ascii(c byte) {
	switch {
	case c >= 'a' && c <= 'z' || c >= '0' && c <= '9':
	case c >= 'A' && c <= 'Z':
		c += 'a' - 'A'
	case c == ' ' || c >= '\t' && c <= '\r':
		f.blank = true
		return
	case c == '$' || c == '+' || c == '<' || c == '=' || c == '>' || c == '^' || c == '`' || c == '|' || c == '~':
		// symbols, not punctuation
	default:
		return
	}
	f.space(false)
	f.dst = append(f.dst, c)
}

func (f *folder) rune(r rune, raw []byte) {
	if isHan(r) {
		f.space(true)
		f.dst = append(f.dst, raw...)
		return
	}
	if d := norm.NFKD.Properties(raw).Decomposition(); d != nil {
		for len(d) > 0 {
			p, n := utf8.DecodeRune(d)
			f.plain(p)
			d = d[n:]
		}
		return
	}
	f.plain(r)
}

// plain takes a rune that does not decompose further.
func (f *folder) plain(r rune) {
	switch {
	case r < utf8.RuneSelf:
		f.ascii(byte(r))
	case r == 'ß' || r == 'ẞ':
		f.ascii('s')
		f.ascii('s')
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.P, unicode.C) && r != utf8.RuneError:
	case unicode.Is(unicode.Z, r):
		f.blank = true
	case r == 'ς':
		f.space(false)
		f.dst = append(f.dst, "σ"...)
	default:
		f.space(isHan(r))
		f.dst = utf8.AppendRune(f.dst, unicode.ToLower(r))
	}
}

// space writes a blank that is due before the next rune.
func (f *folder) space(han bool) {
	if f.blank && len(f.dst) > f.start && !(han && f.han) {
		f.dst = append(f.dst, ' ')
	}
	f.blank, f.han = false, han
}

// isHan covers the unified ideographs; compatibility ideographs decompose to them.
func isHan(r rune) bool {
	return r >= 0x4E00 && r <= 0x9FFF || r >= 0x3400 && r <= 0x4DBF || r == 0x3007 || r >= 0x20000 && r <= 0x323AF &&
		!(r >= 0x2F800 && r <= 0x2FA1F)
}

// hasHan is a cheap look for any Han character in valid UTF-8.
func hasHan(s []byte) bool {
	for i := 0; i < len(s); {
		if s[i] < 0xE3 {
			i++
			continue
		}
		r, n := utf8.DecodeRune(s[i:])
		if isHan(r) {
			return true
		}
		i += n
	}
	return false
}

// cut gives the longest beginning of s of at most MaxValue bytes that ends on a
// rune boundary, and whether something was cut off.
func cut[T string | []byte](s T) (T, bool) {
	if len(s) <= MaxValue {
		return s, false
	}
	n := MaxValue
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n], true
}

// mayBeCut says that a key with this value can stand for a longer text.
func mayBeCut(s string) bool { return len(s) > MaxValue-utf8.UTFMax }

// SameText says that two texts are the same but for case, width, accents, punctuation and white space.
func SameText(a, b string) bool { return a == b || fold(a) == fold(b) }
