package inbox

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"meridian/mappings/hl7v2"
	"meridian/server/store"
)

func timeAt(second int) time.Time {
	return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(second) * time.Second)
}

// door listens on a port of its own.
func (b *bench) door(t testing.TB) *MLLP {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := b.Listen(l, "")
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func dial(t testing.TB, m *MLLP) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", m.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	return conn
}

// answer reads one frame.
func answer(t testing.TB, conn net.Conn) string {
	t.Helper()
	s, err := bufio.NewReader(conn).ReadString(0x1C)
	if err != nil {
		t.Fatalf("answer: %v", err)
	}
	return strings.Trim(s, "\x0b\x1c")
}

func frame(text string) []byte { return []byte("\x0b" + text + "\x1c\r") }

// ended says whether the other side closed the connection.
func ended(conn net.Conn) bool {
	_, err := conn.Read(make([]byte, 1))
	return errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || err != nil && strings.Contains(err.Error(), "reset")
}

// Over a real connection: frames in, acknowledgments out, matched by MSA-2.
func TestMLLP(t *testing.T) {
	onAll(t, func(t *testing.T, on backend) {
		m := &counts{}
		b := newBench(t, on, setup{observer: m})
		door := b.door(t)
		c := hl7v2.NewClient(dial(t, door), hl7v2.ClientOptions{AckTimeout: 5 * time.Second})
		for i := range 5 {
			a, err := c.Send(context.Background(), []byte(oru(header("0830", fmt.Sprint(i)), issued("0825"), alt)))
			if err != nil || !a.Positive() {
				t.Fatalf("%+v %v", a, err)
			}
		}
		if m.get("connections") != 1 {
			t.Errorf("connections: %d", m.get("connections"))
		}
		if err := door.Close(); err != nil {
			t.Error(err)
		}
		if m.get("connections") != 0 || m.get("received") != 5 {
			t.Errorf("after: %v", m)
		}
	})
}

// #23: after bytes that are no message the connection stays up.
func TestGarbageKeepsTheConnection(t *testing.T) {
	b := newBench(t, backend{"map", openMap}, setup{})
	conn := dial(t, b.door(t))
	_, _ = conn.Write(frame("\xff\xfe garbage"))
	if a := answer(t, conn); !strings.Contains(a, "MSA|AR") {
		t.Errorf("%q", a)
	}
	_, _ = conn.Write(frame(oru(first, issued("0825"), alt)))
	if a := answer(t, conn); !strings.Contains(a, "MSA|AA|7") {
		t.Errorf("%q", a)
	}
}

// A message over the limit is rejected with the reason, is logged and counted,
// its beginning stands parked, and the connection goes on.
func TestMessageOverTheLimit(t *testing.T) {
	m := &counts{}
	var log lockedBuffer
	b := newBench(t, backend{"map", openMap}, setup{observer: m, log: log.logger(), limits: Limits{MessageBytes: 8 << 10}})
	conn := dial(t, b.door(t))
	long := oru(header("0800", "L1"), issued("0825"), alt, "NTE|1||"+strings.Repeat("x", 20<<10))
	go func() { _, _ = conn.Write(frame(long)) }()
	if a := answer(t, conn); !strings.Contains(a, "MSA|AR|L1") || !strings.Contains(a, "长度") {
		t.Errorf("%q", a)
	}
	_, _ = conn.Write(frame(oru(first, issued("0825"), alt)))
	if a := answer(t, conn); !strings.Contains(a, "MSA|AA|7") {
		t.Errorf("%q", a)
	}
	list, err := b.List(t.Context(), store.ListParams{Limit: 10})
	if err != nil || len(list.Messages) != 2 || m.get("refused too-long") != 1 || !strings.Contains(log.String(), "too long") {
		t.Fatalf("%+v %v %v", list, err, m)
	}
	it := b.wait(t, list.Messages[1].ID)
	env, _ := readEnvelope(it.Note)
	if it.Label != "message.too-long" || env.Control != "L1" || !strings.HasPrefix(long, string(it.Body)) {
		t.Errorf("%s %+v", it.Label, env)
	}
}

// Connections over the limit are refused and counted; the others go on, and a place that becomes free is given.
func TestConnectionLimit(t *testing.T) {
	m := &counts{}
	b := newBench(t, backend{"map", openMap}, setup{observer: m, limits: Limits{Connections: 1}})
	door := b.door(t)
	one := dial(t, door)
	_, _ = one.Write(frame(oru(first, issued("0825"), alt)))
	answer(t, one)
	if two := dial(t, door); !ended(two) {
		t.Error("the second connection was not refused")
	}
	if m.get("connections refused") != 1 {
		t.Errorf("%v", m)
	}
	_ = one.Close()
	for deadline := time.Now().Add(10 * time.Second); m.get("connections") > 0 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	three := dial(t, door)
	_, _ = three.Write(frame(oru(header("0900", "8"), issued("0825"), alt)))
	answer(t, three)
}

