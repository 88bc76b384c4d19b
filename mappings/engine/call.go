package engine

import (
	"sort"
	"strings"

	"meridian/fhir/schema"
	"meridian/mappings/source"
)

// argKind is what a function's parameter takes.
type argKind uint8

const (
	argText    argKind = iota + 1 // the first present text of a path or list of paths; or a constant
	argNode                       // one node, with what lies below it
	argList                       // all repetitions of a path
	argTable                      // a lookup table by name
	argLiteral                    // a constant of the map
)

// param is one declared parameter.
type param struct {
	name     string
	kind     argKind
	optional bool
}

// function is one entry of the closed registry: what a map may call, with types
// that are checked when the map is loaded.
type function struct {
	name   string
	params []param
	// main is the parameter that `from:` or `firstOf:` beside `fn:` fills; the first one when empty.
	main string
	// result is the FHIR type of the value; for a choice the element's name ("value").
	result string
	choice bool // the call sets call.suffix to the chosen type ("Quantity")
	list   bool // the call may write several entries, separated by commas
	sure   bool // the call always writes, or parks
	strict bool // the call writes nothing where its first parameter, a node, is not there
	call   func(c *call, b []byte) ([]byte, bool)
}

// call is one invocation with its arguments.
type call struct {
	rt     *run
	args   []arg // in the order of the function's params; paths is nil where it was not given
	suffix string
}

// arg is a compiled argument.
type arg struct {
	given bool
	value value
	table *Table
}

// text gives argument i as text and the node it came from.
func (c *call) text(i int) (string, source.Node) { return c.args[i].value.get(c.rt) }

// node gives argument i as one node. What other paths say in the same words is marked as read.
func (c *call) node(i int) source.Node {
	paths := c.args[i].value.paths
	for k, p := range paths {
		n := p.one(c.rt)
		if !n.Valid() {
			continue
		}
		for _, other := range paths[k+1:] {
			if o := other.one(c.rt); o.Valid() {
				markEqual(n, o)
			}
		}
		return n
	}
	return source.Node{}
}

// any says that one of the paths of argument i has a node.
func (c *call) any(i int) bool {
	for _, p := range c.args[i].value.paths {
		if p.one(c.rt).Valid() {
			return true
		}
	}
	return false
}

// list appends the repetitions of argument i.
func (c *call) list(i int, into []source.Node) []source.Node {
	for _, p := range c.args[i].value.paths {
		into = p.each(c.rt, into)
	}
	return into
}

// join writes one entry for each repetition of argument i for which item writes, separated by commas.
func (c *call) join(i int, b []byte, item func(b []byte, n source.Node) ([]byte, bool)) ([]byte, bool) {
	var buf [8]source.Node
	wrote := false
	for _, n := range c.list(i, buf[:0]) {
		mark := len(b)
		if wrote {
			b = append(b, ',')
		}
		var ok bool
		if b, ok = item(b, n); !ok {
			b = b[:mark]
			continue
		}
		wrote = true
	}
	return b, wrote
}

// literal gives a constant argument.
func (c *call) literal(i int) string { return c.args[i].value.text }

// table gives a table argument.
func (c *call) table(i int) *Table { return c.args[i].table }

// given says whether the map named argument i.
func (c *call) given(i int) bool { return c.args[i].given }

// find leaves a finding.
func (c *call) find(code string, at source.Node, text string) { c.rt.find(code, at, text) }

func functionNames() []string {
	out := make([]string, 0, len(functions))
	for i := range functions {
		out = append(out, functions[i].name)
	}
	sort.Strings(out)
	return out
}

func functionByName(name string) *function {
	for i := range functions {
		if functions[i].name == name {
			return &functions[i]
		}
	}
	return nil
}

