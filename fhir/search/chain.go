package search

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"meridian/fhir/element"
	"meridian/fhir/issue"
	"meridian/fhir/schema"
)

// chain reads subject.name and subject:Patient.name: head is a reference
// parameter of t, perhaps with a type, rest a parameter of what it refers to.
// Without a type every type counts that head may refer to and that has such a
// parameter.
//
// https://hl7.org/fhir/R4/search.html#chaining
func (p *parser) chain(t *typeTable, head, rest string, v Pair, depth int) (Criterion, bool) {
	code, typ, typed := strings.Cut(head, ":")
	param := p.joinable(t, code, v.Name)
	if param == nil || !p.deeper(v.Name, depth) {
		return Criterion{}, false
	}
	targets := param.targetTypes()
	if typed {
		if !slices.Contains(targets, typ) {
			p.refuse(issue.NotSupported, idUnknownModifier, "%s cannot refer to a %s%s", strconv.Quote(code), short(typ), didYouMean(nearest(typ, targets)))
			return Criterion{}, false
		}
		targets = []string{typ}
	}
	var c Criterion
	var last []issue.Issue
	for _, target := range targets {
		if p.joins++; p.joins > MaxJoins {
			p.fail(issue.TooCostly, idTooMany, "the chains of this search lead to more than %d types; name the types (%s:Patient.…)", MaxJoins, code)
			return c, false
		}
		where, issues, fatal := p.try(p.r.table(target), rest, v, depth+1)
		switch {
		case fatal:
			return c, false
		case len(issues) > 0:
			last = issues
		default:
			c.Joins = append(c.Joins, Join{Type: target, Param: param, Where: where})
		}
	}
	switch {
	case len(c.Joins) == 0 && typed:
		p.refuse(last[0].Code, last[0].ID, "%s", last[0].Text)
	case len(c.Joins) == 0:
		next, _, _ := strings.Cut(rest, ".")
		p.refuse(issue.NotFound, idUnknownParameter, "no type that %s refers to has a search parameter %s", strconv.Quote(code), strconv.Quote(short(next)))
	}
	return c, len(c.Joins) > 0
}

// try reads the rest of a chain as a parameter of t. issues say that t has no
// such parameter; fatal, that it cannot be read at all, which is told already.
func (p *parser) try(t *typeTable, rest string, v Pair, depth int) (where []Criterion, issues []issue.Issue, fatal bool) {
	sub := *p
	sub.errors, sub.warnings, sub.lenient = nil, nil, false
	c, ok := sub.named(t, rest, v, depth)
	p.values, p.joins = sub.values, sub.joins
	if ok {
		return []Criterion{c}, nil, false
	}
	if slices.ContainsFunc(sub.errors, func(i issue.Issue) bool { return i.ID != idUnknownParameter && i.ID != idNoReference }) || len(sub.errors) == 0 {
		p.take(&sub)
		return nil, nil, true
	}
	return nil, sub.errors, false
}

// take takes over what a part found wrong: what it does not support is left
// out where the search is lenient, as p.refuse does.
func (p *parser) take(sub *parser) {
	p.warnings = append(p.warnings, sub.warnings...)
	for _, i := range sub.errors {
		if p.lenient && i.Code == issue.NotSupported {
			p.warn(i.Code, i.ID, i.Text)
			continue
		}
		p.errors = append(p.errors, i)
	}
}

// joinable finds a parameter of t whose references can be followed.
func (p *parser) joinable(t *typeTable, code, name string) *Param {
	param := t.byCode[code]
	switch {
	case param == nil:
		p.unknown(t, code)
	case param.Kind != KindReference:
		p.refuse(issue.NotSupported, idNoReference, "%s of %s is a %s parameter, no reference: %s cannot follow it", strconv.Quote(code), t.typ.Name, param.Kind, strconv.Quote(short(name)))
	case param.refusal() != "":
		p.refuse(issue.NotSupported, idUnsupported, "%s: %s", strconv.Quote(code), param.refusal())
	case param.Canonical():
		p.refuse(issue.NotSupported, idNoReference, "%s of %s refers by canonical URL: such references are included, but no chain follows them", strconv.Quote(code), t.typ.Name)
	default:
		return param
	}
	return nil
}

// Canonical says that p is a reference parameter and all that it refers by are
// canonicals or uris.
func (p *Param) Canonical() bool {
	t := schema.ByName(p.Type)
	if !p.simple || p.Kind != KindReference {
		return false
	}
	for _, b := range p.branches {
		_, types := b.ends(t)
		for _, id := range types {
			if id == schema.TypeReference || schema.ByID(id).Kind == schema.Resource {
				return false
			}
		}
	}
	return true
}

