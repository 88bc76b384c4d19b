package interaction

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"meridian/fhir/issue"
	"meridian/fhir/schema"
	"meridian/fhir/search"
	"meridian/server/store"
)

// SearchParams of a search by GET or POST: of one type, of several, or of a compartment.
type SearchParams struct {
	// Type is what is searched. Empty: the types that _type names, else all
	// that the compartment has, else all that there are.
	Type string
	// Compartment, when its ID is not empty, narrows to what belongs to a resource: GET /Patient/1/Observation.
	Compartment store.Key
	// Query holds the decoded parameters, without _format and _pretty. _cursor,
	// the token of a link of ours, stands alone: the others are in it.
	Query []search.Pair
	// Lenient leaves out what is not understood and says so in the bundle.
	Lenient bool
}

// path is the address below the base, as it stands in links.
func (p *SearchParams) path() string {
	switch {
	case p.Compartment.ID == "" && p.Type == "":
		return ""
	case p.Compartment.ID == "":
		return "/" + p.Type
	case p.Type == "":
		return "/" + keyPath(p.Compartment) + "/*"
	}
	return "/" + keyPath(p.Compartment) + "/" + p.Type
}

// searchable says whether the address of a search names what can be searched.
func (p *SearchParams) searchable() error {
	switch {
	case p.Type != "" && !IsResourceType(p.Type):
		return unknownType(p.Type)
	case p.Compartment.ID == "":
	case !IsResourceType(p.Compartment.Type):
		return unknownType(p.Compartment.Type)
	case !search.IsCompartment(p.Compartment.Type):
		return issue.New(issue.NotSupported, "search.compartment", "there is no compartment of type "+p.Compartment.Type+", it is one of Patient, Encounter, Practitioner, RelatedPerson and Device", "").WithStatus(400)
	}
	return nil
}

// request is a search on its way.
type request struct {
	s        *Service
	path     string
	arms     []arm         // one for each type
	query    *search.Query // of the first arm: the result parameters are those of all
	used     string        // the query string of what was understood
	token    string        // of the page asked for; empty for the first
	total    int           // carried by the cursor; -1 for none
	after    *rowPlace
	trail    []byte // of its cursor
	rest     *rest  // more includes of a page are asked for
	typed    bool   // _type names the types
	explain  bool
	shape    shape
	warnings []issue.Issue
}

// Search appends a searchset bundle to dst. Issue codes: those of
// search.Parse; value for a cursor that is not ours; too-costly.
//
// A page resumes after the last row of the one before, in the order of the
// search: a resource that matches throughout a walk stands in it exactly once.
//
// https://hl7.org/fhir/R4/search.html
func (s *Service) Search(ctx context.Context, dst []byte, p SearchParams) ([]byte, error) {
	r, err := s.request(&p)
	if err != nil {
		return dst, err
	}
	ctx, watch := s.watchSearch(ctx, r)
	defer watch.end()
	for i := range r.arms {
		if err := s.whole(ctx, r.arms[i].query); err != nil {
			return dst, err
		}
	}
	if r.shape.countOnly {
		t, err := r.count(ctx, 0)
		if err != nil {
			return dst, err
		}
		r.total = t.N
		return r.append(dst, &answer{})
	}
	a, err := r.answer(ctx)
	if err != nil {
		return dst, err
	}
	if r.explain {
		if err := r.explanation(ctx, &a.found); err != nil {
			return dst, err
		}
	}
	return r.append(dst, a)
}

// answer is what a bundle shows.
type answer struct {
	found
	includes
}

// answer finds the page, its total and what it includes. When more includes of
// a page are asked for, its matches are found again, to follow them, and not shown.
func (r *request) answer(ctx context.Context) (*answer, error) {
	a := &answer{}
	var err error
	of := ctx
	if r.explain {
		of = store.WithExplain(ctx)
	}
	if a.found, err = r.page(of, r.after, r.shape.count); err != nil {
		return nil, err
	}
	if r.rest != nil {
		if err := r.until(ctx, &a.found); err != nil {
			return nil, err
		}
	}
	if err := r.countTotal(ctx, &a.found); err != nil {
		return nil, err
	}
	a.includes, err = r.include(ctx, a.rows)
	return a, err
}

