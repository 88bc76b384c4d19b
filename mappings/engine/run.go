package engine

import (
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"

	"meridian/mappings/source"
)

// run is the state of one message's mapping. It is pooled: what a result keeps is copied out of it.
type run struct {
	m        *Map
	src      *Source
	tree     *source.Tree
	received time.Time
	zone     *time.Location
	msgZone  string // offset of the message's own time, "" when it has none

	vars     []source.Node // of scopes, each and message, by slot
	moreSlot int           // the each variable of the current resource, -1: it has none
	more     []source.Node // further rows that the each variable stands for
	scopes   []scopeInstance
	insts    []instance
	byRule   [][]int32 // indexes into insts
	rows     []source.Node
	current  *instance
	byID     map[uuid.UUID]int32
	dups     map[uuid.UUID]int

	spaceOf    string // the source that spaceID and the prefixes are of
	spaceID    uuid.UUID
	prefix     string // "urn:meridian:source:<id>:"
	prefixItem string // the prefix and "item"
	prefixJSON []byte // the prefix as it stands in a JSON string
	itemSystem string
	keyBuf     []byte

	out     []byte   // the transaction
	spans   [][2]int // of each instance's resource in out; empty for one that stands there already
	shared  []sharedSpan
	parts   []sharedText
	sets    []memoSet
	nextSet int    // the one that gives way
	memos   []memo // of the current map and source; empty when there are none
	message int    // numbers the messages of the set
	memo    *memo  // the one that is being written
	trace   tracer
	scope   int32 // the scope instance whose resources are being made
	scratch []byte
	suffix  string
	call    call
	value   valueCall
	unit    unitCache
	peeked  []source.Node
	times   timeCache
	other   otherCache

	findings []Finding
	unmapped []Unmapped
	park     *Park
}

// instance is one resource that a run will make, or the same one again.
type instance struct {
	def   *resourceDef
	uuid  uuid.UUID
	id    string
	bound source.Node // of the each variable
	rows  [2]int32    // further rows: run.rows[rows[0]:rows[1]]
	scope int32       // index into run.scopes
	first int32       // index of the instance that has the same id, -1: this is the first
}

// scopeInstance is one repetition of a scope. Number 0 is the message.
type scopeInstance struct {
	def   int // index into Map.scopes, -1: the message
	outer int // index into run.scopes
	node  source.Node
}

var runs = sync.Pool{New: func() any {
	return &run{byID: map[uuid.UUID]int32{}, dups: map[uuid.UUID]int{}}
}}

// What a pooled run keeps for the next message at most.
const (
	maxKeptBytes = 1 << 20
	maxKeptItems = 4096
)

// Run maps one record that came at received, the only clock there is. The error is a *Park: nothing of the message may be
// applied. The result's bytes are the caller's; the resources of one message share them.
func (m *Map) Run(tree *source.Tree, src *Source, received time.Time) (*Result, error) {
	if src.Layer != "" && src.Layer != m.Name {
		layer := m.layers[src.Layer]
		if layer == nil {
			return &Result{Map: m.id()}, &Park{Stage: "map", Code: "source.layer", Hint: "no layer of map " + m.Name + " is named " + src.Layer,
				HintZH: "来源设置的映射层不存在：" + src.Layer}
		}
		m = layer
	}
	rt := runs.Get().(*run)
	defer rt.release()
	rt.start(m, tree, src, received)
	if src.Layer == "" {
		for _, layer := range m.autos {
			if layer.auto.holds(rt) {
				m = layer
				rt.start(m, tree, src, received)
				break
			}
		}
	}
	res := &Result{Map: m.id()}
	rt.do(res)
	res.Findings, res.Unmapped = rt.findings, rt.unmapped
	if rt.park != nil {
		res.Resources, res.bundle = nil, nil
		return res, rt.park
	}
	return res, nil
}

func (m *Map) id() string { return m.Name + "@" + m.Version }

