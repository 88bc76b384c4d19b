package interaction

import (
	"net/url"
	"strconv"
	"strings"

	"meridian/fhir/issue"
	"meridian/fhir/search"
)

// shape is how the answer of a search should look.
type shape struct {
	count     int
	countOnly bool
	total     search.Total
	subset    subset
}

// shape reads the result parameters of a query. Issue codes: invalid, for two
// that exclude each other; value, for a _count over the limit, which a lenient
// search takes for the limit.
func (s *Service) shape(q *search.Query, lenient bool) (shape, error) {
	sh := shape{count: q.Count, total: q.Total, subset: subset{summary: q.Summary, elements: q.Elements}}
	switch {
	case q.Count < 0:
		sh.count = s.limits.PageSize
	case q.Count == 0:
		sh.countOnly = true // https://hl7.org/fhir/R4/search.html#count
	case q.Count > s.limits.MaxPageSize:
		if err := s.limits.CheckCount("_count", q.Count); err != nil && !lenient {
			return sh, err
		}
		sh.count = s.limits.MaxPageSize
	}
	sh.countOnly = sh.countOnly || q.Summary == search.SummaryCount
	includes := len(q.Includes) + len(q.RevIncludes)
	if q.Summary == search.SummaryText && includes > 0 {
		return sh, issue.New(issue.Invalid, "search.summary-include", "_summary=text and _include exclude each other", "").WithStatus(400)
	}
	if len(q.Elements) > 0 && !(q.Summary == "" || q.Summary == search.SummaryFalse) {
		return sh, issue.New(issue.Invalid, "search.summary-elements", "_summary and _elements exclude each other", "").WithStatus(400)
	}
	return sh, nil
}

// CheckCount refuses a page of more than MaxPageSize resources; name is the
// parameter that asks for it. Issue code: value, status 400.
func (l *Limits) CheckCount(name string, n int) error {
	if n <= l.MaxPageSize {
		return nil
	}
	return issue.New(issue.Value, "count.too-large", name+" is at most "+strconv.Itoa(l.MaxPageSize)+" here, what is more follows by the next link", "").WithStatus(400)
}

// usedQuery is the query string of what was understood: the self link. A
// _count over the limit stands in it as it was cut, _type where types were named.
func (r *request) usedQuery(types []string) string {
	var b strings.Builder
	used := r.query.Canonical()
	if r.typed {
		used = append([]search.Pair{{Name: "_type", Value: strings.Join(types, ",")}}, used...)
	}
	for _, p := range used {
		if p.Name == "_format" || p.Name == "_pretty" {
			continue
		}
		if p.Name == "_count" && r.query.Count > r.shape.count {
			p.Value = strconv.Itoa(r.shape.count)
		}
		if b.Len() > 0 {
			b.WriteByte('&')
		}
		b.WriteString(escapeQuery(p.Name))
		b.WriteByte('=')
		b.WriteString(escapeQuery(p.Value))
	}
	return b.String()
}

// escapeQuery escapes for a query string and leaves readable what FHIR uses
// much and RFC 3986 allows there.
func escapeQuery(s string) string {
	return readable.Replace(url.QueryEscape(s))
}

var readable = strings.NewReplacer("%3A", ":", "%2C", ",", "%2F", "/", "%24", "$")
