package search

import (
	"slices"
	"strings"

	"meridian/fhir/definitions"
	"meridian/fhir/element"
	"meridian/fhir/fhirpath"
	"meridian/fhir/schema"
)

// A composite parameter asks for several values in one place: a component whose
// code is 8480-6 and whose value is over 140. It has no keys. Its parts are
// parameters with keys of their own, so a resource that matches has what each
// part asks for; that they stand in the same instance is decided on the body.
// Where the instance is the resource itself (code-value-quantity) the keys say all.
//
//	component-code-value-quantity=8480-6$gt140
//	  instances  Observation.component
//	  parts      component-code, from code; component-value-quantity, from value.as(Quantity)
//
// https://hl7.org/fhir/R4/search.html#combining

// part is one component of a composite.
type part struct {
	param *Param
	expr  *fhirpath.Expr // from an instance
	whole bool           // it selects all values of param in a resource
}

// instances compiles a composite's expression as far as it is about t.
func (p *Param) instances(t *schema.Type, whole *fhirpath.Expr) {
	var kept []string
	p.ofResource = true
	for _, n := range alternatives(whole.AST()) {
		b, ok := pathOf(n)
		if !ok || b.root == "" || !isA(t, b.root) {
			continue
		}
		p.branches = append(p.branches, b)
		p.ofResource = p.ofResource && len(b.steps) == 0
		kept = append(kept, fhirpath.Print(n))
	}
	p.Expression = strings.Join(kept, " | ")
	expr, err := fhirpath.Compile(p.Expression)
	if err != nil || len(kept) == 0 {
		p.Unsupported = "its expression cannot be compiled"
		return
	}
	p.expr = expr
}

// compose finds the parts of a composite among the type's parameters.
func (r *Registry) compose(tt *typeTable, d *definitions.SearchParameter) {
	p := tt.byCode[d.Code]
	if p.Unsupported == "" {
		r.composeParts(tt, p, d)
	}
}

func (r *Registry) composeParts(tt *typeTable, p *Param, d *definitions.SearchParameter) {
	expressions := make([]string, len(d.Components))
	params := make([]*Param, len(d.Components))
	for i, c := range d.Components {
		expressions[i] = c.Expression
		url, _, _ := strings.Cut(c.Definition, "|")
		at := slices.IndexFunc(tt.params, func(q *Param) bool { return q.URL == url })
		if at < 0 || tt.params[at].Unsupported != "" || !tt.params[at].simple || tt.params[at].Kind == KindComposite {
			p.Unsupported = "one of its parts cannot be searched"
			return
		}
		params[i] = tt.params[at]
	}
	fits := func(i, from int) bool { _, ok := p.partOf(tt.typ, params[i], expressions[from]); return ok }
	// R4 names the parts of DocumentReference.relationship in one order and their expressions in the other.
	if len(params) == 2 && !fits(0, 0) && fits(0, 1) && fits(1, 0) {
		expressions[0], expressions[1] = expressions[1], expressions[0]
	}
	for i := range params {
		x, ok := p.partOf(tt.typ, params[i], expressions[i])
		if !ok {
			p.Unsupported = "one of its parts has no keys"
			return
		}
		p.parts = append(p.parts, x)
	}
}

const fromResource = "%resource."

// partOf compiles a component; false where it selects what param does not.
func (p *Param) partOf(t *schema.Type, param *Param, expression string) (part, bool) {
	expression = knownTypes(expression)
	local, absolute := strings.CutPrefix(expression, fromResource)
	e, err := fhirpath.Compile(expression)
	path, err2 := fhirpath.Compile(local)
	if err != nil || err2 != nil {
		return part{}, false
	}
	branches, ok := branchesOf(path.AST())
	if !ok {
		return part{}, false
	}
	var selected, all []string
	for _, from := range p.branches {
		for _, b := range branches {
			if !absolute {
				b.steps = append(slices.Clone(from.steps), b.steps...)
			}
			selected = append(selected, b.leaves(t, param.Kind)...)
		}
	}
	for _, b := range param.branches {
		all = append(all, b.leaves(t, param.Kind)...)
	}
	for _, s := range selected {
		ok = ok && slices.Contains(all, s)
	}
	whole := !slices.ContainsFunc(all, func(s string) bool { return !slices.Contains(selected, s) })
	return part{param, e, whole}, ok && len(selected) > 0
}

// leaves are the places that b leads to, one for each type that a parameter of
// kind k reads values from.
func (b branch) leaves(t *schema.Type, k Kind) []string {
	var out []string
	_, types := b.ends(t)
	last := &b.steps[len(b.steps)-1]
	as := last.as
	last.as = ""
	for _, id := range types {
		if k.reads(schema.ByID(id)) {
			out = append(out, b.path()+" "+schema.ByID(id).Name)
		}
	}
	last.as = as
	return out
}

// knownTypes mends R4's as(DateTime), which is no type, to as(dateTime).
func knownTypes(expression string) string {
	const as = "as("
	at := strings.Index(expression, as)
	if at < 0 {
		return expression
	}
	head, rest := expression[:at+len(as)], expression[at+len(as):]
	name, tail, _ := strings.Cut(rest, ")")
	if low := strings.ToLower(name[:min(1, len(name))]); name != "" && schema.ByName(name) == nil {
		if fixed := low + name[1:]; schema.ByName(fixed) != nil {
			name = fixed
		}
	}
	return head + name + ")" + knownTypes(tail)
}

// parseComposite reads the parts of one value, as their own parameters do.
func (r *Registry) parseComposite(p *Param, s string) (v Value, reason string) {
	texts := splitEscaped(s, '$')
	if len(texts) != len(p.parts) {
		var names []string
		for _, x := range p.parts {
			names = append(names, x.param.Code)
		}
		return v, "it is not " + strings.Join(names, "$")
	}
	for i, text := range texts {
		x, reason := r.value(&Criterion{Param: p.parts[i].param}, text)
		if reason != "" {
			return v, p.parts[i].param.Code + ": " + reason
		}
		v.Parts = append(v.Parts, x)
	}
	return v, ""
}

// composite is any of the values, each an And of its parts.
func (c *compiler) composite(x *Criterion) term {
	var of []term
	for i := range x.Values {
		var parts []term
		for k, part := range x.Param.parts {
			t := c.alternatives(&Criterion{Param: part.param}, x.Values[i].Parts[k:k+1])
			parts = append(parts, term{t.Expr, t.exact && part.whole})
		}
		t := all(parts)
		of = append(of, term{t.Expr, t.exact && x.Param.ofResource})
	}
	return either(of)
}

// compositeMatches says whether all parts of a value hold on one instance.
func (r *Registry) compositeMatches(q *Query, c *Criterion, root element.Node) (bool, error) {
	instances, err := c.Param.eval(root)
	if err != nil {
		return false, err
	}
	for _, it := range instances {
		for i := range c.Values {
			if ok, err := r.instance(q, c.Param, &c.Values[i], it.Node(), root); ok || err != nil {
				return ok, err
			}
		}
	}
	return false, nil
}

func (r *Registry) instance(q *Query, p *Param, v *Value, at, root element.Node) (bool, error) {
	for i := range p.parts {
		x := &p.parts[i]
		items, err := x.expr.Eval(&fhirpath.Env{FilterAs: true}, at)
		if err != nil {
			return false, err
		}
		m := matcher{r: r, q: q, c: &Criterion{Param: x.param, Values: v.Parts[i : i+1]}, root: root}
		if !slices.ContainsFunc(items, m.item) {
			return false, nil
		}
	}
	return true, nil
}
