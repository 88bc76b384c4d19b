package fhirpath

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"meridian/fhir/schema"
)

// Static is what is known of the items of an expression before it is evaluated:
// of which types they may be. The zero Static is of an expression that gives nothing.
type Static struct {
	FHIR   []schema.ID // elements of these types
	System []Kind      // system values of these kinds
	Open   bool        // others, too: nothing can be said
	Many   bool        // more than one item is possible
}

// Names lists the types as people write them: Patient, HumanName, String.
func (s Static) Names() []string {
	var out []string
	for _, id := range s.FHIR {
		out = append(out, schema.ByID(id).Name)
	}
	for _, k := range s.System {
		out = append(out, Item{kind: k}.TypeName())
	}
	return out
}

func (s Static) String() string { return strings.Join(s.Names(), ", ") }

func (s Static) none() bool { return !s.Open && len(s.FHIR) == 0 && len(s.System) == 0 }

// one is s for one of its items.
func (s Static) one() Static {
	s.Many = false
	return s
}

func (s Static) many() Static {
	s.Many = true
	return s
}

// Or is what is known of items of s or of b.
func (s Static) Or(b Static) Static {
	out := Static{FHIR: slices.Clone(s.FHIR), System: slices.Clone(s.System), Open: s.Open || b.Open, Many: s.Many || b.Many}
	for _, id := range b.FHIR {
		out.add(id)
	}
	for _, k := range b.System {
		out.addKind(k)
	}
	return out
}

func (s *Static) add(id schema.ID) {
	if !slices.Contains(s.FHIR, id) {
		s.FHIR = append(s.FHIR, id)
	}
}

func (s *Static) addKind(k Kind) {
	if !slices.Contains(s.System, k) {
		s.System = append(s.System, k)
	}
}

func systemStatic(kinds ...Kind) Static { return Static{System: kinds} }

// Kinds gives the kinds of the system values of s; complete is false where
// there may be items that are no system value, or nothing can be said.
func (s Static) Kinds() (kinds []Kind, complete bool) {
	complete = !s.Open
	for _, id := range s.FHIR {
		if k := systemKind(id); k == 0 {
			complete = false
		} else if !slices.Contains(kinds, k) {
			kinds = append(kinds, k)
		}
	}
	for _, k := range s.System {
		if !slices.Contains(kinds, k) {
			kinds = append(kinds, k)
		}
	}
	return kinds, complete
}

// CheckParams say what an expression will be evaluated on.
type CheckParams struct {
	// Context is the focus. An element of an abstract type may be of any type derived from it.
	Context Static
	// Vars are the types of Env.Vars.
	Vars map[string]Static
}

// Check says what e gives on such a focus, and what is wrong with it whatever
// the resource holds: elements and variables that there are not, types that
// never occur, operands that do not go together. Errors are of kind Semantic,
// in the order of their places. Nothing is said about cardinality: name.family
// is one item for many patients.
//
// https://hl7.org/fhirpath/N1/#type-safety-and-strict-evaluation
func (e *Expr) Check(p CheckParams) (Static, []*Error) {
	c := checker{expr: e, vars: p.Vars, context: p.Context, defined: map[string]bool{}}
	Walk(e.root, func(n Node) bool {
		if d, ok := n.(*Call); ok && d.Name == "defineVariable" {
			c.define(d)
		}
		return true
	})
	out := c.node(e.root, staticScope{this: p.Context})
	slices.SortStableFunc(c.errors, func(a, b *Error) int { return a.Offset - b.Offset })
	return out, c.errors
}

type checker struct {
	expr    *Expr
	vars    map[string]Static
	context Static
	defined map[string]bool // by defineVariable()
	any     bool            // under a name that only evaluation knows
	errors  []*Error
	quiet   int
}

// staticScope is the scope of an evaluation, by types.
type staticScope struct {
	this  Static
	inner bool
}

func (c *checker) define(d *Call) {
	if name, ok := d.Args[0].(*Literal); ok && len(name.Value) == 1 {
		c.defined[name.Value[0].str] = true
	} else {
		c.any = true
	}
}

func (c *checker) fail(n Node, format string, args ...any) {
	if c.quiet == 0 {
		c.errors = append(c.errors, &Error{Semantic, c.expr.source, n.Offset(), fmt.Sprintf(format, args...)})
	}
}

