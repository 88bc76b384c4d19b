package engine

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"meridian/fhir/codec"
)

var show = flag.Bool("show", false, "print what each golden case gives, in the form of its want.json, to be checked by eye and copied")

// A golden case is an archive:
//
//	what the case shows; then, one to a line, what it needs
//	rules: obs report              compare the resources of these rules alone
//	elements: status value         compare the elements of these names alone (value is every value[x])
//	source: DefaultStatus=F        a setting of the source
//	-- in.hl7 --                   the message; a line is a segment
//	-- want.json --                the resources, ids and references by rule: "obs2" is the second of rule obs
//	-- findings --                 code and place, one to a line
//	-- unmapped --                 table, code
//	-- unread --                   places that no rule read
//	-- end --                      "parked code place" or "filtered rule" instead of resources
//
// Sections that are missing are empty.
type golden struct {
	*txtar.Archive
	rules    map[string]bool
	elements []string
	source   Source
}

func readGolden(t *testing.T, file string) golden {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	g := golden{Archive: txtar.Parse(raw), source: Source{ID: "lis"}}
	for _, line := range strings.Split(string(g.Comment), "\n") {
		key, val, _ := strings.Cut(line, ": ")
		switch key {
		case "rules":
			g.rules = map[string]bool{}
			for _, r := range strings.Fields(val) {
				g.rules[r] = true
			}
		case "elements":
			g.elements = strings.Fields(val)
		case "source":
			g.set(t, val)
		}
	}
	return g
}

func (g *golden) set(t *testing.T, val string) {
	name, v, _ := strings.Cut(val, "=")
	switch name {
	case "DefaultStatus":
		g.source.DefaultStatus = v
	case "DefaultType":
		g.source.DefaultType = v
	case "DecimalComma":
		g.source.DecimalComma = true
	case "Layer":
		g.source.Layer = v
	default:
		t.Fatalf("no setting %q", name)
	}
}

func (g *golden) section(name string) string {
	for _, f := range g.Files {
		if f.Name == name {
			return string(f.Data)
		}
	}
	return ""
}

func (g *golden) message() []byte {
	return []byte(strings.ReplaceAll(strings.TrimRight(g.section("in.hl7"), "\n"), "\n", "\r"))
}

// named replaces ids by the names of their rules.
func named(res *Result, text []byte) []byte {
	count := map[string]int{}
	for i := range res.Resources {
		o := &res.Resources[i]
		count[o.Rule]++
		text = bytes.ReplaceAll(text, []byte(o.ID), fmt.Appendf(nil, "%s%d", o.Rule, count[o.Rule]))
	}
	return text
}

// tokens reads JSON with numbers as their lexemes.
func tokens(t *testing.T, text []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

// project keeps the elements that the case compares.
func (g *golden) project(v any) any {
	if g.elements == nil {
		return v
	}
	out := map[string]any{}
	for name, val := range v.(map[string]any) {
		for _, e := range g.elements {
			rest, ok := strings.CutPrefix(name, e)
			if name == e || ok && strings.Contains("BCDIPQRST", rest[:1]) && e != "id" { // the type of a choice
				out[name] = val
			}
		}
	}
	return out
}

func TestGolden(t *testing.T) {
	names, err := filepath.Glob("../../testdata/mappings/*/*/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatal("no golden cases", err)
	}
	for _, file := range names {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			g := readGolden(t, file)
			tr, err := tree(g.message())
			if err != nil {
				t.Fatal(err)
			}
			res, err := oru(t).Run(tr, &g.source, benchTime)
			g.compare(t, res, err)
		})
	}
}

func (g *golden) compare(t *testing.T, res *Result, err error) {
	end := ""
	if p, ok := err.(*Park); ok {
		end = "parked " + p.Code + " " + p.Path
	} else if res.Filtered != "" {
		end = "filtered " + res.Filtered
	}
	same(t, "end", g.section("end"), end)
	var got []any
	for i := range res.Resources {
		o := &res.Resources[i]
		if _, err := codec.Parse(o.JSON, codec.Options{}); err != nil {
			t.Errorf("%s: %v", o.Rule, err)
		}
		if g.rules == nil || g.rules[o.Rule] {
			v := g.project(tokens(t, named(res, bytes.Clone(o.JSON))))
			got = append(got, v)
			if *show {
				var b bytes.Buffer
				e := json.NewEncoder(&b)
				e.SetEscapeHTML(false)
				_ = e.Encode(v)
				fmt.Printf("%s,\n", bytes.TrimSpace(b.Bytes()))
			}
		}
	}
	if want := g.section("want.json"); want != "" || len(got) > 0 {
		if want == "" {
			want = "[]"
		}
		if d := cmp.Diff(tokens(t, []byte(want)), any(got)); d != "" && !(want == "[]" && got == nil) {
			t.Errorf("resources, -want +got:\n%s", d)
		}
	}
	var findings, unmapped, unread []string
	for _, f := range res.Findings {
		findings = append(findings, f.Code+" "+f.Path)
	}
	for _, u := range res.Unmapped {
		unmapped = append(unmapped, strings.TrimSpace(u.Table+" "+u.Code))
	}
	if res.Coverage != nil {
		for _, u := range res.Coverage.Unread {
			unread = append(unread, u.Place)
		}
	}
	if *show {
		fmt.Printf("-- findings --\n%s\n-- unmapped --\n%s\n-- unread --\n%s\n-- end --\n%s\n", sorted(findings), sorted(unmapped), sorted(unread), end)
	}
	same(t, "findings", g.section("findings"), sorted(findings))
	same(t, "unmapped", g.section("unmapped"), sorted(unmapped))
	same(t, "unread", g.section("unread"), sorted(unread))
}

func sorted(list []string) string {
	sort.Strings(list)
	return strings.Join(list, "\n")
}

func same(t *testing.T, what, want, got string) {
	t.Helper()
	if d := cmp.Diff(sorted(strings.Split(strings.TrimSpace(want), "\n")), sorted(strings.Split(strings.TrimSpace(got), "\n"))); d != "" {
		t.Errorf("%s, -want +got:\n%s", what, d)
	}
}
