package interaction

import (
	"strconv"
	"strings"

	"meridian/fhir/codec"
	"meridian/fhir/element"
	"meridian/fhir/issue"
	"meridian/fhir/schema"
	"meridian/fhir/search"
)

// The parameters of an operation come as a Parameters resource, as the one
// resource that the definition takes, or, when primitive, in the query string.
// All three become OperationValues, each checked against its definition here and nowhere else.

// maxOperationValues is how many parameters, parts included, one call may have.
const maxOperationValues = 10_000

// paramReader collects the values of one call and what is wrong with them.
type paramReader struct {
	def    *OperationDefinition
	failed issue.Error
	values []OperationValue
	query  []search.Pair // of an operation with Search
	count  int
}

func (r *paramReader) fail(code issue.Code, id, text, at string) {
	if len(r.failed.Issues) < codec.DefaultMaxIssues {
		r.failed.Issues = append(r.failed.Issues, issue.Issue{Severity: issue.SevError, Code: code, ID: id, Text: text, Expression: at, Offset: issue.NoOffset})
	}
}

// cardinality checks how often each parameter was sent.
func (r *paramReader) cardinality(params []OperationParameter, values []OperationValue, at string) {
	for i := range params {
		p := &params[i]
		n := len(valuesOf(values, p.Name))
		switch {
		case p.Out:
		case n < p.Min:
			r.fail(issue.Required, "operation.parameter-missing", "$"+r.def.Name+" needs the parameter "+p.Name+typeText(p), at)
		case p.Max > 0 && n > p.Max:
			r.fail(issue.Invalid, "operation.parameter-repeats", "the parameter "+p.Name+" is sent "+strconv.Itoa(n)+" times and may be "+strconv.Itoa(p.Max), at)
		}
	}
}

func typeText(p *OperationParameter) string {
	if p.Type == "" {
		return ""
	}
	return " (" + p.Type + ")"
}

// find gives the definition of a parameter among params.
func (r *paramReader) find(params []OperationParameter, name, at string) *OperationParameter {
	var names []string
	for i := range params {
		if p := &params[i]; !p.Out {
			if p.Name == name || p.Name == AnyName {
				return p
			}
			names = append(names, p.Name)
		}
	}
	text := "$" + r.def.Name + " has no such parameter"
	if len(name) <= MaxID {
		text = "$" + r.def.Name + " has no parameter " + strconv.Quote(name)
	}
	if near := search.Nearest(name, names); near != "" {
		text += "; did you mean " + strconv.Quote(near) + "?"
	}
	r.fail(issue.NotSupported, "operation.parameter-unknown", text, at)
	return nil
}

// pairs reads a query string's parameters.
func (r *paramReader) pairs(pairs []search.Pair) {
	for _, q := range pairs {
		if r.tooMany() {
			return
		}
		p := r.declared(q.Name)
		if p == nil && r.def.Search {
			r.query = append(r.query, q)
			continue
		}
		if p == nil {
			p = r.find(r.def.Params, q.Name, "")
		}
		if p == nil || r.refuses(p, "") {
			continue
		}
		if p.Type == "Reference" { // as FHIR's own search parameters write one
			tree, err := codec.Parse(append(codec.AppendString([]byte(`{"reference":`), q.Value), '}'), codec.Options{Type: "Reference"})
			if err != nil {
				r.fail(issue.Value, "operation.parameter-value", "the value of "+p.Name+" is not of type Reference", "")
				continue
			}
			r.values = append(r.values, OperationValue{Name: p.Name, Node: tree.Root()})
			continue
		}
		if !p.primitive() {
			r.fail(issue.Invalid, "operation.parameter-complex", "the parameter "+p.Name+typeText(p)+" is not primitive: send it by POST in a Parameters resource", "")
			continue
		}
		if n, ok := primitiveNode(p.Type, q.Value); ok {
			r.values = append(r.values, OperationValue{Name: p.Name, Node: n})
		} else {
			r.fail(issue.Value, "operation.parameter-value", "the value of "+p.Name+" is not of type "+p.Type, "")
		}
	}
}

// refuses refuses a parameter that is known and not supported.
func (r *paramReader) refuses(p *OperationParameter, at string) bool {
	if p.Refused {
		r.fail(issue.NotSupported, "operation.parameter-unsupported", "the parameter "+p.Name+" of $"+r.def.Name+" is not supported", at)
	}
	return p.Refused
}

func (r *paramReader) declared(name string) *OperationParameter {
	for i := range r.def.Params {
		if p := &r.def.Params[i]; !p.Out && p.Name == name {
			return p
		}
	}
	return nil
}

func (r *paramReader) tooMany() bool {
	if r.count++; r.count == maxOperationValues+1 {
		r.fail(issue.TooLong, "operation.parameters", "a call has at most "+strconv.Itoa(maxOperationValues)+" parameters", "")
	}
	return r.count > maxOperationValues
}

