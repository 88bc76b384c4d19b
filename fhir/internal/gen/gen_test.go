package main

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"testing"
)

const root = "../../.."

// Generated files are what the vendored definitions say. The archive is
// compared by content: deflate may pack differently in another release of Go.
func TestGeneratedFilesAreCurrent(t *testing.T) {
	files, err := generate(root)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Error(err)
			continue
		}
		same := bytes.Equal
		if filepath.Ext(name) == ".bin" {
			same = func(a, b []byte) bool { return bytes.Equal(unpack(t, a), unpack(t, b)) }
		}
		if !same(got, want) {
			t.Errorf("%s is stale: run go generate ./fhir/...", name)
		}
	}
	stale, err := filepath.Glob(filepath.Join(root, "fhir", "*", "*_gen.*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range stale {
		rel, err := filepath.Rel(root, path)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := files[filepath.ToSlash(rel)]; !ok {
			t.Errorf("%s is no longer generated", rel)
		}
	}
}

// unpack inflates the blocks of an archive, each behind its length.
func unpack(t *testing.T, archive []byte) []byte {
	t.Helper()
	count := int(binary.LittleEndian.Uint32(archive))
	body := archive[4*(count+1):]
	var out []byte
	from := uint32(0)
	for i := range count {
		end := binary.LittleEndian.Uint32(archive[4*(i+1):])
		block, err := io.ReadAll(flate.NewReader(bytes.NewReader(body[from:end])))
		if err != nil {
			t.Fatalf("block %d: %v", i, err)
		}
		out = binary.LittleEndian.AppendUint32(out, uint32(len(block)))
		out = append(out, block...)
		from = end
	}
	return out
}

func TestFindPerfect(t *testing.T) {
	names := []string{"id", "extension", "value", "valueCode", "valueCoding", "a", "ab", "abc", "abcd", "abcdefgh"}
	p, err := findPerfect(names)
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range names {
		if got := p.slots[key(n)*p.mult>>p.shift]; int(got) != i {
			t.Errorf("%s: slot holds %d, want %d", n, got, i)
		}
	}
	if _, err := findPerfect([]string{"aaaaaaaaXbbbbbbbb", "aaaaaaaaYbbbbbbbb"}); err == nil {
		t.Error("names alike in both ends and length got a table")
	}
}
