// Package views is SQL on FHIR: a ViewDefinition compiled once, and run over
// resources one by one, each giving rows of a table.
//
//	view, err := views.Compile(root)                      // of a ViewDefinition's tree
//	run := view.NewRunner(fhirpath.Env{Now: now})
//	err = run.Rows(ctx, patient, func(r views.Row) error { return out.Write(r) })
//
// A select becomes a selection: its columns and those of what is nested in it
// are a range of the table's columns, so that what its parts give can be joined
// by laying ranges side by side.
//
//	{"select":[{"column":[id]},{"forEach":"name","column":[family],"unionAll":[…use…]}]}
//
//	columns    0 id   1 family  2 use
//	selection  [0,1)  [1,3)
//
// Compile checks a view as far as it can be without data: every path against the
// definitions (fhirpath.Check), names, unions, types; it collects all issues, each
// with the place in the ViewDefinition. What only data can tell (several values in
// a column that is no collection, a value of another type, a condition that is no
// Boolean) is an error of Rows.
//
// Values are given out as they were sent: 5.40 stays 5.40 in JSON and CSV.
//
// A View is immutable and safe for concurrent use; a Runner and a Writer serve
// one goroutine. A Row is valid until the function that it is given to returns.
//
// https://build.fhir.org/ig/FHIR/sql-on-fhir-v2/StructureDefinition-ViewDefinition.html
package views

import (
	"meridian/fhir/element"
	"meridian/fhir/fhirpath"
	"meridian/fhir/issue"
	"meridian/fhir/schema"
)

// Limits of a view, checked by Compile.
const (
	MaxColumns   = 1000
	MaxSelects   = 1000
	MaxConstants = 1000
)

// View is a compiled ViewDefinition.
type View struct {
	Name     string // ViewDefinition.name, may be empty
	URL      string // ViewDefinition.url, may be empty
	Resource string // type of the resources that it is about
	Columns  []Column

	where     []condition
	root      *selection
	constants map[string]fhirpath.Collection
}

// Column is a column of the table.
type Column struct {
	Name        string
	Description string
	// Type is a FHIR type: as declared, else as the path says. Empty where it is
	// not declared and any primitive may come.
	Type string
	// Collection: a value is a list, and may have several items.
	Collection bool

	declared bool
	kind     fhirpath.Kind // of values; 0 for a complex type, or any
	unsure   bool          // values are checked, the path did not tell their type
	place    string        // in the ViewDefinition
}

// Complex says that the values are no primitives.
func (c *Column) Complex() bool {
	t := schema.ByName(c.Type)
	return t != nil && t.Kind != schema.Primitive
}

// condition is ViewDefinition.where.
type condition struct {
	expr  *fhirpath.Expr
	place string
}

// selection is a select.
type selection struct {
	lo, hi int // its columns, those of its parts included
	paths  []path
	each   *fhirpath.Expr // forEach, forEachOrNull
	orNull bool
	repeat []*fhirpath.Expr
	parts  []part
	place  string
}

// part is a nested select, or a union: selections of the same columns whose rows follow each other.
type part struct {
	lo, hi int
	of     []*selection
}

// path is the content of a column.
type path struct {
	expr  *fhirpath.Expr
	index bool // it is %rowIndex itself
}

// rowIndex is the variable that counts the items of the nearest iteration, from 0.
const rowIndex = "rowIndex"

// Compile reads and checks a ViewDefinition. The tree is not kept. The error is
// an *issue.Error that lists all that is wrong, in the order of the ViewDefinition,
// with the codes required, invalid, value, not-supported, too-costly.
func Compile(root element.Node) (*View, error) {
	c := &compiler{view: &View{constants: map[string]fhirpath.Collection{}}, vars: map[string]fhirpath.Static{}}
	if root.Type().Name != "ViewDefinition" {
		return nil, issue.New(issue.Invalid, "view.type", "a view is a ViewDefinition, not a "+root.Type().Name, root.Location())
	}
	c.definition(root)
	if len(c.failed.Issues) > 0 {
		return nil, &c.failed
	}
	return c.view, nil
}
