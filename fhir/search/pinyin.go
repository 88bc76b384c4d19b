package search

import (
	"strings"
	"unicode/utf8"

	"github.com/mozillazg/go-pinyin"
	"golang.org/x/text/unicode/norm"
)

const (
	// maxHan is how many runes of a name get pinyin and inner beginnings; a
	// longer text is found by its own characters only.
	maxHan = 32
	// maxReadings bounds the readings of one name (曾乐 is zengle, zengyue, cengle, cengyue).
	maxReadings = 8
)

// reading is one way to say a name.
type reading struct{ full, initials string }

// readings gives the pinyin of a folded name with Han characters: whole and by
// initials, one for each combination of readings of its heteronyms. Where the
// name begins with a surname the surname's reading counts (单 shan, 欧阳 ouyang).
// Characters that are not Han stand for themselves. Nothing is given for a text
// over maxHan runes or without Han.
func readings(folded []byte, surname bool) []reading {
	if utf8.RuneCount(folded) > maxHan || !hasHan(folded) {
		return nil
	}
	out := []reading{{}}
	rest := string(folded)
	if surname {
		if syllables, n := surnameReading(rest); n > 0 {
			out = extend(out, syllables)
			rest = rest[n:]
		}
	}
	letters := false // inside a run that is not Han
	for _, r := range rest {
		if s := syllables(r); s != nil {
			out, letters = extend(out, s), false
			continue
		}
		if r == ' ' {
			letters = false
			continue
		}
		for i := range out {
			out[i].full += string(r)
			if !letters {
				out[i].initials += string(r)
			}
		}
		letters = true
	}
	return out
}

// extend appends each of the readings of one character (or of a compound
// surname, its syllables separated by a blank) to each reading so far.
func extend(to []reading, alternatives []string) []reading {
	if len(to)*len(alternatives) > maxReadings {
		alternatives = alternatives[:1]
	}
	out := make([]reading, 0, len(to)*len(alternatives))
	for _, s := range alternatives {
		var full, initials string
		for _, p := range strings.Fields(s) {
			full += p
			initials += p[:1]
		}
		for _, t := range to {
			out = append(out, reading{t.full + full, t.initials + initials})
		}
	}
	return out
}

// surnameReading finds the surname that a folded name begins with where its
// reading is not the character's common one; n is its length in bytes.
func surnameReading(name string) (readings []string, n int) {
	_, a := utf8.DecodeRuneInString(name)
	_, b := utf8.DecodeRuneInString(name[a:])
	// A compound surname stands before a given name; 欧阳 alone may be one too.
	if s, ok := compoundSurnames[name[:a+b]]; ok && b > 0 {
		return []string{s}, a + b
	}
	if s, ok := surnames[name[:a]]; ok {
		return strings.Split(s, ","), a
	}
	return nil, 0
}

// syllables lists the readings of a Han character, the common one first; nil
// for any other rune and for a character without known reading.
func syllables(r rune) []string {
	if s, ok := givenHeteronyms[r]; ok {
		return strings.Split(s, ",")
	}
	if !isHan(r) {
		return nil
	}
	all, ok := pinyin.PinyinDict[int(r)]
	if !ok {
		return nil
	}
	first, _, _ := strings.Cut(all, ",")
	s := toneless(first)
	// ü is typed as v, and as u where the keyboard offers no v.
	if i := strings.IndexByte(s, 'v'); i >= 0 {
		return []string{s, strings.Replace(s, "v", "u", 1)}
	}
	return []string{s}
}

// toneless drops the tone mark of a syllable and writes ü as v: lǚ is lv.
func toneless(s string) string {
	var b strings.Builder
	for _, r := range norm.NFD.String(s) {
		switch {
		case r >= 'a' && r <= 'z':
			b.WriteRune(r)
		case r == '\u0308':
			t := strings.TrimSuffix(b.String(), "u")
			b.Reset()
			b.WriteString(t + "v")
		}
	}
	return b.String()
}
