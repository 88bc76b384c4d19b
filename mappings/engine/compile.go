package engine

import (
	"fmt"
	"sort"
	"strings"

	"meridian/fhir/schema"
	"meridian/mappings/source"
)

// Map is a compiled mapping file, or a layer over one.
type Map struct {
	Name    string
	Version string
	Input   Input

	layers        map[string]*Map // by name, of a map that layers extend
	autos         []*Map          // layers that apply by themselves, in the order of their files
	auto          *condition      // of a layer: to which messages
	names         *source.Names
	scopes        []scopeDef
	filters       []filterDef
	rejects       []rejectDef
	ignores       []ignoreDef
	ignoredPlaces map[source.Place]bool
	resources     []resourceDef
	subject       []idPart
	slots         int
	shared        int // number of shared members; they are numbered from 1
	parts         int // number of shared parts of keys
	memos         int // number of members with a memo; 0 in a test that wants none
}

// Input is the header's declaration of what the map reads.
type Input struct {
	Kind string // "hl7v2"
	Type string // "ORU_R01"
}

func (i Input) String() string { return i.Kind + " " + i.Type }

// variable is a scope or `each` variable, or a parameter of a partial, which stands for a path.
type variable struct {
	slot    int
	place   []string // from the root
	steps   []step   // of a parameter: from the slot's node
	repeats bool     // of a parameter: its path can give several nodes
	broken  bool     // its own path has a problem: paths from it say nothing new
}

