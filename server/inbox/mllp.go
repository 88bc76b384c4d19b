package inbox

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"meridian/mappings/hl7v2"
)

// MLLP listens for messages of one source. HL7 v2.5.1 Appendix C.4.
type MLLP struct {
	inbox    *Inbox
	source   string
	listener net.Listener

	mu     sync.Mutex
	conns  map[net.Conn]*connection
	closed bool
	all    sync.WaitGroup
}

// connection is one sender; busy while a message is being taken.
type connection struct {
	mu   sync.Mutex
	busy bool
}

// Listen takes messages of a source ("" is the first one) from a listener until Close.
func (in *Inbox) Listen(l net.Listener, source string) *MLLP {
	m := &MLLP{inbox: in, source: source, listener: l, conns: map[net.Conn]*connection{}}
	m.all.Add(1)
	go func() {
		defer m.all.Done()
		m.accept()
	}()
	return m
}

// Addr is where it listens.
func (m *MLLP) Addr() net.Addr { return m.listener.Addr() }

func (m *MLLP) accept() {
	for {
		conn, err := m.listener.Accept()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				m.inbox.log.Error("accept", "error", err)
			}
			return
		}
		c := &connection{}
		if !m.add(conn, c) {
			m.inbox.log.Warn("mllp connection refused: the limit is reached", "limit", m.inbox.limits.Connections)
			_ = conn.Close()
			continue
		}
		go func() {
			defer m.all.Done()
			defer m.remove(conn)
			m.serve(conn, c)
		}()
	}
}

func (m *MLLP) add(conn net.Conn, c *connection) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || len(m.conns) >= m.inbox.limits.Connections {
		return false
	}
	m.conns[conn] = c
	m.all.Add(1)
	return true
}

func (m *MLLP) remove(conn net.Conn) {
	_ = conn.Close()
	m.mu.Lock()
	delete(m.conns, conn)
	m.mu.Unlock()
}

// serve answers the messages of one connection in their order. A message that
// cannot be stored is answered so that the sender sends it again.
func (m *MLLP) serve(conn net.Conn, c *connection) {
	l := m.inbox.limits
	in := hl7v2.NewReader(conn, hl7v2.ReaderOptions{MaxBytes: l.MessageBytes, IdleTimeout: l.IdleTime, ReadTimeout: l.ReadTime})
	remote := "mllp " + conn.RemoteAddr().String()
	for {
		frame, err := in.Next()
		var tooLong *hl7v2.TooLongError
		switch {
		case errors.As(err, &tooLong):
			m.refuse(conn, tooLong)
			continue
		case err != nil:
			if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) && !errors.Is(err, os.ErrDeadlineExceeded) {
				m.inbox.log.Warn("mllp connection ends", "remote", remote, "error", err)
			}
			return
		}
		c.set(true)
		ok := m.take(conn, remote, slices.Clone(frame.Message))
		c.set(false)
		if !ok {
			return
		}
	}
}

func (c *connection) set(busy bool) {
	c.mu.Lock()
	c.busy = busy
	c.mu.Unlock()
}

// take stores and answers one message; false ends the connection.
func (m *MLLP) take(conn net.Conn, remote string, raw []byte) bool {
	r, err := m.inbox.Receive(context.Background(), m.source, remote, raw)
	if err != nil {
		m.inbox.log.Error("take message", "remote", remote, "error", err)
	}
	if r.Answer == nil {
		return err == nil
	}
	if err := hl7v2.WriteFrame(conn, r.Answer); err != nil {
		m.inbox.log.Warn("answer not written", "remote", remote, "error", err)
		return false
	}
	return true
}

// refuse answers a message over the limit; its bytes are not kept, and the sender is told.
func (m *MLLP) refuse(conn net.Conn, e *hl7v2.TooLongError) {
	m.inbox.log.Warn("message refused: too long", "limit", e.Limit)
	src := m.inbox.source(m.source)
	r := m.inbox.answer(src, hl7v2.ScanHeader(e.Head), hl7v2.Rejected, m.inbox.clock(), &hl7v2.AckError{Code: hl7v2.InternalError, Text: "消息超过长度限制"})
	if r.Answer != nil {
		_ = hl7v2.WriteFrame(conn, r.Answer) // the connection ends by itself when it is gone
	}
}

// Close accepts no more, lets messages in flight be answered, closes idle connections, and returns when all are done.
func (m *MLLP) Close() error {
	err := m.listener.Close()
	m.mu.Lock()
	m.closed = true
	for conn, c := range m.conns {
		c.mu.Lock()
		if !c.busy {
			_ = conn.Close()
		} else {
			_ = conn.SetReadDeadline(time.Unix(1, 0)) // ends with the answer
		}
		c.mu.Unlock()
	}
	m.mu.Unlock()
	m.all.Wait()
	return err
}
