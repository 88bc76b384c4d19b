package storetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"meridian/fhir/search"
)

const (
	// Queries is how many random queries Agree asks.
	Queries = 10_000
	// FewQueries is how many it asks with -short; then it holds nothing to what they cover.
	FewQueries = 1_000
)

// Agree asks a store Queries random queries over official examples and
// generated resources, and holds each answer, in pages and counted, against
// search.Match and a Map: the same resources, in the same order. It logs one
// row of figures, and fails where a modifier, a comparator or a join of
// covered was never asked for with something to be found.
//
// Each type of the world has its share of the queries, from a seed of its own.
func Agree(t *testing.T, open Open, lacks Lacks) {
	queries := Queries
	if testing.Short() {
		queries = FewQueries
		t.Logf("SKIPPED: -short: %d queries instead of %d, and what they cover is not looked at", FewQueries, Queries)
	}
	began := time.Now()
	w := newFHIRWorld(t, &suite{open: open, lacks: lacks})
	// Observation thrice: it has most of R4's composites and quantities.
	types := slices.Concat(fhirTypes, otherTypes, []string{"Observation", "Observation"})
	asked, found, rows, refused := 0, 0, 0, 0
	of := map[string]int{} // with something found, by what they ask for
	for i, typ := range types {
		g := w.generator(1000+uint64(i), !lacks.Chains)
		for share := queries*(i+1)/len(types) - asked; share > 0; {
			text := g.query(typ)
			hits, features := w.askOrNarrow(t, g, typ, text)
			if t.Failed() {
				return
			}
			if features == nil {
				if refused++; refused > 2*queries {
					t.Fatal("most random queries cannot be parsed")
				}
				continue
			}
			share--
			asked++
			rows += hits
			if hits > 0 {
				found++
				for _, f := range features {
					of[f]++
				}
			}
		}
	}
	t.Logf("%d random queries agree with search.Match in what they find, its order, pages and total: %d find something, %d rows, %.0f s", asked, found, rows, time.Since(began).Seconds())
	t.Logf("of those that find something, with%s", shownCover(of))
	if testing.Short() {
		return
	}
	for _, f := range covered(!lacks.Chains) {
		if of[f] == 0 {
			t.Errorf("no random query with %q found anything", f)
		}
	}
}

// askOrNarrow asks a query of a type, now and then within a compartment.
// Features are nil where the query cannot be parsed or is refused.
func (w *fhirWorld) askOrNarrow(t *testing.T, g *generator, typ, text string) (hits int, features []string) {
	t.Helper()
	q, _, err := w.registry.Parse(typ, pairsOf(text), false)
	if err != nil {
		return 0, nil
	}
	features = featuresOf(q, text)
	if g.one(12) {
		owner := of(g, g.live[of(g, "Patient", "Encounter", "Practitioner")]...)
		if in, ok := w.registry.InCompartment(q, owner.typ, owner.id); ok {
			q, text, features = in, owner.typ+"/"+owner.id+"/"+text, append(features, "compartment")
		}
	}
	hits, asked := w.hold(t, q, text)
	if !asked {
		return 0, nil
	}
	return hits, features
}

// featuresOf names what a query asks with: the kinds, modifiers and comparators of its parameters, its joins, its order.
func featuresOf(q *search.Query, text string) []string {
	seen := map[string]bool{}
	for _, pair := range strings.Split(text, "&") {
		name, value, _ := strings.Cut(pair, "=")
		joinFeatures(name, value, seen)
	}
	criteriaFeatures(q.Criteria, seen)
	for i, k := range q.Sort {
		seen["_sort by "+k.Param.Kind.String()] = true
		seen[fmt.Sprintf("_sort by %d keys", i+1)] = true
		if k.Desc {
			seen["_sort downward"] = true
		}
	}
	out := make([]string, 0, len(seen))
	for f := range seen {
		out = append(out, f)
	}
	return out
}

