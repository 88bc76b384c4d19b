package engine

import (
	"sort"
	"strconv"
	"strings"

	"meridian/fhir/schema"
	"meridian/mappings/source"
)

// emit appends one JSON value (or, for a list, its entries separated by commas)
// and says whether it wrote anything. It appends nothing otherwise.
type emit func(rt *run, b []byte) ([]byte, bool)

// operators are the keys that make a YAML map a leaf instead of an element tree.
var operators = []string{"from", "firstOf", "fn", "lookup", "ref", "refs", "switch", "each", "const", "value", "if"}

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

// member is one property of a compiled object.
type member struct {
	key    []byte // `"code":`
	list   bool
	value  emit
	choice bool // value sets rt.suffix; key is `"value` without the closing quote
}

// compileObject compiles an element tree of type t; root adds resourceType and id.
func (c *compiler) compileObject(t *schema.Type, y *ynode, root bool) emit {
	if y == nil || y.kind != yamlMap {
		c.problem(y, "M001", "", "an element tree of %s is expected", t.Name)
		return nothing
	}
	var members []member
	seen := map[int16]*ynode{}
	for i, k := range y.keys {
		if m, el, ok := c.compileMember(t, k, y.vals[i]); ok {
			if first := seen[el]; first != nil {
				c.problem(k, "M013", "", "%s.%s is given twice; a choice takes one type, use value[x] or switch", t.Name, t.Elements[el].Name)
			}
			seen[el] = k
			members = append(members, m)
		}
	}
	for i := range t.Elements {
		if e := &t.Elements[i]; e.Min > 0 && seen[int16(i)] == nil {
			c.problem(y, "M011", "", "%s.%s is required by R4 and has no rule", t.Name, e.Name)
		}
	}
	head := ""
	if root {
		head = `{"resourceType":"` + t.Name + `","id":"`
	}
	return objectEmit(head, members)
}

// objectEmit writes the members in order; an object without members is not written.
func objectEmit(head string, members []member) emit {
	return func(rt *run, b []byte) ([]byte, bool) {
		start := len(b)
		if head != "" {
			b = append(append(append(b, head...), rt.current.id...), '"')
		} else {
			b = append(b, '{')
		}
		wrote := false
		for i := range members {
			mark := len(b)
			if wrote || head != "" {
				b = append(b, ',')
			}
			var ok bool
			if b, ok = members[i].append(rt, b); !ok {
				b = b[:mark]
				continue
			}
			wrote = true
		}
		if !wrote && head == "" {
			return b[:start], false
		}
		return append(b, '}'), true
	}
}

func (m *member) append(rt *run, b []byte) ([]byte, bool) {
	if m.choice {
		mark := len(rt.scratch)
		var ok bool
		rt.scratch, ok = m.value(rt, rt.scratch)
		if ok {
			b = append(append(append(b, m.key...), rt.suffix...), '"', ':')
			b = append(b, rt.scratch[mark:]...)
		}
		rt.scratch = rt.scratch[:mark]
		return b, ok
	}
	b = append(b, m.key...)
	if m.list {
		b = append(b, '[')
	}
	b, ok := m.value(rt, b)
	if m.list {
		b = append(b, ']')
	}
	return b, ok
}

// compileMember compiles one key of an element tree.
func (c *compiler) compileMember(t *schema.Type, k, v *ynode) (member, int16, bool) {
	if name, choice := strings.CutSuffix(k.text, "[x]"); choice {
		for i := range t.Elements {
			if e := &t.Elements[i]; e.Name == name && e.Choice {
				return member{key: []byte(`"` + name), choice: true, value: c.compileLeaf(e, 0, v)}, int16(i), true
			}
		}
	}
	prop, ok := t.Lookup([]byte(k.text))
	if !ok {
		c.problem(k, "M010", nearest(k.text, propertyNames(t)), "%s.%s is not an element of R4", t.Name, k.text)
		return member{}, 0, false
	}
	e := &t.Elements[prop.Element]
	m := member{key: []byte(`"` + k.text + `":`), list: e.Repeats()}
	if m.list {
		m.value = c.compileList(e, prop.Type, v)
	} else {
		if v.kind == yamlList {
			c.problem(v, "M011", "", "%s takes one value, a list stands here", e.Path)
			return member{}, 0, false
		}
		m.value = c.compileLeaf(e, prop.Type, v)
	}
	return m, prop.Element, true
}

