package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"meridian/fhir/fhirtest"
)

// commandTime is the longest time of one command of these tests.
const commandTime = 3 * time.Minute

// command runs a word of the built program and gives what it printed.
func command(t testing.TB, args ...string) (string, error) {
	t.Helper()
	name, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), commandTime)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	return string(out), err
}

func mustCommand(t testing.TB, args ...string) string {
	t.Helper()
	out, err := command(t, args...)
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return out
}

// killed runs a word and kills it with signal 9 as soon as ready says so; false when it ended before.
func killed(t testing.TB, ready func() bool, args ...string) bool {
	t.Helper()
	name, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(name, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for deadline := time.Now().Add(commandTime); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		select {
		case err := <-ended:
			if err != nil {
				t.Fatalf("%v: %v\n%s", args, err, &out)
			}
			return false
		default:
		}
		if ready() {
			break
		}
	}
	_ = cmd.Process.Signal(syscall.SIGKILL) // it may have ended by itself
	return (<-ended) != nil
}

func size(name string) int64 {
	info, err := os.Stat(name)
	if err != nil {
		return 0
	}
	return info.Size()
}

// place is a store of a test: flags of a server, and its name for migrate.
type place struct {
	data    string
	flags   []string
	migrate string
	name    string // of the database
}

func dataPlace(t testing.TB) place {
	dir := t.TempDir()
	return place{data: dir, migrate: "data:" + dir, name: "meridian"}
}

// mongoPlace is a database that is dropped at the end of the test; false without a MongoDB.
func mongoPlace(t testing.TB) (place, bool) {
	uri := os.Getenv("MERIDIAN_TEST_MONGODB")
	if uri == "" {
		t.Log("SKIPPED on MongoDB: MERIDIAN_TEST_MONGODB is not set")
		return place{}, false
	}
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails
	name := "meridian_test_" + hex.EncodeToString(b[:])
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		client, err := mongo.Connect(options.Client().ApplyURI(uri))
		if err == nil {
			err = client.Database(name).Drop(ctx)
		}
		if err != nil {
			t.Errorf("drop %s: %v", name, err)
		}
	})
	return place{data: t.TempDir(), flags: []string{"--mongodb", uri, "--database", name}, migrate: uri, name: name}, true
}

// places are the stores that a test runs on.
func places(t *testing.T) map[string]place {
	list := map[string]place{"pebble": dataPlace(t)}
	if p, ok := mongoPlace(t); ok {
		list["mongodb"] = p
	}
	return list
}

func (p place) serve(t testing.TB) *process { return startServer(t, p.data, p.flags...) }

func (p *process) stop(t testing.TB) {
	t.Helper()
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Fatalf("stop: %v\n%s", err, p.log)
	}
}

func (p *process) fhir() string { return "http://" + p.http + "/fhir" }

