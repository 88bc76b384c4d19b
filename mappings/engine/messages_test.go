package engine

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"meridian/fhir/codec"
	"meridian/mappings/hl7v2"
	"meridian/mappings/maps"
	"meridian/mappings/source"
)

var shipped = sync.OnceValues(func() (*Library, error) { return Load(maps.FS) })

func library(t testing.TB) *Library {
	t.Helper()
	l, err := shipped()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// tree goes from bytes to the record, or says that they are no message.
func tree(raw []byte) (*source.Tree, error) {
	d, err := hl7v2.Decode(raw, hl7v2.DecodeOptions{})
	if err != nil {
		return nil, err
	}
	m, err := hl7v2.Parse(d.Text, hl7v2.ParseOptions{Charset: d.Used})
	if err != nil {
		return nil, err
	}
	return source.FromV2(m, hl7v2.GroupMessage(m, hl7v2.GroupOptions{})), nil
}

// files gives the messages of testdata/hl7v2 by name.
func files(t testing.TB) map[string][]byte {
	t.Helper()
	names, err := filepath.Glob("../../testdata/hl7v2/*.hl7")
	if err != nil || len(names) == 0 {
		t.Fatal("no messages in testdata/hl7v2", err)
	}
	out := map[string][]byte{}
	for _, name := range names {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for i, m := range splitMessages(raw) {
			key := strings.TrimSuffix(filepath.Base(name), ".hl7")
			if i > 0 {
				key += "#" + string(rune('1'+i))
			}
			out[key] = m
		}
	}
	return out
}

func splitMessages(raw []byte) [][]byte {
	messages, _ := hl7v2.Split(raw)
	return messages
}

func oru(t testing.TB) *Map { return library(t).Find(Input{"hl7v2", "ORU_R01"}) }

// Every message of testdata/hl7v2 gives resources that the codec accepts and no
// replacement character, or is parked or filtered for the reason that its file is there for.
func TestMessagesOfTestdata(t *testing.T) {
	ends := map[string]string{"mindray_bc_qc": "filtered quality-control", "mindray_bs_qc": "filtered quality-control", "oru_r01_no_pid3": "parked patient.unidentified"}
	for name, raw := range files(t) {
		t.Run(name, func(t *testing.T) {
			tr, err := tree(raw)
			if err != nil {
				if name != "garbage" {
					t.Fatal(err)
				}
				return
			}
			res, err := oru(t).Run(tr, &Source{ID: "QL01"}, benchTime)
			got := ""
			if p, ok := err.(*Park); ok {
				got = "parked " + p.Code
			} else if res.Filtered != "" {
				got = "filtered " + res.Filtered
			}
			if got != ends[name] {
				t.Fatalf("ended %q, want %q: %v", got, ends[name], err)
			}
			for _, o := range res.Resources {
				if _, err := codec.Parse(o.JSON, codec.Options{}); err != nil {
					t.Errorf("%s: %v", o.Rule, err)
				}
				if strings.Contains(string(o.JSON), "\ufffd") {
					t.Errorf("%s has a replacement character", o.Rule)
				}
			}
			if testing.Verbose() {
				for _, f := range res.Findings {
					t.Log("finding", f)
				}
				for _, u := range res.Unmapped {
					t.Log("unmapped", u)
				}
				if res.Coverage != nil {
					t.Logf("coverage %+v", *res.Coverage)
				}
			}
		})
	}
}
