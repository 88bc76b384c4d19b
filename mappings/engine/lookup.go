package engine

import (
	"sort"
	"strings"

	"meridian/fhir/schema"
	"meridian/mappings/source"
)

// lookup is a compiled {lookup, from, column, empty, default, onMissing}.
type lookup struct {
	table   *Table
	from    *value
	column  string
	empty   string // the code that stands for an empty source
	setting bool   // the source's default status is used before that
	other   string // default
	missing string // onMissing: park, omit, keep, default
}

// defaultStatus in `empty:` is the setting of the source.
const defaultStatus = "$defaultStatus"

// compileLookup compiles a lookup: the table's answer for the source's code.
// `empty` is asked instead of an empty code, `default` stands where there is
// still no code, and `onMissing` says what happens with a code that the table
// does not know.
func (c *compiler) compileLookup(e *schema.Element, t *schema.Type, y *ynode) leaf {
	l := &lookup{table: c.tables[y.str("lookup")], column: y.str("column"), other: y.str("default"), missing: y.str("onMissing"), empty: y.str("empty")}
	if l.table == nil {
		c.problem(y.get("lookup"), "M030", nearest(y.str("lookup"), tableNames(c.tables)), "there is no table %q", y.str("lookup"))
		return failed
	}
	if t == nil || t.Kind != schema.Primitive {
		c.problem(y, "M012", "", "%s is not a primitive: a lookup gives a text", e.Path)
		return failed
	}
	l.from = c.compileValue(y)
	c.repeatsProblem(y, l.from)
	if l.column == "" {
		l.column = "to"
	}
	if _, ok := l.table.column[l.column]; !ok {
		at := y.get("column")
		if at == nil {
			at = y.get("lookup")
		}
		c.problem(at, "M030", nearest(l.column, l.table.Columns), "table %q has no column %q", l.table.Name, l.column)
		return failed
	}
	if l.setting = l.empty == defaultStatus; l.setting {
		l.empty = ""
	}
	c.checkTable(e, t, y, l.table, l.column)
	switch {
	case l.missing == "" && l.other == "":
		c.problem(y, "M030", "", "say what happens when the table does not know the code: onMissing: park, omit or keep, or default")
	case l.missing == "":
		l.missing = "default"
	case l.missing == "default" && l.other == "":
		c.problem(y, "M030", "", "onMissing: default, but there is no default")
	case !containsText([]string{"park", "omit", "keep", "default"}, l.missing):
		c.problem(y.get("onMissing"), "M001", nearest(l.missing, []string{"park", "omit", "keep", "default"}), "onMissing is park, omit, keep or default")
	}
	if l.missing == "keep" && t.Name == "code" {
		c.problem(y.get("onMissing"), "M014", "", "%s is a code: what the sender wrote cannot stand there unchecked", e.Path)
	}
	if d := y.get("default"); d != nil {
		c.literal(e, t, d)
	}
	sure := l.missing == "park" && (l.other != "" || l.empty == "") || l.missing == "default"
	return leaf{emit: l.emit, sure: sure && l.gives()}
}

// gives says that every row has an answer.
func (l *lookup) gives() bool {
	for i := range l.table.rows {
		if (Row{l.table, i}).Get(l.column) == "" && l.other == "" && l.missing != "park" {
			return false
		}
	}
	return true
}

// markCoding marks the display and the system beside a code that a table knows.
func markCoding(n source.Node) {
	if n.Sym() == source.Component(1) {
		n.Parent().C(2).Mark()
		n.Parent().C(3).Mark()
	}
}

func (l *lookup) emit(rt *run, b []byte) ([]byte, bool) {
	s, n := l.from.get(rt)
	if s = strings.TrimSpace(s); s == "" {
		s = l.empty
		if l.setting {
			s = rt.src.DefaultStatus
		}
	}
	if s == "" {
		if l.other != "" {
			return appendString(b, l.other), true
		}
		if l.missing == "park" {
			rt.parkNow("lookup."+l.table.Name, placeOf(rt, n.Origin(), l.from), "the code is empty and table "+l.table.Name+" has no default", "代码为空")
		}
		return b, false
	}
	row, ok := l.table.Find(s)
	if ok {
		markCoding(n)
		if note := row.Get("finding"); note != "" {
			rt.find("lookup."+l.table.Name, n, note)
		}
		if to := row.Get(l.column); to != "" {
			return appendString(b, to), true
		}
		if l.missing == "park" { // the table knows the code and says that nothing may come of it
			rt.parkNow("lookup."+l.table.Name, n.Origin(), "table "+l.table.Name+" has no "+l.column+" for this code", "代码不可接受："+l.table.Name)
		}
		return b, false
	}
	rt.missing(Unmapped{Table: l.table.Name, Code: s, Path: n.Origin()})
	switch l.missing {
	case "default":
		rt.find("lookup."+l.table.Name, n, "the code is not in table "+l.table.Name+"; the default stands")
		return appendString(b, l.other), true
	case "keep":
		return appendString(b, s), true
	case "park":
		rt.parkNow("lookup."+l.table.Name, n.Origin(), "the code is not in table "+l.table.Name, "代码未在对照表中："+l.table.Name)
	default:
		rt.find("lookup."+l.table.Name, n, "the code is not in table "+l.table.Name)
	}
	return b, false
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

func placeOf(rt *run, origin string, v *value) string {
	if origin == "" && len(v.paths) > 0 {
		return v.paths[0].placeText(rt)
	}
	return origin
}
