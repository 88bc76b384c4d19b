package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"meridian/mappings/hl7v2"
)

// binary builds the program once for all tests of this file.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "meridian")
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, "server")
	out, err := exec.Command("go", "build", "-buildvcs=false", "-o", name, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build: %w: %s", err, out)
	}
	return name, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if name, err := binary(); err == nil && name != "" {
		_ = os.RemoveAll(filepath.Dir(name))
	}
	os.Exit(code)
}

// process is the built server, running.
type process struct {
	cmd        *exec.Cmd
	http, mllp string
	log        *bytes.Buffer
}

// freePort asks the system for a port that nobody has now.
func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func startServer(t testing.TB, data string, args ...string) *process {
	t.Helper()
	name, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{http: freePort(t), mllp: freePort(t), log: &bytes.Buffer{}}
	p.cmd = exec.Command(name, append([]string{"--listen", p.http, "--mllp", p.mllp, "--data", data, "--access-log", "off"}, args...)...)
	p.cmd.Stderr, p.cmd.Stdout = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill(); _ = p.cmd.Wait() })
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if resp, err := http.Get("http://" + p.http + "/readyz"); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				break
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server is not ready:\n%s", p.log)
		}
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if resp, err := http.Get("http://" + p.http + "/ops/messages?limit=1"); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return p
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("the inbox is not ready:\n%s", p.log)
		}
	}
}

func (p *process) get(t testing.TB, path string) []byte {
	t.Helper()
	resp, err := http.Get("http://" + p.http + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s %v %s", path, resp.Status, err, b)
	}
	return b
}

func (p *process) count(t testing.TB, query string) int {
	t.Helper()
	var b struct{ Total int }
	if err := json.Unmarshal(p.get(t, "/fhir/"+query), &b); err != nil {
		t.Fatal(err)
	}
	return b.Total
}

// drained waits until no message is pending or leased, and gives the counts by state.
func (p *process) drained(t testing.TB) map[string]int {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		var l struct{ Counts map[string]int }
		if err := json.Unmarshal(p.get(t, "/ops/messages?limit=1"), &l); err != nil {
			t.Fatal(err)
		}
		if l.Counts["pending"]+l.Counts["leased"] == 0 {
			return l.Counts
		}
		if time.Now().After(deadline) {
			t.Fatalf("messages stay unfinished: %v", l.Counts)
		}
	}
}

