package interaction

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"meridian/fhir/issue"
	"meridian/fhir/search"
	"meridian/server/store"
)

// SearchParams of a search of one type, by GET or POST.
type SearchParams struct {
	Type string
	// Query holds the decoded parameters, without _format and _pretty. _cursor,
	// the token of a link of ours, stands alone: the others are in it.
	Query []search.Pair
	// Lenient leaves out what is not understood and says so in the bundle.
	Lenient bool
}

// request is a search on its way.
type request struct {
	s        *Service
	typ      string
	query    *search.Query
	used     string // the query string of what was understood
	token    string // of the page asked for; empty for the first
	total    int    // carried by the cursor; -1 for none
	after    *search.Cursor
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
	if !IsResourceType(p.Type) {
		return dst, unknownType(p.Type)
	}
	r, err := s.request(&p)
	if err != nil {
		return dst, err
	}
	plan, err := s.registry.Compile(r.query)
	if err != nil {
		return dst, err
	}
	if r.shape.countOnly {
		t, err := s.store.Count(ctx, plan, 0)
		if err != nil {
			return dst, translate(err, "count "+p.Type)
		}
		r.total = t.N
		return r.append(dst, &store.Page{}, nil)
	}
	if r.explain {
		ctx = store.WithExplain(ctx)
	}
	plan.Limit, plan.After = r.shape.count, r.after
	page, err := s.store.Search(ctx, plan)
	if err != nil {
		return dst, translate(err, "search "+p.Type)
	}
	if err := r.countTotal(ctx, plan, &page); err != nil {
		return dst, translate(err, "count "+p.Type)
	}
	included, err := r.include(ctx, page.Rows)
	if err != nil {
		return dst, translate(err, "include")
	}
	if page.Explain != nil {
		r.warnings = append(r.warnings, explanation(page.Explain))
	}
	return r.append(dst, &page, included)
}

// request reads the parameters, from the cursor when there is one.
func (s *Service) request(p *SearchParams) (*request, error) {
	r := &request{s: s, typ: p.Type, total: -1}
	pairs, lenient := p.Query, p.Lenient
	for _, q := range p.Query {
		if q.Name != "_cursor" {
			continue
		}
		if len(p.Query) > 1 {
			return nil, cursorAlone()
		}
		text, err := s.cursors.open(q.Value, searchScope(s.registry.IndexVersion(), p.Type))
		if err != nil {
			return nil, cursorError()
		}
		var c searchCursor
		if err := c.parse(text); err != nil {
			return nil, cursorError()
		}
		r.token, r.total, r.after = q.Value, c.Total, &c.After
		if pairs, err = ParseQuery(c.Query); err != nil {
			return nil, cursorError()
		}
		lenient = false
		break
	}
	pairs, r.explain = takeExplain(pairs)
	var err error
	if r.query, r.warnings, err = s.registry.Parse(p.Type, pairs, lenient); err != nil {
		return nil, err
	}
	r.shape, err = s.shape(r.query)
	r.used = r.usedQuery()
	return r, err
}

// takeExplain takes _explain=true out of the parameters.
func takeExplain(pairs []search.Pair) (rest []search.Pair, explain bool) {
	for i, q := range pairs {
		if q.Name == "_explain" {
			rest = append(rest, pairs[:i]...)
			tail, _ := takeExplain(pairs[i+1:])
			return append(rest, tail...), q.Value == "true"
		}
	}
	return pairs, false
}

// countTotal finds Bundle.total as it was asked for. Without being asked it
// is given where it is known: when all matches stand on the first page.
func (r *request) countTotal(ctx context.Context, plan *search.Plan, page *store.Page) error {
	if r.token != "" || r.shape.total == search.TotalNone {
		return nil // later pages show the first page's total
	}
	if !page.More {
		r.total = len(page.Rows)
		return nil
	}
	limit := 0
	switch r.shape.total {
	case "":
		return nil
	case search.TotalEstimate:
		limit = r.s.limits.EstimateTotal
	}
	counted := *plan
	counted.After, counted.Limit = nil, 0
	t, err := r.s.store.Count(ctx, &counted, limit)
	if err != nil {
		return err
	}
	if r.total = t.N; !t.Exact {
		r.warnings = append(r.warnings, issue.Issue{Severity: issue.Information, Code: issue.Informational, ID: "search.total-estimate", Offset: issue.NoOffset,
			Text: "there are more than " + strconv.Itoa(t.N) + " matches; _total=accurate counts them"})
	}
	return nil
}

