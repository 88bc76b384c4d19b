package inbox

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"meridian/mappings/engine"
	"meridian/mappings/hl7v2"
	"meridian/mappings/maps"
	"meridian/server/store"
)

// lockedBuffer is a log that a test reads.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *lockedBuffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// segment gives the first segment of a name from an answer.
func segment(answer []byte, name string) string {
	for _, s := range strings.Split(string(answer), "\r") {
		if strings.HasPrefix(s, name) {
			return s
		}
	}
	return ""
}

// ack: mapped answers with the end of the message. HL7 v2.5.1 ch. 2.9.2.1, ERR-3 of table 0357.
func TestMappedAcknowledgment(t *testing.T) {
	good := oru(first, issued("0825"), alt)
	for _, c := range []struct {
		name, text, msa, err string // prefixes
	}{
		{"committed", good, "MSA|AA|7", ""},
		{"the same again", good, "MSA|AA|7", ""},
		{"unchanged", strings.Replace(good, "|7|P|", "|8|P|", 1), "MSA|AA|8", ""},
		{"stale", strings.Replace(oru(first, issued("0725"), altC), "|7|P|", "|9|P|", 1), "MSA|AA|9", ""},
		{"filtered", strings.Replace(good, "|7|P|", "|7|Q|", 1), "MSA|AA|7", ""},
		{"no patient", strings.Replace(good, "P0001^^^H001^MR", "", 1), "MSA|AE|7", "ERR||PID^1^3^^1|101^"},
		{"no map", strings.Replace(good, "ORU^R01^ORU_R01", "ZZZ^Z01", 1), "MSA|AE|7", "ERR||MSH^1^9|200^"},
		{"not HL7", "hello", "MSA|AR", "ERR|||200^"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, backend{"map", openMap}, setup{source: Source{Ack: AckMapped}})
			if c.name != "committed" {
				b.wait(t, b.give(t, good))
			}
			r, err := b.Receive(t.Context(), "", "test", []byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			if got := segment(r.Answer, "MSA"); !strings.HasPrefix(got, c.msa) {
				t.Errorf("%s, want %s", got, c.msa)
			}
			if got := segment(r.Answer, "ERR"); !strings.HasPrefix(got, c.err) || c.err == "" && got != "" {
				t.Errorf("%s, want %s", got, c.err)
			}
		})
	}
}

// ERR-8 is in the message's own charset.
func TestErrorTextInTheSendersCharset(t *testing.T) {
	b := newBench(t, backend{"map", openMap}, setup{source: Source{Ack: AckMapped}})
	text := strings.Replace(strings.Replace(oru(first, issued("0825"), alt), "P0001^^^H001^MR", "", 1), "UNICODE UTF-8", "GBK", 1)
	raw, err := hl7v2.Encode(text, hl7v2.GB18030)
	if err != nil {
		t.Fatal(err)
	}
	r, err := b.Receive(t.Context(), "", "test", raw)
	if err != nil {
		t.Fatal(err)
	}
	want, _ := hl7v2.Encode("缺少", hl7v2.GB18030)
	if !bytes.Contains(r.Answer, want) || segment(r.Answer, "MSH") == "" || !strings.HasSuffix(segment(r.Answer, "MSH"), "|GBK") {
		t.Errorf("%q", r.Answer)
	}
}

// A message that does not end in time is answered AE, and goes on; its resend tells how it ended.
func TestMappedAcknowledgmentIsBounded(t *testing.T) {
	b := newBench(t, backend{"map", openMap}, setup{source: Source{Ack: AckMapped}, limits: Limits{AckTime: time.Millisecond}, idle: true})
	text := oru(first, issued("0825"), alt)
	r, err := b.Receive(t.Context(), "", "test", []byte(text))
	if err != nil || r.Code != hl7v2.ApplicationError || !strings.HasPrefix(segment(r.Answer, "ERR"), "ERR|||206^") {
		t.Errorf("%q %v", r.Answer, err)
	}
	b.Start()
	t.Cleanup(b.Stop)
	b.wait(t, r.ID)
	if r, err = b.Receive(t.Context(), "", "test", []byte(text)); err != nil || r.Code != hl7v2.ApplicationAccept || !r.Duplicate {
		t.Errorf("%+v %v", r, err)
	}
}

