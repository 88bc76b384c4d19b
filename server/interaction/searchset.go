package interaction

import (
	"strconv"
	"strings"

	"meridian/fhir/issue"
	"meridian/fhir/search"
	"meridian/server/store"
)

// append writes the bundle.
func (r *request) append(dst []byte, a *answer) ([]byte, error) {
	dst = append(dst, `{"resourceType":"Bundle","type":"searchset"`...)
	if r.total >= 0 {
		dst = strconv.AppendInt(append(dst, `,"total":`...), int64(r.total), 10)
	}
	dst, err := r.appendLinks(dst, a)
	if err != nil {
		return dst, err
	}
	w := entryWriter{r: r, dst: dst}
	if r.rest == nil {
		for i := range a.rows {
			done, err := w.ownContained(&a.rows[i].Resource, &r.arms[a.arms[i]])
			if err == nil && !done {
				err = w.resource(&a.rows[i].Resource, "match")
			}
			if err != nil {
				return dst, err
			}
		}
	}
	for i := range a.included {
		if err := w.resource(&a.included[i], "include"); err != nil {
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
// next leads to the rest of what the page includes, then to the next matches.
func (r *request) appendLinks(dst []byte, a *answer) ([]byte, error) {
	path := r.s.base + r.path
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
	for _, l := range []struct {
		relation string
		to       *searchCursor
	}{{"previous", r.previous()}, {"next", r.next(a)}} {
		switch {
		case l.to == nil:
		case l.to.After == nil && l.to.Rest == nil:
			dst = appendLink(append(dst, ','), l.relation, first)
		default:
			token, err := r.seal(l.to)
			if err != nil {
				return dst, err
			}
			dst = appendLink(append(dst, ','), l.relation, path+"?_cursor="+token)
		}
	}
	return append(dst, ']'), nil
}

// seal completes a cursor and gives its token.
func (r *request) seal(c *searchCursor) (string, error) {
	c.Query, c.Total = r.used, r.total
	if r.explain {
		c.Query = strings.TrimPrefix(c.Query+"&_explain=true", "&")
	}
	token := r.s.cursors.seal(c.append(nil), searchScope(r.s.registry.IndexVersion(), r.path))
	if len(token) > maxCursor {
		return "", issue.New(issue.TooCostly, "search.too-long", "the parameters are too long for a link to another page: ask for fewer values, or with _count for all that match", "").WithStatus(400)
	}
	return token, nil
}

// next is where the answer goes on: nil at the end.
func (r *request) next(a *answer) *searchCursor {
	var end *rowPlace
	switch {
	case r.rest != nil:
		end = r.rest.End
	case len(a.rows) > 0:
		end = a.last()
	}
	if a.rest != nil {
		more := *a.rest
		more.End, more.More = end, a.more
		c := r.here()
		c.Rest = &more
		return c
	}
	if !a.more || end == nil {
		return nil
	}
	return r.here().ahead(end)
}

// previous is the page before; of the rest of a page's includes, the page
// itself. Nil on the first page, and where the trail is at its end.
func (r *request) previous() *searchCursor {
	if r.rest != nil {
		return r.here()
	}
	return r.here().back()
}

// here is the place of the page that is answered.
func (r *request) here() *searchCursor { return &searchCursor{After: r.after, Trail: r.trail} }

// reaches says whether p is q or comes after it.
func (p *rowPlace) reaches(q *rowPlace, sort []search.Order) bool { return !q.behind(p, sort) }

// behind says whether p comes after q.
func (p *rowPlace) behind(q *rowPlace, sort []search.Order) bool {
	if c := compareRows(sort, &p.Cursor, &q.Cursor); len(sort) > 0 && c != 0 {
		return c > 0
	}
	if p.Arm != q.Arm {
		return p.Arm > q.Arm
	}
	if len(sort) > 0 && sort[0].Desc {
		return p.Number < q.Number
	}
	return p.Number > q.Number
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
