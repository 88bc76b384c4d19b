package engine

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// predicate is the syntax tree of a simple condition: the part of CEL that
// compares source paths with constants.
//
//	or    = and { "||" and }
//	and   = not { "&&" not }
//	not   = "!" not | "(" or ")" | test
//	test  = "has(" path ")"
//	      | "count(" path ")" ("=="|"!="|"<"|"<="|">"|">=") digits
//	      | path "." ("startsWith"|"endsWith"|"contains"|"matches") "(" text ")"
//	      | path ("=="|"!=") (text | path)
//	      | path "in" "[" text { "," text } "]"
//
// What is outside of it goes to CEL.
type predicate struct {
	op    string // "||", "&&", "!", "has", "count", "==", "!=", "in", or a method
	of    []*predicate
	path  string
	other string // right side of == and != when it is a path
	texts []string
	cmp   string // comparison of count
	n     int
	re    *regexp.Regexp
}

// Bounds of a condition's text and nesting.
const (
	maxConditionText  = 4096
	maxConditionDepth = 32
)

// parsePredicate gives nil for what is not a simple condition.
func parsePredicate(text string) *predicate {
	if len(text) > maxConditionText {
		return nil
	}
	p := predicateParser{s: text}
	ast := p.or(0)
	if p.skip(); ast == nil || p.s != "" {
		return nil
	}
	return ast
}

type predicateParser struct{ s string }

func (p *predicateParser) skip() { p.s = strings.TrimLeft(p.s, " \t\r\n") }

// take consumes a token that stands next.
func (p *predicateParser) take(token string) bool {
	p.skip()
	rest, ok := strings.CutPrefix(p.s, token)
	if ok {
		p.s = rest
	}
	return ok
}

func (p *predicateParser) or(depth int) *predicate { return p.joined(depth, "||") }

// joined reads one level of binary operators.
func (p *predicateParser) joined(depth int, op string) *predicate {
	if depth > maxConditionDepth {
		return nil
	}
	below := func() *predicate {
		if op == "||" {
			return p.joined(depth+1, "&&")
		}
		return p.not(depth + 1)
	}
	first := below()
	if first == nil || !p.next(op) {
		return first
	}
	out := &predicate{op: op, of: []*predicate{first}}
	for p.take(op) {
		n := below()
		if n == nil {
			return nil
		}
		out.of = append(out.of, n)
	}
	return out
}

func (p *predicateParser) next(token string) bool {
	p.skip()
	return strings.HasPrefix(p.s, token)
}

func (p *predicateParser) not(depth int) *predicate {
	switch {
	case depth > maxConditionDepth:
		return nil
	case !p.next("!=") && p.take("!"):
		if n := p.not(depth + 1); n != nil {
			return &predicate{op: "!", of: []*predicate{n}}
		}
		return nil
	case p.take("("):
		n := p.or(depth + 1)
		if n == nil || !p.take(")") {
			return nil
		}
		return n
	}
	return p.test()
}

func (p *predicateParser) test() *predicate {
	for _, call := range []string{"has", "count"} {
		if !p.take(call + "(") {
			continue
		}
		path := p.path()
		if path == "" || !p.take(")") {
			return nil
		}
		t := &predicate{op: call, path: path}
		if call == "count" && !p.number(t) {
			return nil
		}
		return t
	}
	path := p.path()
	if path == "" {
		return nil
	}
	if p.take("(") { // the last name is a method
		return p.method(path)
	}
	return p.comparison(path)
}

// number reads the right side of a comparison of count.
func (p *predicateParser) number(t *predicate) bool {
	for _, op := range []string{"==", "!=", "<=", ">=", "<", ">"} {
		if p.take(op) {
			t.cmp = op
			break
		}
	}
	p.skip()
	end := 0
	for end < len(p.s) && p.s[end] >= '0' && p.s[end] <= '9' {
		end++
	}
	n, err := strconv.Atoi(p.s[:end])
	t.n, p.s = n, p.s[end:]
	return err == nil && t.cmp != "" && end < 9
}

func (p *predicateParser) method(path string) *predicate {
	dot := strings.LastIndexByte(path, '.')
	t := &predicate{op: path[dot+1:], path: path[:dot]}
	text, ok := p.text()
	if !ok || !p.take(")") || !strings.Contains(t.path, ".") {
		return nil
	}
	t.texts = []string{text}
	switch t.op {
	case "startsWith", "endsWith", "contains":
		return t
	case "matches":
		re, err := regexp.Compile(text)
		if err != nil {
			return nil // CEL says what is wrong with it
		}
		t.re = re
		return t
	}
	return nil
}

