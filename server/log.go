package main

import (
	"bufio"
	"io"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func newLogger(w io.Writer, level string) *slog.Logger {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		l = slog.LevelInfo
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: l}))
}

// accessLog is a buffered log of requests, written every half second and at a
// stop: a log line must not cost a request a system call.
type accessLog struct {
	mu   sync.Mutex
	buf  *bufio.Writer
	done chan struct{}
}

const (
	accessLogBuffer = 64 << 10
	accessLogEvery  = 500 * time.Millisecond
)

// newAccessLog writes to standard output, or nowhere for "off".
func newAccessLog(where string) *accessLog {
	a := &accessLog{done: make(chan struct{})}
	if where == "off" {
		return a
	}
	a.buf = bufio.NewWriterSize(os.Stdout, accessLogBuffer)
	go func() {
		t := time.NewTicker(accessLogEvery)
		defer t.Stop()
		for {
			select {
			case <-a.done:
				return
			case <-t.C:
				a.flush()
			}
		}
	}()
	return a
}

// Write appends a line for slog.
func (a *accessLog) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.buf.Write(p)
}

func (a *accessLog) flush() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.buf != nil {
		_ = a.buf.Flush() // standard output is gone: there is nobody to tell
	}
}

func (a *accessLog) logger() *slog.Logger {
	if a.buf == nil {
		return nil
	}
	return slog.New(slog.NewJSONHandler(a, nil))
}

func (a *accessLog) close() {
	close(a.done)
	a.flush()
}

// messageMetrics counts what happens to messages; it is the inbox.Observer.
// Labels are ids of sources, outcomes and codes.
type messageMetrics struct {
	received, refused, total, parked *prometheus.CounterVec
	connections                      prometheus.Gauge
	notAccepted                      prometheus.Counter
	time, age                        prometheus.Histogram
}

func newMessageMetrics(reg *prometheus.Registry) *messageMetrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "meridian_" + name, Help: help}, labels)
	}
	m := &messageMetrics{
		received:    counter("messages_received_total", "Messages stored; duplicate: their bytes were there already.", "source", "duplicate"),
		refused:     counter("messages_refused_total", "Messages not stored.", "source", "reason"),
		total:       counter("messages_total", "Messages worked on, by outcome.", "source", "outcome"),
		parked:      counter("messages_parked_total", "Messages parked, by reason.", "source", "code"),
		connections: prometheus.NewGauge(prometheus.GaugeOpts{Name: "meridian_mllp_connections", Help: "Open MLLP connections."}),
		notAccepted: prometheus.NewCounter(prometheus.CounterOpts{Name: "meridian_mllp_connections_refused_total", Help: "MLLP connections refused because of the limit."}),
		time:        prometheus.NewHistogram(prometheus.HistogramOpts{Name: "meridian_message_seconds", Help: "Time from lease to end.", Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14)}),
		age:         prometheus.NewHistogram(prometheus.HistogramOpts{Name: "meridian_message_age_seconds", Help: "Time from arrival to end.", Buckets: prometheus.ExponentialBuckets(0.001, 2, 18)}),
	}
	reg.MustRegister(m.received, m.refused, m.total, m.parked, m.connections, m.notAccepted, m.time, m.age)
	return m
}

// lag registers the age of the oldest unfinished message.
func (m *messageMetrics) lag(reg *prometheus.Registry, lag func() time.Duration) {
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "meridian_messages_lag_seconds", Help: "Age of the oldest message in hand that has not ended; 0 when there is none."},
		func() float64 { return lag().Seconds() }))
}

// Received counts a stored message.
func (m *messageMetrics) Received(source string, duplicate bool) {
	m.received.WithLabelValues(source, strconv.FormatBool(duplicate)).Inc()
}

// Refused counts a message that was not stored.
func (m *messageMetrics) Refused(source, reason string) {
	m.refused.WithLabelValues(source, reason).Inc()
}

// Finished counts a message that was worked on.
func (m *messageMetrics) Finished(source, outcome, code string, took, age time.Duration) {
	m.total.WithLabelValues(source, outcome).Inc()
	if outcome == "parked" {
		m.parked.WithLabelValues(source, code).Inc()
	}
	m.time.Observe(took.Seconds())
	m.age.Observe(age.Seconds())
}

// Connection counts open connections.
func (m *messageMetrics) Connection(change int) { m.connections.Add(float64(change)) }

// ConnectionRefused counts connections over the limit.
func (m *messageMetrics) ConnectionRefused() { m.notAccepted.Inc() }
