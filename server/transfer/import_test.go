package transfer_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"

	"meridian/server/transfer"
)

func write(t testing.TB, name, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func zipped(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(text)) // memory takes it
	_ = z.Close()
	return b.String()
}

func read(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// lines makes a file in which resources come several times and some are bad, and what is to become of them.
func lines(r *rand.Rand, n int) (text string, versions map[string][]string, bad []string) {
	var b strings.Builder
	versions = map[string][]string{}
	for i := range n {
		id := fmt.Sprint("r", r.IntN(n/3))
		line := fmt.Sprintf(`{"resourceType":"Patient","id":"%s","n":%d}`, id, r.IntN(3))
		switch r.IntN(40) {
		case 0:
			line = fmt.Sprintf(`{"resourceType":"Patient","id":"%s","bad":%d}`, id, i)
			bad = append(bad, line)
		case 1:
			line = fmt.Sprintf(`{"resourceType":"Patient","i":%d`, i)
			bad = append(bad, line)
		case 2:
			b.WriteString("\n")
			fallthrough
		default:
			url := "Patient/" + id
			if had := versions[url]; len(had) == 0 || had[len(had)-1] != line {
				versions[url] = append(had, line)
			}
		}
		b.WriteString(line + "\n")
	}
	return b.String(), versions, bad
}

// However often an import is cut off, before a request, after it, or in the middle of a line of its progress, it goes on to
// where every line was written once, in the order of its resource, and every bad line stands once among the rejected.
func TestImportGoesOn(t *testing.T) {
	for name, c := range map[string]struct {
		single bool
		gzip   bool
	}{"transactions": {}, "no transactions": {single: true}, "compressed": {gzip: true}} {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(4, 2))
			text, versions, bad := lines(r, 3000)
			file := write(t, filepath.Join(t.TempDir(), "patients.ndjson"), text)
			if c.gzip {
				file = write(t, file+".gz", zipped(text))
			}
			f := newFake()
			f.single = c.single
			cuts, sum, err := 0, transfer.Imported{}, error(nil)
			for {
				next := f.requests + 1 + r.IntN(40)
				f.cut = func(n int) (bool, bool) { return n == next && n%2 == 0, n == next && n%2 == 1 }
				im := transfer.Import{Service: f.service(), Inputs: []string{file}, Size: 1 + r.IntN(30), Lanes: 1 + r.IntN(6)}
				if sum, err = im.Run(t.Context()); err == nil {
					break
				}
				if !errors.Is(err, errCut) {
					t.Fatalf("after %d cuts: %v", cuts, err)
				}
				if cuts++; cuts > 2000 {
					t.Fatal("it does not come to its end")
				}
				// What a kill leaves of a line that is being written, and of a rejected one.
				line := `{"lane":1,"marks":[{"file":0,"at":4`
				write(t, file+".progress", read(t, file+".progress")+line[:r.IntN(len(line))])
				if rejected, err := os.ReadFile(file + ".rejected.ndjson"); err == nil {
					write(t, file+".rejected.ndjson", string(rejected)+`{"resourceT`)
				}
			}
			if cuts < 10 {
				t.Errorf("cut off %d times only", cuts)
			}
			f.wantVersions(t, versions)
			got := strings.Split(strings.TrimSuffix(read(t, sum.Refused), "\n"), "\n")
			sort.Strings(got)
			sort.Strings(bad)
			if !slices.Equal(got, bad) {
				t.Errorf("rejected %d lines, want %d", len(got), len(bad))
			}
			if n := strings.Count(read(t, sum.Outcomes), "\n"); n != len(bad) || sum.Rejected != len(bad) {
				t.Errorf("%d outcomes, %d counted, want %d", n, sum.Rejected, len(bad))
			}
			if c := strings.Count(text, "{"); sum.Created+sum.Present+sum.Rejected != c {
				t.Errorf("counted %+v, there are %d lines", sum.Counts, c)
			}
			before := f.requests
			if again, err := (&transfer.Import{Service: f.service(), Inputs: []string{file}}).Run(t.Context()); err != nil || f.requests != before || again.Counts != sum.Counts {
				t.Errorf("once more: %d requests, %+v, %v", f.requests-before, again, err)
			}
		})
	}
}

