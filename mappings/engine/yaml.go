package engine

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// yamlKind is the shape of a YAML node.
type yamlKind uint8

const (
	yamlNull yamlKind = iota
	yamlScalar
	yamlList
	yamlMap
)

// ynode is a YAML node with its place; maps keep their order.
type ynode struct {
	kind   yamlKind
	text   string // of a scalar
	quoted bool   // the scalar was a quoted or block string
	plain  any    // string, bool, json.Number: for the JSON Schema
	file   string
	keys   []*ynode
	vals   []*ynode // of a list, or beside keys
	line   int
	col    int
}

const maxYAMLDepth = 64

// parseYAML reads one document. Anchors, aliases and merge keys are refused: a
// mapping says everything where it stands.
func parseYAML(file string, data []byte) (*ynode, Problems) {
	f, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, Problems{syntaxProblem(file, err)}
	}
	if len(f.Docs) != 1 || f.Docs[0].Body == nil {
		return nil, Problems{{Code: "M001", File: file, Line: 1, Column: 1, Message: "exactly one YAML document is expected"}}
	}
	c := yamlReader{file: file}
	n := c.read(f.Docs[0].Body, 0)
	return n, c.problems
}

func syntaxProblem(file string, err error) Problem {
	p := Problem{Code: "M001", File: file, Line: 1, Column: 1}
	var e interface{ GetToken() *token.Token }
	if x, ok := err.(interface{ GetToken() *token.Token }); ok {
		e = x
	}
	if e != nil && e.GetToken() != nil && e.GetToken().Position != nil {
		p.Line, p.Column = e.GetToken().Position.Line, e.GetToken().Position.Column
	}
	msg := err.Error()
	if m, ok := err.(interface{ GetMessage() string }); ok {
		msg = m.GetMessage()
	}
	p.Message = "not YAML: " + strings.TrimSpace(strings.SplitN(msg, "\n", 2)[0])
	return p
}

type yamlReader struct {
	file     string
	problems Problems
}

func (c *yamlReader) fail(n ast.Node, format string, args ...any) {
	p := n.GetToken().Position
	c.problems = append(c.problems, Problem{Code: "M001", File: c.file, Line: p.Line, Column: p.Column, Message: fmt.Sprintf(format, args...)})
}

func (c *yamlReader) read(n ast.Node, depth int) *ynode {
	y := &ynode{file: c.file}
	if p := n.GetToken().Position; p != nil {
		y.line, y.col = p.Line, p.Column
	}
	if depth > maxYAMLDepth {
		c.fail(n, "nested deeper than %d", maxYAMLDepth)
		return y
	}
	switch v := n.(type) {
	case *ast.NullNode:
	case *ast.MappingNode:
		y.kind = yamlMap
		for _, kv := range v.Values {
			c.pair(y, kv, depth)
		}
	case *ast.MappingValueNode:
		y.kind = yamlMap
		c.pair(y, v, depth)
	case *ast.SequenceNode:
		y.kind = yamlList
		for _, e := range v.Values {
			y.vals = append(y.vals, c.read(e, depth+1))
		}
	case *ast.StringNode:
		y.kind, y.text, y.plain = yamlScalar, v.Value, v.Value
		y.quoted = v.Token.Type == token.SingleQuoteType || v.Token.Type == token.DoubleQuoteType
	case *ast.LiteralNode:
		y.kind, y.text, y.plain, y.quoted = yamlScalar, v.Value.Value, v.Value.Value, true
	case *ast.BoolNode:
		y.kind, y.text, y.plain = yamlScalar, v.Token.Value, v.Value
	case *ast.IntegerNode, *ast.FloatNode:
		y.kind, y.text, y.plain = yamlScalar, n.GetToken().Value, json.Number(n.GetToken().Value)
	default:
		c.fail(n, "anchors, aliases, tags and merge keys are not part of the language")
	}
	return y
}

func (c *yamlReader) pair(y *ynode, kv *ast.MappingValueNode, depth int) {
	k := c.read(kv.Key, depth+1)
	if k.kind != yamlScalar {
		c.fail(kv, "a key must be a plain word")
		return
	}
	for _, o := range y.keys {
		if o.text == k.text {
			c.fail(kv, "key %q stands twice", k.text)
		}
	}
	if y.line == 0 || len(y.keys) == 0 {
		y.line, y.col = k.line, k.col
	}
	y.keys = append(y.keys, k)
	y.vals = append(y.vals, c.read(kv.Value, depth+1))
}

// get finds the value of a key, nil when there is none.
func (y *ynode) get(key string) *ynode {
	if y == nil || y.kind != yamlMap {
		return nil
	}
	for i, k := range y.keys {
		if k.text == key {
			return y.vals[i]
		}
	}
	return nil
}

// str is the text of a scalar member, "" when it is missing or something else.
func (y *ynode) str(key string) string {
	if v := y.get(key); v != nil && v.kind == yamlScalar {
		return v.text
	}
	return ""
}

// list gives the elements of a list; a scalar or map counts as one.
func (y *ynode) list() []*ynode {
	switch {
	case y == nil || y.kind == yamlNull:
		return nil
	case y.kind == yamlList:
		return y.vals
	}
	return []*ynode{y}
}

// any gives the node as plain values for the JSON Schema.
func (y *ynode) any() any {
	switch y.kind {
	case yamlScalar:
		return y.plain
	case yamlList:
		l := make([]any, len(y.vals))
		for i, v := range y.vals {
			l[i] = v.any()
		}
		return l
	case yamlMap:
		m := make(map[string]any, len(y.keys))
		for i, k := range y.keys {
			m[k.text] = y.vals[i].any()
		}
		return m
	}
	return nil
}
