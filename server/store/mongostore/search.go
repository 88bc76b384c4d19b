package mongostore

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"meridian/fhir/search"
	"meridian/server/store"
)

// MaxChecked is how many candidates a search may read from the database for
// one page or count, where the body decides (Plan.Residual).
const MaxChecked = 1_000_000

// maxBatch is the most documents asked for at once while a residual thins them out.
const maxBatch = 1_000

// query is a search ready to run.
type query struct {
	typ   string
	where search.Expr // free of chains
	// late is the tree with the chains that are decided on each batch of
	// candidates; nil mostly. Then where is what drives.
	late   search.Expr
	order  order
	filter bson.D
	// residual as in the plan; nil when the filter is exact.
	residual func(body []byte) (bool, error)
	checked  int
}

// Search gives at most plan.Limit rows after plan.After in the plan's order.
// It answers store.ErrTooCostly past MaxChain, MaxOverflow or MaxChecked.
func (s *Store) Search(ctx context.Context, plan *search.Plan) (store.Page, error) {
	if err := s.enter(); err != nil {
		return store.Page{}, err
	}
	defer s.flight.Done()
	return s.search(s.read(ctx), plan)
}

func (s *Store) search(ctx context.Context, plan *search.Plan) (store.Page, error) {
	if plan.Limit > store.MaxPage {
		return store.Page{}, fmt.Errorf("%w: a page of %d, at most %d", store.ErrTooLarge, plan.Limit, store.MaxPage)
	}
	q, err := s.newQuery(ctx, plan)
	if err != nil {
		return store.Page{}, err
	}
	return s.run(ctx, q, plan)
}

// run gives a page of a query, as plan says where it begins and how long it is.
func (s *Store) run(ctx context.Context, q *query, plan *search.Plan) (store.Page, error) {
	var page store.Page
	var rest []string
	var err error
	// What the postings in overflow documents add is looked up beside the
	// first batch: there are none nearly always, and then it cost no time.
	after := plan.After
	n := plan.Limit + 1
	if q.late != nil {
		n = min(n, lateBatch)
	}
	for {
		var docs []head
		if rest == nil {
			docs, err = s.first(ctx, q, after, n)
			rest = []string{}
		} else {
			docs, err = s.fetch(ctx, q, after, n)
		}
		if err != nil {
			return store.Page{}, err
		}
		decided, err := s.decide(ctx, q, docs)
		if err != nil {
			return store.Page{}, err
		}
		for i := range docs {
			h := &docs[i]
			at := q.order.place(h)
			after = &at
			ok, err := decided.keep(s, q, i)
			if err != nil {
				return store.Page{}, err
			}
			if !ok {
				continue
			}
			if len(page.Rows) == plan.Limit {
				page.More = true
				break
			}
			page.Rows = append(page.Rows, store.Row{Resource: h.resource(), At: at})
		}
		if page.More || len(docs) < n {
			break
		}
		if n = min(2*n, maxBatch); q.late != nil {
			n = min(n, lateBatch)
		}
	}
	if store.WantsExplain(ctx) {
		page.Explain = s.explain(ctx, q, plan, len(page.Rows))
	}
	store.TallyOf(ctx).Add(q.strategy(), q.checked, q.checked)
	return page, nil
}

// newQuery resolves the chains of a plan and compiles it.
func (s *Store) newQuery(ctx context.Context, plan *search.Plan) (*query, error) {
	if !isType(plan.Type) {
		return nil, fmt.Errorf("mongostore: %q is not a resource type", plan.Type)
	}
	q := &query{typ: plan.Type, order: newOrder(plan.Type, plan.Sort), residual: plan.Residual}
	if err := q.order.check(plan.After); err != nil {
		return nil, err
	}
	where, late, err := s.resolve(ctx, plan.Type, plan.Where)
	if err != nil {
		return nil, err
	}
	if q.where = where; late {
		q.where, q.late = superset(where), where
	}
	return q, nil
}

// first compiles q and fetches its first batch. The look into the overflow
// documents runs beside it, except in a transaction, whose session takes one
// operation at a time.
func (s *Store) first(ctx context.Context, q *query, after *search.Cursor, n int) ([]head, error) {
	c := &compiler{typ: q.typ}
	var err error
	if q.filter, err = c.filter(q.where); err != nil {
		return nil, err
	}
	if len(c.leaves) == 0 {
		return s.fetch(ctx, q, after, n)
	}
	type answer struct {
		more map[string][]string
		err  error
	}
	look := func() answer {
		more, err := s.overflow(ctx, q.typ, c.leaves)
		return answer{more, err}
	}
	var docs []head
	var a answer
	if mongo.SessionFromContext(ctx) != nil {
		a = look()
		if a.err == nil && len(a.more) == 0 {
			docs, err = s.fetch(ctx, q, after, n)
		}
	} else {
		beside := make(chan answer, 1)
		go func() { beside <- look() }()
		docs, err = s.fetch(ctx, q, after, n)
		a = <-beside
	}
	switch {
	case a.err != nil:
		return nil, a.err
	case err != nil || len(a.more) == 0:
		return docs, err
	}
	if q.filter, err = (&compiler{typ: q.typ, more: a.more}).filter(q.where); err != nil {
		return nil, err
	}
	return s.fetch(ctx, q, after, n)
}

