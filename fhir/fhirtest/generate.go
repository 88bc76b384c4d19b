package fhirtest

import (
	"hash/fnv"
	"math/rand/v2"
	"strconv"

	"meridian/fhir/schema"
)

// Bounds of one generated resource.
const (
	fullBytes    = 6 << 10  // beyond this length only required elements are added
	nestedBytes  = 2 << 10  // the same for a contained resource or a Bundle's entry, counted from its start
	maxItems     = 3        // of a repeating element
	maxNesting   = 26       // objects and arrays inside each other; codec's default allows 64
	hardBytes    = 32 << 10 // beyond this length not even a featured element is added
	round        = 8        // every so many seeds an element is featured: it is there, with an id or extension
	maxResources = 4        // resources inside each other
)

// Generate gives a resource of the type that the tables of fhir/schema allow,
// the same for the same seed. Over few seeds every element of the type is used,
// every type of every choice, and every spelling that a primitive may have:
// escapes, characters beyond U+FFFF, decimals such as 1.10e3, partial dates;
// primitives with an id or extensions and with nothing but these; members in
// any order; contained resources and Bundles inside Bundles.
//
// It keeps to the structure, not to the meaning: codes are any codes, and of
// the invariants only those of Extension, contained and Narrative hold. It
// panics on a name that is no concrete resource type.
func Generate(typeName string, seed uint64) []byte {
	t := schema.ByName(typeName)
	if t == nil || t.Kind != schema.Resource || t.Abstract {
		panic("fhirtest: no resource type " + typeName)
	}
	h := fnv.New64a()
	h.Write([]byte(typeName))
	g := generator{Rand: rand.New(rand.NewPCG(seed, h.Sum64())), full: fullBytes, turn: map[string]uint64{}, seed: seed}
	g.resource(t, scope{})
	return g.b
}

type generator struct {
	*rand.Rand
	b    []byte
	full int // length from which on only required elements are added
	seed uint64
	turn map[string]uint64 // by path of a choice: how often it was used
}

// scope is where in the resource a value stands.
type scope struct {
	nesting   int // objects and arrays around it
	resources int // resources around it
	datatypes int // data types around it, within the resource or backbone
	contained bool
	targets   []string // of the Reference to come
}

func (s scope) inner() scope { s.nesting++; s.targets = nil; return s }

// one says yes once in n times.
func (g *generator) one(n int) bool { return g.IntN(n) == 0 }

func pick[T any](g *generator, list []T) T { return list[g.IntN(len(list))] }

func (g *generator) text(s string) { g.b = append(g.b, s...) }

// part is one member of an object still to be written.
type part struct {
	e    *schema.Element
	json string
	typ  schema.ID
}

func (g *generator) resource(t *schema.Type, s scope) {
	g.text("{")
	parts := g.choose(t, s)
	first := g.one(8) && len(parts) > 0 // now and then resourceType is not first
	if !first {
		g.text(`"resourceType":"` + t.Name + `"`)
	}
	g.members(parts, s.inner())
	if first {
		g.text(`,"resourceType":"` + t.Name + `"`)
	}
	g.text("}")
}

// object writes a value of a complex type.
func (g *generator) object(t *schema.Type, s scope) {
	g.text("{")
	in := s.inner()
	if t.Kind == schema.Complex {
		in.datatypes++
	}
	parts := g.choose(t, in)
	if len(parts) == 0 {
		parts = append(parts, g.anything(t))
	}
	in.targets = s.targets
	g.members(parts, in)
	g.text("}")
}

// choose picks the members of an object, in random order.
func (g *generator) choose(t *schema.Type, s scope) []part {
	var parts []part
	for k := range t.Elements {
		e := &t.Elements[k]
		if e.Min > 0 || g.wanted(t, e, s) {
			parts = append(parts, g.part(t, k))
		}
	}
	if t.ID == schema.TypeExtension {
		parts = g.oneContent(t, parts)
	}
	g.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
	return parts
}

func (g *generator) wanted(t *schema.Type, e *schema.Element, s scope) bool {
	in := schema.ByID(e.Types[0])
	switch {
	case s.nesting > maxNesting:
		return false
	case e.Name == "contained":
		return !s.contained && s.resources < maxResources && len(g.b) <= g.full && g.one(3)
	case in.Kind == schema.Resource:
		return s.resources < maxResources && len(g.b) <= g.full
	case g.featured(e, s):
		return true
	case len(g.b) > g.full:
		return false
	case e.Name == "extension" || e.Name == "modifierExtension":
		return g.one(8 << s.datatypes)
	case in.ID == t.ID: // an item of an item
		return g.one(3)
	case t.Kind == schema.Complex:
		return g.one(1 << s.datatypes)
	case in.Kind == schema.Backbone || e.Choice:
		return !g.one(8)
	}
	return g.one(2)
}

// featured picks other elements with every seed, and each one in every round.
func (g *generator) featured(e *schema.Element, s scope) bool {
	if s.datatypes > 1 || s.resources > 0 || len(g.b) > hardBytes {
		return false
	}
	h := uint64(len(e.Path))
	for i := range len(e.Path) {
		h = h*31 + uint64(e.Path[i])
	}
	return (h+g.seed)%round == 0
}

// extended says that a primitive is to have an id or extensions. Those of a
// choice's types have it when the types come up for the second time.
func (g *generator) extended(p part, s scope) bool {
	if p.e.Attr || s.nesting > maxNesting {
		return false
	}
	lap := (g.seed + g.turn[p.e.Path]) / uint64(len(p.e.Types))
	return g.featured(p.e, s) || p.e.Choice && s.datatypes <= 1 && lap%2 == 1 || len(g.b) <= g.full && g.one(5)
}

