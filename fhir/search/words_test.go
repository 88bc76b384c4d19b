package search

import (
	"slices"
	"testing"
	"unicode/utf8"
)

func TestWords(t *testing.T) {
	for _, c := range []struct {
		text string
		want []word
	}{
		{"", nil},
		{" -- ", nil},
		{"Hemoglobin [Mass/volume] in Blood", []word{{"hemoglobin", false}, {"mass", false}, {"volume", false}, {"in", false}, {"blood", false}}},
		{"COVID-19核酸检测", []word{{"covid", false}, {"19", false}, {"核酸检测", true}}},
		{"CT检查 ２", []word{{"ct", false}, {"检查", true}, {"2", false}}},
		{"H₂O", []word{{"h2o", false}}},
		{"Zoë's naïve", []word{{"zoe", false}, {"s", false}, {"naive", false}}},
		{"Zoe\u0308", []word{{"zoe", false}}},
		{"ÉTUDE", []word{{"etude", false}}},
		{"カルテ・テスト", []word{{"カルテ", true}, {"テスト", true}}},
		{"ｶﾙﾃ", []word{{"カルテ", true}}},
		{"血糖(空腹)", []word{{"血糖", true}, {"空腹", true}}},
		{"a\xffb", []word{{"a", false}, {"b", false}}},
		{"µg", []word{{"μg", false}}},
		{"привет мир", []word{{"привет", false}, {"мир", false}}},
	} {
		if got := wordsOf(c.text); !slices.Equal(got, c.want) {
			t.Errorf("%q: %v, want %v", c.text, got, c.want)
		}
	}
}

// FuzzWords: a word's own words are itself, but where a ligature stands for several (ﷺ, ¼), and every word is found.
func FuzzWords(f *testing.F) {
	for _, s := range []string{"Hemoglobin [Mass/volume]", "COVID-19核酸检测", "ｶﾙﾃ", "a\u0301b", "İ", "ﷺ", "¼"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(s) {
			return
		}
		for _, w := range wordsOf(s) {
			if w.text == "" {
				t.Fatal("an empty word")
			}
			if !hasWords(wordsOf(s), []word{w}) {
				t.Fatalf("%q of %q is not found", w.text, s)
			}
			if again := wordsOf(w.text); len(again) == 1 && again[0].text != w.text {
				t.Fatalf("%q of %q is %q", w.text, s, again[0].text)
			}
		}
	})
}