// A connection that is silent, or stops in the middle of a message, is ended; what was not whole is not stored.
func TestSilentConnections(t *testing.T) {
	for name, write := range map[string]string{"silent": "", "in the middle": "\x0bMSH|^~\\&|LIS"} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, backend{"map", openMap}, setup{limits: Limits{IdleTime: 20 * time.Millisecond, ReadTime: 20 * time.Millisecond}})
			conn := dial(t, b.door(t))
			_, _ = conn.Write([]byte(write))
			if !ended(conn) {
				t.Error("it goes on")
			}
			if n, err := b.queue.Counts(t.Context(), Topic); err != nil || len(n) != 0 {
				t.Errorf("%v %v", n, err)
			}
		})
	}
}

// A sender that wants no answer gets none and may go on at once.
func TestNoAnswer(t *testing.T) {
	b := newBench(t, backend{"map", openMap}, setup{})
	conn := dial(t, b.door(t))
	_, _ = conn.Write(frame(strings.Replace(oru(first, issued("0825"), alt), "|2.5|||||CHN|", "|2.5|||NE|NE|CHN|", 1)))
	_, _ = conn.Write(frame(oru(header("0900", "8"), issued("0825"), alt)))
	if a := answer(t, conn); !strings.Contains(a, "MSA|AA|8") {
		t.Errorf("%q", a)
	}
}

// heldAppend is a queue whose Append waits.
type heldAppend struct {
	store.Queue
	begun, let chan struct{}
	once       *sync.Once
}

func (q heldAppend) Append(ctx context.Context, items []store.NewItem) ([]store.Appended, error) {
	q.once.Do(func() { close(q.begun) })
	<-q.let
	return q.Queue.Append(ctx, items)
}

// Close waits for messages that were read whole: they are stored and answered.
// One that is not whole, and a connection that is silent, do not hold it.
func TestCloseInFlight(t *testing.T) {
	held := heldAppend{begun: make(chan struct{}), let: make(chan struct{}), once: &sync.Once{}}
	b := newBench(t, backend{"map", openMap}, setup{queue: func(q store.Queue) store.Queue { held.Queue = q; return held }})
	door := b.door(t)
	busy, half, silent := dial(t, door), dial(t, door), dial(t, door)
	_, _ = half.Write([]byte("\x0bMSH|^~\\&|LIS"))
	_, _ = busy.Write(frame(oru(first, issued("0825"), alt)))
	<-held.begun
	closed := make(chan error)
	go func() { closed <- door.Close() }()
	for _, conn := range []net.Conn{half, silent} {
		if !ended(conn) {
			t.Error("a connection goes on")
		}
	}
	select {
	case <-closed:
		t.Error("Close did not wait")
	default:
	}
	close(held.let)
	if a := answer(t, busy); !strings.Contains(a, "MSA|AA|7") {
		t.Errorf("%q", a)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if n, err := b.queue.Counts(t.Context(), Topic); err != nil || n[store.Pending]+n[store.Leased]+n[store.Done] != 1 {
		t.Errorf("%v %v", n, err)
	}
}

// Whatever the moment of Close: what was acknowledged is stored.
func TestCloseRaces(t *testing.T) {
	b := newBench(t, backend{"map", openMap}, setup{})
	for round := range 20 {
		door := b.door(t)
		var all sync.WaitGroup
		var mu sync.Mutex
		var acked []string
		for s := range 4 {
			conn := dial(t, door)
			all.Add(1)
			go func() {
				defer all.Done()
				c := hl7v2.NewClient(conn, hl7v2.ClientOptions{AckTimeout: 5 * time.Second})
				for i := 0; ; i++ {
					id := fmt.Sprintf("C%d-%d-%d", round, s, i)
					a, err := c.Send(context.Background(), []byte(oru(header("0830", id), issued("0825"), alt)))
					if err != nil {
						return
					}
					if a.Positive() {
						mu.Lock()
						acked = append(acked, id)
						mu.Unlock()
					}
				}
			}()
		}
		time.Sleep(time.Duration(round) * 200 * time.Microsecond)
		if err := door.Close(); err != nil {
			t.Fatal(err)
		}
		all.Wait()
		list, err := b.List(t.Context(), store.ListParams{Limit: 100_000})
		if err != nil {
			t.Fatal(err)
		}
		stored := map[string]bool{}
		for _, m := range list.Messages {
			stored[m.Envelope.Control] = true
		}
		for _, id := range acked {
			if !stored[id] {
				t.Errorf("round %d: %s was acknowledged and is not stored", round, id)
			}
		}
	}
}

// brokenListener fails a few times, as with too many open files, then works.
type brokenListener struct {
	net.Listener
	mu    sync.Mutex
	fails int
}

func (l *brokenListener) Accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fails > 0 {
		l.fails--
		return nil, errors.New("too many open files")
	}
	return l.Listener.Accept()
}

// An error of accept does not end the listener.
func TestAcceptGoesOn(t *testing.T) {
	b := newBench(t, backend{"map", openMap}, setup{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	door := b.Listen(&brokenListener{Listener: l, fails: 2}, "")
	conn := dial(t, door)
	_, _ = conn.Write(frame(oru(first, issued("0825"), alt)))
	if a := answer(t, conn); !strings.Contains(a, "MSA|AA|7") {
		t.Errorf("%q", a)
	}
	if err := door.Close(); err != nil {
		t.Error(err)
	}
}
