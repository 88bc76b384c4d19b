// Package fhirtest holds what tests of records share: the official R4 examples,
// a generator of resources that uses every element of every type, and the
// strict comparison of two JSON texts. Only tests import it.
//
//	for _, ex := range fhirtest.Examples(t) { … ex.Name, ex.Body }
//	body := fhirtest.Generate("Patient", seed)      the same bytes for the same seed, whatever the machine
//	if d := fhirtest.Diff(body, got); d != "" { t.Error(d) }
//
// Everything is safe for concurrent use. Bodies are shared, so they must not be
// changed.
package fhirtest

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Example is one official example instance.
type Example struct {
	Name string // "patient-example.json"
	Body []byte // as published, indented
}

// maxExample bounds one file of the archive, in bytes.
const maxExample = 8 << 20

// Examples reads testdata/fhir/examples.tar.gz, in the order of the archive. A
// missing or damaged archive ends the test.
func Examples(t testing.TB) []Example {
	t.Helper()
	all, err := readExamples(filepath.Join(ModuleRoot(t), "testdata", "fhir", "examples.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func readExamples(path string) ([]Example, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	var all []Example
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		if !strings.HasSuffix(h.Name, ".json") {
			continue
		}
		body, err := io.ReadAll(io.LimitReader(r, maxExample))
		if err != nil {
			return nil, err
		}
		all = append(all, Example{filepath.Base(h.Name), body})
	}
}

// ModuleRoot is the folder of go.mod above the test's working folder.
func ModuleRoot(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("no go.mod above the working folder")
		}
		dir = up
	}
}
