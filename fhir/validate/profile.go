package validate

import (
	"context"
	"crypto/sha256"
	"slices"
	"strconv"
	"strings"

	"meridian/fhir/codec"
	"meridian/fhir/element"
	"meridian/fhir/schema"
)

// unbounded is a max of "*".
const unbounded = -1

// profile is a compiled StructureDefinition.
type profile struct {
	url      string
	typ      schema.ID // 0 when it is of no type of R4
	typeName string
	root     *rule
	context  []contextRule // of an extension
	modifier bool          // of an extension: it may only be a modifierExtension
	problems []string      // what of it cannot be checked, in English
	elements []*elementDef // its snapshot
	bases    []baseProfile
}

// baseProfile is what a snapshot was generated from; p is nil where it was not known.
type baseProfile struct {
	canonical string
	p         *profile
}

// rule is what a profile says about an element beyond the base definition. Its zero parts say nothing.
type rule struct {
	id       string
	name     string // of the element, without [x]
	slice    string
	card     bool // min and max are checked
	min, max int
	types    []typeRule // nil for those of the base definition
	fixed    element.Node
	pattern  element.Node
	low      element.Node
	high     element.Node
	length   int
	binding  string
	strength byte

	invariants []*invariant
	children   []*rule
	slicing    *slicing
}

// typeRule is one ElementDefinition.type.
type typeRule struct {
	code     string
	profiles []string // the value conforms to one of them
	targets  []string // a reference's target conforms to one of them
}

// empty says that a rule checks nothing by itself and by nothing below it.
func (r *rule) empty() bool {
	return !r.card && r.types == nil && !r.fixed.Valid() && !r.pattern.Valid() && !r.low.Valid() && !r.high.Valid() && r.length == 0 &&
		r.binding == "" && len(r.invariants) == 0 && len(r.children) == 0 && r.slicing == nil
}

// loader finds and compiles definitions, each once in a run: those of Options.Source are read anew for each run, since they may change.
type loader struct {
	v       *Validator
	ctx     context.Context
	found   map[string]*profile // by canonical
	loading []string            // canonicals of which the next one is a base or a type
	cut     bool                // one of loading was not followed to its end: what was made of it is not kept for other runs
	err     error               // of Options.Source
}

// maxBases is how many profiles may be derived from each other.
const maxBases = 32

// profile gives the compiled profile of a canonical, nil when there is none or it cannot be read.
func (l *loader) profile(canonical string) *profile {
	if p, ok := l.found[canonical]; ok || l.err != nil {
		return p
	}
	if len(l.loading) >= maxBases || slices.Contains(l.loading, canonical) {
		l.cut = true
		return nil
	}
	l.loading = append(l.loading, canonical)
	p := l.load(canonical)
	l.loading = l.loading[:len(l.loading)-1]
	l.cut = l.cut && len(l.loading) > 0
	if l.found == nil {
		l.found = map[string]*profile{}
	}
	l.found[canonical] = p
	return p
}

// load takes what was compiled before as long as it is the same, else compiles.
func (l *loader) load(canonical string) *profile {
	v := l.v
	key, data := canonical, []byte(nil)
	if v.opt.Source != nil {
		if data, l.err = v.opt.Source.Definition(l.ctx, "StructureDefinition", canonical); l.err != nil {
			return nil
		}
		if data != nil {
			sum := sha256.Sum256(data)
			key = canonical + "\x00" + string(sum[:])
		}
	}
	v.mu.Lock()
	p, ok := v.profiles[key]
	v.mu.Unlock()
	if ok && l.current(p) {
		return p
	}
	if data == nil {
		var err error
		if data, err = v.set.Resource("StructureDefinition", canonical); err != nil {
			return nil
		}
	}
	if p = l.compile(data); l.cut || l.err != nil {
		return p
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.profiles) >= v.opt.Limits.Profiles {
		clear(v.profiles)
	}
	v.profiles[key] = p
	return p
}

// current says that the profiles that p was made from are still those that their canonicals name.
func (l *loader) current(p *profile) bool {
	if p == nil || l.v.opt.Source == nil {
		return true
	}
	for _, b := range p.bases {
		if l.profile(b.canonical) != b.p {
			return false
		}
	}
	return true
}

