// Package rest puts the interactions on HTTP with Echo: routes, headers,
// content negotiation, compression, and the one table from issue code to
// status. It has no rule of its own: every handler decodes, calls
// server/interaction, encodes.
//
//	GET  /fhir/Patient/1        read        200 304 404 410   ETag: W/"2"  Last-Modified
//	PUT  /fhir/Patient/1        update      200 201 412       Location: …/fhir/Patient/1/_history/3
//	PATCH /fhir/Patient/1       patch       200 404 410 412 422
//	POST /fhir                  batch, transaction
//	GET  /fhir/Patient/1/$everything   operation; POST with Parameters
//	GET  /healthz /readyz /metrics
//
// Every error is an OperationOutcome, those of the router and of panics too.
// Metrics and the access log name the interaction, the resource type and the
// status; ids, query values and bodies stand in neither.
//
// A request's body buffer and the buffer of its answer are used again after
// the request; stored bodies are written as they are and never copied.
//
// https://hl7.org/fhir/R4/http.html
package rest

import (
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"meridian/fhir/codec"
	"meridian/server/interaction"
	"meridian/server/job"
)

// Options of a Handler. Service is required.
type Options struct {
	// Service gives the interactions, nil while the store is being opened:
	// then everything but /healthz and /metrics answers 503 with Retry-After.
	Service func() *interaction.Service
	// Base is the path of the FHIR service. Default /fhir.
	Base string
	// BodyLimit in bytes, after decompression. Default 64 MiB. A larger body answers 413.
	BodyLimit int64
	// Timeout of one request, reads by id aside. Default 5 minutes.
	Timeout time.Duration
	// AccessLog gets one record per request; nil for none.
	AccessLog *slog.Logger
	// ErrorLog gets internal errors and panics; nil for slog.Default.
	ErrorLog *slog.Logger
	// Metrics is the registry that /metrics shows; nil makes one.
	Metrics *prometheus.Registry
	// Ready says, beside the service being there and its store answering, whether requests should come here; nil for always.
	Ready func() error
	// Jobs gives the runner of the Handler's Kinds, nil while the store is being
	// opened. Without it Prefer: respond-async is not obeyed.
	Jobs func() *job.Runner
	// Async bounds what Jobs runs.
	Async AsyncOptions
	// Mounts are further handlers by path prefix ("/messages").
	Mounts map[string]http.Handler
}

// Handler serves the whole HTTP side of the program.
type Handler struct {
	echo      *echo.Echo
	service   func() *interaction.Service
	ready     func() error
	jobs      func() *job.Runner
	async     AsyncOptions
	base      string
	bodyLimit int64
	timeout   time.Duration
	access    *slog.Logger
	errors    *slog.Logger
	metrics   *metrics
	series    map[string]*series // by interaction; complete once New returns
	calls     sync.Pool          // of *call
	gzips     sync.Pool          // of *gzip.Writer
	openAPI   struct {           // made when it is asked for, again when search parameters were added or taken away
		mu      sync.Mutex
		adopted uint64
		body    []byte
	}

	answers    codec.Pool // parsers of answers that are not sent as JSON
	xmlReaders sync.Pool  // of *codec.XMLReader
}

// New gives the handler of all routes.
func New(o Options) *Handler {
	h := &Handler{
		echo: echo.New(), service: o.Service, ready: o.Ready, base: strings.TrimSuffix(o.Base, "/"),
		bodyLimit: o.BodyLimit, timeout: o.Timeout, access: o.AccessLog, errors: o.ErrorLog,
	}
	h.jobs, h.async = o.Jobs, o.Async.withDefaults()
	if o.Base == "" {
		h.base = "/fhir"
	}
	if h.bodyLimit <= 0 {
		h.bodyLimit = 64 << 20
	}
	if h.timeout <= 0 {
		h.timeout = 5 * time.Minute
	}
	if h.errors == nil {
		h.errors = slog.Default()
	}
	reg := o.Metrics
	if reg == nil {
		reg = prometheus.NewRegistry()
	}
	h.metrics, h.series = newMetrics(reg), map[string]*series{}
	for _, name := range []string{"unknown", "batch", "transaction"} {
		h.series[name] = h.metrics.interaction(name)
	}
	h.calls.New = func() any { return new(call) }
	h.answers.Options = answers
	h.xmlReaders.New = func() any { return codec.NewXMLReader(codec.Options{MaxBytes: int(min(h.bodyLimit, math.MaxInt32))}) }
	h.gzips.New = func() any {
		w, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level is a constant that is valid
		return w
	}
	h.echo.HTTPErrorHandler = h.routeError
	h.routes()
	h.echo.GET("/healthz", h.healthz)
	h.echo.GET("/readyz", h.readyz)
	h.echo.GET("/metrics", echo.WrapHandler(promhttp.HandlerFor(reg, promhttp.HandlerOpts{})))
	for prefix, sub := range o.Mounts {
		mounted := echo.WrapHandler(h.outcomes(sub))
		h.echo.Any(prefix, mounted)
		h.echo.Any(prefix+"/*", mounted)
	}
	return h
}

// ServeHTTP makes Handler an http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.echo.ServeHTTP(w, plainDollar(r))
}

func (h *Handler) routes() {
	g := h.echo.Group(h.base)
	for _, root := range []string{"", "/"} {
		g.POST(root, h.on("bundle", bundle))
	}
	both := func(path, name string, fn func(*call) error) {
		g.GET(path, h.on(name, fn))
		g.HEAD(path, h.on(name, fn))
	}
	both("/metadata", "capabilities", capabilities)
	both("/_history", "history-system", history)
	for _, path := range []string{"/metadata", "/_history"} {
		g.Match([]string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}, path, h.on("unknown", readOnly))
	}
	h.operationRoutes(g)
	h.descriptionRoutes(g)
	h.searchRoutes(g)
	h.asyncRoutes(g)
	both("/:type/_history", "history-type", history)
	both("/:type/:id", "read", read)
	both("/:type/:id/_history", "history-instance", history)
	both("/:type/:id/_history/:version", "vread", vread)
	g.POST("/:type", h.on("create", create))
	g.PUT("/:type/:id", h.on("update", update))
	g.DELETE("/:type/:id", h.on("delete", remove))
	g.PUT("/:type", h.on("update-conditional", update))
	g.DELETE("/:type", h.on("delete-conditional", remove))
	h.patchRoutes(g)
}

// on wraps a handler: the service must be there, errors become outcomes,
// panics too, and the request is counted and logged.
func (h *Handler) on(name string, fn func(*call) error) echo.HandlerFunc {
	if h.series[name] == nil {
		h.series[name] = h.metrics.interaction(name)
	}
	return func(c echo.Context) error {
		start := time.Now()
		x := newCall(h, c)
		defer x.release()
		x.interaction = name
		h.run(x, fn)
		h.observe(x, start)
		return nil
	}
}

func (h *Handler) run(x *call, fn func(*call) error) {
	defer func() {
		if p := recover(); p != nil {
			if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(p)
			}
			h.panicked(x, p)
		}
	}()
	err := x.negotiate() // first, so that every error has its format
	if x.service = h.service(); x.service == nil {
		x.fail(errStarting())
		return
	}
	if x.interaction != "read" && x.interaction != "vread" {
		timeout := h.timeout
		if runOf(x.ctx) != nil {
			timeout = h.async.Time
		}
		defer x.limit(timeout)()
	}
	answered := false
	if err == nil {
		answered, err = x.startAsync()
	}
	if err == nil && !answered {
		err = fn(x)
	}
	if err != nil {
		x.fail(err)
	}
}
