package pebblestore

import (
	"fmt"
	"strings"

	"meridian/fhir/search"
	"meridian/server/store"
)

// explain tells what the run did. Values of criteria are left out: they are patients'.
func (r *run) explain(found int) *store.Explain {
	x := &store.Explain{Strategy: r.strategy, Found: found}
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
	writeExpr(&b, r.plan.Where, 1)
	if r.plan.Residual != nil {
		b.WriteString("  decided on the body\n")
	}
	x.Plan = b.String()
	return x
}

func writeExpr(b *strings.Builder, x search.Expr, depth int) {
	line := func(format string, args ...any) {
		fmt.Fprintf(b, "%s%s\n", strings.Repeat("  ", depth), fmt.Sprintf(format, args...))
	}
	all := func(name string, of []search.Expr) {
		line("%s", name)
		for _, x := range of {
			writeExpr(b, x, depth+1)
		}
	}
	switch x := x.(type) {
	case nil, search.All:
		line("all")
	case search.Point:
		line("point %s in %q", x.Key.Param, x.Key.Scope)
	case search.Prefix:
		line("prefix %s in %q", x.Key.Param, x.Key.Scope)
	case search.Contains:
		line("contains %s", x.Param)
	case search.Box:
		line("box %s in %q", x.Param, x.Scope)
	case search.Present:
		line("present %s", x.Param)
	case search.IDs:
		line("%d ids", len(x.IDs))
	case search.And:
		all("and", x.Of)
	case search.Or:
		all("or", x.Of)
	case search.Not:
		all("not", []search.Expr{x.Of})
	case search.ChainForward:
		all(fmt.Sprintf("chain %s to %s", x.Param, x.Type), []search.Expr{x.Where})
	case search.ChainReverse:
		all(fmt.Sprintf("chain from %s of %s", x.Param, x.Type), []search.Expr{x.Where})
	}
}
