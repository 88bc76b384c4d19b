package operation

import (
	"fmt"
	"slices"
	"strings"

	"meridian/fhir/element"
	"meridian/fhir/search"
)

// What is the same adds to a score, what contradicts takes away; what only one
// side has does neither. In hundredths; docs/operation/match.md shows the table.
const (
	identifierSame    = 70
	identifierOther   = -30 // another one of the same system
	nameSame          = 35
	namePinyin        = 30
	namePart          = 20
	nameOther         = -20
	birthSame         = 30
	birthPart         = 15 // as far as both say; or day and month exchanged
	birthOther        = -30
	phoneSame         = 20
	genderSame        = 10
	genderOther       = -20
	shortestPhoneTail = 7 // digits
)

// compare scores another person against this one.
func (p *person) compare(o *person) (score int, because []string) {
	add := func(n int, what string) {
		if n != 0 {
			score += n
			because = append(because, fmt.Sprintf("%s %+.2f", what, float64(n)/100))
		}
	}
	add(p.compareIdentifiers(o))
	add(p.compareNames(o))
	add(compareBirth(p.birth, o.birth))
	for _, a := range p.phones {
		if slices.ContainsFunc(o.phones, a.same) {
			add(phoneSame, "phone the same")
			break
		}
	}
	switch {
	case p.gender == "" || o.gender == "" || p.gender == "unknown" || o.gender == "unknown":
	case p.gender == o.gender:
		add(genderSame, "gender the same")
	default:
		add(genderOther, "gender differs")
	}
	return min(max(score, 0), 100), because
}

func (p *person) compareIdentifiers(o *person) (int, string) {
	other := false
	for _, a := range p.identifiers {
		for _, b := range o.identifiers {
			switch {
			case strings.EqualFold(a.value, b.value) && (a.system == b.system || a.system == ""):
				return identifierSame, "identifier the same"
			case a.system == b.system && a.system != "":
				other = true
			}
		}
	}
	if other {
		return identifierOther, "another identifier of the same system"
	}
	return 0, ""
}

// compareNames takes the best of all pairs.
func (p *person) compareNames(o *person) (best int, what string) {
	if len(p.names) == 0 || len(o.names) == 0 {
		return 0, ""
	}
	best, what = nameOther, "name differs"
	for _, a := range p.names {
		for _, b := range o.names {
			if n, text := a.compare(&b); n > best {
				best, what = n, text
			}
		}
	}
	return best, what
}

// personName is a name in the forms in which it is compared.
type personName struct {
	whole  string   // folded, without blanks, family first: 张三, zhangsan
	words  []string // folded, sorted
	pinyin []string // readings, or of letters the words in both orders
	family string
	given  []string
	han    bool
}

func nameOf(n element.Node) personName {
	var out personName
	text := n.Child("text").Text()
	out.family = n.Child("family").Text()
	for _, g := range elements(n, "given") {
		out.given = append(out.given, g.Text())
	}
	if out.family == "" && len(out.given) == 0 {
		out.family = text
	} else {
		text = strings.Join(append([]string{out.family}, out.given...), " ")
	}
	folded := search.Fold(text)
	out.words = strings.Fields(folded)
	out.whole = strings.ReplaceAll(folded, " ", "")
	if out.pinyin = search.Pinyin(text); out.pinyin != nil {
		out.han = true
		for i := range out.pinyin {
			out.pinyin[i] = strings.ReplaceAll(out.pinyin[i], " ", "")
		}
	} else if len(out.words) > 0 {
		last := append(slices.Clone(out.words[1:]), out.words[0])
		first := append([]string{out.words[len(out.words)-1]}, out.words[:len(out.words)-1]...)
		out.pinyin = []string{out.whole, strings.Join(last, ""), strings.Join(first, "")}
	}
	slices.Sort(out.words)
	return out
}

func (a *personName) compare(b *personName) (int, string) {
	switch {
	case a.whole == b.whole, !a.han && !b.han && slices.Equal(a.words, b.words):
		return nameSame, "name the same"
	case a.han != b.han && slices.ContainsFunc(a.pinyin, func(r string) bool { return slices.Contains(b.pinyin, r) }):
		return namePinyin, "name the same in pinyin"
	case a.han && b.han && slices.ContainsFunc(a.pinyin, func(r string) bool { return slices.Contains(b.pinyin, r) }):
		return namePart, "name sounds the same"
	case !a.han && !b.han && (contains(a.words, b.words) || contains(b.words, a.words)):
		return namePart, "name the same in part"
	}
	return nameOther, "name differs"
}

// contains says that two words or more of a stand in b, all of them.
func contains(a, b []string) bool {
	return len(a) > 1 && !slices.ContainsFunc(a, func(w string) bool { return !slices.Contains(b, w) })
}

// searches are the texts that name= is asked for, each a list of words that all must be found.
func (a *personName) searches() [][]string {
	if !a.han {
		out := [][]string{a.words}
		for _, p := range a.pinyin { // finds Han names by their reading
			out = append(out, []string{p})
		}
		return out
	}
	out := [][]string{{a.whole}}
	for _, p := range a.pinyin {
		out = append(out, []string{p})
	}
	// Names written in letters: each part by its reading.
	if families, givens := search.Pinyin(a.family), search.Pinyin(strings.Join(a.given, "")); len(families) > 0 && len(givens) > 0 {
		out = append(out, []string{families[0], givens[0]})
	}
	return out
}

// compareBirth compares dates as far as both say something.
func compareBirth(a, b string) (int, string) {
	switch n := min(len(a), len(b)); {
	case n == 0:
		return 0, ""
	case a == b && n == len("2006-01-02"):
		return birthSame, "birth date the same"
	case a[:n] == b[:n]:
		return birthPart, "birth date the same as far as both say"
	case n == len("2006-01-02") && len(a) == len(b) && a[:4] == b[:4] && a[5:7] == b[8:] && a[8:] == b[5:7]:
		return birthPart, "birth date with day and month exchanged"
	}
	return birthOther, "birth date differs"
}

// phone is a number as written and as its digits.
type phone struct{ text, digits string }

func phoneOf(text string) phone {
	p := phone{text: strings.TrimSpace(text)}
	for _, r := range text {
		if r >= '0' && r <= '9' {
			p.digits += string(r)
		}
	}
	return p
}

// same: the digits are equal, or but for a country or area code in front.
func (p phone) same(o phone) bool {
	a, b := strings.TrimLeft(p.digits, "0"), strings.TrimLeft(o.digits, "0")
	if len(a) > len(b) {
		a, b = b, a
	}
	return len(a) >= shortestPhoneTail && strings.HasSuffix(b, a)
}

// spellings are those under which a number may have been stored.
func (p phone) spellings() []string {
	local := strings.TrimPrefix(strings.TrimPrefix(p.digits, "00"), "86")
	out := []string{p.text, p.digits}
	if local != "" {
		out = append(out, local, "+86"+local, "+86 "+local, "86"+local)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
