package validate

import (
	"strings"

	"meridian/fhir/codec"
	"meridian/fhir/element"
	"meridian/fhir/issue"
	"meridian/fhir/schema"
)

// slicing says how the repetitions of an element are told apart.
//
// https://hl7.org/fhir/R4/profiling.html#slicing
type slicing struct {
	discriminators []discriminator
	ordered        bool
	rules          string // open, closed, openAtEnd
	slices         []*rule
}

// discriminator is one ElementDefinition.slicing.discriminator.
type discriminator struct {
	typ   string // value, exists, pattern, type, profile
	path  string
	steps []pathStep // nil for $this
}

// pathStep is one step of the restricted FHIRPath of a discriminator: an element, extension(url), resolve() or ofType(T).
//
// https://hl7.org/fhir/R4/profiling.html#discriminator
type pathStep struct{ function, name string }

// sliceDefault makes the lower bound of a slice 0 where its differential has none: that of the element counts all slices together.
var sliceDefault = func() element.Node {
	tree, err := codec.Parse([]byte(`{"min":0}`), codec.Options{Type: "ElementDefinition", AnyCardinality: true})
	if err != nil {
		return element.Node{}
	}
	return tree.Root()
}()

func newSlicing(def element.Node) *slicing {
	s := &slicing{ordered: def.Child("ordered").Text() == "true", rules: def.Child("rules").Text()}
	for c := def.First(); c.Valid(); c = c.Next() {
		if c.Name() == "discriminator" {
			d := discriminator{typ: c.Child("type").Text(), path: c.Child("path").Text()}
			d.steps = pathSteps(d.path)
			s.discriminators = append(s.discriminators, d)
		}
	}
	return s
}

// pathSteps splits a discriminator's path. Dots inside parentheses belong to a url.
func pathSteps(path string) (steps []pathStep) {
	level, from := 0, 0
	add := func(s string) {
		switch name, arg, call := strings.Cut(s, "("); {
		case s == "" || s == "$this":
		case call:
			steps = append(steps, pathStep{name, strings.Trim(strings.TrimSuffix(arg, ")"), `'"`)})
		default:
			steps = append(steps, pathStep{"", strings.TrimSuffix(s, "[x]")})
		}
	}
	for i := range len(path) {
		switch path[i] {
		case '(':
			level++
		case ')':
			level--
		case '.':
			if level == 0 {
				add(path[from:i])
				from = i + 1
			}
		}
	}
	add(path[from:])
	return steps
}

// slice allots the repetitions of an element to slices and checks what the slicing says; then each is held to its slice.
func (r *run) slice(parent element.Node, name string, nodes []element.Node, s *slicing) {
	members := make([][]element.Node, len(s.slices))
	highest, unmatched := 0, false
	for _, n := range nodes {
		k := r.sliceOf(n, s)
		if k < 0 {
			if s.rules == "closed" {
				r.report(n, issue.SevError, issue.Structure, "slice.closed", name)
			}
			unmatched = true
			continue
		}
		if s.rules == "openAtEnd" && unmatched {
			r.report(n, issue.SevError, issue.Structure, "slice.end", s.slices[k].slice)
		}
		if s.ordered && k < highest {
			r.report(n, issue.SevError, issue.Structure, "slice.order", s.slices[k].slice, s.slices[highest].slice)
		}
		highest = max(highest, k)
		members[k] = append(members[k], n)
		r.value(n, s.slices[k])
	}
	for k, x := range s.slices {
		if x.card {
			r.cardinality(parent, name, x.slice, len(members[k]), x)
		}
		if x.slicing != nil {
			r.slice(parent, name, members[k], x.slicing)
		}
	}
}

// sliceOf is the index of the slice that n belongs to, -1 for none.
func (r *run) sliceOf(n element.Node, s *slicing) int {
	for k, x := range s.slices {
		if r.step() && r.inSlice(n, s, x) {
			return k
		}
	}
	return -1
}

// inSlice says that n agrees with a slice in every discriminator; where there is none, that it conforms to the slice.
func (r *run) inSlice(n element.Node, s *slicing, x *rule) bool {
	if len(s.discriminators) == 0 {
		return r.probe(func() { r.value(n, x) })
	}
	for i := range s.discriminators {
		if !r.discriminates(n, x, &s.discriminators[i]) {
			return false
		}
	}
	return true
}

// discriminates says that n agrees with slice x in one discriminator. A slice that says nothing about it has no members.
func (r *run) discriminates(n element.Node, x *rule, d *discriminator) bool {
	if k := len(d.steps) - 1; d.typ == "type" && k >= 0 && d.steps[k].function == "resolve" {
		return r.refersTo(r.at([]element.Node{n}, d.steps[:k]), r.rulesAt([]*rule{x}, d.steps))
	}
	nodes := r.at([]element.Node{n}, d.steps)
	if d.typ == "exists" {
		for _, want := range r.rulesAt([]*rule{x}, d.steps) {
			if want.max == 0 {
				return len(nodes) == 0
			}
			if want.min > 0 {
				return len(nodes) > 0
			}
		}
		return true
	}
	for _, want := range r.rulesAt([]*rule{x}, d.steps) {
		for _, c := range nodes {
			if r.step() && r.tells(c, want, d) {
				return true
			}
		}
	}
	return false
}