func (rt *run) do(res *Result) {
	if res.Filtered = rt.filtered(); res.Filtered != "" {
		return
	}
	rt.rejected()
	if res.Filtered = rt.enterScopes(); res.Filtered != "" || rt.park != nil {
		return
	}
	rt.instantiate()
	if rt.park != nil {
		return
	}
	res.Subject = rt.subject()
	rt.startMemos()
	rt.write(res)
	if rt.park == nil {
		res.Coverage = rt.coverage()
	}
}

func (rt *run) start(m *Map, tree *source.Tree, src *Source, received time.Time) {
	rt.m, rt.tree, rt.src, rt.received = m, tree, src, received
	if rt.zone = src.Zone; rt.zone == nil {
		rt.zone = defaultZone
	}
	rt.space(src.id())
	if rt.itemSystem = src.ItemSystem; rt.itemSystem == "" {
		rt.itemSystem = rt.prefixItem
	}
	if cap(rt.vars) < m.slots {
		rt.vars = make([]source.Node, m.slots)
	}
	rt.vars = rt.vars[:m.slots]
	clear(rt.vars)
	rt.vars[0], rt.moreSlot = tree.Root(), -1
	rt.call.rt = rt
	rt.scopes = append(rt.scopes[:0], scopeInstance{def: -1, outer: -1})
	if cap(rt.byRule) < len(m.resources) {
		rt.byRule = make([][]int32, len(m.resources))
	}
	rt.byRule = rt.byRule[:len(m.resources)]
	for i := range rt.byRule {
		rt.byRule[i] = rt.byRule[i][:0]
	}
	if cap(rt.shared) <= m.shared {
		rt.shared = make([]sharedSpan, m.shared+1)
	}
	rt.shared = rt.shared[:m.shared+1]
	clear(rt.shared)
	if cap(rt.parts) <= m.parts {
		rt.parts = make([]sharedText, m.parts+1)
	}
	rt.parts = rt.parts[:m.parts+1]
	clear(rt.parts)
	rt.msgZone = messageZone(tree, rt.zone)
}

// release gives the state back without what it points at.
func (rt *run) release() {
	rt.findings, rt.unmapped, rt.park, rt.current, rt.tree, rt.src, rt.more = nil, nil, nil, nil, nil, nil, nil
	rt.call, rt.times, rt.other, rt.unit = call{}, timeCache{}, otherCache{}, unitCache{}
	rt.value = valueCall{rows: rt.value.rows[:0]}
	clear(rt.value.rows[:cap(rt.value.rows)])
	if len(rt.insts) > maxKeptItems {
		rt.insts, rt.rows, rt.peeked, rt.spans, rt.scopes = nil, nil, nil, nil, nil
		rt.byID, rt.dups = map[uuid.UUID]int32{}, map[uuid.UUID]int{}
	}
	if cap(rt.out) > maxKeptBytes || cap(rt.scratch) > maxKeptBytes || cap(rt.keyBuf) > maxKeptBytes {
		rt.out, rt.scratch, rt.keyBuf = nil, nil, nil
	}
	clear(rt.trace.at[:cap(rt.trace.at)])
	clear(rt.trace.marks[:cap(rt.trace.marks)])
	clear(rt.parts)
	clear(rt.vars)
	clear(rt.scopes)
	clear(rt.insts)
	clear(rt.rows[:cap(rt.rows)])
	clear(rt.peeked[:cap(rt.peeked)])
	clear(rt.byID)
	clear(rt.dups)
	rt.insts, rt.rows, rt.out, rt.spans = rt.insts[:0], rt.rows[:0], rt.out[:0], rt.spans[:0]
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
		rt.findings = append(rt.findings, Finding{Code: code, Path: at.Start().Origin(), Text: text})
	}
}

// missing notes a code that no table knows, for the work list.
func (rt *run) missing(u Unmapped) {
	if len(rt.unmapped) < MaxFindings {
		rt.unmapped = append(rt.unmapped, u)
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
