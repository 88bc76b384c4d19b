package search

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"meridian/fhir/issue"
)

// include reads *, Type:*, Type:parameter and Type:parameter:Target. What is
// not :iterate starts at what is searched: _include has its Source there,
// _revinclude its Target.
//
// https://hl7.org/fhir/R4/search.html#include, https://hl7.org/fhir/R4/search.html#revinclude
func (p *parser) include(v string, reverse, iterate bool) {
	name := "_include"
	if reverse {
		name = "_revinclude"
	}
	in := Include{Iterate: iterate}
	if v != "*" && !p.readInclude(name, v, &in) {
		return
	}
	if !p.startsHere(name, &in, reverse) {
		return
	}
	if reverse {
		p.q.RevIncludes = append(p.q.RevIncludes, in)
		return
	}
	p.q.Includes = append(p.q.Includes, in)
}

// readInclude fills in from the text of a parameter; false when it was refused.
func (p *parser) readInclude(name, v string, in *Include) bool {
	parts := strings.Split(v, ":")
	if len(parts) < 2 || len(parts) > 3 {
		p.fail(issue.Value, idInvalidValue, "%s takes Type:parameter, Type:parameter:Target, Type:* or *", name)
		return false
	}
	t := p.r.table(parts[0])
	if t == nil {
		p.refuse(issue.NotSupported, "search.unknown-type", "%s: there is no resource type %s", name, strconv.Quote(short(parts[0])))
		return false
	}
	in.Source = t.typ.Name
	if parts[1] != "*" {
		if in.Param = t.byCode[parts[1]]; in.Param == nil || in.Param.Kind != KindReference {
			text := fmt.Sprintf("%s: %s has no reference parameter %s", name, t.typ.Name, strconv.Quote(short(parts[1])))
			p.refuse(issue.NotFound, idUnknownParameter, "%s", text+didYouMean(nearest(parts[1], t.references())))
			return false
		}
	}
	if in.Param != nil && in.Param.refusal() != "" {
		p.refuse(issue.NotSupported, idUnsupported, "%s: %s: %s", name, strconv.Quote(parts[1]), in.Param.refusal())
		return false
	}
	if len(parts) < 3 {
		return true
	}
	in.Target = parts[2]
	if in.Param != nil && !p.r.MayRefer(in.Param, in.Target) || p.r.table(in.Target) == nil {
		p.refuse(issue.Value, idInvalidValue, "%s: %s of %s does not refer to %s", name, strconv.Quote(parts[1]), in.Source, strconv.Quote(short(in.Target)))
		return false
	}
	return true
}

// startsHere refuses what could never include anything.
func (p *parser) startsHere(name string, in *Include, reverse bool) bool {
	switch {
	case in.Iterate:
	case !reverse && in.Source != "" && !slices.Contains(p.types, in.Source):
		p.refuse(issue.NotSupported, idUnsupported, "_include starts at the searched type %s; _include:iterate goes on from what is included", p.t.typ.Name)
		return false
	case reverse && in.Target != "" && !slices.Contains(p.types, in.Target):
		p.refuse(issue.Value, idInvalidValue, "_revinclude: the target is the searched type %s; _revinclude:iterate goes on from what is included", p.t.typ.Name)
		return false
	case reverse && in.Param != nil && in.Target == "" && !slices.ContainsFunc(p.types, func(typ string) bool { return p.r.MayRefer(in.Param, typ) }):
		p.refuse(issue.Value, idInvalidValue, "%s: %s of %s does not refer to %s", name, strconv.Quote(in.Param.Code), in.Source, p.t.typ.Name)
		return false
	}
	return true
}

// ReferenceParams lists the parameters of a type that refer to resources: each
// element that refers stands in one of them at least.
func (r *Registry) ReferenceParams(typ string) []*Param {
	t := r.table(typ)
	if t == nil {
		return nil
	}
	var out []*Param
	for _, p := range t.params {
		if p.Kind == KindReference && p.Unsupported == "" && len(p.bases) == 0 {
			out = append(out, p)
		}
	}
	return out
}
