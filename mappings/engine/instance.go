package engine

import (
	"strconv"

	"meridian/mappings/source"
)

// enterScopes finds the repetitions of every scope, outer ones first, and sets
// aside what the map ignores. When that leaves nothing of a scope, the message
// is not for the record: the result is the reason.
func (rt *run) enterScopes() (filtered string) {
	var buf [64]source.Node
	rt.ignore(-1)
	for d := range rt.m.scopes {
		def := &rt.m.scopes[d]
		entered, ignored := 0, false
		for s, n := 0, len(rt.scopes); s < n; s++ {
			if rt.scopes[s].def != def.outer {
				continue
			}
			rt.enter(s)
			for _, node := range def.path.each(rt, buf[:0]) {
				if node.Ignored() {
					ignored = true
					continue
				}
				rt.scopes = append(rt.scopes, scopeInstance{def: d, outer: s, node: node})
				entered++
			}
		}
		if entered == 0 && ignored {
			return rt.ignoreReason(def)
		}
		rt.ignore(d)
	}
	return ""
}

// enter binds the scope variables of instance s.
func (rt *run) enter(s int) {
	for ; s > 0; s = rt.scopes[s].outer {
		rt.vars[rt.m.scopes[rt.scopes[s].def].slot] = rt.scopes[s].node
	}
}

// ignore runs the ignore rules of a scope.
func (rt *run) ignore(scope int) {
	var buf [128]source.Node
	for i := range rt.m.ignores {
		def := &rt.m.ignores[i]
		if def.scope != scope {
			continue
		}
		for s := range rt.scopes {
			if rt.scopes[s].def != scope {
				continue
			}
			rt.enter(s)
			for _, n := range def.each.each(rt, buf[:0]) {
				rt.vars[def.slot] = n
				if !n.Ignored() && def.when.holds(rt) {
					n.Ignore()
				}
			}
			rt.vars[def.slot] = source.Node{}
		}
	}
}

// ignoreReason is the reason of the rule that ignores occurrences of a scope.
func (rt *run) ignoreReason(def *scopeDef) string {
	for i := range rt.m.ignores {
		if g := &rt.m.ignores[i]; samePlace(g.each.place, def.path.place) {
			return g.reason
		}
	}
	return "ignored"
}

// instantiate decides which resources there will be and under which ids.
func (rt *run) instantiate() {
	var buf [128]source.Node
	for i := range rt.m.resources {
		def := &rt.m.resources[i]
		for s := range rt.scopes {
			if rt.scopes[s].def != def.scope {
				continue
			}
			rt.enter(s)
			rt.scope = int32(s)
			if def.each == nil {
				rt.make(def, s, source.Node{})
				continue
			}
			rt.makeEach(def, s, def.each.each(rt, buf[:0]))
			rt.vars[def.slot] = source.Node{}
		}
		if len(rt.insts) > MaxResources {
			rt.parkNow("map.too-many", "", "the message makes more than "+strconv.Itoa(MaxResources)+" resources", "消息产生的资源过多")
		}
		if rt.park != nil {
			return
		}
	}
}

// makeEach makes an instance a node; a node that continues the one before it becomes a further row of that instance.
func (rt *run) makeEach(def *resourceDef, scope int, nodes []source.Node) {
	made := false // an instance was made of the node before
	for k, n := range nodes {
		if n.Ignored() {
			made = false
			continue
		}
		rt.vars[def.slot] = n
		if made && def.continues != nil {
			rt.vars[def.prevSlot] = nodes[k-1]
			same := def.continues.holds(rt)
			rt.vars[def.prevSlot] = source.Node{}
			if same {
				rt.rows = append(rt.rows, n)
				rt.insts[len(rt.insts)-1].rows[1] = int32(len(rt.rows))
				continue
			}
		}
		made = rt.make(def, scope, n)
	}
}

// make adds an instance when its condition holds and its key identifies it.
func (rt *run) make(def *resourceDef, scope int, n source.Node) bool {
	if !def.when.holds(rt) {
		return false
	}
	id, before, ok := rt.identify(def)
	if !ok {
		if def.onNoID == "park" {
			rt.parkNow(def.parkCode, rt.firstPlace(def.keys, n), "the message does not identify its "+def.typ.Name, "消息中缺少标识："+def.typ.Name)
		}
		return false
	}
	if before > 0 {
		rt.find(def.ambiguous, n, "nothing but its order tells it from an earlier one")
	}
	first, again := rt.byID[id]
	at, row := int32(len(rt.insts)), int32(len(rt.rows))
	in := instance{def: def, uuid: id, bound: n, rows: [2]int32{row, row}, scope: int32(scope), first: -1}
	if again {
		in.first, in.id = first, rt.insts[first].id
	} else {
		in.id = id.String()
		rt.byID[id] = at
	}
	rt.insts = append(rt.insts, in)
	rt.byRule[def.index] = append(rt.byRule[def.index], at)
	return true
}

// related says whether an instance is one that the current instance means: it
// lies in the same scope instance, in one around it, or in one inside it.
func (rt *run) related(in *instance) bool {
	own := int(rt.current.scope)
	for s := own; s >= 0; s = rt.scopes[s].outer {
		if s == int(in.scope) {
			return true
		}
	}
	for s := int(in.scope); s >= 0; s = rt.scopes[s].outer {
		if s == own {
			return true
		}
	}
	return false
}

func samePlace(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
