package graphql

import (
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"

	"meridian/fhir/schema"
	"meridian/fhir/search"
)

// searches adds the root of queries, and to each resource type the reverse
// references: the types that have a search parameter which may name it.
//
// https://hl7.org/fhir/R4/graphql.html#searching
func (m *model) searches(r *search.Registry) {
	query := m.object("Query", nil)
	m.schema.Query = query
	field := func(name string, typ *ast.Type, args ast.ArgumentDefinitionList, what role) *ast.FieldDefinition {
		f := &ast.FieldDefinition{Name: name, Type: typ, Arguments: args}
		m.roles[f] = what
		return f
	}
	id := ast.ArgumentDefinitionList{{Name: "id", Type: ast.NonNullNamedType("ID", nil)}}
	for _, typ := range schema.ResourceTypes() {
		m.connection(typ)
		args := m.parameters(r, typ)
		page := append(args[:len(args):len(args)], &ast.ArgumentDefinition{Name: "_cursor", Type: named("String")}, &ast.ArgumentDefinition{Name: "cursor", Type: named("String")})
		query.Fields = append(query.Fields,
			field(typ, named(typ), id, role{act: actRead, typ: typ}),
			field(typ+"List", list(typ), args, role{act: actList, typ: typ}),
			field(typ+"Connection", named(typ+"Connection"), page, role{act: actConnection, typ: typ}))
		reverse := func(args ast.ArgumentDefinitionList) ast.FieldList {
			args = append(ast.ArgumentDefinitionList{{Name: "_reference", Type: ast.NonNullNamedType("String", nil)}}, args...)
			return ast.FieldList{
				field(typ+"List", list(typ), args, role{act: actList, typ: typ}),
				field(typ+"Connection", named(typ+"Connection"), args, role{act: actConnection, typ: typ})}
		}
		full, short := reverse(args), reverse(slices.DeleteFunc(slices.Clone(args), func(a *ast.ArgumentDefinition) bool { return m.codes[typ][a.Name] != "" }))
		for _, of := range schema.ResourceTypes() {
			def := m.schema.Types[of]
			switch refers(r, typ, of) {
			case byName:
				def.Fields = append(def.Fields, full...)
			case asAny:
				def.Fields = append(def.Fields, short...)
			}
		}
	}
	query.Fields = append(query.Fields, m.meta...)
}

// referring is how search parameters of one type may refer to another.
type referring uint8

const (
	notAtAll referring = iota
	asAny              // as they may to anything
	byName             // one of them names the type
)

// manyTargets is the number of target types from which a parameter names none of them in particular.
const manyTargets = 100

// refers says how. Some 5,000 pairs of types are asAny and 700 byName; the fields of the former
// have few arguments, or the schema would be twice as large: the others are said by _filter.
func refers(r *search.Registry, typ, to string) (how referring) {
	for _, p := range r.Params(typ) {
		switch {
		case p.Kind != search.KindReference || !r.MayRefer(p, to):
		case slices.Contains(p.Targets, to) && len(p.Targets) < manyTargets:
			return byName
		default:
			how = asAny
		}
	}
	return how
}

// connection adds the types of a page of a search.
func (m *model) connection(typ string) {
	m.object(typ+"Connection", ast.FieldList{
		{Name: "count", Type: named("Int"), Description: "How many match"},
		{Name: "offset", Type: named("Int"), Description: "Always null: pages go on after a row and have no number"},
		{Name: "pagesize", Type: named("Int")},
		{Name: "first", Type: named("ID")}, {Name: "previous", Type: named("ID")}, {Name: "next", Type: named("ID")},
		{Name: "last", Type: named("ID"), Description: "Always null"},
		{Name: "edges", Type: list(typ + "Edge")},
	})
	m.object(typ+"Edge", ast.FieldList{
		{Name: "mode", Type: named("code")},
		{Name: "score", Type: named("decimal")},
		{Name: "resource", Type: named(typ)},
	})
}

// parameters are the arguments of a search: a dash in a name is an underscore.
func (m *model) parameters(r *search.Registry, typ string) ast.ArgumentDefinitionList {
	args := ast.ArgumentDefinitionList{
		{Name: "fhirpath", Type: named("String")},
		{Name: "_filter", Type: named("String")},
		{Name: "_list", Type: list("String")},
	}
	codes := map[string]string{"_list": "_list"}
	m.codes[typ] = codes
	for _, p := range r.Params(typ) {
		name := strings.ReplaceAll(p.Code, "-", "_")
		if p.Unsupported != "" || codes[name] != "" || !isName(name) || slices.Contains(ownArguments(), name) {
			continue
		}
		codes[name] = p.Code
		args = append(args, &ast.ArgumentDefinition{Name: name, Type: list(kindName(p.Kind))})
	}
	return append(args, &ast.ArgumentDefinition{Name: "_sort", Type: named("String")}, &ast.ArgumentDefinition{Name: "_count", Type: named("Int")})
}

// ownArguments are those of searches that are no search parameters of a type; one that was added under such a name is asked for by _filter.
func ownArguments() []string {
	return []string{"fhirpath", "_filter", "_sort", "_count", "_cursor", "cursor", "_reference"}
}

// isName says whether GraphQL can name it.
func isName(s string) bool {
	for i, c := range []byte(s) {
		if c != '_' && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// kindName is the scalar of a kind of search parameter.
func kindName(k search.Kind) string {
	if k == search.KindString {
		return "String"
	}
	return k.String()
}
