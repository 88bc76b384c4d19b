package search

import (
	"fmt"
	"slices"
	"strings"

	"meridian/fhir/element"
	"meridian/fhir/fhirpath"
	"meridian/fhir/schema"
)

// Match says whether a resource matches a query that asks for no other
// resources. It evaluates each parameter's FHIRPath and applies the rules of
// the datatypes to the elements themselves: slow, obvious, and independent of
// keys, so that everything else can be held against it. An error is internal:
// an expression that fails on this resource, or a query with joins.
func (r *Registry) Match(q *Query, root element.Node) (bool, error) {
	return r.MatchAmong(q, root, Others{})
}

// Others are the resources beside the one that is matched, for chains and _has.
type Others struct {
	// Resolve gives a live resource.
	Resolve func(typ, id string) (element.Node, bool)
	// List gives all live resources of a type.
	List func(typ string) []element.Node
}

// MatchAmong is Match where the query asks for other resources too.
func (r *Registry) MatchAmong(q *Query, root element.Node, others Others) (bool, error) {
	if !root.Valid() || root.Type().Name != q.Type {
		return false, nil
	}
	w := world{r: r, q: q, others: others}
	return w.all(q.Criteria, root)
}

// world is what a query is decided in.
type world struct {
	r      *Registry
	q      *Query
	others Others
}