// Which answer is given in enhanced mode, table 0155 in MSH-15 and MSH-16: the
// accept acknowledgment where it is due, else the application acknowledgment.
func TestEnhancedMode(t *testing.T) {
	for _, c := range []struct{ accept, application, stored, mapped, parked string }{
		{"", "", "AA", "AA", "AE"},
		{"AL", "NE", "CA", "CA", "CA"},
		{"AL", "AL", "CA", "CA", "CA"},
		{"AL", "", "CA", "CA", "CA"},
		{"NE", "AL", "AA", "AA", "AE"},
		{"NE", "NE", "", "", ""},
		{"ER", "NE", "", "", ""},
		{"SU", "NE", "CA", "CA", "CA"},
		{"NE", "ER", "", "", "AE"},
		{"NE", "SU", "AA", "AA", ""},
	} {
		t.Run(c.accept+" "+c.application, func(t *testing.T) {
			text := strings.Replace(oru(first, issued("0825"), alt), "|2.5|||||CHN|", "|2.5|||"+c.accept+"|"+c.application+"|CHN|", 1)
			lost := strings.Replace(text, "P0001^^^H001^MR", "", 1)
			for _, x := range []struct {
				ack        Ack
				text, want string
			}{{AckStored, text, c.stored}, {AckStored, lost, c.stored}, {AckMapped, text, c.mapped}, {AckMapped, lost, c.parked}} {
				b := newBench(t, backend{"map", openMap}, setup{source: Source{Ack: x.ack}})
				r, err := b.Receive(t.Context(), "", "test", []byte(x.text))
				if err != nil {
					t.Fatal(err)
				}
				got := ""
				if r.Answer != nil {
					got = strings.Split(segment(r.Answer, "MSA"), "|")[1]
				}
				if got != x.want {
					t.Errorf("%s: %q, want %q", x.ack, got, x.want)
				}
			}
		})
	}
}

// A message that was not stored is answered so that the sender sends it again, and is counted.
func TestNotStoredIsNotAcknowledged(t *testing.T) {
	m := &counts{}
	b := newBench(t, backend{"map", openMap}, setup{observer: m, idle: true, queue: func(q store.Queue) store.Queue { return noAppend{q, errTransient} }})
	r, err := b.Receive(t.Context(), "", "test", []byte(oru(first, issued("0825"), alt)))
	if err == nil || r.Code != hl7v2.ApplicationError || r.ID != "" || m.get("refused store") != 1 {
		t.Errorf("%+v %v %v", r, err, m)
	}
}

// noAppend is a queue whose store is away, or full.
type noAppend struct {
	store.Queue
	err error
}

func (q noAppend) Append(ctx context.Context, items []store.NewItem) ([]store.Appended, error) {
	if len(items[0].Body) > refusedHead || !isTooLarge(q.err) {
		return nil, q.err
	}
	return q.Queue.Append(ctx, items)
}

func isTooLarge(err error) bool { return err == store.ErrTooLarge }

// A message that is larger than the store takes is rejected, its beginning is kept.
func TestLargerThanTheStore(t *testing.T) {
	m := &counts{}
	b := newBench(t, backend{"map", openMap}, setup{observer: m, queue: func(q store.Queue) store.Queue { return noAppend{q, store.ErrTooLarge} }})
	raw := oru(first, issued("0825"), alt, "NTE|1||"+strings.Repeat("x", 2*refusedHead))
	r, err := b.Receive(t.Context(), "", "test", []byte(raw))
	if err != nil || r.Code != hl7v2.ApplicationReject || m.get("refused too-long") != 1 {
		t.Fatalf("%+v %v", r, err)
	}
	if it := b.wait(t, r.ID); it.State != store.Parked || it.Label != "message.too-long" || len(it.Body) != refusedHead {
		t.Errorf("%s %s, %d bytes", it.State, it.Label, len(it.Body))
	}
}

// counts is an Observer that counts.
type counts struct {
	mu sync.Mutex
	n  map[string]int
}

func (c *counts) add(key string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[string]int{}
	}
	c.n[key] += n
}

func (c *counts) get(key string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n[key]
}

