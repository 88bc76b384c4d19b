package engine

import (
	"slices"

	"meridian/fhir/schema"
)

// resourceDef is one compiled resource rule.
type resourceDef struct {
	name      string
	index     int
	typ       *schema.Type
	scope     int // index into scopes, -1: the message
	each      *path
	slot      int // of the each variable
	continues *condition
	prevSlot  int // of the variable prev in continues
	when      *condition
	keys      [][]idPart // the first that identifies
	onNoID    string     // "park" or "skip"
	parkCode  string
	ambiguous string // finding code of equal keys
	target    emit
	guard     *value
	write     Write
	union     []string
	volatile  []string
	initial   []string
	clear     []clearRule
}

// clearRule deletes an element where the source says null.
type clearRule struct {
	element string
	path    *path
}

// declare notes a rule so that rules above it can refer to it.
func (c *compiler) declare(i int, r *ynode) {
	info := &ruleInfo{index: i, typ: r.str("type"), scope: -1, slot: -1, y: r}
	if s := r.str("scope"); s != "" {
		info.scope = c.scopeIndex(r.get("scope"), s)
	}
	if r.get("each") != nil {
		info.slot = c.newSlot()
	}
	info.sure = r.get("each") == nil && r.get("when") == nil && r.str("onMissingId") != "skip"
	name := r.str("name")
	if _, taken := c.rules[name]; taken {
		c.problem(r.get("name"), "M050", "", "two resources are named %q", name)
	}
	c.rules[name] = info
}

func (c *compiler) compileResource(y *ynode) resourceDef {
	info := c.rules[y.str("name")]
	d := resourceDef{name: y.str("name"), index: info.index, scope: info.scope, slot: info.slot, write: Replace, onNoID: "park"}
	c.scope = info.scope
	defer c.hideScopes()()
	d.typ = schema.ByName(y.str("type"))
	if d.typ == nil || d.typ.Kind != schema.Resource || d.typ.Abstract {
		c.problem(y.get("type"), "M010", nearest(y.str("type"), schema.ResourceTypes()), "%q is not a resource type of R4", y.str("type"))
		return d
	}
	if e := y.get("each"); e != nil {
		defer c.compileEach(&d, e)()
	}
	c.each = d.slot
	defer func() { c.each = -1 }()
	d.when = c.compileCondition(y.get("when"))
	c.compileID(&d, y)
	if s := y.str("write"); s != "" {
		d.write = Write(s)
	}
	d.union, d.volatile, d.initial = c.topLevel(d.typ, y.get("union")), c.topLevel(d.typ, y.get("volatile")), c.topLevel(d.typ, y.get("initial"))
	c.checkUnion(d.typ, y.get("union"))
	if g := y.get("guard"); g != nil {
		d.guard = c.compileValue(g)
	}
	for _, k := range y.get("clear").list() {
		if p := c.compilePath(k.get("from"), k.str("from")); p != nil {
			d.clear = append(d.clear, clearRule{element: k.str("element"), path: p})
		}
		c.topLevel(d.typ, k.get("element"))
	}
	d.target = c.compileObject(d.typ, y.get("target"), true).emit
	return d
}

// compileEach binds the variable of a rule that repeats; what it gives undoes that.
func (c *compiler) compileEach(d *resourceDef, e *ynode) func() {
	d.each = c.compilePath(e.get("path"), e.str("path"))
	v := variable{slot: d.slot, broken: d.each == nil}
	if d.each == nil {
		d.each = &path{}
	}
	v.place = d.each.place
	undo := c.bindVariable(e.get("as"), e.str("as"), v)
	if k := e.get("continues"); k != nil {
		prev := v
		prev.slot = c.newSlot()
		d.prevSlot = prev.slot
		unprev := c.bindVariable(k, "prev", prev)
		d.continues = c.compileCondition(k)
		unprev()
	}
	return undo
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

// checkUnion: only a list can be added to.
func (c *compiler) checkUnion(t *schema.Type, y *ynode) {
	for _, e := range y.list() {
		if p, ok := t.Lookup([]byte(e.text)); ok && !t.Elements[p.Element].Repeats() {
			c.problem(e, "M011", "", "%s.%s takes one value: there is nothing to unite", t.Name, e.text)
		}
	}
}

// compileID compiles the keys: a list of parts, or {firstOf: [parts, parts]}.
func (c *compiler) compileID(d *resourceDef, y *ynode) {
	if s := y.str("onMissingId"); s != "" {
		d.onNoID = s
	}
	if d.parkCode = y.str("parkCode"); d.parkCode == "" {
		d.parkCode = d.name + ".unidentified"
	}
	if d.ambiguous = y.str("ambiguous"); d.ambiguous == "" {
		d.ambiguous = d.name + ".ambiguous"
	}
	id := y.get("id")
	if id == nil {
		c.problem(y, "M040", "", "resource %q has no id: a message sent twice would make it twice", d.name)
		return
	}
	keys := []*ynode{id}
	if id.kind == yamlMap {
		keys = id.get("firstOf").list()
	}
	for _, k := range keys {
		c.read = map[int]bool{}
		parts := c.compileParts(k)
		c.checkKey(d, k, parts)
		c.read = nil
		d.keys = append(d.keys, parts)
	}
}

// checkKey checks that a key can identify (M040).
func (c *compiler) checkKey(d *resourceDef, y *ynode, parts []idPart) {
	switch {
	case len(parts) == 0 || parts[0].value == nil:
		c.problem(y, "M040", "", "the first part of the id of %q is constant: it must come from the record, since without it there is no id", d.name)
		return
	case d.each != nil && !c.read[d.slot]:
		c.problem(y, "M040", "", "%q is made for each of %s, but no part of its id reads the variable of that: all would be one", d.name, d.each.text)
	case d.each == nil && d.scope >= 0 && !c.read[c.m.scopes[d.scope].slot]:
		c.problem(y, "M040", "", "no part of the id of %q reads scope %s: all of the message would be one", d.name, c.m.scopes[d.scope].name)
	}
	isDup := func(p idPart) bool { return p.dup }
	if i := slices.IndexFunc(parts, isDup); i >= 0 && slices.ContainsFunc(parts[i+1:], isDup) {
		c.problem(y, "M040", "", "$dup stands more than once")
	}
}

// compileParts compiles the parts of a business key.
func (c *compiler) compileParts(y *ynode) []idPart {
	var parts []idPart
	for _, e := range y.list() {
		switch {
		case e.kind == yamlScalar && e.text == "$dup":
			parts = append(parts, idPart{dup: true})
		case e.kind == yamlScalar && !c.isPath(e):
			parts = append(parts, idPart{text: e.text})
		default:
			v := c.compileValue(e)
			c.repeatsProblem(e, v)
			part := idPart{value: v}
			if c.each >= 0 && !slices.ContainsFunc(v.paths, func(p *path) bool { return p.slot == c.each }) {
				c.m.parts++
				part.shared = c.m.parts
			}
			parts = append(parts, part)
		}
	}
	return parts
}
