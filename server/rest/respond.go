package rest

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/klauspost/compress/gzip"

	"meridian/fhir/codec"
	"meridian/fhir/issue"
	"meridian/server/interaction"
	"meridian/server/store"
)

// gzipFrom is the smallest answer that is compressed, in bytes: below it the
// saving is less than three packets and costs more time than it saves.
const gzipFrom = 4 << 10

// retryAfter is the wait in seconds that a 503 recommends.
const retryAfter = "1"

// Header values that are the same for every answer; they are never changed.
var (
	contentJSON  = []string{"application/fhir+json; charset=utf-8"}
	encodingGzip = []string{"gzip"}
	varyEncoding = []string{"Accept-Encoding"}
)

// send writes a whole answer.
func (x *call) send(status int, body []byte) error {
	x.status = status
	if x.pretty && len(body) > 0 {
		body = codec.AppendPretty(nil, body)
	}
	w := x.Response()
	head := w.Header()
	if len(body) == 0 {
		w.WriteHeader(status)
		return nil
	}
	head["Content-Type"] = contentJSON
	if len(body) >= gzipFrom {
		head["Vary"] = varyEncoding
		if x.acceptsGzip() {
			return x.sendGzip(status, body)
		}
	}
	head["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	if x.Request().Method != http.MethodHead {
		// A client that went away is no error of the server.
		_, _ = w.Write(body)
	}
	return nil
}

func (x *call) acceptsGzip() bool {
	for part := range strings.SplitSeq(x.header("Accept-Encoding"), ",") {
		name, q, _ := strings.Cut(strings.TrimSpace(part), ";")
		if name == "gzip" || name == "*" {
			q = strings.TrimSpace(q)
			return q != "q=0" && q != "q=0.0"
		}
	}
	return false
}

func (x *call) sendGzip(status int, body []byte) error {
	w := x.Response()
	w.Header()["Content-Encoding"] = encodingGzip
	w.WriteHeader(status)
	if x.Request().Method == http.MethodHead {
		return nil
	}
	z := x.h.gzips.Get().(*gzip.Writer)
	z.Reset(w)
	_, _ = z.Write(body)
	_ = z.Close()
	x.h.gzips.Put(z)
	return nil
}

// stamp sets ETag and Last-Modified of a version.
func (x *call) stamp(r *store.Resource) {
	if r.Version == 0 {
		return
	}
	// One allocation for both texts: ETag is W/"…", then the date.
	b := make([]byte, 0, 64)
	b = append(strconv.AppendUint(append(b, `W/"`...), r.Version, 10), '"')
	n := len(b)
	if !r.LastUpdated.IsZero() {
		b = r.LastUpdated.UTC().AppendFormat(b, http.TimeFormat)
	}
	text := string(b)
	values := [2]string{text[:n], text[n:]}
	head := x.Response().Header()
	head["Etag"] = values[0:1:1]
	if len(text) > n {
		head["Last-Modified"] = values[1:2:2]
	}
}

// location is the absolute address of a version.
func (x *call) location(r *store.Resource) string {
	return x.service.BaseURL() + "/" + r.Type + "/" + r.ID + "/_history/" + strconv.FormatUint(r.Version, 10)
}

// fail answers with an OperationOutcome.
func (x *call) fail(err error) {
	status := errorStatus(err)
	if status >= http.StatusInternalServerError && status != http.StatusServiceUnavailable && status != http.StatusNotImplemented {
		x.h.errors.LogAttrs(x.ctx, levelError, "request failed", logError(err)...)
	}
	if e := issue.As(err); status == http.StatusServiceUnavailable || e != nil && (e.Issues[0].Code == issue.LockError || e.Issues[0].Code == issue.Throttled) {
		x.Response().Header().Set("Retry-After", retryAfter)
	}
	_ = x.send(status, interaction.AppendOutcome(nil, errorIssues(err)))
}
