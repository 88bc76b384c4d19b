package mongostore

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"meridian/fhir/search"
	"meridian/server/store"
	"meridian/server/store/storetest"
)

// An index bounds each kind of criterion: the server's own plan scans an index
// between bounds, never the collection, and looks at no more documents than
// that criterion needs. A server that does not answer explain says nothing; the
// one of .ci/mongo is such a server, so there only the searches run, and the
// proof needs a mongod that MERIDIAN_TEST_MONGODB names.
func TestAnIndexBoundsEachKindOfCriterion(t *testing.T) {
	s := mustOpen(t, testOptions(t))
	explainedWorld(t, s)
	refusal := s.db.RunCommand(t.Context(), explainCommand("Observation", bson.D{}, nil, 1, nil)).Err()
	var refused mongo.CommandError
	if refusal != nil && !(errors.As(refusal, &refused) && (refused.Code == commandNotFound || refused.Code == notImplemented)) {
		t.Fatal(refusal)
	}
	for _, c := range explainedCriteria() {
		t.Run(c.rule, func(t *testing.T) {
			plan := search.Plan{Type: cmp.Or(c.of, "Observation"), Where: c.e, Sort: c.sort, After: c.after, Limit: 20}
			if page, err := s.Search(t.Context(), &plan); err != nil || len(page.Rows) == 0 || len(page.Rows) > c.docs {
				t.Fatalf("%d rows, at most %d documents are allowed for; %v", len(page.Rows), c.docs, err)
			}
			q, err := s.newQuery(t.Context(), &plan)
			if err != nil {
				t.Fatal(err)
			}
			if q.filter, err = (&compiler{typ: q.typ}).filter(q.where); err != nil {
				t.Fatal(err)
			}
			if refusal == nil {
				s.provesBounds(t, q, q.order.phases(plan.After)[0], plan.Limit+1, c.docs, c.walk)
			}
		})
	}
	if refusal != nil {
		t.Skipf("SKIPPED: the server that %s names does not answer explain (%v): that an index bounds each kind of criterion was not proven", envURI, refusal)
	}
}

// Codes of a server that has no such command.
const (
	commandNotFound = 59
	notImplemented  = 238
)

// provesBounds asks the server how it runs one phase of q.
func (s *Store) provesBounds(t *testing.T, q *query, p phase, n, docs int, walk string) {
	t.Helper()
	by, standIns := q.order.sort(p.skip)
	raw, err := s.db.RunCommand(t.Context(), explainCommand(q.typ, conjunction(q.filter, p.filter), by, n, standIns)).Raw()
	if err != nil {
		t.Fatal(err)
	}
	plans, looked := explained(raw)
	if len(plans) == 0 {
		t.Fatalf("there is no winning plan in %s", raw)
	}
	for _, plan := range plans {
		if err := bounded(plan, walk); err != nil {
			t.Errorf("%v in %s", err, plan)
		}
	}
	if looked > docs {
		t.Errorf("%d documents were looked at, at most %d: %s", looked, docs, plans)
	}
}

func explainCommand(typ string, filter, by bson.D, n int, standIns bson.D) bson.D {
	of := bson.D{{Key: "find", Value: typ}, {Key: "filter", Value: filter}, {Key: "limit", Value: n}}
	if by != nil {
		of = append(of, bson.E{Key: "sort", Value: by})
	}
	if standIns != nil {
		of = bson.D{{Key: "aggregate", Value: typ}, {Key: "cursor", Value: bson.D{}}, {Key: "pipeline", Value: bson.A{
			bson.D{{Key: "$match", Value: filter}}, bson.D{{Key: "$addFields", Value: standIns}}, bson.D{{Key: "$sort", Value: by}}, bson.D{{Key: "$limit", Value: n}}}}}
	}
	return bson.D{{Key: "explain", Value: of}, {Key: "verbosity", Value: "executionStats"}}
}

// explainedDocs is how many Observations there are; each code, subject and name stands in ten of them.
const explainedDocs = 600