// part makes a member of element k: one of its JSON names.
func (g *generator) part(t *schema.Type, k int) part {
	e := &t.Elements[k]
	n := 0
	if e.Choice { // in turn, so that even fifty types come up over few seeds
		n = int((g.seed + g.turn[e.Path]) % uint64(len(e.Types)))
		g.turn[e.Path]++
	}
	for _, p := range t.Properties() {
		if int(p.Element) == k && p.Type == e.Types[n] {
			return part{e, p.JSON, p.Type}
		}
	}
	panic("fhirtest: " + e.Path + " has no property")
}

// anything is a member for an object that would be empty otherwise: a primitive where there is one.
func (g *generator) anything(t *schema.Type) part {
	start := g.IntN(len(t.Elements))
	for i := range t.Elements {
		k := (start + i) % len(t.Elements)
		if p := g.part(t, k); schema.ByID(p.typ).Kind == schema.Primitive && p.e.Name != "id" {
			return p
		}
	}
	return g.part(t, 0)
}

// oneContent leaves an Extension either a value or extensions, as ext-1 asks.
func (g *generator) oneContent(t *schema.Type, parts []part) []part {
	kept, nested := parts[:0], false
	for _, p := range parts {
		switch p.e.Name {
		case "value":
			continue
		case "extension":
			nested = true
		}
		kept = append(kept, p)
	}
	if !nested {
		for k := range t.Elements {
			if t.Elements[k].Name == "value" {
				kept = append(kept, g.part(t, k))
			}
		}
	}
	return kept
}

// members writes the parts, a primitive's "_name" beside it or apart.
func (g *generator) members(parts []part, s scope) {
	var late []func()
	for _, p := range parts {
		if schema.ByID(p.typ).Kind != schema.Primitive {
			g.name("", p)
			g.values(p, s)
			continue
		}
		late = g.primitive(p, s, late)
	}
	for _, write := range late {
		write()
	}
}

func (g *generator) name(prefix string, p part) {
	if g.b[len(g.b)-1] != '{' {
		g.text(",")
	}
	g.text(`"` + prefix + p.json + `":`)
}

// values writes the value or the array of values of a complex element.
func (g *generator) values(p part, s scope) {
	s.targets = p.e.Targets
	if !p.e.Repeats() {
		g.value(p, s)
		return
	}
	s.nesting++
	g.text("[")
	for i := range g.count() {
		if i > 0 {
			g.text(",")
		}
		g.value(p, s)
	}
	g.text("]")
}

// count of a repeating element: most often 1, and 1 where there is no room.
func (g *generator) count() int {
	if len(g.b) > g.full || !g.one(3) {
		return 1
	}
	return 1 + g.IntN(maxItems)
}

func (g *generator) value(p part, s scope) {
	t := schema.ByID(p.typ)
	if t.Kind != schema.Resource {
		g.object(t, s)
		return
	}
	full := g.full
	g.full = min(full, len(g.b)+nestedBytes)
	s.contained = p.e.Name == "contained"
	s.resources++
	s.datatypes = 0
	names := schema.ResourceTypes()
	if !s.contained && g.one(3) {
		names = []string{"Bundle", "Parameters"}
	}
	g.resource(schema.ByName(pick(g, names)), s)
	g.full = full
}

// primitive writes values, ids and extensions. What is to stand apart from its
// value is added to late.
func (g *generator) primitive(p part, s scope, late []func()) []func() {
	n := 1
	if p.e.Repeats() {
		n = g.count()
	}
	values, twins := make([]bool, n), make([]bool, n)
	anyValue, anyTwin := false, false
	for i := range n {
		values[i] = true
		if g.extended(p, s) {
			twins[i], values[i] = true, !g.one(3)
		}
		anyValue, anyTwin = anyValue || values[i], anyTwin || twins[i]
	}
	writeTwins := func() {
		g.name("_", p)
		g.list(p, twins, func() { g.twin(p.typ, s) })
	}
	switch {
	case !anyTwin:
	case g.one(4):
		writeTwins() // before its value
		anyTwin = false
	case g.one(3):
		late = append(late, writeTwins)
		anyTwin = false
	}
	if anyValue {
		g.name("", p)
		g.list(p, values, func() { g.lexical(p, s) })
	}
	if anyTwin {
		writeTwins()
	}
	return late
}

// list writes one item, or an array with null where there is none.
func (g *generator) list(p part, present []bool, item func()) {
	if !p.e.Repeats() {
		item()
		return
	}
	g.text("[")
	for i, ok := range present {
		if i > 0 {
			g.text(",")
		}
		if ok {
			item()
		} else {
			g.text("null")
		}
	}
	g.text("]")
}

// twin writes a primitive's id, extensions or both.
func (g *generator) twin(id schema.ID, s scope) {
	t := schema.ByID(id)
	in := s.inner()
	in.datatypes += 2
	extended := !g.one(4) && len(g.b) <= g.full && len(t.Elements) > 1
	var parts []part
	for k := range t.Elements {
		if (t.Elements[k].Name == "extension") == extended || g.one(4) && t.Elements[k].Name == "id" {
			parts = append(parts, g.part(t, k))
		}
	}
	g.text("{")
	g.members(parts, in)
	g.text("}")
}

func (g *generator) int(n int) string { return strconv.Itoa(g.IntN(n)) }
