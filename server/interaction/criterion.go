package interaction

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"meridian/fhir/issue"
	"meridian/fhir/search"
	"meridian/server/store"
)

// A criterion is the search of a conditional interaction or reference.
type criterion struct {
	query *search.Query
	plan  *search.Plan // Limit 2: none, one or several is all that is asked
	key   string       // equal for equal criteria
}

// criterion parses a query string such as identifier=urn:x|1. It is always
// strict, and only parameters that select are allowed: one left out would match too much.
func (s *Service) criterion(typ, query string) (*criterion, error) {
	query, err := s.bareQuery(typ, query)
	if err != nil {
		return nil, err
	}
	pairs, err := ParseQuery(query)
	if err != nil {
		return nil, err
	}
	for _, p := range pairs {
		if isResultParam(p.Name) {
			return nil, issue.New(issue.Invalid, "condition.parameter", search.Shown(p.Name)+" does not select and has no place in a condition", "")
		}
	}
	if len(pairs) == 0 {
		return nil, issue.New(issue.Required, "condition.empty", "the condition names no search parameter", "")
	}
	q, left, err := s.registry.Parse(typ, pairs, false)
	if err != nil {
		return nil, err
	}
	if len(left) > 0 {
		return nil, issue.New(issue.Required, "condition.empty", "a condition uses all of its parameters, but "+left[0].Text, "")
	}
	plan, err := s.registry.Compile(q)
	if err != nil {
		return nil, err
	}
	plan.Limit = 2
	plan.Sort, plan.After = nil, nil
	return &criterion{query: q, plan: plan, key: search.UnlessKey(q)}, nil
}

// bareQuery takes off what some clients send before the `?` of a condition:
// nothing, the type, or the whole address (HAPI's client does). Another address would be
// another condition, so it is refused. Issue code: value.
func (s *Service) bareQuery(typ, query string) (string, error) {
	address, rest, found := strings.Cut(query, "?")
	if !found || strings.Contains(address, "=") {
		return query, nil
	}
	if address != "" && address != typ && address != "/"+typ && address != s.base+"/"+typ {
		return "", issue.New(issue.Value, "condition.address", "the condition is of another address than "+s.base+"/"+typ, "")
	}
	return rest, nil
}

// match gives none, one, or two of the matches.
func (s *Service) match(ctx context.Context, c *criterion) ([]store.Row, error) {
	if err := s.whole(ctx, c.query); err != nil {
		return nil, err
	}
	page, err := s.store.Search(ctx, c.plan)
	return page.Rows, err
}

// whole fails where a hierarchy that a query follows goes further than the query does. Issue code: too-costly (400).
func (s *Service) whole(ctx context.Context, q *search.Query) error {
	for _, beyond := range q.Beyond {
		plan, err := s.registry.Compile(beyond)
		if err != nil {
			return err
		}
		plan.Limit = 1
		page, err := s.store.Search(ctx, plan)
		if err != nil {
			return translate(err, "search "+beyond.Type)
		}
		if len(page.Rows) > 0 {
			return issue.New(issue.TooCostly, "search.hierarchy", "the hierarchy of "+beyond.Type+" goes on for more than "+strconv.Itoa(search.MaxHierarchy)+
				" levels there, or in a circle: :above and :below would not find all", "").WithStatus(http.StatusBadRequest)
		}
	}
	return nil
}

// isResultParam says that a parameter shapes the answer and selects nothing.
// https://hl7.org/fhir/R4/search.html#table
func isResultParam(name string) bool {
	name, _, _ = strings.Cut(name, ":")
	switch name {
	case "_sort", "_count", "_include", "_revinclude", "_summary", "_total", "_elements", "_contained", "_containedType",
		"_explain", "_cursor":
		return true
	}
	return false
}

// ParseQuery decodes a query string into its pairs, in order. Issue code: value.
func ParseQuery(raw string) ([]search.Pair, error) {
	if raw == "" {
		return nil, nil
	}
	pairs := make([]search.Pair, 0, strings.Count(raw, "&")+1)
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		n, err1 := url.QueryUnescape(name)
		v, err2 := url.QueryUnescape(value)
		if err1 != nil || err2 != nil {
			return nil, issue.New(issue.Value, "query.escape", "the query string has an invalid %-escape", "")
		}
		pairs = append(pairs, search.Pair{Name: n, Value: v})
	}
	return pairs, nil
}
