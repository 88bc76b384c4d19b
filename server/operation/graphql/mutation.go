package graphql

import (
	"github.com/vektah/gqlparser/v2/ast"

	"meridian/fhir/codec"
	"meridian/fhir/element"
	"meridian/fhir/issue"
	"meridian/server/interaction"
	"meridian/server/store"
)

// mutate carries out a mutation. One request has one, so that a 4xx
// means that nothing was changed.
//
// https://hl7.org/fhir/R4/graphql.html#mutations
func (x *run) mutate(p *plan, out place) {
	var changes []*step
	for _, st := range p.steps {
		if st.role.act == 0 {
			x.meta(st, out, x.view.Mutation.Name)
		} else {
			changes = append(changes, st)
		}
	}
	if len(changes) > 1 {
		x.refuse(changes[1].at(), issue.NotSupported, "mutations", "a request has one mutation; send several changes as a Bundle of type transaction")
		return
	}
	for _, st := range changes {
		switch st.role.act {
		case actCreate:
			x.create(st, out)
		case actUpdate:
			x.update(st, out)
		case actDelete:
			x.remove(st, out)
		}
	}
}

// input gives the argument res as a resource in JSON, with this id when it is not empty. Issue code: value when it has another one.
func (x *run) input(st *step, id string) []byte {
	v := x.argument(st.fields[0].Arguments, "res")
	has := func(name string) *ast.Value { return x.value(v.Children.ForName(name)) }
	dst := []byte{'{'}
	more := false
	if has("resourceType") == nil {
		dst = codec.AppendString(append(dst, `"resourceType":`...), st.role.typ)
		more = true
	}
	if given := has("id"); id != "" && given == nil {
		if more {
			dst = append(dst, ',')
		}
		dst = codec.AppendString(append(dst, `"id":`...), id)
		more = true
	}
	t := x.view.Mutation.Fields.ForName(st.name()).Arguments.ForName("res").Type
	return append(x.appendMembers(dst, t, v, more), '}')
}

func (x *run) create(st *step, out place) {
	r, err := x.s.Create(x.ctx, interaction.CreateParams{Type: st.role.typ, Body: x.input(st, "")})
	x.written(st, out, &r, err)
}

func (x *run) update(st *step, out place) {
	id := x.text(st.fields[0].Arguments, "id")
	r, err := x.s.Update(x.ctx, interaction.UpdateParams{Type: st.role.typ, ID: id, Body: x.input(st, id)})
	x.written(st, out, &r, err)
}

// written answers with the resource as it stands now.
func (x *run) written(st *step, out place, r *interaction.Result, err error) {
	if err != nil {
		x.fail(st.at(), err)
		return
	}
	x.changed = true
	res := &r.Resource
	if res.Body == nil {
		if res = x.read(st.at(), store.Key{Type: res.Type, ID: res.ID}); res == nil {
			return
		}
	}
	x.body(res, func(n element.Node) { x.enter(st, out, n, 0) })
}

// remove answers with an OperationOutcome.
func (x *run) remove(st *step, out place) {
	id := x.text(st.fields[0].Arguments, "id")
	r, err := x.s.Delete(x.ctx, interaction.DeleteParams{Type: st.role.typ, ID: id})
	if err != nil {
		x.fail(st.at(), err)
		return
	}
	x.changed = true
	tree, err := codec.Parse(interaction.AppendOutcome(nil, r.Issues()), codec.Options{})
	if err != nil {
		x.fail(st.at(), err)
		return
	}
	x.enter(st, out, tree.Root(), 0)
}