// deeper says whether one more reference may be followed; name is the parameter as it was sent.
func (p *parser) deeper(name string, depth int) bool {
	if depth < MaxChain {
		return true
	}
	p.fail(issue.TooCostly, idTooMany, "%s: chains and _has lead over at most %d references", strconv.Quote(short(name)), MaxChain)
	return false
}

// list reads _list=ID: the resources that a List names as items.
// https://hl7.org/fhir/R4/search.html#list
func (p *parser) list(v Pair) (c Criterion, ok bool) {
	t := p.r.table("List")
	if v.Value == "" {
		p.leave(v.Name)
		return c, false
	}
	var ids Criterion
	for _, id := range splitEscaped(v.Value, ',') {
		switch {
		case strings.HasPrefix(id, "$"):
			p.refuse(issue.NotSupported, idUnsupported, "_list takes ids of List resources: this server keeps no functional lists such as %s", strconv.Quote(short(id)))
			return c, false
		case !validID(id):
			p.fail(issue.Value, idInvalidValue, "_list takes ids of List resources")
			return c, false
		}
		if p.values++; p.values > MaxValues {
			p.fail(issue.TooCostly, idTooMany, "%s: more than %d values", strconv.Quote(short(v.Name)), MaxValues)
			return c, false
		}
		ids.Values = append(ids.Values, Value{Token: Token{Code: id}})
	}
	ids.Param = t.byCode["_id"]
	c.Joins = []Join{{Reverse: true, Type: "List", Param: t.byCode["item"], Where: []Criterion{ids}}}
	return c, true
}

// joined says whether a criterion asks for other resources.
func (c *Criterion) joined() bool {
	return len(c.Joins) > 0 || slices.ContainsFunc(c.Of, func(x Criterion) bool { return x.joined() })
}

// joins compiles chains: exact, as the other resource is decided on its own.
func (c *compiler) joins(of []Join) term {
	var all []term
	for i := range of {
		j := &of[i]
		where, check := c.where(j.Type, j.Where)
		named := j.Type // the type that the references name
		if j.Reverse {
			named = c.typ
		}
		for _, b := range j.Param.standIns() {
			c.leaves++
			switch {
			case b.resolve != "" && b.resolve != named:
			case j.Reverse:
				all = append(all, term{ChainReverse{Type: j.Type, Param: b.param.key, Where: where, Check: check}, true})
			default:
				all = append(all, term{ChainForward{Param: b.param.key, Type: j.Type, Where: where, Check: check}, true})
			}
		}
	}
	return either(all)
}

var errNoOthers = errors.New("search: the query asks for other resources")

// joined decides chains and _has: by following each reference, and by looking
// at every resource that could refer here.
func (w *world) joined(of []Join, root element.Node) (bool, error) {
	for i := range of {
		j := &of[i]
		follow := w.forward
		if j.Reverse {
			follow = w.backward
		}
		if ok, err := follow(j, root); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

func (w *world) forward(j *Join, root element.Node) (bool, error) {
	if w.others.Resolve == nil {
		return false, errNoOthers
	}
	refs, err := w.referred(j.Param, root)
	if err != nil {
		return false, err
	}
	for _, x := range refs {
		if x.Type != j.Type {
			continue
		}
		other, ok := w.others.Resolve(x.Type, x.ID)
		if !ok {
			continue
		}
		if ok, err := w.all(j.Where, other); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

func (w *world) backward(j *Join, root element.Node) (bool, error) {
	if w.others.List == nil {
		return false, errNoOthers
	}
	typ, id := root.Type().Name, root.Child("id").Text()
	for _, other := range w.others.List(j.Type) {
		refs, err := w.referred(j.Param, other)
		if err != nil {
			return false, err
		}
		if !slices.ContainsFunc(refs, func(x Reference) bool { return x.Type == typ && x.ID == id }) {
			continue
		}
		if ok, err := w.all(j.Where, other); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// referred lists the resources of this server that a parameter refers to.
func (w *world) referred(p *Param, root element.Node) ([]Reference, error) {
	items, err := p.eval(root)
	if err != nil {
		return nil, fmt.Errorf("follow %s: %w", p.Code, err)
	}
	var out []Reference
	for _, it := range items {
		if !hasValueFor(KindReference, it.Node()) {
			continue
		}
		if x := w.r.ParseReference(referenceTextOf(it.Node())); x.Local() {
			out = append(out, x)
		}
	}
	return out, nil
}
