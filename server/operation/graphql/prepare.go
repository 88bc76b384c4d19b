package graphql

import (
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/core"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"meridian/fhir/issue"
	"meridian/fhir/schema"
)

// prepare parses and checks a request; nil when something is wrong with it.
func (x *run) prepare(r *Request) *ast.OperationDefinition {
	if len(r.Query) > x.limits.QueryBytes {
		x.costly(nil, "bytes", x.limits.QueryBytes)
		return nil
	}
	doc, err := parser.ParseQueryWithTokenLimit(&ast.Source{Input: r.Query}, x.limits.Tokens)
	if err != nil {
		for _, e := range parserErrors(err) {
			x.noteParsed(e)
		}
		return nil
	}
	op := x.operation(doc, r)
	if op == nil {
		return nil
	}
	if x.variables, err = readVariables(r.Variables); err != nil {
		x.refuse(nil, issue.Value, "variables", err.Error())
		return nil
	}
	if !x.measure(doc, op) || !x.merged(doc, op.SelectionSet) {
		return nil
	}
	w := rewriter{x: x, op: op}
	w.document(doc)
	if x.stopped || !x.measure(doc, op) {
		return nil
	}
	check := x.e.rules
	if x.fields > suggestTo {
		check = x.e.bare
	}
	for _, e := range validator.ValidateWithRules(x.view, doc, check) {
		x.noteParsed(e)
	}
	if len(x.failed) > 0 {
		return nil
	}
	x.bind(op, x.variables)
	if len(x.failed) > 0 {
		return nil
	}
	return op
}

// suggestTo is the number of fields up to which an unknown name is answered with those near to it: each is looked for among hundreds.
const suggestTo = 200

// bareRules are the rules of GraphQL without the search for near names.
func bareRules() *rules.Rules {
	out := rules.NewDefaultRules()
	for _, r := range []core.Rule{rules.FieldsOnCorrectTypeRuleWithoutSuggestions, rules.KnownArgumentNamesRuleWithoutSuggestions, rules.KnownTypeNamesRuleWithoutSuggestions,
		rules.ScalarLeafsRuleWithoutSuggestions, rules.ValuesOfCorrectTypeRuleWithoutSuggestions} {
		out.RemoveRule(strings.TrimSuffix(r.Name, "WithoutSuggestions"))
		out.AddRule(r.Name, r.RuleFunc)
	}
	return out
}

// operation chooses the operation of the document and the schema that it is held against.
func (x *run) operation(doc *ast.QueryDocument, r *Request) *ast.OperationDefinition {
	op := doc.Operations.ForName(r.OperationName)
	switch {
	case len(doc.Operations) == 0:
		x.refuse(nil, issue.Required, "query", "the document has no operation: send a query such as { PatientList { id } }")
	case op == nil && r.OperationName == "":
		x.refuse(nil, issue.Required, "operation", "the document has several operations: operationName says which one is meant")
	case op == nil:
		x.refuse(nil, issue.Value, "operation", "the document has no operation of the name that operationName says")
	case op.Operation == ast.Subscription:
		x.refuse(op.Position, issue.NotSupported, "subscription", "there are no GraphQL subscriptions here; the resource Subscription is")
	case op.Operation == ast.Mutation && r.Focus.Type != "":
		x.refuse(op.Position, issue.NotSupported, "mutation", "a mutation is sent to [base]/$graphql")
	case op.Operation == ast.Mutation && !r.Writes:
		x.fail(op.Position, issue.New(issue.NotSupported, "graphql.mutation", "a mutation is sent by POST, as application/json or application/graphql", "").WithStatus(405))
	default:
		if x.view = x.model.schema; r.Focus.Type != "" {
			x.view = x.model.rooted(r.Focus.Type)
		}
		return op
	}
	return nil
}

// measure holds depth and number of the selected fields against their limits,
// before anything walks them that takes longer the more there are.
func (x *run) measure(doc *ast.QueryDocument, op *ast.OperationDefinition) bool {
	m := measurer{fragments: map[string]*ast.FragmentDefinition{}, known: map[string]size{}, most: x.limits.Fields + 1}
	for _, f := range doc.Fragments {
		m.fragments[f.Name] = f
	}
	all := m.of(op.SelectionSet)
	for _, f := range doc.Fragments {
		all.fields = max(all.fields, m.fragment(f.Name).fields)
	}
	x.fields = all.fields
	switch {
	case m.cycle:
		x.refuse(op.Position, issue.Invalid, "fragment", "a fragment is spread within itself")
	case all.fields > x.limits.Fields:
		x.costly(op.Position, "fields", x.limits.Fields)
	case all.depth > x.limits.Depth:
		x.costly(op.Position, "levels", x.limits.Depth)
	default:
		return true
	}
	return false
}

