package search

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
