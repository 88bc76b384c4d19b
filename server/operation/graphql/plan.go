package graphql

import (
	"slices"
	"strconv"

	"github.com/vektah/gqlparser/v2/ast"

	"meridian/fhir/element"
	"meridian/fhir/fhirpath"
	"meridian/fhir/issue"
	"meridian/fhir/schema"
	"meridian/fhir/value"
)

// selection is what is selected of an object: the selection sets of all fields
// that stand under one name. It becomes a plan for each type of object it meets.
type selection struct {
	sets  []ast.SelectionSet
	plans map[string]*plan
}

// plan is what to do with an object of one type, in the order of the answer.
type plan struct{ steps []*step }

// step is one name of the answer.
type step struct {
	key    string
	fields []*ast.Field // those that are merged under the name; the first counts
	role   role
	below  *selection

	// Of an element:
	known   bool // it is an element of the type
	elem    int
	typ     schema.ID // of a choice the one that the name says; 0 for any
	twin    bool      // _name: id and extension of a primitive
	repeats bool
	filter  *filter

	types   []string // of resource(type:); nil for any
	flatten bool
	first   bool
	single  bool
	slice   *slicer
}

func (st *step) at() *ast.Position { return st.fields[0].Position }
func (st *step) name() string      { return st.fields[0].Name }

// filter chooses among the elements of a field.
type filter struct {
	path          *fhirpath.Expr // nil for none
	equal         []equal
	offset, count int // count is -1 for all
}

// equal asks that a child has one of these texts.
type equal struct {
	elem  int
	typ   schema.ID
	texts []string
}

// slicer gives each element a suffix of its own: the FHIRPath, or its index where that is nil.
type slicer struct{ path *fhirpath.Expr }

// plan of the selection for objects of a type of the schema.
func (x *run) plan(s *selection, typ string) *plan {
	if p := s.plans[typ]; p != nil {
		return p
	}
	p := &plan{}
	if s.plans == nil {
		s.plans = map[string]*plan{}
	}
	s.plans[typ] = p
	byKey := map[string]*step{}
	for _, set := range s.sets {
		x.collect(p, byKey, typ, set)
	}
	for _, st := range p.steps {
		x.complete(st, typ)
	}
	return p
}

// collect puts the fields of a set that apply to typ under their names.
//
// https://spec.graphql.org/October2021/#CollectFields()
func (x *run) collect(p *plan, byKey map[string]*step, typ string, set ast.SelectionSet) {
	for _, s := range set {
		switch s := s.(type) {
		case *ast.Field:
			if !x.included(s.Directives) {
				continue
			}
			st := byKey[s.Alias]
			if st == nil {
				st = &step{key: s.Alias, below: &selection{}}
				byKey[s.Alias] = st
				p.steps = append(p.steps, st)
			}
			st.fields = append(st.fields, s)
			st.below.sets = append(st.below.sets, s.SelectionSet)
		case *ast.InlineFragment:
			if x.included(s.Directives) && x.applies(s.TypeCondition, typ) {
				x.collect(p, byKey, typ, s.SelectionSet)
			}
		case *ast.FragmentSpread:
			if x.included(s.Directives) && x.applies(s.Definition.TypeCondition, typ) {
				x.collect(p, byKey, typ, s.Definition.SelectionSet)
			}
		}
	}
}

// included reads @skip and @include.
func (x *run) included(all ast.DirectiveList) bool {
	if d := all.ForName("skip"); d != nil && x.text(d.Arguments, "if") == "true" {
		return false
	}
	d := all.ForName("include")
	return d == nil || x.text(d.Arguments, "if") == "true"
}

// applies says whether a fragment on condition is about objects of typ.
func (x *run) applies(condition, typ string) bool {
	if condition == "" || condition == typ {
		return true
	}
	def := x.view.Types[typ]
	return def != nil && slices.Contains(def.Interfaces, condition)
}

// complete reads what a step does.
func (x *run) complete(st *step, typ string) {
	f := st.fields[0]
	def := x.view.Types[typ].Fields.ForName(f.Name)
	if typ == x.view.Query.Name {
		def = x.view.Query.Fields.ForName(f.Name)
	}
	st.role = x.model.roles[def]
	st.repeats = def != nil && def.Type.Elem != nil
	x.directives(st)
	st.types = x.onlyTypes(st)
	t := x.model.types[typ]
	if st.role.act != 0 || t == nil && typ != "ElementBase" {
		return
	}
	if typ == "ElementBase" {
		t = schema.ByID(schema.TypeString) // every primitive has the same two elements
	}
	x.element(st, t)
}