// population is a file of n patients and as many observations of each.
func population(t testing.TB, patients, observations int) string {
	t.Helper()
	var b strings.Builder
	for i := range patients {
		fmt.Fprintf(&b, `{"resourceType":"Patient","id":"p%d","name":[{"family":"王","given":["%d"]}]}`+"\n", i, i)
		for j := range observations {
			fmt.Fprintf(&b, `{"resourceType":"Observation","id":"o%d-%d","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"718-7"}]},"subject":{"reference":"Patient/p%d"},"valueQuantity":{"value":%d.50}}`+"\n", i, j, i, j)
		}
	}
	name := filepath.Join(t.TempDir(), "population.ndjson")
	if err := os.WriteFile(name, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// An import that is killed with signal 9, and whose server is killed too, goes on; nothing is lost and nothing has two versions.
func TestImportSurvivesKills(t *testing.T) {
	for name, store := range places(t) {
		t.Run(name, func(t *testing.T) {
			const patients, observations = 150, 20
			file := population(t, patients, observations)
			server := store.serve(t)
			kills := 0
			for {
				begun := size(file + ".progress")
				if !killed(t, func() bool { return size(file+".progress") > begun+400 }, "import", "--to", server.fhir(), "--size", "40", file) {
					break
				}
				if kills++; kills == 2 {
					_ = server.cmd.Process.Kill()
					_ = server.cmd.Wait()
					address := server.http
					server = store.serve(t)
					rename(t, file+".progress", address, server.http)
				}
			}
			if kills < 3 {
				t.Errorf("killed %d times only", kills)
			}
			if p, o := server.count(t, "Patient?_summary=count"), server.count(t, "Observation?_summary=count"); p != patients || o != patients*observations {
				t.Errorf("%d patients and %d observations, want %d and %d", p, o, patients, patients*observations)
			}
			out := t.TempDir()
			mustCommand(t, "export", "--from", server.fhir(), "--out", out, "--history")
			for typ, n := range map[string]int{"Patient": patients, "Observation": patients * observations} {
				text := readFile(t, filepath.Join(out, typ+".history.ndjson"))
				if got := strings.Count(text, `"lastModified"`); got != n || strings.Contains(text, `"versionId":"2"`) {
					t.Errorf("%d versions of %s, want %d, each the first", got, typ, n)
				}
			}
			server.stop(t)
		})
	}
}

// An export that is killed with signal 9 goes on: each resource is in its file once, and the sums of the manifest are those of the files.
func TestExportSurvivesKills(t *testing.T) {
	data, out := t.TempDir(), t.TempDir()
	mustCommand(t, "import", "--offline", "--data", data, population(t, 60, 20))
	kills := 0
	for name := filepath.Join(out, "Observation.ndjson"); ; kills++ {
		begun := size(name)
		if !killed(t, func() bool { return size(name) > begun+20_000 }, "export", "--offline", "--data", data, "--out", out, "--page", "25") {
			break
		}
	}
	if kills < 2 {
		t.Errorf("killed %d times only", kills)
	}
	if n := len(resources(t, out)); n != 60*21 {
		t.Errorf("%d resources, want %d", n, 60*21)
	}
	var manifest struct {
		Output []struct {
			URL, SHA256 string
			Count       int
		}
	}
	if err := json.Unmarshal([]byte(readFile(t, filepath.Join(out, "manifest.json"))), &manifest); err != nil || len(manifest.Output) != 2 {
		t.Fatalf("manifest %+v, %v", manifest, err)
	}
	for _, o := range manifest.Output {
		text := readFile(t, filepath.Join(out, o.URL))
		if sum := sha256.Sum256([]byte(text)); hex.EncodeToString(sum[:]) != o.SHA256 || strings.Count(text, "\n") != o.Count {
			t.Errorf("%s is not what the manifest says", o.URL)
		}
	}
	if out, err := command(t, "export", "--offline", "--data", data, "--out", out); err == nil || !strings.Contains(out, "holds an export already") {
		t.Errorf("over an export: %v %s", err, out)
	}
	packed := t.TempDir()
	mustCommand(t, "export", "Patient", "--offline", "--data", data, "--out", packed, "--gzip", "--page", "7")
	again := t.TempDir()
	if out := mustCommand(t, "import", "--offline", "--data", again, "--state", t.TempDir(), packed); !strings.Contains(out, "60 created, 0 were there, 0 rejected") {
		t.Errorf("compressed: %s", out)
	}
}

// rename is what a user does whose server has moved.
func rename(t testing.TB, file, from, to string) {
	t.Helper()
	if err := os.WriteFile(file, bytes.ReplaceAll([]byte(readFile(t, file)), []byte(from), []byte(to)), 0o600); err != nil {
		t.Fatal(err)
	}
}

func readFile(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var stamps = regexp.MustCompile(`"(versionId|lastUpdated)":"[^"]*",?`)

// resources reads NDJSON by Type/id, without what a server stamps.
func resources(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	names, err := filepath.Glob(filepath.Join(dir, "*.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		s := bufio.NewScanner(strings.NewReader(readFile(t, name)))
		s.Buffer(nil, 64<<20)
		for s.Scan() {
			var head struct{ ResourceType, ID string }
			if err := json.Unmarshal(s.Bytes(), &head); err != nil {
				t.Fatal(err)
			}
			key := head.ResourceType + "/" + head.ID
			if out[key] != "" {
				t.Errorf("%s is exported twice", key)
			}
			out[key] = strings.Replace(strings.ReplaceAll(stamps.ReplaceAllString(s.Text(), ""), ",}", "}"), `"meta":{},`, "", 1)
		}
	}
	return out
}

// What is exported and imported into an empty server comes out of it equal, token by token; so do the official examples.
func TestExportAndImportKeepResources(t *testing.T) {
	var examples bytes.Buffer
	sent := map[string]string{}
	for _, e := range fhirtest.Examples(t) {
		var head struct{ ResourceType, ID string }
		var line bytes.Buffer
		if json.Unmarshal(e.Body, &head) != nil || head.ID == "" || head.ResourceType == "Bundle" || json.Compact(&line, e.Body) != nil {
			continue
		}
		if key := head.ResourceType + "/" + head.ID; sent[key] == "" {
			sent[key] = line.String()
			examples.Write(append(line.Bytes(), '\n'))
		}
	}
	file := filepath.Join(t.TempDir(), "examples.ndjson")
	if err := os.WriteFile(file, examples.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	first, copied := t.TempDir(), t.TempDir()
	data := t.TempDir()
	out, err := command(t, "import", "--offline", "--data", data, file) // some examples are not valid, see fhir/codec's exceptions
	m := regexp.MustCompile(`In all: (\d+) created, 0 were there, (\d+) rejected`).FindStringSubmatch(out)
	if m == nil || m[1] == "0" {
		t.Fatalf("%v: %s", err, out)
	}
	mustCommand(t, "export", "--offline", "--data", data, "--out", first)
	was := resources(t, first)
	if fmt.Sprint(len(was)) != m[1] || len(was) < 300 {
		t.Errorf("%d of %d examples exported, %s imported", len(was), len(sent), m[1])
	}
	for key, body := range was {
		if d := fhirtest.DiffAnyOrder([]byte(stripped(sent[key])), []byte(stripped(body))); d != "" {
			t.Errorf("%s: %s", key, d)
		}
	}
	for name, store := range places(t) {
		t.Run(name, func(t *testing.T) {
			server := store.serve(t)
			mustCommand(t, "import", "--to", server.fhir(), "--state", t.TempDir(), first)
			to := filepath.Join(copied, name)
			mustCommand(t, "export", "--from", server.fhir(), "--out", to, "--page", "333")
			is := resources(t, to)
			if len(is) != len(was) {
				t.Errorf("%d resources, want %d", len(is), len(was))
			}
			for key, body := range was {
				if d := fhirtest.Diff([]byte(body), []byte(is[key])); d != "" {
					t.Errorf("%s: %s", key, d)
				}
			}
			server.stop(t)
		})
	}
}

// stripped is a resource without versionId and lastUpdated, which an example may have too.
func stripped(body string) string {
	return strings.Replace(strings.ReplaceAll(stamps.ReplaceAllString(body, ""), ",}", "}"), `"meta":{},`, "", 1)
}

// past is all histories and messages that a server shows.
func past(t testing.TB, p *process) string {
	t.Helper()
	var b strings.Builder
	for next := p.fhir() + "/_history?_count=500"; next != ""; {
		resp, err := http.Get(next)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		var page struct {
			Link  []struct{ Relation, URL string }
			Entry []json.RawMessage
		}
		if err != nil || json.Unmarshal(body, &page) != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("history: %s %v %.300s", resp.Status, err, body)
		}
		next = ""
		for _, l := range page.Link {
			if l.Relation == "next" {
				next = l.URL
			}
		}
		for _, e := range page.Entry {
			b.WriteString(strings.ReplaceAll(string(e), p.http, "HOST") + "\n")
		}
	}
	var messages struct {
		Messages []struct {
			State, Label string
			Stored       time.Time
			Attempts     int
		}
	}
	if err := json.Unmarshal(p.get(t, "/ops/messages?limit=1000"), &messages); err != nil {
		t.Fatal(err)
	}
	for _, m := range messages.Messages {
		fmt.Fprintf(&b, "%s %s %s %d\n", m.State, m.Label, m.Stored.Truncate(time.Millisecond).UTC(), m.Attempts)
	}
	return b.String()
}

// A migration that is killed goes on; the copy shows the same histories and messages, and knows a message that is sent again.
func TestMigrateSurvivesKills(t *testing.T) {
	from := dataPlace(t)
	file := population(t, 100, 20)
	server := from.serve(t)
	mustCommand(t, "import", "--to", server.fhir(), file)
	changed := strings.ReplaceAll(readFile(t, file), `"status":"final"`, `"status":"amended"`)
	if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	mustCommand(t, "import", "--to", server.fhir(), "--again", file)
	for i := range 20 {
		req, err := http.NewRequest(http.MethodDelete, fmt.Sprintf("%s/Observation/o%d-1", server.fhir(), i), nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil || resp.StatusCode != http.StatusNoContent {
			t.Fatal(resp, err)
		}
		_ = resp.Body.Close()
	}
	var acked sync.Map
	sendAll(server.mllp, 0, 30, &acked)
	server.drained(t)
	want := past(t, server)
	server.stop(t)

	to := dataPlace(t)
	kills := migrated(t, from, to)
	if middle, ok := mongoPlace(t); ok {
		migrated(t, from, middle)
		showsThePast(t, middle, want)
		to = dataPlace(t)
		kills += migrated(t, middle, to)
	}
	if kills == 0 {
		t.Error("no migration was killed")
	}
	showsThePast(t, to, want)
	if out, err := command(t, "migrate", "--from", from.migrate, "--to", "data:"+filepath.Join(t.TempDir(), "new", "place")); err != nil {
		t.Errorf("a directory that is to be made: %v %s", err, out)
	}
	if out, err := command(t, "migrate", "--from", "data:"+t.TempDir(), "--to", to.migrate); err == nil || !strings.Contains(out, "there is no store in") {
		t.Errorf("a source that there is not: %v %s", err, out)
	}
}

// migrated runs a migration until it says complete, killing it some times, and gives how often.
func migrated(t testing.TB, from, to place) int {
	t.Helper()
	args := []string{"migrate", "--from", from.migrate, "--to", to.migrate, "--from-database", from.name, "--to-database", to.name}
	kills := 0
	for kills < 3 {
		begun, wait := time.Now(), time.Duration(150+150*kills)*time.Millisecond
		if !killed(t, func() bool { return time.Since(begun) > wait }, args...) {
			break
		}
		kills++
	}
	if out := mustCommand(t, args...); !strings.Contains(out, "complete, and verified: 4") {
		t.Errorf("it says %s", out)
	}
	return kills
}

func showsThePast(t testing.TB, p place, want string) {
	t.Helper()
	server := p.serve(t)
	defer server.stop(t)
	if got := past(t, server); got != want {
		t.Errorf("the copy shows another past: %d and %d bytes", len(got), len(want))
	}
	before := server.drained(t)
	var acked sync.Map
	sendAll(server.mllp, 0, 30, &acked)
	if after := server.drained(t); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("messages that were sent again: %v, before %v", after, before)
	}
}
