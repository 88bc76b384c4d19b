package storetest

import (
	"fmt"
	"slices"
	"testing"

	"meridian/fhir/search"
)

// sorted is written in this order.
func sorted() []Sample {
	x := Token("code", "s", "x")
	return []Sample{
		{Type: "Observation", ID: "m", Facts: []Fact{x, Span("date", "2022", "2023"), Text("name", "b")}},
		{Type: "Observation", ID: "a", Facts: []Fact{x, Span("date", "2020", "2029"), Text("name", "b")}},
		{Type: "Observation", ID: "z", Facts: []Fact{Text("name", "a")}},                                    // no date
		{Type: "Observation", ID: "c", Facts: []Fact{x, Span("date", "2022", "2024"), Text("name", "a b")}}, // as late as m
		{Type: "Observation", ID: "k", Facts: []Fact{x, Span("date", "2019", "2020"), Span("date", "2025", "2026")}},
		{Type: "Observation", ID: "b", Facts: []Fact{x, Text("name", "a"), Text("name", "c")}}, // no date
		{Type: "Observation", ID: "d", Facts: []Fact{x, Span("date", "2021", "2022")}},
	}
}

func testSort(t *testing.T, s *suite) {
	st := s.newStore(t)
	for _, sm := range sorted() {
		st.put(t, sm)
	}
	x := point("code", "", "x")
	asc := func(params ...string) (out []search.Order) {
		for _, p := range params {
			out = append(out, search.Order{Param: p})
		}
		return out
	}
	desc := func(param string) []search.Order { return []search.Order{{Param: param, Desc: true}} }
	for _, c := range []struct {
		rule string
		e    search.Expr
		sort []search.Order
		want []string
	}{
		{"without a sort by number", x, nil, []string{"m", "a", "c", "k", "b", "d"}},
		{"ascending by the lowest value, ties by number, without one last", x, asc("date"), []string{"k", "a", "d", "m", "c", "b"}},
		{"descending by the highest value, ties by number downward, without one last", x, desc("date"), []string{"k", "c", "m", "d", "a", "b"}},
		{"all, ascending", nil, asc("date"), []string{"k", "a", "d", "m", "c", "z", "b"}},
		{"all, descending: those without a value downward by number too", nil, desc("date"), []string{"k", "c", "m", "d", "a", "b", "z"}},
		{"text with a space", nil, asc("name"), []string{"z", "b", "c", "m", "a", "k", "d"}},
		{"text, descending", nil, desc("name"), []string{"b", "a", "m", "c", "z", "d", "k"}},
		{"by id", x, asc("_id"), []string{"a", "b", "c", "d", "k", "m"}},
		{"by id, the empty parameter", x, asc(""), []string{"a", "b", "c", "d", "k", "m"}},
		{"by id, descending", nil, desc("_id"), []string{"z", "m", "k", "d", "c", "b", "a"}},
		{"by a parameter that is not there", x, asc("nothing"), []string{"m", "a", "c", "k", "b", "d"}},
		{"by a parameter that is not there, descending", x, desc("nothing"), []string{"d", "b", "k", "c", "a", "m"}},
		{"by two", nil, asc("name", "date"), []string{"z", "b", "c", "a", "m", "k", "d"}},
		{"by two, the second descending", nil, []search.Order{{Param: "name"}, {Param: "_id", Desc: true}}, []string{"z", "b", "c", "m", "a", "k", "d"}},
		{"by two, both descending", x, []search.Order{{Param: "date", Desc: true}, {Param: "name", Desc: true}}, []string{"k", "m", "c", "d", "a", "b"}},
		{"by a token", nil, []search.Order{{Param: "code"}, {Param: "_id"}}, []string{"a", "b", "c", "d", "k", "m", "z"}},
		{"by a token, then downward by date", nil, []search.Order{{Param: "code"}, {Param: "date", Desc: true}}, []string{"k", "m", "c", "d", "a", "b", "z"}},
		{"downward by a token, then by date", nil, []search.Order{{Param: "code", Desc: true}, {Param: "date"}}, []string{"k", "a", "d", "c", "m", "b", "z"}},
		{"by three", nil, []search.Order{{Param: "code"}, {Param: "name"}, {Param: "date"}}, []string{"b", "c", "a", "m", "k", "d", "z"}},
		{"a box on the sort parameter", search.Box{Param: "date", LoMin: "2021"}, asc("date"), []string{"k", "d", "m", "c"}},
		{"a box on the sort parameter, descending", search.Box{Param: "date", LoMax: "2022"}, desc("date"), []string{"k", "d", "a"}},
		{"not beside a sort", search.Not{Of: x}, asc("date"), []string{"z"}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			p := search.Plan{Type: "Observation", Where: c.e, Sort: c.sort, Limit: 100}
			if got := st.ids(t, p); !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
			for _, limit := range []int{1, 2, 3} {
				p.Limit = limit
				if got := st.walk(t, p, nil); !slices.Equal(got, c.want) {
					t.Errorf("in pages of %d: got %v, want %v", limit, got, c.want)
				}
			}
		})
	}
	t.Run("the cursor has the sort values", func(t *testing.T) {
		page, err := st.Search(st.ctx, &search.Plan{Type: "Observation", Sort: asc("date", "name"), Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []string{"k 2019 nil", "a 2020 b", "d 2021 nil", "m 2022 b", "c 2022 a b", "z nil a", "b nil a"} {
			row := page.Rows[[]int{0, 1, 2, 4, 3, 5, 6}[i]]
			if got := fmt.Sprint(row.ID, " ", shown(row.At.Values[0]), " ", shown(row.At.Values[1])); got != want {
				t.Errorf("%d: got %s, want %s", i, got, want)
			}
		}
	})
}

func shown(v *string) string {
	if v == nil {
		return "nil"
	}
	return *v
}

// walk reads all pages of a plan; between is called before each page but the first.
func (s *subject) walk(t testing.TB, p search.Plan, between func(page int)) []string {
	t.Helper()
	var all []string
	for n := 0; ; n++ {
		if n > 0 && between != nil {
			between(n)
		}
		page, err := s.Search(s.ctx, &p)
		if err != nil {
			t.Fatalf("page %d: %v", n, err)
		}
		all = append(all, rowIDs(page.Rows)...)
		if len(page.Rows) > p.Limit {
			t.Fatalf("page %d has %d rows, the limit is %d", n, len(page.Rows), p.Limit)
		}
		if !page.More {
			return all
		}
		if len(page.Rows) < p.Limit {
			t.Fatalf("page %d has %d rows and says more; the limit is %d", n, len(page.Rows), p.Limit)
		}
		at := page.Rows[len(page.Rows)-1].At
		p.After = &at
	}
}