func (c *checker) node(n Node, sc staticScope) Static {
	switch n := n.(type) {
	case *Literal:
		var out Static
		for _, i := range n.Value {
			out.addKind(i.kind)
		}
		return out
	case *Variable:
		return c.variable(n)
	case *Special:
		switch n.Name {
		case "$this":
			return sc.this
		case "$total":
			return Static{Open: true, Many: true}
		}
		if !sc.inner {
			c.fail(n, "$index has no meaning here")
		}
		return systemStatic(Integer)
	case *Member:
		return c.member(n, sc)
	case *Call:
		return c.call(n, sc)
	case *Indexer:
		c.node(n.Index, sc)
		return c.node(n.X, sc).one()
	case *Unary:
		return c.numeric(n, n.Op, c.node(n.X, sc)).one()
	case *Binary:
		return c.binary(n, sc)
	}
	t := n.(*TypeTest)
	in := c.node(t.X, sc)
	if t.Op == "is" {
		return systemStatic(Boolean)
	}
	return c.narrow(t, in, t.Type)
}

func (c *checker) variable(n *Variable) Static {
	if v, ok := c.vars[n.Name]; ok {
		return v
	}
	switch {
	case n.Name == "context":
		return c.context
	case n.Name == "terminologies":
		return systemStatic(terminologies)
	case n.Name == "resource", n.Name == "rootResource":
		if id := c.context.FHIR; len(id) == 1 && schema.ByID(id[0]).Kind == schema.Resource && !schema.ByID(id[0]).Abstract {
			return Static{FHIR: id}
		}
		return Static{Open: true}
	case c.defined[n.Name] || c.any:
		return Static{Open: true, Many: true}
	}
	if _, ok := standardURL(n.Name); !ok {
		c.fail(n, "there is no variable %%%s", n.Name)
		return Static{Open: true, Many: true}
	}
	return systemStatic(String)
}

// member is a step to the elements of a name.
func (c *checker) member(n *Member, sc staticScope) Static {
	in := sc.this
	if n.X != nil {
		in = c.node(n.X, sc)
	} else if t := schema.ByName(n.Name); isUpper(n.Name) && t != nil {
		if out := beginsWith(in, t); !out.none() {
			return out
		}
		if !in.none() {
			c.fail(n, "the path begins with %s, but the context is %s", n.Name, in)
		}
		return Static{Open: true, Many: true}
	}
	return c.children(n, in, n.Name)
}

// beginsWith is what a path that begins with a type leaves of its context.
func beginsWith(in Static, t *schema.Type) Static {
	out := Static{Many: in.Many}
	for _, id := range in.FHIR {
		switch {
		case schema.ByID(id).IsA(t.ID):
			out.add(id)
		case t.IsA(id):
			out.add(t.ID)
		}
	}
	if in.Open {
		out.add(t.ID)
	}
	return out
}

func (c *checker) children(n Node, in Static, name string) Static {
	out := Static{Open: in.Open, Many: in.Many}
	found := in.Open || in.none()
	for _, id := range in.FHIR {
		t := schema.ByID(id)
		at := slices.IndexFunc(t.Elements, func(e schema.Element) bool { return e.Name == name })
		switch {
		case at >= 0:
			found = true
			for _, typ := range t.Elements[at].Types {
				out.add(typ)
			}
			out.Many = out.Many || t.Elements[at].Repeats()
		case t.Abstract || t.ID == schema.TypeElement || t.ID == schema.TypeBackboneElement:
			found, out.Open = true, true
		}
	}
	for _, k := range in.System {
		if k == TypeInfo && (name == "name" || name == "namespace") {
			found = true
			out.addKind(String)
		}
	}
	if !found {
		c.fail(n, "%s has no element %s%s", in, strconv.Quote(name), choiceHint(in, name))
		out.Open = c.quiet == 0
	}
	return out
}

// choiceHint helps who writes an element of a choice as JSON does: valueQuantity.
func choiceHint(in Static, name string) string {
	for _, id := range in.FHIR {
		if p, ok := schema.ByID(id).Lookup([]byte(name)); ok {
			if e := schema.ByID(id).Elements[p.Element]; e.Choice {
				return ": write " + e.Name + ".ofType(" + schema.ByID(p.Type).Name + ")"
			}
		}
	}
	return ""
}

// narrow is what ofType() and as leave of in.
func (c *checker) narrow(n Node, in Static, t *TypeName) Static {
	out := Static{Many: in.Many}
	for _, id := range in.FHIR {
		switch {
		case t.fhir == nil:
		case schema.ByID(id).IsA(t.fhir.ID):
			out.add(id)
		case t.fhir.IsA(id):
			out.add(t.fhir.ID)
		}
	}
	for _, k := range in.System {
		if k == t.system {
			out.addKind(k)
		}
	}
	if in.Open {
		if t.fhir != nil {
			out.add(t.fhir.ID)
		}
		if t.system != 0 {
			out.addKind(t.system)
		}
	}
	if out.none() && !in.none() {
		c.fail(n, "%s is never %s", in, t.Name)
		out.Open = true
	}
	return out
}
