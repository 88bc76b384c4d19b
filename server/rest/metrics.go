package rest

import (
	"context"
	"log/slog"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts requests by interaction, type and status, and their time by interaction.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	warnings *prometheus.CounterVec
}

func newMetrics(reg *prometheus.Registry) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "meridian_http_requests_total",
			Help: "Requests by interaction, resource type (empty where there is none) and HTTP status."}, []string{"interaction", "type", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "meridian_http_request_seconds",
			Help: "Time to answer in seconds by interaction.", Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 14)}, []string{"interaction"}),
		warnings: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "meridian_write_warnings_total",
			Help: "Where the policy is warn: references that name nothing, deletes of what is referred to, errors that validation finds."}, []string{"interaction"}),
	}
	reg.MustRegister(m.requests, m.seconds, m.warnings)
	return m
}

// series are the counters of one interaction, found without building label texts.
type series struct {
	name    string
	m       *metrics
	seconds prometheus.Observer
	mu      sync.RWMutex
	counts  map[countKey]prometheus.Counter
}

type countKey struct {
	typ    string
	status int
}

func (m *metrics) interaction(name string) *series {
	return &series{name: name, m: m, seconds: m.seconds.WithLabelValues(name), counts: map[countKey]prometheus.Counter{}}
}

func (s *series) add(typ string, status int, took time.Duration) {
	key := countKey{typ, status}
	s.mu.RLock()
	c := s.counts[key]
	s.mu.RUnlock()
	if c == nil {
		c = s.m.requests.WithLabelValues(s.name, typ, strconv.Itoa(status))
		s.mu.Lock()
		s.counts[key] = c
		s.mu.Unlock()
	}
	c.Inc()
	s.seconds.Observe(took.Seconds())
}

const levelError = slog.LevelError

// observe counts and logs a request that was answered. The record goes to the
// log's handler directly: what Logger adds, the place in the source, is the
// same for every request and costs a third of the log.
func (h *Handler) observe(x *call, start time.Time) {
	typ, now := x.typeName(), time.Now()
	took := now.Sub(start)
	h.series[x.interaction].add(typ, x.status, took)
	if h.access == nil || !h.access.Enabled(context.Background(), slog.LevelInfo) {
		return
	}
	r := slog.NewRecord(now, slog.LevelInfo, "request", 0)
	r.AddAttrs(slog.String("interaction", x.interaction), slog.String("type", typ),
		slog.Int("status", x.status), slog.Float64("ms", float64(took.Microseconds())/1000))
	_ = h.access.Handler().Handle(context.Background(), r) // a log that cannot be written does not fail a request
}

// panicked answers 500. The log gets the place and the stack, and of the
// panic's value only its type: it could hold what a patient's record says.
func (h *Handler) panicked(x *call, value any) {
	h.errors.LogAttrs(context.Background(), slog.LevelError, "panic", slog.String("interaction", x.interaction), slog.String("type", x.typeName()),
		slog.String("panic", panicText(value)), slog.String("stack", string(debug.Stack())))
	if !x.Response().Committed {
		x.fail(errPanic)
	}
	x.status = 500
}
