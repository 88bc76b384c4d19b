package interaction

import (
	"context"
	"encoding/binary"
	"errors"
	"strconv"
	"strings"
	"time"

	"meridian/fhir/issue"
	"meridian/fhir/search"
	"meridian/fhir/value"
	"meridian/server/store"
)

// HistoryParams of the history of an instance, of a type (Key.ID empty) or of all (Key empty).
type HistoryParams struct {
	Key store.Key
	// Query: _count (0 asks for the total alone), _since (inclusive), _before (exclusive), _at, _cursor. Others are refused.
	Query []search.Pair
}

// historyRequest is what a query says, or the cursor that stands for it.
type historyRequest struct {
	params store.HistoryParams
	at     *period
	query  string // without the cursor, for links
	token  string
}

// period is a half-open stretch of time.
type period struct{ lo, hi time.Time }

// maxHistoryScan is how many versions one page of a history at a time looks
// at; a page that finds fewer than _count within it is short, and has a next link.
const maxHistoryScan = 10_000

// History appends a history bundle to dst, newest first. Pages resume below a
// version that was seen, so versions made meanwhile neither shift nor double
// anything. Issue codes: not-found (instance), value, not-supported.
//
// https://hl7.org/fhir/R4/http.html#history
func (s *Service) History(ctx context.Context, dst []byte, p HistoryParams) ([]byte, error) {
	if p.Key.Type != "" && !IsResourceType(p.Key.Type) {
		return dst, unknownType(p.Key.Type)
	}
	req, err := s.historyRequest(&p)
	if err != nil {
		return dst, err
	}
	totalOnly := req.params.Limit == 0
	if totalOnly && (p.Key.ID == "" || req.at != nil) {
		return dst, issue.New(issue.NotSupported, "history.total", "_count=0 asks for a total, which only the whole history of one resource has", "")
	}
	req.params.Limit = max(req.params.Limit, 1)
	page, err := s.historyPage(ctx, req)
	if err != nil {
		return dst, s.readError(err, p.Key)
	}
	if p.Key.ID != "" && len(page.Rows) == 0 && req.token == "" {
		if _, err := s.store.Read(ctx, p.Key); err != nil {
			return dst, s.readError(err, p.Key)
		}
	}
	if totalOnly {
		page.Rows, page.Next = nil, ""
	}
	return s.appendHistory(dst, &p, req, &page), nil
}

// historyPage reads a page. Of a history at a time it is what was current at some instant of it.
func (s *Service) historyPage(ctx context.Context, req *historyRequest) (store.HistoryPage, error) {
	if req.at == nil {
		return s.store.History(ctx, req.params)
	}
	p := req.params
	p.Before = req.at.hi
	out := store.HistoryPage{Total: -1}
	for seen := 0; ; {
		page, err := s.store.History(ctx, p)
		if err != nil {
			return out, err
		}
		for i := range page.Rows {
			r := &page.Rows[i]
			ok, err := s.currentSince(ctx, r, req.at.lo)
			if err != nil {
				return out, err
			}
			if ok {
				out.Rows = append(out.Rows, *r)
			}
			if p.ID != "" && !r.LastUpdated.After(req.at.lo) {
				return out, nil // what is older was superseded before
			}
		}
		if seen += len(page.Rows); page.Next == "" || len(out.Rows) > 0 || seen >= maxHistoryScan {
			out.Next = page.Next
			return out, nil
		}
		p.After = page.Next
	}
}

// currentSince says whether a version was made at lo or later, or was current
// then. A deleted resource that was gone before had no version that was current.
func (s *Service) currentSince(ctx context.Context, r *store.Resource, lo time.Time) (bool, error) {
	if !r.LastUpdated.Before(lo) || r.Deleted {
		return !r.LastUpdated.Before(lo), nil
	}
	next, err := s.store.Read(ctx, r.Key)
	if err == nil && next.Version == r.Version {
		return true, nil
	}
	if err == nil && next.Version != r.Version+1 {
		next, err = s.store.ReadVersion(ctx, r.Key, r.Version+1)
	}
	if errors.Is(err, store.ErrNotFound) {
		return false, nil // purged since it was read
	}
	return err == nil && next.LastUpdated.After(lo), err
}

func historyPath(k store.Key) string {
	switch {
	case k.Type == "":
		return "/_history"
	case k.ID == "":
		return "/" + k.Type + "/_history"
	}
	return "/" + keyPath(k) + "/_history"
}

