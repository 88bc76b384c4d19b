package pebblestore

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"meridian/fhir/search"
	"meridian/server/store"
	"meridian/server/store/storetest"
)

// TestWhatSearchesRead bounds the keys that searches read, whatever the size
// of what they search in: the costs that are promised, without a clock.
func TestWhatSearchesRead(t *testing.T) {
	s, err := Open(Options{Dir: "db", FS: vfs.NewMem(), Index: storetest.Index})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const n = 4000
	for from := 0; from < n; from += 500 {
		var samples []storetest.Sample
		for i := from; i < from+500; i++ {
			// A letter says as much as six bits; dates are 12 letters, of a second each.
			at := fmt.Sprintf("-v%c%c%c------", boundAlphabet[i>>12&63], boundAlphabet[i>>6&63], boundAlphabet[i&63])
			facts := []storetest.Fact{storetest.Token("status", "s", "final"), storetest.Token("few", "s", fmt.Sprint("f", i%100)), storetest.Span("date", at, at+"0"),
				storetest.Span("period", at, []string{at + "0", "zzzzzzzzzzzz"}[b2i(i%1000 == 7)])}
			samples = append(samples, storetest.Sample{Type: "Observation", ID: fmt.Sprintf("%05d", i), Facts: facts})
		}
		commit(t, s, samples...)
	}
	point := func(param, value string) search.Expr {
		return search.Point{Key: search.Key{Param: param, Value: value}}
	}
	last := fmt.Sprintf("-v-%c%c------", boundAlphabet[(n-30)>>6&63], boundAlphabet[(n-30)&63])
	since := func(param string) search.Expr {
		return search.Or{Of: []search.Expr{search.Box{Param: param, HiMin: last}, search.Box{Param: param, LoMin: last}}}
	}
	up, down := []search.Order{{Param: "date"}}, []search.Order{{Param: "date", Desc: true}}
	for _, c := range []struct {
		rule string
		plan search.Plan
		most int // keys read, rows and all
	}{
		{"a dense page", search.Plan{Where: point("status", "final")}, 70},
		{"a dense page by date", search.Plan{Where: point("status", "final"), Sort: down}, 100},
		{"a dense page by date and id", search.Plan{Where: point("status", "final"), Sort: []search.Order{{Param: "date"}, {Param: "_id"}}}, 400},
		{"two thin lists without a common hit", search.Plan{Where: search.And{Of: []search.Expr{point("few", "f1"), point("few", "f2")}}}, 100},
		{"a thin and a dense list", search.Plan{Where: search.And{Of: []search.Expr{point("few", "f1"), point("status", "final")}}}, 120},
		{"a thin list by date", search.Plan{Where: point("few", "f1"), Sort: down}, 600},
		{"a page of ids", search.Plan{Where: search.IDs{IDs: []string{"00001", "03999"}}}, 20},
		{"everything since, by date", search.Plan{Where: since("date"), Sort: up}, 300},
		{"everything since, by date downward", search.Plan{Where: since("date"), Sort: down}, 100},
		{"everything since", search.Plan{Where: since("date")}, 800},
		{"everything since, some without an end", search.Plan{Where: since("period")}, 800},
		{"everything since, some without an end, in order", search.Plan{Where: since("period"), Sort: []search.Order{{Param: "period"}}}, 300},
	} {
		t.Run(c.rule, func(t *testing.T) {
			c.plan.Type, c.plan.Limit = "Observation", 20
			page, err := s.Search(store.WithExplain(t.Context()), &c.plan)
			if err != nil {
				t.Fatal(err)
			}
			if page.Explain.Read > c.most {
				t.Errorf("read %d keys, at most %d: %s", page.Explain.Read, c.most, page.Explain.Strategy)
			}
			t.Logf("%s: read %d, checked %d, found %d", page.Explain.Strategy, page.Explain.Read, page.Explain.Checked, page.Explain.Found)
		})
	}
	for name, sort := range map[string][]search.Order{"by number": nil, "by date": up, "by date downward": down, "by id": {{Param: "_id"}}} {
		t.Run("page 100 reads as much as page 1, "+name, func(t *testing.T) {
			p := search.Plan{Type: "Observation", Where: point("status", "final"), Sort: sort, Limit: 20}
			first := 0
			for n := range 100 {
				page, err := s.Search(store.WithExplain(t.Context()), &p)
				if err != nil || !page.More {
					t.Fatal(err, page.More)
				}
				if n == 0 {
					first = page.Explain.Read
				}
				if page.Explain.Read > first+10 {
					t.Fatalf("page %d reads %d keys, page 1 %d", n+1, page.Explain.Read, first)
				}
				p.After = &page.Rows[19].At
			}
		})
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestWhatChainsRead bounds what chains read where one side, or both, have
// many matches.
func TestWhatChainsRead(t *testing.T) {
	s, err := Open(Options{Dir: "db", FS: vfs.NewMem(), Index: storetest.Index})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const patients, each = 1000, 20
	for from := 0; from < patients; from += 50 {
		var samples []storetest.Sample
		for p := from; p < from+50; p++ {
			id := fmt.Sprintf("p%04d", p)
			samples = append(samples, storetest.Sample{Type: "Patient", ID: id, Facts: []storetest.Fact{storetest.Token("identifier", "mrn", id),
				storetest.Token("gender", "g", []string{"male", "female"}[p%2]), storetest.Token("of", "hundred", fmt.Sprint(p%100)), storetest.Ref("organization", "Organization", fmt.Sprint("h", p%3))}})
			for n := range each {
				samples = append(samples, storetest.Sample{Type: "Observation", ID: fmt.Sprintf("o%s%02d", id, n), Facts: []storetest.Fact{storetest.Token("status", "s", "final"),
					storetest.Token("code", "c", fmt.Sprint(n)), storetest.Token("of", "thousand", fmt.Sprint((p*each+n)%1000)), storetest.Ref("subject", "Patient", id)}})
			}
		}
		commit(t, s, samples...)
	}
	commit(t, s, storetest.Sample{Type: "Organization", ID: "h1", Facts: []storetest.Fact{storetest.Token("name", "", "first")}})
	point := func(param, value string) search.Expr {
		return search.Point{Key: search.Key{Param: param, Value: value}}
	}
	and := func(of ...search.Expr) search.Expr { return search.And{Of: of} }
	subject := func(where search.Expr) search.Expr {
		return search.ChainForward{Param: "subject", Type: "Patient", Where: where}
	}
	has := func(where search.Expr) search.Expr {
		return search.ChainReverse{Type: "Observation", Param: "subject", Where: where}
	}
	first := search.ChainForward{Param: "organization", Type: "Organization", Where: point("name", "first")}
	mine := search.Point{Key: search.Key{Param: "subject", Scope: "Patient", Value: "p0500"}}
	for _, c := range []struct {
		rule, typ string
		where     search.Expr
		most      int // keys read, rows and all
	}{
		{"forward, no patient", "Observation", subject(point("identifier", "none")), 10},
		{"forward, one patient of a thousand", "Observation", subject(point("identifier", "p0500")), 70},
		{"forward, half of the patients", "Observation", subject(point("gender", "male")), 1200},
		{"forward, half of the patients beside a dense list", "Observation", and(subject(point("gender", "male")), point("status", "final")), 1200},
		{"forward, half of the patients beside one", "Observation", and(subject(point("gender", "male")), mine), 250},
		{"forward, all patients", "Observation", subject(search.All{}), 250},
		{"forward, one in a hundred", "Observation", subject(point("of", "7")), 600},
		{"forward, not one in a hundred", "Observation", subject(search.Not{Of: point("of", "7")}), 250},
		{"forward over two, a third of all", "Observation", subject(first), 1500},
		{"reverse, a dense list", "Patient", has(point("status", "final")), 250},
		{"reverse, a code that all have", "Patient", has(point("code", "7")), 300},
		{"reverse, two dense lists", "Patient", has(and(point("code", "7"), point("status", "final"))), 400},
		{"reverse, one in a thousand", "Patient", has(point("of", "7")), 600},
		{"reverse over forward, half of all", "Patient", has(subject(point("gender", "male"))), 4000},
		{"forward over reverse", "Observation", subject(has(point("code", "7"))), 1200},
		{"four deep", "Observation", subject(search.And{Of: []search.Expr{first, has(subject(has(point("code", "7"))))}}), 6000},
	} {
		t.Run(c.rule, func(t *testing.T) {
			page, err := s.Search(store.WithExplain(t.Context()), &search.Plan{Type: c.typ, Where: c.where, Limit: 20})
			if err != nil {
				t.Fatal(err)
			}
			if page.Explain.Read > c.most {
				t.Errorf("read %d keys, at most %d: %s", page.Explain.Read, c.most, page.Explain.Strategy)
			}
			t.Logf("%s: read %d, checked %d, found %d", page.Explain.Strategy, page.Explain.Read, page.Explain.Checked, page.Explain.Found)
		})
	}
}

// TestWhatDenseSearchesRead bounds what first pages read where a large part of
// 100,000 resources matches: a multiple of the page, not of the matches.
func TestWhatDenseSearchesRead(t *testing.T) {
	s, err := Open(Options{Dir: "db", FS: vfs.NewMem(), Index: storetest.Index})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	n := 100_000
	if testing.Short() {
		n = 10_000
	}
	letters := func(i int) string {
		return string([]byte{boundAlphabet[i>>12&63], boundAlphabet[i>>6&63], boundAlphabet[i&63]})
	}
	for from := 0; from < n; from += 500 {
		var samples []storetest.Sample
		for i := from; i < from+500; i++ {
			// As dates have it: minutes of some months, in another order than that of writing.
			at, value := "-v"+letters(i*7919%n)+"------", letters(i*31%4000)
			status := "final"
			if i%33 == 0 {
				status = "amended"
			}
			samples = append(samples, storetest.Sample{Type: "Observation", ID: fmt.Sprintf("%06d", i), Facts: []storetest.Fact{storetest.Token("status", "s", status), storetest.Token("code", "c", fmt.Sprint("c", i%10)),
				storetest.Token("identifier", "id", fmt.Sprint(i)), storetest.Ref("subject", "Patient", fmt.Sprint("p", i/500)), storetest.Text("note", fmt.Sprint("note ", i%7)),
				storetest.Span("date", at, at+"0"), storetest.Span("value", value, value+"0", "mg")}})
		}
		commit(t, s, samples...)
	}
	point := func(param, value string) search.Expr {
		return search.Point{Key: search.Key{Param: param, Value: value}}
	}
	and := func(of ...search.Expr) search.Expr { return search.And{Of: of} }
	final, code, patient := point("status", "final"), point("code", "c3"), search.Point{Key: search.Key{Param: "subject", Scope: "Patient", Value: "p7"}}
	above := func(i int) search.Expr { return search.Box{Param: "value", LoMin: letters(i)} }
	by := func(params ...string) (sort []search.Order) {
		for _, p := range params {
			o := search.Order{Param: p}
			if p[0] == '-' {
				o = search.Order{Param: p[1:], Desc: true}
			}
			sort = append(sort, o)
		}
		return sort
	}
	for _, c := range []struct {
		rule  string
		where search.Expr
		sort  []search.Order
		most  int // keys read, rows and all
	}{
		{"status=final", final, nil, 60},
		{"code=X&value=gt", and(code, above(2000)), nil, 200},
		{"code=X&value=gt, by date downward", and(code, above(2000)), by("-date"), 2000},
		{"status=final&value=gt", and(final, above(2000)), nil, 700},
		{"status=final&value=gt, by date downward", and(final, above(2000)), by("-date"), 300},
		{"value=gt, by value", above(2000), by("value"), 300},
		{"value=gt, of a thousandth", and(final, above(3996)), nil, 1500},
		{"status=final, by date downward", final, by("-date"), 150},
		{"by date and id", final, by("-date", "_id"), 300},
		{"by status and date downward", nil, by("status", "-date"), 2500},
		{"by status downward and date", nil, by("-status", "date"), 300},
		{"by code and id", final, by("code", "_id"), 1200},
		{"by identifier", final, by("identifier"), 1200},
		{"by subject and date", final, by("subject", "-date"), 2200},
		{"by subject", final, by("subject"), 500},
		{"of a patient, by status and date", patient, by("status", "-date"), 3000},
		// Up to 1,000 of one code are collected, some five keys each; of 100,000 a code has more, and its list is walked.
		{"by code, by status, by date", final, by("code", "status", "date"), 6000},
	} {
		t.Run(c.rule, func(t *testing.T) {
			p := search.Plan{Type: "Observation", Where: c.where, Sort: c.sort, Limit: 20}
			for page := range 3 {
				got, err := s.Search(store.WithExplain(t.Context()), &p)
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("%s: read %d, checked %d, found %d", got.Explain.Strategy, got.Explain.Read, got.Explain.Checked, got.Explain.Found)
				if got.Explain.Read > c.most {
					t.Errorf("page %d read %d keys, at most %d: %s", page+1, got.Explain.Read, c.most, got.Explain.Strategy)
				}
				if !got.More {
					break
				}
				p.After = &got.Rows[len(got.Rows)-1].At
			}
		})
	}
}

func TestExplainCountsEachLeaf(t *testing.T) {
	s, err := Open(Options{Dir: "db", FS: vfs.NewMem(), Index: storetest.Index})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var samples []storetest.Sample
	for i := range 50 {
		samples = append(samples, storetest.Sample{Type: "Observation", ID: fmt.Sprint(i), Facts: []storetest.Fact{storetest.Token("code", "c", fmt.Sprint("secret", i%5)),
			storetest.Span("value", fmt.Sprint(10+i), fmt.Sprint(11+i)), storetest.Ref("subject", "Patient", "p1")}})
	}
	commit(t, s, append(samples, storetest.Sample{Type: "Patient", ID: "p1", Facts: []storetest.Fact{storetest.Token("gender", "g", "male")}})...)
	page, err := s.Search(store.WithExplain(t.Context()), &search.Plan{Type: "Observation", Limit: 10, Where: search.And{Of: []search.Expr{
		search.Point{Key: search.Key{Param: "code", Value: "secret3"}}, search.Box{Param: "value", LoMin: "30"}, search.Not{Of: search.IDs{IDs: []string{"3"}}},
		search.ChainForward{Param: "subject", Type: "Patient", Where: search.Point{Key: search.Key{Param: "gender", Scope: "g", Value: "male"}}}}}})
	if err != nil {
		t.Fatal(err)
	}
	want := `Observation, page of 10
  and
    point code in "": 1 keys, 10 match
    box value in "": 30 keys, 30 match
    not
      1 ids: no keys of its own, 1 match
    chain subject to Patient
      point gender in "g": 1 keys, 1 match
`
	if page.Explain.Plan != want || page.Explain.Found != 6 {
		t.Errorf("found %d:\n%s", page.Explain.Found, page.Explain.Plan)
	}
}

// TestATooCostlySearchSaysSo gives searches that nothing helps less than they need.
func TestATooCostlySearchSaysSo(t *testing.T) {
	s, err := Open(Options{Dir: "db", FS: vfs.NewMem(), Index: storetest.Index})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var samples []storetest.Sample
	for i := range 3000 {
		patient := fmt.Sprint("p", i%1500)
		samples = append(samples, storetest.Sample{Type: "Observation", ID: fmt.Sprint(i), Facts: []storetest.Fact{storetest.Ref("subject", "Patient", patient), storetest.Token("parity", "", fmt.Sprint(i%2)), storetest.Text("note", "ab")}})
		if i < 1500 {
			samples = append(samples, storetest.Sample{Type: "Patient", ID: patient, Facts: []storetest.Fact{storetest.Token("parity", "", fmt.Sprint(i%2))}})
		}
	}
	commit(t, s, samples...)
	odd, even := search.Point{Key: search.Key{Param: "parity", Value: "1"}}, search.Point{Key: search.Key{Param: "parity", Value: "0"}}
	for rule, p := range map[string]search.Plan{
		"two dense sides of a chain without a common hit":         {Type: "Observation", Where: search.And{Of: []search.Expr{odd, search.ChainForward{Param: "subject", Type: "Patient", Where: even}}}},
		"two dense sides of a reverse chain without a common hit": {Type: "Patient", Where: search.And{Of: []search.Expr{odd, search.ChainReverse{Type: "Observation", Param: "subject", Where: even}}}},
	} {
		t.Run(rule, func(t *testing.T) {
			p.Limit = 20
			if page, err := s.Search(t.Context(), &p); err != nil || len(page.Rows) != 0 {
				t.Fatalf("%d rows, %v", len(page.Rows), err)
			}
			if _, err := s.search(t.Context(), &p, 5000); !errors.Is(err, store.ErrTooCostly) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestATextInFewValues: a text within values that repeat becomes a merge of the
// lists of those that hold it, also where some were removed or came in later. A scan would read 18,000 keys.
func TestATextInFewValues(t *testing.T) {
	s, err := Open(Options{Dir: "db", FS: vfs.NewMem(), Index: storetest.Index})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const n = 9000
	version := map[string]uint64{}
	put := func(value func(i int) string, from, to, step int) {
		for at := from; at < to; at += 3 * step {
			var samples []storetest.Sample
			for i := at; i < min(at+3*step, to); i += step {
				id := fmt.Sprintf("%05d", i)
				version[id]++
				samples = append(samples, storetest.Sample{Type: "Observation", ID: id, Version: version[id], Facts: []storetest.Fact{storetest.Token("label", "", value(i))}})
			}
			commit(t, s, samples...)
		}
	}
	put(func(i int) string { return [3]string{"_blood_count", "_blood_type", "_urine"}[i%3] }, 0, n, 1)
	put(func(int) string { return "_urine_blood" }, 0, n, 100)
	put(func(int) string { return "_none" }, 1, n, 50)
	for text, want := range map[string]int{"urine_blood": n / 100, "_none": n / 50} {
		plan := search.Plan{Type: "Observation", Where: search.Contains{Param: "label", Text: text}, Limit: n}
		page, err := s.Search(t.Context(), &plan)
		if err != nil || len(page.Rows) != want {
			t.Errorf("%s: %d found, want %d, %v", text, len(page.Rows), want, err)
		}
		plan.Limit = 20
		if page, err = s.Search(store.WithExplain(t.Context()), &plan); err != nil || page.Explain.Read > 3500 {
			t.Errorf("%s: %v, %+v", text, err, page.Explain)
		}
	}
}
