package engine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	gopath "path"
	"sort"
	"strings"
	"time"

	_ "embed"

	"github.com/santhosh-tekuri/jsonschema/v5"

	"meridian/mappings/source"
)

// MaxMapBytes bounds one mapping file.
const MaxMapBytes = 1 << 20

//go:embed schema.json
var schemaText string

// Schema is the JSON Schema of a mapping file, for editors; Load applies the same.
func Schema() string { return schemaText }

// defaultZone is where times without an offset are read when the source says nothing.
var defaultZone = mustZone("Asia/Shanghai")

func mustZone(name string) *time.Location {
	z, err := time.LoadLocation(name)
	if err != nil {
		return time.FixedZone("CST", 8*3600) // a system without a tz database, as in some containers
	}
	return z
}

// Library is a checked set of maps and tables.
type Library struct {
	maps   []*Map
	tables map[string]*Table
}

// Load reads every map (*.yaml) and table (tables/*.csv) of a file system,
// checks all of them, and gives either the library or every problem found.
func Load(fsys fs.FS) (*Library, error) {
	l := &Library{tables: map[string]*Table{}}
	var ps Problems
	var maps []string
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || d.IsDir():
			return err
		case gopath.Ext(name) == ".csv":
			ps = append(ps, l.addTable(fsys, name)...)
		case gopath.Ext(name) == ".yaml":
			maps = append(maps, name)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read maps: %w", err)
	}
	sort.Strings(maps)
	for _, name := range maps {
		data, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, fmt.Errorf("read map %s: %w", name, err)
		}
		m, problems := Compile(name, data, l.tables)
		ps = append(ps, problems...)
		if m != nil {
			l.maps = append(l.maps, m)
		}
	}
	if len(ps) > 0 {
		return nil, ps
	}
	return l, nil
}

func (l *Library) addTable(fsys fs.FS, name string) Problems {
	f, err := fsys.Open(name)
	if err != nil {
		return Problems{{Code: "M030", File: name, Line: 1, Column: 1, Message: err.Error()}}
	}
	defer f.Close()
	key := strings.TrimSuffix(gopath.Base(name), ".csv")
	t, ps := ReadTable(key, name, f)
	if l.tables[key] != nil {
		ps = append(ps, Problem{Code: "M030", File: name, Line: 1, Column: 1, Message: fmt.Sprintf("two tables are named %q", key)})
	}
	l.tables[key] = t
	return ps
}

// Find gives the map for an input, nil when there is none.
func (l *Library) Find(in Input) *Map {
	for _, m := range l.maps {
		if m.Input == in {
			return m
		}
	}
	return nil
}

// Maps lists all maps, by file name.
func (l *Library) Maps() []*Map { return l.maps }

// Table gives a table by name, nil when there is none.
func (l *Library) Table(name string) *Table { return l.tables[name] }

// Compile checks and compiles one mapping file; the map is nil when there are problems.
func Compile(file string, data []byte, tables map[string]*Table) (*Map, Problems) {
	if len(data) > MaxMapBytes {
		return nil, Problems{{Code: "M001", File: file, Line: 1, Column: 1, Message: fmt.Sprintf("larger than %d bytes", MaxMapBytes)}}
	}
	doc, ps := parseYAML(file, data)
	if len(ps) > 0 {
		return nil, ps
	}
	if ps := checkShape(file, doc); len(ps) > 0 {
		return nil, ps
	}
	in := Input{Kind: doc.get("input").str("kind"), Type: doc.get("input").str("type")}
	c := &compiler{file: file, tables: tables, input: in}
	grammar, names, ok := grammarOf(in)
	if !ok {
		c.problem(doc.get("input"), "M020", "", "there is no grammar for input %s", in)
		return nil, c.problems
	}
	c.grammar, c.names = grammar, names
	m := c.compileMap(doc)
	if len(c.problems) > 0 {
		return nil, c.problems
	}
	return m, nil
}

// grammarOf finds what a declared input can have.
func grammarOf(in Input) (Grammar, *source.Names, bool) {
	if in.Kind == "hl7v2" {
		if g, ok := source.V2Grammar(in.Type); ok {
			return g, source.V2Names(), true
		}
	}
	return nil, nil, false
}

// checkShape applies the JSON Schema (M001) and gives each failure its line.
func checkShape(file string, doc *ynode) Problems {
	c := jsonschema.NewCompiler()
	if err := c.AddResource("map.json", strings.NewReader(schemaText)); err != nil {
		return Problems{{Code: "M001", File: file, Line: 1, Column: 1, Message: "the schema itself: " + err.Error()}}
	}
	s, err := c.Compile("map.json")
	if err != nil {
		return Problems{{Code: "M001", File: file, Line: 1, Column: 1, Message: "the schema itself: " + err.Error()}}
	}
	// The validator wants plain JSON values.
	text, err := json.Marshal(doc.any())
	if err != nil {
		return Problems{{Code: "M001", File: file, Line: 1, Column: 1, Message: err.Error()}}
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return Problems{{Code: "M001", File: file, Line: 1, Column: 1, Message: err.Error()}}
	}
	err = s.Validate(v)
	if err == nil {
		return nil
	}
	ve, ok := err.(*jsonschema.ValidationError)
	if !ok {
		return Problems{{Code: "M001", File: file, Line: 1, Column: 1, Message: err.Error()}}
	}
	var ps Problems
	leafErrors(ve, func(e *jsonschema.ValidationError) {
		at := doc.at(e.InstanceLocation)
		ps = append(ps, Problem{Code: "M001", File: file, Line: at.line, Column: at.col, Message: e.InstanceLocation + ": " + e.Message})
	})
	return ps
}

func leafErrors(e *jsonschema.ValidationError, f func(*jsonschema.ValidationError)) {
	if len(e.Causes) == 0 {
		f(e)
	}
	for _, c := range e.Causes {
		leafErrors(c, f)
	}
}

// at finds the node that a JSON pointer names, or the nearest above it.
func (y *ynode) at(pointer string) *ynode {
	n := y
	for _, part := range strings.Split(strings.TrimPrefix(pointer, "/"), "/") {
		part = strings.ReplaceAll(strings.ReplaceAll(part, "~1", "/"), "~0", "~")
		next := n.get(part)
		if next == nil && n.kind == yamlList {
			i := 0
			if _, err := fmt.Sscanf(part, "%d", &i); err == nil && i >= 0 && i < len(n.vals) {
				next = n.vals[i]
			}
		}
		if next == nil {
			return n
		}
		n = next
	}
	return n
}