// until finds the rows up to the end of a page that was shown before, also where
// others have come in between; those behind belong to the next page.
func (r *request) until(ctx context.Context, f *found) error {
	sort, end := r.arms[0].plan.Sort, r.rest.End
	for f.more && len(f.rows) < r.s.limits.MaxPageSize && end != nil && !f.last().reaches(end, sort) {
		next, err := r.page(ctx, f.last(), r.shape.count)
		if err != nil {
			return err
		}
		f.rows, f.arms, f.more = append(f.rows, next.rows...), append(f.arms, next.arms...), next.more
	}
	n := len(f.rows)
	for n > 0 && end != nil && f.place(n-1).behind(end, sort) {
		n--
	}
	f.rows, f.arms, f.more = f.rows[:n], f.arms[:n], r.rest.More
	return nil
}

// request reads the parameters, from the cursor when there is one.
func (s *Service) request(p *SearchParams) (*request, error) {
	if err := p.searchable(); err != nil {
		return nil, err
	}
	r := &request{s: s, path: p.path(), total: -1}
	var err error
	pairs, lenient := p.Query, p.Lenient
	if hasCursor(pairs) {
		c, err := s.openCursor(pairs, r.path)
		if err != nil {
			return nil, err
		}
		r.token, r.total, r.after, r.trail, r.rest = pairs[0].Value, c.Total, c.After, c.Trail, c.Rest
		if pairs, err = ParseQuery(c.Query); err != nil {
			return nil, cursorError()
		}
		lenient = false
	}
	if pairs, r.explain, err = takeExplain(pairs); err != nil {
		return nil, err
	}
	r.typed = slices.ContainsFunc(pairs, func(q search.Pair) bool { return q.Name == "_type" })
	types, pairs, err := s.searchedTypes(p, pairs)
	if err != nil {
		return nil, err
	}
	if err := r.parse(p, types, pairs, lenient); err != nil {
		return nil, err
	}
	if r.after != nil && r.after.Arm >= len(r.arms) {
		return nil, cursorError()
	}
	if r.shape, err = s.shape(r.query, lenient || r.token != ""); err != nil {
		return nil, err
	}
	r.used = r.usedQuery(types)
	return r, nil
}

func (s *Service) openCursor(pairs []search.Pair, path string) (c searchCursor, err error) {
	if len(pairs) > 1 {
		return c, cursorAlone()
	}
	text, err := s.cursors.open(pairs[0].Value, searchScope(s.registry.IndexVersion(), path))
	if err != nil || c.parse(text) != nil {
		return c, cursorError()
	}
	return c, nil
}

// parse reads the query for each type and compiles it.
func (r *request) parse(p *SearchParams, types []string, pairs []search.Pair, lenient bool) error {
	queries, warnings, err := r.s.registry.ParseAll(types, pairs, lenient)
	if err != nil {
		return err
	}
	r.warnings = warnings
	for _, q := range queries {
		if p.Compartment.ID != "" {
			in, ok := r.s.registry.InCompartment(q, p.Compartment.Type, p.Compartment.ID)
			if !ok {
				return notInCompartment(q.Type, p.Compartment.Type)
			}
			q = in
		}
		plan, err := r.s.registry.Compile(q)
		if err != nil {
			return err
		}
		r.arms = append(r.arms, arm{query: q, plan: plan})
	}
	r.query = r.arms[0].query
	if r.query.Contained != nil {
		return r.contained(p)
	}
	if p.Type == "" && p.Compartment.ID == "" && len(types) == len(schema.ResourceTypes()) && len(r.query.Criteria) == 0 {
		return issue.New(issue.TooCostly, "search.everything", "a search of all resource types needs a criterion (_id, _lastUpdated, _tag, _profile, _security, _source) or _type", "").WithStatus(400)
	}
	return nil
}

