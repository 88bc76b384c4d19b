package graphql

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"

	"github.com/vektah/gqlparser/v2/ast"

	"meridian/fhir/codec"
	"meridian/fhir/issue"
)

// Values of variables are read into the same form as those in the document, so
// that there is one way to use them, and numbers keep their digits.

// maxValueDepth is how deep lists and objects of a variable may be.
const maxValueDepth = 64

var errVariables = errors.New("the variables are not one JSON object")

// readVariables reads a JSON object.
func readVariables(text []byte) (map[string]*ast.Value, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	v, err := readValue(d, 0)
	if err != nil {
		return nil, errVariables
	}
	if _, err := d.Token(); err != io.EOF || v.Kind != ast.ObjectValue && v.Kind != ast.NullValue {
		return nil, errVariables
	}
	out := map[string]*ast.Value{}
	for _, c := range v.Children {
		if out[c.Name] != nil {
			return nil, errVariables
		}
		out[c.Name] = c.Value
	}
	return out, nil
}

// readValue reads one JSON value.
func readValue(d *json.Decoder, depth int) (*ast.Value, error) {
	t, err := d.Token()
	if err != nil || depth > maxValueDepth {
		return nil, errVariables
	}
	switch t := t.(type) {
	case nil:
		return &ast.Value{Kind: ast.NullValue, Raw: "null"}, nil
	case bool:
		return &ast.Value{Kind: ast.BooleanValue, Raw: strconv.FormatBool(t)}, nil
	case string:
		return &ast.Value{Kind: ast.StringValue, Raw: t}, nil
	case json.Number:
		kind := ast.IntValue
		if bytes.ContainsAny([]byte(t), ".eE") {
			kind = ast.FloatValue
		}
		return &ast.Value{Kind: kind, Raw: t.String()}, nil
	}
	v := &ast.Value{Kind: ast.ListValue}
	if t == json.Delim('{') {
		v.Kind = ast.ObjectValue
	}
	for d.More() {
		c := &ast.ChildValue{}
		if v.Kind == ast.ObjectValue {
			name, err := d.Token()
			if err != nil {
				return nil, err
			}
			c.Name, _ = name.(string)
		}
		if c.Value, err = readValue(d, depth+1); err != nil {
			return nil, err
		}
		v.Children = append(v.Children, c)
	}
	_, err = d.Token() // the end of it
	return v, err
}

// bind gives the operation's variables their values and checks them. Others that were sent are refused.
//
// https://spec.graphql.org/October2021/#sec-Coercing-Variable-Values
func (x *run) bind(op *ast.OperationDefinition, sent map[string]*ast.Value) {
	for _, def := range op.VariableDefinitions {
		v, ok := sent[def.Variable]
		if !ok {
			v = def.DefaultValue
		}
		switch {
		case v == nil && def.Type.NonNull:
			x.refuse(def.Position, issue.Required, "variable", "the variable $"+def.Variable+" has no value")
		case v != nil && !x.fits(def.Type, v):
			x.refuse(def.Position, issue.Value, "variable", "the value of the variable $"+def.Variable+" is not of type "+def.Type.String())
		}
	}
	for name := range sent {
		if op.VariableDefinitions.ForName(name) == nil {
			x.refuse(op.Position, issue.Invalid, "variable", "the operation has no variable $"+printable(name))
		}
	}
}

// printable is a name that a client sent, where it is one.
func printable(name string) string {
	for i, c := range name {
		if i > 64 || c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return "…"
		}
	}
	return name
}

// fits says whether a value is of a type. One value stands for a list of one.
//
// https://spec.graphql.org/October2021/#sec-Input-Values
func (x *run) fits(t *ast.Type, v *ast.Value) bool {
	switch {
	case v.Kind == ast.NullValue:
		return !t.NonNull
	case t.Elem != nil && v.Kind == ast.ListValue:
		for _, c := range v.Children {
			if !x.fits(t.Elem, c.Value) {
				return false
			}
		}
		return true
	case t.Elem != nil:
		return x.fits(t.Elem, v)
	}
	def := x.view.Types[t.NamedType]
	if def == nil {
		return false
	}
	if def.Kind == ast.InputObject {
		return v.Kind == ast.ObjectValue && x.fitsInput(def, v)
	}
	return fitsScalar(t.NamedType, v)
}

func (x *run) fitsInput(def *ast.Definition, v *ast.Value) bool {
	seen := map[string]bool{}
	for _, c := range v.Children {
		f := def.Fields.ForName(c.Name)
		if f == nil || seen[c.Name] || !x.fits(f.Type, c.Value) {
			return false
		}
		seen[c.Name] = true
	}
	return true
}