func (p *predicateParser) comparison(path string) *predicate {
	t := &predicate{path: path}
	switch {
	case p.take("=="):
		t.op = "=="
	case p.take("!="):
		t.op = "!="
	case p.take("in"):
		t.op = "in"
		if !p.take("[") {
			return nil
		}
		return p.list(t)
	default:
		return nil
	}
	if text, ok := p.text(); ok {
		t.texts = []string{text}
		return t
	}
	if t.other = p.path(); t.other == "" {
		return nil
	}
	return t
}

// list reads the texts of `in [...]`.
func (p *predicateParser) list(t *predicate) *predicate {
	for {
		text, ok := p.text()
		if !ok {
			return nil
		}
		t.texts = append(t.texts, text)
		if p.take("]") {
			return t
		}
		if !p.take(",") {
			return nil
		}
	}
}

// text reads a quoted text without escapes.
func (p *predicateParser) text() (string, bool) {
	p.skip()
	if p.s == "" || p.s[0] != '\'' && p.s[0] != '"' {
		return "", false
	}
	end := strings.IndexByte(p.s[1:], p.s[0])
	if end < 0 || strings.IndexByte(p.s[1:1+end], '\\') >= 0 {
		return "", false
	}
	t := p.s[1 : 1+end]
	p.s = p.s[end+2:]
	return t, true
}

func (p *predicateParser) path() string {
	p.skip()
	loc := pathText.FindStringIndex(p.s)
	if loc == nil || loc[0] != 0 {
		return ""
	}
	path := p.s[:loc[1]]
	p.s = p.s[loc[1]:]
	return path
}

// constant says that no path decides.
func (t *predicate) constant() bool {
	return t.path == "" && !slices.ContainsFunc(t.of, func(o *predicate) bool { return !o.constant() })
}

// knowsPaths says that every path begins with a variable; CEL explains what else it may be.
func (c *compiler) knowsPaths(t *predicate) bool {
	for _, p := range []string{t.path, t.other} {
		if p != "" && !c.startsWithVar(p) {
			return false
		}
	}
	return !slices.ContainsFunc(t.of, func(o *predicate) bool { return !c.knowsPaths(o) })
}

// compilePredicate resolves the paths and gives the closure.
func (c *compiler) compilePredicate(y *ynode, t *predicate) func(rt *run) bool {
	if len(t.of) > 0 {
		return c.compileJoin(y, t)
	}
	p := c.compilePath(y, t.path)
	var other *path
	if t.other != "" {
		other = c.compilePath(y, t.other)
	}
	if p == nil || t.other != "" && other == nil {
		return func(*run) bool { return false } // the problem is noted
	}
	text := ""
	if len(t.texts) > 0 {
		text = t.texts[0]
	}
	switch t.op {
	case "has":
		return func(rt *run) bool { return p.peek(rt) != "" }
	case "count":
		return compileCount(p, t.cmp, t.n)
	case "in":
		return func(rt *run) bool { return slices.Contains(t.texts, p.peek(rt)) }
	case "startsWith":
		return func(rt *run) bool { return strings.HasPrefix(p.peek(rt), text) }
	case "endsWith":
		return func(rt *run) bool { return strings.HasSuffix(p.peek(rt), text) }
	case "contains":
		return func(rt *run) bool { return strings.Contains(p.peek(rt), text) }
	case "matches":
		return func(rt *run) bool { return t.re.MatchString(p.peek(rt)) }
	}
	differ := t.op == "!="
	if other != nil {
		return func(rt *run) bool { return (p.peek(rt) == other.peek(rt)) != differ }
	}
	return func(rt *run) bool { return (p.peek(rt) == text) != differ }
}

func (c *compiler) compileJoin(y *ynode, t *predicate) func(rt *run) bool {
	of := make([]func(rt *run) bool, len(t.of))
	for i, o := range t.of {
		of[i] = c.compilePredicate(y, o)
	}
	switch t.op {
	case "!":
		return func(rt *run) bool { return !of[0](rt) }
	case "&&":
		return func(rt *run) bool {
			for _, f := range of {
				if !f(rt) {
					return false
				}
			}
			return true
		}
	}
	return func(rt *run) bool {
		for _, f := range of {
			if f(rt) {
				return true
			}
		}
		return false
	}
}

func compileCount(p *path, cmp string, n int) func(rt *run) bool {
	switch cmp {
	case "==":
		return func(rt *run) bool { return p.count(rt) == n }
	case "!=":
		return func(rt *run) bool { return p.count(rt) != n }
	case "<":
		return func(rt *run) bool { return p.count(rt) < n }
	case "<=":
		return func(rt *run) bool { return p.count(rt) <= n }
	case ">":
		return func(rt *run) bool { return p.count(rt) > n }
	}
	return func(rt *run) bool { return p.count(rt) >= n }
}
