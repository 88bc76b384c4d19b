package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// proof is what docs/parity.md names in backquotes: a file, or a folder with a test function or a rule in quotes.
var proof = regexp.MustCompile("`(testdata/[^`]+|[a-z0-9/]+: (?:(?:Test|Fuzz)\\w+|\"[^\"`]+\"))`")

// TestParity: every proof in docs/parity.md is there, and every row has one or says "not yet".
func TestParity(t *testing.T) {
	page, err := os.ReadFile("../docs/parity.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile(`^\| (\d+|–) \|`)
	rows := 0
	for i, line := range strings.Split(string(page), "\n") {
		proofs := proof.FindAllStringSubmatch(line, -1)
		for _, p := range proofs {
			if !proven(t, p[1]) {
				t.Errorf("line %d: there is no %s", i+1, p[1])
			}
		}
		if !row.MatchString(line) {
			continue
		}
		rows++
		if len(proofs) == 0 && !strings.Contains(line, "not yet") {
			t.Errorf("line %d has neither proof nor \"not yet\": %s", i+1, line)
		}
		cells := strings.Split(line, "|")
		if strings.Contains(proof.ReplaceAllString(cells[len(cells)-2], ""), "`") {
			t.Errorf("line %d names what is no proof: %s", i+1, cells[len(cells)-2])
		}
	}
	if rows < 100 {
		t.Errorf("%d rows", rows)
	}
}

// proven says whether a proof is there: a file by its path, a function or a rule by the text of the folder's files.
func proven(t *testing.T, p string) bool {
	folder, name, in := strings.Cut(p, ": ")
	if !in {
		_, err := os.Stat(filepath.Join("..", p))
		return err == nil
	}
	files, text := "*_test.go", "func "+name+"("
	if strings.HasPrefix(name, `"`) {
		files, text = "*.go", name
	}
	list, err := filepath.Glob(filepath.Join("..", folder, files))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range list {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(source), text) {
			return true
		}
	}
	return false
}