func fitsScalar(name string, v *ast.Value) bool {
	switch name {
	case "Int":
		_, err := strconv.ParseInt(v.Raw, 10, 32)
		return v.Kind == ast.IntValue && err == nil
	case "Float":
		return v.Kind == ast.IntValue || v.Kind == ast.FloatValue
	case "String":
		return isText(v)
	case "Boolean":
		return v.Kind == ast.BooleanValue
	case "ID":
		return isText(v) || v.Kind == ast.IntValue
	case "ResourceInput":
		return v.Kind == ast.ObjectValue
	}
	return v.Kind != ast.ObjectValue && v.Kind != ast.ListValue
}

func isText(v *ast.Value) bool { return v.Kind == ast.StringValue || v.Kind == ast.BlockValue }

// value is v, or the value of the variable that it is; nil where there is none, or null.
func (x *run) value(v *ast.Value) *ast.Value {
	if v != nil && v.Kind == ast.Variable {
		sent, ok := x.variables[v.Raw]
		if !ok && v.VariableDefinition != nil {
			sent = v.VariableDefinition.DefaultValue
		}
		v = sent
	}
	if v == nil || v.Kind == ast.NullValue {
		return nil
	}
	return v
}

// argument of a field or directive; nil where it is not given.
func (x *run) argument(args ast.ArgumentList, name string) *ast.Value {
	if a := args.ForName(name); a != nil {
		return x.value(a.Value)
	}
	return nil
}

// text of a scalar argument, "" where it is not given.
func (x *run) text(args ast.ArgumentList, name string) string {
	if v := x.argument(args, name); v != nil {
		return v.Raw
	}
	return ""
}

// texts of an argument that is a list, or one value.
func (x *run) texts(v *ast.Value) (out []string) {
	if v = x.value(v); v == nil {
		return nil
	}
	if v.Kind != ast.ListValue {
		return []string{v.Raw}
	}
	for _, c := range v.Children {
		if c := x.value(c.Value); c != nil {
			out = append(out, c.Raw)
		}
	}
	return out
}

// number is a count from least on; def where it is not given.
func (x *run) number(args ast.ArgumentList, name string, least, def int) int {
	a := args.ForName(name)
	if a == nil {
		return def
	}
	v := x.value(a.Value)
	if v == nil {
		return def
	}
	n, err := strconv.ParseInt(v.Raw, 10, 32)
	if err != nil || int(n) < least {
		x.refuse(a.Position, issue.Value, "count", name+" is a number from "+strconv.Itoa(least)+" on")
		return def
	}
	return int(n)
}

// appendInput appends a value as FHIR's JSON. t, where it is known, makes lists of what stands alone.
func (x *run) appendInput(dst []byte, t *ast.Type, v *ast.Value) []byte {
	v = x.value(v)
	switch {
	case v == nil:
		return append(dst, "null"...)
	case t != nil && t.Elem != nil && v.Kind != ast.ListValue:
		return append(x.appendInput(append(dst, '['), t.Elem, v), ']')
	}
	switch v.Kind {
	case ast.StringValue, ast.BlockValue, ast.EnumValue:
		return codec.AppendString(dst, v.Raw)
	case ast.ListValue:
		dst = append(dst, '[')
		for i, c := range v.Children {
			if i > 0 {
				dst = append(dst, ',')
			}
			var of *ast.Type
			if t != nil {
				of = t.Elem
			}
			dst = x.appendInput(dst, of, c.Value)
		}
		return append(dst, ']')
	case ast.ObjectValue:
		return append(x.appendMembers(append(dst, '{'), t, v, false), '}')
	}
	return append(dst, v.Raw...) // a number, as written, or a boolean
}

// appendMembers appends the members of an object; null is the same as not given. more says that some stand before them.
func (x *run) appendMembers(dst []byte, t *ast.Type, v *ast.Value, more bool) []byte {
	var def *ast.Definition
	if t != nil {
		def = x.view.Types[t.NamedType]
	}
	for _, c := range v.Children {
		if x.value(c.Value) == nil {
			continue
		}
		if more {
			dst = append(dst, ',')
		}
		more = true
		dst = append(codec.AppendString(dst, c.Name), ':')
		var of *ast.Type
		if def != nil {
			if f := def.Fields.ForName(c.Name); f != nil {
				of = f.Type
			}
		}
		dst = x.appendInput(dst, of, c.Value)
	}
	return dst
}