// element finds the element behind a field, and its filter.
func (x *run) element(st *step, t *schema.Type) {
	f := st.fields[0]
	p, ok := t.Lookup([]byte(f.Name))
	if !ok && f.Name[0] == '_' {
		p, ok = t.Lookup([]byte(f.Name[1:]))
		st.twin = ok
	}
	if !ok {
		return
	}
	el := &t.Elements[p.Element]
	st.known, st.elem = true, int(p.Element)
	if el.Choice {
		st.typ = p.Type
	}
	if of := schema.ByID(p.Type); !st.twin && of.Kind != schema.Primitive {
		st.filter = x.filter(f, of)
	} else if !st.twin && st.flatten {
		x.refuse(st.at(), issue.Invalid, "flatten", "@flatten is for fields that have a selection")
	}
}

// onlyTypes of resource(type:), where all of the merged fields have it.
func (x *run) onlyTypes(st *step) (out []string) {
	for _, f := range st.fields {
		types, ok := x.typed[f]
		if !ok {
			return nil
		}
		out = append(out, types...)
	}
	return out
}

// directives reads those of FHIR; fields that are merged must have the same.
func (x *run) directives(st *step) {
	for i, f := range st.fields {
		has := func(name string) bool { return f.Directives.ForName(name) != nil }
		flatten, first, single := has("flatten"), has("first"), has("singleton")
		if i > 0 && (flatten != st.flatten || first != st.first || single != st.single || has("slice") != (st.slice != nil)) {
			x.refuse(f.Position, issue.Invalid, "directive", "fields of the same name have different directives")
			return
		}
		st.flatten, st.first, st.single = flatten, first, single
		if d := f.Directives.ForName("slice"); d != nil && st.slice == nil {
			st.slice = &slicer{}
			if path := x.text(d.Arguments, "path"); path != "$index" {
				st.slice.path = x.compile(d.Position, path)
			}
		}
	}
	if st.first && st.slice != nil {
		x.refuse(st.at(), issue.Invalid, "directive", "@first and @slice do not go together")
	}
}

// filter reads the arguments of a field whose elements are of type t; nil for none.
//
// https://hl7.org/fhir/R4/graphql.html#list
func (x *run) filter(f *ast.Field, t *schema.Type) *filter {
	if len(f.Arguments) == 0 {
		return nil
	}
	out := &filter{offset: x.number(f.Arguments, "_offset", 0, 0), count: x.number(f.Arguments, "_count", 0, -1)}
	for _, a := range f.Arguments {
		v := x.value(a.Value)
		if v == nil || a.Name == "_offset" || a.Name == "_count" {
			continue
		}
		if a.Name == "fhirpath" {
			out.path = x.compile(a.Position, v.Raw)
			continue
		}
		if p, ok := t.Lookup([]byte(a.Name)); ok {
			out.equal = append(out.equal, equal{int(p.Element), p.Type, x.texts(v)})
		}
	}
	return out
}

// compile reads a FHIRPath; the error has its own place in it.
func (x *run) compile(at *ast.Position, source string) *fhirpath.Expr {
	e, err := fhirpath.Compile(source)
	if err != nil {
		x.pathError(at, err)
		return nil
	}
	return e
}

func (x *run) pathError(at *ast.Position, err error) {
	var p *fhirpath.Error
	if !asPathError(err, &p) {
		x.fail(at, err)
		return
	}
	i := p.Issue()
	line, column := p.Position()
	i.Text = "FHIRPath, line " + strconv.Itoa(line) + ", column " + strconv.Itoa(column) + ": " + p.Text
	i.Expression, i.Offset = "", issue.NoOffset
	x.fail(at, (&issue.Error{Issues: []issue.Issue{i}}).WithStatus(400))
}

// passes says whether a node is one of those that the filter wants, offset and count aside.
func (x *run) passes(f *filter, at *ast.Position, n element.Node) bool {
	for i := range f.equal {
		if !f.equal[i].holds(n) {
			return false
		}
	}
	return f.path == nil || x.isTrue(f.path, at, n)
}

func (x *run) isTrue(e *fhirpath.Expr, at *ast.Position, n element.Node) bool {
	if err := x.ctx.Err(); err != nil {
		x.giveUp(at)
		return false
	}
	is, known, err := e.EvalBool(&x.env, n)
	if err != nil {
		x.pathError(at, err)
	}
	return is && known
}

// holds: decimals are equal as numbers, all else as text.
func (q *equal) holds(n element.Node) bool {
	for c := n.First(); c.Valid(); c = c.Next() {
		if c.ElementIndex() != q.elem || c.TypeID() != q.typ || !c.HasValue() {
			continue
		}
		text := c.Text()
		for _, want := range q.texts {
			if text == want {
				return true
			}
			if q.typ == schema.TypeDecimal {
				a, errA := value.ParseDecimal(text)
				b, errB := value.ParseDecimal(want)
				if errA == nil && errB == nil && a.Cmp(b) == 0 {
					return true
				}
			}
		}
	}
	return false
}