// Formats are told by their names; resources of bundles are written one by one, batches and transactions as they are.
func TestImportFormats(t *testing.T) {
	dir := t.TempDir()
	p := func(id string) string { return `{"resourceType":"Patient","id":"` + id + `"}` }
	transaction := `{"resourceType":"Bundle","type":"transaction","entry":[{"resource":` + p("t") + `,"request":{"method":"PUT","url":"Patient/t"}}]}`
	write(t, dir+"/a.ndjson", p("a1")+"\n"+p("a2")) // the last line without an end
	write(t, dir+"/b.ndjson.gz", zipped(p("b1")+"\r\n"+p("b2")+"\n"))
	write(t, dir+"/c/collection.json", `{"resourceType":"Bundle","type":"collection","entry":[{"resource":`+p("c1")+`},{"fullUrl":"x","resource":`+p("c2")+`}]}`)
	write(t, dir+"/c/late.json", `{"entry":[{"resource":`+p("c3")+`}],"type":"searchset","resourceType":"Bundle"}`)
	write(t, dir+"/d.json", p("d"))
	write(t, dir+"/i.ndjson", `{"resourceType":"Encounter","id":"i","type":[{"text":"x"}]}`)
	write(t, dir+"/e.xml", `<Patient xmlns="http://hl7.org/fhir"><id value="e"/></Patient>`)
	write(t, dir+"/f.json.gz", zipped(transaction))
	write(t, dir+"/g.ndjson", strings.ReplaceAll(transaction, `"t"`, `"g"`)+"\n")
	write(t, dir+"/manifest.json", `{}`)
	write(t, dir+"/notes.txt", "x")
	write(t, dir+"/history.json", `{"resourceType":"Bundle","type":"history","entry":[]}`)
	write(t, dir+"/broken.json", `{"resourceType":"Bundle","type":"collection","entry":[{"resource":`+p("h")+`},{"resou`)
	write(t, dir+"/empty.ndjson", "")
	f := newFake()
	sum, err := (&transfer.Import{Service: f.service(), Inputs: []string{dir}, State: t.TempDir()}).Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{}
	for _, id := range []string{"a1", "a2", "b1", "b2", "c1", "c2", "c3", "d", "e", "t", "h"} {
		want["Patient/"+id] = []string{p(id)}
	}
	want["Encounter/i"] = []string{`{"resourceType":"Encounter","id":"i","type":[{"text":"x"}]}`}
	delete(want, "Patient/t") // both transactions write it, in no order
	last := f.versions["Patient/t"]
	delete(f.versions, "Patient/t")
	f.wantVersions(t, want)
	if len(last) != 2 || len(f.answers) != 2 {
		t.Errorf("transactions: %v, %d keys", last, len(f.answers))
	}
	if len(sum.Skipped) != 2 || sum.Rejected != 2 {
		t.Errorf("passed over %v, rejected %d", sum.Skipped, sum.Rejected)
	}
	outcomes := read(t, sum.Outcomes)
	for _, s := range []string{"history.json", "broken.json", "malformed JSON (byte ", "a history cannot be imported"} {
		if !strings.Contains(outcomes, s) {
			t.Errorf("%q is not among the outcomes:\n%s", s, outcomes)
		}
	}
}

// Arguments are sent one after the other: what the second refers to is there.
func TestImportKeepsTheOrderOfArguments(t *testing.T) {
	dir := t.TempDir()
	var names []string
	for i := range 4 {
		var b strings.Builder
		for n := range 300 {
			fmt.Fprintf(&b, `{"resourceType":"Patient","id":"%d-%d"}`+"\n", i, n)
		}
		names = append(names, write(t, fmt.Sprintf("%s/%d.ndjson", dir, 9-i), b.String()))
	}
	f := newFake()
	if _, err := (&transfer.Import{Service: f.service(), Inputs: names, Size: 7}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(f.order) != 1200 || !slices.IsSortedFunc(f.order, func(a, b string) int { return int(a[len("Patient/")]) - int(b[len("Patient/")]) }) {
		t.Errorf("%d resources, not in the order of the arguments", len(f.order))
	}
}

// What cannot be gone on with is said, and Again begins anew.
func TestImportOfWhatHasChanged(t *testing.T) {
	file := write(t, filepath.Join(t.TempDir(), "a.ndjson"), `{"resourceType":"Patient","id":"a"}`)
	f := newFake()
	run := func(s transfer.Service, again bool) error {
		_, err := (&transfer.Import{Service: s, Inputs: []string{file}, Again: again}).Run(t.Context())
		return err
	}
	if err := run(f.service(), false); err != nil {
		t.Fatal(err)
	}
	other := f.service()
	other.Name = "elsewhere"
	if err := run(other, false); err == nil || !strings.Contains(err.Error(), "--again") {
		t.Errorf("another service: %v", err)
	}
	write(t, file, `{"resourceType":"Patient","id":"b" }`)
	if err := run(f.service(), false); err == nil || !strings.Contains(err.Error(), "has changed") {
		t.Errorf("another content: %v", err)
	}
	write(t, file+".progress", "{not ours}\n")
	if err := run(f.service(), false); err == nil || !strings.Contains(err.Error(), "--again") {
		t.Errorf("a broken progress file: %v", err)
	}
	if err := run(f.service(), true); err != nil || len(f.versions) != 2 {
		t.Errorf("again: %v, %v", err, f.versions)
	}
}

// A file has one JSON object: what stands behind it is not passed over in silence.
func TestImportOfMoreThanOneObject(t *testing.T) {
	bundle := func(id string) string {
		return `{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Patient","id":"` + id + `"}}]}`
	}
	far := strings.Repeat(" ", 1<<20) // beyond what is read ahead
	for rule, c := range map[string]struct {
		text              string
		created, rejected int
	}{
		"bundles":                 {bundle("a") + far + bundle("b"), 1, 1},
		"bundles, near":           {bundle("a") + bundle("b"), 1, 1},
		"resources":               {`{"resourceType":"Patient","id":"a"}` + far + `{"resourceType":"Patient","id":"b"}`, 0, 1},
		"something else":          {bundle("a") + far + "]", 1, 1},
		"nothing but white space": {bundle("a") + far + "\n", 1, 0},
	} {
		file := write(t, filepath.Join(t.TempDir(), "a.json"), c.text)
		sum, err := (&transfer.Import{Service: newFake().service(), Inputs: []string{file}}).Run(t.Context())
		if err != nil || sum.Created != c.created || sum.Rejected != c.rejected || c.rejected > 0 && !strings.Contains(read(t, sum.Outcomes), "there is more behind") {
			t.Errorf("%s: %+v, %v", rule, sum, err)
		}
	}
}

// What was rejected and is gone from its file is not made up for by zeros.
func TestImportOfWhichRejectedIsShorter(t *testing.T) {
	file := write(t, filepath.Join(t.TempDir(), "a.ndjson"), `{"resourceType":"Patient","id":"a","bad":1}`)
	im := transfer.Import{Service: newFake().service(), Inputs: []string{file}}
	sum, err := im.Run(t.Context())
	if err != nil || sum.Rejected != 1 {
		t.Fatalf("%+v, %v", sum, err)
	}
	write(t, sum.Refused, "")
	if _, err := im.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "--again") {
		t.Errorf("%v, and the file is %q", err, read(t, sum.Refused))
	}
}

