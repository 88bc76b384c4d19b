package codec_test

import (
	"bytes"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"meridian/fhir/codec"
	"meridian/fhir/element"
	"meridian/fhir/fhirtest"
	"meridian/fhir/schema"
)

// seeds is enough for every element, choice and "_name" to come up. The types
// named are the deepest, or have choices of fifty types, StructureDefinition four of them.
func seeds(resourceType string) uint64 {
	switch resourceType {
	case "StructureDefinition":
		return 320
	case "Contract", "ExplanationOfBenefit", "Observation", "Parameters", "StructureMap", "Task", "ViewDefinition":
		return 160
	}
	return 40
}

// Every official example is read without an issue, and written as jsontext,
// another implementation, compacts it: byte for byte, save for the exceptions.
func TestExamplesRoundTrip(t *testing.T) {
	var pool codec.Pool
	unused := map[string]string{}
	for name, reason := range exceptions {
		unused[name] = reason
	}
	n := 0
	for _, ex := range fhirtest.Examples(t) {
		n++
		p := pool.Get()
		tree, err := p.Parse(ex.Body)
		if err != nil {
			t.Errorf("%s: %v", ex.Name, err)
			continue
		}
		got := codec.AppendJSON(nil, tree.Root(), nil)
		if d := fhirtest.Diff(ex.Body, got); d != "" {
			t.Errorf("%s: %s", ex.Name, d)
		}
		want := jsontext.Value(bytes.Clone(ex.Body))
		if err := want.Compact(); err != nil {
			t.Fatal(err)
		}
		_, excepted := exceptions[ex.Name]
		delete(unused, ex.Name)
		if same := bytes.Equal(got, want); same == excepted {
			t.Errorf("%s: equal to jsontext: %v, listed as an exception: %v", ex.Name, same, excepted)
		}
		stored(t, ex.Name, tree.Root())
		pool.Put(p)
	}
	if n != 355 {
		t.Errorf("%d examples, want 355", n)
	}
	for name := range unused {
		t.Errorf("exception for %s, which is no example", name)
	}
}

// stored checks that the stored form of root parses to the same, id and meta apart.
func stored(t *testing.T, name string, root element.Node) {
	t.Helper()
	meta := codec.Meta{ID: "id-1", VersionID: "7", LastUpdated: "2026-01-02T03:04:05.678Z"}
	body := codec.AppendStored(nil, root, meta)
	again, err := codec.Parse(body, codec.Options{})
	if err != nil {
		t.Errorf("%s: the stored form: %v", name, err)
		return
	}
	withoutMeta := &codec.Edit{Keep: func(n element.Node) bool {
		return n.Parent().Parent().Valid() || n.Name() != "meta" && (n.Name() != "id" || n.First().Valid())
	}}
	clean := func(r element.Node) []byte {
		b := codec.AppendJSON(nil, r, withoutMeta)
		tree, err := codec.Parse(b, codec.Options{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return codec.AppendStored(nil, tree.Root(), meta)
	}
	if d := fhirtest.Diff(clean(root), clean(again.Root())); d != "" {
		t.Errorf("%s: the stored form differs: %s", name, d)
	}
	if m, _ := codec.StoredMeta(body); m != meta {
		t.Errorf("%s: StoredMeta gives %v", name, m)
	}
}

// Generated resources that together use every element of every type, with each
// type of a choice, come back token by token.
func TestGeneratedRoundTrip(t *testing.T) {
	c := coverage{values: map[place]bool{}, twins: map[place]bool{}}
	var pool codec.Pool
	n, size := 0, 0
	for _, name := range schema.ResourceTypes() {
		for seed := range seeds(name) {
			body := fhirtest.Generate(name, seed)
			n++
			size += len(body)
			p := pool.Get()
			tree, err := p.Parse(body)
			if err != nil {
				t.Fatalf("%s seed %d: %v\n%s", name, seed, err, body)
			}
			got := codec.AppendJSON(nil, tree.Root(), nil)
			if d := fhirtest.Diff(body, got); d != "" {
				t.Errorf("%s seed %d: %s", name, seed, d)
			}
			if seed < 4 {
				stored(t, name, tree.Root())
			}
			c.add(tree.Root())
			pool.Put(p)
		}
	}
	c.check(t)
	t.Logf("%d resources, %d bytes, %d names of %d types used", n, size, len(c.values), int(schema.Count)-1)
}

// place is a JSON name: an element of a type, with the type of its value.
type place struct {
	in   schema.ID
	elem int
	typ  schema.ID
}

// coverage is what was seen in trees, not what the generator says it wrote.
type coverage struct{ values, twins map[place]bool }

func (c *coverage) add(n element.Node) {
	in := n.TypeID()
	for child := n.First(); child.Valid(); child = child.Next() {
		at := place{in, child.ElementIndex(), child.TypeID()}
		if child.Type().Kind == schema.Resource {
			at.typ = schema.TypeResource
		}
		if child.HasValue() {
			c.values[at] = true
		}
		if child.Type().Kind == schema.Primitive && child.First().Valid() {
			c.twins[at] = true
		}
		c.add(child)
	}
}

// check demands every name of every type that can stand in a resource.
func (c *coverage) check(t *testing.T) {
	missing := 0
	for id := schema.ID(1); id < schema.Count; id++ {
		row := schema.ByID(id)
		if row.Abstract || !reachable(row) {
			continue
		}
		for _, p := range row.Properties() {
			at := place{id, int(p.Element), p.Type}
			primitive := schema.ByID(p.Type).Kind == schema.Primitive
			if !c.values[at] {
				missing++
				t.Errorf("%s.%s never has a value", row.Name, p.JSON)
			}
			if primitive && !c.twins[at] && !row.Elements[p.Element].Attr {
				missing++
				t.Errorf("%s.%s never has an id or extension", row.Name, p.JSON)
			}
			if missing > 60 {
				t.Fatal("and more")
			}
		}
	}
}

// reachable says whether a type stands in a resource at all: some data types
// are the parents of others only.
func reachable(row *schema.Type) bool {
	if row.Kind == schema.Resource {
		return true
	}
	for id := schema.ID(1); id < schema.Count; id++ {
		parent := schema.ByID(id)
		if parent.Abstract {
			continue
		}
		for _, p := range parent.Properties() {
			if p.Type == row.ID {
				return true
			}
		}
	}
	return false
}
