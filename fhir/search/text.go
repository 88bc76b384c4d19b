package search

import (
	"slices"
	"strings"
	"unicode/utf8"

	"meridian/fhir/element"
	"meridian/fhir/schema"
)

// :text asks for the texts that stand beside a code or a reference:
// CodeableConcept.text, Coding.display, Identifier.type.text and
// Reference.display. Each word of the value begins a word of one text; a run of
// Han or kana stands anywhere in one. :code-text (R5): the text begins with the
// words of the value, the last of which may go on.
//
//	code:text=blood hemo   Hemoglobin [Mass/volume] in Blood
//	code:text=蛋白          血红蛋白测定
//
// https://hl7.org/fhir/R4/search.html#token, https://hl7.org/fhir/R5/search.html#modifiers

// mayHaveText says whether p selects elements with such texts.
func (p *Param) mayHaveText() bool {
	switch p.Kind {
	case KindToken:
		return p.mayBe(schema.TypeCodeableConcept, schema.TypeCoding, schema.TypeIdentifier)
	case KindReference:
		return p.mayBe(schema.TypeReference)
	}
	return false
}

// textTerm compiles :text and :code-text. One word is decided by the keys, and
// so is the begin of a text; that several words stand in the same text, by the body.
func textTerm(param string, m Modifier, text string) term {
	words := wordsOf(text)
	if m == ModCodeText {
		joined := ""
		for _, w := range words {
			joined += string(wordMark) + w.text
		}
		short, _ := cut(joined)
		return term{Prefix{Key{Param: param, Value: short}}, !mayBeCut(joined)}
	}
	of := make([]Expr, len(words))
	exact := len(words) == 1
	for i, w := range words {
		asked := w.text
		if !w.run {
			asked = string(wordMark) + asked
		}
		exact = exact && len(asked) <= maxInside
		of[i] = Contains{param, cutTo(asked, maxInside)}
	}
	return term{both(of), exact}
}

// maxInside is what is found in one of the keys of a text, wherever it stands, in bytes.
const maxInside = MaxValue/2 - utf8.UTFMax

// cutTo is cut to n bytes.
func cutTo(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n]
}

// textsOf lists the texts beside a code or reference.
func textsOf(n element.Node) []string {
	var out []string
	add := func(n element.Node) {
		if n.HasValue() {
			out = append(out, n.Text())
		}
	}
	switch n.Type().Name {
	case "CodeableConcept":
		add(n.Child("text"))
		for c := n.First(); c.Valid(); c = c.Next() {
			if c.Name() == "coding" {
				add(c.Child("display"))
			}
		}
	case "Coding", "Reference":
		add(n.Child("display"))
	case "Identifier":
		add(n.Path("type", "text"))
	}
	return out
}

func (m *matcher) textNode(n element.Node) bool {
	for _, text := range textsOf(n) {
		for i := range m.c.Values {
			test := hasWords
			if m.c.Modifier == ModCodeText {
				test = beginsWith
			}
			if test(wordsOf(text), wordsOf(m.c.Values[i].Text)) {
				return true
			}
		}
	}
	return false
}

// hasWords says whether each of the asked words begins one of the words, or is in one of its runs.
func hasWords(words, asked []word) bool {
	for _, a := range asked {
		if !slices.ContainsFunc(words, func(w word) bool {
			return strings.HasPrefix(w.text, a.text) && !a.run || a.run && strings.Contains(w.text, a.text)
		}) {
			return false
		}
	}
	return true
}

// beginsWith says whether the asked words are the first of the words, the last one its begin.
func beginsWith(words, asked []word) bool {
	last := len(asked) - 1
	return len(words) > last && slices.Equal(words[:last], asked[:last]) && words[last].run == asked[last].run &&
		strings.HasPrefix(words[last].text, asked[last].text)
}
