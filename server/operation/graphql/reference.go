package graphql

import (
	"slices"

	"meridian/fhir/element"
	"meridian/fhir/issue"
	"meridian/fhir/search"
	"meridian/server/interaction"
	"meridian/server/store"
)

// References are resolved level by level: while the objects of one level are
// answered, what they refer to is noted; then all of that is read at once, and
// makes the next level. A resource is read once, and answered once for each selection.

// target is what a reference names; a version of 0 is the current one.
type target struct {
	store.Key
	version uint64
}

// resolved is a target with its objects by selection. body is nil where there is no such resource.
type resolved struct {
	resource *store.Resource
	objects  map[*selection]*object
}

// pending is a field `resource` whose target is not read yet.
type pending struct {
	target
	step *step
	out  place
	slot int // of out's object, where the value goes; not of a flattened one
	from string
}

// reference answers the field `resource` of a Reference.
//
// https://hl7.org/fhir/R4/graphql.html#references
func (x *run) reference(n element.Node, st *step, out place) {
	text := n.Child("reference").Text()
	if len(text) > 1 && text[0] == '#' {
		x.containedIn(n, text[1:], st, out)
		return
	}
	ref := x.s.Registry().ParseReference(text)
	t, ok := targetOf(ref)
	if !ok {
		x.unresolved(st, out, n.Location(), "it does not name a resource of this server")
		return
	}
	if len(st.types) > 0 && !slices.Contains(st.types, t.Type) {
		x.nothing(st, out)
		return
	}
	p := pending{target: t, step: st, out: out, from: n.Location()}
	if !st.flatten && st.slice == nil {
		s := x.slot(out, st, "", 0)
		p.slot = slices.IndexFunc(out.obj.slots, func(o slot) bool { return o.name == s.name })
	}
	x.pending = append(x.pending, p)
}

func targetOf(ref search.Reference) (t target, ok bool) {
	if !ref.Local() || !interaction.IsResourceType(ref.Type) {
		return t, false
	}
	t.Key = store.Key{Type: ref.Type, ID: ref.ID}
	if ref.Version != "" {
		if t.version, ok = interaction.ParseVersion(ref.Version); !ok {
			return t, false
		}
	}
	return t, true
}

// containedIn answers a reference to a resource that the same resource contains.
func (x *run) containedIn(n element.Node, id string, st *step, out place) {
	root := n.Tree().Root()
	for c := root.First(); c.Valid(); c = c.Next() {
		if c.Name() != "contained" || c.Child("id").Text() != id {
			continue
		}
		if len(st.types) > 0 && !slices.Contains(st.types, c.Type().Name) {
			x.nothing(st, out)
			return
		}
		x.enter(st, out, c, 0)
		return
	}
	x.unresolved(st, out, n.Location(), "it names a contained resource that is not there")
}

// unresolved is an error, or null where the reference is optional.
func (x *run) unresolved(st *step, out place, from, why string) {
	if x.text(st.fields[0].Arguments, "optional") == "true" {
		x.nothing(st, out)
		return
	}
	e := issue.New(issue.NotFound, "graphql.reference", "the reference cannot be resolved: "+why+"; resource(optional: true) gives null for it", from)
	x.fail(st.at(), e.WithStatus(422))
}

// nothing makes the value of a field null.
func (x *run) nothing(st *step, out place) {
	if !out.flat() && !st.flatten && st.slice == nil {
		x.slot(out, st, "", 0)
	}
}

// resolve reads and answers what is pending, level by level.
func (x *run) resolve() {
	for len(x.pending)+len(x.lists) > 0 && !x.stopped && x.internal == nil {
		level, lists := x.pending, x.lists
		x.pending, x.lists = nil, nil
		x.load(level)
		for i := range level {
			if x.stopped {
				return
			}
			x.fulfil(&level[i])
		}
		x.findLists(lists)
	}
}

// load reads the targets of a level that were not read before.
func (x *run) load(level []pending) {
	var keys []store.Key
	var wanted []target
	for i := range level {
		t := level[i].target
		if x.resources[t] != nil {
			continue
		}
		x.resources[t] = &resolved{objects: map[*selection]*object{}}
		keys, wanted = append(keys, t.Key), append(wanted, t)
	}
	if len(x.resources) > x.limits.References {
		x.costly(level[0].step.at(), "references to be resolved", x.limits.References)
		return
	}
	for batch := range slices.Chunk(keys, store.MaxReadMany) {
		got, err := x.s.Current(x.ctx, batch)
		if err != nil {
			x.fail(nil, err)
			x.stopped = true
			return
		}
		for i := range got {
			x.found(wanted[i], &got[i])
		}
		wanted = wanted[len(batch):]
	}
}

// found keeps a current version, or reads the one that the reference names.
func (x *run) found(t target, r *store.Resource) {
	if t.version != 0 && r.Version != t.version {
		old, err := x.s.VRead(x.ctx, interaction.ReadParams{Key: t.Key, Version: t.version})
		if err != nil {
			if issue.As(err) == nil {
				x.fail(nil, err)
			}
			return
		}
		r = &old.Resource
	}
	if r.Body != nil {
		x.resources[t].resource = r
	}
}

// fulfil answers one pending reference.
func (x *run) fulfil(p *pending) {
	r := x.resources[p.target]
	st := p.step
	if r.resource == nil {
		x.unresolved(st, p.out, p.from, p.Type+"/"+p.ID+" is not there")
		return
	}
	if st.flatten || st.slice != nil {
		x.body(r.resource, func(n element.Node) { x.enter(st, p.out, n, 0) })
		return
	}
	o := r.objects[st.below]
	if o == nil {
		plan := x.plan(st.below, r.resource.Type)
		o = newObject(plan)
		r.objects[st.below] = o
		x.body(r.resource, func(n element.Node) { x.object(n, plan, place{obj: o}) })
	}
	x.put(&p.out.obj.slots[p.slot], st.at(), item{obj: o})
}
