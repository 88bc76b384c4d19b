package mongostore

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"

	"meridian/fhir/search"
)

// scoped is the form of a posting with a scope: it has a bare |.
const scoped = `^(?:[^\\|]|\\.)*\|`

// compiler turns a plan's tree, free of chains, into one filter. More gives
// for a leaf the documents whose overflow documents have it.
type compiler struct {
	typ  string
	more map[string][]string // key of the leaf's filter → document ids
	// leaves collects the filters of the leaves that read postings.
	leaves []bson.D
}

// leafKey identifies the filter of a leaf. It stands on BSON, whose bytes are one for one with the filter.
func leafKey(f bson.D) (string, error) {
	raw, err := bson.Marshal(f)
	if err != nil {
		return "", fmt.Errorf("mongostore: encode a filter: %w", err)
	}
	return string(raw), nil
}

// filter is the whole filter of e; tombstones, which have no postings, are
// kept out by name only where e does not ask for a posting.
func (c *compiler) filter(e search.Expr) (bson.D, error) {
	f, err := c.expr(e)
	if err != nil || needsPosting(e) {
		return f, err
	}
	return conjunction(f, bson.D{{Key: "del", Value: nil}}), nil
}

func (c *compiler) expr(e search.Expr) (bson.D, error) {
	switch e := e.(type) {
	case nil, search.All:
		return bson.D{}, nil
	case search.Point:
		return c.leaf(bson.D{{Key: "k", Value: postingText(e.Key)}})
	case search.Prefix:
		return c.leaf(bson.D{{Key: "k", Value: elemMatch(prefixBounds(e.Key))}})
	case search.Contains:
		return c.leaf(bson.D{{Key: "k", Value: containsPattern(e)}})
	case search.Box:
		return c.leaf(bson.D{{Key: "r", Value: elemMatch(boxBounds(e))}})
	case search.Present:
		p := paramText(e.Param)
		return c.leaf(bson.D{{Key: "k", Value: elemMatch(bson.D{{Key: "$gte", Value: p}, {Key: "$lt", Value: successor(p)}})}})
	case search.IDs:
		ids := make(bson.A, len(e.IDs))
		for i, id := range e.IDs {
			ids[i] = c.typ + "/" + id
		}
		return bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}}, nil
	case search.And:
		return c.and(e)
	case search.Or:
		return c.or(e)
	case search.Not:
		of, err := c.expr(e.Of)
		if err != nil {
			return nil, err
		}
		return bson.D{{Key: "$nor", Value: bson.A{of}}}, nil
	}
	return nil, fmt.Errorf("mongostore: a plan has a leaf %T that is not known here", e)
}

// leaf adds to f the documents whose overflow documents have it.
func (c *compiler) leaf(f bson.D) (bson.D, error) {
	c.leaves = append(c.leaves, f)
	if len(c.more) == 0 {
		return f, nil
	}
	key, err := leafKey(f)
	if err != nil {
		return nil, err
	}
	if ids := c.more[key]; len(ids) > 0 {
		return bson.D{{Key: "$or", Value: bson.A{f, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}}}}}, nil
	}
	return f, nil
}

func (c *compiler) and(e search.And) (bson.D, error) {
	of := slices.Clone(e.Of)
	slices.SortStableFunc(of, func(a, b search.Expr) int { return cost(a) - cost(b) })
	var all bson.A
	for _, x := range of {
		f, err := c.expr(x)
		if err != nil {
			return nil, err
		}
		if len(f) > 0 {
			all = append(all, f)
		}
	}
	switch len(all) {
	case 0:
		return bson.D{}, nil
	case 1:
		return all[0].(bson.D), nil
	}
	return bson.D{{Key: "$and", Value: all}}, nil
}

// or joins points into one $in, which the server merges in the order of numbers.
func (c *compiler) or(e search.Or) (bson.D, error) {
	var points, all bson.A
	for _, x := range e.Of {
		f, err := c.expr(x)
		if err != nil {
			return nil, err
		}
		if _, isPoint := x.(search.Point); isPoint && f[0].Key == "k" {
			points = append(points, f[0].Value)
			continue
		}
		all = append(all, f)
	}
	if len(points) > 0 {
		all = append(all, bson.D{{Key: "k", Value: bson.D{{Key: "$in", Value: points}}}})
	}
	switch len(all) {
	case 0:
		return nothing(), nil
	case 1:
		return all[0].(bson.D), nil
	}
	return bson.D{{Key: "$or", Value: all}}, nil
}

// nothing is a filter that no document passes.
func nothing() bson.D {
	return bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: bson.A{}}}}}
}

func elemMatch(bounds bson.D) bson.D { return bson.D{{Key: "$elemMatch", Value: bounds}} }

