package mongostore

import (
	"testing"

	"meridian/fhir/search"
	"meridian/server/store"
	"meridian/server/store/storetest"
)

// The contract holds too where no chain may be answered from its inner side.
func TestContractWithChainsDecidedLate(t *testing.T) {
	what := mustOpen(t, testOptions(t))
	open := func(t testing.TB, c storetest.Config) store.Store {
		o := testOptions(t)
		o.Index, o.Adopt, o.IndexVersion, o.Clock = c.Index, c.Adopt, c.IndexVersion, c.Clock
		s, err := Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		s.maxChain = 1
		return s
	}
	storetest.RunSearches(t, open, lacks(what))
}

func TestSuperset(t *testing.T) {
	chain := search.ChainForward{Param: "subject", Type: "Patient", Where: search.All{}}
	back := search.ChainReverse{Type: "Observation", Param: "subject", Where: search.All{}}
	point := search.Point{Key: search.Key{Param: "code", Value: "a"}}
	for _, c := range []struct {
		rule string
		e    search.Expr
		want string
	}{
		{"a reference to the type is asked for", chain, "prefix subject\n"},
		{"what refers here is not", back, "all\n"},
		{"the other criteria drive", search.And{Of: []search.Expr{point, back}}, "and\n  point code\n  all\n"},
		{"one alternative that may be anything", search.Or{Of: []search.Expr{point, back}}, "all\n"},
		{"inverted, a superset is none", search.Not{Of: search.And{Of: []search.Expr{point, chain}}}, "all\n"},
		{"without chains all stays", search.Not{Of: point}, "not\n  point code\n"},
	} {
		if got := planText(superset(c.e)); got != c.want {
			t.Errorf("%s: %s", c.rule, got)
		}
	}
}
