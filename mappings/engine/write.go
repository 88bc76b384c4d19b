package engine

import (
	"bytes"
	"strconv"
	"time"

	"meridian/mappings/source"
)

// write emits the resources in the order of the rules, all into one buffer: the transaction of which they are the entries.
func (rt *run) write(res *Result) {
	res.Resources = make([]Out, 0, len(rt.insts))
	for i := range rt.insts {
		in := &rt.insts[i]
		rt.bind(in)
		mark := len(rt.out)
		if in.first < 0 {
			rt.out = appendEntryHead(rt.out, in.id, len(res.Resources) == 0)
		}
		start := len(rt.out)
		rt.out, _ = in.def.target(rt, rt.out)
		if rt.park != nil {
			return
		}
		if len(rt.out) > MaxOutput {
			rt.parkNow("map.too-large", "", "the message makes more than "+strconv.Itoa(MaxOutput)+" bytes", "消息产生的数据过大")
			return
		}
		if in.first >= 0 {
			rt.compareTwice(in, rt.out[start:])
			rt.out = rt.out[:mark]
			clear(rt.shared) // some may have stood there
			rt.spans = append(rt.spans, [2]int{})
			continue
		}
		rt.spans = append(rt.spans, [2]int{start, len(rt.out)})
		rt.out = appendEntryTail(rt.out, in.def.typ.Name, in.id)
		res.Resources = append(res.Resources, rt.outOf(in))
	}
	if len(res.Resources) == 0 {
		return
	}
	res.bundle = bytes.Clone(append(rt.out, `]}`...))
	k := 0
	for _, s := range rt.spans {
		if s[1] > 0 {
			res.Resources[k].JSON = res.bundle[s[0]:s[1]:s[1]]
			k++
		}
	}
}

// bind sets the variables of an instance.
func (rt *run) bind(in *instance) {
	clear(rt.vars[1:])
	rt.enter(int(in.scope))
	rt.moreSlot, rt.more = -1, nil
	if in.def.each != nil {
		rt.vars[in.def.slot] = in.bound
	}
	if in.rows[1] > in.rows[0] {
		rt.moreSlot, rt.more = in.def.slot, rt.rows[in.rows[0]:in.rows[1]]
		for _, n := range rt.more {
			markEqual(in.bound, n)
		}
	}
	rt.current = in
}

// outOf gives what goes with the JSON of an instance.
func (rt *run) outOf(in *instance) Out {
	def := in.def
	o := Out{Rule: def.name, Type: def.typ.Name, ID: in.id, Write: def.write, Union: def.union, Volatile: def.volatile, Initial: def.initial,
		Scope: int(in.scope)}
	for i := range def.clear {
		if n := def.clear[i].path.one(rt); n.State() == source.Null {
			n.Mark()
			o.Clear = append(o.Clear, def.clear[i].element)
		}
	}
	if def.guard != nil {
		o.Guard = rt.guardTime(def.guard.paths)
		o.Sent = rt.guardTime(def.guard.paths[max(0, len(def.guard.paths)-1):])
	}
	return o
}

// compareTwice compares a resource with the one of the same id that the message
// made before, such as a specimen that stands under each of its orders. The
// first is written; that they differ is said.
func (rt *run) compareTwice(in *instance, text []byte) {
	if s := rt.spans[in.first]; !bytes.Equal(rt.out[s[0]:s[1]], text) {
		rt.find(in.def.name+".twice", rt.place(in), "the message tells of the same "+in.def.typ.Name+" twice and differently; the first is kept")
	}
}

// place is the node that stands for an instance in findings.
func (rt *run) place(in *instance) source.Node {
	if in.bound.Valid() {
		return in.bound
	}
	return rt.scopes[in.scope].node
}

// markEqual marks what a further row merely repeats from the first one.
func markEqual(first, row source.Node) {
	if first.Leaf() && row.Leaf() {
		if first.Raw() == row.Raw() {
			row.Mark()
		}
		return
	}
	for c := row.First(); c.Valid(); c = c.Next() {
		if f := first.Child(c.Sym()); f.Valid() {
			markEqual(f, c)
		}
	}
}

// guardTime is the first of the places that holds a time.
func (rt *run) guardTime(paths []*path) time.Time {
	for _, p := range paths {
		n := p.one(rt)
		if s := n.Text(); s != "" {
			if t, ok := rt.instant(s, n); ok {
				return t
			}
		}
	}
	return time.Time{}
}
