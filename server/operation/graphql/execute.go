package graphql

import (
	"context"
	"errors"
	"strconv"

	"github.com/vektah/gqlparser/v2/ast"

	"meridian/fhir/codec"
	"meridian/fhir/element"
	"meridian/fhir/fhirpath"
	"meridian/fhir/schema"
	"meridian/server/interaction"
	"meridian/server/store"
)

// run is one request on its way. It serves one goroutine.
type run struct {
	e      *Engine
	model  *model
	ctx    context.Context
	s      *interaction.Service
	limits *Limits
	focus  store.Key
	view   *ast.Schema // with the root of this request

	variables map[string]*ast.Value
	typed     map[*ast.Field][]string // types that a rewritten resource(type:) named
	env       fhirpath.Env
	paths     map[*ast.Argument]*fhirpath.Expr // of lists; nil for one that does not compile

	pending   []pending
	lists     []pendingList
	resources map[target]*resolved
	fields    int // selected
	searches  int
	values    int

	failed   []failed
	internal error // for the log, not for the client
	stopped  bool
	changed  bool // by a mutation: what fails from then on is only what was asked about it
}

// answer carries out a request; nothing where x.failed says why. Where a mutation was carried
// out and not all that was asked about it is there, the errors stand beside the data.
func (x *run) answer(r *Request) []byte {
	op := x.prepare(r)
	if op == nil {
		return nil
	}
	x.env = fhirpath.Env{Now: x.s.Now().In(x.s.Registry().Zone()), Strict: true, Limits: pathLimits()}
	root := x.view.Query
	if op.Operation == ast.Mutation {
		root = x.view.Mutation
	}
	p := x.plan(&selection{sets: []ast.SelectionSet{op.SelectionSet}}, root.Name)
	if len(x.failed) > 0 {
		return nil
	}
	out := place{obj: newObject(p)}
	switch {
	case op.Operation == ast.Mutation:
		x.mutate(p, out)
	case r.Focus.Type != "":
		x.instance(p, out)
	default:
		for _, st := range p.steps {
			x.root(st, out)
		}
	}
	x.resolve()
	if len(x.failed) > 0 && !x.changed {
		return nil
	}
	body := x.appendObject([]byte(`{"data":`), out.obj)
	if len(body) > x.limits.AnswerBytes { // it was given up
		body = []byte(`{"data":null`)
	}
	if len(x.failed) > 0 {
		body = x.appendErrors(append(body, ','))
	}
	return append(body, '}')
}

// pathLimits are tighter than those of an expression that the server itself holds: a query may have it run on many elements.
func pathLimits() fhirpath.Limits { return fhirpath.Limits{Steps: 500_000, Items: 100_000} }

func newObject(p *plan) *object {
	o := &object{slots: make([]slot, 0, len(p.steps))}
	for _, st := range p.steps {
		o.shared = o.shared || st.flatten
	}
	return o
}

// instance answers about the focus.
func (x *run) instance(p *plan, out place) {
	if res := x.read(nil, x.focus); res != nil {
		x.body(res, func(n element.Node) { x.object(n, p, out) })
	}
}

// read gives a resource; nil when it is not there, which is an error.
func (x *run) read(at *ast.Position, key store.Key) *store.Resource {
	r, err := x.s.Read(x.ctx, interaction.ReadParams{Key: key})
	if err != nil {
		x.fail(at, err)
		return nil
	}
	return &r.Resource
}

// body visits the tree of a stored resource, which is valid in visit only.
func (x *run) body(r *store.Resource, visit func(element.Node)) {
	n, done, err := x.s.Tree(r.Body)
	if err != nil {
		x.fail(nil, err)
		return
	}
	defer done()
	visit(n)
}

// root answers a field of the system's root.
func (x *run) root(st *step, out place) {
	switch st.role.act {
	case actRead:
		key := store.Key{Type: st.role.typ, ID: x.text(st.fields[0].Arguments, "id")}
		if res := x.read(st.at(), key); res != nil {
			x.body(res, func(n element.Node) { x.enter(st, out, n, 0) })
		}
	case actList:
		x.list(st, out, nil)
	case actConnection:
		x.connection(st, out, nil)
	default:
		x.meta(st, out, x.view.Query.Name)
	}
}

// object answers a plan about a node: a resource, an element, or of a primitive its id and extension.
func (x *run) object(n element.Node, p *plan, out place) {
	for _, st := range p.steps {
		switch {
		case x.stopped:
			return
		case st.known && st.twin:
			x.twins(n, st, out)
		case st.known:
			x.elements(n, st, out)
		case st.role.act == actResource:
			x.reference(n, st, out)
		case st.role.act == actList:
			x.list(st, out, &n)
		case st.role.act == actConnection:
			x.connection(st, out, &n)
		case st.name() == "resourceType":
			x.put(x.slot(out, st, "", schema.TypeCode), st.at(), item{raw: codec.AppendString(nil, n.Type().Name)})
		default:
			x.meta(st, out, x.model.names[n.TypeID()])
		}
	}
}

