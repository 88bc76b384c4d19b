package rest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/labstack/echo/v4"

	"meridian/fhir/codec"
	"meridian/fhir/issue"
	"meridian/server/interaction"
	"meridian/server/job"
	"meridian/server/store"
)

// An asynchronous request, `Prefer: respond-async`, is a job of the kind "async":
// the request as it came, which is sent to this Handler again when its turn comes.
// Its answer is kept for a time, as the one entry of a batch-response.
//
//	POST /fhir             202  Content-Location: …/fhir/_async/<token>
//	GET  …/_async/<token>  202  X-Progress: 120 of 2000, Retry-After
//	                       200  the bundle; an error of the request is the status of its entry
//	DELETE …               202  cancels, or forgets the answer
//
// The body of the job:
//
//	{"method":"POST","target":"/fhir","header":{"Prefer":["respond-async, return=minimal"]}}
//	the request's body, gzip
//
// A transaction is carried out once however often its job runs: its commit has a receipt
// under the job's token; of a batch each entry has one.
//
// https://hl7.org/fhir/R5/async-bundle.html

// AsyncOptions bound asynchronous requests; 0 means the default.
type AsyncOptions struct {
	// Workers is how many run at once. Default 2.
	Workers int
	// Waiting is how many may wait; one more is refused (429). Default 1,000.
	Waiting int
	// Time is the longest that one may run. Default 1 hour.
	Time time.Duration
	// Keep is how long the answer is kept. Default 24 hours.
	Keep time.Duration
	// AnswerBytes is the largest answer, uncompressed. Default 64 MiB.
	AnswerBytes int
}

func (o AsyncOptions) withDefaults() AsyncOptions {
	or := func(v *int, def int) {
		if *v <= 0 {
			*v = def
		}
	}
	or(&o.Workers, 2)
	or(&o.Waiting, 1000)
	or(&o.AnswerBytes, 64<<20)
	if o.Time <= 0 {
		o.Time = time.Hour
	}
	if o.Keep <= 0 {
		o.Keep = 24 * time.Hour
	}
	return o
}

// asyncKind is the kind of the jobs.
const asyncKind = "async"

// asyncAttempts is how often a request is sent again that meets a store that is away.
const asyncAttempts = 5

// Kinds are the jobs that the Handler carries out, for the Runner that Options.Jobs gives.
func (h *Handler) Kinds() map[string]job.Kind {
	return map[string]job.Kind{asyncKind: {Run: h.runAsync, Workers: h.async.Workers, Attempts: asyncAttempts, Keep: h.async.Keep}}
}

// asynchronous says which interactions can be asked for asynchronously.
func asynchronous(name string) bool {
	return name == "bundle" || name == "operation" || strings.HasPrefix(name, "search") || strings.HasPrefix(name, "history")
}

func (h *Handler) asyncRoutes(g *echo.Group) {
	g.GET("/_async/:token", h.on("async-status", asyncStatus))
	g.HEAD("/_async/:token", h.on("async-status", asyncStatus))
	g.DELETE("/_async/:token", h.on("async-cancel", asyncCancel))
}

// asyncHead is the first line of a job's body.
type asyncHead struct {
	Method string      `json:"method"`
	Target string      `json:"target"`
	Header http.Header `json:"header"`
	Hash   string      `json:"hash,omitempty"` // of a request with an Idempotency-Key
}

// asyncHeaders are what a request means by itself, and Accept where the answer is no resource; others are of its connection.
var asyncHeaders = []string{"Content-Type", "Prefer", "Idempotency-Key", "If-Match", "If-None-Match", "If-None-Exist", "If-Modified-Since"}

// startAsync makes a job of the request, where it asks for that and it can be; done says that it was answered.
// Issue codes: those of readBody; throttled when too many wait; too-long when the store does not take the body.
func (x *call) startAsync() (done bool, err error) {
	if !x.async || !asynchronous(x.interaction) || x.Request().Method == http.MethodHead || x.h.jobs == nil || runOf(x.ctx) != nil {
		return false, nil
	}
	jobs := x.h.jobs()
	if jobs == nil {
		return true, errStarting()
	}
	n, err := jobs.Counts(x.ctx, asyncKind)
	if err != nil {
		return true, err
	}
	if n[job.Waiting] >= x.h.async.Waiting {
		return true, issue.New(issue.Throttled, "async.waiting", "too many asynchronous requests wait; send this one later", "")
	}
	body, err := x.readBody()
	if err != nil {
		return true, err
	}
	add, err := x.asyncJob(body)
	if err != nil {
		return true, err
	}
	id, existing, err := jobs.Add(x.ctx, add)
	for tries := 0; err == nil && existing && tries < maxAgain && x.isOver(jobs, id); tries++ {
		add.Key += "/" + id
		id, existing, err = jobs.Add(x.ctx, add)
	}
	if errors.Is(err, store.ErrTooLarge) {
		return true, issue.New(issue.TooLong, "async.too-long", "the body is larger than the store takes for an asynchronous request", "")
	}
	if err != nil {
		return true, err
	}
	if existing {
		if err := x.sameJob(jobs, id, add.Body); err != nil {
			return true, err
		}
	}
	x.replayed(existing)
	x.Response().Header().Set("Content-Location", x.service.BaseURL()+"/_async/"+x.service.SealJob(id))
	return true, x.send(http.StatusAccepted, nil)
}

