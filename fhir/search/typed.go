package search

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// Typed is what a person typed to choose by name, in the way in which people and
// codes are found here: words by their beginnings, Han characters wherever they
// stand, or their pinyin, whole or by initials. It belongs to one goroutine.
//
//	gantang, gt, 肝, liver      肝糖原 with the designation "Glycogen in liver"
type Typed struct {
	words []word
	found []bool
	heard map[rune][]string // readings
	scan  wordScanner
	text  []byte
}

// Limits of what may be typed.
const (
	MaxTyped      = 32  // words
	MaxTypedBytes = 500 // in all
)

// NewTyped reads what was typed; ok is false where that is too much.
func NewTyped(text string) (t *Typed, ok bool) {
	if len(text) > MaxTypedBytes {
		return nil, false
	}
	t = &Typed{words: wordsOf(text), heard: map[rune][]string{}}
	t.found = make([]bool, len(t.words))
	return t, len(t.words) <= MaxTyped
}

// In says that each of the words stands in one of the texts. Nothing typed is in any.
func (t *Typed) In(texts ...string) bool {
	clear(t.found)
	left := len(t.words)
	for _, text := range texts {
		t.text = append(t.text[:0], text...)
		t.scan.rest = t.text
		for w, run := t.scan.next(); w != nil && left > 0; w, run = t.scan.next() {
			for i := range t.words {
				if !t.found[i] && t.hits(&t.words[i], w, run) {
					t.found[i] = true
					left--
				}
			}
		}
	}
	return left == 0
}

// hits compares one typed word with one of a text.
func (t *Typed) hits(typed *word, w []byte, run bool) bool {
	switch {
	case typed.run:
		return run && bytes.Contains(w, []byte(typed.text))
	case !run:
		return len(w) >= len(typed.text) && string(w[:len(typed.text)]) == typed.text
	}
	for i := 0; i < len(w); {
		if t.sounds(typed.text, w[i:]) || len(typed.text) > 1 && t.begins(typed.text, w[i:]) {
			return true
		}
		_, n := utf8.DecodeRune(w[i:])
		i += n
	}
	return false
}

// sounds says that the characters are read so; the last of them may be typed in part.
func (t *Typed) sounds(typed string, han []byte) bool {
	r, n := utf8.DecodeRune(han)
	for _, s := range t.readings(r) {
		if strings.HasPrefix(s, typed) {
			return true
		}
		if rest, ok := strings.CutPrefix(typed, s); ok && n < len(han) && t.sounds(rest, han[n:]) {
			return true
		}
	}
	return false
}

// begins says that the characters' readings begin with these letters, one each.
func (t *Typed) begins(typed string, han []byte) bool {
	for i := range len(typed) {
		r, n := utf8.DecodeRune(han)
		ok := false
		for _, s := range t.readings(r) {
			ok = ok || s[0] == typed[i]
		}
		if !ok {
			return false
		}
		han = han[n:]
	}
	return true
}

func (t *Typed) readings(r rune) []string {
	s, ok := t.heard[r]
	if !ok {
		s = syllables(r)
		t.heard[r] = s
	}
	return s
}
