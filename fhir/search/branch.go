package search

import (
	"strings"

	"meridian/fhir/fhirpath"
)

// branch is one alternative of a search parameter's expression in the simple
// subset: a path from the resource with conditions on its steps.
//
//	(Observation.value as CodeableConcept).text             value[CodeableConcept] text
//	Patient.telecom.where(system='phone')                   telecom[system=phone]
//	Observation.subject.where(resolve() is Patient)         subject, resolve Patient
//	Bundle.entry[0].resource                                entry[0] resource
//	X.deceased.exists() and X.deceased != false             deceased, exists
type branch struct {
	root   string // type that the path begins with; "" for the resource itself
	steps  []step
	exists bool // the value is whether there is one other than false
}

type step struct {
	name    string // element, without [x]
	as      string // type that `as`, as() or ofType() asks for
	child   string // where(child = 'equals')
	equals  string
	resolve string // where(resolve() is resolve)
	first   bool   // [0]
}

func (s step) String() string {
	t := s.name
	if s.as != "" {
		t += "[" + s.as + "]"
	}
	if s.child != "" {
		t += "[" + s.child + "=" + s.equals + "]"
	}
	if s.first {
		t += "[0]"
	}
	return t
}

// path identifies the branch without root and resolve() condition.
func (b branch) path() string {
	var parts []string
	for _, s := range b.steps {
		parts = append(parts, s.String())
	}
	if b.exists {
		parts = append(parts, "exists")
	}
	return strings.Join(parts, " ")
}

// resolve is the type that the branch's last step must refer to, "" for any.
func (b branch) resolve() string {
	if len(b.steps) == 0 {
		return ""
	}
	return b.steps[len(b.steps)-1].resolve
}

// branchesOf reads an expression's tree; false where it is outside the simple subset.
func branchesOf(n fhirpath.Node) ([]branch, bool) {
	if u, ok := n.(*fhirpath.Binary); ok && u.Op == "|" {
		x, okX := branchesOf(u.X)
		y, okY := branchesOf(u.Y)
		return append(x, y...), okX && okY
	}
	if b, ok := existsBranch(n); ok {
		return []branch{b}, true
	}
	b, ok := pathOf(n)
	if !ok || len(b.steps) == 0 {
		return nil, false
	}
	for _, s := range b.steps[:len(b.steps)-1] {
		if s.resolve != "" {
			return nil, false
		}
	}
	return []branch{b}, true
}

// existsBranch reads R4's one boolean expression: P.exists() and P != false.
func existsBranch(n fhirpath.Node) (branch, bool) {
	and, ok := n.(*fhirpath.Binary)
	if !ok || and.Op != "and" {
		return branch{}, false
	}
	exists, ok1 := and.X.(*fhirpath.Call)
	differs, ok2 := and.Y.(*fhirpath.Binary)
	if !ok1 || !ok2 || exists.Name != "exists" || exists.X == nil || len(exists.Args) > 0 || differs.Op != "!=" {
		return branch{}, false
	}
	b, ok := pathOf(exists.X)
	if !ok || fhirpath.Print(differs.X) != fhirpath.Print(exists.X) || fhirpath.Print(differs.Y) != "false" {
		return branch{}, false
	}
	b.exists = true
	return b, true
}

// pathOf reads a path from the resource.
func pathOf(n fhirpath.Node) (branch, bool) {
	switch n := n.(type) {
	case *fhirpath.Member:
		if n.X == nil {
			if n.Name[0] >= 'A' && n.Name[0] <= 'Z' {
				return branch{root: n.Name}, true
			}
			return branch{steps: []step{{name: n.Name}}}, true
		}
		b, ok := pathOf(n.X)
		b.steps = append(b.steps, step{name: n.Name})
		return b, ok
	case *fhirpath.TypeTest:
		return narrow(n.X, n.Op == "as", func(s *step) bool { return set(&s.as, n.Type.Name) })
	case *fhirpath.Indexer:
		return narrow(n.X, fhirpath.Print(n.Index) == "0", func(s *step) bool { s.first = true; return true })
	case *fhirpath.Call:
		switch {
		case n.Name == "extension" && len(n.Args) == 1:
			return extension(n)
		case n.X == nil:
		case n.Name == "as" || n.Name == "ofType":
			return narrow(n.X, n.Type != nil, func(s *step) bool { return set(&s.as, n.Type.Name) })
		case n.Name == "where" && len(n.Args) == 1:
			return narrow(n.X, true, func(s *step) bool { return condition(s, n.Args[0]) })
		}
	}
	return branch{}, false
}

// extension reads x.extension('url'), which is x.extension.where(url = 'url').
func extension(n *fhirpath.Call) (b branch, ok bool) {
	text, isText := n.Args[0].(*fhirpath.Literal)
	if !isText || len(text.Value) != 1 {
		return branch{}, false
	}
	url, isText := text.Value[0].Text()
	if ok = true; n.X != nil {
		b, ok = pathOf(n.X)
	}
	b.steps = append(b.steps, step{name: "extension", child: "url", equals: url})
	return b, ok && isText
}

// narrow reads x and puts a condition on its last step.
func narrow(x fhirpath.Node, fits bool, put func(*step) bool) (branch, bool) {
	b, ok := pathOf(x)
	if !ok || !fits || len(b.steps) == 0 {
		return branch{}, false
	}
	return b, put(&b.steps[len(b.steps)-1])
}

// set gives an empty condition its value; a second one on the same step is outside the subset.
func set(into *string, s string) bool {
	if *into != "" {
		return false
	}
	*into = s
	return true
}

// condition reads where()'s argument: resolve() is T, or child = 'text'.
func condition(s *step, n fhirpath.Node) bool {
	switch n := n.(type) {
	case *fhirpath.TypeTest:
		call, ok := n.X.(*fhirpath.Call)
		return ok && n.Op == "is" && call.X == nil && call.Name == "resolve" && set(&s.resolve, n.Type.Name)
	case *fhirpath.Binary:
		child, ok1 := n.X.(*fhirpath.Member)
		text, ok2 := n.Y.(*fhirpath.Literal)
		if n.Op != "=" || !ok1 || !ok2 || child.X != nil || len(text.Value) != 1 {
			return false
		}
		t, ok := text.Value[0].Text()
		return ok && set(&s.child, child.Name) && set(&s.equals, t)
	}
	return false
}
