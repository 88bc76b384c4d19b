package engine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v5"
)

// shape is the compiled JSON Schema; compiling it costs more than most maps.
var shape = sync.OnceValues(func() (*jsonschema.Schema, error) {
	c := jsonschema.NewCompiler()
	if err := c.AddResource("map.json", strings.NewReader(schemaText)); err != nil {
		return nil, err
	}
	return c.Compile("map.json")
})

// checkShape applies the JSON Schema (M001) and gives each failure its line.
func checkShape(file string, doc *ynode) Problems {
	s, err := shape()
	if err != nil {
		return Problems{{Code: "M001", File: file, Line: 1, Column: 1, Message: "the schema itself: " + err.Error()}}
	}
	// The validator wants plain JSON values.
	text, err := json.Marshal(doc.any())
	if err != nil {
		return Problems{{Code: "M001", File: file, Line: 1, Column: 1, Message: err.Error()}}
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return Problems{{Code: "M001", File: file, Line: 1, Column: 1, Message: err.Error()}}
	}
	err = s.Validate(v)
	if err == nil {
		return nil
	}
	ve, ok := err.(*jsonschema.ValidationError)
	if !ok {
		return Problems{{Code: "M001", File: file, Line: 1, Column: 1, Message: err.Error()}}
	}
	var ps Problems
	leafErrors(ve, func(e *jsonschema.ValidationError) {
		at := doc.at(e.InstanceLocation)
		p := Problem{Code: "M001", File: file, Line: at.line, Column: at.col, Message: strings.TrimPrefix(e.InstanceLocation+": "+e.Message, ": ")}
		if _, name, ok := strings.Cut(e.Message, "additionalProperties '"); ok {
			name, _, _ = strings.Cut(name, "'")
			for _, k := range at.keys {
				if k.text == name {
					p.Line, p.Column, p.Suggestion = k.line, k.col, nearest(name, schemaKeys)
				}
			}
		}
		ps = append(ps, p)
	})
	return ps
}

// schemaKeys are the keys that the schema knows, for suggestions.
var schemaKeys = []string{"map", "version", "title", "input", "scopes", "subject", "filters", "rejects", "ignore", "partials", "resources", "extends",
	"tables", "set", "add", "when", "name", "type", "scope", "each", "id", "onMissingId", "parkCode", "ambiguous", "write", "union", "volatile", "initial",
	"clear", "guard", "target", "path", "as", "in", "continues", "rule", "code", "hint", "hintZH", "reason", "places", "params", "element", "from", "kind"}

func leafErrors(e *jsonschema.ValidationError, f func(*jsonschema.ValidationError)) {
	if len(e.Causes) == 0 {
		f(e)
	}
	for _, c := range e.Causes {
		leafErrors(c, f)
	}
}

// at finds the node that a JSON pointer names, or the nearest above it.
func (y *ynode) at(pointer string) *ynode {
	n := y
	for _, part := range strings.Split(strings.TrimPrefix(pointer, "/"), "/") {
		part = strings.ReplaceAll(strings.ReplaceAll(part, "~1", "/"), "~0", "~")
		next := n.get(part)
		if next == nil && n.kind == yamlList {
			i := 0
			if _, err := fmt.Sscanf(part, "%d", &i); err == nil && i >= 0 && i < len(n.vals) {
				next = n.vals[i]
			}
		}
		if next == nil {
			return n
		}
		n = next
	}
	return n
}