func explainedWorld(t *testing.T, s *Store) {
	st := func(sm storetest.Sample) {
		t.Helper()
		if err := s.Commit(t.Context(), store.CommitParams{Writes: []store.Write{sm.Write()}}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range explainedDocs / 10 {
		st(storetest.Sample{Type: "Patient", ID: fmt.Sprint("p", i), Facts: []storetest.Fact{storetest.Text("name", fmt.Sprint("zhang", i)), storetest.Token("gender", "s", "male")}})
	}
	for i := range explainedDocs {
		date, tenth := fmt.Sprint(2000+i), i%(explainedDocs/10)
		facts := []storetest.Fact{storetest.Token("status", "s", "final"), storetest.Token("code", "s", fmt.Sprint("c", tenth)),
			storetest.Ref("subject", "Patient", fmt.Sprint("p", tenth)), storetest.Span("date", date, date), storetest.Span("value", date, date, "mg")}
		if i < explainedDocs/2 {
			facts = append(facts, storetest.Text("name", fmt.Sprint("li", tenth)))
		}
		if i < 10 {
			facts = append(facts, storetest.Token("method", "s", "m"))
		}
		st(storetest.Sample{Type: "Observation", ID: fmt.Sprint("o", i), Facts: facts})
	}
}

// explainedCriterion is a criterion with the most documents that a page of 20
// may look at; walk names the index whose whole order is read until the page is full.
type explainedCriterion struct {
	rule  string
	e     search.Expr
	sort  []search.Order
	after *search.Cursor
	docs  int
	walk  string
	of    string // the type; Observation where it is empty
}

func explainedCriteria() []explainedCriterion {
	const page = 21
	value := "2300"
	code := point("code", "s", "c7")
	byDate := []search.Order{{Param: "date"}}
	down := []search.Order{{Param: "date", Desc: true}}
	return []explainedCriterion{
		{rule: "a token", e: code, docs: 10},
		{rule: "a token that all have, in the order of numbers", e: point("status", "s", "final"), docs: page},
		{rule: "a reference", e: point("subject", "Patient", "p7"), docs: 10},
		{rule: "all codes of a system", e: search.Prefix{Key: search.Key{Param: "method", Scope: "s"}}, docs: 10},
		{rule: "the beginning of a text", e: search.Prefix{Key: search.Key{Param: "name", Value: "li5"}}, docs: 55},
		{rule: "a part of a text: those that have the parameter", e: search.Contains{Param: "name", Text: "i59"}, docs: explainedDocs / 2},
		{rule: "a range of dates", e: search.Box{Param: "date", LoMin: "2100", LoMax: "2110"}, docs: 10},
		{rule: "a range in a unit", e: search.Box{Param: "value", Scope: "mg", LoMin: "2590"}, docs: 10},
		{rule: "from a date on: two ranges", e: search.Or{Of: []search.Expr{search.Box{Param: "date", HiMin: "2590"}, search.Box{Param: "date", LoMin: "2590"}}}, docs: 20},
		{rule: "any value", e: search.Present{Param: "method"}, docs: 10},
		{rule: "ids", e: search.IDs{IDs: []string{"o1", "o2", "none"}}, docs: 2},
		{rule: "alternatives of one parameter", e: search.Or{Of: []search.Expr{code, point("code", "s", "c8")}}, docs: 20},
		{rule: "alternatives of two parameters", e: search.Or{Of: []search.Expr{code, search.Box{Param: "date", LoMin: "2590"}}}, docs: 20},
		{rule: "a rare token beside a range", e: search.And{Of: []search.Expr{search.Box{Param: "date", LoMin: "2000"}, code}}, docs: 10},
		{rule: "a token and what is not", e: search.And{Of: []search.Expr{search.Not{Of: point("status", "s", "amended")}, code}}, docs: 10},
		{rule: "a chain: its references", e: search.ChainForward{Param: "subject", Type: "Patient", Where: point("name", "", "zhang7")}, docs: 10},
		{rule: "a chain backward: its ids", e: search.ChainReverse{Type: "Observation", Param: "subject", Where: point("code", "s", "c7")}, of: "Patient", docs: 1},
		{rule: "what is not, alone: a walk until the page is full", e: search.Not{Of: code}, docs: page + 10, walk: numberIndex},
		{rule: "everything: a walk until the page is full", e: search.All{}, docs: page, walk: numberIndex},
		{rule: "everything by a date: its order", e: search.All{}, sort: byDate, docs: page},
		{rule: "everything downward by a date: its order", e: search.All{}, sort: down, docs: page},
		{rule: "everything by a date, after a row", e: search.All{}, sort: byDate, after: &search.Cursor{Values: []*string{&value}, Number: 1}, docs: page + 1},
		{rule: "everything by id", e: search.All{}, sort: []search.Order{{Param: "_id"}}, docs: page, walk: "_id_"},
		{rule: "a rare token by a date", e: code, sort: byDate, docs: 10},
		{rule: "a rare token by two keys", e: code, sort: []search.Order{{Param: "date"}, {Param: "name"}}, docs: 10},
	}
}

// explained finds the winning plans in an answer of explain, and the most documents that a part of it looked at.
func explained(raw bson.Raw) (plans []bson.Raw, docs int) {
	elements, err := raw.Elements()
	if err != nil {
		return nil, 0
	}
	for _, e := range elements {
		if e.Key() == "winningPlan" {
			plans = append(plans, e.Value().Document())
			continue
		}
		if n, ok := e.Value().AsInt64OK(); ok && e.Key() == "totalDocsExamined" {
			docs = max(docs, int(n))
		}
		for _, inner := range documentsIn(e.Value()) {
			p, d := explained(inner)
			plans, docs = append(plans, p...), max(docs, d)
		}
	}
	return plans, docs
}

// documentsIn are a document, or those of an array.
func documentsIn(v bson.RawValue) (out []bson.Raw) {
	if d, ok := v.DocumentOK(); ok {
		return []bson.Raw{d}
	}
	if a, ok := v.ArrayOK(); ok {
		values, err := a.Values()
		if err != nil {
			return nil
		}
		for _, x := range values {
			out = append(out, documentsIn(x)...)
		}
	}
	return out
}

var (
	errCollectionScan = errors.New("the collection is scanned")
	errNoIndex        = errors.New("no index is scanned")
	errNoBounds       = errors.New("an index is scanned without bounds")
)

// bounded says why a winning plan is not bounded by indexes; walk is an index
// that may be scanned from its beginning.
func bounded(plan bson.Raw, walk string) error {
	scans := 0
	err := eachStage(plan, func(stage string, d bson.Raw) error {
		switch stage {
		case "COLLSCAN":
			return errCollectionScan
		case "IDHACK", "EXPRESS_IXSCAN", "EXPRESS_CLUSTERED_IXSCAN", "EOF":
			scans++
		case "IXSCAN", "DISTINCT_SCAN", "COUNT_SCAN":
			scans++
			name, _ := d.Lookup("indexName").StringValueOK()
			if name != walk && unbounded(d) {
				return fmt.Errorf("%w: %s", errNoBounds, name)
			}
		}
		return nil
	})
	if err == nil && scans == 0 {
		return errNoIndex
	}
	return err
}

// unbounded says whether the first field of an index scan goes over all values.
func unbounded(scan bson.Raw) bool {
	bounds, ok := scan.Lookup("indexBounds").DocumentOK()
	if !ok {
		return true
	}
	first, err := bounds.IndexErr(0)
	if err != nil {
		return true
	}
	intervals, ok := first.Value().ArrayOK()
	if !ok {
		return true
	}
	values, err := intervals.Values()
	return err != nil || len(values) == 0 || slices.ContainsFunc(values, func(v bson.RawValue) bool {
		text, ok := v.StringValueOK()
		return !ok || strings.Contains(text, "MinKey") && strings.Contains(text, "MaxKey")
	})
}

// eachStage calls f for every stage of a plan.
func eachStage(d bson.Raw, f func(stage string, d bson.Raw) error) error {
	if stage, ok := d.Lookup("stage").StringValueOK(); ok {
		if err := f(stage, d); err != nil {
			return err
		}
	}
	elements, err := d.Elements()
	if err != nil {
		return fmt.Errorf("a plan that is no document: %w", err)
	}
	for _, e := range elements {
		if e.Key() == "slotBasedPlan" || e.Key() == "indexBounds" {
			continue
		}
		for _, inner := range documentsIn(e.Value()) {
			if err := eachStage(inner, f); err != nil {
				return err
			}
		}
	}
	return nil
}

// The reader of plans, on answers as MongoDB's manual shows them.
// https://www.mongodb.com/docs/manual/reference/explain-results/
func TestWhatAPlanMustShow(t *testing.T) {
	const fetch = `{"stage":"FETCH","inputStage":{"stage":"IXSCAN","keyPattern":{"k":1,"n":1},"indexName":"postings","isMultiKey":true,"direction":"forward","indexBounds":{"k":["[\"code=a\", \"code=a\"]"],"n":["[MinKey, MaxKey]"]}}}`
	for _, c := range []struct {
		rule, plan, walk string
		want             error
	}{
		{"a scan between bounds", fetch, "", nil},
		{"the plan of the slot-based engine", `{"queryPlan":` + fetch + `,"slotBasedPlan":{"stages":"COLLSCAN"}}`, "", nil},
		{"on each shard", `{"stage":"SHARD_MERGE","shards":[{"shardName":"a","winningPlan":` + fetch + `},{"shardName":"b","winningPlan":{"stage":"COLLSCAN","direction":"forward"}}]}`, "", errCollectionScan},
		{"a scan of the collection", `{"stage":"LIMIT","inputStage":{"stage":"COLLSCAN","filter":{"k":{"$eq":"code=a"}},"direction":"forward"}}`, "", errCollectionScan},
		{"one alternative without an index", `{"stage":"SUBPLAN","inputStage":{"stage":"OR","inputStages":[` + fetch + `,{"stage":"COLLSCAN"}]}}`, "", errCollectionScan},
		{"a scan of a whole index", `{"stage":"FETCH","inputStage":{"stage":"IXSCAN","indexName":"number","indexBounds":{"n":["[MinKey, MaxKey]"]}}}`, "", errNoBounds},
		{"downward", `{"stage":"FETCH","inputStage":{"stage":"IXSCAN","indexName":"number","indexBounds":{"n":["[MaxKey, MinKey]"]}}}`, "", errNoBounds},
		{"a walk that is meant", `{"stage":"FETCH","inputStage":{"stage":"IXSCAN","indexName":"number","indexBounds":{"n":["[MinKey, MaxKey]"]}}}`, "number", nil},
		{"an id", `{"stage":"IDHACK"}`, "", nil},
		{"nothing that reads", `{"stage":"PROJECTION_SIMPLE"}`, "", errNoIndex},
	} {
		t.Run(c.rule, func(t *testing.T) {
			var plan bson.Raw
			if err := bson.UnmarshalExtJSON([]byte(c.plan), false, &plan); err != nil {
				t.Fatal(err)
			}
			if err := bounded(plan, c.walk); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
	var answer bson.Raw
	if err := bson.UnmarshalExtJSON([]byte(`{"stages":[{"$cursor":{"queryPlanner":{"winningPlan":`+fetch+`},"executionStats":{"totalDocsExamined":{"$numberInt":"7"}}}},{"$limit":1}],"ok":1}`), true, &answer); err != nil {
		t.Fatal(err)
	}
	if plans, docs := explained(answer); len(plans) != 1 || docs != 7 || bounded(plans[0], "") != nil {
		t.Errorf("%d plans, %d documents", len(plans), docs)
	}
}
