package mongostore

import (
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"meridian/fhir/search"
)

func point(param, scope, value string) search.Expr {
	return search.Point{Key: search.Key{Param: param, Scope: scope, Value: value}}
}

// extJSON is a filter as it is typed into mongosh.
func extJSON(t *testing.T, d bson.D) string {
	t.Helper()
	b, err := bson.MarshalExtJSON(d, false, false)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestFilter(t *testing.T) {
	for _, c := range []struct {
		rule string
		e    search.Expr
		want string
	}{
		{"a point is one posting", point("code", "http://loinc.org", "718-7"), `{"k":"code=http://loinc.org|718-7"}`},
		{"all leaves tombstones out", search.All{}, `{"del":null}`},
		{"a prefix in a scope is bounds on one element", search.Prefix{Key: search.Key{Param: "code", Scope: "s", Value: ""}},
			`{"k":{"$elemMatch":{"$gte":"code=s|","$lt":"code=s}"}}}`},
		{"a prefix without a scope leaves scoped postings out", search.Prefix{Key: search.Key{Param: "name", Value: "zh"}},
			`{"k":{"$elemMatch":{"$gte":"name=zh","$lt":"name=zi","$not":{"$regularExpression":{"pattern":"^(?:[^\\\\|]|\\\\.)*\\|","options":"s"}}}}}`},
		{"contains is a pattern bounded by the parameter", search.Contains{Param: "name", Text: "a.b"},
			`{"k":{"$regularExpression":{"pattern":"^name=(?:(?:[^\\\\|]|\\\\.)*\\|)?(?:[^\\\\|]|\\\\.)*a\\.b(?:[^\\\\|]|\\\\.)*\\z","options":"s"}}}`},
		{"a box has all bounds on one element", search.Box{Param: "date", LoMin: "2", LoMax: "4", HiMax: "9"},
			`{"r":{"$elemMatch":{"p":"date=","lo":{"$gte":"2","$lt":"4"},"hi":{"$lt":"9"}}}}`},
		{"present is any posting of the parameter", search.Present{Param: "code"}, `{"k":{"$elemMatch":{"$gte":"code=","$lt":"code>"}}}`},
		{"ids are document ids", search.IDs{IDs: []string{"a", "b"}}, `{"$and":[{"_id":{"$in":["Observation/a","Observation/b"]}},{"del":null}]}`},
		{"not is nor, and leaves tombstones out", search.Not{Of: point("code", "", "a")}, `{"$and":[{"$nor":[{"k":"code=a"}]},{"del":null}]}`},
		{"an empty or matches nothing", search.Or{}, `{"_id":{"$in":[]}}`},
		{"points of an or are one in", search.Or{Of: []search.Expr{point("code", "", "a"), point("code", "", "b")}}, `{"k":{"$in":["code=a","code=b"]}}`},
		{"an and puts the longest point first and what cannot bound last", search.And{Of: []search.Expr{
			search.Not{Of: point("code", "", "x")}, point("status", "", "final"), search.Box{Param: "date", LoMin: "2"}, point("subject", "Patient", "0193c2c8-6f2e")}},
			`{"$and":[{"k":"subject=Patient|0193c2c8-6f2e"},{"k":"status=final"},{"r":{"$elemMatch":{"p":"date=","lo":{"$gte":"2"}}}},{"$nor":[{"k":"code=x"}]}]}`},
	} {
		t.Run(c.rule, func(t *testing.T) {
			f, err := (&compiler{typ: "Observation"}).filter(c.e)
			if err != nil {
				t.Fatal(err)
			}
			if got := extJSON(t, f); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
	t.Run("a leaf adds what its overflow documents have", func(t *testing.T) {
		key, err := leafKey(bson.D{{Key: "k", Value: "code=a"}})
		if err != nil {
			t.Fatal(err)
		}
		c := &compiler{typ: "List", more: map[string][]string{key: {"List/big"}}}
		f, err := c.filter(search.Not{Of: point("code", "", "a")})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := extJSON(t, f), `{"$and":[{"$nor":[{"$or":[{"k":"code=a"},{"_id":{"$in":["List/big"]}}]}]},{"del":null}]}`; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
}

func TestOrder(t *testing.T) {
	s := func(v string) *string { return &v }
	for _, c := range []struct {
		rule   string
		sort   []search.Order
		after  *search.Cursor
		phases []string
		by     string
	}{
		{"without a sort, by number", nil, nil, []string{`{}`}, `{"n":1}`},
		{"without a sort, after a number", nil, &search.Cursor{Number: 7}, []string{`{"n":{"$gt":7}}`}, `{"n":1}`},
		{"by id, which decides alone", []search.Order{{Param: "_id", Desc: true}, {Param: "date"}}, &search.Cursor{Values: []*string{s("a"), nil}, Number: 7},
			[]string{`{"$or":[{"_id":{"$lt":"Patient/a"}},{"$and":[{"_id":"Patient/a"},{"n":{"$lt":7}}]}]}`}, `{"_id":-1}`},
		{"up: those with a value, then those without", []search.Order{{Param: "date"}}, nil,
			[]string{`{"f.date.lo":{"$gte":""}}`, `{"f.date.lo":null}`}, `{"f.date.lo":1,"n":1}`},
		{"down, after a value: the number goes down too", []search.Order{{Param: "date", Desc: true}}, &search.Cursor{Values: []*string{s("5")}, Number: 7},
			[]string{`{"$and":[{"f.date.hi":{"$lte":"5"}},{"$or":[{"f.date.hi":{"$lt":"5"}},{"$and":[{"f.date.hi":"5"},{"n":{"$lt":7}}]}]}]}`, `{"f.date.hi":null}`},
			`{"f.date.hi":-1,"n":-1}`},
		{"after a row without a value only such rows come", []search.Order{{Param: "date"}}, &search.Cursor{Values: []*string{nil}, Number: 7},
			[]string{`{"$and":[{"f.date.lo":null},{"n":{"$gt":7}}]}`}, `{"n":1}`},
		{"a second key up has a stand-in for none", []search.Order{{Param: "date"}, {Param: "name"}}, nil,
			[]string{`{"f.date.lo":{"$gte":""}}`, `{"f.date.lo":null}`}, `{"f.date.lo":1,"s1":1,"n":1}`},
		{"the same key again decides nothing", []search.Order{{Param: "date"}, {Param: "date"}}, &search.Cursor{Values: []*string{nil, nil}, Number: 7},
			[]string{`{"$and":[{"f.date.lo":null},{"n":{"$gt":7}}]}`}, `{"n":1}`},
	} {
		t.Run(c.rule, func(t *testing.T) {
			o := newOrder("Patient", c.sort)
			phases := o.phases(c.after)
			if len(phases) != len(c.phases) {
				t.Fatalf("%d phases, want %d", len(phases), len(c.phases))
			}
			for i, p := range phases {
				if got := extJSON(t, p.filter); got != c.phases[i] {
					t.Errorf("phase %d\ngot  %s\nwant %s", i, got, c.phases[i])
				}
			}
			by, _ := o.sort(phases[0].skip)
			if got := extJSON(t, by); got != c.by {
				t.Errorf("sort %s, want %s", got, c.by)
			}
		})
	}
	if err := newOrder("Patient", nil).check(&search.Cursor{Values: []*string{nil}}); err == nil {
		t.Error("a cursor of another order is taken")
	}
}

func TestPlanTextHasNoValues(t *testing.T) {
	const secret = "110101199003070000"
	e := search.And{Of: []search.Expr{point("identifier", secret, secret), search.Not{Of: search.Prefix{Key: search.Key{Param: "name", Value: secret}}},
		search.Contains{Param: "name", Text: secret}, search.Box{Param: "birthdate", LoMin: secret}, search.IDs{IDs: []string{secret}},
		search.ChainForward{Param: "subject", Type: "Patient", Where: search.Or{Of: []search.Expr{point("phone", "", secret)}}}}}
	got := planText(e)
	if strings.Contains(got, secret) {
		t.Errorf("a value stands in\n%s", got)
	}
	want := "and\n  point identifier\n  not\n    prefix name\n  contains name\n  box birthdate\n  ids (1)\n  chain subject to Patient\n    or\n      point phone\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
