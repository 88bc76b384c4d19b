package rest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	kgzip "github.com/klauspost/compress/gzip"
	"github.com/labstack/echo/v4"

	"meridian/fhir/codec"
	"meridian/fhir/issue"
	"meridian/server/interaction"
)

// call is one request while it is served. Calls are used again.
type call struct {
	echo.Context
	h       *Handler
	service *interaction.Service
	ctx     context.Context
	// interaction names it for metrics and log, as CapabilityStatement.rest does.
	interaction string

	query   string // without _format and _pretty
	format  format
	asked   bool // the format stands in _format
	varies  bool // the format depends on Accept
	pretty  bool
	lenient bool
	prefer  interaction.Return
	async   bool // Prefer: respond-async
	status  int
	body    []byte           // buffer of the request's body
	out     []byte           // buffer of the answer
	encoded []byte           // buffer of the answer in another format than JSON
	xml     *codec.XMLReader // has read the body, when that was XML
}

// maxKept is the largest buffer that a call keeps, in bytes.
const maxKept = 1 << 20

func newCall(h *Handler, c echo.Context) *call {
	x := h.calls.Get().(*call)
	*x = call{Context: c, h: h, ctx: c.Request().Context(), body: x.body[:0], out: x.out[:0], encoded: x.encoded}
	return x
}

func (x *call) release() {
	if cap(x.body) > maxKept {
		x.body = nil
	}
	if cap(x.out) > maxKept {
		x.out = nil
	}
	if cap(x.encoded) > maxKept {
		x.encoded = nil
	}
	h := x.h
	if x.xml != nil {
		h.keep(x.xml)
	}
	*x = call{body: x.body, out: x.out, encoded: x.encoded}
	h.calls.Put(x)
}

// limit gives the request a deadline.
func (x *call) limit(d time.Duration) context.CancelFunc {
	var cancel context.CancelFunc
	x.ctx, cancel = context.WithTimeout(x.ctx, d)
	return cancel
}

func (x *call) header(name string) string {
	if v := x.Request().Header[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// list gives a header that is a list, also where it is sent on several lines.
func (x *call) list(name string) string {
	if v := x.Request().Header[name]; len(v) > 1 {
		return strings.Join(v, ", ")
	}
	return x.header(name)
}

// condition gives the one value of a header that makes a write conditional. Sent
// without a value, or twice, it would be ignored and the write done anyway. Issue code: value.
func (x *call) condition(name string) (string, error) {
	v := x.Request().Header[name]
	if len(v) == 0 {
		return "", nil
	}
	text := strings.TrimSpace(strings.Join(v, ", "))
	if text == "" || len(v) > 1 && name == "If-None-Exist" {
		return "", issue.New(issue.Value, "condition.header", "the header "+name+" is sent without a value, or more than once", "")
	}
	return text, nil
}

// typeName is the resource type of the address for metrics and log: "" when it is none.
func (x *call) typeName() string {
	if t := x.Param("type"); interaction.IsResourceType(t) {
		return t
	}
	return ""
}

// readBody reads the request's body, decompressed, into the call's buffer.
// Issue codes: too-long, not-supported (415), value.
func (x *call) readBody() ([]byte, error) {
	r := x.Request()
	if r.ContentLength > x.h.bodyLimit {
		return nil, x.tooLong()
	}
	var src io.Reader = r.Body
	switch enc := x.header("Content-Encoding"); enc {
	case "", "identity":
		if n := r.ContentLength; n > 0 && int64(cap(x.body)) < n+1 {
			x.body = make([]byte, 0, n+1)
		}
	case "gzip", "x-gzip":
		z, err := kgzip.NewReader(src)
		if err != nil {
			return nil, badGzip()
		}
		defer z.Close()
		src = z
	default:
		return nil, issue.New(issue.NotSupported, "body.encoding", "the body is compressed in a way that this server does not read; gzip it does", "").WithStatus(http.StatusUnsupportedMediaType)
	}
	if err := x.fill(src); err != nil {
		if issue.As(err) == nil && src != r.Body {
			return nil, badGzip()
		}
		if issue.As(err) == nil {
			// The client broke off: it will not read the answer, but the log is not told of a failure of the server.
			return nil, issue.New(issue.Value, "body.incomplete", "the body could not be read to its end", "")
		}
		return nil, err
	}
	return x.body, nil
}

// fill reads src to its end, or one byte over the limit.
func (x *call) fill(src io.Reader) error {
	if cap(x.body) == 0 {
		x.body = make([]byte, 0, 4<<10)
	}
	for {
		if len(x.body) == cap(x.body) {
			x.body = append(x.body, 0)[:len(x.body)]
		}
		n, err := src.Read(x.body[len(x.body):cap(x.body)])
		x.body = x.body[:len(x.body)+n]
		if int64(len(x.body)) > x.h.bodyLimit {
			return x.tooLong()
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the body: %w", err)
		}
	}
}

func (x *call) tooLong() error {
	return issue.New(issue.TooLong, "body.too-long", "the body is larger than "+strconv.FormatInt(x.h.bodyLimit, 10)+" bytes, the most that this server takes", "")
}

func badGzip() error {
	return issue.New(issue.Value, "body.gzip", "the body is not valid gzip", "")
}

// resourceBody reads a body that holds a resource and gives it as JSON, valid
// as long as the call. Issue codes: those of readBody and codec.XMLReader, not-supported (415).
func (x *call) resourceBody() ([]byte, error) {
	header := x.header("Content-Type")
	typ := mediaType(header)
	f, known := mimeTypes[typ]
	known = typ == "" || known && f != formatNDJSON
	if !known && !x.takesData() {
		return nil, issue.New(issue.NotSupported, "body.type", "the Content-Type of a resource is application/fhir+json or application/fhir+xml", "").WithStatus(http.StatusUnsupportedMediaType)
	}
	body, err := x.readBody()
	if err != nil {
		return nil, err
	}
	if x.takesData() && (!known || !holdsResource(typ, body)) {
		return x.fromData(header, body)
	}
	if f == formatXML {
		return x.fromXML(body)
	}
	return body, checkCharset(header)
}

// mediaType is a Content-Type without its parameters, in small letters.
func mediaType(contentType string) string {
	typ, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(typ))
}

// checkCharset refuses a Content-Type that names another charset than UTF-8
// (RFC 8259 section 8.1), or one of the others, since the bytes would be read as what they are not.
func checkCharset(contentType string, others ...string) error {
	for i, param := range strings.Split(contentType, ";") {
		name, value, _ := strings.Cut(param, "=")
		if i == 0 || !strings.EqualFold(strings.TrimSpace(name), "charset") {
			continue
		}
		switch value = strings.ToLower(strings.Trim(value, "\" \t")); value {
		case "utf-8", "utf8", "us-ascii":
		default:
			if !slices.Contains(others, value) {
				return errCharset()
			}
		}
	}
	return nil
}

func errCharset() error {
	return issue.New(issue.NotSupported, "body.charset", "a body is read in UTF-8 only, XML also in UTF-16", "").WithStatus(http.StatusUnsupportedMediaType)
}