// fetch gives at most n documents after a cursor.
func (s *Store) fetch(ctx context.Context, q *query, after *search.Cursor, n int) ([]head, error) {
	var docs []head
	for _, p := range q.order.phases(after) {
		got, err := s.runPhase(ctx, q, p, n-len(docs))
		if err != nil {
			return nil, fmt.Errorf("mongostore: search %s: %w", q.typ, err)
		}
		docs = append(docs, got...)
		if len(docs) == n {
			break
		}
	}
	q.checked += len(docs)
	return docs, nil
}

func (s *Store) runPhase(ctx context.Context, q *query, p phase, n int) ([]head, error) {
	filter := conjunction(q.filter, p.filter)
	by, standIns := q.order.sort(p.skip)
	fields := rowFields(q.order)
	var cur *mongo.Cursor
	var err error
	if standIns == nil {
		cur, err = s.coll(ctx, q.typ).Find(ctx, filter, options.Find().SetSort(by).SetLimit(int64(n)).SetProjection(fields))
	} else {
		cur, err = s.coll(ctx, q.typ).Aggregate(ctx, bson.A{
			bson.D{{Key: "$match", Value: filter}},
			bson.D{{Key: "$addFields", Value: standIns}},
			bson.D{{Key: "$sort", Value: by}},
			bson.D{{Key: "$limit", Value: n}},
			bson.D{{Key: "$project", Value: fields}},
		})
	}
	if err != nil {
		return nil, err
	}
	var docs []head
	if err := cur.All(ctx, &docs); err != nil {
		return nil, err
	}
	return docs, nil
}

// rowFields are the fields of a document that a row is made of.
func rowFields(o order) bson.D {
	fields := bson.D{{Key: "v", Value: 1}, {Key: "n", Value: 1}, {Key: "at", Value: 1}, {Key: "method", Value: 1}, {Key: "body", Value: 1}, {Key: "o", Value: 1}}
	seen := map[string]bool{}
	for _, k := range o.keys {
		if f := "f." + fieldName(k.param); !k.isID() && !seen[f] {
			seen[f] = true
			fields = append(fields, bson.E{Key: f, Value: 1})
		}
	}
	return fields
}

// decision is candidates with what is needed to decide on them.
type decision struct {
	docs  []head
	facts []*search.Facts // nil where the filter was exact
	where search.Expr
}

// decide prepares the decision on a batch: a resource with overflow documents
// must still be what they were read as, and chains may be left.
func (s *Store) decide(ctx context.Context, q *query, docs []head) (*decision, error) {
	b := &decision{docs: docs, where: q.where}
	if len(docs) == 0 || q.late == nil && !slices.ContainsFunc(docs, func(h head) bool { return h.O > 0 }) {
		return b, nil
	}
	b.facts = make([]*search.Facts, len(docs))
	for i := range docs {
		if q.late == nil && docs[i].O == 0 {
			continue
		}
		facts, err := s.opts.Index([]byte(docs[i].Body))
		if err != nil {
			return nil, fmt.Errorf("mongostore: index %s: %w", docs[i].ID, err)
		}
		b.facts[i] = facts
	}
	if q.late == nil {
		return b, nil
	}
	var err error
	b.where, err = s.settleChains(ctx, q.typ, q.late, docs, b.facts)
	return b, err
}

// keep decides on a document what the filter left open, the plan's residual last.
func (b *decision) keep(s *Store, q *query, i int) (bool, error) {
	h := &b.docs[i]
	if q.checked > MaxChecked {
		return false, fmt.Errorf("%w: more than %d candidates read", store.ErrTooCostly, MaxChecked)
	}
	if b.facts != nil && b.facts[i] != nil && !search.MatchFacts(b.where, keyOf(h.ID).ID, b.facts[i]) {
		return false, nil
	}
	if q.residual == nil {
		return true, nil
	}
	ok, err := q.residual([]byte(h.Body))
	if err != nil {
		return false, fmt.Errorf("mongostore: decide on %s: %w", h.ID, err)
	}
	return ok, nil
}

