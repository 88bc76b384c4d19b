package operation

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"meridian/fhir/element"
	"meridian/fhir/issue"
	"meridian/fhir/search"
	"meridian/server/interaction"
	"meridian/server/store"
)

// Limits of $match.
const (
	// maxMatchSearch is how many patients each of its searches may give; with more the answer says so.
	maxMatchSearch = 200
	// maxMatches is how many matches are answered when count is not sent.
	maxMatches = 20
	// maxMatchTerms is how many names, identifiers and numbers of the given patient are looked at, of each.
	maxMatchTerms = 10
)

// Grades by score. https://hl7.org/fhir/R4/valueset-match-grade.html
const (
	certainFrom  = 95 // hundredths
	probableFrom = 70
	possibleFrom = 40 // below it a patient is not answered
)

func matchDefinition() *interaction.OperationDefinition {
	return &interaction.OperationDefinition{
		Name: "match", URL: "http://hl7.org/fhir/OperationDefinition/Patient-match", Type: true, Types: []string{"Patient"},
		Params: []interaction.OperationParameter{
			{Name: "resource", Min: 1, Max: 1, Type: "Resource", Documentation: "A Patient with what is known; a name, an identifier or a phone number at least"},
			{Name: "onlyCertainMatches", Max: 1, Type: "boolean", Documentation: "Only a certain match, and none when there are several"},
			{Name: "count", Max: 1, Type: "integer", Documentation: "How many at most; " + strconv.Itoa(maxMatches) + " when it is not sent"},
			{Name: "return", Out: true, Min: 1, Max: 1, Type: "Bundle", Documentation: "A searchset, the best first, each with score and match-grade; an outcome says what each score is made of"},
		},
		Documentation: "Patients that may be the one given: candidates by identifier, phone and name (also by pinyin), scored by these, the birth date and the gender.",
	}
}

// match finds candidates by searches that an index answers, scores each, and says why.
//
// https://hl7.org/fhir/R4/patient-operation-match.html
func match(ctx context.Context, c *interaction.OperationCall) (interaction.OperationResult, error) {
	root := c.Value("resource").Node
	if root.Type().Name != "Patient" {
		return interaction.OperationResult{}, issue.New(issue.Invalid, "match.type", "the resource is a Patient", root.Location())
	}
	most := maxMatches
	if text := c.Text("count"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return interaction.OperationResult{}, issue.New(issue.Value, "match.count", "count is a number from 1 on", "")
		}
		limits := c.Service.Limits()
		if err := limits.CheckCount("count", n); err != nil {
			return interaction.OperationResult{}, err
		}
		most = n
	}
	given := personOf(root)
	if len(given.identifiers)+len(given.names)+len(given.phones) == 0 {
		return interaction.OperationResult{}, issue.New(issue.Required, "match.insufficient", "to match a patient, $match needs a name, an identifier or a phone number", root.Location())
	}
	m := &matcher{s: c.Service, given: given, seen: map[string]bool{}}
	if err := m.candidates(ctx); err != nil {
		return interaction.OperationResult{}, err
	}
	return m.answer(most, c.Text("onlyCertainMatches") == "true"), nil
}

// matcher collects scored candidates.
type matcher struct {
	s     *interaction.Service
	given *person
	seen  map[string]bool
	found []scored
	notes []issue.Issue
}

// scored is a candidate: hundredths and what they are made of.
type scored struct {
	resource store.Resource
	score    int
	because  []string
}

// candidates runs the searches.
func (m *matcher) candidates(ctx context.Context) error {
	for _, id := range m.given.identifiers {
		value := search.Escape(id.value)
		if id.system != "" {
			value = search.Escape(id.system) + "|" + value
		}
		if err := m.search(ctx, "this identifier", search.Pair{Name: "identifier", Value: value}); err != nil {
			return err
		}
	}
	for _, phone := range m.given.phones {
		var values []string
		for _, v := range phone.spellings() {
			values = append(values, search.Escape(v))
		}
		if err := m.search(ctx, "this phone number", search.Pair{Name: "phone", Value: strings.Join(values, ",")}); err != nil {
			return err
		}
	}
	for _, name := range m.given.names {
		for _, words := range name.searches() {
			var pairs []search.Pair
			for _, w := range words {
				pairs = append(pairs, search.Pair{Name: "name", Value: search.Escape(w)})
			}
			if err := m.search(ctx, "this name", pairs...); err != nil {
				return err
			}
		}
	}
	return nil
}

