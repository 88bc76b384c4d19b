package main

import (
	"bytes"
	"fmt"
	"go/format"
	"slices"
	"strconv"
	"strings"
)

// emitSchema writes the tables of fhir/schema.
func emitSchema(m *model, files map[string][]byte) error {
	types, err := schemaTypes(m)
	if err != nil {
		return err
	}
	names, err := schemaNames(m)
	if err != nil {
		return err
	}
	for name, src := range map[string][]byte{"types": types, "names": names} {
		out, err := format.Source(src)
		if err != nil {
			return fmt.Errorf("schema %s: %w", name, err)
		}
		files["fhir/schema/"+name+"_gen.go"] = out
	}
	return nil
}

func schemaTypes(m *model) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(header + "package schema\n\n")
	fmt.Fprintf(&b, "var types = [%d]Type{\n{names: nameTable{slots: \"\\xff\"}},\n", len(m.types))
	for _, t := range m.types[1:] {
		fmt.Fprintf(&b, "{ID: %d, Name: %q, Kind: %s", t.id, t.name, t.kind)
		if t.abstract {
			b.WriteString(", Abstract: true")
		}
		if t.base != "" {
			fmt.Fprintf(&b, ", Base: %s", m.idText(t.base))
		}
		b.WriteString(", Elements: []Element{\n")
		for _, e := range t.elements {
			m.writeElement(&b, e)
		}
		b.WriteString("}, ")
		if err := m.writeNames(&b, t); err != nil {
			return nil, fmt.Errorf("%s: %w", t.name, err)
		}
		b.WriteString("},\n")
	}
	b.WriteString("}\n")
	return b.Bytes(), nil
}

func (m *model) writeElement(b *bytes.Buffer, e *elem) {
	fmt.Fprintf(b, "{Name: %q, Path: %q", e.name, e.path)
	if e.min > 0 {
		fmt.Fprintf(b, ", Min: %d", e.min)
	}
	if e.max == unbounded {
		b.WriteString(", Max: Unbounded")
	} else {
		fmt.Fprintf(b, ", Max: %d", e.max)
	}
	b.WriteString(", Types: []ID{")
	for i, t := range e.types {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(m.idText(t))
	}
	b.WriteString("}")
	for _, f := range []struct {
		name string
		on   bool
	}{{"Choice", e.choice}, {"Summary", e.summary}, {"Modifier", e.modifier}, {"Attr", e.attr}} {
		if f.on {
			fmt.Fprintf(b, ", %s: true", f.name)
		}
	}
	if len(e.targets) > 0 {
		fmt.Fprintf(b, ", Targets: %#v", e.targets)
	}
	if e.binding != "" {
		fmt.Fprintf(b, ", Binding: %q", e.binding)
	}
	if e.strength != "" {
		fmt.Fprintf(b, ", Strength: '%s'", e.strength)
	}
	if e.system != "" {
		fmt.Fprintf(b, ", System: %q", e.system)
	}
	b.WriteString("},\n")
}

// writeNames writes the JSON names of t and the perfect hash over them.
func (m *model) writeNames(b *bytes.Buffer, t *typ) error {
	b.WriteString("names: nameTable{props: []Property{\n")
	var names []string
	for i, e := range t.elements {
		for _, name := range e.types {
			json := e.name
			if e.choice {
				json += upper(name)
			}
			names = append(names, json)
			fmt.Fprintf(b, "{Element: %d, Type: %s, JSON: %q},\n", i, m.idText(name), json)
		}
	}
	p, err := findPerfect(names)
	if err != nil {
		return err
	}
	fmt.Fprintf(b, "}, slots: %s, mult: %#x, shift: %d}", asciiQuote(p.slots), p.mult, p.shift)
	return nil
}

// idText writes a type's ID: a constant, or the number of a backbone type.
func (m *model) idText(name string) string {
	t := m.names[name]
	if t.top() {
		return "Type" + upper(name)
	}
	return strconv.Itoa(t.id)
}

func schemaNames(m *model) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(header + "package schema\n\n")
	b.WriteString("// The IDs of the types that have a name of their own. Backbone types are found by path with ByName.\nconst (\n")
	names := make([]string, len(m.types))
	var resources []string
	for _, t := range m.types[1:] {
		names[t.id] = t.name
		if t.top() {
			fmt.Fprintf(&b, "Type%s ID = %d\n", upper(t.name), t.id)
		}
		if t.kind == kindResource && !t.abstract {
			resources = append(resources, t.name)
		}
	}
	slices.Sort(resources)
	b.WriteString(")\n\nvar resourceNames = []string{\n")
	for _, r := range resources {
		fmt.Fprintf(&b, "%q,\n", r)
	}
	ix, err := findTypeIndex(names)
	if err != nil {
		return nil, err
	}
	b.WriteString("}\n\n")
	writeUint16s(&b, "typeDisplace", ix.displace)
	writeUint16s(&b, "typeSlots", ix.slots)
	return b.Bytes(), nil
}

func writeUint16s(b *bytes.Buffer, name string, list []uint16) {
	fmt.Fprintf(b, "var %s = [%d]uint16{", name, len(list))
	for i, v := range list {
		if i%16 == 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(b, "%d, ", v)
	}
	b.WriteString("\n}\n\n")
}

// asciiQuote writes bytes as a Go string literal without raw bytes above ASCII.
func asciiQuote(p []byte) string {
	var s strings.Builder
	s.WriteByte('"')
	for _, c := range p {
		fmt.Fprintf(&s, `\x%02x`, c)
	}
	s.WriteByte('"')
	return s.String()
}
