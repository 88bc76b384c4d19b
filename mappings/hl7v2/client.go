package hl7v2

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// ClientOptions of NewClient; zero means the default.
type ClientOptions struct {
	// AckTimeout bounds the wait for one acknowledgment, writing included; default DefaultAckTimeout.
	AckTimeout time.Duration
	// Reader options for the answers; its timeouts are those of AckTimeout.
	MaxBytes int
	Now      func() time.Time // default time.Now
}

// DefaultAckTimeout of ClientOptions.
const DefaultAckTimeout = 30 * time.Second

// Errors of Client.Send.
var (
	// ErrClientClosed: an earlier Send failed, or Close was called. Late answers must never be taken for those of a later message, so a
	// connection is not used again after any failure.
	ErrClientClosed = errors.New("mllp: the connection is closed")
	// ErrAckMismatch: an answer came whose MSA-2 is not the MSH-10 of the message.
	ErrAckMismatch = errors.New("mllp: the answer is for another message")
	// ErrCommitNak: the receiver refused the block with 15 (MLLP release 2).
	ErrCommitNak = errors.New("mllp: the receiver refused the block")
)

// Client sends messages over one connection, one at a time. It is for one goroutine. It expects one answer for each message, so in
// enhanced mode ask for an accept acknowledgment or an application acknowledgment, not for both.
type Client struct {
	conn   net.Conn
	in     *Reader
	opt    ClientOptions
	closed bool
}

// NewClient sends over conn, which it closes on the first failure.
func NewClient(conn net.Conn, opt ClientOptions) *Client {
	if opt.AckTimeout <= 0 {
		opt.AckTimeout = DefaultAckTimeout
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	// The Reader gets no deadlines of its own: Send sets one for the whole exchange.
	in := NewReader(struct{ reader }{conn}, ReaderOptions{MaxBytes: opt.MaxBytes})
	return &Client{conn: conn, in: in, opt: opt}
}

type reader interface{ Read([]byte) (int, error) }

// Close closes the connection.
func (c *Client) Close() error {
	if c.closed {
		return nil
	}
	c.closed = true
	return c.conn.Close()
}

// Send writes one message, in its bytes as they are, and waits for the acknowledgment whose MSA-2 is its MSH-10. A commit byte 06 of
// MLLP release 2 before it is passed over. Send ends early with ctx. The error wraps ErrClientClosed, ErrAckMismatch, ErrCommitNak,
// ErrFrameByte, an *Error of ParseAck, or that of the connection (os.ErrDeadlineExceeded after AckTimeout); after any of
// them the connection is closed. A negative answer is no error.
func (c *Client) Send(ctx context.Context, message []byte) (Answer, error) {
	if c.closed {
		return Answer{}, ErrClientClosed
	}
	a, err := c.exchange(ctx, message)
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		_ = c.Close()
		return Answer{}, fmt.Errorf("mllp: send: %w", err)
	}
	return a, nil
}

func (c *Client) exchange(ctx context.Context, message []byte) (Answer, error) {
	if err := c.conn.SetDeadline(c.opt.Now().Add(c.opt.AckTimeout)); err != nil {
		return Answer{}, err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := WriteFrame(c.conn, message); err != nil {
		return Answer{}, err
	}
	want := ScanHeader(message).ControlID
	for {
		f, err := c.in.Next()
		if err != nil {
			return Answer{}, err
		}
		if len(f.Message) == 1 && f.Message[0] == 0x06 {
			continue
		}
		if len(f.Message) == 1 && f.Message[0] == 0x15 {
			return Answer{}, ErrCommitNak
		}
		a, err := ParseAck(f.Message)
		if err != nil {
			return Answer{}, err
		}
		if id := a.Message.Segment("MSA", 1).Field(2).Raw(); id != want {
			return Answer{}, ErrAckMismatch
		}
		return a, nil
	}
}
