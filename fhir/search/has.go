package search

import (
	"slices"
	"strconv"
	"strings"

	"meridian/fhir/issue"
)

// has reads the rest of _has:Observation:patient:code: resources of t that an
// Observation names as its patient, with a parameter of that Observation, which
// may be a chain or _has again. Modifiers belong to that last parameter: with
// code:not the Observation that refers here is one without the code.
//
// https://hl7.org/fhir/R4/search.html#has
func (p *parser) has(t *typeTable, rest string, v Pair, depth int) (c Criterion, ok bool) {
	parts := strings.SplitN(rest, ":", 3)
	if len(parts) < 3 || parts[2] == "" {
		p.fail(issue.Value, idInvalidValue, "_has is written _has:Type:reference:parameter, as _has:Observation:patient:code")
		return c, false
	}
	of := p.r.table(parts[0])
	if of == nil {
		p.refuse(issue.NotSupported, "search.unknown-type", "_has: there is no resource type %s", strconv.Quote(short(parts[0])))
		return c, false
	}
	param := p.joinable(of, parts[1], v.Name)
	if param == nil || !p.deeper(v.Name, depth) {
		return c, false
	}
	if !p.r.MayRefer(param, t.typ.Name) {
		p.refuse(issue.NotSupported, idUnsupported, "_has: %s of %s does not refer to a %s", strconv.Quote(param.Code), of.typ.Name, t.typ.Name)
		return c, false
	}
	if p.joins++; p.joins > MaxJoins {
		p.fail(issue.TooCostly, idTooMany, "the chains of this search lead to more than %d types", MaxJoins)
		return c, false
	}
	where, ok := p.named(of, parts[2], v, depth+1)
	if !ok {
		return c, false
	}
	c.Joins = []Join{{Reverse: true, Type: of.typ.Name, Param: param, Where: []Criterion{where}}}
	return c, true
}

// MayRefer says whether p's definition lists typ as a target.
func (r *Registry) MayRefer(p *Param, typ string) bool {
	if len(p.Targets) == 0 {
		return r.table(typ) != nil
	}
	return slices.Contains(p.Targets, typ)
}
