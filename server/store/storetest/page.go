package storetest

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"meridian/fhir/search"
	"meridian/server/store"
)

// testPage walks while others write: what matches throughout comes exactly once.
func testPage(t *testing.T, s *suite) {
	for _, c := range []struct {
		rule string
		sort []search.Order
		e    search.Expr
	}{
		{"by number", nil, point("code", "s", "x")},
		{"by date", []search.Order{{Param: "date"}}, point("code", "s", "x")},
		{"by date downward", []search.Order{{Param: "date", Desc: true}}, point("code", "s", "x")},
		{"by id", []search.Order{{Param: "_id"}}, point("code", "s", "x")},
		{"by date and text", []search.Order{{Param: "date"}, {Param: "name", Desc: true}}, point("code", "s", "x")},
		{"a box by number", nil, search.Box{Param: "date", LoMin: "1000", LoMax: "9000"}},
		{"or of a point and a box", nil, search.Or{Of: []search.Expr{point("code", "", "x"), search.Box{Param: "date", LoMin: "4000"}}}},
	} {
		t.Run("what matches throughout a walk comes once, "+c.rule, func(t *testing.T) {
			walkWhileWriting(t, s.newStore(t), c.sort, c.e)
		})
	}
}

func walkWhileWriting(t *testing.T, st *subject, sort []search.Order, e search.Expr) {
	rnd := rand.New(rand.NewPCG(1, 2))
	sample := func(i int) Sample {
		date := fmt.Sprint(2000 + rnd.IntN(20))
		return Sample{Type: "Observation", ID: fmt.Sprintf("%03d", i), Facts: []Fact{Token("code", "s", "x"), Span("date", date, date), Text("name", fmt.Sprint("n", i%3))}}
	}
	// Below 60 stay as they are; the others are deleted, moved or new.
	for i := range 90 {
		st.put(t, sample(i))
	}
	seen := map[string]int{}
	for _, id := range st.walk(t, search.Plan{Type: "Observation", Where: e, Sort: sort, Limit: 7}, func(page int) {
		moved := 60 + rnd.IntN(15)
		st.put(t, sample(moved))
		if gone := (store.Key{Type: "Observation", ID: fmt.Sprintf("%03d", 74+page)}); page < 15 {
			st.remove(t, gone)
		}
		st.put(t, sample(100+page))
	}) {
		seen[id]++
	}
	for i := range 60 {
		if n := seen[fmt.Sprintf("%03d", i)]; n != 1 {
			t.Errorf("%03d came %d times", i, n)
		}
	}
}