// Errors of files name the file and end the import.
func TestImportOfUnreadableFiles(t *testing.T) {
	dir := t.TempDir()
	good := zipped(strings.Repeat(`{"resourceType":"Patient","id":"a"}`+"\n", 100))
	for rule, name := range map[string]string{
		"missing":           dir + "/none.ndjson",
		"unknown format":    write(t, dir+"/a.csv", "x"),
		"no gzip":           write(t, dir+"/b.ndjson.gz", "x"),
		"cut off gzip":      write(t, dir+"/c.ndjson.gz", good[:len(good)-4]),
		"nothing to import": t.TempDir(),
	} {
		_, err := (&transfer.Import{Service: newFake().service(), Inputs: []string{name}}).Run(t.Context())
		if err == nil || rule != "nothing to import" && !strings.Contains(err.Error(), filepath.Base(name)) {
			t.Errorf("%s: %v", rule, err)
		}
	}
	if _, err := (&transfer.Import{Service: newFake().service(), Inputs: []string{write(t, dir+"/d.ndjson", "\n")}, State: dir + "/none"}).Run(t.Context()); err == nil {
		t.Error("a state directory that there is not is taken")
	}
}

// A line over the limit is rejected with its length, without being kept, and the next one is read.
func TestImportOfALongLine(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.ndjson")
	long := `{"resourceType":"Patient","id":"long","x":"` + strings.Repeat("x", transfer.MaxLine) + `"}`
	write(t, file, long+"\n"+`{"resourceType":"Patient","id":"a"}`)
	f := newFake()
	sum, err := (&transfer.Import{Service: f.service(), Inputs: []string{file}}).Run(t.Context())
	if err != nil || sum.Rejected != 1 || sum.Created != 1 || !strings.Contains(read(t, sum.Outcomes), fmt.Sprintf("the line has %d bytes", len(long)+1)) {
		t.Errorf("%+v, %v", sum, err)
	}
}

// A file of any bytes is read to its end or refused, every resource in it at most once.
func FuzzImport(f *testing.F) {
	for _, s := range []string{"", "{", `{"resourceType":"Patient","id":"a"}`, `{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Patient","id":"a"}},{}]}`,
		`{"entry":[{"resource":{"resourceType":"Patient","id":"a"}}],"resourceType":"Bundle"}`, `{"resourceType":"Bundle","type":"batch","entry":[]}`, "[]", `{"resourceType":1}`, `<Patient xmlns="http://hl7.org/fhir"><id value="e"/></Patient>`} {
		for _, format := range []string{"ndjson", "json", "xml", "ndjson.gz"} {
			f.Add(format, s)
		}
	}
	f.Fuzz(func(t *testing.T, format, text string) {
		if format != "ndjson" && format != "json" && format != "xml" && format != "ndjson.gz" {
			return
		}
		file := write(t, filepath.Join(t.TempDir(), "a."+format), text)
		service := newFake()
		sum, err := (&transfer.Import{Service: service.service(), Inputs: []string{file}, Lanes: 1}).Run(t.Context())
		if err != nil {
			return
		}
		if n := len(service.versions); n > sum.Created+sum.Present {
			t.Errorf("%d resources are there, %+v were counted", n, sum.Counts)
		}
	})
}
