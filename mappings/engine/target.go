package engine

import (
	"slices"
	"strconv"
	"strings"

	"meridian/fhir/schema"
)

// emit appends one JSON value (or, for a list, its entries separated by commas)
// and says whether it wrote anything. It appends nothing otherwise.
type emit func(rt *run, b []byte) ([]byte, bool)

// leaf is a compiled target with what the compiler knows of it.
type leaf struct {
	emit
	fixed bool // it always writes the same: a constant, or a tree of constants
	sure  bool // it always writes something, or parks the message
}

func nothing(_ *run, b []byte) ([]byte, bool) { return b, false }

// failed stands for what has a problem, so that no second one comes of it.
var failed = leaf{emit: nothing, sure: true}

// member is one property of a compiled object.
type member struct {
	leaf
	key      []byte // `"code":`; of a choice `"value`, without the closing quote
	list     bool
	choice   bool // value sets rt.suffix
	required bool
	// shared, when not 0, numbers a member that does not depend on the variable of a rule that repeats: it is written for the
	// first instance in a scope and copied for the others.
	shared int
	memo   int // when not 0, numbers a member of a rule that repeats that depends on its variable
}

// compileObject compiles an element tree of type t; root adds resourceType and id.
func (c *compiler) compileObject(t *schema.Type, y *ynode, root bool) leaf {
	if y == nil || y.kind != yamlMap {
		c.problem(y, "M001", "", "an element tree of %s is expected", t.Name)
		return failed
	}
	if p := y.get("partial"); p != nil {
		return c.compilePartial(t, y, p, root)
	}
	var members []member
	seen := map[int16]*ynode{}
	for i, k := range y.keys {
		m, el, ok := c.compileShared(t, k, y.vals[i], root)
		if !ok {
			continue
		}
		if el >= 0 {
			if seen[el] != nil {
				c.problem(k, "M013", "", "%s.%s is given twice; a choice takes one type, use value[x] or choose", t.Name, t.Elements[el].Name)
			}
			seen[el] = k
			if root && m.required && !m.sure {
				c.problem(k, "M011", "", "%s.%s is required by R4, but this rule can leave it out: give it a default, or park", t.Name, t.Elements[el].Name)
			}
		}
		members = append(members, m)
	}
	for i := range t.Elements {
		if e := &t.Elements[i]; e.Min > 0 && seen[int16(i)] == nil {
			c.problem(y, "M011", "", "%s.%s is required by R4 and has no rule", t.Name, e.Name)
		}
	}
	return objectLeaf(t, members, root)
}

// compileShared compiles a member and finds out whether instances of the rule can share it.
func (c *compiler) compileShared(t *schema.Type, k, v *ynode, root bool) (member, int16, bool) {
	if !root || c.each < 0 {
		return c.compileMember(t, k, v)
	}
	c.read = map[int]bool{}
	m, el, ok := c.compileMember(t, k, v)
	switch {
	case !ok || m.fixed:
	case c.read[c.each]:
		c.m.memos++
		m.memo = c.m.memos
	case !m.choice:
		c.m.shared++
		m.shared = c.m.shared
	}
	c.read = nil
	return m, el, ok
}

// sharedSpan is where a shared member stands in run.out.
type sharedSpan struct {
	scope      int32
	start, end int
	known      bool
	wrote      bool
}

// appendShared copies a member that an instance in the same scope wrote, or writes it. b is run.out.
func (m *member) appendShared(rt *run, b []byte) ([]byte, bool) {
	s := &rt.shared[m.shared]
	if s.known && s.scope == rt.current.scope {
		return append(b, b[s.start:s.end]...), s.wrote
	}
	start := len(b)
	b, ok := m.append(rt, b)
	*s = sharedSpan{scope: rt.current.scope, start: start, end: start, known: true, wrote: ok}
	if ok {
		s.end = len(b)
	}
	return b, ok
}

