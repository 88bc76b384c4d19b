package engine

import (
	"encoding/csv"
	"fmt"
	"io"
	"strings"

	"golang.org/x/text/unicode/norm"
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
	lines   []int // of the rows in the file
	exact   map[string]int
	folded  map[string]int
	column  map[string]int
	units   bool // some keys are code@unit
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
		head[i] = strings.TrimSpace(h)
		t.column[head[i]] = i
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
		t.units = t.units || strings.Contains(row[key], "@")
		if f := FoldKey(row[key]); f != "" {
			if _, taken := t.folded[f]; !taken {
				t.folded[f] = len(t.rows)
			}
		}
		t.rows, t.lines = append(t.rows, row), append(t.lines, line)
		if len(t.rows) > MaxTableRows {
			return nil, append(ps, Problem{Code: "M030", File: file, Line: line, Column: 1, Message: fmt.Sprintf("more than %d rows", MaxTableRows)})
		}
	}
	return t, ps
}

// FoldKey is how two spellings of a key are the same: NFKC, without blanks, lower case.
func FoldKey(s string) string {
	var buf [64]byte
	return string(appendFolded(buf[:0], s))
}

// appendFolded appends FoldKey(s) to b.
func appendFolded(b []byte, s string) []byte {
	if !isASCII(s) {
		if !norm.NFKC.IsNormalString(s) {
			s = norm.NFKC.String(s)
		}
		s = strings.ToLower(s)
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == ' ' || c >= '\t' && c <= '\r':
		case c == 0xc2 && i+1 < len(s) && (s[i+1] == 0xa0 || s[i+1] == 0x85): // no-break space, next line
			i++
		case c >= 'A' && c <= 'Z':
			b = append(b, c+'a'-'A')
		default:
			b = append(b, c)
		}
	}
	return b
}

// Find gives the row of a key, or false.
func (t *Table) Find(key string) (Row, bool) {
	if i, ok := t.exact[key]; ok {
		return Row{t, i}, true
	}
	var buf [96]byte
	if i, ok := t.folded[string(appendFolded(buf[:0], key))]; ok {
		return Row{t, i}, true
	}
	return Row{}, false
}

// findBytes is Find for a key in a buffer.
func (t *Table) findBytes(key []byte) (Row, bool) {
	if i, ok := t.exact[string(key)]; ok {
		return Row{t, i}, true
	}
	var buf [96]byte
	folded := buf[:0]
	for _, c := range key {
		switch {
		case c >= 0x80:
			return t.Find(string(key))
		case c >= 'A' && c <= 'Z':
			folded = append(folded, c+'a'-'A')
		case c > ' ':
			folded = append(folded, c)
		}
	}
	if i, ok := t.folded[string(folded)]; ok {
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
	if r.t == nil {
		return ""
	}
	for i, name := range r.t.Columns { // a handful: faster than a map
		if name == column {
			return r.t.rows[r.i][i]
		}
	}
	return ""
}

// over gives a table with the rows of t before those of below. Columns are those of below.
func (t *Table) over(below *Table) *Table {
	out := &Table{Name: below.Name, Columns: below.Columns, exact: map[string]int{}, folded: map[string]int{}, column: below.column, units: t.units || below.units}
	add := func(from *Table, i int) {
		r := Row{from, i}
		key := r.Get("from")
		if _, taken := out.exact[key]; taken {
			return
		}
		row := make([]string, len(out.Columns))
		for k, name := range out.Columns {
			row[k] = r.Get(name)
		}
		out.exact[key] = len(out.rows)
		if f := FoldKey(key); f != "" {
			if _, taken := out.folded[f]; !taken {
				out.folded[f] = len(out.rows)
			}
		}
		out.rows = append(out.rows, row)
	}
	for i := range t.rows {
		add(t, i)
	}
	for i := range below.rows {
		// A spelling that the site's row folds to is the site's.
		if _, taken := t.folded[FoldKey(Row{below, i}.Get("from"))]; !taken {
			add(below, i)
		}
	}
	return out
}

// Unreviewed counts rows without a signature in the column reviewedBy; 0 when the table has no such column.
func (t *Table) Unreviewed() int {
	if _, ok := t.column["reviewedBy"]; !ok {
		return 0
	}
	n := 0
	for i := range t.rows {
		if (Row{t, i}).Get("reviewedBy") == "" {
			n++
		}
	}
	return n
}
