package engine

import (
	"encoding/csv"
	"fmt"
	"io"
	"sort"
	"strings"

	"golang.org/x/text/unicode/norm"

	"meridian/fhir/schema"
)

// Table is a lookup table: data that a laboratory person edits, as CSV with a
// header line. The column `from` is the key; every other column can be asked
// for by name. `to` is what `lookup:` gives. `reviewedBy` is empty until a
// terminologist has signed the row.
//
//	from,to,display,reviewedBy
//	F,final,,
//	C,corrected,,
//
// Keys are matched exactly first, then after NFKC folding, case and blanks aside.
type Table struct {
	Name    string
	Columns []string
	rows    [][]string
	exact   map[string]int
	folded  map[string]int
	column  map[string]int
}

// MaxTableRows bounds one table.
const MaxTableRows = 500_000

// ReadTable reads a table from CSV; rows with the same key are Problems (M030).
func ReadTable(name, file string, r io.Reader) (*Table, Problems) {
	cr := csv.NewReader(r)
	cr.Comment = '#'
	cr.FieldsPerRecord = -1
	t := &Table{Name: name, exact: map[string]int{}, folded: map[string]int{}, column: map[string]int{}}
	head, err := cr.Read()
	if err != nil {
		return nil, Problems{{Code: "M030", File: file, Line: 1, Column: 1, Message: "no header line"}}
	}
	head[0] = strings.TrimPrefix(head[0], "\ufeff")
	for i, h := range head {
		t.column[strings.TrimSpace(h)] = i
	}
	t.Columns = head
	key, ok := t.column["from"]
	if !ok {
		return nil, Problems{{Code: "M030", File: file, Line: 1, Column: 1, Message: "the header has no column `from`"}}
	}
	var ps Problems
	for {
		row, err := cr.Read()
		if err == io.EOF {
			break
		}
		line, col := cr.FieldPos(0)
		if err != nil || len(row) != len(head) {
			ps = append(ps, Problem{Code: "M030", File: file, Line: line, Column: col, Message: fmt.Sprintf("a row of %d columns is expected", len(head))})
			if err != nil {
				break
			}
			continue
		}
		if _, twice := t.exact[row[key]]; twice {
			ps = append(ps, Problem{Code: "M030", File: file, Line: line, Column: col, Message: fmt.Sprintf("key %q stands twice", row[key])})
		}
		t.exact[row[key]] = len(t.rows)
		if f := FoldKey(row[key]); f != "" {
			if _, taken := t.folded[f]; !taken {
				t.folded[f] = len(t.rows)
			}
		}
		t.rows = append(t.rows, row)
		if len(t.rows) > MaxTableRows {
			return nil, append(ps, Problem{Code: "M030", File: file, Line: line, Column: 1, Message: fmt.Sprintf("more than %d rows", MaxTableRows)})
		}
	}
	return t, ps
}

// FoldKey is how two spellings of a key are the same: NFKC, without blanks, lower case.
func FoldKey(s string) string {
	s = strings.ToLower(norm.NFKC.String(s))
	if !strings.ContainsAny(s, " \t\u00a0") {
		return s
	}
	return strings.Join(strings.Fields(s), "")
}

// Find gives the row of a key, or false.
func (t *Table) Find(key string) (Row, bool) {
	if i, ok := t.exact[key]; ok {
		return Row{t, i}, true
	}
	if i, ok := t.folded[FoldKey(key)]; ok {
		return Row{t, i}, true
	}
	return Row{}, false
}

// Len is the number of rows.
func (t *Table) Len() int { return len(t.rows) }

// Row is one row of a table.
type Row struct {
	t *Table
	i int
}

// Get gives a column's text, "" when the table has no such column.
func (r Row) Get(column string) string {
	i, ok := r.t.column[column]
	if !ok {
		return ""
	}
	return r.t.rows[r.i][i]
}

// compileLookup compiles {lookup, from, onMissing, default}.
func (c *compiler) compileLookup(e *schema.Element, t *schema.Type, y *ynode) emit {
	table := c.tables[y.str("lookup")]
	if table == nil {
		c.problem(y.get("lookup"), "M030", nearest(y.str("lookup"), tableNames(c.tables)), "there is no table %q", y.str("lookup"))
		return nothing
	}
	if t == nil || t.Kind != schema.Primitive {
		c.problem(y, "M012", "", "%s is not a primitive: a lookup gives a text", e.Path)
		return nothing
	}
	from := c.compileValue(y)
	c.repeatsProblem(y, from)
	column := y.str("column")
	if column == "" {
		column = "to"
	}
	if _, ok := table.column[column]; !ok {
		c.problem(y, "M030", nearest(column, table.Columns), "table %q has no column %q", table.Name, column)
		return nothing
	}
	c.checkTable(e, t, y, table, column)
	missing, other := y.str("onMissing"), y.str("default")
	if missing == "" && other == "" {
		c.problem(y, "M030", "", "say what happens when the table does not know the code: onMissing: park, omit or keep, or default")
	}
	return func(rt *run, b []byte) ([]byte, bool) {
		s, n := from.get(rt)
		if s == "" {
			if other != "" {
				return appendString(b, other), true
			}
			if missing == "park" {
				rt.parkNow("lookup."+table.Name, placeOf(n.Origin(), from), "the code is empty and table "+table.Name+" has no default", "代码为空")
			}
			return b, false
		}
		if row, ok := table.Find(s); ok {
			if to := row.Get(column); to != "" {
				return appendString(b, to), true
			}
			return b, false
		}
		rt.unmapped = append(rt.unmapped, Unmapped{Table: table.Name, Code: s, Path: n.Origin()})
		switch {
		case other != "":
			rt.find("lookup."+table.Name, n, "the code is not in table "+table.Name+"; the default stands")
			return appendString(b, other), true
		case missing == "keep":
			return appendString(b, s), true
		case missing == "park":
			rt.parkNow("lookup."+table.Name, n.Origin(), "the code is not in table "+table.Name, "代码未在对照表中："+table.Name)
		default:
			rt.find("lookup."+table.Name, n, "the code is not in table "+table.Name)
		}
		return b, false
	}
}

// checkTable checks that what the table gives fits a required binding (M014).
func (c *compiler) checkTable(e *schema.Element, t *schema.Type, y *ynode, table *Table, column string) {
	if t.Name != "code" || e.Strength != 'r' {
		return
	}
	allowed := c.bindingCodes(e)
	if allowed == nil {
		return
	}
	var bad []string
	for i := range table.rows {
		if v := (Row{table, i}).Get(column); v != "" && !allowed[v] {
			bad = append(bad, v)
		}
	}
	sort.Strings(bad)
	if len(bad) > 0 {
		c.problem(y, "M014", "", "table %q gives %s, which %s does not allow", table.Name, strings.Join(bad, ", "), e.Path)
	}
}

func placeOf(origin string, v *value) string {
	if origin == "" && len(v.paths) > 0 {
		return v.paths[0].text
	}
	return origin
}
