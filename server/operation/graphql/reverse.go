package graphql

import (
	"slices"
	"strings"

	"meridian/fhir/element"
	"meridian/fhir/search"
	"meridian/server/interaction"
	"meridian/server/store"
)

// Lists of reverse references are found level by level, as references are: one
// search asks for all the resources of a level, and what it finds is given to
// those that it refers to. Only a list with _count, which is a number for each
// of them, and one that is flattened are searched for one resource at a time.

// referredAtOnce is how many resources one search of reverse references asks for.
const referredAtOnce = 500

// pendingList is a field TypeList(_reference:) of one resource.
type pendingList struct {
	query
	of   string // the resource, Type/id
	step *step
	obj  *object
	slot int // of obj, where the list goes
}

// later puts a list off to the end of the level.
func (x *run) later(q *query, st *step, out place) {
	name := x.slot(out, st, "", 0).name
	at := slices.IndexFunc(out.obj.slots, func(s slot) bool { return s.name == name })
	x.lists = append(x.lists, pendingList{query: *q, of: q.referred, step: st, obj: out.obj, slot: at})
}

// findLists answers the lists of a level.
func (x *run) findLists(level []pendingList) {
	var order []*step
	byStep := map[*step][]*pendingList{}
	for i := range level {
		l := &level[i]
		if byStep[l.step] == nil {
			order = append(order, l.step)
		}
		byStep[l.step] = append(byStep[l.step], l)
	}
	for _, st := range order {
		for some := range slices.Chunk(byStep[st], referredAtOnce) {
			if x.stopped {
				return
			}
			x.findList(st, some)
		}
	}
}

// findList answers one field of several resources of one type.
func (x *run) findList(st *step, of []*pendingList) {
	if x.searches++; x.searches > x.limits.Searches {
		x.costly(st.at(), "searches", x.limits.Searches)
		return
	}
	waiting := map[string][]*pendingList{}
	var names []string
	for _, l := range of {
		if waiting[l.of] == nil {
			names = append(names, l.of)
		}
		waiting[l.of] = append(waiting[l.of], l)
	}
	q := &of[0].query // the same for all, but for what is referred to
	pairs := append(slices.Clone(q.pairs), search.Pair{Name: q.by.Code, Value: strings.Join(names, ",")})
	p := interaction.FindParams{Type: st.role.typ, All: pairs, Sort: q.sort, Limit: store.MaxPage}
	typ, _, _ := strings.Cut(of[0].of, "/")
	for {
		page, err := x.s.Find(x.ctx, p)
		if err != nil {
			x.fail(st.at(), err)
			return
		}
		for i := range page.Rows {
			x.body(&page.Rows[i].Resource, func(n element.Node) { x.deal(n, q, st, waiting, typ) })
			if x.stopped {
				return
			}
		}
		if !page.More {
			return
		}
		p.After = &page.Rows[len(page.Rows)-1].At
	}
}

// deal gives a resource that was found to those of the waiting that it refers to.
func (x *run) deal(n element.Node, q *query, st *step, waiting map[string][]*pendingList, typ string) {
	if !x.matches(q.path, n) {
		return
	}
	plan := x.plan(st.below, st.role.typ)
	var given []string
	for _, ref := range x.s.Registry().References(n, q.by, typ) {
		name := ref.Type + "/" + ref.ID
		if !ref.Local() || slices.Contains(given, name) {
			continue
		}
		given = append(given, name)
		for _, l := range waiting[name] {
			s := &l.obj.slots[l.slot]
			switch {
			case st.first && len(s.values) > 0:
				continue
			case len(s.values) == x.limits.List:
				x.tooLong(st)
				return
			}
			o := newObject(plan)
			x.put(s, st.at(), item{obj: o})
			x.object(n, plan, place{obj: o})
		}
	}
}
