package search

import (
	"strconv"
	"strings"

	"meridian/fhir/issue"
	"meridian/fhir/schema"
)

// notReferenced reads `_not-referenced`, which finds what nothing refers to:
//
//	_not-referenced=Observation:subject   no Observation refers here as its subject
//	_not-referenced=Observation:*         no Observation refers here at all
//	_not-referenced=*:*                   nothing refers here
//
// It is no parameter of FHIR; its form is that of the Microsoft FHIR server. Only
// live resources refer. A type that has a canonical URL is not taken with `*`:
// what refers to it by that would not be seen.
func (p *parser) notReferenced(v Pair) (c Criterion, ok bool) {
	if v.Value == "" {
		p.leave(v.Name)
		return c, false
	}
	typ, code, two := strings.Cut(v.Value, ":")
	if !two || typ == "" || code == "" || typ == "*" && code != "*" || strings.ContainsAny(code, ":,") {
		p.fail(issue.Value, idInvalidValue, "_not-referenced is written Type:reference, Type:* or *:*, as Observation:subject; several are several parameters, all of which hold")
		return c, false
	}
	types := []string{typ}
	if typ == "*" {
		types = schema.ResourceTypes()
	} else if p.r.table(typ) == nil {
		p.fail(issue.Value, idInvalidValue, "_not-referenced: there is no resource type %s%s", strconv.Quote(short(typ)), didYouMean(nearest(typ, schema.ResourceTypes())))
		return c, false
	}
	var refers Criterion
	for _, of := range types {
		params, fine := p.referring(of, code, v.Name)
		if !fine {
			return c, false
		}
		for _, param := range params {
			if p.joins++; p.joins > MaxJoins {
				p.fail(issue.TooCostly, idTooMany, "the chains of this search lead to more than %d types", MaxJoins)
				return c, false
			}
			refers.Joins = append(refers.Joins, Join{Reverse: true, Type: of, Param: param})
		}
	}
	if len(refers.Joins) == 0 {
		p.fail(issue.Value, idInvalidValue, "_not-referenced: nothing of %s can refer to a %s", short(v.Value), p.t.typ.Name)
		return c, false
	}
	return Criterion{Op: NoneOf, Of: []Criterion{refers}}, true
}

// referring lists the reference parameters of a type that code names and that may refer to what is searched.
func (p *parser) referring(of, code, name string) (params []*Param, ok bool) {
	to := p.t.typ.Name
	if code != "*" {
		param := p.joinable(p.r.table(of), code, name)
		if param == nil {
			return nil, false
		}
		if !p.r.MayRefer(param, to) {
			p.fail(issue.Value, idInvalidValue, "_not-referenced: %s of %s does not refer to a %s", strconv.Quote(code), of, to)
			return nil, false
		}
		return []*Param{param}, true
	}
	_, canonical := p.t.typ.Lookup([]byte("url"))
	for _, param := range p.r.ReferenceParams(of) {
		switch {
		case !p.r.MayRefer(param, to):
		case param.Canonical() && !canonical:
		case param.Canonical():
			p.fail(issue.NotSupported, idUnsupported, "_not-referenced: %s of %s refers to a %s by canonical URL, which is not followed; name the references", param.Code, of, to)
			return nil, false
		case param.refusal() == "":
			params = append(params, param)
		}
	}
	return params, true
}
