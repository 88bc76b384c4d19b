package interaction

import (
	"context"
	"strconv"
	"strings"

	"meridian/fhir/issue"
	"meridian/fhir/search"
	"meridian/server/store"
)

// include follows _include and _revinclude of a page, one level: one ReadMany
// for all that the matches refer to, one search for each _revinclude and 500 matches. What the
// limit leaves out is told by a warning.
//
// https://hl7.org/fhir/R4/search.html#revinclude
func (r *request) include(ctx context.Context, rows []store.Row) ([]store.Resource, error) {
	if len(rows) == 0 || len(r.query.Includes) == 0 && len(r.query.RevIncludes) == 0 {
		return nil, nil
	}
	in := includer{r: r, limit: r.s.limits.MaxIncludes, seen: make(map[store.Key]bool, 2*len(rows))}
	for i := range rows {
		in.seen[rows[i].Key] = true
	}
	for _, inc := range r.query.Includes {
		in.elements |= inc.Param.Elements()
	}
	if err := in.forward(ctx, rows); err != nil {
		return nil, err
	}
	for _, inc := range r.query.RevIncludes {
		if err := in.reverse(ctx, rows, inc); err != nil {
			return nil, err
		}
	}
	if in.cut {
		r.warnings = append(r.warnings, issue.Issue{Severity: issue.Warning, Code: issue.Incomplete, ID: "search.include-limit", Offset: issue.NoOffset,
			Text: "this page includes the limit of " + strconv.Itoa(in.limit) + " resources and leaves further ones out; ask for smaller pages with _count"})
	}
	return in.found, nil
}

// includer collects what a page includes, each resource once.
type includer struct {
	r     *request
	limit int
	seen  map[store.Key]bool
	found []store.Resource
	cut   bool
	// elements of the matches' type that _include looks at, see search.Param.Elements
	elements uint64
}

// forward reads what the matches refer to.
func (in *includer) forward(ctx context.Context, rows []store.Row) error {
	if len(in.r.query.Includes) == 0 {
		return nil
	}
	var keys []store.Key
	for i := range rows {
		var err error
		if keys, err = in.references(keys, &rows[i].Resource); err != nil {
			return err
		}
	}
	if len(keys) > in.limit {
		keys, in.cut = keys[:in.limit], true
	}
	if len(keys) == 0 {
		return nil
	}
	got, err := in.r.s.store.ReadMany(ctx, keys)
	if err != nil {
		return err
	}
	for _, res := range got {
		if res.Body != nil {
			in.found = append(in.found, res)
		}
	}
	return nil
}

// references adds to keys what one match refers to and is not in the bundle
// yet. Of its body only the elements that the includes look at are read.
func (in *includer) references(keys []store.Key, res *store.Resource) ([]store.Key, error) {
	s := in.r.s
	p := s.stored.Get()
	defer s.stored.Put(p)
	tree, err := p.ParseElements(res.Body, in.elements)
	if err != nil {
		return nil, err
	}
	for _, inc := range in.r.query.Includes {
		for _, ref := range s.registry.References(tree.Root(), inc.Param, inc.Target) {
			key := store.Key{Type: ref.Type, ID: ref.ID}
			if !ref.Local() || in.seen[key] {
				continue
			}
			in.seen[key] = true
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// reverse searches what refers to the matches.
func (in *includer) reverse(ctx context.Context, rows []store.Row, inc search.Include) error {
	for len(rows) > 0 {
		n := min(len(rows), reverseAtOnce)
		if err := in.reverseSome(ctx, rows[:n], inc); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// reverseAtOnce is how many matches one search for a _revinclude names, so
// that their addresses stay below search.MaxQueryValue.
const reverseAtOnce = 500

func (in *includer) reverseSome(ctx context.Context, rows []store.Row, inc search.Include) error {
	room := in.limit - len(in.found)
	if room <= 0 {
		in.cut = true
		return nil
	}
	var value strings.Builder
	for i := range rows {
		if i > 0 {
			value.WriteByte(',')
		}
		value.WriteString(keyPath(rows[i].Key))
	}
	q, _, err := in.r.s.registry.Parse(inc.Source, []search.Pair{{Name: inc.Param.Code, Value: value.String()}}, false)
	if err != nil {
		return err
	}
	plan, err := in.r.s.registry.Compile(q)
	if err != nil {
		return err
	}
	plan.Limit = room
	page, err := in.r.s.store.Search(ctx, plan)
	if err != nil {
		return err
	}
	in.cut = in.cut || page.More
	for i := range page.Rows {
		if key := page.Rows[i].Key; !in.seen[key] {
			in.seen[key] = true
			in.found = append(in.found, page.Rows[i].Resource)
		}
	}
	return nil
}
