package engine

import (
	"fmt"
	"sort"
	"strings"

	"meridian/fhir/schema"
	"meridian/mappings/source"
)

// variable is a scope or `each` variable.
type variable struct {
	slot  int
	place []string // from the root
	scope string   // scope that binds it; "" is the message
}

// scopeDef is one level of repetition that several resources share.
type scopeDef struct {
	name  string
	outer int // index of the outer scope, -1: the message
	path  *path
	slot  int
}

// resourceDef is one compiled resource rule.
type resourceDef struct {
	name     string
	typ      *schema.Type
	scope    int // index into scopes, -1: the message
	each     *path
	slot     int // of the each variable
	when     *condition
	id       []idPart
	onNoID   string // "park" or "skip"
	parkCode string
	target   emit
	guard    *value
	write    Write
	union    []string
	volatile []string
	clear    []clearRule
}

// clearRule deletes an element where the source says null.
type clearRule struct {
	element string
	path    *path
}

// idPart is one part of a business key: a value, the index among equal keys, or another rule's key.
type idPart struct {
	value *value
	dup   bool
	text  string
}

// filterDef lets a message pass without a trace in the record.
type filterDef struct {
	when *condition
	rule string
}

// rejectDef parks a message.
type rejectDef struct {
	when         *condition
	code, path   string
	hint, hintZH string
}

// Map is a compiled mapping file.
type Map struct {
	Name    string
	Version string
	Input   Input

	names     *source.Names
	scopes    []scopeDef
	filters   []filterDef
	rejects   []rejectDef
	resources []resourceDef
	subject   []idPart
	tables    map[string]*Table
	slots     int
}

// Input is the header's declaration of what the map reads.
type Input struct {
	Kind string // "hl7v2"
	Type string // "ORU_R01"
}

func (i Input) String() string { return i.Kind + " " + i.Type }

// compiler turns the YAML of one map into closures and collects problems.
type compiler struct {
	file     string
	problems Problems
	names    *source.Names
	grammar  Grammar
	input    Input
	tables   map[string]*Table
	vars     map[string]variable
	rules    map[string]*ruleInfo
	scope    int // of the rule being compiled
	m        *Map
}

// ruleInfo is what other rules need to know of a rule before it is compiled.
type ruleInfo struct {
	index int
	typ   string
	scope int
	each  bool
}

func (c *compiler) problem(y *ynode, code, suggestion, format string, args ...any) {
	p := Problem{Code: code, File: c.file, Line: 1, Column: 1, Message: fmt.Sprintf(format, args...), Suggestion: suggestion}
	if y != nil && y.line > 0 {
		p.Line, p.Column = y.line, y.col
	}
	c.problems = append(c.problems, p)
}

func (c *compiler) varNames() []string {
	out := make([]string, 0, len(c.vars))
	for v := range c.vars {
		out = append(out, v)
	}
	sort.Strings(out)
	return out
}

// newSlot gives a place for a variable's node.
func (c *compiler) newSlot() int {
	c.m.slots++
	return c.m.slots - 1
}

// bind makes a variable visible; it gives what undoes it.
func (c *compiler) bind(y *ynode, name string, p *path, scope string) (int, func()) {
	if _, taken := c.vars[name]; taken || name == "" {
		c.problem(y, "M050", "", "variable %q is missing or shadows another", name)
	}
	v := variable{slot: c.newSlot(), scope: scope}
	if p != nil {
		v.place = p.place
	}
	old, had := c.vars[name]
	c.vars[name] = v
	return v.slot, func() {
		delete(c.vars, name)
		if had {
			c.vars[name] = old
		}
	}
}

// compileMap compiles a checked document.
func (c *compiler) compileMap(y *ynode) *Map {
	c.m = &Map{Name: y.str("map"), Version: y.str("version"), Input: c.input, names: c.names, tables: c.tables}
	c.vars = map[string]variable{"msg": {slot: c.newSlot()}}
	c.compileScopes(y.get("scopes"))
	for _, f := range y.get("filters").list() {
		c.m.filters = append(c.m.filters, filterDef{when: c.compileCondition(f.get("when")), rule: f.str("rule")})
	}
	for _, f := range y.get("rejects").list() {
		c.m.rejects = append(c.m.rejects, rejectDef{when: c.compileCondition(f.get("when")), code: f.str("code"), path: f.str("path"),
			hint: f.str("hint"), hintZH: f.str("hintZH")})
	}
	list := y.get("resources").list()
	c.rules = map[string]*ruleInfo{}
	for i, r := range list {
		c.declare(i, r)
	}
	for _, r := range list {
		c.m.resources = append(c.m.resources, c.compileResource(r))
	}
	c.scope = -1
	c.m.subject = c.compileKey(y.get("subject"))
	return c.m
}

func (c *compiler) compileScopes(y *ynode) {
	for _, s := range y.list() {
		d := scopeDef{name: s.str("as"), outer: -1}
		if in := s.str("in"); in != "" {
			d.outer = c.scopeIndex(s, in)
		}
		d.path = c.compilePath(s.get("each"), s.str("each"))
		d.slot, _ = c.bind(s, d.name, d.path, d.name)
		c.m.scopes = append(c.m.scopes, d)
	}
}

func (c *compiler) scopeIndex(y *ynode, name string) int {
	var known []string
	for i, s := range c.m.scopes {
		if s.name == name {
			return i
		}
		known = append(known, s.name)
	}
	c.problem(y, "M020", nearest(name, known), "scope %q is not declared above", name)
	return -1
}

