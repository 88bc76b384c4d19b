package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
)

// policy is the import order of the module: each line names a package and all
// that it may import beside the standard library. `fhir/*` stands for every
// package below fhir. Third-party modules stand by their path, or by its beginning with `…`.
// A package imports what its line names and nothing else; test files may also
// import what the last lines allow. A commit that needs a rule relaxed argues for it in its message: it must not be
// relaxed to get a build through.
const policy = `
fhir/value
fhir/issue
fhir/ucum            < fhir/value
fhir/schema
fhir/element         < fhir/schema fhir/issue
fhir/codec           < fhir/element fhir/schema fhir/issue fhir/value
fhir/r4              < fhir/codec fhir/element fhir/schema fhir/issue fhir/value
fhir/definitions     < fhir/r4 fhir/codec fhir/element fhir/schema fhir/issue
fhir/fhirpath        < fhir/element fhir/schema fhir/issue fhir/value fhir/ucum github.com/cockroachdb/apd/v3
fhir/patch           < fhir/codec fhir/fhirpath fhir/element fhir/schema fhir/issue fhir/value
fhir/terminology     < fhir/search fhir/definitions fhir/r4 fhir/codec fhir/element fhir/schema fhir/issue fhir/value fhir/ucum
fhir/validate        < fhir/definitions fhir/fhirpath fhir/codec fhir/element fhir/schema fhir/issue fhir/value fhir/ucum
fhir/views           < fhir/fhirpath fhir/codec fhir/element fhir/schema fhir/issue fhir/value github.com/parquet-go/parquet-go
fhir/search          < fhir/definitions fhir/fhirpath fhir/codec fhir/element fhir/schema fhir/issue fhir/value fhir/ucum golang.org/x/text/… github.com/mozillazg/go-pinyin
fhir/fhirtest        < fhir/codec fhir/r4 fhir/element fhir/schema fhir/issue fhir/value
fhir/internal/gen

mappings/hl7v2       < golang.org/x/text/…
mappings/source      < mappings/hl7v2 fhir/value
mappings/maps
mappings/engine      < mappings/source mappings/hl7v2 mappings/maps fhir/* cel.dev/cel-go/… github.com/goccy/go-yaml/… github.com/goccy/go-yaml github.com/santhosh-tekuri/jsonschema/v5 github.com/google/uuid golang.org/x/text/…

server/store              < fhir/search fhir/issue
server/store/pebblestore  < server/store fhir/search fhir/issue github.com/cockroachdb/pebble/v2 github.com/cockroachdb/pebble/v2/… github.com/klauspost/compress/…
server/store/mongostore   < server/store fhir/search fhir/issue go.mongodb.org/mongo-driver/v2/…
server/store/storetest    < server/store fhir/* go.mongodb.org/mongo-driver/v2/…
server/interaction        < server/store fhir/* github.com/google/uuid
server/operation/graphql  < server/interaction server/store fhir/* github.com/vektah/gqlparser/v2/…
server/operation          < server/operation/graphql server/interaction server/store fhir/* github.com/google/uuid
server/job                < server/store server/interaction
server/inbox              < server/job server/interaction server/store mappings/* fhir/* github.com/google/uuid
server/transfer           < server/store fhir/codec fhir/search github.com/klauspost/compress/…
server/rest               < server/interaction server/job server/store fhir/* github.com/labstack/echo/v4 github.com/labstack/echo/v4/… github.com/klauspost/compress/… github.com/prometheus/…
`

// testOnly may be imported by any test file.
const testOnly = `fhir/fhirtest server/store/storetest server/store/pebblestore server/store/mongostore server/operation fhir/* mappings/*
github.com/google/go-cmp/… pgregory.net/rapid github.com/rogpeppe/go-internal/… github.com/go-json-experiment/json/… github.com/cockroachdb/pebble/v2/… golang.org/x/text/… github.com/labstack/echo/v4 github.com/google/uuid go.mongodb.org/mongo-driver/v2/…`

func allowed(list []string, imp string) bool {
	for _, a := range list {
		if a == imp {
			return true
		}
		if p, ok := strings.CutSuffix(a, "/…"); ok && (imp == p || strings.HasPrefix(imp, p+"/")) {
			return true
		}
		if p, ok := strings.CutSuffix(a, "/*"); ok && strings.HasPrefix(imp, p+"/") && !strings.Contains(imp, "/internal/") {
			return true
		}
	}
	return false
}

func rules() map[string][]string {
	m := map[string][]string{}
	for _, line := range strings.Split(policy, "\n") {
		left, right, _ := strings.Cut(line, "<")
		if name := strings.TrimSpace(left); name != "" {
			m[name] = strings.Fields(right)
		}
	}
	return m
}

// The import order fhir ← mappings ← server holds, third-party modules included.
func TestImportOrder(t *testing.T) {
	root := ".."
	rule := rules()
	tests := strings.Fields(testOnly)
	seen := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != root || d.Name() == "testdata" || d.Name() == "data") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		rel, _ := filepath.Rel(root, filepath.Dir(path))
		pkg := filepath.ToSlash(rel)
		if pkg == "server" {
			return nil // main wires everything
		}
		list, ok := rule[pkg]
		if !ok {
			if !seen[pkg] {
				t.Errorf("package %s has no line in the policy", pkg)
			}
			seen[pkg] = true
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range f.Imports {
			imp := strings.Trim(spec.Path.Value, `"`)
			if own, ok := strings.CutPrefix(imp, "meridian/"); ok {
				imp = own
			} else if !strings.Contains(strings.SplitN(imp, "/", 2)[0], ".") {
				continue // standard library
			}
			if imp == pkg || allowed(list, imp) || strings.HasSuffix(path, "_test.go") && allowed(tests, imp) {
				continue
			}
			t.Errorf("%s imports %s, which the policy does not allow for %s", path, imp, pkg)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// The top level holds exactly the three tiers, the test data, the documents and the module files.
func TestTopLevel(t *testing.T) {
	want := map[string]bool{"server": true, "fhir": true, "mappings": true, "testdata": true, "docs": true, "go.mod": true,
		"go.sum": true, "README.md": true, "LICENSE": true, "NOTICE": true, ".ci": true, ".gitignore": true}
	entries, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	var extra []string
	for _, e := range entries {
		if !want[e.Name()] && e.Name() != ".git" && e.Name() != "data" {
			extra = append(extra, e.Name())
		}
		delete(want, e.Name())
	}
	sort.Strings(extra)
	if len(extra) > 0 {
		t.Errorf("not expected at the top level: %v", extra)
	}
	for name := range want {
		t.Errorf("missing at the top level: %s", name)
	}
}