func explanation(x *store.Explain) issue.Issue {
	text := fmt.Sprintf("strategy: %s; keys read: %d; candidates checked: %d; found: %d", x.Strategy, x.Read, x.Checked, x.Found)
	if x.Plan != "" {
		text += "\n" + x.Plan
	}
	return issue.Issue{Severity: issue.Information, Code: issue.Informational, ID: "search.explain", Text: text, Offset: issue.NoOffset}
}

// append writes the bundle.
func (r *request) append(dst []byte, page *store.Page, included []store.Resource) ([]byte, error) {
	dst = append(dst, `{"resourceType":"Bundle","type":"searchset"`...)
	if r.total >= 0 {
		dst = strconv.AppendInt(append(dst, `,"total":`...), int64(r.total), 10)
	}
	dst, err := r.appendLinks(dst, page)
	if err != nil {
		return dst, err
	}
	w := entryWriter{r: r, dst: dst}
	for i := range page.Rows {
		if err := w.resource(&page.Rows[i].Resource, "match"); err != nil {
			return dst, err
		}
	}
	for i := range included {
		if err := w.resource(&included[i], "include"); err != nil {
			return dst, err
		}
	}
	if len(r.warnings) > 0 {
		w.outcome(r.warnings)
	}
	if w.n > 0 {
		w.dst = append(w.dst, ']')
	}
	return append(w.dst, '}'), nil
}

// appendLinks: self says what was used, and on a later page which one it is.
func (r *request) appendLinks(dst []byte, page *store.Page) ([]byte, error) {
	path := r.s.base + "/" + r.typ
	first := path
	if r.used != "" {
		first += "?" + r.used
	}
	self := first
	if r.token != "" {
		self = path + "?_cursor=" + r.token
	}
	dst = appendLink(append(dst, `,"link":[`...), "self", self)
	dst = appendLink(append(dst, ','), "first", first)
	if page.More && len(page.Rows) > 0 {
		c := searchCursor{Query: r.used, Total: r.total, After: page.Rows[len(page.Rows)-1].At}
		if r.explain {
			c.Query = strings.TrimPrefix(c.Query+"&_explain=true", "&")
		}
		token := r.s.cursors.seal(c.append(nil), searchScope(r.s.registry.IndexVersion(), r.typ))
		if len(token) > maxCursor {
			return dst, issue.New(issue.TooCostly, "search.too-long", "the parameters are too long for a link to the next page: ask for fewer values, or with _count for all that match", "").WithStatus(400)
		}
		dst = appendLink(append(dst, ','), "next", path+"?_cursor="+token)
	}
	return append(dst, ']'), nil
}

// entryWriter appends the entries of a searchset.
type entryWriter struct {
	r   *request
	dst []byte
	n   int
}

func (w *entryWriter) next() {
	if w.n == 0 {
		w.dst = append(w.dst, `,"entry":[`...)
	} else {
		w.dst = append(w.dst, ',')
	}
	w.n++
}

func (w *entryWriter) resource(res *store.Resource, mode string) (err error) {
	w.next()
	w.dst = w.r.s.appendFullURL(append(w.dst, `{"fullUrl":"`...), res)
	w.dst = append(w.dst, `","resource":`...)
	if sub := &w.r.shape.subset; sub.all() || mode == "include" && len(sub.elements) > 0 {
		w.dst = append(w.dst, res.Body...)
	} else if w.dst, err = w.r.s.appendSubset(w.dst, res.Body, sub); err != nil {
		return err
	}
	w.dst = append(append(append(w.dst, `,"search":{"mode":"`...), mode...), `"}}`...)
	return nil
}

func (w *entryWriter) outcome(issues []issue.Issue) {
	w.next()
	w.dst = AppendOutcome(append(w.dst, `{"resource":`...), issues)
	w.dst = append(w.dst, `,"search":{"mode":"outcome"}}`...)
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
	for _, p := range pairs {
		if p.Name == "_cursor" {
			return true
		}
	}
	return false
}