// scopeDef is one level of repetition that several resources share.
type scopeDef struct {
	name  string
	outer int // index of the outer scope, -1: the message
	path  *path
	slot  int
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

// compiler turns the YAML of one map into closures and collects problems.
type compiler struct {
	problems Problems
	names    *source.Names
	grammar  Grammar
	input    Input
	tables   map[string]*Table
	bindings *bindings
	vars     map[string]variable
	rules    map[string]*ruleInfo
	partials map[string]*ynode
	using    []string // partials being compiled, against recursion
	scope    int      // of the rule being compiled
	each     int      // slot of its each variable, -1: none
	read     map[int]bool
	m        *Map
}

// ruleInfo is what other rules need to know of a rule before it is compiled.
type ruleInfo struct {
	index int
	typ   string
	scope int
	slot  int // of the each variable, -1: none
	sure  bool
	y     *ynode
}

func (c *compiler) problem(y *ynode, code, suggestion, format string, args ...any) {
	p := Problem{Code: code, Line: 1, Column: 1, Message: fmt.Sprintf(format, args...), Suggestion: suggestion}
	if y != nil {
		p.File = y.file
		if y.line > 0 {
			p.Line, p.Column = y.line, y.col
		}
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

// reads notes that something being compiled reads a variable.
func (c *compiler) reads(slot int) {
	if c.read != nil {
		c.read[slot] = true
	}
}

// bind makes a variable visible; it gives what undoes it.
func (c *compiler) bind(y *ynode, name string, p *path) (int, func()) {
	v := variable{slot: c.newSlot(), broken: p == nil}
	if p != nil {
		v.place = p.place
	}
	return v.slot, c.bindVariable(y, name, v)
}

func (c *compiler) bindVariable(y *ynode, name string, v variable) func() {
	if _, taken := c.vars[name]; taken || name == "" {
		c.problem(y, "M050", "", "variable %q is missing or shadows another", name)
	}
	old, had := c.vars[name]
	c.vars[name] = v
	return func() {
		delete(c.vars, name)
		if had {
			c.vars[name] = old
		}
	}
}

// compileMap compiles a checked document.
func (c *compiler) compileMap(y *ynode) *Map {
	c.each = -1
	c.m = &Map{Name: y.str("map"), Version: y.str("version"), Input: c.input, names: c.names}
	c.vars = map[string]variable{"msg": {slot: c.newSlot()}}
	c.partials = map[string]*ynode{}
	if p := y.get("partials"); p != nil {
		for i, k := range p.keys {
			c.partials[k.text] = p.vals[i]
		}
	}
	c.compileScopes(y.get("scopes"))
	c.scope = -1
	restore := c.hideScopes()
	c.m.auto = c.compileCondition(y.get("when"))
	for _, f := range y.get("filters").list() {
		c.m.filters = append(c.m.filters, filterDef{when: c.compileCondition(f.get("when")), rule: f.str("rule")})
	}
	for _, f := range y.get("rejects").list() {
		c.m.rejects = append(c.m.rejects, rejectDef{when: c.compileCondition(f.get("when")), code: f.str("code"), path: f.str("path"),
			hint: f.str("hint"), hintZH: f.str("hintZH")})
	}
	restore()
	c.compileIgnores(y.get("ignore"))
	list := y.get("resources").list()
	c.rules = map[string]*ruleInfo{}
	for i, r := range list {
		c.declare(i, r)
	}
	for _, r := range list {
		c.m.resources = append(c.m.resources, c.compileResource(r))
	}
	c.compileSubject(y.get("subject"))
	return c.m
}

func (c *compiler) compileScopes(y *ynode) {
	for _, s := range y.list() {
		d := scopeDef{name: s.str("as"), outer: -1}
		if in := s.str("in"); in != "" {
			d.outer = c.scopeIndex(s, in)
		}
		d.path = c.compilePath(s.get("each"), s.str("each"))
		d.slot, _ = c.bind(s, d.name, d.path)
		if d.path == nil {
			d.path = &path{}
		}
		c.m.scopes = append(c.m.scopes, d)
	}
}

// compileSubject compiles the key of the person, in the first scope.
func (c *compiler) compileSubject(y *ynode) {
	c.scope = -1
	if len(c.m.scopes) > 0 {
		c.scope = 0
	}
	defer c.hideScopes()()
	c.m.subject = c.compileParts(y)
}

// compileIgnores compiles what the map sets aside, each with its reason.
func (c *compiler) compileIgnores(y *ynode) {
	c.m.ignoredPlaces = map[source.Place]bool{}
	for _, g := range y.list() {
		for _, p := range g.get("places").list() {
			c.ignorePlace(p)
		}
		e := g.get("each")
		if e == nil {
			continue
		}
		d := ignoreDef{scope: -1, reason: g.str("reason")}
		if s := g.str("scope"); s != "" {
			d.scope = c.scopeIndex(g.get("scope"), s)
		}
		c.scope = d.scope
		restore := c.hideScopes()
		d.each = c.compilePath(e.get("path"), e.str("path"))
		var undo func()
		d.slot, undo = c.bind(e, e.str("as"), d.each)
		d.when = c.compileCondition(g.get("when"))
		undo()
		restore()
		if d.each != nil {
			c.m.ignores = append(c.m.ignores, d)
		}
	}
}

// ignorePlace reads "OBX.f1", "PID.f3.4" or "DSC": a segment, with a field and a component or without.
func (c *compiler) ignorePlace(y *ynode) {
	parts := strings.Split(y.text, ".")
	var at source.Place
	if len(parts) > len(at) {
		c.problem(y, "M020", "", "%q is longer than segment, field, component, sub-component", y.text)
		return
	}
	for i, p := range parts {
		sym, ok := c.names.Sym(p)
		if !ok || p == "" {
			c.problem(y, "M020", "", "no record has %q", p)
			return
		}
		at[i] = sym
	}
	c.m.ignoredPlaces[at] = true
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

// value is a text taken from the source: the first present of several paths.
type value struct {
	paths []*path
	text  string // literal
}

// get gives the text and the node it came from. What the paths behind it say is marked as read where it says the same.
func (v *value) get(rt *run) (string, source.Node) {
	for i, p := range v.paths {
		n := p.one(rt)
		s := n.Text()
		if s == "" {
			continue
		}
		for _, other := range v.paths[i+1:] {
			if o := other.one(rt).Scalar(); o.Valid() && o.Peek() == s {
				o.Mark()
			}
		}
		return s, n
	}
	if v.text == "" && len(v.paths) > 0 {
		return "", v.paths[0].one(rt)
	}
	return v.text, source.Node{}
}

// first is get for keys: it gives the text alone and marks nothing behind it.
func (v *value) first(rt *run) string {
	for _, p := range v.paths {
		if s := p.one(rt).Text(); s != "" {
			return s
		}
	}
	return v.text
}

// isPath says that a scalar is a source path: it begins with a variable and a dot.
func (c *compiler) isPath(y *ynode) bool {
	if y.kind != yamlScalar || y.quoted && strings.ContainsAny(y.text, " ") {
		return false
	}
	head, _, dot := strings.Cut(y.text, ".")
	v, known := c.vars[head]
	return known && (dot || v.steps != nil)
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