// refersTo says that one of the references is to a type that a rule names, whether its target is at hand or not.
func (r *run) refersTo(references []element.Node, rules []*rule) bool {
	for _, n := range references {
		t := r.targetType(n)
		for _, want := range rules {
			for _, w := range want.types {
				if typ := schema.ByName(w.code); typ != nil && t != nil && t.IsA(typ.ID) {
					return true
				}
			}
		}
	}
	return false
}

// tells says that c is what a discriminator's rule asks for.
func (r *run) tells(c element.Node, want *rule, d *discriminator) bool {
	switch d.typ {
	case "value", "pattern":
		switch {
		case want.fixed.Valid():
			return same(c, want.fixed)
		case want.pattern.Valid():
			return matches(c, want.pattern)
		case want.binding != "" && want.strength == 'r':
			in, known := r.inValueSet(c, want.binding)
			return in && known
		case len(want.children) > 0 && c.Type().Kind != schema.Primitive:
			return r.probe(func() { r.value(c, want) })
		}
	case "type":
		for _, t := range want.types {
			if typ := schema.ByName(t.code); typ != nil && c.Type().IsA(typ.ID) {
				return true
			}
		}
	case "profile":
		return (want.types != nil || len(want.children) > 0) && r.probe(func() { r.value(c, want) })
	}
	return false
}

// at walks a discriminator's path on nodes.
func (r *run) at(nodes []element.Node, steps []pathStep) []element.Node {
	for _, s := range steps {
		var next []element.Node
		for _, n := range nodes {
			switch s.function {
			case "":
				for c := n.First(); c.Valid(); c = c.Next() {
					if c.Name() == s.name {
						next = append(next, c)
					}
				}
			case "extension":
				for c := n.First(); c.Valid(); c = c.Next() {
					if c.Name() == "extension" && c.Child("url").Text() == s.name {
						next = append(next, c)
					}
				}
			case "ofType":
				if t := schema.ByName(s.name); t != nil && n.Type().IsA(t.ID) {
					next = append(next, n)
				}
			case "resolve":
				if t := r.target(n); t.Valid() {
					next = append(next, t)
				}
			}
		}
		nodes = next
	}
	return nodes
}

// rulesAt walks a discriminator's path on rules: through children, and through the profiles of types.
func (r *run) rulesAt(rules []*rule, steps []pathStep) []*rule {
	for _, s := range steps {
		var next []*rule
		for _, x := range rules {
			next = append(next, r.ruleStep(x, s)...)
		}
		rules = next
	}
	return append(rules, r.typeRoots(rules)...)
}

// typeRoots are the roots of the profiles that the types of rules name.
func (r *run) typeRoots(rules []*rule) (out []*rule) {
	for _, x := range rules {
		for _, t := range x.types {
			for _, url := range t.profiles {
				if p := r.known(url); p != nil {
					out = append(out, p.root)
				}
			}
		}
	}
	return out
}

func (r *run) ruleStep(x *rule, s pathStep) (out []*rule) {
	switch s.function {
	case "ofType":
		return []*rule{x}
	case "resolve":
		for _, t := range x.types {
			for _, url := range t.targets {
				if p := r.known(url); p != nil {
					out = append(out, &rule{types: []typeRule{{code: p.typeName}}, children: p.root.children, fixed: p.root.fixed, pattern: p.root.pattern})
				} else if name, ok := strings.CutPrefix(withoutVersion(url), "http://hl7.org/fhir/StructureDefinition/"); ok {
					out = append(out, &rule{types: []typeRule{{code: name}}})
				}
			}
		}
		return out
	}
	for _, in := range append([]*rule{x}, r.typeRoots([]*rule{x})...) {
		for _, c := range in.children {
			if s.function == "" && c.name == s.name {
				out = append(out, c)
				if c.slicing != nil {
					out = append(out, c.slicing.slices...)
				}
			}
			if s.function == "extension" && c.name == "extension" && c.slicing != nil {
				for _, e := range c.slicing.slices {
					if r.extensionURL(e) == s.name {
						out = append(out, e)
					}
				}
			}
		}
	}
	return out
}

// extensionURL is the url of the extensions in a slice: fixed in it, or in the profile of its type.
func (r *run) extensionURL(x *rule) string {
	for _, u := range r.rulesAt([]*rule{x}, []pathStep{{"", "url"}}) {
		if u.fixed.Valid() {
			return u.fixed.Text()
		}
	}
	for _, t := range x.types {
		if len(t.profiles) == 1 {
			return withoutVersion(t.profiles[0])
		}
	}
	return ""
}
