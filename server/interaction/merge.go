package interaction

import (
	"context"
	"math"
	"slices"
	"strings"

	"meridian/fhir/search"
	"meridian/server/store"
)

// A search over several types runs one plan for each, in the order of their
// names or as _type lists them, and merges the rows: by the sort values, then by
// the place of the type, then by the number. Without _sort one type follows the
// other. A page goes on behind a row of one of the types; where the others go
// on follows from its sort values alone.

// arm is the part of a search that is about one type.
type arm struct {
	query *search.Query
	plan  *search.Plan
	// contains says that the rows are resources that contain what was searched.
	contains bool
}

// rowPlace is a row's place in a search over several arms.
type rowPlace struct {
	Arm int
	search.Cursor
}

// numbers that stand before and behind all that resources have, in an order up.
const (
	beforeNumbers = 0
	behindNumbers = math.MaxInt64
)

// afterOf is where arm i goes on when the last row seen stands at p; nil for its beginning.
func (p *rowPlace) afterOf(i int, sort []search.Order) *search.Cursor {
	if p == nil {
		return nil
	}
	if i == p.Arm {
		return &p.Cursor
	}
	if len(sort) == 0 {
		return nil // a later arm; earlier ones are not asked
	}
	// Rows with the same sort values: all are seen of an earlier arm, none of a later one.
	first, last := uint64(beforeNumbers), uint64(behindNumbers)
	if sort[0].Desc {
		first, last = behindNumbers, beforeNumbers+1
	}
	c := search.Cursor{Values: p.Values, Number: last}
	if i > p.Arm {
		c = search.Cursor{Values: withNeighbours(sort, p.Values), Number: first}
	}
	return &c
}

// withNeighbours gives sort values behind which resources with the same id still
// come: an id decides alone in its type, so the number behind it is not looked at.
func withNeighbours(sort []search.Order, values []*string) []*string {
	out := slices.Clone(values)
	for i, o := range sort {
		if o.Param != "_id" || values[i] == nil {
			continue
		}
		id := *values[i]
		if o.Desc {
			id += "!" // below every character of an id: above this id, below the next
		} else if last := len(id) - 1; last >= 0 {
			id = id[:last] + string(rune(id[last]-1)) + "~" // above all that begin so, below this id
		}
		out[i] = &id
	}
	return out
}

// found is a page of a search: rows with the arms they are of.
type found struct {
	rows []store.Row
	arms []int
	more bool
	// explain tells of each arm that was asked what it did.
	explain []*store.Explain
}

func (f *found) place(i int) *rowPlace { return &rowPlace{Arm: f.arms[i], Cursor: f.rows[i].At} }

// last is the place of the last row.
func (f *found) last() *rowPlace { return f.place(len(f.rows) - 1) }

// page runs the plans for at most limit rows after a place.
func (r *request) page(ctx context.Context, after *rowPlace, limit int) (found, error) {
	var f found
	sorted := len(r.arms[0].plan.Sort) > 0
	pages := make([][]store.Row, len(r.arms))
	start := 0
	if after != nil && !sorted {
		start = after.Arm
	}
	for i := start; i < len(r.arms); i++ {
		plan := *r.arms[i].plan
		plan.After, plan.Limit = after.afterOf(i, plan.Sort), limit
		if !sorted {
			plan.Limit = max(limit-len(f.rows), 1)
		}
		got, err := r.s.store.Search(ctx, &plan)
		if err != nil {
			return f, translate(err, "search "+plan.Type)
		}
		if got.Explain != nil {
			f.explain = append(f.explain, got.Explain)
		}
		f.more = f.more || got.More
		if sorted && len(r.arms) > 1 {
			pages[i] = got.Rows
			continue
		}
		if room := limit - len(f.rows); len(got.Rows) > room {
			got.Rows, f.more = got.Rows[:room], true
		}
		f.add(got.Rows, i)
		if f.more {
			return f, nil
		}
	}
	if sorted && len(r.arms) > 1 {
		f.merge(pages, r.arms[0].plan.Sort, limit)
	}
	return f, nil
}

func (f *found) add(rows []store.Row, arm int) {
	f.rows = append(f.rows, rows...)
	for range rows {
		f.arms = append(f.arms, arm)
	}
}

// merge takes the first limit rows of all pages.
func (f *found) merge(pages [][]store.Row, sort []search.Order, limit int) {
	for {
		best := -1
		for i, rows := range pages {
			if len(rows) > 0 && (best < 0 || compareRows(sort, &rows[0].At, &pages[best][0].At) < 0) {
				best = i
			}
		}
		if best < 0 {
			return
		}
		if len(f.rows) == limit {
			f.more = true
			return
		}
		f.add(pages[best][:1], best)
		pages[best] = pages[best][1:]
	}
}

// compareRows orders rows of different arms by their sort values; resources without one come last.
func compareRows(sort []search.Order, a, b *search.Cursor) int {
	for i, o := range sort {
		x, y := a.Values[i], b.Values[i]
		switch {
		case x == nil && y == nil:
			continue
		case x == nil:
			return 1
		case y == nil:
			return -1
		}
		if c := strings.Compare(*x, *y); c != 0 {
			if o.Desc {
				return -c
			}
			return c
		}
	}
	return 0
}

// count counts the matches of all arms, no further than limit (0: no limit).
func (r *request) count(ctx context.Context, limit int) (store.Total, error) {
	total := store.Total{Exact: true}
	for i := range r.arms {
		plan := *r.arms[i].plan
		plan.After, plan.Limit = nil, 0
		rest := 0
		if limit > 0 {
			rest = max(limit-total.N, 1)
		}
		t, err := r.s.store.Count(ctx, &plan, rest)
		if err != nil {
			return total, translate(err, "count "+plan.Type)
		}
		total.N += t.N
		total.Exact = total.Exact && t.Exact
		if limit > 0 && (!total.Exact || total.N > limit) {
			return store.Total{N: limit}, nil
		}
	}
	return total, nil
}