// compile reads a StructureDefinition; nil when it is none.
func (l *loader) compile(data []byte) *profile {
	tree, err := codec.Parse(data, codec.Options{AnyCardinality: true})
	if err != nil || tree.Root().TypeID() != schema.TypeStructureDefinition {
		return nil
	}
	sd := tree.Root()
	p := &profile{url: sd.Child("url").Text(), typeName: sd.Child("type").Text()}
	if t := schema.ByName(p.typeName); t != nil {
		p.typ = t.ID
	}
	p.elements = l.snapshot(sd, p)
	if len(p.elements) == 0 {
		if len(p.problems) == 0 {
			p.problems = []string{"it has neither a snapshot nor a differential with a base"}
		}
		p.root = &rule{}
		return p
	}
	p.modifier = p.elements[0].text("isModifier") == "true"
	p.context = contexts(sd)
	c := compiler{v: l.v, p: p}
	p.root = c.tree(p.elements)
	return p
}

// compiler turns the elements of a snapshot into rules.
type compiler struct {
	v *Validator
	p *profile
}

// built is a rule under construction and its place.
type built struct {
	*rule
	def *elementDef
}

// tree builds the rules of all elements, then leaves out those that say nothing.
func (c *compiler) tree(defs []*elementDef) *rule {
	byID := map[string]built{}
	var root *rule
	for _, d := range defs {
		b := built{c.rule(d), d}
		if root == nil {
			root = b.rule
			byID[d.id] = b
			continue
		}
		parent, ok := byID[parentOf(d.id)]
		if !ok {
			c.p.problems = append(c.p.problems, "element "+d.id+" stands below nothing")
			continue
		}
		if _, twice := byID[d.id]; twice {
			c.p.problems = append(c.p.problems, "element "+d.id+" is there twice")
			continue
		}
		byID[d.id] = b
		c.place(parent, b, byID)
	}
	c.prune(root)
	return root
}

// place puts a rule below its parent or among the slices of its element.
func (c *compiler) place(parent, b built, byID map[string]built) {
	if b.slice == "" {
		parent.children = append(parent.children, b.rule)
		return
	}
	// Slice "a/b" belongs to slice "a" where there is one, else to the element.
	of := parentOf(b.def.id) + "." + last(b.def.path)
	if k := strings.LastIndexByte(b.slice, '/'); k > 0 {
		if _, ok := byID[of+":"+b.slice[:k]]; ok {
			of += ":" + b.slice[:k]
		}
	}
	sliced, ok := byID[of]
	if !ok {
		c.p.problems = append(c.p.problems, "slice "+b.def.id+" is of no element")
		return
	}
	if sliced.slicing == nil {
		sliced.slicing = &slicing{rules: "open"}
	}
	if s := sliced.slicing; len(s.discriminators) == 0 && strings.HasSuffix(b.def.path, "[x]") {
		s.discriminators = []discriminator{{typ: "type", path: "$this"}}
	}
	sliced.slicing.slices = append(sliced.slicing.slices, b.rule)
}

// rule reads what one element definition says beyond its base.
func (c *compiler) rule(d *elementDef) *rule {
	r := &rule{id: d.id, name: strings.TrimSuffix(last(d.path), "[x]"), slice: d.slice, max: unbounded}
	base, index := c.baseOf(d.path)
	c.cardinality(r, d, base, index)
	c.types(r, d, base, index)
	for _, n := range d.nodes {
		for x := n.First(); x.Valid(); x = x.Next() {
			switch {
			case x.Name() == "fixed" && !r.fixed.Valid():
				r.fixed = detached(x)
			case x.Name() == "pattern" && !r.pattern.Valid():
				r.pattern = detached(x)
			case x.Name() == "minValue" && !r.low.Valid():
				r.low = detached(x)
			case x.Name() == "maxValue" && !r.high.Valid():
				r.high = detached(x)
			}
		}
	}
	r.length = number(d.child("maxLength"))
	c.binding(r, d, base, index)
	known := c.known(d.path, base, index)
	for _, n := range d.nodes {
		r.invariants = append(r.invariants, c.v.invariants(n, append(known, r.invariants...))...)
	}
	if s := d.slicing(); s.Valid() {
		r.slicing = newSlicing(s)
	}
	return r
}

// baseOf finds the base definition of a path by walking the types: the type that has the element, and its index; for the
// first step and for what is not found, nil.
func (c *compiler) baseOf(path string) (*schema.Type, int) {
	steps := strings.Split(path, ".")
	t := schema.ByName(steps[0])
	for i, s := range steps[1:] {
		if t == nil {
			return nil, -1
		}
		k := elementIndex(t, strings.TrimSuffix(s, "[x]"))
		if k < 0 {
			return nil, -1
		}
		if i == len(steps)-2 {
			return t, k
		}
		if len(t.Elements[k].Types) != 1 {
			return nil, -1 // below a choice: nothing is known to be said already
		}
		t = schema.ByID(t.Elements[k].Types[0])
	}
	return nil, -1
}