// joinFeatures are those that only the text tells: how a chain is written.
func joinFeatures(name, value string, seen map[string]bool) {
	switch {
	case name == "_filter":
		seen["_filter"] = true
		for _, word := range []string{"_has:", "not (", " and ", " or ", "[", " pr "} {
			if strings.Contains(value, word) {
				seen["_filter with "+strings.TrimSpace(word)] = true
			}
		}
		return
	case name == "_list":
		seen["_list"] = true
	case name == "_not-referenced":
		seen["_not-referenced"] = true
	}
	first, _, _ := strings.Cut(name, ".")
	has, dot := strings.Index(name, "_has:"), strings.Index(name, ".")
	if steps := strings.Count(name, "_has:") + strings.Count(name, "."); steps > 0 {
		seen[fmt.Sprintf("over %d references", steps)] = true
	}
	if has >= 0 {
		seen["_has"] = true
	}
	if strings.Count(name, "_has:") > 1 {
		seen["_has in _has"] = true
	}
	switch {
	case dot < 0:
	case has >= 0 && has < dot:
		seen["chain in _has"] = true
	case has > dot:
		seen["_has in chain"] = true
	}
	if dot >= 0 && has < 0 {
		seen[map[bool]string{true: "chain to a named type", false: "chain to any type"}[strings.Contains(first, ":")]] = true
	}
}

// criteriaFeatures goes down a tree of criteria.
func criteriaFeatures(of []search.Criterion, seen map[string]bool) {
	for i := range of {
		c := &of[i]
		criteriaFeatures(c.Of, seen)
		for j := range c.Joins {
			criteriaFeatures(c.Joins[j].Where, seen)
		}
		if c.Param == nil {
			continue
		}
		kind := c.Param.Kind.String()
		name := kind
		if c.Modifier != "" {
			name += ":" + string(c.Modifier)
		}
		seen[name] = true
		if c.Param.Code == "_text" || c.Param.Code == "_content" {
			seen[c.Param.Code] = true
		}
		if len(c.Values) > 1 {
			seen["several values"] = true
		}
		for k := range c.Values {
			v := &c.Values[k]
			if v.Comparator != "" {
				seen[kind+" "+string(v.Comparator)] = true
			}
			if v.Unit.System != "" {
				seen["quantity with system and code"] = true
			} else if v.Unit.Code != "" {
				seen["quantity with a code alone"] = true
			}
		}
	}
}

// covered lists what random queries must have asked for with something to be
// found: each modifier of each kind that R4 defines it for, each comparator,
// each way to join.
//
// https://hl7.org/fhir/R4/search.html#modifiers
func covered(joins bool) []string {
	list := strings.Split("several values,_text,_content,_filter,_filter with not (,_filter with and,_filter with or,_filter with pr,composite,special,special:missing,"+
		"quantity with system and code,quantity with a code alone,compartment,_sort downward,_sort by 1 keys,_sort by 2 keys,_sort by 3 keys", ",")
	for kind, modifiers := range map[string]string{
		"number": "missing", "date": "missing", "quantity": "missing",
		"string":    "missing,exact,contains",
		"token":     "missing,not,text,code-text,in,not-in,above,below,of-type",
		"reference": "missing,identifier,text,code-text,above,below,[type]",
		"uri":       "missing,above,below",
	} {
		list = append(list, kind, "_sort by "+kind)
		for m := range strings.SplitSeq(modifiers, ",") {
			list = append(list, kind+":"+m)
		}
	}
	for _, kind := range []string{"number", "date", "quantity"} {
		for _, c := range []search.Comparator{search.Eq, search.Ne, search.Gt, search.Lt, search.Ge, search.Le, search.Sa, search.Eb, search.Ap} {
			list = append(list, kind+" "+string(c))
		}
	}
	if joins {
		list = append(list, "_list", "_not-referenced", "chain to a named type", "chain to any type", "_has", "_has in _has", "chain in _has", "_has in chain", "_filter with _has:", "_filter with [")
		for depth := range search.MaxChain {
			list = append(list, fmt.Sprintf("over %d references", depth+1))
		}
	}
	return list
}

// shownCover lists how many queries with something found asked for each, most first.
func shownCover(of map[string]int) string {
	names := make([]string, 0, len(of))
	for f := range of {
		names = append(names, f)
	}
	slices.SortFunc(names, func(a, b string) int {
		if of[a] != of[b] {
			return of[b] - of[a]
		}
		return strings.Compare(a, b)
	})
	var b strings.Builder
	for _, f := range names {
		fmt.Fprintf(&b, " %s %d;", f, of[f])
	}
	return b.String()
}
