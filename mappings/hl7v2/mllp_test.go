package hl7v2

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

const msg = "MSH|^~\\&|LIS||||20261121||ORU^R01|42|P|2.5\rPID|1\r"

func TestReaderTakesFrames(t *testing.T) {
	tests := []struct {
		name, in string
		want     []string
		stats    Stats
		err      error
	}{
		{"two frames", "\v" + msg + "\x1c\r\vB\x1c\r", []string{msg, "B"}, Stats{Frames: 2}, io.EOF},
		{"without the last 0D", "\vA\x1c\vB\x1c", []string{"A", "B"}, Stats{Frames: 2, MissingTail: 2}, io.EOF},
		{"line ends between frames", "\vA\x1c\r\n\r\n\vB\x1c\r", []string{"A", "B"}, Stats{Frames: 2}, io.EOF},
		{"junk between frames", "hello\vA\x1c\rx\vB\x1c\r", []string{"A", "B"}, Stats{Frames: 2, Junk: 6}, io.EOF},
		{"0B inside a text", "\vMSH|1\rOBX|a\vb\x1c\r", []string{"MSH|1\rOBX|a\vb"}, Stats{Frames: 1}, io.EOF},
		{"a message begun anew", "\vMSH|1\rOBX|a\vMSH|1\rOBX|b\x1c\r", []string{"MSH|1\rOBX|b"}, Stats{Frames: 1, Aborted: 11}, io.EOF},
		{"an empty frame", "\v\x1c\r", []string{""}, Stats{Frames: 1}, io.EOF},
		{"end inside a frame", "\vA\x1c\r\vB", []string{"A"}, Stats{Frames: 1}, io.ErrUnexpectedEOF},
		{"another protocol", "GET / HTTP/1.1" + strings.Repeat(" ", 100), nil, Stats{Junk: 101}, ErrJunk},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, in := range []io.Reader{strings.NewReader(tt.in), iotest.OneByteReader(strings.NewReader(tt.in))} {
				r := NewReader(in, ReaderOptions{MaxJunk: 100})
				var got []string
				var err error
				for {
					var f Frame
					if f, err = r.Next(); err != nil {
						break
					}
					got = append(got, string(f.Message))
				}
				if strings.Join(got, "/") != strings.Join(tt.want, "/") || len(got) != len(tt.want) {
					t.Errorf("got %q, want %q", got, tt.want)
				}
				if !errors.Is(err, tt.err) {
					t.Errorf("error %v, want %v", err, tt.err)
				}
				if r.Stats() != tt.stats {
					t.Errorf("stats %+v, want %+v", r.Stats(), tt.stats)
				}
			}
		})
	}
}

func TestReaderGoesOnAfterAMessageThatIsTooLong(t *testing.T) {
	const limit = 60
	long := strings.Repeat("x", 9000)
	in := "\v" + msg + long + "\x1c\r\v" + strings.Repeat("y", limit) + "\x1c\r\v" + strings.Repeat("z", limit+1) + "\x1c\r\vok\x1c\r"
	r := NewReader(strings.NewReader(in), ReaderOptions{MaxBytes: limit})
	var e *TooLongError
	if _, err := r.Next(); !errors.As(err, &e) || e.Limit != limit {
		t.Fatalf("error %v", err)
	}
	if h := ScanHeader(e.Head); h.ControlID != "42" || len(e.Head) > headBytes {
		t.Errorf("head %q", e.Head)
	}
	if f, err := r.Next(); err != nil || len(f.Message) != limit {
		t.Errorf("exactly the limit: %d bytes, %v", len(f.Message), err)
	}
	if _, err := r.Next(); !errors.As(err, &e) {
		t.Errorf("one byte more: %v", err)
	}
	if f, err := r.Next(); err != nil || string(f.Message) != "ok" || f.Junk != 0 {
		t.Errorf("after it: %q %v", f.Message, err)
	}
	if s := r.Stats(); s.MissingTail != 0 {
		t.Errorf("%+v", s)
	}
}

