package storetest

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"meridian/fhir/search"
	"meridian/server/store"
)

// population is written in this order, so that numbers ascend with it.
func population() []Sample {
	return []Sample{
		{Type: "Patient", ID: "p1", Facts: []Fact{Text("name", "zhang"), Text("name", "san"), Text("name", "zhang san"), Ref("organization", "Organization", "h1")}},
		{Type: "Patient", ID: "p2", Facts: []Fact{Text("name", "li"), Ref("organization", "Organization", "h2")}},
		{Type: "Organization", ID: "h1", Facts: []Fact{Text("name", "first")}},
		{Type: "Organization", ID: "h2", Facts: []Fact{Text("name", "second")}},
		{Type: "Observation", ID: "o1", Facts: []Fact{Token("code", "loinc", "a"), Token("status", "st", "final"), Ref("subject", "Patient", "p1"), Span("date", "2020", "2021"), Span("value", "5", "6", "mmol", "mg")}},
		{Type: "Observation", ID: "o2", Facts: []Fact{Token("code", "loinc", "b"), Token("status", "st", "final"), Ref("subject", "Patient", "p1"), Span("date", "2021", "2023"), Span("value", "7", "8", "mg")}},
		{Type: "Observation", ID: "o3", Facts: []Fact{Token("code", "local", "a"), Token("status", "st", "amended"), Ref("subject", "Patient", "p2"), Span("date", "2022", "2023")}},
		{Type: "Observation", ID: "o4", Facts: []Fact{Token("code", "loinc", "a"), Token("code", "local", "aa"), Token("status", "st", "final"), Ref("subject", "Patient", "p2"), Span("date", "2018", "2019"), Span("date", "2024", "2026")}},
		{Type: "Observation", ID: "o5", Facts: []Fact{Token("code", "", "a"), Ref("subject", "Group", "p1"), Text("note", "it is 高血压 indeed")}},
		{Type: "Observation", ID: "o6", Facts: []Fact{Token("code", "loinc", "c"), Text("note", "it is nothing"), Text("note", "it")}},
	}
}

func (s *subject) populate(t testing.TB) {
	t.Helper()
	for _, sm := range population() {
		s.put(t, sm)
	}
}

