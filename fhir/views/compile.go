package views

import (
	"strconv"
	"strings"

	"meridian/fhir/element"
	"meridian/fhir/fhirpath"
	"meridian/fhir/issue"
	"meridian/fhir/schema"
)

// maxIssues is how many issues are listed.
const maxIssues = 50

// compiler collects a view and what is wrong with it.
type compiler struct {
	view    *View
	vars    map[string]fhirpath.Static
	failed  issue.Error
	selects int
}

func (c *compiler) fail(code issue.Code, id, text string, at element.Node) {
	if len(c.failed.Issues) < maxIssues {
		c.failed.Issues = append(c.failed.Issues, issue.Issue{Severity: issue.SevError, Code: code, ID: "view." + id, Text: text, Expression: at.Location(), Offset: issue.NoOffset})
	}
}

// definition reads the parts of a ViewDefinition that say what it gives.
func (c *compiler) definition(root element.Node) {
	c.modifiers(root)
	c.view.Name, c.view.URL = root.Child("name").Text(), root.Child("url").Text()
	if name := root.Child("name"); name.HasValue() {
		c.name(name)
	}
	c.versions(root)
	context := c.resource(root)
	for _, n := range all(root, "constant") {
		c.constant(n)
	}
	c.vars[rowIndex] = fhirpath.Static{System: []fhirpath.Kind{fhirpath.Integer}}
	for _, n := range all(root, "where") {
		if e, s := c.path(n, "path", context); e != nil {
			if kinds, complete := s.Kinds(); complete && len(kinds) > 0 && (len(kinds) > 1 || kinds[0] != fhirpath.Boolean) || !complete && !s.Open && len(kinds) == 0 {
				c.fail(issue.Value, "where", "a condition is a boolean, not "+s.String(), n.Child("path"))
			}
			c.view.where = append(c.view.where, condition{e, n.Child("path").Location()})
		}
	}
	c.view.root = &selection{}
	selects := all(root, "select")
	if len(selects) == 0 {
		c.fail(issue.Required, "required", "a view has a select", root)
	}
	for _, n := range selects {
		s := c.selection(n, context)
		c.view.root.parts = append(c.view.root.parts, part{s.lo, s.hi, []*selection{s}})
	}
	c.view.root.hi = len(c.view.Columns)
	c.unique(root)
}

// modifiers refuses what changes the meaning in a way that is not known.
func (c *compiler) modifiers(n element.Node) {
	for k := n.First(); k.Valid(); k = k.Next() {
		if k.Name() == "modifierExtension" {
			c.fail(issue.Extension, "modifier", "a modifier extension is not understood", k)
			continue
		}
		if k.Name() != "contained" && k.Name() != "text" {
			c.modifiers(k)
		}
	}
}

// versions refuses a view that was written for other versions of FHIR only.
func (c *compiler) versions(root element.Node) {
	versions := all(root, "fhirVersion")
	for _, v := range versions {
		if strings.HasPrefix(v.Text(), "4.0") {
			return
		}
	}
	if len(versions) > 0 {
		c.fail(issue.NotSupported, "version", "the view is written for other versions of FHIR than R4", versions[0])
	}
}

func (c *compiler) resource(root element.Node) fhirpath.Static {
	n := root.Child("resource")
	t := schema.ByName(n.Text())
	switch {
	case !n.HasValue():
		c.fail(issue.Required, "required", "a view names the resource type that it is about", root)
	case t == nil || t.Kind != schema.Resource || t.Abstract:
		c.fail(issue.CodeInvalid, "resource", "this is no resource type of FHIR R4", n)
	default:
		c.view.Resource = t.Name
		return fhirpath.Static{FHIR: []schema.ID{t.ID}}
	}
	return fhirpath.Static{Open: true}
}

// name checks a name by the invariant sql-name.
func (c *compiler) name(n element.Node) bool {
	text := n.Text()
	ok := text != ""
	for i := range len(text) {
		b := text[i] | 0x20
		ok = ok && (b >= 'a' && b <= 'z' || i > 0 && (text[i] >= '0' && text[i] <= '9' || text[i] == '_'))
	}
	if !ok {
		c.fail(issue.Value, "name", "a name is of letters, digits and underscores and begins with a letter", n)
	}
	return ok
}

func (c *compiler) constant(n element.Node) {
	name, v := n.Child("name"), n.Child("value")
	if !v.HasValue() || !name.HasValue() {
		c.fail(issue.Required, "required", "a constant has a name and a value", n)
		return
	}
	if !c.name(name) {
		return
	}
	switch _, known := c.vars[name.Text()]; {
	case known:
		c.fail(issue.Duplicate, "constant", "there is another constant of this name", name)
	case fhirpath.StandardVariable(name.Text()) || name.Text() == rowIndex:
		c.fail(issue.Value, "constant", "%"+name.Text()+" has a meaning already", name)
	case len(c.vars) >= MaxConstants:
		c.fail(issue.TooCostly, "constants", "a view has at most "+strconv.Itoa(MaxConstants)+" constants", n)
	}
	item, ok := fhirpath.NodeItem(v).System()
	if !ok {
		c.fail(issue.Value, "constant", "the value is none that expressions can use", v)
		return
	}
	c.view.constants[name.Text()] = fhirpath.Collection{item}
	c.vars[name.Text()] = fhirpath.Static{System: []fhirpath.Kind{item.Kind()}}
}

