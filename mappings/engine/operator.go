package engine

import (
	"sort"
	"strings"

	"meridian/fhir/schema"
	"meridian/mappings/source"
)

// operators are the keys that make a YAML map a leaf instead of an element tree.
var operators = []string{"from", "firstOf", "fn", "lookup", "ref", "refs", "switch", "choose", "each", "const", "value", "if"}

// isLeaf says that a YAML map is an operator. An element of the target type that is
// named like one (value, use) wins unless the operator `fn`, `lookup`, … stands beside it.
func isLeaf(y *ynode, t *schema.Type) bool {
	if y.kind != yamlMap {
		return false
	}
	for _, k := range y.keys {
		for _, op := range operators {
			if k.text != op {
				continue
			}
			if t == nil {
				return true
			}
			if _, element := t.Lookup([]byte(k.text)); !element {
				return true
			}
		}
	}
	return false
}

// compileOperator compiles {from}, {fn}, {lookup}, {ref}, {refs}, {switch}, {choose}, {const}, {value}, each with `if`, `each` and `finding`.
func (c *compiler) compileOperator(e *schema.Element, typ schema.ID, y *ynode) leaf {
	var t *schema.Type
	if typ != 0 {
		t = schema.ByID(typ)
	}
	undo := func() {}
	var each *path
	var slot int
	if it := y.get("each"); it != nil {
		each = c.compilePath(it.get("path"), it.str("path"))
		slot, undo = c.bind(it.get("as"), it.str("as"), each)
	}
	c.checkOperator(e, y)
	out := c.compileBody(e, t, typ, y)
	if w := y.get("if"); w != nil {
		out = ifLeaf(c.compileCondition(w), out)
	}
	if code := y.str("finding"); code != "" {
		out.emit = findingEmit(code, out.emit)
	}
	undo()
	if y.get("each") != nil {
		if !e.Repeats() {
			c.problem(y.get("each"), "M011", "", "%s takes one value, each can give many", e.Path)
		}
		out = leaf{emit: eachEmit(each, slot, out.emit)}
	}
	return out
}

// operatorKeys are what may stand in an operator.
var operatorKeys = []string{"args", "as", "case", "cases", "column", "const", "default", "each", "empty", "finding", "firstOf", "fn", "from",
	"if", "lookup", "on", "onMissing", "ref", "refs", "switch", "choose", "value", "where"}

func (c *compiler) checkOperator(e *schema.Element, y *ynode) {
	known := map[string]bool{}
	for _, k := range operatorKeys {
		known[k] = true
	}
	for _, k := range y.keys {
		if !known[k.text] {
			c.problem(k, "M001", nearest(k.text, operatorKeys), "%s: %q is not part of an operator", e.Path, k.text)
		}
	}
}

func (c *compiler) compileBody(e *schema.Element, t *schema.Type, typ schema.ID, y *ynode) leaf {
	switch {
	case y.get("fn") != nil:
		return c.compileCall(e, t, y)
	case y.get("lookup") != nil:
		return c.compileLookup(e, t, y)
	case y.get("ref") != nil:
		return c.compileRef(e, y, y.get("ref"), false)
	case y.get("refs") != nil:
		return c.compileRef(e, y, y.get("refs"), true)
	case y.get("switch") != nil:
		return c.compileSwitch(e, typ, y.get("switch"))
	case y.get("choose") != nil:
		return c.compileChoose(e, typ, y.get("choose"))
	case y.get("value") != nil:
		return c.compileLeaf(e, typ, y.get("value"))
	case y.get("const") != nil:
		return c.literal(e, t, y.get("const"))
	case y.get("firstOf") != nil || y.get("from") != nil:
		return c.fromLeaf(e, t, y, c.compileValue(y))
	}
	c.problem(y, "M001", "", "%s: an operator without what it works on", e.Path)
	return failed
}

func ifLeaf(cond *condition, then leaf) leaf {
	return leaf{emit: func(rt *run, b []byte) ([]byte, bool) {
		if !cond.holds(rt) {
			return b, false
		}
		return then.emit(rt, b)
	}}
}

// findingEmit notes that a leaf wrote: for values that a person should look at.
func findingEmit(code string, then emit) emit {
	return func(rt *run, b []byte) ([]byte, bool) {
		b, ok := then(rt, b)
		if ok {
			rt.find(code, rt.place(rt.current), "the map says so for "+rt.current.def.typ.Name)
		}
		return b, ok
	}
}

