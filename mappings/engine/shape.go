package engine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v5"
)

// checkShape applies the JSON Schema (M001) and gives each failure its line.
func checkShape(file string, doc *ynode) Problems {
	c := jsonschema.NewCompiler()
	if err := c.AddResource("map.json", strings.NewReader(schemaText)); err != nil {
		return Problems{{Code: "M001", File: file, Line: 1, Column: 1, Message: "the schema itself: " + err.Error()}}
	}
	s, err := c.Compile("map.json")
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
		ps = append(ps, Problem{Code: "M001", File: file, Line: at.line, Column: at.col, Message: e.InstanceLocation + ": " + e.Message})
	})
	return ps
}

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