// objectLeaf writes the members in order. An object is not written without
// members, when all that the record gives it is missing and only constants
// remain, or when a required one is missing.
func objectLeaf(t *schema.Type, members []member, root bool) leaf {
	head := "{"
	if root {
		head = `{"resourceType":"` + t.Name + `","id":"`
	}
	out := leaf{fixed: !root, sure: root}
	for i := range members {
		m := &members[i]
		out.fixed = out.fixed && m.fixed
		out.sure = out.sure || m.sure && !m.fixed
	}
	for i := range members {
		out.sure = out.sure && (root || members[i].sure || !members[i].required)
	}
	out.sure = out.sure || out.fixed
	constants := out.fixed || root
	out.emit = func(rt *run, b []byte) ([]byte, bool) {
		start := len(b)
		b = append(b, head...)
		if root {
			b = append(append(b, rt.current.id...), '"')
		}
		wrote, real := root, constants
		for i := range members {
			m := &members[i]
			mark := len(b)
			if wrote {
				b = append(b, ',')
			}
			var ok bool
			switch {
			case m.shared > 0:
				b, ok = m.appendShared(rt, b)
			case m.memo > 0 && m.memo < len(rt.memos):
				b, ok = m.appendMemo(rt, b)
			default:
				b, ok = m.append(rt, b)
			}
			if ok {
				wrote, real = true, real || !m.fixed
				continue
			}
			if m.required && !root {
				return b[:start], false
			}
			b = b[:mark]
		}
		if !wrote || !real {
			return b[:start], false
		}
		return append(b, '}'), true
	}
	if out.fixed {
		out = constantLeaf(out)
	}
	return out
}

// constantLeaf writes a tree of constants once, when the map is compiled.
func constantLeaf(l leaf) leaf {
	text, ok := l.emit(nil, nil)
	l.emit = func(_ *run, b []byte) ([]byte, bool) { return append(b, text...), ok }
	return l
}

