package rest_test

import (
	"bytes"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"meridian/fhir/codec"
	"meridian/server/interaction"
	"meridian/server/job"
	"meridian/server/rest"
)

var update = flag.Bool("update", false, "rewrite the responses in testdata/http from the first store")

// A transcript is a .txtar file: its comment says the rule, its parts are
// numbered requests and whole responses.
//
//	-- 1-request --
//	PUT /fhir/Patient/p1
//	Prefer: return=minimal
//
//	{"resourceType":"Patient","id":"p1"}
//	-- 1-response --
//	201 Created
//	Etag: W/"1"
//	…
//
// Every request takes one second; the first comes at 2026-01-01T00:00:00Z.
// Ids are id-1, id-2, …. Bodies of one line are shown indented. Cursors stand
// as <cursor n>, and a request may name one. "needs: transactions" in the
// comment leaves the transcript out on a store without them; "integrity: …", "validation: …" and
// "conditional delete: n" are settings. The request "RUN jobs" carries out the
// asynchronous requests that wait, whose tokens stand as <job n>.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("../../testdata/http/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, backend := range backends(t) {
		t.Run(backend.name, func(t *testing.T) {
			for _, file := range files {
				t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
					runTranscript(t, backend, file)
				})
			}
		})
	}
}

func runTranscript(t *testing.T, backend backend, file string) {
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	srv := newServerOf(t, backend, settings(t, string(archive.Comment)), rest.Options{})
	if strings.Contains(string(archive.Comment), "needs: transactions") && !srv.store.Transactions() {
		t.Skipf("SKIPPED on %s: it has no transactions", backend.name)
	}
	if strings.Contains(string(archive.Comment), "needs: no transactions") && srv.store.Transactions() {
		t.Skipf("SKIPPED on %s: it has transactions", backend.name)
	}
	r := replayer{handler: srv.handler, jobs: srv.jobs}
	out := &txtar.Archive{Comment: archive.Comment}
	n := 0
	for i, f := range archive.Files {
		number, kind, _ := strings.Cut(f.Name, "-")
		if kind != "request" {
			continue
		}
		srv.clock.Set(start.Add(time.Duration(n) * time.Second))
		n++
		got := r.do(t, f.Data)
		out.Files = append(out.Files, f, txtar.File{Name: number + "-response", Data: got})
		if *update {
			continue
		}
		if i+1 >= len(archive.Files) || archive.Files[i+1].Name != number+"-response" {
			t.Fatalf("request %s has no response; run with -update", number)
		}
		if diff := cmp.Diff(string(archive.Files[i+1].Data), string(got)); diff != "" {
			t.Errorf("response %s (-want +got):\n%s", number, diff)
		}
	}
	if *update {
		if err := os.WriteFile(file, txtar.Format(out), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// settings are those that the comment of a transcript names.
func settings(t *testing.T, comment string) (o interaction.Options) {
	t.Helper()
	var err error
	if m := regexp.MustCompile(`(?m)^integrity: (\S+)$`).FindStringSubmatch(comment); m != nil {
		o.Integrity, err = interaction.ParsePolicies(m[1])
	}
	if m := regexp.MustCompile(`(?m)^validation: (\S+)$`).FindStringSubmatch(comment); m != nil {
		o.Validation, err = interaction.ParsePolicies(m[1])
	}
	if m := regexp.MustCompile(`(?m)^conditional delete: (\d+)$`).FindStringSubmatch(comment); m != nil {
		o.Limits.ConditionalDelete, err = strconv.Atoi(m[1])
	}
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// replayer sends requests and knows the cursors of the answers so far.
type replayer struct {
	handler http.Handler
	jobs    *job.Runner
	cursors []string
	tokens  []string
}

var jobPattern = regexp.MustCompile(`_async/([A-Za-z0-9_-]{20,})`)

var cursorPattern = regexp.MustCompile(`_cursor=([A-Za-z0-9_-]{20,})`)

func (r *replayer) do(t *testing.T, request []byte) []byte {
	t.Helper()
	text := string(request)
	for i, c := range r.cursors {
		text = strings.ReplaceAll(text, fmt.Sprintf("<cursor %d>", i+1), c)
	}
	for i, token := range r.tokens {
		text = strings.ReplaceAll(text, fmt.Sprintf("<job %d>", i+1), token)
	}
	if strings.TrimSpace(text) == "RUN jobs" {
		if err := r.jobs.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		return []byte("ran\n")
	}
	head, body, _ := strings.Cut(strings.TrimRight(text, "\n"), "\n\n")
	lines := strings.Split(head, "\n")
	method, target, _ := strings.Cut(lines[0], " ")
	req := httptest.NewRequest(method, target, strings.NewReader(body))
	if body == "" {
		req.Body, req.ContentLength = http.NoBody, 0
	}
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ": ")
		req.Header.Add(name, value)
	}
	rec := httptest.NewRecorder()
	r.handler.ServeHTTP(rec, req)
	return r.format(rec)
}

func (r *replayer) format(rec *httptest.ResponseRecorder) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%d %s\n", rec.Code, http.StatusText(rec.Code))
	var names []string
	for name := range rec.Header() {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		value := strings.Join(rec.Header()[name], ", ")
		if name == "Content-Length" && cursorPattern.Match(rec.Body.Bytes()) {
			value = "<with cursors>" // the number in a cursor is a store's own
		}
		fmt.Fprintf(&b, "%s: %s\n", name, value)
	}
	body := rec.Body.Bytes()
	if len(body) > 0 {
		b.WriteByte('\n')
		if body[0] == '{' && !bytes.Contains(body, []byte("\n")) {
			body = codec.AppendPretty(nil, body)
		} else if bytes.HasPrefix(body, []byte("<?xml")) && !bytes.Contains(body, []byte("\n")) {
			if tree, err := codec.ParseXML(body, codec.Options{AnyCardinality: true}); err == nil {
				body, _ = codec.AppendXML(nil, tree.Root(), codec.XMLOptions{Pretty: true})
			}
		}
		b.Write(body)
		if body[len(body)-1] != '\n' {
			b.WriteByte('\n')
		}
	}
	out := jobPattern.ReplaceAllFunc(b.Bytes(), func(m []byte) []byte {
		token := string(m[len("_async/"):])
		i := slices.Index(r.tokens, token)
		if i < 0 {
			r.tokens = append(r.tokens, token)
			i = len(r.tokens) - 1
		}
		return fmt.Appendf(nil, "_async/<job %d>", i+1)
	})
	return cursorPattern.ReplaceAllFunc(out, func(m []byte) []byte {
		token := string(m[len("_cursor="):])
		i := slices.Index(r.cursors, token)
		if i < 0 {
			r.cursors = append(r.cursors, token)
			i = len(r.cursors) - 1
		}
		return fmt.Appendf(nil, "_cursor=<cursor %d>", i+1)
	})
}