func (s *Service) historyRequest(p *HistoryParams) (*historyRequest, error) {
	req := &historyRequest{params: store.HistoryParams{Type: p.Key.Type, ID: p.Key.ID, Limit: s.limits.PageSize}}
	pairs := p.Query
	for _, q := range pairs {
		if q.Name != "_cursor" {
			continue
		}
		if len(pairs) > 1 {
			return nil, cursorAlone()
		}
		text, err := s.cursors.open(q.Value, "history\x00"+historyPath(p.Key))
		if err != nil {
			return nil, cursorError()
		}
		n, k := binary.Uvarint(text)
		if k <= 0 || n > uint64(len(text)-k) {
			return nil, cursorError()
		}
		req.params.After, req.token = store.Position(text[k:k+int(n)]), q.Value
		if pairs, err = ParseQuery(string(text[k+int(n):])); err != nil {
			return nil, cursorError()
		}
		break
	}
	seen := map[string]bool{}
	for _, q := range pairs {
		if seen[q.Name] {
			return nil, issue.New(issue.Invalid, "history.parameter", search.Shown(q.Name)+" stands twice", "")
		}
		seen[q.Name] = true
		if err := s.historyParam(req, &q); err != nil {
			return nil, err
		}
		if req.query != "" {
			req.query += "&"
		}
		req.query += q.Name + "=" + escapeQuery(q.Value)
	}
	if req.at != nil && (seen["_since"] || seen["_before"]) {
		return nil, issue.New(issue.Invalid, "history.parameter", "_at excludes _since and _before", "")
	}
	return req, nil
}

// historyParam reads one parameter; q is left as the self link shows it.
func (s *Service) historyParam(req *historyRequest, q *search.Pair) error {
	bad := func() error {
		return issue.New(issue.Value, "history.parameter", q.Name+" has a value of another form", "")
	}
	p := &req.params
	switch q.Name {
	case "_count":
		n, err := strconv.Atoi(q.Value)
		if err != nil || n < 0 {
			return bad()
		}
		if err := s.limits.CheckCount("_count", n); err != nil {
			return err
		}
		p.Limit = n
		q.Value = strconv.Itoa(n)
	case "_since", "_before", "_at":
		// A plus that was not escaped reads as a space: 2026-01-01T00:00:00+08:00.
		q.Value = strings.ReplaceAll(q.Value, " ", "+")
		d, err := value.ParseDateTime(q.Value)
		if err != nil {
			return bad()
		}
		lo, hi := d.Interval(s.zone)
		switch q.Name {
		case "_since":
			p.Since = lo.Time()
		case "_before":
			p.Before = lo.Time()
		default:
			req.at = &period{lo.Time(), hi.Time()}
		}
	default:
		return issue.New(issue.NotSupported, "history.parameter", search.Shown(q.Name)+" is no parameter of a history; there are _count, _since, _before and _at", "")
	}
	return nil
}

func (s *Service) appendHistory(dst []byte, p *HistoryParams, req *historyRequest, page *store.HistoryPage) []byte {
	path := s.base + historyPath(p.Key)
	withQuery := func(q string) string {
		if q == "" {
			return path
		}
		return path + "?" + q
	}
	dst = append(dst, `{"resourceType":"Bundle","type":"history"`...)
	if page.Total >= 0 && p.Key.ID != "" {
		dst = strconv.AppendInt(append(dst, `,"total":`...), int64(page.Total), 10)
	}
	self := withQuery(req.query)
	if req.token != "" {
		self = withQuery("_cursor=" + req.token)
	}
	dst = appendLink(append(dst, `,"link":[`...), "self", self)
	dst = appendLink(append(dst, ','), "first", withQuery(req.query))
	if page.Next != "" {
		text := binary.AppendUvarint(nil, uint64(len(page.Next)))
		text = append(append(text, page.Next...), req.query...)
		dst = appendLink(append(dst, ','), "next", withQuery("_cursor="+s.cursors.seal(text, "history\x00"+historyPath(p.Key))))
	}
	dst = append(dst, ']')
	for i := range page.Rows {
		if i == 0 {
			dst = append(dst, `,"entry":[`...)
		} else {
			dst = append(dst, ',')
		}
		dst = s.appendHistoryEntry(dst, &page.Rows[i])
	}
	if len(page.Rows) > 0 {
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

// appendHistoryEntry appends a version with the request that made it.
func (s *Service) appendHistoryEntry(dst []byte, r *store.Resource) []byte {
	dst = s.appendFullURL(append(dst, `{"fullUrl":"`...), r)
	dst = append(dst, '"')
	if r.Body != nil {
		dst = append(append(dst, `,"resource":`...), r.Body...)
	}
	dst = append(append(append(dst, `,"request":{"method":"`...), methodName(r)...), `","url":"`...)
	dst = append(dst, r.Type...)
	if r.Method != store.POST {
		dst = append(append(dst, '/'), r.ID...)
	}
	dst = append(append(append(dst, `"},"response":{"status":"`...), versionStatus(r)...), `","etag":`...)
	dst = appendETag(dst, r.Version)
	dst = append(dst, `,"lastModified":"`...)
	return append(appendInstant(dst, r.LastUpdated), `"}}`...)
}

func methodName(r *store.Resource) string {
	switch {
	case r.Deleted || r.Method == store.DELETE:
		return "DELETE"
	case r.Method == store.POST:
		return "POST"
	case r.Method == store.PATCH:
		return "PATCH"
	}
	return "PUT"
}

// versionStatus is the status that was answered when the version was made. A
// PUT over a deleted resource shows 200 here: that it created is not kept.
func versionStatus(r *store.Resource) string {
	switch {
	case r.Deleted:
		return "204"
	case r.Version == 1 || r.Method == store.POST:
		return "201"
	}
	return "200"
}
