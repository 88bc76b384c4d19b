package graphql

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"

	"meridian/fhir/codec"
)

// introspection answers __schema or __type as JSON; nil where there is no such type.
//
// https://spec.graphql.org/October2021/#sec-Introspection
func (x *run) introspection(st *step) []byte {
	in := introspector{x: x, st: st}
	if st.role.act == actSchema {
		return in.object(nil, st.below, "__Schema", in.schema)
	}
	def := x.view.Types[x.text(st.fields[0].Arguments, "name")]
	if def == nil {
		return nil
	}
	return in.named(nil, st.below, def)
}

// introspector appends JSON: nothing of FHIR's directives applies to the schema.
type introspector struct {
	x  *run
	st *step
}

// object appends the fields that are selected; field appends the value of one.
func (in *introspector) object(dst []byte, sel *selection, typ string, field func(dst []byte, st *step) []byte) []byte {
	dst = append(dst, '{')
	for i, st := range in.x.plan(sel, typ).steps {
		if in.x.stopped {
			break
		}
		if len(dst) > in.x.limits.AnswerBytes {
			in.x.costly(in.st.at(), "bytes in its answer", in.x.limits.AnswerBytes)
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(codec.AppendString(dst, st.key), ':')
		if st.name() == "__typename" {
			dst = codec.AppendString(dst, typ)
		} else {
			dst = field(dst, st)
		}
	}
	return append(dst, '}')
}

// many appends an array of n.
func many(dst []byte, n int, each func(dst []byte, i int) []byte) []byte {
	dst = append(dst, '[')
	for i := range n {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = each(dst, i)
	}
	return append(dst, ']')
}

func null(dst []byte) []byte { return append(dst, "null"...) }

// words appends a text, null when it is empty.
func words(dst []byte, s string) []byte {
	if s == "" {
		return null(dst)
	}
	return codec.AppendString(dst, s)
}

func (in *introspector) schema(dst []byte, st *step) []byte {
	view := in.x.view
	switch st.name() {
	case "types":
		names := slices.Sorted(maps.Keys(view.Types))
		return many(dst, len(names), func(dst []byte, i int) []byte { return in.named(dst, st.below, view.Types[names[i]]) })
	case "queryType":
		return in.named(dst, st.below, view.Query)
	case "mutationType":
		if view.Mutation != nil {
			return in.named(dst, st.below, view.Mutation)
		}
	case "directives":
		names := slices.Sorted(maps.Keys(view.Directives))
		return many(dst, len(names), func(dst []byte, i int) []byte {
			return in.object(dst, st.below, "__Directive", in.directive(view.Directives[names[i]]))
		})
	}
	return null(dst) // description, subscriptionType
}

func (in *introspector) directive(d *ast.DirectiveDefinition) func([]byte, *step) []byte {
	return func(dst []byte, st *step) []byte {
		switch st.name() {
		case "name":
			return codec.AppendString(dst, d.Name)
		case "description":
			return words(dst, d.Description)
		case "isRepeatable":
			return strconv.AppendBool(dst, d.IsRepeatable)
		case "locations":
			return many(dst, len(d.Locations), func(dst []byte, i int) []byte { return codec.AppendString(dst, string(d.Locations[i])) })
		}
		return in.arguments(dst, st, d.Arguments)
	}
}

// typ appends a type that may be a list or non-null.
func (in *introspector) typ(dst []byte, sel *selection, t *ast.Type) []byte {
	if !t.NonNull && t.Elem == nil {
		return in.named(dst, sel, in.x.view.Types[t.NamedType])
	}
	kind, of := "LIST", t.Elem
	if t.NonNull {
		bare := *t
		bare.NonNull = false
		kind, of = "NON_NULL", &bare
	}
	return in.object(dst, sel, "__Type", func(dst []byte, st *step) []byte {
		switch st.name() {
		case "kind":
			return codec.AppendString(dst, kind)
		case "ofType":
			return in.typ(dst, st.below, of)
		}
		return null(dst)
	})
}

// named appends a type that has a name.
func (in *introspector) named(dst []byte, sel *selection, def *ast.Definition) []byte {
	if def.Name == in.x.view.Query.Name {
		def = in.x.view.Query // of an instance the root has more fields
	}
	return in.object(dst, sel, "__Type", func(dst []byte, st *step) []byte {
		switch st.name() {
		case "kind":
			return codec.AppendString(dst, string(def.Kind))
		case "name":
			return codec.AppendString(dst, def.Name)
		case "description":
			return words(dst, def.Description)
		case "isOneOf":
			if def.Kind == ast.InputObject {
				return append(dst, "false"...)
			}
		case "fields":
			return in.fields(dst, st, def)
		case "inputFields":
			return in.inputs(dst, st, def)
		case "enumValues":
			return in.enum(dst, st, def)
		case "interfaces":
			if def.Kind == ast.Object || def.Kind == ast.Interface {
				return many(dst, len(def.Interfaces), func(dst []byte, i int) []byte { return in.named(dst, st.below, in.x.view.Types[def.Interfaces[i]]) })
			}
		case "possibleTypes":
			return in.possible(dst, st, def)
		}
		return null(dst) // specifiedByURL, ofType, and what this kind does not have
	})
}

func (in *introspector) possible(dst []byte, st *step, def *ast.Definition) []byte {
	if !def.IsAbstractType() {
		return null(dst)
	}
	var objects []*ast.Definition
	for _, o := range in.x.view.PossibleTypes[def.Name] {
		if o.Kind == ast.Object {
			objects = append(objects, o)
		}
	}
	return many(dst, len(objects), func(dst []byte, i int) []byte { return in.named(dst, st.below, objects[i]) })
}

// fields appends those of an object or interface, but the meta fields.
func (in *introspector) fields(dst []byte, st *step, def *ast.Definition) []byte {
	if def.Kind != ast.Object && def.Kind != ast.Interface {
		return null(dst)
	}
	var shown []*ast.FieldDefinition
	for _, f := range def.Fields {
		if !strings.HasPrefix(f.Name, "__") {
			shown = append(shown, f)
		}
	}
	return many(dst, len(shown), func(dst []byte, i int) []byte {
		f := shown[i]
		return in.object(dst, st.below, "__Field", func(dst []byte, st *step) []byte {
			switch st.name() {
			case "name":
				return codec.AppendString(dst, f.Name)
			case "description":
				return words(dst, f.Description)
			case "type":
				return in.typ(dst, st.below, f.Type)
			case "args":
				return in.arguments(dst, st, f.Arguments)
			case "isDeprecated":
				return append(dst, "false"...)
			}
			return null(dst)
		})
	})
}

func (in *introspector) inputs(dst []byte, st *step, def *ast.Definition) []byte {
	if def.Kind != ast.InputObject {
		return null(dst)
	}
	return many(dst, len(def.Fields), func(dst []byte, i int) []byte {
		f := def.Fields[i]
		return in.input(dst, st.below, f.Name, f.Description, f.Type, f.DefaultValue)
	})
}

func (in *introspector) arguments(dst []byte, st *step, args ast.ArgumentDefinitionList) []byte {
	return many(dst, len(args), func(dst []byte, i int) []byte {
		a := args[i]
		return in.input(dst, st.below, a.Name, a.Description, a.Type, a.DefaultValue)
	})
}

func (in *introspector) input(dst []byte, sel *selection, name, description string, t *ast.Type, def *ast.Value) []byte {
	return in.object(dst, sel, "__InputValue", func(dst []byte, st *step) []byte {
		switch st.name() {
		case "name":
			return codec.AppendString(dst, name)
		case "description":
			return words(dst, description)
		case "type":
			return in.typ(dst, st.below, t)
		case "defaultValue":
			if def != nil {
				return codec.AppendString(dst, def.String())
			}
		case "isDeprecated":
			return append(dst, "false"...)
		}
		return null(dst)
	})
}

func (in *introspector) enum(dst []byte, st *step, def *ast.Definition) []byte {
	if def.Kind != ast.Enum {
		return null(dst)
	}
	return many(dst, len(def.EnumValues), func(dst []byte, i int) []byte {
		v := def.EnumValues[i]
		return in.object(dst, st.below, "__EnumValue", func(dst []byte, st *step) []byte {
			switch st.name() {
			case "name":
				return codec.AppendString(dst, v.Name)
			case "description":
				return words(dst, v.Description)
			case "isDeprecated":
				return append(dst, "false"...)
			}
			return null(dst)
		})
	})
}