func eachEmit(p *path, slot int, item emit) emit {
	return func(rt *run, b []byte) ([]byte, bool) {
		if p == nil {
			return b, false
		}
		wrote := false
		var buf [16]source.Node
		for _, n := range p.each(rt, buf[:0]) {
			if n.Ignored() {
				continue
			}
			rt.vars[slot] = n
			mark := len(b)
			if wrote {
				b = append(b, ',')
			}
			var ok bool
			if b, ok = item(rt, b); !ok {
				b = b[:mark]
				continue
			}
			wrote = true
		}
		rt.vars[slot] = source.Node{}
		return b, wrote
	}
}

// compileRef writes a Reference to another rule's resource; `where` chooses among many.
func (c *compiler) compileRef(e *schema.Element, y, r *ynode, many bool) leaf {
	info := c.rules[r.text]
	if info == nil {
		var known []string
		for k := range c.rules {
			known = append(known, k)
		}
		sort.Strings(known)
		c.problem(r, "M015", nearest(r.text, known), "no resource is named %q", r.text)
		return failed
	}
	if !targetAllowed(e.Targets, info.typ) {
		c.problem(r, "M015", "", "%s may not refer to a %s; allowed: %s", e.Path, info.typ, strings.Join(e.Targets, ", "))
	}
	if many && !e.Repeats() {
		c.problem(r, "M011", "", "%s takes one reference, refs gives many", e.Path)
	}
	if !c.visible(c.scope, info.scope) && !many {
		c.problem(r, "M015", "", "resource %q lies in an inner scope: there can be many, use refs", r.text)
	}
	where := c.compileWhere(y.get("where"), info)
	head := `{"reference":"` + info.typ + `/`
	index, slot := info.index, info.slot
	out := leaf{sure: info.sure && where == nil && c.visible(c.scope, info.scope)}
	out.emit = func(rt *run, b []byte) ([]byte, bool) {
		wrote := false
		rt.trace.local = true
		for _, i := range rt.byRule[index] {
			in := &rt.insts[i]
			if !rt.related(in) || in.first >= 0 && rt.related(&rt.insts[in.first]) {
				continue
			}
			if where != nil && !rt.holdsFor(where, slot, in) {
				continue
			}
			if wrote {
				b = append(b, ',')
			}
			b = append(append(append(b, head...), in.id...), '"', '}')
			wrote = true
			if !many {
				break
			}
		}
		return b, wrote
	}
	return out
}

// compileWhere compiles a condition over the instances of another rule, with that rule's each variable.
func (c *compiler) compileWhere(y *ynode, info *ruleInfo) *condition {
	e := info.y.get("each")
	if y == nil {
		return nil
	}
	if e == nil {
		c.problem(y, "M022", "", "resource %q is made once: there is nothing to choose from", info.y.str("name"))
		return nil
	}
	problems := len(c.problems)
	p := c.compilePath(e.get("path"), e.str("path"))
	c.problems = c.problems[:problems] // noted where the rule is compiled
	if p == nil {
		return nil
	}
	name := e.str("as")
	old, had := c.vars[name]
	c.vars[name] = variable{slot: info.slot, place: p.place}
	cond := c.compileCondition(y)
	delete(c.vars, name)
	if had {
		c.vars[name] = old
	}
	return cond
}

// holdsFor evaluates a condition with another instance's variable.
func (rt *run) holdsFor(cond *condition, slot int, in *instance) bool {
	old := rt.vars[slot]
	rt.vars[slot] = in.bound
	ok := cond.holds(rt)
	rt.vars[slot] = old
	return ok
}

func targetAllowed(targets []string, typ string) bool {
	if len(targets) == 0 {
		return true
	}
	for _, t := range targets {
		if t == typ || t == "Resource" {
			return true
		}
	}
	return false
}

