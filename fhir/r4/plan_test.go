package r4

import (
	"reflect"
	"testing"

	"meridian/fhir/schema"
)

// Every type of the schema has a struct whose fields are its elements, no more and no fewer.
func TestEveryTypeHasItsStruct(t *testing.T) {
	structs := 0
	for id := schema.ID(1); int(id) < len(goTypes); id++ {
		row := schema.ByID(id)
		p := planFor(id)
		if row.Kind == schema.Primitive || row.Abstract && row.Name != "Element" {
			if p != nil {
				t.Errorf("%s has a struct", row.Name)
			}
			continue
		}
		if p == nil {
			t.Errorf("%s has no struct", row.Name)
			continue
		}
		structs++
		fields := len(p.fields)
		for i := range p.fields {
			f := &p.fields[i]
			if f.twin >= 0 {
				fields++
			}
			if len(f.json) != len(f.types) {
				t.Errorf("%s.%s: names %v", row.Name, f.name, f.json)
			}
		}
		if fields != p.goType.NumField() {
			t.Errorf("%s: %d fields, %d of them filled", row.Name, p.goType.NumField(), fields)
		}
		if planOf(p.goType) != p {
			t.Errorf("%s is not found by its Go type", row.Name)
		}
	}
	if structs != 41-1+473+146+6 { // complex types without BackboneElement, backbones, concrete resources; ViewDefinition
		t.Errorf("%d structs", structs)
	}
	for _, name := range schema.ResourceTypes() {
		r, ok := reflect.New(planFor(schema.ByName(name).ID).goType).Interface().(Resource)
		if !ok || r.ResourceType() != name {
			t.Errorf("%s is no Resource", name)
		}
	}
}
