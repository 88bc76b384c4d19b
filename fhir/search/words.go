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
		if w.ascii() {
			return w.fold, false
		}
		text, class := w.take()
		if class == divides {
			continue
		}
		if w.fold = appendFold(w.fold[:0], text); len(w.fold) > 0 {
			return w.fold, class == ofRun
		}
	}
	return nil, false
}

// ascii reads a word of ASCII into fold. False where one begins or goes on
// beyond ASCII, which is left in rest for take, and at the end.
func (w *wordScanner) ascii() bool {
	w.fold = w.fold[:0]
	i := 0
	for i < len(w.rest) && asciiFold[w.rest[i]] == 0 && w.rest[i] < utf8.RuneSelf {
		i++
	}
	start := i
	for i < len(w.rest) && asciiFold[w.rest[i]] != 0 {
		w.fold = append(w.fold, asciiFold[w.rest[i]])
		i++
	}
	if i == start || i < len(w.rest) && w.rest[i] >= utf8.RuneSelf {
		w.rest = w.rest[start:]
		return false
	}
	w.rest = w.rest[i:]
	return true
}

// asciiFold is what a letter or digit is folded to; 0 for what divides, and beyond ASCII.
var asciiFold = func() (t [256]byte) {
	for c := range byte(utf8.RuneSelf) {
		if runeClass(rune(c)) == ofWord {
			t[c] = lower(c)
		}
	}
	return t
}()

// take takes a stretch of runes of one class off rest.
func (w *wordScanner) take() (text []byte, class int) {
	end := 0
	for end < len(w.rest) {
		r, n := rune(w.rest[end]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRune(w.rest[end:])
		}
		c := runeClass(r)
		switch {
		case c == joins && end > 0:
		case end == 0:
			if class = c; c == joins {
				class = ofWord
			}
		case c != class:
			text, w.rest = w.rest[:end], w.rest[end:]
			return text, class
		}
		end += n
	}
	text, w.rest = w.rest, nil
	return text, class
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
