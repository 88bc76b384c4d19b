package hl7v2

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"
)

// Bytes of a frame, HL7 v2.5.1 Appendix C.4 (minimal lower layer protocol): 0B message 1C 0D.
const (
	frameStart = 0x0B
	frameEnd   = 0x1C
	frameTail  = 0x0D
)

// ReaderOptions of NewReader; zero means the default, a negative time means no limit.
type ReaderOptions struct {
	MaxBytes int // of one message; default DefaultMaxBytes
	// MaxJunk bounds the bytes between two frames; default DefaultMaxJunk. It ends connections that speak another protocol.
	MaxJunk int
	// IdleTimeout bounds the wait for the first byte of a frame; default none, for analyzers are silent for days.
	IdleTimeout time.Duration
	// ReadTimeout bounds the wait for the next bytes inside a frame; default DefaultReadTimeout.
	ReadTimeout time.Duration
	// FrameTimeout bounds the time from the first to the last byte of a frame; default DefaultFrameTimeout.
	FrameTimeout time.Duration
	// Now is the clock that deadlines are computed from; default time.Now.
	Now func() time.Time
}

// Defaults of ReaderOptions.
const (
	DefaultMaxJunk      = 64 << 10
	DefaultReadTimeout  = 30 * time.Second
	DefaultFrameTimeout = 5 * time.Minute

	// headBytes of a message that is too long are kept, to answer it.
	headBytes = 4096
	// keepBytes bounds the buffer kept for the next message.
	keepBytes = 1 << 20
)

