package engine

import (
	"strconv"
	"strings"
	"sync"
	"time"

	"meridian/mappings/source"
)

// instance is one resource that a run will make.
type instance struct {
	def   *resourceDef
	index int // of the rule
	id    string
	bound source.Node // of the each variable
	scope int         // index into run.scopes
}

// scopeInstance is one repetition of a scope. Number 0 is the message.
type scopeInstance struct {
	def   int // index into Map.scopes, -1: the message
	outer int // index into run.scopes
	node  source.Node
}

// run is the state of one message's mapping.
type run struct {
	m        *Map
	src      *Source
	zone     *time.Location
	msgZone  string // offset of the message's own time, "" when it has none
	tree     *source.Tree
	vars     []source.Node
	scopes   []scopeInstance
	byRule   [][]*instance
	current  *instance
	scratch  []byte
	suffix   string
	findings []Finding
	unmapped []Unmapped
	park     *Park
	received time.Time
}

var runs = sync.Pool{New: func() any { return new(run) }}

// Run maps one record that came at received, the only clock there is. The error is a *Park: nothing of the message may be
// applied. The result's bytes are the caller's.
func (m *Map) Run(tree *source.Tree, src *Source, received time.Time) (*Result, error) {
	rt := runs.Get().(*run)
	defer rt.release()
	rt.start(m, tree, src)
	rt.received = received
	res := &Result{Map: m.Name + "@" + m.Version}
	if rule := rt.filtered(); rule != "" {
		res.Filtered, res.Findings = rule, rt.findings
		return res, rt.err()
	}
	rt.rejected()
	rt.enterScopes()
	rt.instantiate()
	if rt.park == nil {
		res.Subject = rt.subject()
		rt.write(res)
	}
	res.Findings, res.Unmapped = rt.findings, rt.unmapped
	if rt.park != nil {
		return res, rt.park
	}
	return res, nil
}

func (rt *run) err() error {
	if rt.park != nil {
		return rt.park
	}
	return nil
}

func (rt *run) start(m *Map, tree *source.Tree, src *Source) {
	rt.m, rt.tree, rt.src = m, tree, src
	rt.zone = src.Zone
	if rt.zone == nil {
		rt.zone = defaultZone
	}
	if cap(rt.vars) < m.slots {
		rt.vars = make([]source.Node, m.slots)
	}
	rt.vars = rt.vars[:m.slots]
	clear(rt.vars)
	rt.vars[0] = tree.Root()
	rt.scopes = append(rt.scopes[:0], scopeInstance{def: -1, outer: -1})
	if cap(rt.byRule) < len(m.resources) {
		rt.byRule = make([][]*instance, len(m.resources))
	}
	rt.byRule = rt.byRule[:len(m.resources)]
	for i := range rt.byRule {
		rt.byRule[i] = rt.byRule[i][:0]
	}
	rt.msgZone = messageZone(tree)
}

// release gives the state back without what it points at.
func (rt *run) release() {
	rt.findings, rt.unmapped, rt.park, rt.current, rt.tree, rt.src = nil, nil, nil, nil, nil, nil
	clear(rt.vars)
	for i := range rt.byRule {
		clear(rt.byRule[i])
	}
	clear(rt.scopes)
	if cap(rt.scratch) > 1<<20 {
		rt.scratch = nil
	}
	runs.Put(rt)
}

// parkNow stops the message; the first reason wins.
func (rt *run) parkNow(code, path, hint, hintZH string) {
	if rt.park == nil {
		rt.park = &Park{Stage: "map", Code: code, Path: path, Hint: hint, HintZH: hintZH}
	}
}

// find notes a finding; past MaxFindings the message goes on and says so once.
func (rt *run) find(code string, at source.Node, text string) {
	switch n := len(rt.findings); {
	case n == MaxFindings:
		rt.findings = append(rt.findings, Finding{Code: "findings.limit", Text: "more findings than the limit of " + strconv.Itoa(MaxFindings)})
	case n < MaxFindings:
		rt.findings = append(rt.findings, Finding{Code: code, Path: at.Origin(), Text: text})
	}
}

func (rt *run) filtered() string {
	for i := range rt.m.filters {
		if rt.m.filters[i].when.holds(rt) {
			return rt.m.filters[i].rule
		}
	}
	return ""
}

func (rt *run) rejected() {
	for i := range rt.m.rejects {
		if r := &rt.m.rejects[i]; r.when.holds(rt) {
			rt.parkNow(r.code, r.path, r.hint, r.hintZH)
		}
	}
}

// enterScopes finds the repetitions of every scope, outer ones first.
func (rt *run) enterScopes() {
	var buf [64]source.Node
	for d := range rt.m.scopes {
		def := &rt.m.scopes[d]
		for s, n := 0, len(rt.scopes); s < n; s++ {
			if rt.scopes[s].def != def.outer {
				continue
			}
			rt.enter(s)
			for _, node := range def.path.each(rt, buf[:0]) {
				rt.scopes = append(rt.scopes, scopeInstance{def: d, outer: s, node: node})
			}
		}
	}
}

// enter binds the scope variables of instance s.
func (rt *run) enter(s int) {
	for ; s > 0; s = rt.scopes[s].outer {
		rt.vars[rt.m.scopes[rt.scopes[s].def].slot] = rt.scopes[s].node
	}
}

