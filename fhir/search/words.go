package search

import (
	"unicode"
	"unicode/utf8"
)

// A word is a run of letters and digits, folded; all else divides. A run of
// Han characters or kana, which are written without blanks, is a word of its own:
//
//	Hemoglobin [Mass/volume]   hemoglobin mass volume
//	COVID-19核酸检测             covid 19 核酸检测
//	H₂O                        h2o
type wordScanner struct {
	rest []byte
	fold []byte
}

// Classes of runes.
const (
	divides = iota
	ofWord  // a letter or digit of a script with blanks between words
	ofRun   // Han or kana
	joins   // belongs to what stands before it
)

func runeClass(r rune) int {
	switch {
	case r < utf8.RuneSelf:
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return ofWord
		}
		return divides
	case isHan(r) || r >= 0x3041 && r <= 0x30FF && r != 0x30FB || r >= 0x31F0 && r <= 0x31FF || r >= 0xFF66 && r <= 0xFF9F ||
		r >= 0xF900 && r <= 0xFAFF || r >= 0x2F800 && r <= 0x2FA1F:
		return ofRun
	case unicode.IsLetter(r) || unicode.IsNumber(r):
		return ofWord
	case unicode.Is(unicode.M, r):
		return joins
	}
	return divides
}

// next gives the next word, valid until the call after; run says that it is
// one of Han or kana. Nil at the end.
func (w *wordScanner) next() (word []byte, run bool) {
	for len(w.rest) > 0 {
		start, end, class := 0, 0, divides
		for end < len(w.rest) {
			r, n := rune(w.rest[end]), 1
			if r >= utf8.RuneSelf {
				r, n = utf8.DecodeRune(w.rest[end:])
			}
			c := runeClass(r)
			switch {
			case c == joins && class != divides:
			case class == divides:
				start, class = end, c
				if c == joins {
					class = ofWord
				}
			case c != class:
				goto done
			}
			end += n
		}
	done:
		text := w.rest[start:end]
		w.rest = w.rest[end:]
		if class == divides {
			continue
		}
		if w.fold = appendFold(w.fold[:0], text); len(w.fold) > 0 {
			return w.fold, class == ofRun
		}
	}
	return nil, false
}

// word of a query or, in Match, of a resource.
type word struct {
	text string
	run  bool
}

func wordsOf(text string) []word {
	s := wordScanner{rest: []byte(text)}
	var out []word
	for w, run := s.next(); w != nil; w, run = s.next() {
		out = append(out, word{string(w), run})
	}
	return out
}
