package interaction

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"meridian/fhir/issue"
	"meridian/fhir/search"
)

// maxExplained is how many leaves _explain counts; the others are shown without a count.
const maxExplained = 60

// explainer writes a plan as a tree, one leaf a line, with how many resources
// each leaf matches alone. Values of criteria are left out: they are patients'.
type explainer struct {
	s   *Service
	ctx context.Context
	b   strings.Builder
	n   int // leaves counted
	err error
}

// explanation adds for each type that was searched: the plan with the truth of
// each leaf, which a store may know better than by counting, and what it did.
func (r *request) explanation(ctx context.Context, f *found) error {
	for i, x := range f.explain {
		if len(f.explain) > 1 && x.Read == 0 && x.Found == 0 {
			continue // of many types, those that have something to say
		}
		plan := r.arms[r.explained(f, i)].plan
		e := explainer{s: r.s, ctx: ctx}
		fmt.Fprintf(&e.b, "%s, page of %d", plan.Type, r.shape.count)
		for _, o := range plan.Sort {
			e.b.WriteString(", by " + o.Param)
			if o.Desc {
				e.b.WriteString(" downward")
			}
		}
		e.b.WriteByte('\n')
		if x.Counted {
			e.b.Reset()
			e.b.WriteString(x.Plan)
		} else if e.tree(plan.Type, plan.Where, 1); plan.Residual != nil {
			e.b.WriteString("  decided on the resource itself\n")
		}
		if e.err != nil {
			return e.err
		}
		fmt.Fprintf(&e.b, "strategy: %s; keys read: %d; candidates checked: %d; found: %d", x.Strategy, x.Read, x.Checked, x.Found)
		r.warnings = append(r.warnings, issue.Issue{Severity: issue.Information, Code: issue.Informational, ID: "search.explain", Text: e.b.String(), Offset: issue.NoOffset})
	}
	return nil
}

// explained is the arm of the i-th explanation: arms are asked in order, from
// the one where the page goes on.
func (r *request) explained(f *found, i int) int {
	if r.after != nil && len(r.arms[0].plan.Sort) == 0 {
		i += r.after.Arm
	}
	return min(i, len(r.arms)-1)
}

func (e *explainer) line(depth int, format string, args ...any) {
	e.b.WriteString(strings.Repeat("  ", depth))
	fmt.Fprintf(&e.b, format, args...)
	e.b.WriteByte('\n')
}

// tree writes x, which is about resources of typ.
func (e *explainer) tree(typ string, x search.Expr, depth int) {
	all := func(name string, typ string, of ...search.Expr) {
		e.line(depth, "%s", name)
		for _, x := range of {
			e.tree(typ, x, depth+1)
		}
	}
	in := func(scope string) string {
		if scope == "" {
			return ""
		}
		return " in " + strconv.Quote(scope)
	}
	switch x := x.(type) {
	case search.And:
		all("and", typ, x.Of...)
	case search.Or:
		all("or", typ, x.Of...)
	case search.Not:
		all("not", typ, x.Of)
	case search.ChainForward:
		all("by "+x.Param+" to "+x.Type+e.count(typ, x), x.Type, x.Where)
		e.check(x.Check, depth)
	case search.ChainReverse:
		all("named by "+x.Param+" of "+x.Type+e.count(typ, x), x.Type, x.Where)
		e.check(x.Check, depth)
	case search.Point:
		e.line(depth, "%s is a value%s%s", x.Key.Param, in(x.Key.Scope), e.count(typ, x))
	case search.Prefix:
		e.line(depth, "%s begins with a value%s%s", x.Key.Param, in(x.Key.Scope), e.count(typ, x))
	case search.Contains:
		e.line(depth, "%s contains a value%s", x.Param, e.count(typ, x))
	case search.Box:
		e.line(depth, "%s is in a range%s%s", x.Param, in(x.Scope), e.count(typ, x))
	case search.Present:
		e.line(depth, "%s is there%s", x.Param, e.count(typ, x))
	case search.IDs:
		e.line(depth, "%d ids%s", len(x.IDs), e.count(typ, x))
	default:
		e.line(depth, "all%s", e.count(typ, search.All{}))
	}
}

func (e *explainer) check(check func([]byte) (bool, error), depth int) {
	if check != nil {
		e.line(depth+1, "decided on the other resource itself")
	}
}

// count says how many resources of typ a leaf matches, as far as _total=estimate counts.
func (e *explainer) count(typ string, x search.Expr) string {
	if e.n++; e.err != nil || e.n > maxExplained {
		return ""
	}
	limit := e.s.limits.EstimateTotal
	t, err := e.s.store.Count(e.ctx, &search.Plan{Type: typ, Where: x}, limit)
	switch err = translate(err, "explain "+typ); {
	case issue.As(err) != nil:
		return ": too costly to count"
	case err != nil:
		e.err = err
		return ""
	case !t.Exact:
		return ": more than " + strconv.Itoa(limit)
	}
	return ": " + strconv.Itoa(t.N)
}
