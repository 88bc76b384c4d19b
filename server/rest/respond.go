package rest

import (
	"errors"
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
	contentJSON   = []string{"application/fhir+json; charset=utf-8"}
	contentXML    = []string{"application/fhir+xml; charset=utf-8"}
	contentNDJSON = []string{"application/fhir+ndjson; charset=utf-8"}
	encodingGzip  = []string{"gzip"}
	varyFormat    = []string{"Accept"}
	varyEncoding  = []string{"Accept-Encoding"}
	varyBoth      = []string{"Accept, Accept-Encoding"}
)

// send writes a whole answer, which is JSON, in the format asked for.
func (x *call) send(status int, body []byte) error {
	if len(body) == 0 {
		return x.transmit(status, nil, nil)
	}
	body, typ, err := x.encode(status, body)
	if err != nil {
		return err
	}
	return x.transmit(status, typ, body)
}

// encode gives the answer in its format. Issue code: not-supported (406), for what has no XML form.
func (x *call) encode(status int, body []byte) ([]byte, []string, error) {
	switch {
	case x.format == formatXML:
		out, err := x.appendXML(x.encoded[:0], body)
		if err == nil {
			x.encoded = out
			return out, contentXML, nil
		}
		// The outcome of this is JSON, and so is the answer to a write that has been done.
		x.format = formatJSON
		if m := x.Request().Method; m == http.MethodGet || m == http.MethodHead {
			return nil, nil, err
		}
	case x.format == formatNDJSON && status == http.StatusOK:
		out, err := x.appendLines(x.encoded[:0], body)
		x.encoded = out
		return out, contentNDJSON, err
	}
	if x.pretty {
		body = codec.AppendPretty(nil, body)
	}
	return body, contentJSON, nil
}

// transmit sends a body as it is; nil is none.
func (x *call) transmit(status int, contentType []string, body []byte) error {
	x.status = status
	w := x.Response()
	head := w.Header()
	if x.varies {
		head["Vary"] = varyFormat
	}
	if body == nil {
		w.WriteHeader(status)
		return nil
	}
	head["Content-Type"] = contentType
	if len(body) >= gzipFrom {
		if head["Vary"] = varyEncoding; x.varies {
			head["Vary"] = varyBoth
		}
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
	err = x.inBody(err)
	status := errorStatus(err)
	if status >= http.StatusInternalServerError && status != http.StatusServiceUnavailable && status != http.StatusNotImplemented {
		x.h.errors.LogAttrs(x.ctx, levelError, "request failed", logError(err)...)
	}
	if e := issue.As(err); status == http.StatusServiceUnavailable || e != nil && (e.Issues[0].Code == issue.LockError || e.Issues[0].Code == issue.Throttled) {
		x.Response().Header().Set("Retry-After", retryAfter)
	}
	var own *interaction.OperationError
	if errors.As(err, &own) {
		_ = x.transmit(status, []string{own.ContentType}, own.Body)
		return
	}
	body := interaction.AppendOutcome(nil, errorIssues(err))
	if err := x.send(status, body); err != nil {
		_ = x.send(status, body) // it has no XML form, and is JSON now
	}
}