// crashMessages is the number of messages of the crash test; MERIDIAN_CRASH_MESSAGES sets another (the release check: 10000).
func crashMessages(t *testing.T) int {
	n := 600
	if s := os.Getenv("MERIDIAN_CRASH_MESSAGES"); s != "" {
		if _, err := fmt.Sscan(s, &n); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// smallORU is a report of two results, message i of a run.
func smallORU(i int) []byte {
	return []byte(fmt.Sprintf("MSH|^~\\&|LIS|H001|FHIR|HUB|20261121083000+0800||ORU^R01^ORU_R01|M%06d|P|2.5|||||CHN|UNICODE UTF-8\r"+
		"PID|1||P%05d^^^H001^MR||张三||19491231|F\r"+
		"OBR|1||R%06d|LIVER^肝功能^99LIS|||20261121073000|||||||||||||||20261121082500||CH|F\r"+
		"OBX|1|NM|ALT^丙氨酸氨基转移酶^99LIS||72.50|U/L|7～40|↑|||F\r"+
		"OBX|2|ST|HBSAG^乙肝表面抗原^99LIS||阴性||阴性||||F\r", i, i/7, i))
}

// sendAll sends messages from..to over several connections until done or the
// server goes away, and gives which were acknowledged.
func sendAll(addr string, from, to int, acked *sync.Map) {
	const connections = 8
	var next = make(chan int)
	var all sync.WaitGroup
	for range connections {
		all.Add(1)
		go func() {
			defer all.Done()
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				for range next {
				}
				return
			}
			c := hl7v2.NewClient(conn, hl7v2.ClientOptions{AckTimeout: 20 * time.Second})
			defer c.Close()
			for i := range next {
				if a, err := c.Send(context.Background(), smallORU(i)); err == nil && a.Positive() {
					acked.Store(i, true)
				}
			}
		}()
	}
	for i := from; i < to; i++ {
		next <- i
	}
	close(next)
	all.Wait()
}

// kill -9 in the middle of a stream of messages: whatever was acknowledged is
// there after the restart, and when all are sent again every report exists
// exactly once, in its first version.
func TestKillLosesNothingAndDoublesNothing(t *testing.T) {
	n := crashMessages(t)
	data := t.TempDir()
	var acked sync.Map
	p := startServer(t, data)
	sent := make(chan struct{})
	go func() { defer close(sent); sendAll(p.mllp, 0, n, &acked) }()
	for kills := 0; kills < 3; kills++ {
		for size := func() (k int) { acked.Range(func(_, _ any) bool { k++; return true }); return }; size() < (kills+1)*n/5; {
			time.Sleep(time.Millisecond)
		}
		if err := p.cmd.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		_ = p.cmd.Wait()
		<-sent
		p = startServer(t, data)
		p.drained(t)
		lost := 0
		acked.Range(func(k, _ any) bool {
			if p.count(t, fmt.Sprintf("DiagnosticReport?identifier=R%06d&_summary=count", k)) != 1 {
				lost++
			}
			return true
		})
		if lost > 0 {
			t.Fatalf("after kill %d: %d acknowledged messages have no report, or two", kills+1, lost)
		}
		sent = make(chan struct{})
		go func() { defer close(sent); sendAll(p.mllp, 0, n, &acked) }()
	}
	<-sent
	counts := p.drained(t)
	if counts["parked"] != 0 {
		t.Errorf("parked: %v", counts)
	}
	if got := p.count(t, "DiagnosticReport?_summary=count"); got != n {
		t.Errorf("%d reports, want %d", got, n)
	}
	if got := p.count(t, "Observation?_summary=count"); got != 2*n {
		t.Errorf("%d observations, want %d", got, 2*n)
	}
	if b := p.get(t, "/fhir/Observation?_count=1000&_elements=status"); bytes.Contains(b, []byte(`"versionId":"2"`)) {
		t.Error("a resend made a second version")
	}
}

// SIGTERM: no more is accepted, what is in flight is finished, the exit status is 0, and the data open again.
func TestGracefulStop(t *testing.T) {
	data := t.TempDir()
	p := startServer(t, data)
	var acked sync.Map
	sendAll(p.mllp, 0, 50, &acked)
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Fatalf("exit: %v\n%s", err, p.log)
	}
	p = startServer(t, data)
	p.drained(t)
	if got := p.count(t, "DiagnosticReport?_summary=count"); got != 50 {
		t.Errorf("%d reports, want 50", got)
	}
}

// A GBK message shows its names right in the search answer, found by character and by pinyin.
func TestGBKNamesInSearch(t *testing.T) {
	p := startServer(t, t.TempDir())
	raw, err := os.ReadFile("../testdata/hl7v2/oru_r01_gbk.hl7")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", p.mllp)
	if err != nil {
		t.Fatal(err)
	}
	c := hl7v2.NewClient(conn, hl7v2.ClientOptions{})
	defer c.Close()
	if a, err := c.Send(context.Background(), raw); err != nil || !a.Positive() {
		t.Fatalf("%+v %v", a, err)
	}
	p.drained(t)
	for _, query := range []string{"葉瑋珅", "葉", "瑋珅", "yeweishen", "yws"} {
		if b := string(p.get(t, "/fhir/Patient?name="+query)); !strings.Contains(b, "葉瑋珅") {
			t.Errorf("name=%s does not find the patient: %.300s", query, b)
		}
	}
}

// The README's promise: nothing but loopback without authentication.
func TestOnlyLoopback(t *testing.T) {
	name, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(name, "--listen", "0.0.0.0:0", "--data", t.TempDir()).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "reachable from other machines") {
		t.Errorf("%v: %s", err, out)
	}
}

// A directory that another process has open is told by name, and the process ends with an error, not a panic.
func TestDataInUse(t *testing.T) {
	data := t.TempDir()
	startServer(t, data)
	name, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(name, "--listen", "127.0.0.1:0", "--mllp", "off", "--data", data).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "in use by another process") || strings.Contains(string(out), "goroutine") {
		t.Errorf("%v: %s", err, out)
	}
}

// Every setting is shown with its default; an unknown word or setting is an error.
func TestSettings(t *testing.T) {
	name, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(name, "--help").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, want := range []string{"send", "messages", "serve", "--listen", "127.0.0.1:8080", "--mongodb", "MERIDIAN_DATA", "64MiB"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("--help does not name %s", want)
		}
	}
	file := filepath.Join(t.TempDir(), "settings.yaml")
	if err := os.WriteFile(file, []byte("listen: 127.0.0.1:0\nlisten-to: x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err = exec.Command(name, "--config", file).CombinedOutput()
	if err == nil || !strings.Contains(string(out), `there is no setting "listen-to"`) {
		t.Errorf("%v: %s", err, out)
	}
}