// meta answers __typename, __schema, __type.
func (x *run) meta(st *step, out place, typ string) {
	s := x.slot(out, st, "", 0)
	if st.name() == "__typename" {
		x.put(s, st.at(), item{raw: codec.AppendString(nil, typ)})
	} else if raw := x.introspection(st); raw != nil {
		x.put(s, st.at(), item{raw: raw})
	}
}

// nodes visits the children behind a step that its filter wants, with their ordinal among those.
func (x *run) nodes(n element.Node, st *step, visit func(c element.Node, i int)) {
	skip, left := 0, -1
	if st.filter != nil {
		skip, left = st.filter.offset, st.filter.count
	}
	i := 0
	for c := n.First(); c.Valid() && left != 0 && !x.stopped; c = c.Next() {
		if c.ElementIndex() != st.elem || st.typ != 0 && c.TypeID() != st.typ || st.filter != nil && !x.passes(st.filter, st.at(), c) {
			continue
		}
		if skip > 0 {
			skip--
			continue
		}
		left--
		visit(c, i)
		if i++; st.first {
			return
		}
	}
}

// elements answers an element: a primitive by its value, another by an object.
func (x *run) elements(n element.Node, st *step, out place) {
	has := false
	var values []item
	x.nodes(n, st, func(c element.Node, i int) {
		switch {
		case len(st.below.sets[0]) > 0:
			has = true
			x.enter(st, out, c, i)
		case st.slice != nil:
			if has = true; c.HasValue() {
				x.put(x.slot(out, st, x.suffix(st, c, i), c.TypeID()), st.at(), item{raw: c.Raw()})
			}
		default:
			has = has || c.HasValue()
			values = append(values, item{raw: c.Raw()})
		}
	})
	x.leaves(st, out, has, values, x.leafType(n, st))
}

// leafType is the type of the values of a primitive element.
func (x *run) leafType(n element.Node, st *step) schema.ID {
	if st.typ != 0 {
		return st.typ
	}
	return n.Type().Elements[st.elem].Types[0]
}

// leaves puts the values of a list of primitives, and null where none has a value.
// One without a value (it has an extension only) is null in a list, as it is in
// JSON, so that it stands beside its extension; below a flattened element it is left out.
func (x *run) leaves(st *step, out place, has bool, values []item, typ schema.ID) {
	switch {
	case !has && (out.flat() || st.slice != nil):
		return
	case has && len(values) == 0:
		return // they are objects, or have names of their own
	}
	s := x.slot(out, st, "", typ)
	for _, v := range values {
		if len(v.raw) == 0 {
			v.raw = nil
		}
		if has && (v.raw != nil || !out.flat()) {
			x.put(s, st.at(), v)
		}
	}
}

// twins answers id and extension of primitives, null for one that has neither.
func (x *run) twins(n element.Node, st *step, out place) {
	has := false
	var values []item
	x.nodes(n, st, func(c element.Node, i int) {
		if !c.First().Valid() {
			values = append(values, item{})
			return
		}
		has = true
		p := x.plan(st.below, "ElementBase")
		v := item{obj: newObject(p)}
		x.object(c, p, place{obj: v.obj})
		values = append(values, v)
	})
	x.leaves(st, out, has, values, schema.TypeElement)
}

// enter answers a complex value: in an object of its own, or in the place of the field.
func (x *run) enter(st *step, out place, n element.Node, i int) {
	p := x.plan(st.below, x.model.names[n.TypeID()])
	x.object(n, p, x.below(st, out, p, n, i))
}

// below is where the values of one object of a field go.
func (x *run) below(st *step, out place, p *plan, n element.Node, i int) place {
	suffix := ""
	if st.slice != nil {
		suffix = x.suffix(st, n, i)
	}
	if st.flatten {
		return place{obj: out.obj, list: out.list || st.repeats && !st.first, suffix: out.suffix + suffix}
	}
	o := newObject(p)
	x.put(x.slot(out, st, suffix, n.TypeID()), st.at(), item{obj: o})
	return place{obj: o}
}

// suffix is what @slice adds to a name.
//
// https://hl7.org/fhir/R4/graphql.html#flattening
func (x *run) suffix(st *step, n element.Node, i int) string {
	if st.slice.path == nil {
		return "." + strconv.Itoa(i)
	}
	found, err := st.slice.path.Eval(&x.env, n)
	if err != nil {
		x.pathError(st.at(), err)
	}
	if len(found) == 0 {
		return "."
	}
	if text, ok := found[0].Text(); ok {
		return "." + text
	}
	if n := found[0].Node(); n.Valid() {
		return "." + n.Text()
	}
	return "." + found[0].String()
}

func asPathError(err error, to **fhirpath.Error) bool { return errors.As(err, to) }