func (w *world) all(of []Criterion, root element.Node) (bool, error) {
	for i := range of {
		if ok, err := w.holds(&of[i], root); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

// holds decides one criterion on one resource.
func (w *world) holds(c *Criterion, root element.Node) (bool, error) {
	switch {
	case len(c.Joins) > 0:
		return w.joined(c.Joins, root)
	case c.Param != nil:
		return w.r.matches(w.q, c, root)
	case c.Op == AllOf:
		return w.all(c.Of, root)
	}
	found := false
	for i := range c.Of {
		ok, err := w.holds(&c.Of[i], root)
		if err != nil {
			return false, err
		}
		found = found || ok
	}
	return found == (c.Op == AnyOf), nil
}

func (r *Registry) matches(q *Query, c *Criterion, root element.Node) (bool, error) {
	switch {
	case c.Param.Kind == KindComposite:
		return r.compositeMatches(q, c, root)
	case c.Param.fullText != textNone:
		return fullTextMatches(c, root), nil
	}
	items, err := c.Param.eval(root)
	if err != nil {
		return false, err
	}
	m := matcher{r: r, q: q, c: c, root: root}
	found, present := false, false
	for _, it := range items {
		present = present || it.Kind() == fhirpath.Boolean || hasValueFor(c.Param.Kind, it.Node())
		found = found || m.item(it)
	}
	switch c.Modifier {
	case ModMissing:
		return present != c.Missing, nil
	case ModNot, ModNotIn:
		return !found, nil
	}
	return found, nil
}

// item decides what the expression gave: an element, or the answer of exists().
func (m *matcher) item(it fhirpath.Item) bool {
	if it.Kind() == fhirpath.Boolean {
		b, _ := it.Bool()
		return m.tokens([]token{{BooleanSystem, fmt.Sprint(b)}}) != (m.c.Modifier == modUnequal)
	}
	return m.node(it.Node())
}

// eval gives the elements that p's expression selects. Of an added parameter an expression that fails on a resource, as
// single() of two, gives nothing: it must not keep the resource from being written.
func (p *Param) eval(root element.Node) (fhirpath.Collection, error) {
	items, err := p.expr.Eval(&fhirpath.Env{FilterAs: true}, root)
	if err != nil && p.Added {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("search parameter %s of %s: %w", p.Code, p.Type, err)
	}
	return items, nil
}

// hasValueFor says whether an element counts as a value of a parameter of that
// kind: its datatype is one that the kind has a rule for, and a primitive has
// more than extensions.
func hasValueFor(k Kind, n element.Node) bool {
	return k.reads(n.Type()) && (n.Type().Kind != schema.Primitive || n.HasValue()) || k == KindQuantity && n.Type().Name == "SampledData"
}

// reads says whether parameters of kind k find values in elements of type t.
func (k Kind) reads(t *schema.Type) bool {
	name := t.Name
	switch t.Kind {
	case schema.Primitive:
		switch k {
		case KindNumber:
			return name == "decimal" || t.IsA(schema.TypeInteger)
		case KindDate:
			return name == "date" || name == "dateTime" || name == "instant"
		case KindReference:
			return name == "canonical" || name == "uri" || name == "url"
		case KindQuantity:
			return false
		}
		return true
	case schema.Resource:
		return k == KindReference
	}
	switch k {
	case KindNumber:
		return name == "Range"
	case KindDate:
		return name == "Period" || name == "Timing"
	case KindString:
		return name == "HumanName" || name == "Address"
	case KindToken:
		return name == "Coding" || name == "CodeableConcept" || name == "Identifier" || name == "ContactPoint"
	case KindReference:
		return name == "Reference"
	case KindQuantity:
		return name == "Money" || name == "Range" || t.IsA(schema.TypeQuantity)
	}
	return k == KindSpecial
}

// matcher decides the elements of one criterion.
type matcher struct {
	r    *Registry
	q    *Query
	c    *Criterion
	root element.Node
}

// node says whether one element matches one of the criterion's values.
func (m *matcher) node(n element.Node) bool {
	if m.c.Modifier == ModMissing || !hasValueFor(m.c.Param.Kind, n) {
		return false
	}
	if m.c.Modifier == modUnequal {
		return m.unequal(n)
	}
	switch m.c.Param.Kind {
	case KindNumber:
		return m.numberNode(n)
	case KindDate:
		return m.dateNode(n)
	case KindString:
		return m.stringNode(n)
	case KindToken:
		return m.tokenNode(n)
	case KindReference:
		switch m.c.Modifier {
		case ModIdentifier:
			return m.anyToken(identifiersOf(n))
		case ModText, ModCodeText:
			return m.textNode(n)
		}
		return m.referenceNode(n)
	case KindSpecial:
		return m.nearNode(n)
	case KindQuantity:
		return m.quantityNode(n)
	case KindURI:
		return m.uriNode(n)
	}
	return false
}

func (m *matcher) tokenNode(n element.Node) bool {
	switch m.c.Modifier {
	case ModText, ModCodeText:
		return m.textNode(n)
	case ModOfType:
		return m.ofType(n)
	}
	return m.tokens(tokensOf(n))
}

// tokens decides by code: those that were asked for, or those that stand for them.
func (m *matcher) tokens(of []token) bool {
	if m.c.expands() {
		return slices.ContainsFunc(m.c.Values, func(v Value) bool { return inSets(of, v.Codes) })
	}
	return m.anyToken(of)
}

// ofType: the value, and a coding of the type.
func (m *matcher) ofType(n element.Node) bool {
	for _, t := range tokensOf(n.Child("type")) {
		for i := range m.c.Values {
			v := &m.c.Values[i]
			if t.code != "" && t.system == v.Token.System && t.code == v.Token.Code && n.Child("value").Text() == v.Text {
				return true
			}
		}
	}
	return false
}

// token is one code with its system, empty where it has none.
type token struct{ system, code string }

func tokensOf(n element.Node) []token {
	if !n.Valid() {
		return nil
	}
	child := func(n element.Node, system, code string) token {
		return token{n.Child(system).Text(), n.Child(code).Text()}
	}
	switch n.Type().Name {
	case "Coding":
		return []token{child(n, "system", "code")}
	case "CodeableConcept":
		var out []token
		for c := n.First(); c.Valid(); c = c.Next() {
			if c.Name() == "coding" {
				out = append(out, child(c, "system", "code"))
			}
		}
		return out
	case "Identifier", "ContactPoint":
		return []token{child(n, "system", "value")}
	case "boolean":
		return []token{{BooleanSystem, n.Text()}}
	case "code":
		return []token{{n.Element().System, n.Text()}}
	}
	return []token{{"", n.Text()}}
}

func identifiersOf(n element.Node) []token {
	if id := n.Child("identifier"); id.Valid() {
		return tokensOf(id)
	}
	return nil
}

// anyToken: [code] matches whatever the system; system|code both; |code a
// code without a system; system| any code of the system.
func (m *matcher) anyToken(of []token) bool {
	for _, t := range of {
		for i := range m.c.Values {
			v := m.c.Values[i].Token
			codeOK := t.code != "" && t.code == v.Code || v.Code == "" && v.HasSystem
			if codeOK && (!v.HasSystem || t.system == v.System) && (v.Code != "" || v.System != "") {
				return true
			}
		}
	}
	return false
}

func (m *matcher) uriNode(n element.Node) bool {
	for i := range m.c.Values {
		v, text := m.c.Values[i].Text, n.Text()
		bare, _, versioned := strings.Cut(text, "|")
		test := func(is string) bool { return is == v }
		if mod := m.c.Modifier; mod == ModAbove || mod == ModBelow {
			test = func(is string) bool { return related(mod, is, v) }
		}
		if test(text) || versioned && n.Type().Name == "canonical" && test(bare) {
			return true
		}
	}
	return false
}

// namePart is a string to be compared, with how it is read as a name.
type namePart struct {
	text string
	as   role
}

func partsOf(n element.Node) []namePart {
	var parts []namePart
	add := func(s string, as role) {
		if s != "" {
			parts = append(parts, namePart{s, as})
		}
	}
	switch n.Type().Name {
	case "HumanName":
		given := ""
		for c := n.First(); c.Valid(); c = c.Next() {
			switch c.Name() {
			case "text", "family":
				add(c.Text(), fullName)
			case "given":
				add(c.Text(), givenName)
				given += c.Text()
			case "prefix", "suffix":
				add(c.Text(), notAName)
			}
		}
		if family := n.Child("family").Text(); given != "" && hasHan([]byte(family)) {
			add(family+given, fullName)
		}
	case "Address":
		for c := n.First(); c.Valid(); c = c.Next() {
			switch c.Name() {
			case "text", "line", "city", "district", "state", "postalCode", "country":
				add(c.Text(), notAName)
			}
		}
	default:
		add(n.Text(), nameRole(n.Name()))
	}
	return parts
}

func (m *matcher) stringNode(n element.Node) bool {
	for _, part := range partsOf(n) {
		for i := range m.c.Values {
			if m.part(part, m.c.Values[i].Text) {
				return true
			}
		}
	}
	return false
}

func (m *matcher) part(p namePart, asked string) bool {
	switch m.c.Modifier {
	case ModExact:
		return p.text == asked
	case modEqual:
		return fold(p.text) == fold(asked)
	case modEndsWith:
		return strings.HasSuffix(fold(p.text), fold(asked))
	}
	test := strings.HasPrefix
	if m.c.Modifier == ModContains {
		test = strings.Contains
	}
	text, want := fold(p.text), fold(asked)
	if text != "" && test(text, want) {
		return true
	}
	if p.as == notAName || !hasHan([]byte(text)) {
		return false
	}
	for _, r := range readings([]byte(text), p.as == fullName) {
		if test(r.full, squeeze(want)) || test(r.initials, squeeze(want)) {
			return true
		}
	}
	runes := []rune(text)
	for i := 1; i < len(runes) && len(runes) <= maxHan; i++ {
		if isHan(runes[i]) && test(squeeze(string(runes[i:])), squeeze(want)) {
			return true
		}
	}
	return false
}

// referenceTextOf is what a Reference, canonical or uri says; a resource that
// stands in the place of one is referred to by its address.
func referenceTextOf(n element.Node) string {
	switch n.Type().Kind {
	case schema.Resource:
		return n.Type().Name + "/" + n.Child("id").Text()
	case schema.Primitive:
		return n.Text()
	}
	return n.Child("reference").Text()
}

func (m *matcher) referenceNode(n element.Node) bool {
	text := referenceTextOf(n)
	if text == "" || text[0] == '#' {
		return false
	}
	is := m.r.ParseReference(text)
	for i := range m.c.Values {
		v := m.c.Values[i].Reference
		switch {
		case m.c.Modifier == ModAbove || m.c.Modifier == ModBelow:
			bare, _, _ := strings.Cut(text, "|")
			if !is.Local() && (related(m.c.Modifier, text, v.URL) || related(m.c.Modifier, bare, v.URL) || is.Type != "" && related(m.c.Modifier, unversioned(text), v.URL)) {
				return true
			}
		case !v.Local():
			bare, _, _ := strings.Cut(text, "|")
			if !is.Local() && (v.URL == text || v.URL == bare || is.Type != "" && v.URL == unversioned(text)) {
				return true
			}
		case v.ID == is.ID && (v.Type == is.Type || v.Type == "" && targets(m.c.Param, is.Type)) &&
			(v.Version == "" || v.Version == is.Version):
			return true
		}
	}
	return false
}

// targets: an id alone stands for the types that the parameter may refer to.
func targets(p *Param, typ string) bool {
	if len(p.Targets) == 0 {
		return true
	}
	for _, t := range p.Targets {
		if t == typ {
			return true
		}
	}
	return false
}
