package validate

import (
	"context"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// scripted are the definitions of a script by their canonical, with and without version.
type scripted map[string][]byte

func (s scripted) Definition(_ context.Context, kind, canonical string) ([]byte, error) {
	return s[kind+" "+canonical], nil
}

// TestScripts runs testdata/*.txtar: parts named "define" are definitions, all others are cases: a resource and then the issues that
// are expected, a line each: "=> severity id place" ("=> error pat-1 Patient.contact[0]" for an invariant), in the order of the
// places. Information is not listed. The expected lines follow from the specification.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { runScript(t, file) })
	}
}

func runScript(t *testing.T, file string) {
	a, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	source := scripted{}
	for _, f := range a.Files {
		if !strings.HasPrefix(f.Name, "define") {
			continue
		}
		var head struct{ ResourceType, URL, Version string }
		if err := json.Unmarshal(f.Data, &head); err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
		source[head.ResourceType+" "+head.URL] = f.Data
		source[head.ResourceType+" "+head.URL+"|"+head.Version] = f.Data
	}
	v := New(Options{Source: source, Codes: &fewCodes{}})
	for _, f := range a.Files {
		if strings.HasPrefix(f.Name, "define") {
			continue
		}
		t.Run(f.Name, func(t *testing.T) {
			body, expected, _ := strings.Cut(string(f.Data), "=>")
			var want []string
			if expected != "" {
				for _, line := range strings.Split("=>"+expected, "\n") {
					if line = strings.TrimSpace(strings.TrimPrefix(line, "=>")); line != "" {
						want = append(want, line)
					}
				}
			}
			if got := faults(t, v, body); !slices.Equal(got, want) {
				t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
			}
		})
	}
}

// fewCodes knows the value set http://example.org/ValueSet/ab: codes a and b of the system http://example.org/s.
type fewCodes struct{}

func (*fewCodes) Contains(_ context.Context, set, system, code string) (yes, known bool, err error) {
	if set != "http://example.org/ValueSet/ab" {
		return false, false, nil
	}
	return (system == "" || system == "http://example.org/s") && (code == "a" || code == "b"), true, nil
}

func (*fewCodes) Defines(_ context.Context, system, code string) (yes, known bool, err error) {
	return code == "a" || code == "b" || code == "c", system == "http://example.org/s", nil
}

// Subsumes: a is above b.
func (*fewCodes) Subsumes(_ context.Context, system, a, b string) (yes, known bool, err error) {
	return a == b || a == "a" && b == "b", system == "http://example.org/s", nil
}