// maxAgain is how often one key may begin anew, since jobs are known for longer than their answers.
const maxAgain = 100

// isOver says that a job's time is over, so that its key is free again.
func (x *call) isOver(jobs *job.Runner, id string) bool {
	j, err := jobs.Get(x.ctx, id)
	if err != nil || !j.State.Ended() {
		return false
	}
	var name string
	if json.Unmarshal(j.Result, &name) != nil {
		return true
	}
	_, err = x.service.Answer(x.ctx, name)
	return errors.Is(err, store.ErrNotFound)
}

// asyncJob puts a request into the body of a job.
func (x *call) asyncJob(body []byte) (job.NewJob, error) {
	target := *x.Request().URL
	target.RawQuery = x.query
	head := asyncHead{Method: x.Request().Method, Target: target.RequestURI(), Header: http.Header{}}
	for _, name := range asyncHeaders {
		if v := x.Request().Header[name]; len(v) > 0 {
			head.Header[name] = v
		}
	}
	if v := x.Request().Header["Accept"]; len(v) > 0 && x.ownFormat() { // others answer a job in JSON, which is translated where it is fetched
		head.Header["Accept"] = v
	}
	add := job.NewJob{Kind: asyncKind}
	once, err := x.once(body)
	if err != nil {
		return add, err
	}
	if once.Key != "" {
		sum := sha256.Sum256([]byte(once.Key))
		add.Key, head.Hash = hex.EncodeToString(sum[:]), once.Hash
	}
	line, err := json.Marshal(head)
	if err != nil {
		return add, err
	}
	add.Body, err = gzipped(append(line, '\n'), body)
	return add, err
}

// sameJob refuses an Idempotency-Key that stands for another asynchronous request.
func (x *call) sameJob(jobs *job.Runner, id string, body []byte) error {
	j, err := jobs.Get(x.ctx, id)
	if err != nil {
		return err
	}
	mine, _, err := cutAsync(body)
	if err != nil {
		return err
	}
	first, _, err := cutAsync(j.Body)
	if err == nil && first.Hash != mine.Hash {
		err = issue.New(issue.BusinessRule, "idempotency.reused", "this Idempotency-Key was used for another request; every request has a key of its own", "")
	}
	return err
}

// gzipped appends body, compressed.
func gzipped(dst, body []byte) ([]byte, error) {
	b := bytes.NewBuffer(dst)
	z, err := gzip.NewWriterLevel(b, gzip.BestSpeed)
	if err == nil {
		_, err = z.Write(body)
	}
	if err == nil {
		err = z.Close()
	}
	return b.Bytes(), err
}

