package pebblestore

import (
	"context"
	"fmt"

	"meridian/fhir/search"
	"meridian/server/store"
)

// Search executes a plan on a snapshot.
func (s *Store) Search(ctx context.Context, plan *search.Plan) (store.Page, error) {
	if !s.enter() {
		return store.Page{}, store.ErrClosed
	}
	defer s.leave()
	return s.search(ctx, plan, MaxRead)
}

// search is Search within a call that has entered, or the committer; limit is in units.
func (s *Store) search(ctx context.Context, plan *search.Plan, limit int) (store.Page, error) {
	if plan.Limit > store.MaxPage || plan.Limit < 0 {
		return store.Page{}, fmt.Errorf("search %s: a page of %d: %w", plan.Type, plan.Limit, store.ErrTooLarge)
	}
	if plan.After != nil && len(plan.After.Values) != len(plan.Sort) {
		return store.Page{}, fmt.Errorf("search %s: the cursor has %d values for %d sort keys", plan.Type, len(plan.After.Values), len(plan.Sort))
	}
	r := &run{plan: plan, want: plan.Limit + 1}
	if t := s.names.typ(plan.Type); t != nil && plan.Limit > 0 {
		if err := r.execute(ctx, s, t, limit); err != nil {
			return store.Page{}, fmt.Errorf("search %s: %w", plan.Type, err)
		}
	}
	page := store.Page{Rows: r.rows}
	if len(r.rows) > plan.Limit {
		page = store.Page{Rows: r.rows[:plan.Limit], More: true}
	}
	if store.WantsExplain(ctx) {
		page.Explain = r.explain(ctx, s, len(page.Rows))
	}
	r.tally(ctx)
	return page, nil
}

// tally adds what the run did to what its caller sums up.
func (r *run) tally(ctx context.Context) {
	if t := store.TallyOf(ctx); t != nil && r.exec != nil {
		t.Add(r.strategy, r.keys, r.checked)
	}
}

// run is the execution of one plan for one page.
type run struct {
	*exec
	plan     *search.Plan
	want     int // rows wanted: the page and one more, which tells that there are more
	where    node
	down     bool // rows with equal sort values are in descending order of numbers
	hits     []hit
	rows     []store.Row
	strategy string
}

// hit is a row before it is read.
type hit struct {
	values []*string
	number uint64
	row    *store.Resource // when its body was already read
}

func (r *run) execute(ctx context.Context, s *Store, t *typeName, limit int) error {
	snapshot := s.db.NewSnapshot()
	defer snapshot.Close()
	r.exec = s.newExec(ctx, snapshot, t)
	r.limit = limit
	defer r.exec.close()
	r.where = r.build(r.plan.Where)
	r.down = len(r.plan.Sort) > 0 && r.plan.Sort[0].Desc
	if r.err == nil {
		r.make()
	}
	r.fetch()
	return r.err
}

// make finds the hits.
func (r *run) make() {
	if len(r.plan.Sort) == 0 {
		r.byNumber()
	} else {
		r.sorted()
	}
}

// byNumber takes the first matches in the order of numbers.
func (r *run) byNumber() {
	var at uint64
	if r.plan.After != nil {
		at = place(r.plan.After.Number, r.down) + 1
	}
	l := r.drive(r.where, r.down)
	if c, ok := l.(*conjunction); ok {
		c.page = true
	}
	r.strategy = strategyOf(l)
	for len(r.hits) < r.want {
		p, ok := l.seek(at)
		if !ok {
			return
		}
		if number := place(p, r.down); r.residual(number) {
			r.hits = append(r.hits, r.hit(number, nil))
		}
		if at = p + 1; at == 0 {
			return
		}
	}
}

// residual decides on the body where the plan asks for it.
func (r *run) residual(number uint64) bool {
	if r.plan.Residual == nil {
		return r.err == nil
	}
	if !r.read(number) {
		return false
	}
	ok, err := r.plan.Residual(r.resource.Body)
	r.fail(err)
	return ok && r.err == nil
}

func (r *run) hit(number uint64, values []*string) hit {
	h := hit{values: values, number: number}
	if r.bodyOf == number {
		res := r.resource
		h.row = &res
	}
	return h
}

// fetch reads the bodies of the hits.
func (r *run) fetch() {
	r.rows = make([]store.Row, 0, len(r.hits))
	for i := range r.hits {
		if r.err != nil {
			return
		}
		h := &r.hits[i]
		row := store.Row{At: search.Cursor{Values: h.values, Number: h.number}}
		switch {
		case h.row != nil:
			row.Resource = *h.row
		case i == r.want-1:
			// The last one only says that there is more.
		case r.read(h.number):
			row.Resource = r.resource
		}
		r.rows = append(r.rows, row)
	}
}

// Count counts matches, no further than limit.
func (s *Store) Count(ctx context.Context, plan *search.Plan, limit int) (store.Total, error) {
	if !s.enter() {
		return store.Total{}, store.ErrClosed
	}
	defer s.leave()
	t := s.names.typ(plan.Type)
	if t == nil {
		return store.Total{Exact: true}, nil
	}
	snapshot := s.db.NewSnapshot()
	defer snapshot.Close()
	r := &run{plan: plan, exec: s.newExec(ctx, snapshot, t)}
	defer r.exec.close()
	n := r.count(limit)
	r.tally(ctx)
	if r.err != nil {
		return store.Total{}, fmt.Errorf("count %s: %w", plan.Type, r.err)
	}
	if limit > 0 && n > limit {
		return store.Total{N: limit}, nil
	}
	return store.Total{N: n, Exact: true}, nil
}

// count counts to one above limit.
func (r *run) count(limit int) int {
	where := r.build(r.plan.Where)
	if r.err != nil {
		return 0
	}
	return r.counted(where, limit)
}

// counted is count of a node.
func (r *run) counted(where node, limit int) int {
	if where.list(false) == nil && limit == 0 {
		// All matches are wanted and nothing drives: collecting a range costs
		// less than looking at every resource of the type.
		where.settle(r.limit)
	}
	if done, ok := where.(*rangeNode); ok && done.state == collected && r.plan.Residual == nil {
		return len(done.numbers)
	}
	l := r.drive(where, false)
	if l, ok := l.(interface{ count(limit int) int }); ok && r.plan.Residual == nil {
		return l.count(limit)
	}
	n := 0
	for at := uint64(0); limit == 0 || n <= limit; {
		p, ok := l.seek(at)
		if !ok {
			break
		}
		if r.residual(p) {
			n++
		}
		at = p + 1
	}
	return n
}

// strategyOf names how a list is made, for Explain.
func strategyOf(l list) string {
	switch l := l.(type) {
	case *conjunction:
		if len(l.lists) > 1 {
			return fmt.Sprintf("leapfrog %d lists, check %d criteria", len(l.lists), len(l.checks))
		}
		return fmt.Sprintf("%s, check %d criteria", strategyOf(l.lists[0]), len(l.checks))
	case *mergeList:
		return fmt.Sprintf("merge %d lists", len(l.heap))
	case *sliceList:
		return fmt.Sprintf("collected %d numbers", len(l.numbers))
	case *pointList:
		return "posting list"
	case *keyList:
		if l.iter != nil && l.prefix > 0 && l.key[0] == prefixAll {
			return "all of the type"
		}
		return "posting list"
	}
	return "nothing"
}
