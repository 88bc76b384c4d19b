package search

import (
	"slices"
	"strconv"
	"strings"

	"meridian/fhir/issue"
	"meridian/fhir/value"
)

// MaxLeaves bounds the tree of a plan: an id without type asks for each target type.
const MaxLeaves = 50_000

// Compile gives the plan of a parsed query. Limit is _count (0 where it was not
// given); After is the caller's to set. The error is an *issue.Error
// (too-costly, status 400).
func (r *Registry) Compile(q *Query) (*Plan, error) {
	c := compiler{r: r, at: q.at}
	where, check := c.where(q.Type, q.Criteria)
	switch {
	case c.leaves > MaxLeaves:
		return nil, issue.New(issue.TooCostly, idTooMany, "the search has too many alternatives; name the type of references (Patient/1)", "").WithStatus(statusBadRequest)
	case c.mixed:
		return nil, issue.New(issue.NotSupported, idUnsupported, "a chained parameter stands under or, or under not, together with a criterion that only the whole resource decides "+
			"(part of a string, another value than one, a text of more than "+strconv.Itoa(MaxValue)+" bytes); ask for them in two searches", "").WithStatus(statusBadRequest)
	}
	plan := &Plan{Type: q.Type, Where: where, Residual: check, Limit: max(q.Count, 0)}
	for _, s := range q.Sort {
		plan.Sort = append(plan.Sort, Order{Param: s.Param.sortedAs(), Desc: s.Desc})
	}
	return plan, nil
}

// where compiles criteria that must all hold on one resource of typ. check
// decides those on its body whose keys are not enough; nil where there are none.
func (c *compiler) where(typ string, of []Criterion) (where Expr, check func([]byte) (bool, error)) {
	var all []Expr
	var open []*Criterion
	outer := c.typ
	c.typ = typ
	for _, x := range flat(of) {
		t := c.criterion(x)
		if !t.exact {
			open = append(open, x)
			c.mixed = c.mixed || x.joined()
		}
		if _, every := t.Expr.(All); !every {
			all = append(all, t.Expr)
		}
	}
	c.typ = outer
	if len(open) > 0 {
		check = c.r.residual(typ, c.at, open)
	}
	return both(all), check
}

// flat takes conjunctions within a conjunction apart.
func flat(of []Criterion) []*Criterion {
	var out []*Criterion
	for i := range of {
		if of[i].Op == AllOf {
			out = append(out, flat(of[i].Of)...)
			continue
		}
		out = append(out, &of[i])
	}
	return out
}

// term is a compiled part; where it is not exact it matches all that should and
// maybe more.
type term struct {
	Expr
	exact bool
}

var (
	nothing = term{Or{}, true}
	every   = term{All{}, true}
)

type compiler struct {
	r      *Registry
	at     value.Instant
	typ    string // of the resource that the criteria are about
	leaves int
	mixed  bool // the body would have to decide a join
}

func both(of []Expr) Expr {
	switch len(of) {
	case 0:
		return All{}
	case 1:
		return of[0]
	}
	return And{of}
}

// either joins alternatives, flattening those that are alternatives themselves.
func either(of []term) term {
	out := term{exact: true}
	var flat []Expr
	for _, t := range of {
		out.exact = out.exact && t.exact
		switch e := t.Expr.(type) {
		case All:
			return term{All{}, t.exact}
		case Or:
			flat = append(flat, e.Of...)
		default:
			flat = append(flat, t.Expr)
		}
	}
	out.Expr = Or{flat}
	if len(flat) == 1 {
		out.Expr = flat[0]
	}
	return out
}

// all joins what must hold together.
func all(of []term) term {
	out := term{exact: true}
	var exprs []Expr
	for _, t := range of {
		out.exact = out.exact && t.exact
		if _, every := t.Expr.(All); !every {
			exprs = append(exprs, t.Expr)
		}
	}
	out.Expr = both(exprs)
	return out
}

// not inverts: what is only known to hold all matches says nothing when inverted.
func not(t term) term {
	if !t.exact {
		return term{All{}, false}
	}
	return term{Not{t.Expr}, true}
}

