package pebblestore

import (
	"context"
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"meridian/fhir/search"
	"meridian/server/store"
)

const (
	// maxEstimate is how many keys of a leaf an explanation counts.
	maxEstimate = 10_000
	// maxTruth is how many units it spends on counting the matches of a leaf, about 0.1 s.
	maxTruth = 1_000_000
)

// explain tells what the run did, and of each leaf of its plan how many keys
// it has and how many resources match, counted now. Values of criteria are left out: they are patients'.
func (r *run) explain(ctx context.Context, s *Store, found int) *store.Explain {
	x := &store.Explain{Strategy: r.strategy, Found: found, Counted: true}
	if x.Strategy == "" {
		x.Strategy = "nothing to read"
	}
	if r.exec != nil {
		x.Read, x.Checked = r.keys+len(r.rows), r.checked+len(r.rows)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s, page of %d", r.plan.Type, r.plan.Limit)
	for _, o := range r.plan.Sort {
		fmt.Fprintf(&b, ", sort %s", o.Param)
		if o.Desc {
			b.WriteString(" downward")
		}
	}
	b.WriteByte('\n')
	tree := explainer{b: &b, ctx: ctx, store: s, db: s.db.NewSnapshot()}
	defer tree.db.Close()
	tree.expr(r.plan.Type, r.plan.Where, 1)
	if r.plan.Residual != nil {
		b.WriteString("  decided on the body\n")
	}
	x.Plan = b.String()
	return x
}

// explainer writes a plan's tree, a criterion a line.
type explainer struct {
	b     *strings.Builder
	ctx   context.Context
	store *Store
	db    *pebble.Snapshot
}

func (x *explainer) line(depth int, format string, args ...any) {
	fmt.Fprintf(x.b, "%s%s\n", strings.Repeat("  ", depth), fmt.Sprintf(format, args...))
}

func (x *explainer) expr(typ string, e search.Expr, depth int) {
	all := func(name string, of ...search.Expr) {
		x.line(depth, "%s", name)
		for _, e := range of {
			x.expr(typ, e, depth+1)
		}
	}
	leaf := func(format string, args ...any) {
		x.line(depth, "%s: %s", fmt.Sprintf(format, args...), x.counts(typ, e))
	}
	switch e := e.(type) {
	case nil, search.All:
		x.line(depth, "all")
	case search.Point:
		leaf("point %s in %q", e.Key.Param, e.Key.Scope)
	case search.Prefix:
		leaf("prefix %s in %q", e.Key.Param, e.Key.Scope)
	case search.Contains:
		leaf("contains %s", e.Param)
	case search.Box:
		leaf("box %s in %q", e.Param, e.Scope)
	case search.Present:
		leaf("present %s", e.Param)
	case search.IDs:
		leaf("%d ids", len(e.IDs))
	case search.And:
		all("and", e.Of...)
	case search.Or:
		all("or", e.Of...)
	case search.Not:
		all("not", e.Of)
	case search.ChainForward:
		x.line(depth, "chain %s to %s", e.Param, e.Type)
		x.expr(e.Type, e.Where, depth+1)
	case search.ChainReverse:
		x.line(depth, "chain from %s of %s", e.Param, e.Type)
		x.expr(e.Type, e.Where, depth+1)
	}
}

// counts says how many keys a leaf has, which is what it was estimated by, and how many resources match.
func (x *explainer) counts(typ string, leaf search.Expr) string {
	t := x.store.names.typ(typ)
	if t == nil {
		return "0 keys, 0 match"
	}
	e := x.store.newExec(x.ctx, x.db, t)
	defer e.close()
	e.limit = maxTruth
	n := e.build(leaf)
	keys := "no keys of its own"
	if count, ok := e.keysOf(n); ok {
		keys = atMost(count, maxEstimate) + " keys"
	}
	r := &run{exec: e, plan: &search.Plan{Type: typ}}
	match := r.counted(n, 0)
	if e.err != nil {
		return keys + ", matches not counted to the end"
	}
	return fmt.Sprintf("%s, %d match", keys, match)
}

func atMost(n, limit int) string {
	if n > limit {
		return fmt.Sprintf("more than %d", limit)
	}
	return fmt.Sprint(n)
}

// keysOf counts the keys that a node reads when it is read whole, to one above maxEstimate.
func (e *exec) keysOf(n node) (count int, ok bool) {
	var spans []span
	switch n := n.(type) {
	case *pointNode:
		spans = []span{{lower: n.prefix, upper: after(n.prefix)}}
	case *rangeNode:
		spans = n.spans
	case noneNode:
		return 0, true
	default:
		return 0, false
	}
	for i := range spans {
		it := e.iter(spans[i].lower, spans[i].upper)
		if it == nil {
			return 0, false
		}
		for it.First(); it.Valid() && count <= maxEstimate; it.Next() {
			count++
		}
		e.fail(it.Error())
	}
	return count, true
}