// merged holds the fields that come together under one name against their limit. What is measured already is bounded.
func (x *run) merged(doc *ast.QueryDocument, sets ...ast.SelectionSet) bool {
	byName := map[string][]ast.SelectionSet{}
	var first *ast.Field
	var collect func(ast.SelectionSet)
	collect = func(set ast.SelectionSet) {
		for _, s := range set {
			switch s := s.(type) {
			case *ast.Field:
				byName[s.Alias] = append(byName[s.Alias], s.SelectionSet)
				if len(byName[s.Alias]) > x.limits.Merged {
					first = s
				}
			case *ast.InlineFragment:
				collect(s.SelectionSet)
			case *ast.FragmentSpread:
				if f := doc.Fragments.ForName(s.Name); f != nil {
					collect(f.SelectionSet)
				}
			}
		}
	}
	for _, set := range sets {
		collect(set)
	}
	if first != nil {
		x.costly(first.Position, "fields under one name", x.limits.Merged)
		return false
	}
	for _, below := range byName {
		if !x.merged(doc, below...) {
			return false
		}
	}
	return true
}

type size struct{ fields, depth int }

type measurer struct {
	fragments map[string]*ast.FragmentDefinition
	known     map[string]size // fields is -1 while it is measured
	most      int             // fields are not counted further
	cycle     bool
}

func (m *measurer) of(set ast.SelectionSet) (out size) {
	for _, s := range set {
		if out.fields >= m.most {
			return out // a selection may stand in many places
		}
		var in size
		switch s := s.(type) {
		case *ast.Field:
			in = m.of(s.SelectionSet)
			in.fields, in.depth = in.fields+1, in.depth+1
		case *ast.InlineFragment:
			in = m.of(s.SelectionSet)
		case *ast.FragmentSpread:
			in = m.fragment(s.Name)
		}
		out.fields = min(out.fields+in.fields, m.most)
		out.depth = max(out.depth, in.depth)
	}
	return out
}

func (m *measurer) fragment(name string) size {
	if f := m.fragments[name]; f != nil {
		if s, ok := m.known[name]; ok {
			m.cycle = m.cycle || s.fields < 0
			return s
		}
		m.known[name] = size{fields: -1}
		m.known[name] = m.of(f.SelectionSet)
	}
	return m.known[name]
}

// rewriteFactor is how many times the limit of fields the rewriter goes through: a loose field stands for one of each type.
const rewriteFactor = 20

// rewriter turns what the page of FHIR allows into what GraphQL's types allow:
//
//	Patient(id: example)                       Patient(id: "example")
//	resource(type: Patient) { birthDate }      resource { ... on Patient { birthDate } }
//	subject { resource { active } }            subject { resource { ... on Patient { active } ... on Group { active } } }
//
// https://hl7.org/fhir/R4/graphql.html#references
type rewriter struct {
	x    *run
	op   *ast.OperationDefinition
	work int // fields gone through, those below a loose one for each of its types
}

func (w *rewriter) document(doc *ast.QueryDocument) {
	for _, op := range doc.Operations {
		for _, v := range op.VariableDefinitions {
			plain(v.DefaultValue)
		}
		root := w.x.view.Query
		if op.Operation == ast.Mutation {
			root = w.x.view.Mutation
		}
		op.SelectionSet = w.selections(root, nil, op.SelectionSet)
	}
	for _, f := range doc.Fragments {
		f.SelectionSet = w.selections(w.x.view.Types[f.TypeCondition], nil, f.SelectionSet)
	}
}

// plain makes a string of a bare name: no input here is an enumeration.
func plain(v *ast.Value) {
	if v == nil {
		return
	}
	if v.Kind == ast.EnumValue {
		v.Kind = ast.StringValue
	}
	for _, c := range v.Children {
		plain(c.Value)
	}
}

