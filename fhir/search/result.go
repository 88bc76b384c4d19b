package search

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"meridian/fhir/issue"
)

// Result parameters: they say how the answer looks, not what matches.
// https://hl7.org/fhir/R4/search.html#modifyingresults
var resultParameters = []string{"_sort", "_count", "_include", "_revinclude", "_summary", "_total", "_elements", "_contained", "_containedType", "_format", "_pretty"}

// result reads a result parameter; false when name is none.
func (p *parser) result(name, modifier, v string) bool {
	if !slices.Contains(resultParameters, name) {
		return false
	}
	iterate := modifier == "iterate" && (name == "_include" || name == "_revinclude")
	if modifier != "" && !iterate {
		p.resultModifier(name, modifier)
		return true
	}
	if v == "" {
		p.leave(name)
		return true
	}
	switch name {
	case "_sort":
		for _, s := range strings.Split(v, ",") {
			p.sort(s)
		}
	case "_count":
		p.count(v)
	case "_include":
		p.include(v, false, iterate)
	case "_revinclude":
		p.include(v, true, iterate)
	case "_summary":
		if p.oneOf(name, v, "true", "text", "data", "count", "false") {
			p.once(name, p.q.Summary == "" || p.q.Summary == Summary(v))
			p.q.Summary = Summary(v)
		}
	case "_total":
		if p.oneOf(name, v, "none", "estimate", "accurate") {
			p.once(name, p.q.Total == "" || p.q.Total == Total(v))
			p.q.Total = Total(v)
		}
	case "_elements":
		for _, e := range strings.Split(v, ",") {
			p.element(e)
		}
	case "_contained":
		if p.oneOf(name, v, "true", "both", "false") {
			p.once(name, p.contained == "" || p.contained == v)
			p.contained = v
		}
	case "_containedType":
		if p.oneOf(name, v, "container", "contained") {
			p.once(name, p.containedType == "" || p.containedType == v)
			p.containedType = v
		}
	case "_format":
		p.q.Format = v
	case "_pretty":
		if p.oneOf(name, v, "true", "false") {
			p.q.Pretty = map[bool]Choice{true: Yes, false: No}[v == "true"]
		}
	}
	return true
}

func (p *parser) resultModifier(name, modifier string) {
	if (name == "_include" || name == "_revinclude") && modifier == "recurse" {
		p.refuse(issue.NotSupported, idUnknownModifier, "%s:recurse is the name that %s:iterate had before R4; send :iterate", name, name)
		return
	}
	p.refuse(issue.NotSupported, idUnknownModifier, "%s has no modifier :%s", name, short(modifier))
}

func (p *parser) oneOf(name, v string, allowed ...string) bool {
	if slices.Contains(allowed, v) {
		return true
	}
	p.fail(issue.Value, idInvalidValue, "%s takes %s", strconv.Quote(name), strings.Join(allowed, ", "))
	return false
}

func (p *parser) once(name string, ok bool) {
	if !ok {
		p.fail(issue.Value, idInvalidValue, "%s is given twice with different values", strconv.Quote(name))
	}
}

func (p *parser) count(v string) {
	n, err := strconv.ParseUint(v, 10, 31)
	if err != nil {
		p.fail(issue.Value, idInvalidValue, "_count takes a number from 0 on")
		return
	}
	p.once("_count", p.q.Count < 0 || p.q.Count == int(n))
	p.q.Count = int(n)
}

func (p *parser) sort(s string) {
	code, desc := s, false
	if strings.HasPrefix(s, "-") {
		code, desc = s[1:], true
	}
	param := p.t.byCode[code]
	switch {
	case strings.Contains(code, ".") || strings.HasPrefix(code, "_has:"):
		p.refuse(issue.NotSupported, idNotSortable, "_sort: results are sorted by their own values, not by those of other resources: %s", strconv.Quote(short(code)))
	case param == nil:
		p.refuse(issue.NotFound, idUnknownParameter, "_sort: %s", p.t.lacks(code))
	case param.refusal() != "":
		p.refuse(issue.NotSupported, idUnsupported, "_sort: %s: %s", strconv.Quote(code), param.refusal())
	case !param.Sortable():
		text := fmt.Sprintf("_sort: results cannot be sorted by %s", strconv.Quote(code))
		if len(param.bases) == 1 {
			text += ", which is part of " + strconv.Quote(param.bases[0].param.Code)
		}
		p.refuse(issue.NotSupported, idNotSortable, "%s", text)
	default:
		p.q.Sort = append(p.q.Sort, SortKey{param, desc})
		p.kept = append(p.kept, s)
	}
}

func (p *parser) element(name string) {
	if elementIndex(p.t.typ, name) >= 0 {
		p.kept = append(p.kept, name)
		if !slices.Contains(p.q.Elements, name) {
			p.q.Elements = append(p.q.Elements, name)
		}
		return
	}
	var names []string
	for i := range p.t.typ.Elements {
		names = append(names, p.t.typ.Elements[i].Name)
	}
	p.refuse(issue.NotFound, idUnknownParameter, "_elements: %s has no element %s%s", p.t.typ.Name, strconv.Quote(short(name)), didYouMean(nearest(name, names)))
}