func (o ReaderOptions) withDefaults() ReaderOptions {
	if o.MaxBytes <= 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.MaxJunk <= 0 {
		o.MaxJunk = DefaultMaxJunk
	}
	if o.ReadTimeout == 0 {
		o.ReadTimeout = DefaultReadTimeout
	}
	if o.FrameTimeout == 0 {
		o.FrameTimeout = DefaultFrameTimeout
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// ErrJunk is returned by Next when more than MaxJunk bytes stand between two frames: the other side does not speak MLLP.
var ErrJunk = errors.New("mllp: too many bytes outside a frame")

// TooLongError is returned by Next for a message of more than Limit bytes. Its rest is skipped by the following Next, so that the
// message can be answered and the connection kept.
type TooLongError struct {
	Limit int
	Head  []byte // its first bytes, at most 4096, for ScanHeader; a copy
}

func (e *TooLongError) Error() string {
	return fmt.Sprintf("mllp: message of more than %d bytes", e.Limit)
}

// Frame is one message and what was irregular about it.
type Frame struct {
	Message []byte // valid until the following Next
	Junk    int    // bytes before the frame that belong to none, line ends apart
	// Aborted is the number of bytes of an earlier message whose end never came: the sender started anew with 0B MSH.
	Aborted int
}

// Stats counts over the life of a Reader.
type Stats struct {
	Frames      int
	Junk        int // bytes
	Aborted     int // bytes
	MissingTail int // frames ended by 1C without 0D
}

// Reader takes messages from a connection. It is for one goroutine.
type Reader struct {
	opt    ReaderOptions
	in     *bufio.Reader
	conn   *deadlineReader // nil if the source has no deadlines
	buf    []byte
	skip   bool // inside the rest of a message that was too long
	tail   bool // the last frame ended with 1C; 0D is to come
	counts Stats
}

// NewReader reads frames from r. If r has SetReadDeadline, as a net.Conn, the timeouts of opt are applied and end Next with the
// error of r (os.ErrDeadlineExceeded).
func NewReader(r io.Reader, opt ReaderOptions) *Reader {
	m := &Reader{opt: opt.withDefaults()}
	if d, ok := r.(deadliner); ok {
		m.conn = &deadlineReader{Reader: r, set: d.SetReadDeadline, opt: &m.opt}
		r = m.conn
	}
	m.in = bufio.NewReaderSize(r, 4096)
	return m
}

type deadliner interface{ SetReadDeadline(time.Time) error }

// deadlineReader sets a deadline before each read of the connection.
type deadlineReader struct {
	io.Reader
	set   func(time.Time) error
	opt   *ReaderOptions
	until time.Time // end of the frame under way; zero between frames
}

func (d *deadlineReader) Read(p []byte) (int, error) {
	now := d.opt.Now()
	wait := d.opt.IdleTimeout
	if !d.until.IsZero() {
		wait = d.opt.ReadTimeout
	}
	var deadline time.Time
	if wait > 0 {
		deadline = now.Add(wait)
	}
	if d.opt.FrameTimeout > 0 && !d.until.IsZero() && (deadline.IsZero() || d.until.Before(deadline)) {
		deadline = d.until
	}
	if err := d.set(deadline); err != nil {
		return 0, err
	}
	return d.Reader.Read(p)
}

// inFrame tells the deadlines whether a frame is under way.
func (m *Reader) inFrame(yes bool) {
	if m.conn == nil {
		return
	}
	m.conn.until = time.Time{}
	if yes {
		m.conn.until = m.opt.Now().Add(max(m.opt.FrameTimeout, 1))
	}
}

// Stats since NewReader.
func (m *Reader) Stats() Stats { return m.counts }

// Next waits for one message. A frame ends with 1C; the 0D after it is not waited for, because some senders leave it out and wait for
// the answer. A byte 0B inside a message is part of it (Word writes it into report texts), unless MSH follows: then the sender
// has started anew, and what came before is counted as Aborted.
//
// The error is io.EOF if the connection ended between frames, io.ErrUnexpectedEOF within one, *TooLongError, ErrJunk, or that
// of the connection. After *TooLongError Next may be called again, after others not.
func (m *Reader) Next() (Frame, error) {
	m.inFrame(false)
	if m.skip {
		if err := m.skipRest(); err != nil {
			return Frame{}, err
		}
	}
	junk, err := m.findStart()
	m.counts.Junk += junk
	if err != nil {
		return Frame{Junk: junk}, err
	}
	m.inFrame(true)
	message, err := m.readMessage()
	if err != nil {
		return Frame{Junk: junk}, err
	}
	f := Frame{Message: message, Junk: junk}
	if i := bytes.LastIndex(message, []byte{frameStart, 'M', 'S', 'H'}); i >= 0 {
		f.Message, f.Aborted = message[i+1:], i
		m.counts.Aborted += i
	}
	m.counts.Frames++
	return f, nil
}

// findStart reads up to and with 0B and counts what it passes, CR and LF apart.
func (m *Reader) findStart() (junk int, err error) {
	passed := 0
	for {
		c, err := m.in.ReadByte()
		if err != nil {
			if m.tail && err == io.EOF {
				m.counts.MissingTail++
			}
			return junk, err
		}
		if m.tail {
			if m.tail = false; c == frameTail {
				continue
			}
			m.counts.MissingTail++
		}
		if c == frameStart {
			return junk, nil
		}
		if c != '\r' && c != '\n' {
			junk++
		}
		if passed++; passed > m.opt.MaxJunk {
			return junk, ErrJunk
		}
	}
}

// readMessage reads up to and with 1C.
func (m *Reader) readMessage() ([]byte, error) {
	if cap(m.buf) > keepBytes {
		m.buf = nil
	}
	m.buf = m.buf[:0]
	for {
		part, err := m.in.ReadSlice(frameEnd)
		m.buf = append(m.buf, part...)
		done := err == nil
		if n := len(m.buf); n > m.opt.MaxBytes+1 || n == m.opt.MaxBytes+1 && !done {
			e := &TooLongError{Limit: m.opt.MaxBytes, Head: bytes.Clone(m.buf[:min(n, headBytes)])}
			m.buf, m.skip, m.tail = nil, !done, done
			return nil, e
		}
		switch {
		case done:
			m.tail = true
			return m.buf[:len(m.buf)-1], nil
		case err == io.EOF:
			return nil, io.ErrUnexpectedEOF
		case err != bufio.ErrBufferFull:
			return nil, err
		}
	}
}

// skipRest reads over the rest of a message that was too long.
func (m *Reader) skipRest() error {
	m.inFrame(true)
	for {
		_, err := m.in.ReadSlice(frameEnd)
		switch {
		case err == nil:
			m.skip, m.tail = false, true
			m.inFrame(false)
			return nil
		case err == io.EOF:
			return io.ErrUnexpectedEOF
		case err != bufio.ErrBufferFull:
			return err
		}
	}
}

// ErrFrameByte is returned by WriteFrame for a message that holds 0B or 1C, which would end its frame early.
var ErrFrameByte = errors.New("mllp: message holds a frame byte")

// WriteFrame writes one message in its frame with a single Write.
func WriteFrame(w io.Writer, message []byte) error {
	if bytes.IndexByte(message, frameStart) >= 0 || bytes.IndexByte(message, frameEnd) >= 0 {
		return ErrFrameByte
	}
	b := make([]byte, 0, len(message)+3)
	b = append(append(append(b, frameStart), message...), frameEnd, frameTail)
	_, err := w.Write(b)
	return err
}
