package engine

import (
	"fmt"
	"regexp"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"

	"meridian/mappings/source"
)

// condition is a compiled `when`: CEL over source texts. Every path in it
// becomes a variable of type string, so that CEL checks types when the map is
// loaded and never meets a dynamic value; `has(path)` is true when the path has
// a text, `count(path)` its number of repetitions, an int.
//
// Most conditions only compare paths with constants. Those are compiled to
// closures (predicate.go) and never reach CEL, which takes some microseconds an
// evaluation; a test holds the two against each other.
//
// Fields that a condition reads count as used by the rule when it holds, and
// only then: a rule that does not apply has used nothing.
type condition struct {
	test    func(rt *run) bool // nil: program decides
	program cel.Program
	args    []condArg
}

type condArg struct {
	path  *path
	has   bool
	count bool
}

// maxConditionCost bounds the evaluation of one condition, in CEL's cost units.
const maxConditionCost = 10_000

var (
	quotedText = regexp.MustCompile(`'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"`)
	pathText   = regexp.MustCompile(`\b[a-z][A-Za-z0-9]*(?:\.[A-Za-z0-9_]+(?:\[[^\]]*\])?)+`)
	callOf     = regexp.MustCompile(`\b(has|count)\(\s*$`)
)

// compileCondition compiles y; nil holds always.
func (c *compiler) compileCondition(y *ynode) *condition {
	if y == nil || y.kind != yamlScalar || strings.TrimSpace(y.text) == "" {
		return nil
	}
	if ast := parsePredicate(y.text); ast != nil && c.knowsPaths(ast) {
		if ast.constant() {
			c.problem(y, "M050", "", "the condition does not depend on the record: it always or never holds")
		}
		return &condition{test: c.compilePredicate(y, ast)}
	}
	return c.compileCEL(y)
}

func (c *compiler) compileCEL(y *ynode) *condition {
	cond := &condition{}
	text := c.replacePaths(y, cond)
	prog, err := buildProgram(text, cond.args)
	if err != nil {
		c.problem(y, "M022", "", "condition: %s", firstLine(err.Error()))
		return cond
	}
	if len(cond.args) == 0 {
		c.problem(y, "M050", "", "the condition does not depend on the record: it always or never holds")
	}
	cond.program = prog
	return cond
}

func (c *compiler) startsWithVar(s string) bool {
	head, _, _ := strings.Cut(s, ".")
	_, ok := c.vars[head]
	return ok
}

// replacePaths turns every path outside quotes into a variable p0, p1, …
func (c *compiler) replacePaths(y *ynode, cond *condition) string {
	var out strings.Builder
	rest := y.text
	for {
		loc := quotedText.FindStringIndex(rest)
		plain := rest
		if loc != nil {
			plain = rest[:loc[0]]
		}
		out.WriteString(c.replacePlain(y, plain, cond))
		if loc == nil {
			return out.String()
		}
		out.WriteString(rest[loc[0]:loc[1]])
		rest = rest[loc[1]:]
	}
}

func (c *compiler) replacePlain(y *ynode, s string, cond *condition) string {
	var out strings.Builder
	for {
		loc := pathText.FindStringIndex(s)
		if loc == nil {
			out.WriteString(s)
			return out.String()
		}
		p, end := s[loc[0]:loc[1]], loc[1]
		if end < len(s) && s[end] == '(' { // a method: the last name belongs to CEL
			dot := strings.LastIndexByte(p, '.')
			end -= len(p) - dot
			p = p[:dot]
		}
		if !c.startsWithVar(p) {
			out.WriteString(s[:loc[1]])
			s = s[loc[1]:]
			continue
		}
		before := s[:loc[0]]
		arg := condArg{path: c.compilePath(y, p)}
		if m := callOf.FindStringSubmatchIndex(before); m != nil {
			arg.has, arg.count = before[m[2]:m[3]] == "has", before[m[2]:m[3]] == "count"
			before = before[:m[0]]
			if i := strings.IndexByte(s[end:], ')'); i >= 0 {
				end += i + 1
			}
		}
		out.WriteString(before)
		fmt.Fprintf(&out, "p%d", len(cond.args))
		cond.args = append(cond.args, arg)
		s = s[end:]
	}
}

func buildProgram(text string, args []condArg) (cel.Program, error) {
	opts := make([]cel.EnvOption, 0, len(args))
	for i, a := range args {
		t := cel.StringType
		if a.has {
			t = cel.BoolType
		} else if a.count {
			t = cel.IntType
		}
		opts = append(opts, cel.Variable(fmt.Sprintf("p%d", i), t))
	}
	env, err := cel.NewEnv(opts...)
	if err != nil {
		return nil, err
	}
	ast, iss := env.Compile(text)
	if iss.Err() != nil {
		return nil, iss.Err()
	}
	if ast.OutputType() != cel.BoolType {
		return nil, fmt.Errorf("it gives %s, not true or false", ast.OutputType())
	}
	return env.Program(ast, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(maxConditionCost))
}

// activation gives CEL the texts of the paths.
type activation struct {
	rt   *run
	cond *condition
}

func (a activation) ResolveName(name string) (any, bool) {
	i := 0
	for _, d := range name[1:] {
		i = i*10 + int(d-'0')
	}
	if i >= len(a.cond.args) {
		return nil, false
	}
	arg := &a.cond.args[i]
	switch {
	case arg.has:
		return types.Bool(arg.path.peek(a.rt) != ""), true
	case arg.count:
		return types.Int(len(arg.path.each(a.rt, nil))), true
	}
	return types.String(arg.path.peek(a.rt)), true
}

func (a activation) Parent() cel.Activation { return nil }

// holds evaluates the condition; an evaluation error parks the message.
func (cond *condition) holds(rt *run) bool {
	if cond == nil {
		return true
	}
	rt.peeked = rt.peeked[:0]
	ok := false
	if cond.test != nil {
		ok = cond.test(rt)
	} else {
		ok = cond.eval(rt)
	}
	if ok {
		for _, n := range rt.peeked {
			n.Mark()
		}
	}
	return ok
}

func (cond *condition) eval(rt *run) bool {
	if cond.program == nil {
		return false
	}
	v, _, err := cond.program.Eval(activation{rt, cond})
	if err != nil {
		rt.parkNow("condition.failed", "", "a condition of the map could not be evaluated: "+firstLine(err.Error()), "映射条件无法计算")
		return false
	}
	b, _ := v.Value().(bool)
	return b
}

// peek gives the text of the path's first node and notes the node for the condition that asks.
func (p *path) peek(rt *run) string {
	n := p.one(rt).Scalar()
	if n.Valid() {
		rt.peeked = append(rt.peeked, n)
	}
	return n.Peek()
}

// count is the number of repetitions.
func (p *path) count(rt *run) int {
	var buf [16]source.Node
	return len(p.each(rt, buf[:0]))
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimPrefix(s, "ERROR: <input>:"), "\n")
	return s
}
