package views

import (
	"slices"
	"strings"

	"meridian/fhir/element"
	"meridian/fhir/fhirpath"
	"meridian/fhir/issue"
	"meridian/fhir/schema"
)

// structureURL begins the URIs of FHIR's own types.
const structureURL = "http://hl7.org/fhir/StructureDefinition/"

// column reads a column.
func (c *compiler) column(s *selection, n element.Node, context fhirpath.Static) {
	name := n.Child("name")
	if !name.HasValue() {
		c.fail(issue.Required, "required", "a column has a name", n)
	} else {
		c.name(name)
	}
	col := Column{Name: name.Text(), Description: n.Child("description").Text(), Collection: n.Child("collection").Text() == "true", place: n.Location()}
	e, static := c.path(n, "path", context)
	if e == nil {
		static = fhirpath.Static{Open: true}
	}
	c.columnType(&col, n, static)
	s.paths = append(s.paths, path{e, isRowIndex(e)})
	c.view.Columns = append(c.view.Columns, col)
}

// isRowIndex says that e is nothing but %rowIndex.
func isRowIndex(e *fhirpath.Expr) bool {
	if e == nil {
		return false
	}
	v, ok := e.AST().(*fhirpath.Variable)
	return ok && v.Name == rowIndex
}

// columnType finds the type of a column: the declared one, which the path must
// not contradict, else that of the path.
//
// https://build.fhir.org/ig/FHIR/sql-on-fhir-v2/StructureDefinition-ViewDefinition.html#column-types
func (c *compiler) columnType(col *Column, n element.Node, s fhirpath.Static) {
	kinds, complete := s.Kinds()
	if at := n.Child("type"); at.HasValue() {
		c.declaredType(col, at, s)
		return
	}
	col.unsure = s.Open
	switch {
	case s.Open && len(kinds) != 1 || complete && len(kinds) == 0:
		return // any primitive
	case !complete && !s.Open:
		c.fail(issue.Required, "type", "the column is of "+s.String()+": what is no primitive needs a type", n)
	case len(kinds) > 1:
		c.fail(issue.Value, "type", "a column has one type, not "+s.String()+": choose by ofType()", n)
	case s.Open: // it may be others, too
	case len(s.FHIR) == 1 && len(s.System) == 0:
		col.Type, col.kind = schema.ByID(s.FHIR[0]).Name, kinds[0]
	case kinds[0] == fhirpath.KindQuantity:
		c.fail(issue.Required, "type", "the column is a Quantity: what is no primitive needs a type", n)
	default:
		col.Type, col.kind = kindTypes[kinds[0]], kinds[0]
	}
}

// kindTypes are the FHIR types of system values.
var kindTypes = map[fhirpath.Kind]string{
	fhirpath.Boolean: "boolean", fhirpath.String: "string", fhirpath.Integer: "integer", fhirpath.Decimal: "decimal",
	fhirpath.Date: "date", fhirpath.DateTime: "dateTime", fhirpath.Time: "time",
}

func (c *compiler) declaredType(col *Column, at element.Node, s fhirpath.Static) {
	t := schema.ByName(strings.TrimPrefix(at.Text(), structureURL))
	if t == nil {
		c.fail(issue.CodeInvalid, "type", "there is no such type in FHIR R4", at)
		return
	}
	col.Type, col.declared, col.unsure = t.Name, true, s.Open
	if t.Kind == schema.Primitive {
		col.kind = fhirpath.TypeKind(t.ID)
	}
	fits := s.Open || len(s.FHIR) == 0 && len(s.System) == 0
	for _, id := range s.FHIR {
		fits = fits || fitsType(t, col.kind, id)
	}
	for _, k := range s.System {
		fits = fits || fitsKind(col.kind, k) || k == fhirpath.KindQuantity && t.ID == schema.TypeQuantity
	}
	if !fits {
		c.fail(issue.Value, "type", "the type says "+t.Name+", the path gives "+s.String(), at)
	}
	if len(s.FHIR)+len(s.System) > 1 {
		col.unsure = true
	}
}

// fitsType says that an element of the type id fits a column of type t.
func fitsType(t *schema.Type, kind fhirpath.Kind, id schema.ID) bool {
	if kind == 0 {
		return schema.ByID(id).IsA(t.ID) || t.IsA(id)
	}
	return fitsKind(kind, fhirpath.TypeKind(id))
}

// fitsKind: an integer is a decimal, a date is a dateTime.
func fitsKind(want, got fhirpath.Kind) bool {
	return want == got && got != 0 || want == fhirpath.Decimal && got == fhirpath.Integer || want == fhirpath.DateTime && got == fhirpath.Date
}

// same checks that a select of a union has the columns of the first one.
func (c *compiler) same(first, columns []Column, n element.Node) {
	names := func(list []Column) string {
		var out []string
		for _, col := range list {
			out = append(out, col.Name)
		}
		return strings.Join(out, ", ")
	}
	if !slices.EqualFunc(first, columns, func(a, b Column) bool { return a.Name == b.Name }) {
		c.fail(issue.Value, "union", "the selects of a union have the same columns in the same order: "+names(first)+"; here are "+names(columns), n)
		return
	}
	for i := range first {
		a, b := &first[i], &columns[i]
		differ := a.Collection != b.Collection || a.kind != b.kind && a.kind != 0 && b.kind != 0
		if a.declared && b.declared || a.Complex() || b.Complex() {
			differ = differ || a.Type != b.Type
		}
		if differ {
			c.fail(issue.Value, "union", "column "+a.Name+" has other types in the selects of a union: "+a.typeText()+" and "+b.typeText(), n)
		}
		a.unsure = a.unsure || b.unsure
	}
}

func (c *Column) typeText() string {
	t := c.Type
	if t == "" {
		t = "any primitive"
	}
	if c.Collection {
		t += " (collection)"
	}
	return t
}
