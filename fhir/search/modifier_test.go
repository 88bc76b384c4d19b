package search

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"meridian/fhir/element"
	"meridian/fhir/fhirpath"
)

// The values of TestOracle for the modifiers and parameters that have a form of their own.

func randomTokenModifier(rnd *rand.Rand, n element.Node, k token) (v, modifier string) {
	if v, m := randomText(rnd, n); v != "" && rnd.IntN(2) == 0 {
		return v, m
	}
	if typ := tokensOf(n.Child("type")); n.Type().Name == "Identifier" && len(typ) > 0 {
		t := typ[rnd.IntN(len(typ))]
		return escapeValue(t.system) + "|" + escapeValue(t.code) + "|" + escapeValue(k.code), ":of-type"
	}
	switch rnd.IntN(4) {
	case 0:
		return escapeValue(k.system) + "|" + escapeValue(k.code[:max(len(k.code)-1, 0)]), ":below"
	case 1:
		return escapeValue(k.system) + "|" + escapeValue(k.code+"1"), ":above"
	}
	sets := []CodeSet{{System: k.system, Codes: []string{"x", k.code}}, {System: "http://other", All: true}}
	if rnd.IntN(3) == 0 && k.system != "" {
		sets[0] = CodeSet{System: k.system, All: true}
	}
	text, _ := json.Marshal(sets)
	return escapeValue("http://vs/" + string(text)), []string{":in", ":in", ":not-in"}[rnd.IntN(3)]
}

// randomText asks for words, or beginnings of them, that stand beside a code or reference.
func randomText(rnd *rand.Rand, n element.Node) (v, modifier string) {
	texts := textsOf(n)
	if len(texts) == 0 {
		return "", ""
	}
	text := []rune(texts[rnd.IntN(len(texts))])
	if rnd.IntN(2) == 0 {
		return escapeValue(string(text[:rnd.IntN(len(text)+1)])), ":code-text"
	}
	words := wordsOf(string(text))
	var asked []string
	for range rnd.IntN(3) {
		if len(words) > 0 {
			w := []rune(words[rnd.IntN(len(words))].text)
			asked = append(asked, string(w[:1+rnd.IntN(len(w))]))
		}
	}
	return escapeValue(strings.Join(asked, " ")), ":text"
}

func randomURL(rnd *rand.Rand, text string) (v, modifier string) {
	cut := rnd.IntN(len(text) + 1)
	if at := strings.LastIndexAny(text[:cut], "/?#|."); at > 0 && rnd.IntN(3) > 0 {
		cut = at + rnd.IntN(2)
	}
	if rnd.IntN(2) == 0 {
		return escapeValue(text[:cut]), ":below"
	}
	return escapeValue(text + []string{"", "/x", "x", ".1", "#a/b"}[rnd.IntN(5)]), ":above"
}

func randomNear(rnd *rand.Rand, n element.Node) string {
	move := func(s string) string {
		var f float64
		_, _ = fmt.Sscan(s, &f)
		return fmt.Sprintf("%.4f", f+float64(rnd.IntN(5)-2)/4)
	}
	return move(n.Child("latitude").Text()) + "|" + move(n.Child("longitude").Text()) + []string{"", "|100", "|100|km", "|50000|m", "|70|[mi_us]", "|12000"}[rnd.IntN(6)]
}

func randomComposite(t *testing.T, rnd *rand.Rand, p *Param, root element.Node) string {
	instances, err := p.eval(root)
	if err != nil {
		t.Fatal(err)
	}
	var parts []string
	for _, part := range p.parts {
		v := "1"
		if len(instances) > 0 {
			items, err := part.expr.Eval(&fhirpath.Env{FilterAs: true}, instances[rnd.IntN(len(instances))].Node())
			if err != nil {
				t.Fatal(err)
			}
			if len(items) > 0 {
				for range 5 { // a composite's parts have no modifiers
					var m string
					if v, m = randomValue(rnd, part.param, items[rnd.IntN(len(items))]); m == "" {
						break
					}
				}
			}
		}
		parts = append(parts, v)
	}
	return strings.Join(parts, "$")
}

func randomFinding(rnd *rand.Rand, p *Param, root element.Node) string {
	texts := p.fullText.texts(root)
	var asked []string
	for range 1 + rnd.IntN(3) {
		if len(texts) == 0 {
			break
		}
		words := wordsOf(texts[rnd.IntN(len(texts))])
		if len(words) == 0 {
			continue
		}
		at := rnd.IntN(len(words))
		w := []rune(words[at].text)
		s := string(w)
		if words[at].run {
			s = string(w[rnd.IntN(len(w)):])
		}
		if rnd.IntN(3) == 0 {
			for _, more := range words[at+1 : min(at+1+rnd.IntN(3), len(words))] {
				s += " " + more.text
			}
			s = `"` + s + `"`
		}
		asked = append(asked, s)
	}
	return escapeValue(strings.Join(asked, []string{" ", " and ", " OR "}[rnd.IntN(3)]))
}
