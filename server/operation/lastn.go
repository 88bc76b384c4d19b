package operation

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"meridian/fhir/element"
	"meridian/fhir/issue"
	"meridian/fhir/search"
	"meridian/server/interaction"
	"meridian/server/store"
)

// maxLastN is how many observations may match $lastn; with more it is too costly.
const maxLastN = 100_000

func lastnDefinition() *interaction.OperationDefinition {
	return &interaction.OperationDefinition{
		Name: "lastn", URL: "http://hl7.org/fhir/OperationDefinition/Observation-lastn", Type: true, Types: []string{"Observation"}, Search: true,
		Params: []interaction.OperationParameter{
			{Name: "max", Max: 1, Type: "positiveInt", Documentation: "How many observations of each code; 1 when it is not sent. Those that are as old as the last one are answered too"},
			{Name: "return", Out: true, Min: 1, Max: 1, Type: "Bundle", Documentation: "A searchset, group by group, in each the most recent first"},
		},
		Documentation: "The most recent observations of each code. Beside max all search parameters that select are taken; " +
			"patient or subject, and category or one that holds a code, are needed. Codes are one group when any of their codings are the same, also through a third.",
	}
}

// lastn groups all that matches by code and answers the newest of each group.
//
// https://hl7.org/fhir/R4/observation-operation-lastn.html
func lastn(ctx context.Context, c *interaction.OperationCall) (interaction.OperationResult, error) {
	if err := lastnCriteria(c.Query); err != nil {
		return interaction.OperationResult{}, err
	}
	most := 1
	if text := c.Text("max"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			return interaction.OperationResult{}, issue.New(issue.Value, "lastn.max", "max is too large", "")
		}
		most = n
	}
	g, err := lastnGroups(ctx, c)
	if err != nil {
		return interaction.OperationResult{}, err
	}
	var out bundle
	for _, group := range g.list() {
		for i := range group {
			if i >= most && !sameTime(&group[i], &group[most-1]) {
				break
			}
			out.add(c.Service, &group[i].Resource, "match", "")
		}
	}
	return out.result(out.matches, link{"self", c.Self()}), nil
}

// lastnCriteria: a subject and what is asked for must be named.
func lastnCriteria(query []search.Pair) error {
	subject, code := false, false
	for _, q := range query {
		name, _, _ := strings.Cut(q.Name, ":")
		name, _, _ = strings.Cut(name, ".")
		if strings.HasSuffix(q.Name, ":missing") {
			continue
		}
		subject = subject || name == "patient" || name == "subject"
		code = code || name == "category" || strings.Contains(name, "code")
	}
	var e issue.Error
	if !subject {
		e.Issues = append(e.Issues, issue.New(issue.Required, "lastn.subject", "$lastn needs the search parameter patient or subject", "").Issues...)
	}
	if !code {
		e.Issues = append(e.Issues, issue.New(issue.Required, "lastn.code", "$lastn needs the search parameter category, code or another that holds a code", "").Issues...)
	}
	if len(e.Issues) > 0 {
		return &e
	}
	return nil
}

// lastnGroups goes through all that matches, the most recent first.
func lastnGroups(ctx context.Context, c *interaction.OperationCall) (*codeGroups, error) {
	g := &codeGroups{byCode: map[string]int{}}
	p := interaction.FindParams{Type: "Observation", All: c.Query, Sort: "-date", Limit: 1000}
	n := 0
	for {
		page, err := c.Service.Find(ctx, p)
		if err != nil {
			return nil, err
		}
		if n += len(page.Rows); n > maxLastN {
			return nil, issue.New(issue.TooCostly, "lastn.matches", "more than "+strconv.Itoa(maxLastN)+" observations match: add a code, a category or a date", "")
		}
		for i := range page.Rows {
			root, done, err := c.Service.Tree(page.Rows[i].Body)
			if err != nil {
				return nil, err
			}
			g.add(codesOf(root.Child("code")), page.Rows[i])
			done()
		}
		if !page.More {
			return g, nil
		}
		p.After = &page.Rows[len(page.Rows)-1].At
	}
}

// sameTime says that two observations have the same effective time; none is no time.
func sameTime(a, b *store.Row) bool {
	return len(a.At.Values) > 0 && len(b.At.Values) > 0 && a.At.Values[0] != nil && b.At.Values[0] != nil && *a.At.Values[0] == *b.At.Values[0]
}

// codesOf gives what makes a CodeableConcept equal to another: its codings, or
// its text where it has none.
func codesOf(concept element.Node) (out []string) {
	for _, coding := range elements(concept, "coding") {
		if code := coding.Child("code").Text(); code != "" {
			out = append(out, coding.Child("system").Text()+"|"+code)
		}
	}
	if len(out) == 0 {
		out = append(out, "\x00"+concept.Child("text").Text()) // no system begins so
	}
	return out
}

// codeGroups are sets of equal codes with what has them: a union of sets,
// since a code and its translation make all that have either one group.
type codeGroups struct {
	byCode map[string]int // code → set
	parent []int          // set → the one that it has become a part of, or itself
	rows   []store.Row
	of     []int // row → set
}

func (g *codeGroups) root(i int) int {
	for g.parent[i] != i {
		g.parent[i] = g.parent[g.parent[i]]
		i = g.parent[i]
	}
	return i
}

func (g *codeGroups) add(codes []string, row store.Row) {
	set := -1
	for _, code := range codes {
		other, ok := g.byCode[code]
		switch {
		case !ok && set < 0:
			set = len(g.parent)
			g.parent = append(g.parent, set)
		case ok && set < 0:
			set = g.root(other)
		case ok:
			g.parent[g.root(other)] = set
		}
		g.byCode[code] = set
	}
	g.rows, g.of = append(g.rows, row), append(g.of, set)
}

// list gives the groups, that with the most recent row first, rows in the order in which they were added.
func (g *codeGroups) list() [][]store.Row {
	var out [][]store.Row
	place := map[int]int{}
	for i, row := range g.rows {
		set := g.root(g.of[i])
		at, ok := place[set]
		if !ok {
			at = len(out)
			place[set] = at
			out = append(out, nil)
		}
		out[at] = append(out[at], row)
	}
	return slices.Clip(out)
}
