package main

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"go/format"
	"path/filepath"
	"slices"
	"strings"
)

// bundles lists the vendored files in the order in which their resources are
// put into blocks.
var bundles = []string{
	"profiles-types.json.gz", "profiles-resources.json.gz", "extension-definitions.json.gz", "profiles-others.json.gz",
	"search-parameters.json.gz", "valuesets.json.gz", "v3-codesystems.json.gz", "v2-tables.json.gz", "conceptmaps.json.gz", additional,
}

// blockSize is the size at which a block is closed: one lookup inflates one block.
const blockSize = 128 << 10

// entry is one row of the index in fhir/definitions.
type entry struct {
	kind, url           string
	block, from, length int
}

type searchParameter struct {
	URL, Name, Code, Type, Expression string
	Base, Target, Comparator          []string
	MultipleOr, MultipleAnd           *bool
	Component                         []struct{ Definition, Expression string }
}

type compartment struct {
	URL, Code string
	Resource  []struct {
		Code  string
		Param []string
	}
}

// archive collects resources into blocks, as they stand in the bundles without white space.
type archive struct {
	blocks  [][]byte
	entries []entry
	seen    map[string]bool
}

func (a *archive) add(kind string, raw json.RawMessage) error {
	var head struct{ URL string }
	if err := json.Unmarshal(raw, &head); err != nil {
		return err
	}
	if a.seen[kind+" "+head.URL] {
		return fmt.Errorf("%s %s twice", kind, head.URL)
	}
	a.seen[kind+" "+head.URL] = true
	var text bytes.Buffer
	if err := json.Compact(&text, raw); err != nil {
		return err
	}
	last := len(a.blocks) - 1
	if last < 0 || len(a.blocks[last]) > 0 && len(a.blocks[last])+text.Len() > blockSize {
		a.blocks = append(a.blocks, nil)
		last++
	}
	a.entries = append(a.entries, entry{kind, head.URL, last, len(a.blocks[last]), text.Len()})
	a.blocks[last] = append(a.blocks[last], text.Bytes()...)
	return nil
}

// emitDefinitions gives a function that writes the tables and the archive of fhir/definitions.
func emitDefinitions(dir string) func(*model, map[string][]byte) error {
	return func(_ *model, files map[string][]byte) error {
		a := &archive{seen: map[string]bool{}}
		var params []searchParameter
		var compartments []compartment
		for _, name := range bundles {
			err := readBundle(filepath.Join(dir, name), func(kind string, raw json.RawMessage) error {
				switch kind {
				case "SearchParameter":
					var p searchParameter
					if err := json.Unmarshal(raw, &p); err != nil {
						return err
					}
					params = append(params, p)
				case "CompartmentDefinition":
					var c compartment
					if err := json.Unmarshal(raw, &c); err != nil {
						return err
					}
					compartments = append(compartments, c)
				}
				return a.add(kind, raw)
			})
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		for _, t := range contentTables() {
			resources, err := t.resources(filepath.Join(dir, "..", ".."))
			if err != nil {
				return err
			}
			for _, raw := range resources {
				var head struct{ ResourceType string }
				if err := json.Unmarshal(raw, &head); err != nil {
					return err
				}
				if err := a.add(head.ResourceType, raw); err != nil {
					return err
				}
			}
		}
		for name, src := range map[string][]byte{
			"search":  definitionsSearch(params, compartments),
			"archive": a.index(),
		} {
			out, err := format.Source(src)
			if err != nil {
				return fmt.Errorf("definitions %s: %w", name, err)
			}
			files["fhir/definitions/"+name+"_gen.go"] = out
		}
		return a.write(files)
	}
}

// write deflates each block by itself, behind the offsets at which the blocks
// end: count and ends as 32-bit little-endian numbers, ends counted from the
// first block.
func (a *archive) write(files map[string][]byte) error {
	var out bytes.Buffer
	head := binary.LittleEndian.AppendUint32(nil, uint32(len(a.blocks)))
	for _, b := range a.blocks {
		w, err := flate.NewWriter(&out, flate.BestCompression)
		if err != nil {
			return err
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
		head = binary.LittleEndian.AppendUint32(head, uint32(out.Len()))
	}
	files["fhir/definitions/archive_gen.bin"] = append(head, out.Bytes()...)
	return nil
}

// index writes the entries, sorted by kind and canonical.
func (a *archive) index() []byte {
	slices.SortFunc(a.entries, func(x, y entry) int {
		if c := strings.Compare(x.kind, y.kind); c != 0 {
			return c
		}
		return strings.Compare(x.url, y.url)
	})
	var b bytes.Buffer
	b.WriteString(header + "package definitions\n\n")
	fmt.Fprintf(&b, "var entries = [...]Entry{\n")
	for _, e := range a.entries {
		fmt.Fprintf(&b, "{%q, %q, %d, %d, %d},\n", e.kind, e.url, e.block, e.from, e.length)
	}
	b.WriteString("}\n")
	return b.Bytes()
}

func definitionsSearch(params []searchParameter, compartments []compartment) []byte {
	slices.SortFunc(params, func(a, b searchParameter) int { return strings.Compare(a.URL, b.URL) })
	slices.SortFunc(compartments, func(a, b compartment) int { return strings.Compare(a.URL, b.URL) })
	var b bytes.Buffer
	b.WriteString(header + "package definitions\n\nvar searchParameters = []SearchParameter{\n")
	for _, p := range params {
		fmt.Fprintf(&b, "{URL: %q, Name: %q, Code: %q, Type: %q, Base: %#v", p.URL, p.Name, p.Code, p.Type, p.Base)
		if p.Expression != "" {
			fmt.Fprintf(&b, ", Expression: %q", p.Expression)
		}
		if len(p.Target) > 0 {
			fmt.Fprintf(&b, ", Target: %#v", p.Target)
		}
		if len(p.Comparator) > 0 {
			fmt.Fprintf(&b, ", Comparators: %#v", p.Comparator)
		}
		if len(p.Component) > 0 {
			b.WriteString(", Components: []Component{\n")
			for _, c := range p.Component {
				fmt.Fprintf(&b, "{Definition: %q, Expression: %q},\n", c.Definition, c.Expression)
			}
			b.WriteString("}")
		}
		// Absent says nothing about a limit; in 4.0.1 only composites say false.
		fmt.Fprintf(&b, ", MultipleOr: %v, MultipleAnd: %v},\n", p.MultipleOr == nil || *p.MultipleOr, p.MultipleAnd == nil || *p.MultipleAnd)
	}
	b.WriteString("}\n\nvar compartments = []Compartment{\n")
	for _, c := range compartments {
		fmt.Fprintf(&b, "{URL: %q, Code: %q, Resources: []CompartmentResource{\n", c.URL, c.Code)
		slices.SortFunc(c.Resource, func(a, b struct {
			Code  string
			Param []string
		}) int {
			return strings.Compare(a.Code, b.Code)
		})
		for _, r := range c.Resource {
			if len(r.Param) > 0 {
				fmt.Fprintf(&b, "{Type: %q, Params: %#v},\n", r.Code, r.Param)
			}
		}
		b.WriteString("}},\n")
	}
	b.WriteString("}\n")
	return b.Bytes()
}