// known are the invariants that the base layer checks on an element.
func (c *compiler) known(path string, t *schema.Type, index int) []*invariant {
	if t == nil {
		if t = schema.ByName(path); t != nil {
			return c.v.baseOf(t.ID).self
		}
		return nil
	}
	out := append([]*invariant(nil), c.v.baseOf(t.ID).elements[index].invariants...)
	for _, id := range t.Elements[index].Types {
		out = append(out, c.v.baseOf(id).self...)
	}
	return out
}

// cardinality is checked where it is narrower than the base, and for every slice.
func (c *compiler) cardinality(r *rule, d *elementDef, t *schema.Type, index int) {
	r.min = number(d.child("min"))
	if m := d.text("max"); m != "" && m != "*" {
		r.max, _ = strconv.Atoi(m)
	}
	if d.slice != "" {
		r.card = r.min > 0 || r.max != unbounded
		return
	}
	if depth(d.path) == 0 {
		return
	}
	if t == nil {
		r.card = r.min > 0 || r.max != unbounded
		return
	}
	e := &t.Elements[index]
	r.card = r.min > int(e.Min) || r.max != unbounded && (e.Max == schema.Unbounded || r.max < int(e.Max))
}

// types are kept where the base has others, or where profiles or targets are named.
func (c *compiler) types(r *rule, d *elementDef, t *schema.Type, index int) {
	owner := d.owner("type")
	narrow := d.implied != ""
	if d.implied != "" {
		r.types = []typeRule{{code: d.implied}}
	}
	n := 0
	for x := owner.First(); x.Valid() && depth(d.path) > 0; x = x.Next() {
		if x.Name() != "type" {
			continue
		}
		n++
		code := strings.TrimPrefix(x.Child("code").Text(), "http://hl7.org/fhirpath/System.")
		if d.implied != "" && code != d.implied {
			continue
		}
		if d.implied != "" {
			r.types = r.types[:0]
		}
		tr := typeRule{code: code, profiles: texts(x, "profile"), targets: texts(x, "targetProfile")}
		narrow = c.narrower(&tr, t, index) || narrow
		r.types = append(r.types, tr)
	}
	if t != nil && n < len(t.Elements[index].Types) && t.Elements[index].Choice {
		narrow = true
	}
	if !narrow {
		r.types = nil
	}
}

// narrower says that a type rule asks more than the base does.
func (c *compiler) narrower(tr *typeRule, t *schema.Type, index int) bool {
	if t == nil {
		return len(tr.profiles)+len(tr.targets) > 0
	}
	e := &t.Elements[index]
	for _, p := range c.v.baseOf(t.ID).elements[index].profiles {
		if schema.ByID(p.typ).Name == tr.code && strings.Join(p.urls, " ") == strings.Join(tr.profiles, " ") {
			tr.profiles = nil
		}
	}
	if len(tr.profiles) > 0 {
		return true
	}
	if len(tr.targets) == 0 || len(e.Targets) == 0 || e.Targets[0] == "Resource" {
		return len(tr.targets) > 0 && !strings.HasSuffix(tr.targets[0], "/Resource")
	}
	if len(tr.targets) != len(e.Targets) {
		return true
	}
	for i, target := range tr.targets {
		if target != "http://hl7.org/fhir/StructureDefinition/"+e.Targets[i] {
			return true
		}
	}
	return false
}

// binding is kept where it is another one than that of the base.
func (c *compiler) binding(r *rule, d *elementDef, t *schema.Type, index int) {
	b := d.child("binding")
	set, strength := b.Child("valueSet").Text(), strengths[b.Child("strength").Text()]
	if set == "" || strength == 0 || strength == 'x' {
		return
	}
	if t != nil {
		e := &t.Elements[index]
		if withoutVersion(set) == e.Binding && strength == e.Strength {
			return
		}
	}
	r.binding, r.strength = set, strength
}

var strengths = map[string]byte{"required": 'r', "extensible": 'e', "preferred": 'p', "example": 'x'}

// prune takes out rules that check nothing, from the leaves up.
func (c *compiler) prune(r *rule) {
	kept := r.children[:0]
	for _, k := range r.children {
		if c.prune(k); !k.empty() {
			kept = append(kept, k)
		}
	}
	r.children = kept
	if r.slicing == nil {
		return
	}
	for _, s := range r.slicing.slices {
		c.prune(s)
	}
	if len(r.slicing.slices) == 0 && (r.slicing.rules == "open" || r.slicing.rules == "") {
		r.slicing = nil
	}
}