// leafCases are one search each; the ids are worked out by hand from population.
func leafCases() []struct {
	rule string
	e    search.Expr
	want []string
} {
	prefix := func(param, scope, value string) search.Prefix {
		return search.Prefix{Key: search.Key{Param: param, Scope: scope, Value: value}}
	}
	and := func(of ...search.Expr) search.And { return search.And{Of: of} }
	or := func(of ...search.Expr) search.Or { return search.Or{Of: of} }
	not := func(e search.Expr) search.Not { return search.Not{Of: e} }
	final, codeA := point("status", "st", "final"), point("code", "", "a")
	return []struct {
		rule string
		e    search.Expr
		want []string
	}{
		{"no tree is all", nil, []string{"o1", "o2", "o3", "o4", "o5", "o6"}},
		{"all", search.All{}, []string{"o1", "o2", "o3", "o4", "o5", "o6"}},
		{"an empty and is all", search.And{}, []string{"o1", "o2", "o3", "o4", "o5", "o6"}},
		{"an empty or is nothing", search.Or{}, nil},
		{"point in any system", codeA, []string{"o1", "o3", "o4", "o5"}},
		{"point in a system", point("code", "loinc", "a"), []string{"o1", "o4"}},
		{"point without a system", point("code", search.NoSystem, "a"), []string{"o5"}},
		{"point of a value that is not there", point("code", "loinc", "zzz"), nil},
		{"point of a parameter that is not there", point("nothing", "loinc", "a"), nil},
		{"point of a scope that is not there", point("code", "nowhere", "a"), nil},
		{"point is the whole value", point("note", "", "it"), []string{"o6"}},
		{"point of a value with spaces", point("note", "", "it is nothing"), []string{"o6"}},
		{"point of half a value with spaces", point("note", "", "it is"), nil},
		{"prefix", prefix("note", "", "it"), []string{"o5", "o6"}},
		{"prefix up to a space", prefix("note", "", "it "), []string{"o5", "o6"}},
		{"prefix beyond a space", prefix("note", "", "it is n"), []string{"o6"}},
		{"prefix of nothing", prefix("note", "", "x"), nil},
		{"a whole scope", prefix("code", "loinc", ""), []string{"o1", "o2", "o4", "o6"}},
		{"prefix stays in its scope", prefix("code", "local", "a"), []string{"o3", "o4"}},
		{"prefix beside a point", and(prefix("code", "loinc", ""), final), []string{"o1", "o2", "o4"}},
		{"contains", search.Contains{Param: "note", Text: "is"}, []string{"o5", "o6"}},
		{"contains across a space", search.Contains{Param: "note", Text: "t is n"}, []string{"o6"}},
		{"contains beyond ascii", search.Contains{Param: "note", Text: "血"}, []string{"o5"}},
		{"contains in every scope", search.Contains{Param: "code", Text: "a"}, []string{"o1", "o3", "o4", "o5"}},
		{"contains looks at values, not at scopes", search.Contains{Param: "subject", Text: "a"}, nil},
		{"box: low at least", search.Box{Param: "date", LoMin: "2021"}, []string{"o2", "o3", "o4"}},
		{"box: low below", search.Box{Param: "date", LoMax: "2021"}, []string{"o1", "o4"}},
		{"box: high at least", search.Box{Param: "date", HiMin: "2023"}, []string{"o2", "o3", "o4"}},
		{"box: high below", search.Box{Param: "date", HiMax: "2023"}, []string{"o1", "o4"}},
		{"box: both bounds on one value", search.Box{Param: "date", LoMin: "2019", HiMax: "2022"}, []string{"o1"}},
		{"box: open is any value", search.Box{Param: "date"}, []string{"o1", "o2", "o3", "o4"}},
		{"box in a unit", search.Box{Param: "value", Scope: "mg", LoMin: "6"}, []string{"o2"}},
		{"box in a unit that is not there", search.Box{Param: "value", Scope: "kg", LoMin: "6"}, nil},
		{"box beside a point", and(search.Box{Param: "date", LoMin: "2020"}, final), []string{"o1", "o2", "o4"}},
		{"two boxes on different values", and(search.Box{Param: "date", HiMax: "2020"}, search.Box{Param: "date", LoMin: "2024"}), []string{"o4"}},
		{"present", search.Present{Param: "date"}, []string{"o1", "o2", "o3", "o4"}},
		{"present, text", search.Present{Param: "note"}, []string{"o5", "o6"}},
		{"present of what never was", search.Present{Param: "nothing"}, nil},
		{"missing", not(search.Present{Param: "date"}), []string{"o5", "o6"}},
		{"missing of what never was", not(search.Present{Param: "nothing"}), []string{"o1", "o2", "o3", "o4", "o5", "o6"}},
		{"ids", search.IDs{IDs: []string{"o5", "none", "o2", "p1", "o2"}}, []string{"o2", "o5"}},
		{"ids beside a point", and(search.IDs{IDs: []string{"o5", "o2"}}, codeA), []string{"o5"}},
		{"no ids", search.IDs{}, nil},
		{"and", and(codeA, final), []string{"o1", "o4"}},
		{"and, other order", and(final, codeA), []string{"o1", "o4"}},
		{"and of three", and(final, codeA, point("subject", "Patient", "p2")), []string{"o4"}},
		{"and within and", and(and(final), and(codeA, search.All{})), []string{"o1", "o4"}},
		{"and without a common hit", and(point("code", "loinc", "b"), point("status", "st", "amended")), nil},
		{"or", or(point("code", "", "b"), point("code", "", "c")), []string{"o2", "o6"}},
		{"or without doubles", or(codeA, final, codeA), []string{"o1", "o2", "o3", "o4", "o5"}},
		{"or of a point and a box", or(point("code", "", "c"), search.Box{Param: "date", LoMin: "2022"}), []string{"o3", "o4", "o6"}},
		{"or of boxes beside a point", and(final, or(search.Box{Param: "date", HiMax: "2022"}, search.Box{Param: "date", LoMin: "2025"})), []string{"o1", "o4"}},
		{"not", not(final), []string{"o3", "o5", "o6"}},
		{"not beside a point", and(codeA, not(final)), []string{"o3", "o5"}},
		{"not of not", not(not(final)), []string{"o1", "o2", "o4"}},
		{"not of or", not(or(final, codeA)), []string{"o6"}},
		{"not of a box", not(search.Box{Param: "date", LoMin: "2021"}), []string{"o1", "o5", "o6"}},
		{"or with not", or(not(final), point("code", "", "b")), []string{"o2", "o3", "o5", "o6"}},
	}
}

