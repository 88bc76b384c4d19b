package engine

import (
	"fmt"
	"io/fs"
	gopath "path"
	"sort"
	"strings"
	"time"

	_ "embed"

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
	maps     []*Map
	tables   map[string]*Table
	bindings *bindings // while loading
}

// Load reads every map and layer (*.yaml) and table (tables/*.csv) of file
// systems, checks all of them, and gives either the library or every problem
// found. A site's own files come after the shipped ones; a table of the same
// name goes over the shipped one, row by row.
func Load(list ...fs.FS) (*Library, error) {
	l := &Library{tables: map[string]*Table{}, bindings: newBindings()}
	defer func() { l.bindings = nil }()
	var ps Problems
	var docs []*ynode
	for _, fsys := range list {
		names, problems, err := l.readTables(fsys)
		if err != nil {
			return nil, fmt.Errorf("read maps: %w", err)
		}
		ps = append(ps, problems...)
		for _, name := range names {
			data, err := fs.ReadFile(fsys, name)
			if err != nil {
				return nil, fmt.Errorf("read map %s: %w", name, err)
			}
			doc, problems := readMap(name, data)
			ps = append(ps, problems...)
			if doc != nil {
				docs = append(docs, doc)
			}
		}
	}
	ps = append(ps, l.compileAll(docs)...)
	if len(ps) > 0 {
		return nil, ps
	}
	return l, nil
}

// readTables reads the tables of a file system and gives the names of its maps.
func (l *Library) readTables(fsys fs.FS) (maps []string, ps Problems, err error) {
	err = fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
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
	sort.Strings(maps)
	return maps, ps, err
}

// compileAll compiles the maps, then the layers over them.
func (l *Library) compileAll(docs []*ynode) Problems {
	var ps Problems
	base := map[string]*ynode{}
	for _, doc := range docs {
		if doc.get("extends") != nil {
			continue
		}
		name := doc.get("map")
		if base[name.text] != nil {
			ps = append(ps, Problem{Code: "M050", File: name.file, Line: name.line, Column: name.col, Message: fmt.Sprintf("two maps are named %q", name.text)})
			continue
		}
		base[name.text] = doc
		m, problems := compileDoc(doc, l.tables, l.bindings)
		ps = append(ps, problems...)
		if m != nil {
			m.layers = map[string]*Map{}
			l.maps = append(l.maps, m)
		}
	}
	for _, doc := range docs {
		if doc.get("extends") != nil {
			ps = append(ps, l.compileLayer(doc, base)...)
		}
	}
	return ps
}

func (l *Library) addTable(fsys fs.FS, name string) Problems {
	f, err := fsys.Open(name)
	if err != nil {
		return Problems{{Code: "M030", File: name, Line: 1, Column: 1, Message: err.Error()}}
	}
	defer f.Close()
	key := strings.TrimSuffix(gopath.Base(name), ".csv")
	t, ps := ReadTable(key, name, f)
	if t == nil {
		return ps
	}
	ps = append(ps, checkCodes(t, name)...)
	if below := l.tables[key]; below != nil {
		t = t.over(below)
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

// Compile checks and compiles one mapping file; the map is nil when there are problems. A layer is compiled by Load.
func Compile(file string, data []byte, tables map[string]*Table) (*Map, Problems) {
	doc, ps := readMap(file, data)
	if doc == nil {
		return nil, ps
	}
	if e := doc.get("extends"); e != nil {
		return nil, Problems{{Code: "M050", File: file, Line: e.line, Column: e.col, Message: "a layer needs the map that it extends beside it"}}
	}
	return compileDoc(doc, tables, newBindings())
}

// readMap parses a file and applies the JSON Schema; the document is nil when there are problems.
func readMap(file string, data []byte) (*ynode, Problems) {
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
	return doc, nil
}

func newBindings() *bindings { return &bindings{codes: map[string]map[string]bool{}} }

func compileDoc(doc *ynode, tables map[string]*Table, b *bindings) (*Map, Problems) {
	in := Input{Kind: doc.get("input").str("kind"), Type: doc.get("input").str("type")}
	c := &compiler{tables: tables, bindings: b, input: in}
	grammar, names, ok := grammarOf(in)
	if !ok {
		c.problem(doc.get("input").get("type"), "M020", "", "there is no grammar for input %s", in)
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
