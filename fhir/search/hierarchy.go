package search

import (
	"slices"
	"strconv"

	"meridian/fhir/schema"
)

// :below and :above of a reference follow the hierarchy of the type that is
// referred to: the parameter over its element partOf or parent that refers to
// the same type alone (Location.partOf, Organization.partOf, Specimen.parent).
//
//	location:below=Location/1     Location/1, or one whose partof is Location/1, or one whose partof is such a one …
//	organization:above=x          Organization/x, or what it is part of, and so on
//
// Each level is a join of the query, so the stores and Match need no rule more.
// What is more than MaxHierarchy levels away is not found; Query.Beyond asks whether there is any, so that no answer is cut in silence.
//
// https://hl7.org/fhir/R4/search.html#reference

// MaxHierarchy is how many levels :above and :below of references go.
const MaxHierarchy = 8

// hierarchy is the parameter by which resources of typ name what they are part of, nil without one.
func (r *Registry) hierarchy(typ string) *Param {
	t := r.table(typ)
	if t == nil {
		return nil
	}
	at := slices.IndexFunc(t.params, func(p *Param) bool {
		return p.Kind == KindReference && !p.Added && p.simple && slices.Equal(p.Targets, []string{typ}) && !slices.ContainsFunc(p.branches, func(b branch) bool {
			return len(b.steps) != 1 || b.steps[0].name != "partOf" && b.steps[0].name != "parent"
		})
	})
	if at < 0 {
		return nil
	}
	return t.params[at]
}

// hierarchies lists the types that p may refer to which have one.
func (r *Registry) hierarchies(p *Param) []string {
	var out []string
	for _, typ := range p.targetTypes() {
		if r.hierarchy(typ) != nil {
			out = append(out, typ)
		}
	}
	return out
}

// place reads the value of :above and :below as a resource of a type with a hierarchy.
func (r *Registry) place(p *Param, x Reference) (Reference, string) {
	types := r.hierarchies(p)
	switch {
	case x.Type == "" && len(types) == 1:
		x.Type = types[0]
	case x.Type == "":
		return x, "it is Type/id, for there are several types with a hierarchy"
	case !slices.Contains(types, x.Type):
		return x, "there is no hierarchy of " + strconv.Quote(x.Type) + " that it could refer to"
	}
	x.Version = ""
	return x, ""
}

// related reads the value of :above and :below of a reference: a URL, or a
// resource of this server.
func (r *Registry) related(c *Criterion, s string) (Reference, string) {
	if c.Param.mayBe(schema.TypeCanonical, schema.TypeUri, schema.TypeUrl) && !r.ParseReference(s).Local() {
		url, reason := relatedURL(s)
		return Reference{URL: url}, reason
	}
	x, reason := r.parseReferenceValue(c, s)
	if reason == "" && !x.Local() {
		reason = "the hierarchy of another server is not known here"
	}
	if reason != "" {
		return x, reason
	}
	return r.place(c.Param, x)
}

// levels makes of :above and :below of references a choice of joins; what asks
// by URL stays as it is.
func (p *parser) levels(c *Criterion) {
	if c.Param == nil || c.Param.Kind != KindReference || c.Modifier != ModAbove && c.Modifier != ModBelow {
		return
	}
	r := p.r
	any := Criterion{Op: AnyOf}
	urls := Criterion{Param: c.Param, Modifier: c.Modifier}
	for _, v := range c.Values {
		if !v.Reference.Local() {
			urls.Values = append(urls.Values, v)
			continue
		}
		at := Criterion{Param: c.Param, Values: []Value{v}}
		where, beyond := r.upTo(v.Reference, MaxHierarchy), r.above(v.Reference)
		if c.Modifier == ModBelow {
			where, beyond = r.under(v, MaxHierarchy), r.below(v)
		}
		p.q.Beyond = append(p.q.Beyond, beyond)
		any.Of = append(any.Of, at, Criterion{Joins: []Join{{Type: v.Reference.Type, Param: c.Param, Where: []Criterion{where}}}})
	}
	if len(urls.Values) > 0 {
		any.Of = append(any.Of, urls)
	}
	*c = any
}

// under matches what is part of v's resource, or of what is under it.
func (r *Registry) under(v Value, levels int) Criterion {
	h := r.hierarchy(v.Reference.Type)
	at := Criterion{Param: h, Values: []Value{v}}
	if levels == 1 {
		return at
	}
	return Criterion{Op: AnyOf, Of: []Criterion{at, {Joins: []Join{{Type: v.Reference.Type, Param: h, Where: []Criterion{r.under(v, levels-1)}}}}}}
}

// upTo matches what x, or something that x is under, is part of.
func (r *Registry) upTo(x Reference, levels int) Criterion {
	id := r.table(x.Type).byCode["_id"]
	of := Criterion{Param: id, Values: []Value{{Token: Token{Code: x.ID}}}}
	if levels > 1 {
		of = Criterion{Op: AnyOf, Of: []Criterion{of, r.upTo(x, levels-1)}}
	}
	return Criterion{Joins: []Join{{Reverse: true, Type: x.Type, Param: r.hierarchy(x.Type), Where: []Criterion{of}}}}
}

// below asks for what is one level further under v's resource than under goes.
func (r *Registry) below(v Value) *Query {
	h := r.hierarchy(v.Reference.Type)
	c := Criterion{Param: h, Values: []Value{v}}
	for range MaxHierarchy {
		c = Criterion{Joins: []Join{{Type: v.Reference.Type, Param: h, Where: []Criterion{c}}}}
	}
	return &Query{Type: v.Reference.Type, Criteria: []Criterion{c}}
}

// above asks for x, if it is part of something one level further than upTo goes.
func (r *Registry) above(x Reference) *Query {
	h := r.hierarchy(x.Type)
	c := Criterion{Param: h, Modifier: ModMissing}
	for range MaxHierarchy {
		c = Criterion{Joins: []Join{{Type: x.Type, Param: h, Where: []Criterion{c}}}}
	}
	id := r.table(x.Type).byCode["_id"]
	return &Query{Type: x.Type, Criteria: []Criterion{{Param: id, Values: []Value{{Token: Token{Code: x.ID}}}}, c}}
}