func testSearch(t *testing.T, s *suite) {
	st := s.newStore(t)
	st.populate(t)
	for _, c := range leafCases() {
		t.Run(c.rule, func(t *testing.T) {
			st.expect(t, c.e, c.want...)
			total, err := st.Count(st.ctx, &search.Plan{Type: "Observation", Where: c.e}, 0)
			if err != nil || total != (store.Total{N: len(c.want), Exact: true}) {
				t.Errorf("count: %+v, %v; want %d", total, err, len(c.want))
			}
		})
	}
	testSearchChains(t, s, st)
	testSearchRows(t, st)
}

func testSearchChains(t *testing.T, s *suite, st *subject) {
	forward := func(param, typ string, where search.Expr) search.Expr {
		return search.ChainForward{Param: param, Type: typ, Where: where}
	}
	reverse := func(typ, param string, where search.Expr) search.Expr {
		return search.ChainReverse{Type: typ, Param: param, Where: where}
	}
	li := search.Prefix{Key: search.Key{Param: "name", Value: "li"}}
	for _, c := range []struct {
		rule, typ string
		e         search.Expr
		want      []string
	}{
		{"chain", "Observation", forward("subject", "Patient", li), []string{"o3", "o4"}},
		{"chain beside a point", "Observation", search.And{Of: []search.Expr{forward("subject", "Patient", li), point("status", "st", "final")}}, []string{"o4"}},
		{"chain to all", "Observation", forward("subject", "Patient", search.All{}), []string{"o1", "o2", "o3", "o4"}},
		{"chain to none", "Observation", forward("subject", "Patient", point("name", "", "none")), nil},
		{"chain over two", "Observation", forward("subject", "Patient", forward("organization", "Organization", point("name", "", "first"))), []string{"o1", "o2"}},
		{"not a chain", "Observation", search.Not{Of: forward("subject", "Patient", li)}, []string{"o1", "o2", "o5", "o6"}},
		{"reverse chain", "Patient", reverse("Observation", "subject", point("code", "", "b")), []string{"p1"}},
		{"reverse chain, named twice", "Patient", reverse("Observation", "subject", point("code", "", "a")), []string{"p1", "p2"}},
		{"reverse chain to none", "Patient", reverse("Observation", "subject", point("code", "", "c")), nil},
		{"the body of the other resource decides, forward", "Observation", search.ChainForward{Param: "subject", Type: "Patient", Where: search.All{}, Check: bodyHas(`"p1"`)}, []string{"o1", "o2"}},
		{"the body of the other resource decides, reverse", "Patient", search.ChainReverse{Type: "Observation", Param: "subject", Where: point("code", "", "a"), Check: bodyHas(`"o3"`)}, []string{"p2"}},
		{"one of two chains", "Observation", search.Or{Of: []search.Expr{forward("subject", "Group", search.All{}), forward("subject", "Patient", li)}}, []string{"o3", "o4"}},
		{"reverse chain over two", "Organization", reverse("Patient", "organization", reverse("Observation", "subject", point("status", "st", "amended"))), []string{"h2"}},
		{"chain to all but some", "Observation", forward("subject", "Patient", search.Not{Of: li}), []string{"o1", "o2"}},
		{"chain or point", "Observation", search.Or{Of: []search.Expr{forward("subject", "Patient", li), point("code", "", "c")}}, []string{"o3", "o4", "o6"}},
		{"chain or chain to another type", "Observation", search.Or{Of: []search.Expr{forward("subject", "Patient", li), forward("subject", "Group", search.All{})}}, []string{"o3", "o4"}},
		{"chain to a point and a chain", "Observation", forward("subject", "Patient", search.And{Of: []search.Expr{search.Present{Param: "name"}, forward("organization", "Organization", point("name", "", "second"))}}), []string{"o3", "o4"}},
		{"chain and chain", "Patient", search.And{Of: []search.Expr{reverse("Observation", "subject", point("code", "", "a")), forward("organization", "Organization", point("name", "", "first"))}}, []string{"p1"}},
		{"chain over a reverse chain", "Observation", forward("subject", "Patient", reverse("Observation", "subject", point("status", "st", "amended"))), []string{"o3", "o4"}},
		{"reverse chain over a chain", "Organization", reverse("Patient", "organization", reverse("Observation", "subject", forward("subject", "Patient", li))), []string{"h2"}},
		{"reverse chain to two criteria of one resource", "Patient", reverse("Observation", "subject", search.And{Of: []search.Expr{point("code", "", "a"), point("status", "st", "amended")}}), []string{"p2"}},
		{"two reverse chains, of two resources", "Patient", search.And{Of: []search.Expr{reverse("Observation", "subject", point("code", "", "a")), reverse("Observation", "subject", point("code", "", "b"))}}, []string{"p1"}},
		{"not a reverse chain", "Patient", search.Not{Of: reverse("Observation", "subject", point("code", "", "b"))}, []string{"p2"}},
		{"chain over four", "Observation", forward("subject", "Patient", forward("organization", "Organization", reverse("Patient", "organization", reverse("Observation", "subject", point("code", "", "b"))))), []string{"o1", "o2"}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			p := search.Plan{Type: c.typ, Where: c.e, Limit: 100}
			if s.lacks.Chains {
				if _, err := st.Search(st.ctx, &p); err == nil {
					t.Error("a store that lacks Chains answered one")
				}
				t.Skip("lacks Chains")
			}
			if got := st.ids(t, p); !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func bodyHas(text string) func([]byte) (bool, error) {
	return func(body []byte) (bool, error) { return bytes.Contains(body, []byte(text)), nil }
}

func testSearchRows(t *testing.T, st *subject) {
	t.Run("rows are whole resources with their place", func(t *testing.T) {
		page, err := st.Search(st.ctx, &search.Plan{Type: "Observation", Where: point("code", "loinc", "b"), Limit: 5})
		if err != nil || len(page.Rows) != 1 || page.More {
			t.Fatalf("%+v, %v", page, err)
		}
		row := page.Rows[0]
		r, err := st.Read(st.ctx, store.Key{Type: "Observation", ID: "o2"})
		if err != nil {
			t.Fatal(err)
		}
		if row.Key != r.Key || row.Version != 1 || !row.LastUpdated.Equal(r.LastUpdated) || !bytes.Equal(row.Body, r.Body) || row.Number != r.Number || row.At.Number != r.Number || len(row.At.Values) != 0 {
			t.Errorf("got %+v", row)
		}
	})
	t.Run("the residual decides on the body", func(t *testing.T) {
		p := search.Plan{Type: "Observation", Limit: 2, Residual: func(body []byte) (bool, error) {
			return !bytes.Contains(body, []byte(`"o2"`)) && !bytes.Contains(body, []byte(`"o4"`)), nil
		}}
		if got := st.ids(t, p); !slices.Equal(got, []string{"o1", "o3"}) {
			t.Errorf("got %v", got)
		}
		if total, err := st.Count(st.ctx, &p, 0); err != nil || total != (store.Total{N: 4, Exact: true}) {
			t.Errorf("count %+v, %v", total, err)
		}
	})
	t.Run("an error of the residual is the search's", func(t *testing.T) {
		_, err := st.Search(st.ctx, &search.Plan{Type: "Observation", Limit: 2, Residual: func([]byte) (bool, error) { return false, fmt.Errorf("stop") }})
		if err == nil {
			t.Error("no error")
		}
	})
	t.Run("a count stops at its limit", func(t *testing.T) {
		for limit, want := range map[int]store.Total{3: {N: 3}, 6: {N: 6, Exact: true}, 7: {N: 6, Exact: true}} {
			if total, err := st.Count(st.ctx, &search.Plan{Type: "Observation"}, limit); err != nil || total != want {
				t.Errorf("limit %d: %+v, %v; want %+v", limit, total, err, want)
			}
		}
	})
	t.Run("an unknown type has no rows", func(t *testing.T) {
		if got := st.ids(t, search.Plan{Type: "NeverStored", Where: point("code", "", "a"), Limit: 5}); len(got) != 0 {
			t.Errorf("got %v", got)
		}
	})
	t.Run("a page above MaxPage is refused", func(t *testing.T) {
		if _, err := st.Search(st.ctx, &search.Plan{Type: "Observation", Limit: store.MaxPage + 1}); err == nil {
			t.Error("taken")
		}
	})
	t.Run("explain is filled when it is asked for", func(t *testing.T) {
		p := &search.Plan{Type: "Observation", Where: point("code", "loinc", "a"), Limit: 5}
		page, err := st.Search(store.WithExplain(st.ctx), p)
		if err != nil || page.Explain == nil || page.Explain.Strategy == "" || page.Explain.Read == 0 || page.Explain.Found != 2 {
			t.Errorf("got %+v, %v", page.Explain, err)
		}
		if page, err := st.Search(st.ctx, p); err != nil || page.Explain != nil {
			t.Errorf("unasked: %+v, %v", page.Explain, err)
		}
	})
}