// body reads a Parameters resource, or the resource that stands for the one
// parameter of its kind.
func (r *paramReader) body(root element.Node) {
	if root.Type().Name == "Parameters" {
		r.values = append(r.values, r.list(root, "parameter", r.def.Params, true)...)
		return
	}
	p := r.def.bare()
	if p == nil {
		r.fail(issue.Invalid, "operation.body", "the body of $"+r.def.Name+" is a Parameters resource", root.Location())
		return
	}
	if p.Type != "Resource" && p.Type != root.Type().Name {
		r.fail(issue.Invalid, "operation.body", "the body of $"+r.def.Name+" is a Parameters resource or a "+p.Type, root.Location())
		return
	}
	r.values = append(r.values, OperationValue{Name: p.Name, Node: root})
}

// list reads the parameters, or the parts, below n.
func (r *paramReader) list(n element.Node, child string, params []OperationParameter, top bool) []OperationValue {
	var out []OperationValue
	for c := n.First(); c.Valid(); c = c.Next() {
		if c.Name() != child {
			continue
		}
		if r.tooMany() {
			return out
		}
		if c.Child("modifierExtension").Valid() {
			r.fail(issue.Extension, "operation.modifier", "a modifier extension of a parameter is not understood", c.Location())
			continue
		}
		name := c.Child("name").Text()
		if top && r.def.Search && r.declared(name) == nil {
			r.searchPair(name, c)
			continue
		}
		p := r.find(params, name, c.Location())
		if p == nil || r.refuses(p, c.Location()) {
			continue
		}
		if v, ok := r.value(p, c); ok {
			v.Name = name
			out = append(out, v)
		}
	}
	return out
}

// searchPair takes a parameter of a search from a Parameters resource.
func (r *paramReader) searchPair(name string, c element.Node) {
	v := c.Child("value")
	if !v.Valid() || v.Type().Kind != schema.Primitive {
		r.fail(issue.Value, "operation.parameter-value", "a search parameter has a primitive value, as in a query string", c.Location())
		return
	}
	r.query = append(r.query, search.Pair{Name: name, Value: v.Text()})
}

// value reads one parameter of a Parameters resource.
func (r *paramReader) value(p *OperationParameter, c element.Node) (OperationValue, bool) {
	out := OperationValue{Name: p.Name}
	value, resource := c.Child("value"), c.Child("resource")
	if len(p.Parts) > 0 {
		if value.Valid() || resource.Valid() {
			r.fail(issue.Invalid, "operation.parameter-type", "the parameter "+p.Name+" has parts and no value", c.Location())
			return out, false
		}
		out.Parts = r.list(c, "part", p.Parts, false)
		r.cardinality(p.Parts, out.Parts, c.Location())
		return out, true
	}
	if c.Child("part").Valid() {
		r.fail(issue.Invalid, "operation.parameter-type", "the parameter "+p.Name+typeText(p)+" has no parts", c.Location())
		return out, false
	}
	if p.resource() {
		if out.Node = resource; value.Valid() || !resource.Valid() || p.Type != "Resource" && resource.Type().Name != p.Type {
			r.fail(issue.Invalid, "operation.parameter-type", "the parameter "+p.Name+" is a resource: "+p.Type, c.Location())
			return out, false
		}
		return out, true
	}
	if resource.Valid() || !value.Valid() {
		r.fail(issue.Invalid, "operation.parameter-type", "the parameter "+p.Name+" has a value of type "+p.Type, c.Location())
		return out, false
	}
	var ok bool
	if out.Node, ok = asType(value, p.Type); !ok {
		r.fail(issue.Invalid, "operation.parameter-type", "the parameter "+p.Name+" is of type "+p.Type+", not "+value.Type().Name, value.Location())
	}
	return out, ok
}

// asType takes a value of the type, and a primitive of another type whose text
// is one of this type: clients often send a code or uri as valueString.
func asType(v element.Node, typ string) (element.Node, bool) {
	if typ == "Element" || v.Type().Name == typ {
		return v, v.HasValue() || v.Type().Kind != schema.Primitive
	}
	want := schema.ByName(typ)
	if want == nil || want.Kind != schema.Primitive || v.Type().Kind != schema.Primitive || !v.HasValue() || v.IsString() == isBareJSON(typ) {
		return element.Node{}, false
	}
	return primitiveNode(typ, v.Text())
}

// isBareJSON says that a primitive type is no JSON string.
func isBareJSON(typ string) bool {
	switch typ {
	case "boolean", "integer", "decimal", "positiveInt", "unsignedInt":
		return true
	}
	return false
}

// primitiveNode reads text as a value of a primitive type.
func primitiveNode(typ, text string) (element.Node, bool) {
	src := []byte(text)
	if !isBareJSON(typ) {
		src = codec.AppendString(nil, text)
	} else if strings.TrimSpace(text) != text {
		return element.Node{}, false
	}
	tree, err := codec.Parse(src, codec.Options{Type: typ})
	if err != nil {
		return element.Node{}, false
	}
	return tree.Root(), true
}
