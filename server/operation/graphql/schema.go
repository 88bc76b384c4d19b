package graphql

import (
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"

	"meridian/fhir/schema"
	"meridian/fhir/search"
)

// The schema follows the definitions that FHIR publishes for GraphQL: a type of
// FHIR has its own name, a backbone element that of its path (PatientContact), a
// primitive is a scalar of its name, but for String, Boolean, Int and ID.
//
//	type Patient implements Resource & DomainResource {
//	  resourceType: code
//	  id: ID
//	  birthDate: date
//	  _birthDate: ElementBase
//	  name(fhirpath: String, use: code, …, _offset: Int, _count: Int): [HumanName]
//	  ObservationList(_reference: String!, code: [token], …): [Observation]
//	}

// act is what a field does that is no element.
type act uint8

const (
	actResource   act = iota + 1 // Reference.resource
	actRead                      // Patient(id:)
	actList                      // PatientList, also as a reverse reference
	actConnection                // PatientConnection, also as a reverse reference
	actCreate
	actUpdate
	actDelete
	actSchema
	actType
)

// role of a field that is no element, and the resource type that it is about.
type role struct {
	act act
	typ string
}

// model is the schema with what its fields mean.
type model struct {
	schema *ast.Schema // of the system
	roles  map[*ast.FieldDefinition]role
	types  map[string]*schema.Type // by name in GraphQL
	names  []string                // by schema.ID
	args   map[schema.ID]ast.ArgumentDefinitionList
	codes  map[string]map[string]string // by resource type: argument → search parameter
	meta   []*ast.FieldDefinition       // __schema and __type
}

// newModel makes the schema from the types of FHIR and the search parameters.
func newModel(r *search.Registry) *model {
	m := &model{roles: map[*ast.FieldDefinition]role{}, types: map[string]*schema.Type{}, names: make([]string, schema.Count),
		args: map[schema.ID]ast.ArgumentDefinitionList{}, codes: map[string]map[string]string{},
		schema: &ast.Schema{Types: map[string]*ast.Definition{}, Directives: map[string]*ast.DirectiveDefinition{},
			PossibleTypes: map[string][]*ast.Definition{}, Implements: map[string][]*ast.Definition{}}}
	m.prelude()
	m.scalars()
	for id := schema.ID(1); id < schema.Count; id++ {
		t := schema.ByID(id)
		m.names[id] = nameOf(t)
		m.types[m.names[id]] = t
	}
	m.object("ElementBase", ast.FieldList{{Name: "id", Type: named("ID")}, m.extension()})
	for id := schema.ID(1); id < schema.Count; id++ {
		if t := schema.ByID(id); t.Kind != schema.Primitive && t.Name != "Element" && t.Name != "BackboneElement" {
			m.add(m.definition(t))
		}
	}
	m.searches(r)
	m.mutations()
	for _, def := range m.schema.Types {
		m.relate(def)
	}
	for _, list := range m.schema.PossibleTypes {
		slices.SortFunc(list, func(a, b *ast.Definition) int { return strings.Compare(a.Name, b.Name) })
	}
	return m
}

// prelude takes the types and directives of GraphQL itself, but @defer, and adds those of FHIR.
//
// https://hl7.org/fhir/R4/graphql.html#flattening
func (m *model) prelude() {
	doc, err := parser.ParseSchema(validator.Prelude)
	if err != nil {
		panic(err) // it is a part of the program
	}
	for _, def := range doc.Definitions {
		m.add(def)
	}
	for _, d := range doc.Directives {
		if d.Name != "defer" {
			m.schema.Directives[d.Name] = d
		}
	}
	on := []ast.DirectiveLocation{ast.LocationField}
	for name, text := range map[string]string{
		"flatten":   "The field itself is left out; what is selected in it takes its place, as lists where it repeats",
		"first":     "Only the first of the elements",
		"singleton": "One value and no list, below a flattened element; an error where there are several",
	} {
		m.schema.Directives[name] = &ast.DirectiveDefinition{Name: name, Description: text, Locations: on, Position: nowhere()}
	}
	m.schema.Directives["slice"] = &ast.DirectiveDefinition{Name: "slice", Locations: on, Position: nowhere(),
		Description: "Each element gets a name of its own: a dot and what the FHIRPath gives for it, or its $index",
		Arguments:   ast.ArgumentDefinitionList{{Name: "path", Type: ast.NonNullNamedType("String", nil)}}}
	m.meta = []*ast.FieldDefinition{
		{Name: "__schema", Type: ast.NonNullNamedType("__Schema", nil)},
		{Name: "__type", Type: named("__Type"), Arguments: ast.ArgumentDefinitionList{{Name: "name", Type: ast.NonNullNamedType("String", nil)}}},
	}
	m.roles[m.meta[0]], m.roles[m.meta[1]] = role{act: actSchema}, role{act: actType}
}

// nowhere is the place of what stands in no document; gqlparser asks directives for one.
func nowhere() *ast.Position { return &ast.Position{Src: &ast.Source{BuiltIn: true}} }

func named(name string) *ast.Type { return ast.NamedType(name, nil) }

func list(name string) *ast.Type { return ast.ListType(named(name), nil) }