// compileSwitch chooses a leaf by the text of a path.
func (c *compiler) compileSwitch(e *schema.Element, typ schema.ID, y *ynode) leaf {
	on := c.compileValue(y.get("on"))
	c.repeatsProblem(y, on)
	cases := map[string]emit{}
	sure := true
	if m := y.get("cases"); m != nil && m.kind == yamlMap {
		for i, k := range m.keys {
			f := c.compileLeaf(e, typ, m.vals[i])
			cases[k.text], sure = f.emit, sure && f.sure
		}
	} else {
		c.problem(y, "M001", "", "%s: a switch needs cases", e.Path)
	}
	other := nothing
	if d := y.get("default"); d != nil {
		f := c.compileLeaf(e, typ, d)
		other, sure = f.emit, sure && f.sure
	} else {
		sure = false
		if e.Min > 0 {
			c.problem(y, "M013", "", "%s is required: the switch needs a default", e.Path)
			sure = true
		}
	}
	return leaf{sure: sure, emit: func(rt *run, b []byte) ([]byte, bool) {
		s, _ := on.get(rt)
		if f, ok := cases[s]; ok {
			return f(rt, b)
		}
		return other(rt, b)
	}}
}

// compileChoose takes the first of several leaves that writes something.
func (c *compiler) compileChoose(e *schema.Element, typ schema.ID, y *ynode) leaf {
	if y.kind != yamlList || len(y.vals) < 2 {
		c.problem(y, "M001", "", "%s: choose takes a list of at least two", e.Path)
		return failed
	}
	parts := make([]emit, len(y.vals))
	out := leaf{}
	for i, v := range y.vals {
		f := c.compileLeaf(e, typ, v)
		if out.sure {
			c.problem(v, "M050", "", "%s: what stands above always writes, this never does", e.Path)
		}
		parts[i], out.sure = f.emit, out.sure || f.sure
	}
	out.emit = func(rt *run, b []byte) ([]byte, bool) {
		for _, f := range parts {
			var ok bool
			if b, ok = f(rt, b); ok || rt.park != nil {
				return b, ok
			}
		}
		return b, false
	}
	return out
}

// compilePartial compiles {partial: name, with: {parameter: path}}: the tree that the map declares once, with the members that
// stand beside it in addition or instead.
func (c *compiler) compilePartial(t *schema.Type, y, name *ynode, root bool) leaf {
	body := c.partials[name.text]
	if body == nil {
		var known []string
		for k := range c.partials {
			known = append(known, k)
		}
		sort.Strings(known)
		c.problem(name, "M050", nearest(name.text, known), "there is no partial %q", name.text)
		return failed
	}
	for _, u := range c.using {
		if u == name.text {
			c.problem(name, "M050", "", "partial %q uses itself", name.text)
			return failed
		}
	}
	c.using = append(c.using, name.text)
	defer func() { c.using = c.using[:len(c.using)-1] }()
	defer c.bindParameters(y, body)()
	tree := body.get("target")
	merged := &ynode{kind: yamlMap, file: y.file, line: y.line, col: y.col}
	for i, k := range tree.keys {
		if y.get(k.text) == nil {
			merged.keys, merged.vals = append(merged.keys, k), append(merged.vals, tree.vals[i])
		}
	}
	for i, k := range y.keys {
		if k.text != "partial" && k.text != "with" {
			merged.keys, merged.vals = append(merged.keys, k), append(merged.vals, y.vals[i])
		}
	}
	return c.compileObject(t, merged, root)
}

// bindParameters makes the parameters of a partial visible as names for paths.
func (c *compiler) bindParameters(y, body *ynode) func() {
	var undo []func()
	with := y.get("with")
	var names []string
	for _, p := range body.get("params").list() {
		names = append(names, p.text)
		v := with.get(p.text)
		if v == nil {
			c.problem(y, "M050", "", "partial %q needs the parameter %q", y.str("partial"), p.text)
			continue
		}
		if path := c.compilePath(v, v.text); path != nil {
			steps := path.steps
			if steps == nil {
				steps = []step{}
			}
			undo = append(undo, c.bindVariable(v, p.text, variable{slot: path.slot, place: path.place, steps: steps, repeats: path.repeats}))
		}
	}
	if with != nil {
		for _, k := range with.keys {
			if nearest := nearest(k.text, names); !containsText(names, k.text) {
				c.problem(k, "M050", nearest, "partial %q has no parameter %q", y.str("partial"), k.text)
			}
		}
	}
	return func() {
		for _, f := range undo {
			f()
		}
	}
}

func containsText(list []string, s string) bool {
	for _, t := range list {
		if t == s {
			return true
		}
	}
	return false
}