// selections of parent; targets are the types that a reference may name, of the field around it.
func (w *rewriter) selections(parent *ast.Definition, targets []string, set ast.SelectionSet) ast.SelectionSet {
	for _, s := range set {
		switch s := s.(type) {
		case *ast.InlineFragment:
			of := parent
			if s.TypeCondition != "" {
				of = w.x.view.Types[s.TypeCondition]
			}
			s.SelectionSet = w.selections(of, targets, s.SelectionSet)
		case *ast.Field:
			for _, a := range s.Arguments {
				plain(a.Value)
			}
			for _, d := range s.Directives {
				for _, a := range d.Arguments {
					plain(a.Value)
				}
			}
			if w.work++; w.work > rewriteFactor*w.x.limits.Fields {
				w.x.costly(s.Position, "fields", w.x.limits.Fields)
				return set
			}
			w.field(parent, targets, s)
		}
	}
	return set
}

func (w *rewriter) field(parent *ast.Definition, targets []string, f *ast.Field) {
	if parent == nil {
		return
	}
	def := parent.Fields.ForName(f.Name)
	if def == nil {
		return
	}
	of := w.x.view.Types[def.Type.Name()]
	if w.x.model.roles[def].act != actResource {
		f.SelectionSet = w.selections(of, w.targets(parent, f.Name), f.SelectionSet)
		return
	}
	if a := f.Arguments.ForName("type"); a != nil {
		w.typed(f, a)
		return
	}
	if len(targets) == 0 || slices.Contains(targets, "Resource") {
		targets = schema.ResourceTypes()
	}
	f.SelectionSet = w.loose(of, targets, w.selections(of, nil, f.SelectionSet))
}

// targets are those of the element behind a field.
func (w *rewriter) targets(parent *ast.Definition, name string) []string {
	t := w.x.model.types[parent.Name]
	if t == nil {
		return nil
	}
	if p, ok := t.Lookup([]byte(name)); ok {
		return t.Elements[p.Element].Targets
	}
	return nil
}

// typed makes fragments of the argument type. It stays an argument only where it is a variable, which must be used.
func (w *rewriter) typed(f *ast.Field, a *ast.Argument) {
	v := a.Value
	if v.Kind == ast.Variable {
		if def := w.op.VariableDefinitions.ForName(v.Raw); def != nil {
			v.VariableDefinition = def
		}
	} else {
		f.Arguments = slices.DeleteFunc(slices.Clone(f.Arguments), func(o *ast.Argument) bool { return o == a })
	}
	inner := f.SelectionSet
	f.SelectionSet = nil
	types := w.x.texts(v)
	for _, typ := range types {
		of := w.x.view.Types[typ]
		f.SelectionSet = append(f.SelectionSet, &ast.InlineFragment{TypeCondition: typ, SelectionSet: w.selections(of, nil, inner), Position: a.Position})
	}
	if w.x.typed == nil {
		w.x.typed = map[*ast.Field][]string{}
	}
	w.x.typed[f] = types
}

// loose puts fields that not every resource has into fragments on the targets that have them.
func (w *rewriter) loose(resource *ast.Definition, targets []string, set ast.SelectionSet) (out ast.SelectionSet) {
	for _, s := range set {
		f, ok := s.(*ast.Field)
		if !ok || strings.HasPrefix(f.Name, "__") || resource.Fields.ForName(f.Name) != nil {
			out = append(out, s)
			continue
		}
		n := len(out)
		for _, typ := range targets {
			if of := w.x.view.Types[typ]; w.suits(of, f) {
				one := ast.SelectionSet{f}
				w.selections(of, nil, one)
				out = append(out, &ast.InlineFragment{TypeCondition: typ, SelectionSet: one, Position: f.Position})
			}
		}
		if len(out) == n {
			out = append(out, f) // the check against the schema says what is wrong
		}
	}
	return out
}

// suits says that a type has the field and all that is selected in it.
func (w *rewriter) suits(of *ast.Definition, f *ast.Field) bool {
	if of == nil {
		return false
	}
	def := of.Fields.ForName(f.Name)
	if def == nil {
		return strings.HasPrefix(f.Name, "__")
	}
	below := w.x.view.Types[def.Type.Name()]
	if below.IsLeafType() != (len(f.SelectionSet) == 0) {
		return false
	}
	for _, s := range f.SelectionSet {
		if f, ok := s.(*ast.Field); ok && !w.suits(below, f) && w.x.model.roles[def].act != actResource {
			return false
		}
	}
	return true
}
