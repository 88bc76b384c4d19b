package search

import (
	"fmt"
	"slices"
	"strings"

	"meridian/fhir/element"
	"meridian/fhir/issue"
	"meridian/fhir/schema"
)

// Resources that stand in `contained` are searched with _contained=true. Their
// keys are keys of the resource that contains them, under one parameter:
//
//	_contained                              Medication     there is a contained Medication
//	_contained  Medication:code:http://x    718-7          one has this key (code, http://x, 718-7)
//
// They say which resources to look at; that all criteria hold on one contained
// resource is decided on the body. Ranges and parts of texts have no keys that a
// store could walk here: then every resource with a contained one of the type is looked at.
//
// https://hl7.org/fhir/R4/search.html#contained
const containedParam = "_contained"

// Contained is _contained, and _containedType: what is answered.
type Contained struct {
	// Only: contained resources alone are searched; else those that stand alone, too.
	Only bool
	// Own: a contained resource is answered itself; else the one that contains it.
	Own bool
}

// indexContained adds the keys of what root contains.
func (r *Registry) indexContained(root element.Node, into *Facts) error {
	at, before := elementIndex(root.Type(), "contained"), len(into.Keys)
	if at < 0 {
		return nil
	}
	for c := root.First(); c.Valid(); c = c.Next() {
		if c.ElementIndex() != at || r.tableOf(c.Type()) == nil {
			continue
		}
		var own Facts
		if err := r.Index(c, &own); err != nil {
			return fmt.Errorf("contained %s: %w", c.Type().Name, err)
		}
		typ := c.Type().Name
		into.Keys = append(into.Keys, Key{Param: containedParam, Value: typ})
		for _, k := range own.Keys {
			if k.Value != "" && r.asksContained(typ, k.Param) {
				into.Keys = append(into.Keys, Key{containedParam, containedScope(typ, k), k.Value})
			}
		}
	}
	if len(into.Keys) > before {
		slices.SortFunc(into.Keys, compareKeys)
		into.Keys = slices.Compact(into.Keys)
	}
	return nil
}

// asksContained says whether a key of param is one that containedExpr asks by:
// a text, code or reference of a parameter.
func (r *Registry) asksContained(typ, param string) bool {
	code, _, _ := strings.Cut(param, ":")
	p, ok := r.Param(typ, code)
	if !ok {
		return false
	}
	switch p.Kind {
	case KindString, KindToken, KindReference, KindURI:
		return true
	}
	return false
}

// containedScope is cut as every text of a key is.
func containedScope(typ string, k Key) string {
	scope, _ := cut(typ + ":" + k.Param + ":" + k.Scope)
	return scope
}

// CompileContained gives the plan that finds the resources of type container
// that contain a resource of q's type that matches q. With also, those that
// match q themselves are left out, as an answer has them already.
func (r *Registry) CompileContained(q *Query, container string, also bool) (*Plan, error) {
	c := compiler{r: r, at: q.at, typ: q.Type}
	all := []Expr{Point{Key{Param: containedParam, Value: q.Type}}}
	for _, x := range flat(q.Criteria) {
		if e := containedExpr(q.Type, c.criterion(x).Expr); e != nil {
			all = append(all, e)
		}
	}
	if c.leaves > MaxLeaves {
		return nil, issue.New(issue.TooCostly, idTooMany, "the search has too many alternatives; name the type of references (Patient/1)", "").WithStatus(statusBadRequest)
	}
	plan := &Plan{Type: container, Where: both(all), Limit: max(q.Count, 0)}
	plan.Residual = func(body []byte) (bool, error) {
		found := false
		err := r.withStored(container, body, func(root element.Node) error {
			if also && container == q.Type {
				if own, err := r.Match(q, root); own || err != nil {
					return err
				}
			}
			matches, err := r.ContainedMatches(q, root)
			found = len(matches) > 0
			return err
		})
		return found, err
	}
	return plan, nil
}

// containedExpr says of a contained resource what e says of one that stands
// alone, or more; nil where it says nothing.
func containedExpr(typ string, e Expr) Expr {
	switch e := e.(type) {
	case Point:
		if e.Key.Value == "" || isAdded(e.Key.Param) {
			return nil
		}
		return Point{Key{containedParam, containedScope(typ, e.Key), e.Key.Value}}
	case Prefix:
		if e.Key.Value == "" || isAdded(e.Key.Param) {
			return nil
		}
		return Prefix{Key{containedParam, containedScope(typ, e.Key), e.Key.Value}}
	case And:
		var all []Expr
		for _, x := range e.Of {
			if x = containedExpr(typ, x); x != nil {
				all = append(all, x)
			}
		}
		if len(all) > 0 {
			return And{all}
		}
	case Or:
		var any []Expr
		for _, x := range e.Of {
			if x = containedExpr(typ, x); x == nil {
				return nil
			}
			any = append(any, x)
		}
		return Or{any}
	}
	return nil
}

// ContainedMatches lists the resources that root contains and that match q.
func (r *Registry) ContainedMatches(q *Query, root element.Node) ([]element.Node, error) {
	w := world{r: r, q: q}
	var out []element.Node
	for c := root.First(); c.Valid(); c = c.Next() {
		if c.Name() != "contained" || c.Type().Kind != schema.Resource || c.Type().Name != q.Type {
			continue
		}
		ok, err := w.all(q.Criteria, c)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, c)
		}
	}
	return out, nil
}

// withStored parses a stored body.
func (r *Registry) withStored(typ string, body []byte, f func(root element.Node) error) error {
	p := r.parsers.Get()
	defer r.parsers.Put(p)
	tree, err := p.Parse(body)
	if err != nil {
		return fmt.Errorf("parse a stored %s to check a search: %w", typ, err)
	}
	return f(tree.Root())
}

// checkContained refuses what has no meaning, or no keys, for contained resources.
func (p *parser) checkContained() {
	joined := slices.ContainsFunc(p.q.Criteria, func(c Criterion) bool { return c.joined() })
	switch {
	case joined:
		p.fail(issue.NotSupported, idUnsupported, "_contained: chains, _has and _list are not followed from contained resources")
	case len(p.q.Sort) > 0:
		p.fail(issue.NotSupported, idUnsupported, "_contained: contained resources have no order of their own; leave _sort out")
	case len(p.q.Includes)+len(p.q.RevIncludes) > 0:
		p.fail(issue.NotSupported, idUnsupported, "_contained: a search of contained resources includes no others")
	}
}
