package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const shoeParameter = `{"resourceType":"SearchParameter","id":"shoe","url":"http://example.org/SearchParameter/shoe-size","name":"ShoeSize","status":"active","description":"Size of shoes",` +
	`"code":"shoe-size","base":["Patient"],"type":"number","expression":"Patient.extension('http://example.org/shoe-size').value"}`

func shodPatient(id string) string {
	return `{"resourceType":"Patient","id":"` + id + `","extension":[{"url":"http://example.org/shoe-size","valueDecimal":42}]}`
}

// send gives status and body of a request with a JSON body.
func (p *process) send(method, path, body string) (int, string, error) {
	req, err := http.NewRequest(method, "http://"+p.http+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", "application/fhir+json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// shodPatients stores n patients in transactions.
func (p *process) shodPatients(t *testing.T, n int) {
	t.Helper()
	const each = 1000
	for at := 0; at < n; at += each {
		var b strings.Builder
		b.WriteString(`{"resourceType":"Bundle","type":"transaction","entry":[`)
		for i := at; i < min(n, at+each); i++ {
			if i > at {
				b.WriteByte(',')
			}
			id := fmt.Sprintf("p%06d", i)
			fmt.Fprintf(&b, `{"resource":%s,"request":{"method":"PUT","url":"Patient/%s"}}`, shodPatient(id), id)
		}
		b.WriteString(`]}`)
		if status, body, err := p.send("POST", "/fhir", b.String()); err != nil || status != http.StatusOK {
			t.Fatal(status, err, body[:min(len(body), 500)])
		}
	}
}

var inHundred = regexp.MustCompile(`(\d+) in 100 resources are done`)

// progress of the parameter; 100 when a search by it is answered.
func (p *process) progress(t *testing.T) int {
	t.Helper()
	status, body, err := p.send("GET", "/fhir/Patient?shoe-size=42&_summary=count", "")
	if err != nil {
		t.Fatal(err)
	}
	m := inHundred.FindStringSubmatch(body)
	switch {
	case status == http.StatusOK:
		return 100
	case status != http.StatusBadRequest || m == nil:
		t.Fatalf("a search by a pending parameter: %d %s", status, body)
	}
	n, _ := strconv.Atoi(m[1])
	return n
}

// TestReindexAfterKill: a parameter is added while others write, the server is killed while it
// indexes, and again; afterwards every resource whose write was acknowledged is found.
func TestReindexAfterKill(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED with -short: the job of a killed server waits a minute for its lease")
	}
	data := t.TempDir()
	p := startServer(t, data)
	const before = 8000
	p.shodPatients(t, before)
	var acked sync.Map
	stop := make(chan struct{})
	var writers sync.WaitGroup
	for w := range 2 {
		writers.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				id := fmt.Sprintf("w%d-%d", w, n)
				if status, _, err := p.send("PUT", "/fhir/Patient/"+id, shodPatient(id)); err == nil && status == http.StatusCreated {
					acked.Store(id, true)
				} else if err != nil {
					return // it was killed
				}
			}
		})
	}
	if status, body, err := p.send("PUT", "/fhir/SearchParameter/shoe", shoeParameter); err != nil || status != http.StatusCreated {
		t.Fatal(status, body, err)
	}
	at := 0
	for at < 5 {
		at = p.progress(t)
	}
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
	close(stop)
	writers.Wait()
	if at == 100 {
		t.Fatal("it was ready before the server was killed: nothing is tested")
	}
	t.Logf("killed at %d in 100", at)

	p = startServer(t, data)
	for deadline := time.Now().Add(3 * time.Minute); p.progress(t) < 100; time.Sleep(200 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not ready after the restart:\n%s", p.log)
		}
	}
	want := before
	acked.Range(func(_, _ any) bool { want++; return true })
	all := p.count(t, "Patient?_summary=count")
	if got := p.count(t, "Patient?shoe-size=42&_summary=count"); got != all || got < want {
		t.Errorf("%d found by the parameter, %d are there, %d were acknowledged", got, all, want)
	}
	p.reindexResult(t, all)
}

// reindexResult looks at what the job says: all that is there now was compared, but for what was written since.
func (p *process) reindexResult(t *testing.T, all int) {
	t.Helper()
	var l struct {
		Jobs []struct {
			State  string
			Result struct {
				Parameters                []string
				Checked, Mended, Verified int
			}
		}
	}
	if err := json.Unmarshal(p.get(t, "/ops/jobs?kind=reindex"), &l); err != nil {
		t.Fatal(err)
	}
	if len(l.Jobs) != 1 || l.Jobs[0].State != "done" || l.Jobs[0].Result.Verified != all || l.Jobs[0].Result.Mended == 0 {
		t.Errorf("%d resources, the job says %+v", all, l.Jobs)
	}
}
