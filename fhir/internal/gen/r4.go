package main

import (
	"bytes"
	"fmt"
	"go/format"
	"slices"
	"strings"
)

// goPrimitives gives the Go type of a primitive in a struct field. In a choice,
// where the Go type says which FHIR type is meant, the others are named types
// of package r4.
var goPrimitives = map[string]string{
	"boolean": "bool", "integer": "int", "positiveInt": "int", "unsignedInt": "int", "decimal": "Decimal",
}

// emitR4 writes the structs: a file for the datatypes, one for each resource
// and the table of types.
func emitR4(m *model, files map[string][]byte) error {
	sources := map[string]*bytes.Buffer{}
	taken := map[string]string{}
	var table bytes.Buffer
	file := "datatypes"
	for _, t := range m.types[1:] {
		if t.kind == kindPrimitive {
			continue
		}
		if t.kind == kindResource {
			file = strings.ToLower(t.name)
		}
		if t.abstract && t.name != "Element" {
			continue // Resource is an interface; BackboneElement and DomainResource only pass on elements
		}
		name := goName(t.name)
		if other, ok := taken[name]; ok {
			return fmt.Errorf("r4: %s and %s have one Go name", other, t.name)
		}
		taken[name] = t.name
		b := sources[file]
		if b == nil {
			b = bytes.NewBufferString(header + "package r4\n\n")
			sources[file] = b
		}
		m.writeStruct(b, t)
		fmt.Fprintf(&table, "%d: (*%s)(nil),\n", t.id, name)
	}
	sources["types"] = bytes.NewBufferString(header + "package r4\n\n" +
		"// goTypes has the struct of a type at its schema.ID.\nvar goTypes = [...]any{\n" + table.String() + "}\n")
	for name, b := range sources {
		src, err := format.Source(b.Bytes())
		if err != nil {
			return fmt.Errorf("r4 %s: %w", name, err)
		}
		files["fhir/r4/"+name+"_gen.go"] = src
	}
	return nil
}

// goName makes BundleEntry of Bundle.entry.
func goName(name string) string {
	var s strings.Builder
	for part := range strings.SplitSeq(name, ".") {
		s.WriteString(upper(part))
	}
	return s.String()
}

func (m *model) writeStruct(b *bytes.Buffer, t *typ) {
	name := goName(t.name)
	top, _, _ := strings.Cut(t.name, ".")
	page := "datatypes.html#" + top
	if m.names[top].kind == kindResource {
		page = strings.ToLower(top) + ".html"
	}
	short := strings.TrimSuffix(oneLine(t.short), ".")
	if t.top() {
		fmt.Fprintf(b, "// %s: %s.\n", name, short)
	} else {
		fmt.Fprintf(b, "// %s is %s: %s.\n", name, t.name, short)
	}
	fmt.Fprintf(b, "// https://hl7.org/fhir/R4/%s\ntype %s struct {\n", page, name)
	for _, e := range t.elements {
		m.writeField(b, e)
	}
	b.WriteString("}\n\n")
	if t.kind == kindResource {
		fmt.Fprintf(b, "// ResourceType is %q.\nfunc (*%s) ResourceType() string { return %q }\n\n", t.name, name, t.name)
	}
}

func (m *model) writeField(b *bytes.Buffer, e *elem) {
	field := upper(e.name)
	short := oneLine(e.short)
	if e.choice {
		short += " (" + strings.Join(choiceNames(m, e.types), ", ") + ")"
	}
	primitive := slices.ContainsFunc(e.types, func(n string) bool { return m.names[n].kind == kindPrimitive })
	fmt.Fprintf(b, "%s %s // %s\n", field, m.fieldType(e), short)
	switch {
	case e.attr || !primitive: // an attribute in XML has no room for id and extension
	case e.max > 1:
		fmt.Fprintf(b, "%sElement []*Element\n", field)
	default:
		fmt.Fprintf(b, "%sElement *Element\n", field)
	}
}

// fieldType is the Go type of a field. Without a value a string is "" where the
// element is required or repeats; other primitives are pointers then too, since
// their zero is a value.
func (m *model) fieldType(e *elem) string {
	if e.choice {
		return "any"
	}
	t := m.names[e.types[0]]
	repeats, pointer := e.max > 1, e.min == 0
	var name string
	switch {
	case t.name == "Resource":
		name, pointer = "Resource", false
	case t.kind == kindPrimitive:
		name = "string"
		if p, ok := goPrimitives[t.name]; ok {
			name = p
			pointer = p != "Decimal" || pointer && !repeats
		} else if repeats {
			pointer = false
		}
	default:
		name = goName(t.name)
		pointer = pointer && !repeats
	}
	if pointer {
		name = "*" + name
	}
	if repeats {
		name = "[]" + name
	}
	return name
}

// choiceNames gives the Go types that a choice may hold.
func choiceNames(m *model, types []string) []string {
	if len(types) > 20 {
		return []string{"any datatype"}
	}
	var names []string
	for _, n := range types {
		switch t := m.names[n]; {
		case t.kind != kindPrimitive:
			names = append(names, "*"+goName(n))
		case n == "string" || n == "boolean" || n == "integer":
			names = append(names, map[string]string{"string": "string", "boolean": "bool", "integer": "int"}[n])
		default:
			names = append(names, upper(n))
		}
	}
	return names
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
