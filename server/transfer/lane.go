package transfer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"meridian/fhir/codec"
)

// maxRequest is the size, in bytes, at which a bundle is sent though it could take more resources.
const maxRequest = 8 << 20

// maxRounds is how often what a transaction names as bad is taken out of it before its entries are sent one by one.
const maxRounds = 4

// sender sends records to a service. Safe for concurrent use.
type sender struct {
	service *Service
	// single: the service has no transactions, so resources are sent in batches.
	single atomic.Bool
}

// result is what came of a record. A bundle sent as it is counts its entries.
type result struct {
	created, present int
	rejected         []rejected
}

// rejected is a resource, or an entry of a batch, that the service does not take.
type rejected struct {
	status  int
	outcome []byte
	body    []byte
}

func refuse(status int, outcome, body []byte) result {
	if !json.Valid(outcome) || len(outcome) == 0 {
		outcome = outcomeOf(status)
	}
	return result{rejected: []rejected{{status, outcome, body}}}
}

func outcomeOf(status int) []byte {
	return outcome("processing", "the service answered "+strconv.Itoa(status)+" "+http.StatusText(status)+" without an OperationOutcome")
}

// send sends records that follow one another in a lane: resources, no two of one name, or one bundle.
func (s *sender) send(ctx context.Context, records []*record) ([]result, error) {
	results := make([]result, len(records))
	var todo []int
	for i, r := range records {
		switch {
		case r.err != nil:
			results[i] = refuse(0, r.err, r.body)
		case r.whole:
			var err error
			if results[i], err = s.whole(ctx, r); err != nil {
				return nil, err
			}
		default:
			todo = append(todo, i)
		}
	}
	return results, s.resources(ctx, records, todo, results)
}

// request is a bundle of resources, and where each stands in it.
type request struct {
	body   []byte
	places []int
}

func newRequest(kind string, records []*record, todo []int) request {
	q := request{body: []byte(`{"resourceType":"Bundle","type":"` + kind + `","entry":[`)}
	for n, i := range todo {
		if n > 0 {
			q.body = append(q.body, ',')
		}
		q.body = append(q.body, `{"resource":`...)
		q.places = append(q.places, len(q.body))
		q.body = append(append(q.body, records[i].body...), `,"request":{"method":"PUT","url":`...)
		q.body = codec.AppendString(q.body, records[i].typ+"/"+records[i].id)
		q.body = append(q.body, "}}"...)
	}
	q.body = append(q.body, "]}"...)
	return q
}

// resources writes todo of records in one transaction. What the service names as bad is taken out and the rest sent again.
func (s *sender) resources(ctx context.Context, records []*record, todo []int, results []result) error {
	for round := 0; len(todo) > 0 && !s.single.Load(); round++ {
		q := newRequest("transaction", records, todo)
		a, err := s.post(ctx, q.body, "")
		if err != nil {
			return err
		}
		switch {
		case a.ok():
			return s.entries(a, records, todo, results, q)
		case a.status == http.StatusNotImplemented:
			s.single.Store(true)
			continue
		case a.status == http.StatusUnauthorized:
			return unauthorized(a)
		}
		bad := blamed(a.body, records, todo, q)
		if len(bad) == 0 || round == maxRounds {
			break
		}
		todo = slices.DeleteFunc(todo, func(i int) bool {
			if out, ok := bad[i]; ok {
				results[i] = refuse(a.status, out, records[i].body)
				return true
			}
			return false
		})
	}
	return s.batch(ctx, records, todo, results)
}

func unauthorized(a *answer) error {
	return fmt.Errorf("the service answers %d %s", a.status, http.StatusText(a.status))
}

// batch writes todo each for itself. A batch that is refused as a whole is halved.
func (s *sender) batch(ctx context.Context, records []*record, todo []int, results []result) error {
	if len(todo) == 0 {
		return nil
	}
	q := newRequest("batch", records, todo)
	a, err := s.post(ctx, q.body, "")
	switch {
	case err != nil:
		return err
	case a.ok():
		return s.entries(a, records, todo, results, q)
	case a.status == http.StatusUnauthorized:
		return unauthorized(a)
	case len(todo) == 1:
		i := todo[0]
		results[i] = refuse(a.status, relative(a.body, 0, q.places[0], records[i].typ), records[i].body)
		return nil
	}
	half := len(todo) / 2
	if err := s.batch(ctx, records, todo[:half], results); err != nil {
		return err
	}
	return s.batch(ctx, records, todo[half:], results)
}

// answered is a Bundle of type batch-response or transaction-response.
type answered struct {
	Entry []struct {
		Response struct {
			Status  string          `json:"status"`
			Outcome json.RawMessage `json:"outcome"`
		} `json:"response"`
	} `json:"entry"`
}

func parseAnswer(a *answer, n int) (*answered, error) {
	var b answered
	if err := json.Unmarshal(a.body, &b); err != nil {
		return nil, fmt.Errorf("the answer is no Bundle: %w", err)
	}
	if n >= 0 && len(b.Entry) != n {
		return nil, fmt.Errorf("the answer has %d entries, the request had %d", len(b.Entry), n)
	}
	return &b, nil
}

func statusOf(text string) int {
	code, _, _ := strings.Cut(text, " ")
	n, _ := strconv.Atoi(code) // 0 is no success
	return n
}

