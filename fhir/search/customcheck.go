package search

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"meridian/fhir/fhirpath"
	"meridian/fhir/issue"
	"meridian/fhir/schema"
)

// Limits of added parameters.
const (
	// MaxAdded is how many search parameters a deployment adds.
	MaxAdded = 500
	// MaxExpression is the longest expression of one, in bytes.
	MaxExpression = 4_000
)

// addedCode is what a query string and a key name take without escaping; a code that begins with an underscore is R4's.
var addedCode = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._-]{0,63}$`)

// CheckAdded says what is wrong with a definition that is to be added beside the others, nil
// when nothing is. Expressions of the issues are those of the SearchParameter.
// Issue codes: value, not-supported, duplicate, invariant.
func (r *Registry) CheckAdded(d *Definition) []issue.Issue {
	c := &addedCheck{r: r, d: d, kind: kindOf(d.Type)}
	c.itself()
	if len(c.issues) > 0 {
		return c.issues
	}
	for _, name := range d.Types() {
		c.on(schema.ByName(name))
	}
	return c.issues
}

type addedCheck struct {
	r      *Registry
	d      *Definition
	kind   Kind
	issues []issue.Issue
}

// found adds an issue, once.
func (c *addedCheck) found(code issue.Code, at, format string, args ...any) {
	x := issue.Issue{Severity: issue.SevError, Code: code, ID: "searchparameter." + strings.TrimPrefix(at, "SearchParameter."), Text: fmt.Sprintf(format, args...), Expression: at, Offset: issue.NoOffset}
	if !slices.ContainsFunc(c.issues, func(y issue.Issue) bool { return y.Text == x.Text && y.Expression == x.Expression }) {
		c.issues = append(c.issues, x)
	}
}

// itself checks what needs no resource type.
func (c *addedCheck) itself() {
	d := c.d
	if d.URL == "" {
		c.found(issue.Required, "SearchParameter.url", "a search parameter has a url")
	}
	if !addedCode.MatchString(d.Code) {
		c.found(issue.Value, "SearchParameter.code", "the code of an added search parameter is 1 to 64 letters, digits, dots, hyphens and underscores, and begins with a letter")
	}
	if c.kind == 0 || c.kind == KindSpecial {
		c.found(issue.NotSupported, "SearchParameter.type", "search parameters of type %s cannot be added", strconv.Quote(short(d.Type)))
	}
	if len(d.Base) == 0 {
		c.found(issue.Required, "SearchParameter.base", "a search parameter has a base")
	}
	for _, b := range d.Base {
		if t := schema.ByName(b); t == nil || t.Kind != schema.Resource {
			c.found(issue.Value, "SearchParameter.base", "%s is not a resource type of FHIR R4", strconv.Quote(short(b)))
		}
	}
	for _, b := range d.Target {
		if t := schema.ByName(b); t == nil || t.Kind != schema.Resource {
			c.found(issue.Value, "SearchParameter.target", "%s is not a resource type of FHIR R4", strconv.Quote(short(b)))
		}
	}
	if (c.kind == KindComposite) != (len(d.Components) > 0) {
		c.found(issue.Invariant, "SearchParameter.component", "a composite has components, and nothing else has")
	}
	switch _, err := fhirpath.Compile(d.Expression); {
	case d.Expression == "":
		c.found(issue.Required, "SearchParameter.expression", "an added search parameter has an expression")
	case len(d.Expression) > MaxExpression:
		c.found(issue.TooLong, "SearchParameter.expression", "the expression is longer than %d bytes", MaxExpression)
	case err != nil:
		c.found(issue.Value, "SearchParameter.expression", "the expression cannot be compiled: %s", short(err.Error()))
	}
	if all := c.r.AddedParameters(); len(all) >= MaxAdded && !slices.ContainsFunc(all, func(a *Added) bool { return a.ID == d.ID }) {
		c.found(issue.TooCostly, "SearchParameter", "there are %d added search parameters, as many as there may be", MaxAdded)
	}
}

// on checks the definition on one of its types.
func (c *addedCheck) on(t *schema.Type) {
	var others []*Added
	if of := c.r.added.Load().byType[t.ID]; of != nil {
		others = slices.DeleteFunc(slices.Clone(of.added), func(a *Added) bool { return a.ID == c.d.ID })
	}
	for _, a := range others {
		if a.Code == c.d.Code || a.URL == c.d.URL {
			c.found(issue.Duplicate, "SearchParameter.code", "SearchParameter/%s has this code, or this url, for %s", a.ID, t.Name)
			return
		}
	}
	if !c.mayReplace(t) {
		return
	}
	tt := c.r.compileType(t, append(others, &Added{Definition: *c.d, Ready: true}))
	p := tt.byCode[c.d.Code]
	switch {
	case p.Kind == KindComposite && p.Unsupported != "":
		c.found(issue.NotSupported, "SearchParameter.component", "on %s: %s", t.Name, p.Unsupported)
	case p.Unsupported != "":
		c.found(issue.NotSupported, "SearchParameter.expression", "on %s: %s", t.Name, p.Unsupported)
	case p.Expression == "":
		c.found(issue.Value, "SearchParameter.expression", "the expression says nothing about %s", t.Name)
	case p.Kind != KindComposite && p.simple:
		c.selects(t, p)
	case p.Kind != KindComposite:
		c.computes(t, p)
	}
}

// impure are functions whose result is no matter of the resource alone: keys would not stay true.
var impure = []string{"resolve", "now", "today", "timeOfDay", "memberOf", "subsumes", "subsumedBy", "conformsTo"}

// computes looks at an expression outside the simple subset: that it asks for nothing but the resource,
// and that what it gives are elements that the parameter's type reads, or one truth for a token.
func (c *addedCheck) computes(t *schema.Type, p *Param) {
	const at = "SearchParameter.expression"
	asksType := map[fhirpath.Node]bool{} // resolve() of `resolve() is Patient`, which reads the reference alone
	fhirpath.Walk(p.expr.AST(), func(n fhirpath.Node) bool {
		switch n := n.(type) {
		case *fhirpath.TypeTest:
			asksType[n.X] = n.Op == "is"
		case *fhirpath.Call:
			if slices.Contains(impure, n.Name) && !asksType[n] {
				c.found(issue.NotSupported, at, "%s() asks for more than the resource itself, which no index can keep true", n.Name)
			}
		}
		return true
	})
	static, errs := p.expr.Check(fhirpath.CheckParams{Context: fhirpath.Static{FHIR: []schema.ID{t.ID}}})
	for _, err := range errs {
		c.found(issue.Value, at, "on %s: %s", t.Name, short(err.Error()))
	}
	for _, kind := range static.System {
		if kind != fhirpath.Boolean || c.kind != KindToken {
			c.found(issue.NotSupported, at, "on %s: the expression computes a %s; a search parameter selects elements, or is a token that says true or false", t.Name, static)
		}
	}
	if len(errs) == 0 && !static.Open && len(static.System) == 0 && !slices.ContainsFunc(static.FHIR, func(id schema.ID) bool { return c.kind.reads(schema.ByID(id)) }) {
		c.found(issue.Value, at, "on %s: the expression gives no element that a %s parameter reads", t.Name, c.kind)
	}
}

// mayReplace says whether the code is free, or one of R4's that may be replaced.
func (c *addedCheck) mayReplace(t *schema.Type) bool {
	p := c.r.tableIn(&addedSet{}, t).byCode[c.d.Code]
	switch {
	case p == nil:
		return true
	case p.URL != c.d.URL:
		c.found(issue.Duplicate, "SearchParameter.code", "%s has the search parameter %s of the specification; one with its url, %s, may stand in for it", t.Name, strconv.Quote(p.Code), p.URL)
	case p.Kind == KindReference || p.Kind == KindComposite || p.Kind != c.kind:
		c.found(issue.NotSupported, "SearchParameter.code", "references and composites of the specification keep their meaning, and what stands in for another parameter has its type, here %s", p.Kind)
	default:
		return true
	}
	return false
}

// selects looks whether the elements that the expression leads to are there, and are such as the parameter's type reads.
func (c *addedCheck) selects(t *schema.Type, p *Param) {
	for _, b := range p.branches {
		_, types := b.ends(t)
		switch {
		case len(types) == 0:
			c.found(issue.Value, "SearchParameter.expression", "%s has no element %s", t.Name, b.path())
		case b.exists && c.kind != KindToken:
			c.found(issue.Value, "SearchParameter.expression", "whether an element is there is asked for by a token")
		case !b.exists && !slices.ContainsFunc(types, func(id schema.ID) bool {
			return c.kind.reads(schema.ByID(id)) || c.kind == KindQuantity && id == schema.ByName("SampledData").ID
		}):
			c.found(issue.Value, "SearchParameter.expression", "%s of %s is no element that a %s parameter reads", b.path(), t.Name, c.kind)
		}
	}
}