// declare notes a rule so that rules above it can refer to it.
func (c *compiler) declare(i int, r *ynode) {
	info := &ruleInfo{index: i, typ: r.str("type"), scope: -1, each: r.get("each") != nil}
	if s := r.str("scope"); s != "" {
		info.scope = c.scopeIndex(r, s)
	}
	name := r.str("name")
	if _, taken := c.rules[name]; taken {
		c.problem(r, "M050", "", "two resources are named %q", name)
	}
	c.rules[name] = info
}

// visible says whether an instance of the inner scope lies in one of the outer.
func (c *compiler) visible(inner, outer int) bool {
	for s := inner; ; s = c.m.scopes[s].outer {
		if s == outer {
			return true
		}
		if s < 0 {
			return false
		}
	}
}

// hideScopes removes the variables of scopes that the rule does not lie in.
func (c *compiler) hideScopes() func() {
	hidden := map[string]variable{}
	for i, s := range c.m.scopes {
		if !c.visible(c.scope, i) {
			hidden[s.name] = c.vars[s.name]
			delete(c.vars, s.name)
		}
	}
	return func() {
		for k, v := range hidden {
			c.vars[k] = v
		}
	}
}

func (c *compiler) compileResource(y *ynode) resourceDef {
	info := c.rules[y.str("name")]
	d := resourceDef{name: y.str("name"), scope: info.scope, write: Replace, onNoID: "park", parkCode: y.str("parkCode")}
	c.scope = info.scope
	defer c.hideScopes()()
	d.typ = schema.ByName(y.str("type"))
	if d.typ == nil || d.typ.Kind != schema.Resource || d.typ.Abstract {
		c.problem(y.get("type"), "M010", nearest(y.str("type"), schema.ResourceTypes()), "%q is not a resource type of R4", y.str("type"))
		return d
	}
	if e := y.get("each"); e != nil {
		d.each = c.compilePath(e.get("path"), e.str("path"))
		var undo func()
		d.slot, undo = c.bind(e, e.str("as"), d.each, "")
		defer undo()
	}
	d.when = c.compileCondition(y.get("when"))
	d.id = c.compileKey(y.get("id"))
	if len(d.id) == 0 {
		c.problem(y, "M040", "", "resource %q has no id: a message sent twice would make it twice", d.name)
	}
	if s := y.str("onMissingId"); s != "" {
		d.onNoID = s
	}
	if s := y.str("write"); s != "" {
		d.write = Write(s)
	}
	d.union, d.volatile = c.topLevel(d.typ, y.get("union")), c.topLevel(d.typ, y.get("volatile"))
	if g := y.get("guard"); g != nil {
		d.guard = c.compileValue(g)
	}
	for _, k := range y.get("clear").list() {
		d.clear = append(d.clear, clearRule{element: k.str("element"), path: c.compilePath(k.get("from"), k.str("from"))})
		c.topLevel(d.typ, k.get("element"))
	}
	d.target = c.compileObject(d.typ, y.get("target"), true)
	return d
}

// topLevel checks names of elements of a resource.
func (c *compiler) topLevel(t *schema.Type, y *ynode) []string {
	var out []string
	for _, e := range y.list() {
		if _, ok := t.Lookup([]byte(e.text)); !ok {
			c.problem(e, "M010", nearest(e.text, propertyNames(t)), "%s has no element %s", t.Name, e.text)
		}
		out = append(out, e.text)
	}
	return out
}

// compileKey compiles the parts of a business key.
func (c *compiler) compileKey(y *ynode) []idPart {
	var parts []idPart
	for _, e := range y.list() {
		switch {
		case e.kind == yamlScalar && e.text == "$dup":
			parts = append(parts, idPart{dup: true})
		case e.kind == yamlScalar && !c.isPath(e):
			parts = append(parts, idPart{text: e.text})
		default:
			parts = append(parts, idPart{value: c.compileValue(e)})
		}
	}
	return parts
}

// value is a text taken from the source: the first present of several paths.
type value struct {
	paths []*path
	text  string // literal
}

// get gives the text and the node it came from.
func (v *value) get(rt *run) (string, source.Node) {
	for _, p := range v.paths {
		n := p.one(rt)
		if s := n.Text(); s != "" {
			return s, n
		}
	}
	if v.text == "" && len(v.paths) > 0 {
		return "", v.paths[0].one(rt)
	}
	return v.text, source.Node{}
}

// isPath says that a scalar is a source path: it begins with a variable and a dot.
func (c *compiler) isPath(y *ynode) bool {
	if y.kind != yamlScalar || y.quoted && strings.ContainsAny(y.text, " ") {
		return false
	}
	head, _, dot := strings.Cut(y.text, ".")
	_, known := c.vars[head]
	return known && dot
}

// compileValue compiles a path, a list of paths, {from}, {firstOf} or {const}.
func (c *compiler) compileValue(y *ynode) *value {
	v := &value{}
	if y == nil {
		return v
	}
	if y.kind == yamlMap {
		if k := y.get("const"); k != nil {
			v.text = k.text
			return v
		}
		if f := y.get("firstOf"); f != nil {
			return c.compileValue(f)
		}
		return c.compileValue(y.get("from"))
	}
	for _, e := range y.list() {
		if e.kind != yamlScalar {
			c.problem(e, "M001", "", "a source path is expected here")
			continue
		}
		if p := c.compilePath(e, e.text); p != nil {
			v.paths = append(v.paths, p)
		}
	}
	return v
}

func propertyNames(t *schema.Type) []string {
	var out []string
	for _, p := range t.Properties() {
		out = append(out, p.JSON)
	}
	return out
}