// compileList compiles the entries of a repeating element.
func (c *compiler) compileList(e *schema.Element, typ schema.ID, y *ynode) emit {
	if y.kind != yamlList && !isLeaf(y, schema.ByID(typ)) && !c.isPath(y) {
		c.problem(y, "M011", "", "%s repeats: a list is expected", e.Path)
	}
	var parts []emit
	for _, v := range y.list() {
		parts = append(parts, c.compileLeaf(e, typ, v))
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return func(rt *run, b []byte) ([]byte, bool) {
		wrote := false
		for _, p := range parts {
			mark := len(b)
			if wrote {
				b = append(b, ',')
			}
			var ok bool
			if b, ok = p(rt, b); !ok {
				b = b[:mark]
				continue
			}
			wrote = true
		}
		return b, wrote
	}
}

// compileLeaf compiles what stands under one key, or one entry of its list. typ 0 is a choice left open.
func (c *compiler) compileLeaf(e *schema.Element, typ schema.ID, y *ynode) emit {
	var t *schema.Type
	if typ != 0 {
		t = schema.ByID(typ)
	}
	switch {
	case y.kind == yamlScalar && c.isPath(y):
		return c.fromEmit(e, t, y, c.compileValue(y))
	case y.kind == yamlScalar:
		return c.literal(e, t, y)
	case isLeaf(y, t):
		return c.compileOperator(e, typ, y)
	case y.kind == yamlMap && t != nil && t.Kind != schema.Primitive:
		return c.compileObject(t, y, false)
	}
	c.problem(y, "M012", "", "%s: neither a value, nor an operator, nor an element tree", e.Path)
	return nothing
}

func nothing(_ *run, b []byte) ([]byte, bool) { return b, false }

// compileOperator compiles {from}, {fn}, {lookup}, {ref}, {refs}, {switch}, {each}, {const}, {if, value}.
func (c *compiler) compileOperator(e *schema.Element, typ schema.ID, y *ynode) emit {
	var t *schema.Type
	if typ != 0 {
		t = schema.ByID(typ)
	}
	var out emit
	undo := func() {}
	var each *path
	var slot int
	if it := y.get("each"); it != nil {
		each = c.compilePath(it.get("path"), it.str("path"))
		slot, undo = c.bind(it, it.str("as"), each, "")
	}
	switch {
	case y.get("fn") != nil:
		out = c.compileCall(e, t, y)
	case y.get("lookup") != nil:
		out = c.compileLookup(e, t, y)
	case y.get("ref") != nil:
		out = c.compileRef(e, y, y.get("ref"), false)
	case y.get("refs") != nil:
		out = c.compileRef(e, y, y.get("refs"), true)
	case y.get("switch") != nil:
		out = c.compileSwitch(e, typ, y.get("switch"))
	case y.get("value") != nil:
		out = c.compileLeaf(e, typ, y.get("value"))
	case y.get("const") != nil:
		out = c.literal(e, t, y.get("const"))
	case y.get("firstOf") != nil || y.get("from") != nil:
		out = c.fromEmit(e, t, y, c.compileValue(y))
	default:
		c.problem(y, "M001", "", "%s: an operator without what it works on", e.Path)
		out = nothing
	}
	if w := y.get("if"); w != nil {
		out = ifEmit(c.compileCondition(w), out)
	}
	undo()
	if each != nil {
		out = eachEmit(each, slot, out)
	}
	return out
}

func ifEmit(cond *condition, then emit) emit {
	return func(rt *run, b []byte) ([]byte, bool) {
		if !cond.holds(rt) {
			return b, false
		}
		return then(rt, b)
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

// fromEmit writes a source text into a primitive element.
func (c *compiler) fromEmit(e *schema.Element, t *schema.Type, y *ynode, v *value) emit {
	if t == nil || t.Kind != schema.Primitive {
		c.problem(y, "M012", "", "%s is not a primitive: a source text does not fit, use a function", e.Path)
		return nothing
	}
	c.repeatsProblem(y, v)
	switch t.Name {
	case "boolean", "integer", "positiveInt", "unsignedInt", "decimal", "date", "dateTime", "instant", "time", "code":
		c.problem(y, "M012", functionFor(t.Name), "%s is a %s: the source's text cannot stand there unchecked", e.Path, t.Name)
	}
	return func(rt *run, b []byte) ([]byte, bool) {
		s, _ := v.get(rt)
		if strings.TrimSpace(s) == "" {
			return b, false
		}
		return appendString(b, s), true
	}
}

func (c *compiler) repeatsProblem(y *ynode, v *value) {
	for _, p := range v.paths {
		if p.repeats {
			c.problem(y, "M021", "", "path %q can repeat: say each, an index, or a filter", p.text)
		}
	}
}

// functionFor names the function that makes a type, for suggestions.
func functionFor(typ string) string {
	for _, f := range functions {
		if f.result == typ {
			return "fn: " + f.name
		}
	}
	return "lookup"
}

// literal writes a constant; its text must fit the element's type.
func (c *compiler) literal(e *schema.Element, t *schema.Type, y *ynode) emit {
	if t == nil || t.Kind != schema.Primitive {
		c.problem(y, "M012", "", "%s is not a primitive: a constant does not fit", e.Path)
		return nothing
	}
	lit, err := literalJSON(t.Name, y.text)
	if err != "" {
		c.problem(y, "M012", "", "%s: %q is no %s: %s", e.Path, y.text, t.Name, err)
		return nothing
	}
	if t.Name == "code" {
		c.checkCode(e, y)
	}
	return func(_ *run, b []byte) ([]byte, bool) { return append(b, lit...), true }
}

// literalJSON gives a constant's JSON, or why it does not fit.
func literalJSON(typ, text string) (string, string) {
	switch typ {
	case "boolean":
		if text != "true" && text != "false" {
			return "", "true or false"
		}
		return text, ""
	case "integer", "positiveInt", "unsignedInt":
		if n, err := strconv.ParseInt(text, 10, 32); err != nil || typ != "integer" && n < 0 || typ == "positiveInt" && n == 0 {
			return "", "out of its range"
		}
		return text, ""
	case "decimal":
		if !isNumber(text) {
			return "", "not a decimal"
		}
		return text, ""
	case "code":
		if text == "" || strings.TrimSpace(text) != text || strings.Contains(text, "  ") {
			return "", "no leading, trailing or double spaces"
		}
	}
	if text == "" {
		return "", "empty"
	}
	return string(appendString(nil, text)), ""
}

// compileRef writes a Reference to another rule's resource.
func (c *compiler) compileRef(e *schema.Element, y, r *ynode, many bool) emit {
	info := c.rules[r.text]
	if info == nil {
		var known []string
		for k := range c.rules {
			known = append(known, k)
		}
		sort.Strings(known)
		c.problem(r, "M015", nearest(r.text, known), "no resource is named %q", r.text)
		return nothing
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
	scope := c.scope
	head := `{"reference":"` + info.typ + `/`
	return func(rt *run, b []byte) ([]byte, bool) {
		wrote := false
		for _, in := range rt.byRule[info.index] {
			if !rt.related(in, scope, info.scope) {
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
func (c *compiler) compileSwitch(e *schema.Element, typ schema.ID, y *ynode) emit {
	on := c.compileValue(y.get("on"))
	cases := map[string]emit{}
	if m := y.get("cases"); m != nil {
		for i, k := range m.keys {
			cases[k.text] = c.compileLeaf(e, typ, m.vals[i])
		}
	}
	var other emit
	if d := y.get("default"); d != nil {
		other = c.compileLeaf(e, typ, d)
	} else if len(cases) > 0 && e.Min > 0 {
		c.problem(y, "M013", "", "%s is required: the switch needs a default", e.Path)
	}
	return func(rt *run, b []byte) ([]byte, bool) {
		s, _ := on.get(rt)
		if f, ok := cases[s]; ok {
			return f(rt, b)
		}
		if other != nil {
			return other(rt, b)
		}
		return b, false
	}
}