// entries notes what became of each entry.
func (s *sender) entries(a *answer, records []*record, todo []int, results []result, q request) error {
	b, err := parseAnswer(a, len(todo))
	if err != nil {
		return err
	}
	for n, i := range todo {
		r := &b.Entry[n].Response
		switch status := statusOf(r.Status); {
		case status == http.StatusCreated:
			results[i].created = 1
		case status >= 200 && status < 300:
			results[i].present = 1
		default:
			results[i] = refuse(status, relative(r.Outcome, n, q.places[n], records[i].typ), records[i].body)
		}
	}
	return nil
}

// whole sends a bundle as it is, under a key of its own: sent again after a cut it is answered, not done.
func (s *sender) whole(ctx context.Context, r *record) (result, error) {
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\x00%d\x00", r.file.name, r.line)
	sum.Write(r.body)
	a, err := s.post(ctx, r.body, "import-"+hex.EncodeToString(sum.Sum(nil)[:20]))
	if err != nil {
		return result{}, err
	}
	if a.status == http.StatusUnauthorized {
		return result{}, unauthorized(a)
	}
	if !a.ok() {
		return refuse(a.status, a.body, r.body), nil
	}
	b, err := parseAnswer(a, -1)
	if err != nil {
		return result{}, err
	}
	var sent struct {
		Entry []json.RawMessage `json:"entry"`
	}
	if err := json.Unmarshal(r.body, &sent); err != nil {
		return result{}, err
	}
	var out result
	for i := range b.Entry {
		e := &b.Entry[i].Response
		switch status := statusOf(e.Status); {
		case status == http.StatusCreated:
			out.created++
		case status >= 200 && status < 400:
			out.present++
		default:
			rej := refuse(status, e.Outcome, nil).rejected[0]
			if i < len(sent.Entry) {
				rej.body = slices.Concat([]byte(`{"resourceType":"Bundle","type":"batch","entry":[`), sent.Entry[i], []byte("]}"))
			}
			out.rejected = append(out.rejected, rej)
		}
	}
	return out, nil
}

func (s *sender) post(ctx context.Context, body []byte, key string) (*answer, error) {
	header := map[string]string{"Prefer": "return=minimal"}
	if key != "" {
		header["Idempotency-Key"] = key
	}
	a, err := s.service.do(ctx, http.MethodPost, trimBase(s.service.Base), body, header)
	if err != nil {
		return nil, err
	}
	if a.status >= 500 && a.status != http.StatusNotImplemented {
		return nil, fmt.Errorf("the service failed with %d %s: %.300s", a.status, http.StatusText(a.status), diagnostics(a.body))
	}
	return a, nil
}

// issues is an OperationOutcome.
type issues struct {
	ResourceType string     `json:"resourceType"`
	Issue        []oneIssue `json:"issue"`
}

type oneIssue struct {
	Severity    string          `json:"severity"`
	Code        string          `json:"code"`
	Details     json.RawMessage `json:"details,omitempty"`
	Diagnostics string          `json:"diagnostics,omitempty"`
	Expression  []string        `json:"expression,omitempty"`
}

// diagnostics are the texts of an OperationOutcome, which name places only.
func diagnostics(body []byte) string {
	var o issues
	if json.Unmarshal(body, &o) != nil {
		return ""
	}
	var texts []string
	for _, i := range o.Issue {
		texts = append(texts, i.Diagnostics)
	}
	return strings.Join(texts, "; ")
}

// blamed gives, for each record that a refused transaction names, the outcome of it alone.
func blamed(body []byte, records []*record, todo []int, q request) map[int][]byte {
	var o issues
	if json.Unmarshal(body, &o) != nil {
		return nil
	}
	of := map[int][]oneIssue{}
	for _, i := range o.Issue {
		if len(i.Expression) == 0 || i.Severity != "error" && i.Severity != "fatal" {
			continue
		}
		text, ok := strings.CutPrefix(i.Expression[0], "Bundle.entry[")
		number, _, closed := strings.Cut(text, "]")
		n, err := strconv.Atoi(number)
		if ok && closed && err == nil && n >= 0 && n < len(todo) {
			of[n] = append(of[n], i)
		}
	}
	out := map[int][]byte{}
	for n, list := range of {
		one, err := json.Marshal(issues{"OperationOutcome", list})
		if err == nil {
			out[todo[n]] = relative(one, n, q.places[n], records[todo[n]].typ)
		}
	}
	return out
}

// relative makes places within the n-th entry of a request places within its resource, which stands at a byte of the request.
func relative(body []byte, n, at int, typ string) []byte {
	var o issues
	if json.Unmarshal(body, &o) != nil || o.ResourceType != "OperationOutcome" {
		return body
	}
	prefix := "Bundle.entry[" + strconv.Itoa(n) + "].resource"
	for i := range o.Issue {
		e := &o.Issue[i]
		for j, x := range e.Expression {
			if rest, ok := strings.CutPrefix(x, prefix); ok {
				e.Expression[j] = typ + rest
			}
		}
		e.Diagnostics = shifted(e.Diagnostics, at)
	}
	out, err := json.Marshal(o)
	if err != nil {
		return body
	}
	return bytes.TrimSpace(out)
}

// shifted turns the byte of a request at the end of a text, "… (byte 310)", into that of what stands at a byte of it.
func shifted(text string, at int) string {
	head, tail, ok := strings.Cut(text, " (byte ")
	number, closed := strings.CutSuffix(tail, ")")
	n, err := strconv.Atoi(number)
	if !ok || !closed || err != nil || n < at {
		return text
	}
	return head + " (byte " + strconv.Itoa(n-at) + ")"
}