// prefixBounds are the postings of a scope whose value begins with k.Value.
// Without a scope the scoped postings of the parameter that begin alike are left out by their form.
func prefixBounds(k search.Key) bson.D {
	p := postingText(k)
	bounds := bson.D{{Key: "$gte", Value: p}, {Key: "$lt", Value: successor(p)}}
	if k.Scope == "" {
		bounds = append(bounds, bson.E{Key: "$not", Value: bson.Regex{Pattern: scoped, Options: "s"}})
	}
	return bounds
}

// containsPattern is a text in the value of a posting of a parameter, with or
// without a scope: behind the text no bare bar follows, so it is not in the scope.
func containsPattern(e search.Contains) bson.Regex {
	return bson.Regex{
		Pattern: "^" + regexp.QuoteMeta(paramText(e.Param)) +
			`(?:(?:[^\\|]|\\.)*\|)?(?:[^\\|]|\\.)*` + regexp.QuoteMeta(escape(e.Text)) + `(?:[^\\|]|\\.)*\z`,
		Options: "s",
	}
}

// boxBounds are the bounds of one element of r.
func boxBounds(b search.Box) bson.D {
	bounds := bson.D{{Key: "p", Value: scopeText(b.Param, b.Scope)}}
	for _, side := range []struct{ field, lo, hi string }{{"lo", b.LoMin, b.LoMax}, {"hi", b.HiMin, b.HiMax}} {
		var d bson.D
		if side.lo != "" {
			d = append(d, bson.E{Key: "$gte", Value: side.lo})
		}
		if side.hi != "" {
			d = append(d, bson.E{Key: "$lt", Value: side.hi})
		}
		if len(d) > 0 {
			bounds = append(bounds, bson.E{Key: side.field, Value: d})
		}
	}
	return bounds
}

// conjunction is both filters.
func conjunction(filters ...bson.D) bson.D {
	var all bson.A
	for _, f := range filters {
		if len(f) > 0 {
			all = append(all, f)
		}
	}
	switch len(all) {
	case 0:
		return bson.D{}
	case 1:
		return all[0].(bson.D)
	}
	return bson.D{{Key: "$and", Value: all}}
}

// needsPosting says whether no resource without postings matches e.
func needsPosting(e search.Expr) bool {
	switch e := e.(type) {
	case search.Point, search.Prefix, search.Contains, search.Box, search.Present:
		return true
	case search.And:
		return slices.ContainsFunc(e.Of, needsPosting)
	case search.Or:
		return !slices.ContainsFunc(e.Of, func(x search.Expr) bool { return !needsPosting(x) })
	}
	return false
}

// cost orders the criteria of a conjunction: only the first on the postings
// index bounds the scan, the others are checked on the document. Among points
// the longest text is likely the rarest: an identifier before a code, a code
// with its system before a status.
func cost(e search.Expr) int {
	const long = 2 * search.MaxValue
	switch e := e.(type) {
	case search.IDs:
		return 0
	case search.Point:
		return long - min(len(e.Key.Scope)+len(e.Key.Value), long-1)
	case search.Or:
		worst := long + 1
		for _, x := range e.Of {
			worst = max(worst, cost(x))
		}
		return worst
	case search.And:
		best := 10 * long
		for _, x := range e.Of {
			best = min(best, cost(x))
		}
		return best
	case search.Box:
		return 2 * long
	case search.Prefix:
		return 3 * long
	case search.Contains:
		return 4 * long
	case search.Present:
		return 5 * long
	}
	return 10 * long
}

// planText is a plan's tree for people, one leaf a line, without values.
func planText(e search.Expr) string {
	var b strings.Builder
	writePlan(&b, e, 0)
	return b.String()
}

func writePlan(b *strings.Builder, e search.Expr, depth int) {
	line := func(format string, args ...any) {
		fmt.Fprintf(b, "%s"+format+"\n", append([]any{strings.Repeat("  ", depth)}, args...)...)
	}
	switch e := e.(type) {
	case nil, search.All:
		line("all")
	case search.Point:
		line("point %s", e.Key.Param)
	case search.Prefix:
		line("prefix %s", e.Key.Param)
	case search.Contains:
		line("contains %s", e.Param)
	case search.Box:
		line("box %s", e.Param)
	case search.Present:
		line("present %s", e.Param)
	case search.IDs:
		line("ids (%d)", len(e.IDs))
	case search.And:
		line("and")
		for _, x := range e.Of {
			writePlan(b, x, depth+1)
		}
	case search.Or:
		line("or")
		for _, x := range e.Of {
			writePlan(b, x, depth+1)
		}
	case search.Not:
		line("not")
		writePlan(b, e.Of, depth+1)
	case search.ChainForward:
		line("chain %s to %s", e.Param, e.Type)
		writePlan(b, e.Where, depth+1)
	case search.ChainReverse:
		line("reverse chain from %s %s", e.Type, e.Param)
		writePlan(b, e.Where, depth+1)
	}
}
