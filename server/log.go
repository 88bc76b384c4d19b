package main

import (
	"bufio"
	"io"
	"log/slog"
	"os"
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

// messageMetrics counts finished messages by outcome.
type messageMetrics struct {
	total *prometheus.CounterVec
	time  prometheus.Histogram
}

func newMessageMetrics(reg *prometheus.Registry) *messageMetrics {
	m := &messageMetrics{
		total: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "meridian_messages_total", Help: "Messages by outcome."}, []string{"outcome"}),
		time:  prometheus.NewHistogram(prometheus.HistogramOpts{Name: "meridian_message_seconds", Help: "Time from lease to commit.", Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14)}),
	}
	reg.MustRegister(m.total, m.time)
	return m
}

func (m *messageMetrics) observe(outcome string, took time.Duration) {
	m.total.WithLabelValues(outcome).Inc()
	if took > 0 {
		m.time.Observe(took.Seconds())
	}
}
