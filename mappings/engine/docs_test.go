package engine

import (
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"meridian/mappings/maps"
)

func page(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile("../../docs/mapping/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// The map on the page loads with the shipped tables, and maps a message.
func TestPageOfTheLanguage(t *testing.T) {
	_, text, _ := strings.Cut(page(t, "language.md"), "```yaml\n")
	text, _, _ = strings.Cut(text, "```")
	fsys := fstest.MapFS{"demo.yaml": {Data: []byte(text)}}
	names, _ := fs.Glob(maps.FS, "tables/*.csv")
	for _, name := range names {
		data, err := maps.FS.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		fsys[name] = &fstest.MapFile{Data: data}
	}
	l, err := Load(fsys)
	if err != nil {
		t.Fatal(err)
	}
	tr, err := tree(files(t)["oru_r01"])
	if err != nil {
		t.Fatal(err)
	}
	res, err := l.Find(Input{"hl7v2", "ORU_R01"}).Run(tr, &Source{}, benchTime)
	if err != nil || len(res.Resources) != 21 { // one person, twenty results
		t.Errorf("%v, %d resources", err, len(res.Resources))
	}
}

// Every function and every check has a line on its page, and the pages name no other.
func TestPagesAreComplete(t *testing.T) {
	text := page(t, "functions.md")
	for _, name := range functionNames() {
		if !strings.Contains(text, "`"+name+"`") {
			t.Errorf("functions.md does not describe %s", name)
		}
	}
	tested, err := os.ReadFile("checks_test.go")
	if err != nil {
		t.Fatal(err)
	}
	code := regexp.MustCompile(`\bM0[0-9]{2}\b`)
	for _, m := range code.FindAllString(page(t, "checks.md"), -1) {
		if !strings.Contains(string(tested), m) {
			t.Errorf("checks.md describes %s, which has no test", m)
		}
	}
	sources, _ := os.ReadDir(".")
	for _, f := range sources {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		raw, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range code.FindAllString(string(raw), -1) {
			if !strings.Contains(page(t, "checks.md"), m) {
				t.Errorf("%s uses %s, which checks.md does not describe", f.Name(), m)
			}
		}
	}
}