// instantiate decides which resources there will be and under which ids.
func (rt *run) instantiate() {
	var buf [128]source.Node
	total := 0
	dups := map[string]int{}
	for i := range rt.m.resources {
		def := &rt.m.resources[i]
		for s := range rt.scopes {
			if rt.scopes[s].def != def.scope {
				continue
			}
			rt.enter(s)
			if def.each == nil {
				rt.make(def, i, s, source.Node{}, dups)
				continue
			}
			for _, n := range def.each.each(rt, buf[:0]) {
				rt.vars[def.slot] = n
				rt.make(def, i, s, n, dups)
			}
			rt.vars[def.slot] = source.Node{}
		}
		if total += len(rt.byRule[i]); total > MaxResources {
			rt.parkNow("map.too-many", "", "the message makes more than "+strconv.Itoa(MaxResources)+" resources", "消息产生的资源过多")
			return
		}
	}
}

// make adds an instance when its condition holds and its key identifies it.
func (rt *run) make(def *resourceDef, index, scope int, n source.Node, dups map[string]int) {
	if !def.when.holds(rt) {
		return
	}
	key, ok := rt.key(def.id, def.name, dups)
	if !ok {
		if def.onNoID == "park" {
			code := def.parkCode
			if code == "" {
				code = def.name + ".unidentified"
			}
			rt.parkNow(code, rt.firstPlace(def.id, n), "the message does not identify its "+def.typ.Name, "消息中缺少标识："+def.typ.Name)
		}
		return
	}
	id := StableID(rt.src.id(), def.typ.Name, key...)
	for _, o := range rt.byRule[index] {
		if o.id == id { // the same resource again, such as one specimen under two orders
			return
		}
	}
	rt.byRule[index] = append(rt.byRule[index], &instance{def: def, index: index, id: id, bound: n, scope: scope})
}

// key evaluates the parts. The first one identifies: without it there is no key.
func (rt *run) key(parts []idPart, rule string, dups map[string]int) ([]string, bool) {
	out := make([]string, 0, len(parts))
	dup := -1
	for i, p := range parts {
		switch {
		case p.dup:
			dup = len(out)
			out = append(out, "0")
		case p.value != nil:
			s, _ := p.value.get(rt)
			if s = strings.TrimSpace(s); s == "" && i == 0 {
				return nil, false
			}
			out = append(out, s)
		default:
			out = append(out, p.text)
		}
	}
	if dup >= 0 {
		k := rule + "\x1f" + strings.Join(out, "\x1f")
		out[dup] = strconv.Itoa(dups[k])
		dups[k]++
	}
	return out, true
}

// firstPlace names where the first part of a key should have been.
func (rt *run) firstPlace(parts []idPart, n source.Node) string {
	for _, p := range parts {
		if p.value != nil && len(p.value.paths) > 0 {
			return p.value.paths[0].text
		}
	}
	return n.Origin()
}

// related says whether an instance of a rule in scope other is the one that the
// current instance, of a rule in scope own, means.
func (rt *run) related(in *instance, own, other int) bool {
	if own == other && other == in.def.scope {
		return in.scope == rt.current.scope
	}
	for s := rt.current.scope; s >= 0; s = rt.scopes[s].outer {
		if s == in.scope {
			return true // it lies in an outer scope of ours
		}
	}
	for s := in.scope; s >= 0; s = rt.scopes[s].outer {
		if s == rt.current.scope {
			return true // it lies in an inner scope of ours
		}
	}
	return false
}

func (rt *run) subject() string {
	rt.enter(firstScope(rt))
	key, ok := rt.key(rt.m.subject, "subject", map[string]int{})
	if !ok {
		return ""
	}
	return strings.Join(key, "|")
}

func firstScope(rt *run) int {
	if len(rt.scopes) > 1 {
		return 1
	}
	return 0
}

// write emits the resources in the order of the rules.
func (rt *run) write(res *Result) {
	size := 0
	for i := range rt.byRule {
		for _, in := range rt.byRule[i] {
			o := rt.emitOne(in)
			if rt.park != nil {
				return
			}
			if size += len(o.JSON); size > MaxOutput {
				rt.parkNow("map.too-large", "", "the message makes more than "+strconv.Itoa(MaxOutput)+" bytes", "消息产生的数据过大")
				return
			}
			res.Resources = append(res.Resources, o)
		}
	}
}

func (rt *run) emitOne(in *instance) Out {
	def := in.def
	clear(rt.vars[1:])
	rt.enter(in.scope)
	if def.each != nil {
		rt.vars[def.slot] = in.bound
	}
	rt.current = in
	b, _ := def.target(rt, make([]byte, 0, 1536))
	o := Out{Rule: def.name, Type: def.typ.Name, ID: in.id, JSON: b, Write: def.write, Union: def.union, Volatile: def.volatile, Scope: in.scope}
	for i := range def.clear {
		if def.clear[i].path.one(rt).State() == source.Null {
			o.Clear = append(o.Clear, def.clear[i].element)
		}
	}
	if def.guard != nil {
		o.Guard = rt.guardTime(def.guard)
	}
	return o
}

func (rt *run) guardTime(v *value) time.Time {
	for _, p := range v.paths {
		n := p.one(rt)
		if s := n.Text(); s != "" {
			if t, ok := rt.instant(s, n); ok {
				return t
			}
		}
	}
	return time.Time{}
}