func (c *compiler) criterion(x *Criterion) term {
	switch {
	case len(x.Joins) > 0:
		return c.joins(x.Joins)
	case x.Param == nil:
		return c.group(x)
	case x.Param.Code == "_id":
		return c.id(x)
	case x.Param.Kind == KindComposite:
		return c.composite(x)
	}
	t := c.alternatives(x, x.Values)
	if x.Modifier == ModNot || x.Modifier == ModNotIn || x.Modifier == ModMissing && x.Missing {
		return not(t)
	}
	return t
}

// alternatives is any of the values, in any parameter that stands in for x's.
func (c *compiler) alternatives(x *Criterion, values []Value) term {
	var of []term
	for _, b := range x.Param.standIns() {
		if x.Modifier == ModMissing {
			of = append(of, term{b.present(), true})
			continue
		}
		for i := range values {
			if c.leaves > MaxLeaves {
				return every
			}
			of = append(of, c.value(b, x, &values[i]))
		}
	}
	return either(of)
}

// group compiles what Op makes of criteria.
func (c *compiler) group(x *Criterion) term {
	of := make([]term, len(x.Of))
	for i := range x.Of {
		of[i] = c.criterion(&x.Of[i])
	}
	switch x.Op {
	case AnyOf:
		return either(of)
	case NoneOf:
		return not(either(of))
	}
	return all(of)
}

// standIns are the parameters whose keys answer for p: its bases, or p itself.
func (p *Param) standIns() []base {
	if len(p.bases) > 0 {
		return p.bases
	}
	return []base{{param: p}}
}

// present matches the resources that have a value of b.
func (b base) present() Expr {
	switch {
	case b.resolve != "":
		return Prefix{Key{Param: b.param.key, Scope: b.resolve}}
	case b.param.fullText == textContent:
		return Or{[]Expr{Present{b.param.key}, Present{"_text"}}}
	}
	return Present{b.param.key}
}

func (c *compiler) id(x *Criterion) term {
	if x.Modifier == ModMissing {
		if x.Missing {
			return nothing
		}
		return every
	}
	ids := make([]string, 0, len(x.Values))
	for _, v := range x.Values {
		ids = append(ids, v.Token.Code)
	}
	slices.Sort(ids)
	t := term{IDs{slices.Compact(ids)}, true}
	if x.Modifier == ModNot {
		return not(t)
	}
	return t
}

func (c *compiler) value(b base, x *Criterion, v *Value) term {
	c.leaves++
	p := b.param
	if x.Modifier == modUnequal {
		return term{b.present(), false}
	}
	switch p.Kind {
	case KindNumber:
		return term{askedOf(v).boxes(p, "", v.Comparator), true}
	case KindDate:
		return term{c.dates(p, v), true}
	case KindString:
		if p.fullText != textNone {
			return c.find(p, v.find)
		}
		return c.text(p, x.Modifier, v.Text)
	case KindToken:
		return c.tokenValue(p.key, x, v)
	case KindReference:
		return c.referenceTerm(b, x, v)
	case KindQuantity:
		return c.quantityTerm(p, v)
	case KindURI:
		if x.Modifier == ModAbove || x.Modifier == ModBelow {
			return relatedTerm(x.Modifier, p.key, v.Text)
		}
		return exactPoint(p.key, "", v.Text)
	case KindSpecial:
		return nearTerm(p.key, v.Near)
	}
	return nothing
}

func (c *compiler) tokenValue(param string, x *Criterion, v *Value) term {
	switch {
	case x.Modifier == ModText || x.Modifier == ModCodeText:
		return textTerm(param+formText, x.Modifier, v.Text)
	case x.Modifier == ModOfType:
		system, _ := cut(v.Token.System)
		code, _ := cut(v.Token.Code)
		t := exactPoint(param+formOfType, "", v.Text)
		point := t.Expr.(Point)
		point.Key.Scope = system + "|" + code
		// A system that holds a '|' could be read in two ways.
		return term{point, t.exact && !mayBeCut(v.Token.System) && !mayBeCut(v.Token.Code) && strings.Count(point.Key.Scope, "|") == 1}
	case x.expands():
		return c.codeTerm(param, v.Codes)
	}
	return tokenTerm(param, v.Token)
}

// exactPoint is a Point; its texts may be too long for a key, then it is not exact.
func exactPoint(param, scope, value string) term {
	exact := !mayBeCut(value) && !mayBeCut(scope)
	scope, _ = cut(scope)
	value, _ = cut(value)
	return term{Point{Key{param, scope, value}}, exact}
}

