package definitions_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"meridian/fhir/definitions"
	"meridian/fhir/schema"
)

type structure struct {
	Type, Kind, Derivation string
	Snapshot               struct{ Element []elementDefinition }
}

type elementDefinition struct {
	Path, Max             string
	Min                   int
	IsSummary, IsModifier bool
	ContentReference      string
	Type                  []struct{ Code string }
	Binding               *struct{ Strength, ValueSet string }
}

// The element tables hold every element of every snapshot, with its
// cardinality, flags, binding and all its JSON names.
func TestSchemaHoldsEveryElement(t *testing.T) {
	var s definitions.Set
	types, elements := 0, 0
	for e := range s.Entries("StructureDefinition") {
		raw, err := s.JSON(e)
		if err != nil {
			t.Fatal(err)
		}
		var def structure
		if err := json.Unmarshal(raw, &def); err != nil {
			t.Fatal(err)
		}
		if def.Derivation == "constraint" || def.Kind == "logical" {
			continue
		}
		types++
		for _, el := range def.Snapshot.Element[1:] {
			if el.Max != "0" && (def.Kind != "primitive-type" || el.Path != def.Type+".value") {
				elements++
				el.check(t)
			}
		}
	}
	if types != 20+41+148+1 { // ViewDefinition is no type of R4
		t.Errorf("%d types", types)
	}
	t.Logf("%d types, %d elements", types, elements)
}

// check looks el up by each of its JSON names.
func (el elementDefinition) check(t *testing.T) {
	dot := strings.LastIndexByte(el.Path, '.')
	row := schema.ByName(el.Path[:dot])
	if row == nil {
		t.Errorf("no type for %s", el.Path)
		return
	}
	name, choice := strings.CutSuffix(el.Path[dot+1:], "[x]")
	names := []string{name}
	if choice {
		names = nil
		for _, typ := range el.Type {
			names = append(names, name+strings.ToUpper(typ.Code[:1])+typ.Code[1:])
		}
	}
	for _, n := range names {
		p, ok := row.Lookup([]byte(n))
		if !ok {
			t.Errorf("%s has no %s", row.Name, n)
			continue
		}
		if got := &row.Elements[p.Element]; !el.is(got) || got.Choice != choice {
			t.Errorf("%s: %+v", el.Path, *got)
		}
		if el.ContentReference != "" && schema.ByID(p.Type).Name != el.ContentReference[1:] {
			t.Errorf("%s refers to %s", el.Path, schema.ByID(p.Type).Name)
		}
	}
}

func (el elementDefinition) is(e *schema.Element) bool {
	binding, strength := "", byte(0)
	if el.Binding != nil {
		binding, _, _ = strings.Cut(el.Binding.ValueSet, "|")
		strength = map[string]byte{"required": 'r', "extensible": 'e', "preferred": 'p', "example": 'x'}[el.Binding.Strength]
	}
	most := uint16(schema.Unbounded)
	if n, err := strconv.Atoi(el.Max); err == nil {
		most = uint16(n)
	}
	return e.Path == el.Path && int(e.Min) == el.Min && e.Max == most && e.Summary == el.IsSummary &&
		e.Modifier == el.IsModifier && e.Binding == binding && e.Strength == strength
}