// Count gives how many resources match, counting no further than limit (0: no limit).
func (s *Store) Count(ctx context.Context, plan *search.Plan, limit int) (store.Total, error) {
	if err := s.enter(); err != nil {
		return store.Total{}, err
	}
	defer s.flight.Done()
	ctx = s.read(ctx)
	q, err := s.newQuery(ctx, &search.Plan{Type: plan.Type, Where: plan.Where, Residual: plan.Residual})
	if err != nil {
		return store.Total{}, err
	}
	if q.residual != nil || q.late != nil {
		return s.countBodies(ctx, q, limit)
	}
	c := &compiler{typ: q.typ}
	if q.filter, err = c.filter(q.where); err != nil {
		return store.Total{}, err
	}
	if c.more, err = s.overflow(ctx, q.typ, c.leaves); err != nil {
		return store.Total{}, err
	}
	if len(c.more) > 0 {
		if q.filter, err = c.filter(q.where); err != nil {
			return store.Total{}, err
		}
	}
	o := options.Count()
	if limit > 0 {
		o.SetLimit(int64(limit) + 1)
	}
	n, err := s.coll(ctx, q.typ).CountDocuments(ctx, q.filter, o)
	if err != nil {
		return store.Total{}, fmt.Errorf("mongostore: count %s: %w", q.typ, err)
	}
	if limit > 0 && n > int64(limit) {
		return store.Total{N: limit}, nil
	}
	return store.Total{N: int(n), Exact: true}, nil
}

// countBodies counts where the body decides, page by page.
func (s *Store) countBodies(ctx context.Context, q *query, limit int) (store.Total, error) {
	p := search.Plan{Type: q.typ, Limit: maxBatch}
	total := 0
	for {
		page, err := s.run(ctx, q, &p)
		if err != nil {
			return store.Total{}, err
		}
		total += len(page.Rows)
		switch {
		case limit > 0 && total > limit:
			return store.Total{N: limit}, nil
		case !page.More:
			return store.Total{N: total, Exact: true}, nil
		case total > MaxChecked:
			return store.Total{}, fmt.Errorf("%w: more than %d candidates read", store.ErrTooCostly, MaxChecked)
		}
		p.After = &page.Rows[len(page.Rows)-1].At
	}
}

func (q *query) strategy() string {
	if q.late != nil {
		return q.order.strategy() + ", chains decided on each batch"
	}
	return q.order.strategy()
}

// explain asks the server how it ran q; a server that does not say leaves what is known here.
func (s *Store) explain(ctx context.Context, q *query, plan *search.Plan, found int) *store.Explain {
	e := &store.Explain{Plan: planText(plan.Where), Strategy: q.strategy(), Read: q.checked, Checked: q.checked, Found: found}
	p := q.order.phases(plan.After)[0]
	by, _ := q.order.sort(p.skip)
	var answer struct {
		QueryPlanner struct {
			WinningPlan bson.Raw `bson:"winningPlan"`
		} `bson:"queryPlanner"`
		ExecutionStats struct {
			TotalKeysExamined int `bson:"totalKeysExamined"`
			TotalDocsExamined int `bson:"totalDocsExamined"`
		} `bson:"executionStats"`
	}
	err := s.db.RunCommand(ctx, bson.D{
		{Key: "explain", Value: bson.D{
			{Key: "find", Value: q.typ}, {Key: "filter", Value: conjunction(q.filter, p.filter)},
			{Key: "sort", Value: by}, {Key: "limit", Value: plan.Limit + 1}}},
		{Key: "verbosity", Value: "executionStats"},
	}).Decode(&answer)
	if err != nil {
		return e
	}
	e.Read, e.Checked = answer.ExecutionStats.TotalKeysExamined, max(e.Checked, answer.ExecutionStats.TotalDocsExamined)
	if stages := planStages(answer.QueryPlanner.WinningPlan, nil); len(stages) > 0 {
		e.Strategy += ": " + strings.Join(stages, " < ")
	}
	return e
}

// planStages are the stages of a winning plan, outermost first, with the names of their indexes and no bounds.
func planStages(plan bson.Raw, out []string) []string {
	if len(plan) == 0 || len(out) > 16 {
		return out
	}
	if stage, ok := plan.Lookup("stage").StringValueOK(); ok {
		if name, ok := plan.Lookup("indexName").StringValueOK(); ok {
			stage += " " + name
		}
		out = append(out, stage)
	}
	if inner, ok := plan.Lookup("queryPlan").DocumentOK(); ok {
		return planStages(inner, out)
	}
	inner, _ := plan.Lookup("inputStage").DocumentOK()
	return planStages(inner, out)
}
