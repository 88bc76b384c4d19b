package graphql

import (
	"github.com/vektah/gqlparser/v2/ast"

	"meridian/fhir/schema"
)

// mutations adds the root of mutations and the input types, which are the types
// without arguments. A resource in a resource is of the scalar ResourceInput:
// GraphQL has no input that may be one of several types.
//
// https://hl7.org/fhir/R4/graphql.html#mutations
func (m *model) mutations() {
	m.add(&ast.Definition{Kind: ast.InputObject, Name: "ElementBaseInput", Fields: ast.FieldList{{Name: "id", Type: named("ID")}, {Name: "extension", Type: list("ExtensionInput")}}})
	for id := schema.ID(1); id < schema.Count; id++ {
		if t := schema.ByID(id); t.Kind != schema.Primitive && !t.Abstract {
			m.add(m.input(t))
		}
	}
	root := m.object("Mutation", nil)
	m.schema.Mutation = root
	field := func(name string, typ string, a act, of string, args ...*ast.ArgumentDefinition) {
		f := &ast.FieldDefinition{Name: name, Type: named(typ), Arguments: args}
		m.roles[f] = role{act: a, typ: of}
		root.Fields = append(root.Fields, f)
	}
	id := &ast.ArgumentDefinition{Name: "id", Type: ast.NonNullNamedType("ID", nil)}
	for _, typ := range schema.ResourceTypes() {
		res := &ast.ArgumentDefinition{Name: "res", Type: ast.NonNullNamedType(m.inputName(typ), nil)}
		field(typ+"Create", typ, actCreate, typ, res)
		field(typ+"Update", typ, actUpdate, typ, id, res)
		field(typ+"Delete", "OperationOutcome", actDelete, typ, id)
	}
}

// inputName is that of a type's input type: Task.input is TaskInput, so that of Task is Task_Input.
func (m *model) inputName(name string) string {
	if m.types[name+"Input"] != nil {
		return name + "_Input"
	}
	return name + "Input"
}

// input is the input type of t. Whether what is required is there is checked with the resource.
func (m *model) input(t *schema.Type) *ast.Definition {
	def := &ast.Definition{Kind: ast.InputObject, Name: m.inputName(nameOf(t))}
	if t.Kind == schema.Resource {
		def.Fields = append(def.Fields, &ast.FieldDefinition{Name: "resourceType", Type: named("code")})
	}
	for _, p := range t.Properties() {
		for _, f := range m.fields(t, &p) {
			name := f.Type.Name()
			switch {
			case name == "Resource":
				name = "ResourceInput"
			case m.schema.Types[name] == nil || m.schema.Types[name].Kind != ast.Scalar:
				name = m.inputName(name)
			}
			in := &ast.FieldDefinition{Name: f.Name, Type: named(name)}
			if f.Type.Elem != nil {
				in.Type = list(name)
			}
			def.Fields = append(def.Fields, in)
		}
	}
	return def
}
