package interaction

import (
	"context"
	"encoding/binary"
	"strconv"
	"time"

	"meridian/fhir/issue"
	"meridian/fhir/search"
	"meridian/server/store"
)

// HistoryParams of the history of an instance, of a type (Key.ID empty) or of all (Key empty).
type HistoryParams struct {
	Key store.Key
	// Query: _count (0 asks for the total alone), _since (inclusive), _before (exclusive), _cursor. Others are refused.
	Query []search.Pair
}

// historyRequest is what a query says, or the cursor that stands for it.
type historyRequest struct {
	params store.HistoryParams
	query  string // without the cursor, for links
	token  string
}

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
	if totalOnly && p.Key.ID == "" {
		return dst, issue.New(issue.NotSupported, "history.total", "_count=0 asks for a total, which only the history of one resource has", "")
	}
	req.params.Limit = max(req.params.Limit, 1)
	page, err := s.store.History(ctx, req.params)
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
	for _, q := range pairs {
		if err := s.historyParam(&req.params, &q); err != nil {
			return nil, err
		}
		if req.query != "" {
			req.query += "&"
		}
		req.query += q.Name + "=" + escapeQuery(q.Value)
	}
	return req, nil
}

// historyParam reads one parameter; a _count over the limit is cut in place.
func (s *Service) historyParam(p *store.HistoryParams, q *search.Pair) error {
	bad := func() error {
		return issue.New(issue.Value, "history.parameter", q.Name+" has a value of another form", "")
	}
	switch q.Name {
	case "_count":
		n, err := strconv.Atoi(q.Value)
		if err != nil || n < 0 {
			return bad()
		}
		p.Limit = min(n, s.limits.MaxPageSize)
		q.Value = strconv.Itoa(p.Limit)
	case "_since", "_before":
		t, err := time.Parse(time.RFC3339Nano, q.Value)
		if err != nil {
			return bad()
		}
		if q.Name == "_since" {
			p.Since = t
		} else {
			p.Before = t
		}
	default:
		return issue.New(issue.NotSupported, "history.parameter", q.Name+" is no parameter of a history; there are _count, _since and _before", "")
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