func (m *member) append(rt *run, b []byte) ([]byte, bool) {
	if m.choice {
		mark := len(rt.scratch)
		var ok bool
		rt.scratch, ok = m.emit(rt, rt.scratch)
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
	b, ok := m.emit(rt, b)
	if m.list {
		b = append(b, ']')
	}
	return b, ok
}

// compileMember compiles one key of an element tree. The element's index is -1 for the twin of a primitive (_birthDate).
func (c *compiler) compileMember(t *schema.Type, k, v *ynode) (member, int16, bool) {
	if name, choice := strings.CutSuffix(k.text, "[x]"); choice {
		for i := range t.Elements {
			if e := &t.Elements[i]; e.Name == name && e.Choice {
				return member{key: []byte(`"` + name), choice: true, required: e.Min > 0, leaf: c.compileLeaf(e, 0, v)}, int16(i), true
			}
		}
	}
	if name, twin := strings.CutPrefix(k.text, "_"); twin {
		return c.compileTwin(t, name, k, v)
	}
	prop, ok := t.Lookup([]byte(k.text))
	if !ok {
		c.problem(k, "M010", nearest(k.text, propertyNames(t)), "%s.%s is not an element of R4", t.Name, k.text)
		return member{}, 0, false
	}
	e := &t.Elements[prop.Element]
	m := member{key: []byte(`"` + k.text + `":`), list: e.Repeats(), required: e.Min > 0}
	switch {
	case m.list:
		m.leaf = c.compileList(e, prop.Type, v)
	case v.kind == yamlList && !c.allPaths(v):
		c.problem(v, "M011", "", "%s takes one value, a list stands here", e.Path)
		return member{}, 0, false
	default:
		m.leaf = c.compileLeaf(e, prop.Type, v)
	}
	return m, prop.Element, true
}

// compileTwin compiles what stands beside a primitive that does not repeat: its id and extensions.
func (c *compiler) compileTwin(t *schema.Type, name string, k, v *ynode) (member, int16, bool) {
	prop, ok := t.Lookup([]byte(name))
	if !ok || schema.ByID(prop.Type).Kind != schema.Primitive || t.Elements[prop.Element].Repeats() {
		c.problem(k, "M010", "", "%s.%s is not a primitive that takes one value: it has no extensions beside it", t.Name, name)
		return member{}, 0, false
	}
	return member{key: []byte(`"` + k.text + `":`), leaf: c.compileObject(schema.ByID(schema.TypeElement), v, false)}, -1, true
}

// allPaths says that a list holds source paths: the first present one is meant.
func (c *compiler) allPaths(y *ynode) bool {
	return len(y.vals) > 0 && !slices.ContainsFunc(y.vals, func(v *ynode) bool { return !c.isPath(v) })
}

// compileList compiles the entries of a repeating element.
func (c *compiler) compileList(e *schema.Element, typ schema.ID, y *ynode) leaf {
	if y.kind != yamlList && !isLeaf(y, schema.ByID(typ)) && !c.isPath(y) {
		c.problem(y, "M011", "", "%s repeats: a list is expected", e.Path)
	}
	var parts []leaf
	out := leaf{fixed: true}
	for _, v := range y.list() {
		p := c.compileLeaf(e, typ, v)
		out.fixed, out.sure = out.fixed && p.fixed, out.sure || p.sure
		parts = append(parts, p)
	}
	if len(parts) == 1 {
		return parts[0]
	}
	out.emit = func(rt *run, b []byte) ([]byte, bool) {
		wrote := false
		for i := range parts {
			mark := len(b)
			if wrote {
				b = append(b, ',')
			}
			var ok bool
			if b, ok = parts[i].emit(rt, b); !ok {
				b = b[:mark]
				continue
			}
			wrote = true
		}
		return b, wrote
	}
	return out
}

// compileLeaf compiles what stands under one key, or one entry of its list. typ 0 is a choice left open.
func (c *compiler) compileLeaf(e *schema.Element, typ schema.ID, y *ynode) leaf {
	var t *schema.Type
	if typ != 0 {
		t = schema.ByID(typ)
	}
	switch {
	case y.kind == yamlScalar && c.isPath(y), y.kind == yamlList && c.allPaths(y):
		return c.fromLeaf(e, t, y, c.compileValue(y))
	case y.kind == yamlScalar:
		return c.literal(e, t, y)
	case isLeaf(y, t):
		return c.compileOperator(e, typ, y)
	case y.kind == yamlMap && t != nil && t.Kind != schema.Primitive:
		return c.compileObject(t, y, false)
	}
	c.problem(y, "M012", "", "%s: neither a value, nor an operator, nor an element tree", e.Path)
	return failed
}

// fromLeaf writes a source text into a primitive element.
func (c *compiler) fromLeaf(e *schema.Element, t *schema.Type, y *ynode, v *value) leaf {
	if t == nil || t.Kind != schema.Primitive {
		c.problem(y, "M012", "", "%s is not a primitive: a source text does not fit, use a function", e.Path)
		return failed
	}
	c.repeatsProblem(y, v)
	switch t.Name {
	case "string", "markdown", "uri", "url", "canonical":
	default:
		c.problem(y, "M012", functionFor(t.Name), "%s is a %s: the source's text cannot stand there unchecked", e.Path, t.Name)
	}
	return leaf{emit: func(rt *run, b []byte) ([]byte, bool) {
		s, _ := v.get(rt)
		if s = cleanText(s); strings.TrimSpace(s) == "" {
			return b, false
		}
		return appendString(b, s), true
	}}
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
func (c *compiler) literal(e *schema.Element, t *schema.Type, y *ynode) leaf {
	if t == nil || t.Kind != schema.Primitive {
		c.problem(y, "M012", "", "%s is not a primitive: a constant does not fit", e.Path)
		return failed
	}
	if head, _, dot := strings.Cut(y.text, "."); dot && !y.quoted && c.hidden(head) {
		c.problem(y, "M020", "", "%q looks like a path, but %s is not visible here", y.text, head)
	}
	lit, err := literalJSON(t.Name, y.text)
	if err != "" {
		c.problem(y, "M012", "", "%s: %q is no %s: %s", e.Path, y.text, t.Name, err)
		return failed
	}
	if t.Name == "code" {
		c.checkCode(e, y)
	}
	return leaf{fixed: true, sure: true, emit: func(_ *run, b []byte) ([]byte, bool) { return append(b, lit...), true }}
}

// hidden says that a scope of that name exists, but not where the rule is.
func (c *compiler) hidden(name string) bool {
	_, visible := c.vars[name]
	return !visible && slices.ContainsFunc(c.m.scopes, func(s scopeDef) bool { return s.name == name })
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
