package engine

import (
	"strings"

	"golang.org/x/text/unicode/norm"
)

// rangePart is one range of a reference text that has several.
type rangePart struct {
	text   string // its own words: 卵泡期 3.5-12.5
	gender string // male, female
	age    bounds // in years
	bounds bounds
}

var sexWords = [...]struct{ word, gender string }{
	{"男性", "male"}, {"女性", "female"}, {"男", "male"}, {"女", "female"}, {"male", "male"}, {"female", "female"}, {"m", "male"}, {"f", "female"},
}

// mentionsSex is the quick test before splitSex: a letter M or F, or anything that is not ASCII and may be a word.
func mentionsSex(text string) bool {
	for i := 0; i < len(text); i++ {
		switch c := text[i] | 0x20; {
		case c == 'm' || c == 'f':
			return true
		case c >= 0x80:
			return strings.Contains(text, "男") || strings.Contains(text, "女") || strings.ContainsAny(text, "mMfFＭＦ")
		}
	}
	return false
}

// splitSex cuts a reference text that distinguishes men and women, 男:57-97;女:41-81 or M:57-97 F:41-81; nil when it does not.
func splitSex(text string) []rangePart {
	if !mentionsSex(text) {
		return nil
	}
	s := norm.NFKC.String(text)
	parts := strings.FieldsFunc(s, func(r rune) bool { return r == ';' || r == ',' || r == '\n' || r == '、' || r == '/' })
	if len(parts) == 1 {
		parts = cutBeforeSex(s)
	}
	var out []rangePart
	for _, part := range parts {
		gender, rest := leadingSex(strings.TrimSpace(part))
		if gender == "" {
			return nil
		}
		out = append(out, rangePart{gender: gender, text: rest, bounds: readBounds(rest)})
	}
	return out
}

// cutBeforeSex cuts "男57-97 女41-81" before the second word of sex.
func cutBeforeSex(s string) []string {
	for i := 1; i < len(s); i++ {
		if c := s[i]; c != 'f' && c != 'F' && c != 'm' && c != 'M' && !strings.HasPrefix(s[i:], "女") && !strings.HasPrefix(s[i:], "男") {
			continue
		}
		if prev := s[i-1]; prev >= '0' && prev <= '9' || prev == ' ' || prev == '.' {
			return []string{s[:i], s[i:]}
		}
	}
	return []string{s}
}

// leadingSex reads the word of sex before a range; what follows begins with a colon, a blank, a sign or a digit.
func leadingSex(s string) (gender, rest string) {
	low := strings.ToLower(s)
	for _, w := range sexWords {
		if !strings.HasPrefix(low, w.word) || len(low) != len(s) {
			continue
		}
		rest := strings.TrimLeft(s[len(w.word):], ": ")
		if rest == "" || !strings.ContainsRune("0123456789<>≤≥-.大小不", firstRune(rest)) {
			return "", ""
		}
		return w.gender, rest
	}
	return "", ""
}

func firstRune(s string) rune {
	for _, r := range s {
		return r
	}
	return 0
}

// splitPhases cuts a text of several labelled ranges: 卵泡期 3.5-12.5；排卵期 …, 成人:…；儿童:…. nil when it is one.
func splitPhases(text string) []rangePart {
	if strings.IndexByte(text, ';') < 0 && strings.IndexByte(text, '\n') < 0 && (isASCII(text) || !strings.Contains(text, "；") && !strings.Contains(text, "岁")) {
		return nil
	}
	var out []rangePart
	for _, part := range strings.FieldsFunc(text, func(r rune) bool { return r == ';' || r == '；' || r == '\n' }) {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		p := rangePart{text: part}
		p.age, p.bounds = readAge(part)
		out = append(out, p)
	}
	if len(out) < 2 && (len(out) == 0 || out[0].age == (bounds{})) {
		return nil
	}
	return out
}

// readAge reads an age in years before a range: 18-60岁 3.5-5.5, ≥60岁:4.0-6.0.
func readAge(part string) (age, rest bounds) {
	s := norm.NFKC.String(part)
	for _, word := range [...]string{"周岁", "岁"} {
		head, tail, ok := strings.Cut(s, word)
		if !ok {
			continue
		}
		if age = readBounds(head); age.low == "" && age.high == "" {
			return bounds{}, bounds{}
		}
		return bounds{low: age.low, high: age.high}, readBounds(strings.TrimLeft(tail, ": "))
	}
	return bounds{}, bounds{}
}