func (c *counts) Received(_ string, duplicate bool) {
	c.add(map[bool]string{false: "received", true: "duplicate"}[duplicate], 1)
}
func (c *counts) Refused(_, reason string) { c.add("refused "+reason, 1) }
func (c *counts) Finished(_, outcome, code string, _, _ time.Duration) {
	c.add(strings.TrimSpace(outcome+" "+code), 1)
}
func (c *counts) Connection(change int) { c.add("connections", change) }
func (c *counts) ConnectionRefused()    { c.add("connections refused", 1) }

// What is counted, and that all of it is.
func TestMetrics(t *testing.T) {
	m := &counts{}
	b := newBench(t, backend{"map", openMap}, setup{observer: m})
	good := oru(first, issued("0825"), alt)
	b.must(t, "committed", good)
	b.take(t, good)
	b.take(t, strings.Replace(good, "P0001^^^H001^MR", "", 1))
	for key, n := range map[string]int{"received": 2, "duplicate": 1, "committed": 1, "parked patient.unidentified": 1} {
		if m.get(key) != n {
			t.Errorf("%s: %d, want %d", key, m.get(key), n)
		}
	}
	b.Stop()
	if lag := b.Lag(); lag != 0 {
		t.Errorf("lag %v", lag)
	}
}

// libraryWith is the shipped maps with one table replaced.
func libraryWith(t testing.TB, name, content string) *engine.Library {
	t.Helper()
	fsys := fstest.MapFS{}
	for _, dir := range []string{"hl7v2", "tables"} {
		entries, err := maps.FS.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			raw, err := maps.FS.ReadFile(dir + "/" + e.Name())
			if err != nil {
				t.Fatal(err)
			}
			fsys[dir+"/"+e.Name()] = &fstest.MapFile{Data: raw}
		}
	}
	if content != "" {
		fsys[name] = &fstest.MapFile{Data: []byte(content)}
	} else {
		for layered := range fsys { // with the layers over it
			if strings.HasPrefix(layered, strings.TrimSuffix(name, ".yaml")) {
				delete(fsys, layered)
			}
		}
	}
	l, err := engine.Load(fsys)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Parked, then the maps are mended, then replayed: by hand, and by a resend of the same bytes.
func TestParkMendReplay(t *testing.T) {
	onAll(t, func(t *testing.T, on backend) {
		for _, how := range []string{"replay", "resend"} {
			t.Run(how, func(t *testing.T) {
				b := newBench(t, on, setup{library: libraryWith(t, "hl7v2/oru_r01.yaml", "")})
				text := oru(first, issued("0825"), alt)
				id := b.give(t, text)
				if it := b.wait(t, id); it.State != store.Parked || it.Label != "map.missing" {
					t.Fatalf("%s %s", it.State, it.Label)
				}
				b.Stop()
				b = benchOver(t, b.store, setup{})
				if how == "resend" {
					r, err := b.Receive(t.Context(), "", "test", []byte(text))
					if err != nil || r.ID != id || !r.Duplicate || r.Code != hl7v2.ApplicationAccept {
						t.Errorf("resend: %+v %v", r, err)
					}
				} else if n, _, err := b.Replay(t.Context(), store.Parked, "map.missing"); n != 1 || err != nil {
					t.Errorf("replay: %d %v", n, err)
				}
				it := b.waitFor(t, id, func(it store.Item) bool { return it.State == store.Done })
				if it.Label != "committed" {
					t.Errorf("%s %s: %s", it.State, it.Label, it.Note)
				}
				env, _ := readEnvelope(it.Note)
				var states []string
				for _, s := range env.Timeline {
					states = append(states, s.State)
				}
				if got := strings.Join(states, " "); got != "stored parked committed" || env.Parked != nil {
					t.Errorf("timeline %s, parked %v", got, env.Parked)
				}
			})
		}
	})
}

// A message that stands parked lets later ones of its patient pass; replayed, it is stale where they told more.
func TestParkedLetsOthersPass(t *testing.T) {
	b := newBench(t, backend{"map", openMap}, setup{})
	broken := strings.Replace(oru(header("0800", "1"), issued("0800"), alt), "ORU^R01^ORU_R01", "ZZZ^Z01", 1)
	if it := b.take(t, broken); it.State != store.Parked {
		t.Fatalf("%s %s", it.State, it.Label)
	}
	b.must(t, "committed", oru(header("0900", "2"), issued("0900"), altC))
}