// path compiles the expression in an element of n, and checks it on a context.
func (c *compiler) path(n element.Node, name string, context fhirpath.Static) (*fhirpath.Expr, fhirpath.Static) {
	at := n.Child(name)
	if !at.HasValue() {
		c.fail(issue.Required, "required", name+" is missing", n)
		return nil, fhirpath.Static{Open: true}
	}
	e := c.compile(at)
	if e == nil {
		return nil, fhirpath.Static{Open: true}
	}
	return e, c.check(e, at, context)
}

func (c *compiler) compile(at element.Node) *fhirpath.Expr {
	e, err := fhirpath.Compile(at.Text())
	if err != nil {
		c.fail(issue.Invalid, "path", err.Error(), at)
		return nil
	}
	return e
}

func (c *compiler) check(e *fhirpath.Expr, at element.Node, context fhirpath.Static) fhirpath.Static {
	s, errs := e.Check(fhirpath.CheckParams{Context: context, Vars: c.vars})
	for _, err := range errs {
		c.fail(issue.Invalid, "path", err.Error(), at)
	}
	return s
}

// selection reads a select and what is nested in it; its columns are appended to the view's.
func (c *compiler) selection(n element.Node, context fhirpath.Static) *selection {
	s := &selection{lo: len(c.view.Columns), place: n.Location()}
	if c.selects++; c.selects > MaxSelects {
		c.fail(issue.TooCostly, "selects", "a view has at most "+strconv.Itoa(MaxSelects)+" selects", n)
		return s
	}
	columns, selects, union := all(n, "column"), all(n, "select"), all(n, "unionAll")
	if len(columns)+len(selects)+len(union) == 0 {
		c.fail(issue.Required, "select", "a select has columns, selects or a union", n)
	}
	context = c.iteration(s, n, context)
	for _, col := range columns {
		c.column(s, col, context)
	}
	for _, k := range selects {
		nested := c.selection(k, context)
		s.parts = append(s.parts, part{nested.lo, nested.hi, []*selection{nested}})
	}
	if len(union) > 0 {
		s.parts = append(s.parts, c.union(union, context))
	}
	s.hi = len(c.view.Columns)
	return s
}

// iteration reads forEach, forEachOrNull and repeat, and gives the context of what stands below.
func (c *compiler) iteration(s *selection, n element.Node, context fhirpath.Static) fhirpath.Static {
	each, orNull, repeat := n.Child("forEach"), n.Child("forEachOrNull"), all(n, "repeat")
	given := len(repeat)
	if given > 0 {
		given = 1
	}
	for _, k := range []element.Node{each, orNull} {
		if k.Valid() {
			given++
		}
	}
	if given > 1 {
		c.fail(issue.Invariant, "iteration", "a select has one of forEach, forEachOrNull and repeat", n)
	}
	switch {
	case each.Valid():
		s.each, context = c.path(n, "forEach", context)
	case orNull.Valid():
		s.orNull = true
		s.each, context = c.path(n, "forEachOrNull", context)
	case len(repeat) > 0:
		context = c.repeat(s, repeat, context)
	}
	context.Many = false
	return context
}

// repeat checks the expressions on all that they find, level by level.
func (c *compiler) repeat(s *selection, list []element.Node, context fhirpath.Static) fhirpath.Static {
	for _, at := range list {
		if e := c.compile(at); e != nil {
			s.repeat = append(s.repeat, e)
		}
	}
	if len(s.repeat) != len(list) {
		return fhirpath.Static{Open: true}
	}
	levels, found := context, fhirpath.Static{}
	for range fhirpath.RepeatDepth {
		for _, e := range s.repeat {
			got, errs := e.Check(fhirpath.CheckParams{Context: levels, Vars: c.vars})
			if len(errs) == 0 {
				found = found.Or(got)
			}
		}
		levels = context.Or(found)
		levels.Many = false
	}
	for i, e := range s.repeat {
		found = found.Or(c.check(e, list[i], levels))
	}
	return found
}

// union reads the selects of a unionAll, whose columns are the same.
func (c *compiler) union(list []element.Node, context fhirpath.Static) part {
	lo := len(c.view.Columns)
	p := part{lo: lo}
	var first []Column
	for i, n := range list {
		s := c.selection(n, context)
		columns := c.view.Columns[lo:]
		if p.of = append(p.of, s); i == 0 {
			first = append(first, columns...)
			c.view.Columns = c.view.Columns[:lo]
			continue
		}
		c.same(first, columns, n)
		c.view.Columns = c.view.Columns[:lo]
	}
	c.view.Columns = append(c.view.Columns, first...)
	p.hi = len(c.view.Columns)
	return p
}

// unique checks that no two columns have a name.
func (c *compiler) unique(root element.Node) {
	seen := map[string]string{}
	for i := range c.view.Columns {
		col := &c.view.Columns[i]
		if other, ok := seen[col.Name]; ok && len(c.failed.Issues) < maxIssues {
			c.fail(issue.Duplicate, "column", "column "+col.Name+" is there already, at "+other, root)
			c.failed.Issues[len(c.failed.Issues)-1].Expression = col.place
		}
		seen[col.Name] = col.place
	}
	if len(seen) > MaxColumns {
		c.fail(issue.TooCostly, "columns", "a view has at most "+strconv.Itoa(MaxColumns)+" columns", root)
	}
}

// all gives the children of n with a name.
func all(n element.Node, name string) (out []element.Node) {
	for k := n.First(); k.Valid(); k = k.Next() {
		if k.Name() == name {
			out = append(out, k)
		}
	}
	return out
}