// scalars are the primitives of FHIR that GraphQL does not have, and the types of search parameters.
func (m *model) scalars() {
	names := []string{"token", "reference", "composite", "quantity", "number", "special", "ResourceInput"}
	for id := schema.ID(1); id < schema.Count; id++ {
		if t := schema.ByID(id); t.Kind == schema.Primitive {
			names = append(names, nameOf(t))
		}
	}
	for _, name := range names {
		if m.schema.Types[name] == nil {
			m.add(&ast.Definition{Kind: ast.Scalar, Name: name})
		}
	}
}

func (m *model) add(def *ast.Definition) { m.schema.Types[def.Name] = def }

func (m *model) object(name string, fields ast.FieldList) *ast.Definition {
	def := &ast.Definition{Kind: ast.Object, Name: name, Fields: fields}
	m.add(def)
	return def
}

// relate notes which types an object or interface stands for.
func (m *model) relate(def *ast.Definition) {
	if def.Kind != ast.Object && def.Kind != ast.InputObject {
		return
	}
	for _, name := range def.Interfaces {
		m.schema.AddPossibleType(name, def)
		m.schema.AddImplements(def.Name, m.schema.Types[name])
	}
	m.schema.AddPossibleType(def.Name, def)
}

// nameOf is the name of a type in GraphQL.
func nameOf(t *schema.Type) string {
	switch t.Name {
	case "string":
		return "String"
	case "boolean":
		return "Boolean"
	case "integer":
		return "Int"
	case "id":
		return "ID"
	}
	parts := strings.Split(t.Name, ".")
	for i := 1; i < len(parts); i++ {
		parts[i] = strings.ToUpper(parts[i][:1]) + parts[i][1:]
	}
	return strings.Join(parts, "")
}

// definition of a complex type, a backbone element or a resource.
func (m *model) definition(t *schema.Type) *ast.Definition {
	def := &ast.Definition{Kind: ast.Object, Name: nameOf(t)}
	if t.Kind == schema.Resource {
		def.Fields = append(def.Fields, &ast.FieldDefinition{Name: "resourceType", Type: named("code")})
		if t.Abstract {
			def.Kind = ast.Interface
		}
		for base := t.Base; base != 0; base = schema.ByID(base).Base {
			def.Interfaces = append(def.Interfaces, schema.ByID(base).Name)
		}
	}
	for _, p := range t.Properties() {
		def.Fields = append(def.Fields, m.fields(t, &p)...)
	}
	if t.ID == schema.TypeReference {
		f := &ast.FieldDefinition{Name: "resource", Type: named("Resource"), Description: "What the reference names",
			Arguments: ast.ArgumentDefinitionList{
				{Name: "optional", Type: named("Boolean"), Description: "null, and no error, where it cannot be resolved"},
				{Name: "type", Type: list("code"), Description: "null where it is of another type"},
			}}
		m.roles[f] = role{act: actResource}
		def.Fields = append(def.Fields, f)
	}
	return def
}

// fields of a property: a primitive has its id and extension beside it.
//
// https://hl7.org/fhir/R4/graphql.html#fields
func (m *model) fields(t *schema.Type, p *schema.Property) ast.FieldList {
	el, of := &t.Elements[p.Element], schema.ByID(p.Type)
	typ := func(name string) *ast.Type {
		if el.Repeats() {
			return list(name)
		}
		return named(name)
	}
	switch {
	case el.Name == "id":
		return ast.FieldList{{Name: p.JSON, Type: named("ID")}}
	case of.Kind != schema.Primitive:
		return ast.FieldList{{Name: p.JSON, Type: typ(nameOf(of)), Arguments: m.filters(of)}}
	case el.Attr || of.Name == "xhtml":
		return ast.FieldList{{Name: p.JSON, Type: typ(nameOf(of))}}
	}
	return ast.FieldList{{Name: p.JSON, Type: typ(nameOf(of))}, {Name: "_" + p.JSON, Type: typ("ElementBase")}}
}

func (m *model) extension() *ast.FieldDefinition {
	return &ast.FieldDefinition{Name: "extension", Type: list("Extension"), Arguments: m.filters(schema.ByName("Extension"))}
}

// filters are the arguments that choose among the elements of a type; a choice such as value[x] is asked for by fhirpath.
//
// https://hl7.org/fhir/R4/graphql.html#list
func (m *model) filters(t *schema.Type) ast.ArgumentDefinitionList {
	if args, ok := m.args[t.ID]; ok {
		return args
	}
	args := ast.ArgumentDefinitionList{{Name: "fhirpath", Type: named("String")}}
	for _, p := range t.Properties() {
		if of := schema.ByID(p.Type); of.Kind == schema.Primitive && !t.Elements[p.Element].Choice {
			name := nameOf(of)
			if t.Elements[p.Element].Name == "id" {
				name = "ID"
			}
			args = append(args, &ast.ArgumentDefinition{Name: p.JSON, Type: named(name)})
		}
	}
	args = append(args, &ast.ArgumentDefinition{Name: "_offset", Type: named("Int")}, &ast.ArgumentDefinition{Name: "_count", Type: named("Int")})
	m.args[t.ID] = args
	return args
}

// rooted is the schema of queries about one instance: its type is the root.
func (m *model) rooted(typ string) *ast.Schema {
	root := *m.schema.Types[typ]
	root.Fields = append(slices.Clone(root.Fields), m.meta...)
	s := *m.schema
	s.Query, s.Mutation = &root, nil
	return &s
}