func notInCompartment(typ, of string) error {
	return issue.New(issue.NotSupported, "search.compartment", "resources of type "+typ+" are in no "+of+" compartment", "").WithStatus(400)
}

// searchedTypes are the types that a search is about, in the order of its
// answer; _type is taken out of the parameters.
//
// https://hl7.org/fhir/R4/http.html#search
func (s *Service) searchedTypes(p *SearchParams, pairs []search.Pair) (types []string, rest []search.Pair, err error) {
	if p.Type != "" {
		return []string{p.Type}, pairs, nil
	}
	all := schema.ResourceTypes()
	if p.Compartment.ID != "" {
		all = search.CompartmentTypes(p.Compartment.Type)
	}
	for _, q := range pairs {
		if q.Name != "_type" {
			rest = append(rest, q)
			continue
		}
		for typ := range strings.SplitSeq(q.Value, ",") {
			switch {
			case !IsResourceType(typ):
				text := "_type: there is no such resource type"
				if near := search.Nearest(typ, all); near != "" {
					text += "; did you mean " + strconv.Quote(near) + "?"
				}
				return nil, nil, issue.New(issue.Value, "search.type", text, "").WithStatus(400)
			case !slices.Contains(all, typ):
				return nil, nil, notInCompartment(typ, p.Compartment.Type)
			case !slices.Contains(types, typ):
				types = append(types, typ)
			}
		}
	}
	if types == nil {
		types = all
		if p.Compartment.ID == "" {
			err = commonOnly(rest)
		}
	}
	return types, rest, err
}

// commonOnly: without _type only what is defined for every resource can be asked.
func commonOnly(pairs []search.Pair) error {
	for _, q := range pairs {
		if !strings.HasPrefix(q.Name, "_") {
			return issue.New(issue.NotSupported, "search.everything", "a search of all resource types asks by parameters of every resource (_id, _lastUpdated, _tag, _profile, _security, _source); name types with _type to ask by others", "").WithStatus(400)
		}
	}
	return nil
}

// takeExplain takes _explain out of the parameters. Issue code: value, for what is neither true nor false.
func takeExplain(pairs []search.Pair) (rest []search.Pair, explain bool, err error) {
	if !slices.ContainsFunc(pairs, isExplain) {
		return pairs, false, nil
	}
	for _, q := range pairs {
		switch {
		case !isExplain(q):
			rest = append(rest, q)
		case q.Value != "true" && q.Value != "false":
			return nil, false, issue.New(issue.Value, "search.explain", "_explain is true or false", "")
		default:
			explain = explain || q.Value == "true"
		}
	}
	return rest, explain, nil
}

func isExplain(q search.Pair) bool { return q.Name == "_explain" }

// countTotal finds Bundle.total as it was asked for. Without being asked it
// is given where it is known: when all matches stand on the first page.
func (r *request) countTotal(ctx context.Context, f *found) error {
	if r.token != "" || r.shape.total == search.TotalNone {
		return nil // later pages show the first page's total
	}
	if !f.more {
		r.total = len(f.rows)
		return nil
	}
	limit := 0
	switch r.shape.total {
	case "":
		return nil
	case search.TotalEstimate:
		limit = r.s.limits.EstimateTotal
	}
	t, err := r.count(ctx, limit)
	if err != nil {
		return err
	}
	if r.total = t.N; !t.Exact {
		r.warnings = append(r.warnings, issue.Issue{Severity: issue.Information, Code: issue.Informational, ID: "search.total-estimate", Offset: issue.NoOffset,
			Text: "there are more than " + strconv.Itoa(t.N) + " matches; _total=accurate counts them"})
	}
	return nil
}

// withoutFormat leaves out what only HTTP understands, from the url of a bundle entry.
func withoutFormat(pairs []search.Pair) []search.Pair {
	var kept []search.Pair
	for _, p := range pairs {
		if p.Name != "_format" && p.Name != "_pretty" {
			kept = append(kept, p)
		}
	}
	return kept
}

func hasCursor(pairs []search.Pair) bool {
	return slices.ContainsFunc(pairs, func(p search.Pair) bool { return p.Name == "_cursor" })
}