// deadlines is a connection that records the deadline of each read.
type deadlines struct {
	parts []string
	set   []time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error { d.set = append(d.set, t); return nil }

func (d *deadlines) Read(p []byte) (int, error) {
	if len(d.parts) == 0 {
		return 0, io.EOF
	}
	n := copy(p, d.parts[0])
	d.parts = d.parts[1:]
	return n, nil
}

func TestReaderSetsDeadlines(t *testing.T) {
	at := time.Unix(1000, 0)
	now := func() time.Time { at = at.Add(time.Second); return at }
	conn := &deadlines{parts: []string{"\v", "MSH", "|\x1c\r"}}
	r := NewReader(conn, ReaderOptions{IdleTimeout: time.Hour, ReadTimeout: time.Minute, FrameTimeout: 61 * time.Second, Now: now})
	if f, err := r.Next(); err != nil || string(f.Message) != "MSH|" {
		t.Fatal(f, err)
	}
	if _, err := r.Next(); err != io.EOF {
		t.Fatal(err)
	}
	// The clock ticks at every read and once when the frame starts, at 1002.
	want := []int64{1001 + 3600, 1003 + 60, 1002 + 61, 1005 + 3600}
	for i, d := range conn.set {
		if i >= len(want) || d.Unix() != want[i] {
			t.Fatalf("deadline %d is %d, want %v", i, d.Unix(), want)
		}
	}
}

func TestReaderEndsAtTheReadTimeout(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	go func() { _, _ = a.Write([]byte("\vMSH|")) }()
	r := NewReader(b, ReaderOptions{ReadTimeout: time.Millisecond})
	if _, err := r.Next(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
}

func TestWriteFrame(t *testing.T) {
	var b bytes.Buffer
	if err := WriteFrame(&b, []byte(msg)); err != nil || b.String() != "\v"+msg+"\x1c\r" {
		t.Errorf("%q %v", b.String(), err)
	}
	for _, bad := range []string{"a\vb", "a\x1cb"} {
		if err := WriteFrame(&b, []byte(bad)); !errors.Is(err, ErrFrameByte) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// serve answers each frame that comes over conn with the next of answers.
func serve(conn net.Conn, answers ...string) {
	r := NewReader(conn, ReaderOptions{})
	for _, a := range answers {
		if _, err := r.Next(); err != nil {
			return
		}
		if _, err := conn.Write([]byte(a)); err != nil {
			return
		}
	}
}

func framed(s string) string { return "\v" + s + "\x1c\r" }

func TestClient(t *testing.T) {
	answer := func(code, id string) string {
		return framed("MSH|^~\\&|||||||ACK|1|P|2.5\rMSA|" + code + "|" + id + "\r")
	}
	tests := []struct {
		name, answer string
		code         AckCode
		err          error
	}{
		{"accepted", answer("AA", "42"), ApplicationAccept, nil},
		{"refused", answer("AR", "42"), ApplicationReject, nil},
		{"commit byte before the answer", framed("\x06") + answer("CA", "42"), CommitAccept, nil},
		{"block refused", framed("\x15"), "", ErrCommitNak},
		{"answer to an earlier message", answer("AA", "41"), "", ErrAckMismatch},
		{"no acknowledgment", framed(msg), "", &Error{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, b := net.Pipe()
			defer b.Close()
			go serve(b, tt.answer)
			c := NewClient(a, ClientOptions{})
			defer c.Close()
			got, err := c.Send(context.Background(), []byte(msg))
			var e *Error
			if !errors.Is(err, tt.err) && !(errors.As(err, &e) && errors.As(tt.err, &e)) || got.Code != tt.code {
				t.Fatalf("got %v %v", got.Code, err)
			}
			if err != nil {
				if _, err := c.Send(context.Background(), []byte(msg)); !errors.Is(err, ErrClientClosed) {
					t.Errorf("the connection is used again: %v", err)
				}
			}
		})
	}
}

func TestClientGivesUp(t *testing.T) {
	for _, name := range []string{"after AckTimeout", "with its context"} {
		t.Run(name, func(t *testing.T) {
			a, b := net.Pipe()
			defer b.Close()
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			opt, want := ClientOptions{AckTimeout: time.Millisecond}, os.ErrDeadlineExceeded
			if name == "with its context" {
				opt, want = ClientOptions{}, context.Canceled
			}
			go func() {
				_, _ = NewReader(b, ReaderOptions{}).Next()
				if want == context.Canceled {
					cancel()
				}
			}()
			if _, err := NewClient(a, opt).Send(ctx, []byte(msg)); !errors.Is(err, want) {
				t.Errorf("got %v, want %v", err, want)
			}
		})
	}
}

func TestSplit(t *testing.T) {
	m1, m2 := "MSH|^~\\&|A\rPID|1", "MSH|^~\\&|B\rPID|2"
	tests := []struct {
		name, in string
		want     []string
		rest     string
	}{
		{"one message", m1 + "\r", []string{m1}, ""},
		{"blank line between", m1 + "\r\n\n" + m2 + "\n", []string{m1, m2}, ""},
		{"frames", framed(m1+"\r") + framed(m2), []string{m1, m2}, ""},
		{"batch", "FHS|^~\\&|\rBHS|^~\\&|\r" + m1 + "\r" + m2 + "\rBTS|2\rFTS|1\r", []string{m1, m2}, ""},
		{"byte order mark stays", "\uFEFF" + m1, []string{"\uFEFF" + m1}, ""},
		{"lines before", "hello\r" + m1, []string{m1}, "hello\r"},
		{"no message", "H|\\^&\r\n", nil, "H|\\^&\r"},
		{"nothing", "", nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			messages, rest := Split([]byte(tt.in))
			got := string(bytes.Join(messages, []byte("/")))
			if got != strings.Join(tt.want, "/") || string(rest) != tt.rest {
				t.Errorf("got %q and %q", got, rest)
			}
		})
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte("\v" + msg + "\x1c\r\vB\x1c"))
	f.Add([]byte("junk\v\vMSH\x1c\x1c\r\r\v"))
	f.Add(bytes.Repeat([]byte("\vabc"), 100))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := NewReader(bytes.NewReader(in), ReaderOptions{MaxBytes: 64, MaxJunk: 64})
		taken := 0
		for range len(in) + 2 {
			f, err := r.Next()
			var tooLong *TooLongError
			if err != nil && !errors.As(err, &tooLong) {
				if taken+r.Stats().Junk > len(in) {
					t.Fatal("more bytes out than in")
				}
				return
			}
			if len(f.Message) > 64 || bytes.IndexByte(f.Message, frameEnd) >= 0 {
				t.Fatalf("message %q", f.Message)
			}
			taken += len(f.Message) + f.Aborted
		}
		t.Fatal("no end")
	})
}
