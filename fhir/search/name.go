package search

import "strconv"

// Shown is a client's name for something as an issue repeats it: quoted, with at most 64 bytes of it.
func Shown(name string) string { return strconv.Quote(short(name)) }

// Fold is the form in which strings are compared: lower case, widths unified,
// without accents and punctuation, no blank between Han characters.
func Fold(s string) string { return fold(s) }

// Pinyin gives the whole readings of a name with Han characters, surname first,
// without tones and blanks: 单三 is shansan. Nil without any, or over maxHan runes.
func Pinyin(name string) []string {
	var out []string
	for _, r := range readings([]byte(fold(name)), true) {
		out = append(out, r.full)
	}
	return out
}
