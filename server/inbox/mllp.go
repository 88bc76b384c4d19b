package inbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"meridian/mappings/hl7v2"
)

// MLLP listens for messages of one source. HL7 v2.5.1 Appendix C.4.
//
// A connection is one goroutine: it reads a message, stores it, answers, reads
// the next. What was read whole is stored and answered, also while the listener
// closes; what was not has no answer, and its sender sends it again.
type MLLP struct {
	inbox    *Inbox
	source   string
	listener net.Listener

	mu     sync.Mutex
	conns  map[*connection]struct{}
	closed chan struct{}
	once   sync.Once
	all    sync.WaitGroup
}

// acceptPause is the wait after a connection could not be accepted, as when the process has too many files open.
const acceptPause = 100 * time.Millisecond

// Listen takes messages of a source ("" is the first one) from a listener until Close.
func (in *Inbox) Listen(l net.Listener, source string) *MLLP {
	m := &MLLP{inbox: in, source: source, listener: l, conns: map[*connection]struct{}{}, closed: make(chan struct{})}
	m.all.Add(1)
	go func() {
		defer m.all.Done()
		m.accept()
	}()
	return m
}

// Addr is where it listens.
func (m *MLLP) Addr() net.Addr { return m.listener.Addr() }

func (m *MLLP) closing() bool {
	select {
	case <-m.closed:
		return true
	default:
		return false
	}
}

func (m *MLLP) accept() {
	for {
		conn, err := m.listener.Accept()
		switch {
		case err == nil:
			m.admit(conn)
		case m.closing(), errors.Is(err, net.ErrClosed):
			return
		default:
			m.inbox.log.Error("accept a connection", "error", err)
			select {
			case <-m.closed:
				return
			case <-time.After(acceptPause):
			}
		}
	}
}

// admit serves a connection, or closes it where there are too many.
func (m *MLLP) admit(conn net.Conn) {
	c := &connection{Conn: conn}
	m.mu.Lock()
	ok := !m.closing() && len(m.conns) < m.inbox.limits.Connections
	if ok {
		m.conns[c] = struct{}{}
		m.all.Add(1)
	}
	m.mu.Unlock()
	if !ok {
		_ = conn.Close()
		if !m.closing() {
			m.inbox.log.Warn("mllp connection refused: the limit is reached", "limit", m.inbox.limits.Connections, "remote", conn.RemoteAddr().String())
			m.inbox.metrics.ConnectionRefused()
		}
		return
	}
	m.inbox.metrics.Connection(1)
	go func() {
		defer m.all.Done()
		defer m.remove(c)
		m.serve(c)
	}()
}

func (m *MLLP) remove(c *connection) {
	_ = c.Close()
	m.mu.Lock()
	delete(m.conns, c)
	m.mu.Unlock()
	m.inbox.metrics.Connection(-1)
}

// connection is one sender. Once it is stopped all reads of it end; answers are still written.
type connection struct {
	net.Conn
	mu      sync.Mutex
	stopped bool
}

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// SetReadDeadline is called by the reader of frames before each read.
func (c *connection) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		t = longAgo
	}
	return c.Conn.SetReadDeadline(t)
}

func (c *connection) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	_ = c.Conn.SetReadDeadline(longAgo) // it is closed: then nothing is read either
}

// serve answers the messages of one connection in their order. A message that
// cannot be stored is answered so that the sender sends it again.
func (m *MLLP) serve(c *connection) {
	l := m.inbox.limits
	in := hl7v2.NewReader(c, hl7v2.ReaderOptions{MaxBytes: l.MessageBytes, IdleTimeout: l.IdleTime, ReadTimeout: l.ReadTime})
	remote := "mllp " + c.RemoteAddr().String()
	defer func() {
		if p := recover(); p != nil {
			m.inbox.log.Error("the program failed on a connection, it ends", "remote", remote, "panic", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
		}
	}()
	for !m.closing() {
		frame, err := in.Next()
		var tooLong *hl7v2.TooLongError
		switch {
		case err == nil:
			err = m.take(c, remote, &frame)
		case errors.As(err, &tooLong):
			err = m.refuse(c, remote, tooLong)
		default:
			m.ended(remote, err)
			return
		}
		if err != nil {
			m.inbox.log.Warn("mllp connection ends", "remote", remote, "error", err)
			return
		}
	}
}

// ended logs why a connection ends, unless that is ordinary.
func (m *MLLP) ended(remote string, err error) {
	if m.closing() || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
		return
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		m.inbox.log.Warn("mllp connection was silent too long", "remote", remote)
		return
	}
	m.inbox.log.Warn("mllp connection ends", "remote", remote, "error", err)
}

// take stores and answers one message. The error is that of writing.
func (m *MLLP) take(c *connection, remote string, f *hl7v2.Frame) error {
	if f.Junk > 0 || f.Aborted > 0 {
		m.inbox.log.Warn("mllp bytes outside a message", "remote", remote, "before", f.Junk, "aborted", f.Aborted)
	}
	r, err := m.inbox.Receive(context.Background(), m.source, remote, f.Message)
	if err != nil {
		m.inbox.log.Error("take message", "remote", remote, "error", err)
		if r.Answer == nil {
			return errNotTaken
		}
	}
	return m.answer(c, r)
}

// errNotTaken ends a connection whose sender wants no answers: that is the only way to tell it.
var errNotTaken = errors.New("the message was not stored and its sender wants no answer")

// refuse answers a message over the limit.
func (m *MLLP) refuse(c *connection, remote string, e *hl7v2.TooLongError) error {
	r, err := m.inbox.Refuse(context.Background(), m.source, remote, e.Head, fmt.Sprintf("more than %d bytes", e.Limit))
	if err != nil {
		m.inbox.log.Error("refuse message", "remote", remote, "error", err)
	}
	return m.answer(c, r)
}

func (m *MLLP) answer(c *connection, r Receipt) error {
	if r.Answer == nil {
		return nil
	}
	// A sender that does not read must not hold the connection for ever.
	if err := c.SetWriteDeadline(time.Now().Add(m.inbox.limits.WriteTime)); err != nil {
		return err
	}
	return hl7v2.WriteFrame(c, r.Answer)
}

// Close accepts no more, lets every message that was read whole be stored and
// answered, ends all connections, and returns when all are done.
func (m *MLLP) Close() error {
	err := m.listener.Close()
	m.once.Do(func() { close(m.closed) })
	m.mu.Lock()
	for c := range m.conns {
		c.stop()
	}
	m.mu.Unlock()
	m.all.Wait()
	return err
}
