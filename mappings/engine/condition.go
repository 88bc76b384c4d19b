package engine

import (
	"fmt"
	"regexp"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
)

// condition is a compiled `when`: CEL over source texts. Every path in it
// becomes a variable of type string, so that CEL checks types when the map is
// loaded and never meets a dynamic value; `has(path)` is true when the path has
// a text, `count(path)` its number of repetitions, an int.
type condition struct {
	program cel.Program
	args    []condArg
	// Fast form of `path == 'text'`, `path != 'text'` and `has(path)`, by far the most common.
	fast   *path
	equal  string
	negate bool
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
	fastText   = regexp.MustCompile(`^\s*([a-z][A-Za-z0-9.]*(?:\.[A-Za-z0-9_]+(?:\[[^\]]*\])?)+)\s*(==|!=)\s*'([^'\\]*)'\s*$`)
	fastHas    = regexp.MustCompile(`^\s*(!?)\s*has\(([^()]+)\)\s*$`)
)

// compileCondition compiles y; nil holds always.
func (c *compiler) compileCondition(y *ynode) *condition {
	if y == nil || y.kind != yamlScalar || strings.TrimSpace(y.text) == "" {
		return nil
	}
	if m := fastText.FindStringSubmatch(y.text); m != nil && c.startsWithVar(m[1]) {
		return &condition{fast: c.compilePath(y, m[1]), equal: m[3], negate: m[2] == "!="}
	}
	if m := fastHas.FindStringSubmatch(y.text); m != nil {
		return &condition{fast: c.compilePath(y, m[2]), negate: m[1] == ""} // has: the text differs from ""
	}
	cond := &condition{}
	text := c.replacePaths(y, cond)
	prog, err := buildProgram(text, cond.args)
	if err != nil {
		c.problem(y, "M022", "", "condition: %s", firstLine(err.Error()))
		return cond
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

var callOf = regexp.MustCompile(`\b(has|count)\(\s*$`)

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
		return types.Bool(arg.path.textOf(a.rt) != ""), true
	case arg.count:
		return types.Int(len(arg.path.each(a.rt, nil))), true
	}
	return types.String(arg.path.textOf(a.rt)), true
}

func (a activation) Parent() cel.Activation { return nil }

// holds evaluates the condition; an evaluation error parks the message.
func (cond *condition) holds(rt *run) bool {
	if cond == nil {
		return true
	}
	if cond.fast != nil {
		return (cond.fast.textOf(rt) == cond.equal) != cond.negate
	}
	v, _, err := cond.program.Eval(activation{rt, cond})
	if err != nil {
		rt.parkNow("condition.failed", "", "a condition of the map could not be evaluated: "+firstLine(err.Error()), "映射条件无法计算")
		return false
	}
	b, _ := v.Value().(bool)
	return b
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimPrefix(s, "ERROR: <input>:"), "\n")
	return s
}