// tokenTerm is the token in its four forms.
// https://hl7.org/fhir/R4/search.html#token
func tokenTerm(param string, t Token) term {
	switch {
	case !t.HasSystem:
		return exactPoint(param, "", t.Code)
	case t.System == "":
		return exactPoint(param, NoSystem, t.Code)
	case t.Code == "":
		scope, _ := cut(systemScope(t.System))
		return term{Prefix{Key{Param: param, Scope: scope}}, !mayBeCut(t.System)}
	}
	return exactPoint(param, systemScope(t.System), t.Code)
}

// text compiles a string. By default the field starts with the value, both
// folded; a name with Han characters also by pinyin, initials or inner character.
//
// https://hl7.org/fhir/R4/search.html#string
func (c *compiler) text(p *Param, m Modifier, text string) term {
	f := fold(text)
	switch m {
	case ModExact:
		// The key says that the folded texts are equal; the body, that the texts are.
		if f == "" {
			return term{Present{p.key}, false}
		}
		short, _ := cut(f)
		return term{Point{Key{p.key, "", short}}, false}
	case ModContains:
		return c.contains(p, f)
	case modEqual, modEndsWith:
		return c.filterText(p, m, text)
	}
	short, _ := cut(f)
	of := []term{{Prefix{Key{p.key, "", short}}, !mayBeCut(f)}}
	if p.names {
		of = append(of, term{Prefix{Key{p.key + formPinyin, "", squeeze(short)}}, true})
	}
	return either(of)
}

// contains: a text that was cut may contain it behind the cut, so that is a
// candidate; the body decides.
func (c *compiler) contains(p *Param, folded string) term {
	of := []term{{Contains{p.key, folded}, false}}
	if p.names {
		of = append(of, term{Contains{p.key + formPinyin, squeeze(folded)}, true})
	}
	return either(append(of, term{Present{p.key + formCut}, false}))
}

// squeeze drops the blanks of a folded text: "zhang san" is typed for 张三.
func squeeze(folded string) string { return strings.ReplaceAll(folded, " ", "") }

func (c *compiler) referenceTerm(b base, x *Criterion, v *Value) term {
	code := b.param.key
	narrowed := func(t term) term {
		return term{And{[]Expr{t.Expr, b.present()}}, false}
	}
	var t term
	switch x.Modifier {
	case ModIdentifier:
		t = tokenTerm(code+formIdentifier, v.Token)
	case ModText, ModCodeText:
		t = textTerm(code+formText, x.Modifier, v.Text)
	case ModAbove, ModBelow:
		t = relatedTerm(x.Modifier, code, v.Reference.URL)
	}
	if t.Expr != nil {
		if b.resolve != "" {
			return narrowed(t)
		}
		return t
	}
	to := v.Reference
	switch {
	case b.resolve != "" && to.Type != "" && to.Type != b.resolve:
		return nothing
	case !to.Local():
		t := exactPoint(code, "", to.URL)
		if b.resolve != "" && to.Type == "" {
			return narrowed(t)
		}
		return t
	case to.Version != "":
		return term{Point{Key{code, "", to.Type + "/" + to.ID + historyPart + to.Version}}, true}
	case to.Type != "":
		return term{Point{Key{code, to.Type, to.ID}}, true}
	}
	return c.anyType(b, x.Param.targetTypes(), to.ID)
}

// anyType is a local id whose type is any that the parameter may refer to.
// https://hl7.org/fhir/R4/search.html#reference
func (c *compiler) anyType(b base, types []string, id string) term {
	if b.resolve != "" {
		types = []string{b.resolve}
	}
	c.leaves += len(types)
	of := make([]term, len(types))
	for i, t := range types {
		of[i] = term{Point{Key{b.param.key, t, id}}, true}
	}
	return either(of)
}

func (c *compiler) quantityTerm(p *Param, v *Value) term {
	a, m := c.r.measured(v)
	switch {
	case m != nil:
		return term{a.boxes(p, m.scope, v.Comparator), true}
	case v.Unit.Code == "":
		return term{a.boxes(p, "", v.Comparator), true}
	}
	system, _ := cut(v.Unit.System)
	code, _ := cut(v.Unit.Code)
	return term{a.boxes(p, system+"|"+code, v.Comparator), !mayBeCut(v.Unit.System) && !mayBeCut(v.Unit.Code)}
}