func gunzipped(packed []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

func cutAsync(body []byte) (head asyncHead, packed []byte, err error) {
	line, packed, _ := bytes.Cut(body, []byte("\n"))
	return head, packed, json.Unmarshal(line, &head)
}

// asyncRun is what the context of a request has that a job sends.
type asyncRun struct{ token string }

type asyncRunKey struct{}

func runOf(ctx context.Context) *asyncRun {
	run, _ := ctx.Value(asyncRunKey{}).(*asyncRun)
	return run
}

// errAway: the request met a store that is away; the job tries again.
var errAway = errors.New("the store is away")

// runAsync carries out a job: it sends the request and keeps the answer.
func (h *Handler) runAsync(ctx context.Context, t *job.Task) error {
	service := h.service()
	if service == nil {
		return errAway
	}
	head, packed, err := cutAsync(t.Body)
	if err != nil {
		return job.Permanent(err)
	}
	body, err := gunzipped(packed)
	if err != nil {
		return job.Permanent(err)
	}
	run := context.WithValue(ctx, asyncRunKey{}, &asyncRun{token: service.SealJob(t.ID)})
	run = interaction.WithProgress(run, func(done, total int) { t.Report(done, total, "entries") })
	req, err := http.NewRequestWithContext(run, head.Method, head.Target, bytes.NewReader(body))
	if err != nil {
		return job.Permanent(err)
	}
	req.Header = head.Header
	rec := &recorder{header: http.Header{}, status: http.StatusOK, left: h.async.AnswerBytes}
	h.ServeHTTP(rec, req)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if rec.status == http.StatusServiceUnavailable || rec.status == http.StatusConflict && rec.header.Get("Retry-After") != "" {
		return errAway
	}
	answer, err := gzipped(nil, asyncBundle(rec))
	if err != nil {
		return err
	}
	name := fmt.Sprint(t.ID, ".", t.Attempt)
	if err := service.KeepAnswer(ctx, name, answer, h.async.Keep); err != nil {
		return err
	}
	return t.SetResult(name)
}

// recorder keeps an answer up to a size.
type recorder struct {
	header http.Header
	status int
	body   []byte
	left   int // bytes
	over   bool
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(status int) { r.status = status }

func (r *recorder) Write(b []byte) (int, error) {
	if r.left -= len(b); r.left < 0 {
		r.over = true
		return len(b), nil
	}
	r.body = append(r.body, b...)
	return len(b), nil
}

// asyncBundle is the answer to a request as the one entry of a batch-response.
//
// https://hl7.org/fhir/R5/async-bundle.html#3.2.6.3
func asyncBundle(rec *recorder) []byte {
	status, body, head := rec.status, rec.body, rec.header
	if rec.over {
		status = http.StatusUnprocessableEntity
		body = interaction.AppendOutcome(nil, issue.New(issue.TooCostly, "async.answer", "the request was carried out, and its answer is larger than this server keeps; ask with Prefer: return=minimal, or for fewer resources", "").Issues)
	}
	dst := []byte(`{"resourceType":"Bundle","type":"batch-response","entry":[{`)
	failed := status >= http.StatusBadRequest
	isFHIR := len(body) > 0 && body[0] == '{' && (rec.over || strings.HasPrefix(head.Get("Content-Type"), "application/fhir+json"))
	if isFHIR && !failed {
		dst = append(append(append(dst, `"resource":`...), body...), ',')
	} else if len(body) > 0 && !isFHIR {
		dst = append(dst, `"resource":{"resourceType":"Binary","contentType":`...)
		dst = codec.AppendString(dst, head.Get("Content-Type"))
		data, _ := json.Marshal(body) // base64, which cannot fail
		dst = append(append(append(dst, `,"data":`...), data...), `},`...)
	}
	dst = append(dst, `"response":{"status":`...)
	dst = codec.AppendString(dst, strconv.Itoa(status)+" "+http.StatusText(status))
	for _, h := range [][2]string{{"location", "Location"}, {"etag", "Etag"}} {
		if v := head.Get(h[1]); v != "" {
			dst = codec.AppendString(append(dst, `,"`+h[0]+`":`...), v)
		}
	}
	if at, err := http.ParseTime(head.Get("Last-Modified")); err == nil {
		dst = append(append(append(dst, `,"lastModified":"`...), at.UTC().Format(time.RFC3339)...), '"')
	}
	if isFHIR && failed {
		dst = append(append(dst, `,"outcome":`...), body...)
	}
	return append(dst, `}}]}`...)
}

// job gives the job of the address. Issue code: not-found.
func (x *call) job() (*job.Runner, job.Job, error) {
	unknown := issue.New(issue.NotFound, "async.unknown", "there is no such asynchronous request, or not any more", "")
	if x.h.jobs == nil {
		return nil, job.Job{}, unknown
	}
	jobs := x.h.jobs()
	if jobs == nil {
		return nil, job.Job{}, errStarting()
	}
	token, err := url.PathUnescape(x.Param("token"))
	id, ok := x.service.OpenJob(token)
	if err != nil || !ok {
		return nil, job.Job{}, unknown
	}
	j, err := jobs.Get(x.ctx, id)
	if errors.Is(err, store.ErrNotFound) || err == nil && (j.Kind != asyncKind || j.State == job.Cancelled) {
		return nil, j, unknown
	}
	return jobs, j, err
}

// asyncStatus tells how far a request is, or its answer.
func asyncStatus(x *call) error {
	_, j, err := x.job()
	if err != nil {
		return err
	}
	head := x.Response().Header()
	switch j.State {
	case job.Waiting, job.Running:
		progress := string(j.State)
		if j.Total > 0 {
			progress = fmt.Sprintf("%d of %d %s", j.Done, j.Total, j.Text)
		}
		head.Set("X-Progress", progress)
		head.Set("Retry-After", retryAfter)
		return x.send(http.StatusAccepted, nil)
	case job.Failed:
		return issue.New(issue.Exception, "async.failed", "the server could not carry out the request; its log has the reason, for job "+j.ID, "")
	}
	var name string
	if err := json.Unmarshal(j.Result, &name); err != nil {
		return fmt.Errorf("job %s: its answer: %w", j.ID, err)
	}
	packed, err := x.service.Answer(x.ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		return issue.New(issue.NotFound, "async.over", "the answer to this request is not kept any more", "")
	}
	if err != nil {
		return err
	}
	answer, err := gunzipped(packed)
	if err != nil {
		return err
	}
	return x.send(http.StatusOK, answer)
}

// asyncCancel ends a request, or has its answer forgotten.
func asyncCancel(x *call) error {
	jobs, j, err := x.job()
	if err != nil {
		return err
	}
	if err = jobs.Cancel(x.ctx, j.ID); err == nil {
		err = jobs.Remove(x.ctx, j.ID)
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return x.send(http.StatusAccepted, nil)
}
