package engine

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"meridian/fhir/codec"
	"meridian/mappings/hl7v2"
)

// corpus is every message there is: testdata/hl7v2 and the golden cases.
func corpus(t testing.TB) map[string][]byte {
	t.Helper()
	out := files(t)
	names, _ := filepath.Glob("../../testdata/mappings/*/*/*.txtar")
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text := string(raw[bytes.Index(raw, []byte("-- in.hl7 --\n"))+len("-- in.hl7 --\n"):])
		if i := strings.Index(text, "\n-- "); i >= 0 {
			text = text[:i]
		}
		out[filepath.Base(name)] = []byte(strings.ReplaceAll(strings.TrimSpace(text), "\n", "\r"))
	}
	delete(out, "garbage")
	return out
}

func mustRun(t testing.TB, raw []byte) (*Result, error) {
	t.Helper()
	tr, err := tree(raw)
	if err != nil {
		t.Fatal(err)
	}
	return oru(t).Run(tr, &Source{ID: "lis"}, benchTime)
}

// The same message gives the same bytes, whatever was mapped in between.
func TestTwiceIsTheSame(t *testing.T) {
	first := map[string][]byte{}
	for round := range 2 {
		for name, raw := range corpus(t) { // the order of a map differs from round to round
			res, err := mustRun(t, raw)
			text := res.Bundle()
			if err != nil {
				text = []byte(err.Error())
			}
			if round == 0 {
				first[name] = bytes.Clone(text)
			} else if !bytes.Equal(text, first[name]) {
				t.Errorf("%s differs the second time", name)
			}
		}
	}
}

// A message cut after any segment is mapped or parked; what is mapped is valid and tells of every place.
func TestTruncated(t *testing.T) {
	for name, raw := range corpus(t) {
		d, err := hl7v2.Decode(raw, hl7v2.DecodeOptions{})
		if err != nil {
			t.Fatal(name, err)
		}
		segments := strings.SplitAfter(strings.TrimRight(d.Text, "\r"), "\r")
		for n := 1; n <= len(segments); n++ {
			text := strings.Join(segments[:n], "")
			for _, cut := range []string{text, text[:len(text)-min(len(text)-8, 7)]} {
				tr, err := tree([]byte(strings.ToValidUTF8(cut, "")))
				if err != nil {
					continue
				}
				res, err := oru(t).Run(tr, &Source{ID: "lis"}, benchTime)
				if err != nil {
					if _, ok := err.(*Park); !ok {
						t.Fatalf("%s cut after %d segments: %v", name, n, err)
					}
					continue
				}
				check(t, name, res)
			}
		}
	}
}

// check holds a result to what is true of every result.
func check(t *testing.T, name string, res *Result) {
	t.Helper()
	seen := map[string]bool{}
	for _, o := range res.Resources {
		if _, err := codec.Parse(o.JSON, codec.Options{}); err != nil {
			t.Errorf("%s: %s: %v\n%s", name, o.Rule, err, o.JSON)
		}
		if bytes.Contains(o.JSON, []byte("\ufffd")) {
			t.Errorf("%s: %s has a replacement character", name, o.Rule)
		}
		if seen[o.Type+"/"+o.ID] {
			t.Errorf("%s: %s/%s stands twice", name, o.Type, o.ID)
		}
		seen[o.Type+"/"+o.ID] = true
	}
	for _, o := range res.Resources {
		for _, r := range references(o.JSON) {
			if !seen[r] {
				t.Errorf("%s: %s refers to %s, which the message does not make", name, o.Rule, r)
			}
		}
	}
	if c := res.Coverage; c != nil {
		unread := 0
		for _, u := range c.Unread {
			unread += u.Count
		}
		if c.Rest() != unread || c.Leaves < c.Used {
			t.Errorf("%s: coverage does not add up: %+v", name, *c)
		}
	}
	if _, err := codec.Parse(res.Bundle(), codec.Options{}); err != nil {
		t.Errorf("%s: bundle: %v", name, err)
	}
}

func references(text []byte) []string {
	var out []string
	for {
		_, rest, ok := bytes.Cut(text, []byte(`{"reference":"`))
		if !ok {
			return out
		}
		end := bytes.IndexByte(rest, '"')
		out = append(out, string(rest[:end]))
		text = rest
	}
}

// The charset of the wire leaves no trace.
func TestCharsets(t *testing.T) {
	for name, raw := range corpus(t) {
		d, err := hl7v2.Decode(raw, hl7v2.DecodeOptions{})
		if err != nil {
			t.Fatal(name, err)
		}
		var want []byte
		for _, as := range []struct {
			cs   hl7v2.Charset
			name string
		}{{hl7v2.UTF8, "UNICODE UTF-8"}, {hl7v2.GB18030, "GBK"}, {hl7v2.GB18030, "GB18030"}} {
			text := declare(d.Text, as.name)
			bytesOnWire, err := hl7v2.Encode(text, as.cs)
			if err != nil {
				t.Fatal(name, err)
			}
			res, err := mustRun(t, bytesOnWire)
			got := res.Bundle()
			if err != nil {
				got = []byte(err.Error())
			}
			if want == nil {
				want = got
			} else if !bytes.Equal(want, got) {
				t.Errorf("%s differs in %s", name, as.name)
			}
		}
	}
}