// compileCall compiles {fn, args} or {fn, from|firstOf}.
func (c *compiler) compileCall(e *schema.Element, t *schema.Type, y *ynode) leaf {
	fn := functionByName(y.str("fn"))
	if fn == nil {
		c.problem(y.get("fn"), "M012", nearest(y.str("fn"), functionNames()), "there is no function %q", y.str("fn"))
		return failed
	}
	c.checkResult(e, t, y, fn)
	args := make([]arg, len(fn.params))
	c.compileArgs(fn, y, args)
	return leaf{sure: fn.sure, emit: func(rt *run, b []byte) ([]byte, bool) {
		// Arguments are values, never calls: one call at a time.
		k := &rt.call
		k.args = args
		if k.suffix != "" { // a write of a pointer costs while the collector runs
			k.suffix = ""
		}
		if fn.strict && !k.any(0) {
			return b, false
		}
		mark := len(b)
		b, ok := fn.call(k, b)
		if !ok {
			return b[:mark], false
		}
		if fn.choice {
			rt.suffix = k.suffix
		}
		return b, true
	}}
}

// checkResult compares a function's result with the element (M012, M011).
func (c *compiler) checkResult(e *schema.Element, t *schema.Type, y *ynode, fn *function) {
	switch {
	case fn.choice && t == nil && fn.result == e.Name:
	case fn.choice:
		c.problem(y, "M012", "", "%s gives a choice of types: it goes under %s[x]", fn.name, fn.result)
	case t == nil:
		c.problem(y, "M012", "", "%s gives %s: name the type, as in %s%s", fn.name, fn.result, e.Name, strings.ToUpper(fn.result[:1])+fn.result[1:])
	case !assignable(fn.result, t.Name):
		c.problem(y, "M012", "", "%s gives %s, %s is a %s", fn.name, fn.result, e.Path, t.Name)
	}
	if fn.list && !e.Repeats() {
		c.problem(y, "M011", "", "%s can give several, %s takes one", fn.name, e.Path)
	}
}

// assignable says that a value of one FHIR type can stand in an element of another.
func assignable(from, to string) bool {
	if from == to {
		return true
	}
	switch to {
	case "markdown", "uri":
		return from == "string"
	case "canonical", "url":
		return from == "uri"
	case "Age", "SimpleQuantity", "Duration":
		return from == "Quantity"
	}
	return false
}

func (c *compiler) compileArgs(fn *function, y *ynode, args []arg) {
	set := func(name string, v *ynode) {
		for i, p := range fn.params {
			if p.name == name {
				args[i] = c.compileArg(fn, p, v)
				return
			}
		}
		var known []string
		for _, p := range fn.params {
			known = append(known, p.name)
		}
		c.problem(v, "M012", nearest(name, known), "%s has no argument %q", fn.name, name)
	}
	if m := y.get("args"); m != nil {
		for i, k := range m.keys {
			set(k.text, m.vals[i])
		}
	}
	main := fn.main
	if main == "" && len(fn.params) > 0 {
		main = fn.params[0].name
	}
	for _, key := range []string{"from", "firstOf"} {
		if v := y.get(key); v != nil {
			set(main, v)
		}
	}
	for i, p := range fn.params {
		if !p.optional && !args[i].given {
			c.problem(y, "M012", "", "%s needs the argument %q", fn.name, p.name)
		}
	}
}

func (c *compiler) compileArg(fn *function, p param, y *ynode) arg {
	a := arg{given: true}
	switch p.kind {
	case argTable:
		a.table = c.tables[y.text]
		if a.table == nil {
			c.problem(y, "M030", nearest(y.text, tableNames(c.tables)), "there is no table %q", y.text)
		}
	case argLiteral:
		if y.kind != yamlScalar {
			c.problem(y, "M012", "", "%s: %s takes a constant", fn.name, p.name)
		}
		a.value.text = y.text
	default:
		if y.kind == yamlScalar && !c.isPath(y) && p.kind == argText {
			a.value.text = y.text
			return a
		}
		a.value = *c.compileValue(y)
		if p.kind != argList {
			c.repeatsProblem(y, &a.value)
		}
	}
	return a
}

func tableNames(m map[string]*Table) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}