// search scores what a search gives; when that is too much, once more with the birth date.
func (m *matcher) search(ctx context.Context, what string, pairs ...search.Pair) error {
	more, err := m.searchOnce(ctx, pairs)
	if err != nil || !more {
		return err
	}
	m.notes = append(m.notes, warning(issue.Incomplete, "match.candidates",
		fmt.Sprintf("more than %d patients have %s: %d of them were compared, and those with the birth date given", maxMatchSearch, what, maxMatchSearch)))
	if m.given.birth == "" {
		return nil
	}
	_, err = m.searchOnce(ctx, append(pairs, search.Pair{Name: "birthdate", Value: m.given.birth}))
	return err
}

func (m *matcher) searchOnce(ctx context.Context, pairs []search.Pair) (more bool, err error) {
	page, err := m.s.Find(ctx, interaction.FindParams{Type: "Patient", All: pairs, Limit: maxMatchSearch})
	if err != nil {
		return false, err
	}
	for i := range page.Rows {
		r := &page.Rows[i].Resource
		if m.seen[r.ID] {
			continue
		}
		m.seen[r.ID] = true
		root, done, err := m.s.Tree(r.Body)
		if err != nil {
			return false, err
		}
		if other := personOf(root); !other.replaced {
			score, because := m.given.compare(other)
			if score >= possibleFrom {
				m.found = append(m.found, scored{*r, score, because})
			}
		}
		done()
	}
	return page.More, nil
}

// answer writes the bundle, the best first.
func (m *matcher) answer(most int, onlyCertain bool) interaction.OperationResult {
	slices.SortStableFunc(m.found, func(a, b scored) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.resource.Number, b.resource.Number))
	})
	if onlyCertain {
		certain := slices.IndexFunc(m.found, func(s scored) bool { return s.score < certainFrom })
		if certain < 0 {
			certain = len(m.found)
		}
		if certain > 1 {
			m.notes = append(m.notes, note("match.several", strconv.Itoa(certain)+" patients match for certain, so that none is answered"))
			certain = 0
		}
		m.found = m.found[:certain]
	}
	if len(m.found) > most {
		m.notes = append(m.notes, note("match.count", strconv.Itoa(len(m.found)-most)+" further patients match less well and are not answered"))
		m.found = m.found[:most]
	}
	var out bundle
	var why []issue.Issue
	for i := range m.found {
		f := &m.found[i]
		out.add(m.s, &f.resource, "match", `,"score":`+hundredths(f.score)+`,"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/match-grade","valueCode":"`+grade(f.score)+`"}]`)
		n := note("match.score", path(f.resource.Key)+": "+strings.Join(f.because, "; "))
		n.Expression = "Bundle.entry[" + strconv.Itoa(i) + "]"
		why = append(why, n)
	}
	out.outcome(append(why, m.notes...))
	return out.result(len(m.found))
}

func hundredths(n int) string {
	if n >= 100 {
		return "1"
	}
	return fmt.Sprintf("0.%02d", n)
}

func grade(score int) string {
	switch {
	case score >= certainFrom:
		return "certain"
	case score >= probableFrom:
		return "probable"
	}
	return "possible"
}

// person is what is compared.
type person struct {
	identifiers []identifier
	names       []personName
	phones      []phone
	birth       string // as written: 1990-01-02, 1990-01, 1990
	gender      string
	replaced    bool // merged into another one
}

type identifier struct{ system, value string }

func personOf(root element.Node) *person {
	p := &person{birth: root.Child("birthDate").Text(), gender: root.Child("gender").Text()}
	for c := root.First(); c.Valid(); c = c.Next() {
		switch c.Name() {
		case "identifier":
			if id := (identifier{c.Child("system").Text(), strings.TrimSpace(c.Child("value").Text())}); id.value != "" && len(p.identifiers) < maxMatchTerms {
				p.identifiers = append(p.identifiers, id)
			}
		case "name":
			if n := nameOf(c); n.whole != "" && len(p.names) < maxMatchTerms {
				p.names = append(p.names, n)
			}
		case "telecom":
			if system := c.Child("system").Text(); (system == "phone" || system == "sms" || system == "") && len(p.phones) < maxMatchTerms {
				if n := phoneOf(c.Child("value").Text()); n.digits != "" {
					p.phones = append(p.phones, n)
				}
			}
		case "link":
			p.replaced = p.replaced || c.Child("type").Text() == "replaced-by"
		}
	}
	return p
}