// declare writes MSH-18.
func declare(text, charset string) string {
	head, rest, _ := strings.Cut(text, "\r")
	f := strings.Split(head, "|")
	for len(f) < 18 {
		f = append(f, "")
	}
	f[17] = charset
	return strings.Join(f, "|") + "\r" + rest
}

// Every number of a result is written as the message writes it. (Sizes of attachments are ours.)
func TestNumbersAreLexemes(t *testing.T) {
	for name, raw := range corpus(t) {
		switch name {
		case "value_types.txtar", "decimal_comma.txtar": // +5, .5 and 11,49 are in the golden cases
			continue
		}
		d, _ := hl7v2.Decode(raw, hl7v2.DecodeOptions{})
		res, err := mustRun(t, raw)
		if err != nil {
			continue
		}
		for _, o := range res.Resources {
			dec := json.NewDecoder(bytes.NewReader(o.JSON))
			dec.UseNumber()
			key := ""
			for {
				tok, err := dec.Token()
				if err != nil {
					break
				}
				if s, ok := tok.(string); ok {
					key = s
				}
				if n, ok := tok.(json.Number); ok && key != "size" && !strings.Contains(d.Text, n.String()) {
					t.Errorf("%s: %s has the number %s, which the message does not", name, o.Rule, n)
				}
			}
		}
	}
}

// ids gives the ids of a rule's resources, with the value's place in the message as the key.
func ids(t *testing.T, raw []byte, rule string) map[string]string {
	t.Helper()
	res, err := mustRun(t, raw)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, o := range res.Resources {
		if o.Rule == rule {
			var v struct {
				Code          struct{ Coding []struct{ Code string } }
				Extension     []struct{ ValueString string }
				ValueQuantity struct{ Value json.Number }
			}
			if err := json.Unmarshal(o.JSON, &v); err != nil {
				t.Fatal(err)
			}
			sub := ""
			if len(v.Extension) > 0 {
				sub = v.Extension[0].ValueString
			}
			out[v.Code.Coding[len(v.Code.Coding)-1].Code+"/"+sub] = o.ID
		}
	}
	return out
}

// Ids do not depend on the order of the OBX that something tells apart.
func TestIDsAreStableWhenResultsSwap(t *testing.T) {
	raw := files(t)["oru_r01_same_item"]
	lines := strings.Split(strings.TrimSpace(string(raw)), "\r")
	swapped := slices.Clone(lines)
	for i, j := 4, 6; i < j; i, j = i+1, j-1 { // the three OBX of GLU
		swapped[i], swapped[j] = swapped[j], swapped[i]
	}
	a, b := ids(t, raw, "obs"), ids(t, []byte(strings.Join(swapped, "\r")), "obs")
	if !maps.Equal(a, b) {
		t.Errorf("ids changed:\n%v\n%v", a, b)
	}
}

// A corrected and a withdrawn report have the ids of the first.
func TestIDsOfACorrection(t *testing.T) {
	all := files(t)
	first := ids(t, all["oru_r01"], "obs")
	for _, name := range []string{"oru_r01_correction", "oru_r01_withdrawn"} {
		if got := ids(t, all[name], "obs"); !maps.Equal(first, got) {
			t.Errorf("%s has other ids", name)
		}
	}
}

// HL7's null is told to the writer.
func TestClear(t *testing.T) {
	res, err := mustRun(t, corpus(t)["deletes.txtar"])
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(res.Resources[0].Clear, " "); got != "birthDate address" {
		t.Errorf("clear %q", got)
	}
}

// What a run holds of one message does not reach another: a failed or large message between two equal ones changes nothing.
func TestRunsAreIndependent(t *testing.T) {
	all := corpus(t)
	before, _ := mustRun(t, all["oru_r01"])
	for range 3 {
		_, _ = mustRun(t, all["oru_r01_no_pid3"])
		_, _ = mustRun(t, all["specimen.txtar"])
		after, err := mustRun(t, all["oru_r01"])
		if err != nil || !bytes.Equal(before.Bundle(), after.Bundle()) {
			t.Fatal("the result of a message depends on those before it")
		}
	}
}

// A source that names a layer that there is not is parked, not mapped some other way.
func TestUnknownLayer(t *testing.T) {
	tr, err := tree(files(t)["oru_r01"])
	if err != nil {
		t.Fatal(err)
	}
	_, err = oru(t).Run(tr, &Source{Layer: "nowhere"}, benchTime)
	if p, ok := err.(*Park); !ok || p.Code != "source.layer" {
		t.Errorf("got %v", err)
	}
}

// One map serves many goroutines.
func TestConcurrentRuns(t *testing.T) {
	all := corpus(t)
	want := map[string][]byte{}
	for name, raw := range all {
		res, _ := mustRun(t, raw)
		want[name] = res.Bundle()
	}
	m := oru(t)
	done := make(chan string)
	for range 4 {
		go func() {
			for name, raw := range all {
				tr, err := tree(raw)
				if err != nil {
					done <- err.Error()
					return
				}
				res, _ := m.Run(tr, &Source{ID: "lis"}, benchTime)
				if !bytes.Equal(res.Bundle(), want[name]) {
					done <- name + " differs"
					return
				}
			}
			done <- ""
		}()
	}
	for range 4 {
		if s := <-done; s != "" {
			t.Error(s)
		}
	}
}
