package search

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"meridian/fhir/element"
	"meridian/fhir/issue"
)

// Limits of _filter.
const (
	MaxFilterDepth = 20  // parentheses and brackets within each other
	MaxFilterTests = 500 // comparisons in one _filter
)

// What only _filter asks; written by no client as a modifier or prefix.
const (
	modEqual    Modifier = "filter eq" // a string that is the same, folded
	modUnequal  Modifier = "filter ne" // a value that is another
	modEndsWith Modifier = "filter ew"

	overlaps Comparator = "po" // of dates
	covers   Comparator = "co"
)

// filterOperators lists what each kind of parameter can be asked by. What R4
// marks as not applicable, and comparing strings and the precision of stored
// numbers, is refused.
//
// https://hl7.org/fhir/R4/search_filter.html#ops
var filterOperators = map[Kind][]string{
	KindString:    {"eq", "ne", "co", "sw", "ew", "pr"},
	KindNumber:    {"eq", "ne", "gt", "lt", "ge", "le", "ap", "sa", "eb", "pr"},
	KindDate:      {"eq", "ne", "co", "gt", "lt", "ge", "le", "ap", "sa", "eb", "po", "pr"},
	KindQuantity:  {"eq", "ne", "gt", "lt", "ge", "le", "ap", "sa", "eb", "pr"},
	KindToken:     {"eq", "ne", "ss", "sb", "in", "ni", "pr"},
	KindReference: {"re", "eq", "ne", "pr"},
	KindURI:       {"eq", "ne", "pr"},
	KindComposite: {"eq"},
}

var allFilterOperators = []string{"eq", "ne", "co", "sw", "ew", "gt", "lt", "ge", "le", "ap", "sa", "eb", "pr", "po", "ss", "sb", "in", "ni", "re"}

// filterModifiers are operators that are modifiers of ordinary parameters. A
// value subsumes (ss) what is below it.
var filterModifiers = map[string]string{"co": "contains", "ss": "below", "sb": "above", "in": "in", "ni": "not-in"}

// filterSystems may stand for their code systems.
var filterSystems = map[string]string{"loinc": "http://loinc.org", "snomed": "http://snomed.info/sct",
	"rxnorm": "http://www.nlm.nih.gov/research/umls/rxnorm", "ucum": "http://unitsofmeasure.org"}

// filter reads _filter into criteria.
//
//	filter = test | filter ("and" | "or") filter | ["not"] "(" filter ")"
//	test   = path SP operator SP value
//	path   = name | name [":" Type] ["[" filter "]"] "." path | "_has:" Type ":" name ":" path
//	value  = JSON string | anything up to white space, ")" or "]"
//
// and and or bind alike, from left to right. A path of references is a chained
// search; name[filter].path asks filter and path of the same resource.
//
// https://hl7.org/fhir/R4/search_filter.html
func (p *parser) filter(v Pair) ([]Criterion, bool) {
	if strings.TrimSpace(v.Value) == "" {
		p.leave(v.Name)
		return nil, false
	}
	f := filterParser{p: p, s: v.Value}
	c, ok := f.filter(p.t, 0, 0)
	if ok && f.skip() < len(f.s) {
		ok = f.wrong("there is more behind the end of the expression")
	}
	if !ok {
		p.errors = append(p.errors, f.problem)
		return nil, false
	}
	if c.Op == AllOf {
		return c.Of, true
	}
	return []Criterion{c}, true
}

// filterParser reads one expression. Reading stops at the first problem.
type filterParser struct {
	p       *parser
	s       string
	at      int
	tests   int
	problem issue.Issue
}

// wrong notes a problem at the current place, which is shown as a number of characters.
func (f *filterParser) wrong(format string, args ...any) bool {
	return f.problemOf(issue.Value, idInvalidValue, format, args...)
}

func (f *filterParser) problemOf(code issue.Code, id, format string, args ...any) bool {
	text := fmt.Sprintf("_filter, at character %d: ", utf8.RuneCountInString(f.s[:min(f.at, len(f.s))])+1) + fmt.Sprintf(format, args...)
	f.problem = issue.Issue{Severity: issue.SevError, Code: code, ID: id, Text: text, Offset: issue.NoOffset}
	return false
}

// skip passes white space and gives the place behind it.
func (f *filterParser) skip() int {
	for f.at < len(f.s) {
		r, n := utf8.DecodeRuneInString(f.s[f.at:])
		if !unicode.IsSpace(r) {
			break
		}
		f.at += n
	}
	return f.at
}

// word takes the word w where it stands next, with white space or "(" behind it.
func (f *filterParser) word(w string) bool {
	rest, ok := strings.CutPrefix(f.s[f.skip():], w)
	if !ok {
		return false
	}
	if r, _ := utf8.DecodeRuneInString(rest); rest != "" && r != '(' && !unicode.IsSpace(r) {
		return false
	}
	f.at += len(w)
	return true
}

func (f *filterParser) take(c byte) bool {
	if f.skip() < len(f.s) && f.s[f.at] == c {
		f.at++
		return true
	}
	return false
}

// filter reads an expression about resources of t; refs is how many references
// lead there.
func (f *filterParser) filter(t *typeTable, depth, refs int) (Criterion, bool) {
	left, ok := f.term(t, depth, refs)
	for ok {
		op := AnyOf
		switch {
		case f.word("and"):
			op = AllOf
		case f.word("or"):
		default:
			return left, true
		}
		var right Criterion
		if right, ok = f.term(t, depth, refs); ok {
			left = joinedBy(op, left, right)
		}
	}
	return left, false
}

// joinedBy flattens a chain of the same operator.
func joinedBy(op Op, left, right Criterion) Criterion {
	if left.Op == op {
		left.Of = append(left.Of, right)
		return left
	}
	return Criterion{Op: op, Of: []Criterion{left, right}}
}

func (f *filterParser) term(t *typeTable, depth, refs int) (c Criterion, ok bool) {
	negated := f.word("not")
	if !f.take('(') {
		if negated {
			return c, f.wrong("behind not stands an expression in parentheses")
		}
		return f.test(t, depth, refs)
	}
	if depth == MaxFilterDepth {
		return c, f.problemOf(issue.TooCostly, idTooMany, "more than %d parentheses within each other", MaxFilterDepth)
	}
	if c, ok = f.filter(t, depth+1, refs); !ok {
		return c, false
	}
	if !f.take(')') {
		return c, f.wrong("a parenthesis is not closed")
	}
	if negated {
		return Criterion{Op: NoneOf, Of: []Criterion{c}}, true
	}
	if c.Op == AllOf || c.Op == AnyOf {
		c = Criterion{Op: AllOf, Of: []Criterion{c}} // not to be flattened into what follows
	}
	return c, true
}

// test reads path, operator and value.
func (f *filterParser) test(t *typeTable, depth, refs int) (c Criterion, ok bool) {
	if f.tests++; f.tests > MaxFilterTests {
		return c, f.problemOf(issue.TooCostly, idTooMany, "more than %d comparisons", MaxFilterTests)
	}
	f.skip()
	if rest, has := strings.CutPrefix(f.s[f.at:], "_has:"); has {
		return f.has(t, rest, depth, refs)
	}
	name := f.name()
	if name == "" {
		return c, f.wrong("a search parameter is expected")
	}
	typ := ""
	if f.at < len(f.s) && f.s[f.at] == ':' {
		f.at++
		if typ = f.name(); typ == "" {
			return c, f.wrong("a resource type is expected behind the colon")
		}
	}
	if f.at < len(f.s) && (f.s[f.at] == '.' || f.s[f.at] == '[') {
		return f.chain(t, name, typ, depth, refs)
	}
	if typ != "" {
		return c, f.wrong("only a reference that a path goes on from names a type")
	}
	param := t.byCode[name]
	if param == nil {
		return c, f.problemOf(issue.NotFound, idUnknownParameter, "%s", t.lacks(name))
	}
	return f.comparison(param)
}

func (f *filterParser) name() string {
	from := f.at
	for f.at < len(f.s) {
		c := f.s[f.at]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || f.at > from && (c == '-' || c >= '0' && c <= '9')) {
			break
		}
		f.at++
	}
	return f.s[from:f.at]
}

// has reads Type:reference:path, what follows _has:.
func (f *filterParser) has(t *typeTable, rest string, depth, refs int) (c Criterion, ok bool) {
	parts := strings.SplitN(rest, ":", 3)
	if len(parts) < 3 {
		return c, f.wrong("_has is written _has:Type:reference:parameter")
	}
	of := f.p.r.table(parts[0])
	if of == nil {
		return c, f.problemOf(issue.NotSupported, "search.unknown-type", "there is no resource type %s", strconv.Quote(short(parts[0])))
	}
	param, ok := f.reference(of, parts[1], refs)
	if !ok {
		return c, false
	}
	if !f.p.r.MayRefer(param, t.typ.Name) {
		return c, f.problemOf(issue.NotSupported, idUnsupported, "%s of %s does not refer to a %s", strconv.Quote(param.Code), of.typ.Name, t.typ.Name)
	}
	f.at += len("_has:") + len(parts[0]) + len(parts[1]) + 2
	where, ok := f.test(of, depth, refs+1)
	return Criterion{Joins: []Join{{Reverse: true, Type: of.typ.Name, Param: param, Where: []Criterion{where}}}}, ok
}

// reference finds a parameter of t that can be followed, over one more reference than refs.
func (f *filterParser) reference(t *typeTable, code string, refs int) (*Param, bool) {
	sub := parser{r: f.p.r, t: t, q: f.p.q}
	param := sub.joinable(t, code, code)
	if param == nil || !sub.deeper(code, refs) {
		i := sub.errors[0]
		return nil, f.problemOf(i.Code, i.ID, "%s", i.Text)
	}
	return param, true
}

// chain reads what stands behind a reference: [filter] and .path, for each type
// that it may refer to, from the same place.
func (f *filterParser) chain(t *typeTable, code, typ string, depth, refs int) (c Criterion, ok bool) {
	param, ok := f.reference(t, code, refs)
	if !ok {
		return c, false
	}
	targets := param.targetTypes()
	if typ != "" {
		if !slices.Contains(targets, typ) {
			return c, f.problemOf(issue.NotSupported, idUnknownModifier, "%s cannot refer to a %s%s", strconv.Quote(code), short(typ), didYouMean(nearest(typ, targets)))
		}
		targets = []string{typ}
	}
	start, end := f.at, 0
	for _, target := range targets {
		if f.p.joins++; f.p.joins > MaxJoins {
			return c, f.problemOf(issue.TooCostly, idTooMany, "the paths lead to more than %d types; name the types (%s:Patient.…)", MaxJoins, code)
		}
		f.at = start
		where, ok := f.rest(f.p.r.table(target), depth, refs+1)
		switch {
		case ok:
			end = f.at
			c.Joins = append(c.Joins, Join{Type: target, Param: param, Where: where})
		case f.problem.ID != idUnknownParameter && f.problem.ID != idNoReference:
			return c, false
		}
	}
	if len(c.Joins) == 0 {
		if typ != "" {
			return c, false
		}
		f.at = start
		return c, f.problemOf(issue.NotFound, idUnknownParameter, "no type that %s refers to has this search parameter", strconv.Quote(code))
	}
	f.at = end
	return c, true
}

func (f *filterParser) rest(t *typeTable, depth, refs int) ([]Criterion, bool) {
	var where []Criterion
	if f.s[f.at] == '[' {
		f.at++
		if depth == MaxFilterDepth {
			return nil, f.problemOf(issue.TooCostly, idTooMany, "more than %d brackets within each other", MaxFilterDepth)
		}
		inner, ok := f.filter(t, depth+1, refs)
		if !ok {
			return nil, false
		}
		if !f.take(']') {
			return nil, f.wrong("a bracket is not closed")
		}
		where = append(where, inner)
	}
	if f.at >= len(f.s) || f.s[f.at] != '.' {
		return nil, f.wrong("a path goes on behind a bracket")
	}
	f.at++
	last, ok := f.test(t, depth, refs)
	return append(where, last), ok
}

// comparison reads operator and value of a parameter.
func (f *filterParser) comparison(param *Param) (c Criterion, ok bool) {
	if f.skip(); param.refusal() != "" {
		return c, f.problemOf(issue.NotSupported, idUnsupported, "%s: %s", strconv.Quote(param.Code), param.refusal())
	}
	op := f.name()
	switch {
	case !slices.Contains(allFilterOperators, op):
		f.at -= len(op)
		return c, f.wrong("an operator is expected: %s", strings.Join(allFilterOperators, ", "))
	case !slices.Contains(filterOperators[param.Kind], op) || param.fullText != textNone:
		return c, f.problemOf(issue.NotSupported, idUnsupported, "the operator %s is not answered for the %s parameter %s; there are %s", op, param.Kind,
			strconv.Quote(param.Code), strings.Join(filterOperators[param.Kind], ", "))
	}
	value, quoted, ok := f.value()
	if !ok {
		return c, false
	}
	c.Param = param
	if f.p.values++; f.p.values > MaxValues {
		return c, f.problemOf(issue.TooCostly, idTooMany, "more than %d values", MaxValues)
	}
	return c, f.operate(&c, op, value, quoted)
}

// operate makes a criterion of an operator and its value.
func (f *filterParser) operate(c *Criterion, op, text string, quoted bool) bool {
	kind := c.Param.Kind
	switch {
	case op == "pr":
		if text != "true" && text != "false" {
			return f.wrong("pr takes true or false")
		}
		c.Modifier, c.Missing = ModMissing, text == "false"
		return true
	case filterModifiers[op] != "" && kind != KindDate:
		sub := parser{r: f.p.r, t: f.p.t, q: f.p.q}
		if !sub.modifier(c, filterModifiers[op]) {
			return f.problemOf(sub.errors[0].Code, sub.errors[0].ID, "the operator %s: %s", op, sub.errors[0].Text)
		}
	case op == "ew":
		c.Modifier = modEndsWith
	case op == "eq" && kind == KindString:
		c.Modifier = modEqual
	case op == "ne" && !ordered(kind):
		c.Modifier = modUnequal
	}
	return f.operand(c, op, text, quoted)
}

func ordered(k Kind) bool { return k == KindNumber || k == KindDate || k == KindQuantity }

// operand reads the value as an ordinary search does.
func (f *filterParser) operand(c *Criterion, op, text string, quoted bool) bool {
	kind := c.Param.Kind
	if system, rest, ok := strings.Cut(text, "|"); ok && kind == KindToken && filterSystems[system] != "" {
		text = filterSystems[system] + "|" + rest
	} else if parts := strings.Split(text, "|"); len(parts) == 3 && kind == KindQuantity && filterSystems[parts[1]] != "" {
		text = parts[0] + "|" + filterSystems[parts[1]] + "|" + parts[2]
	}
	if quoted && (kind == KindString || kind == KindURI) {
		text = escapeText.Replace(text) // as it is: its backslashes were JSON's
	}
	comparator := Comparator(op)
	if ordered(kind) {
		if comparator == overlaps || comparator == covers {
			op = "eq"
		}
		text = op + text
	}
	v, reason := f.p.r.value(c, text)
	if reason != "" {
		return f.wrong("the value of %s (a %s parameter) cannot be read: %s", strconv.Quote(c.Param.Code), kind, reason)
	}
	if sub := (parser{r: f.p.r, t: f.p.t, q: f.p.q}); !sub.expand(c, &v) {
		return f.problemOf(sub.errors[0].Code, sub.errors[0].ID, "%s", sub.errors[0].Text)
	}
	if comparator == overlaps || kind == KindDate && comparator == covers {
		v.Comparator = comparator
	}
	c.Values = []Value{v}
	return true
}

var escapeText = strings.NewReplacer(`\`, `\\`)

// value reads a JSON string or a token.
func (f *filterParser) value() (text string, quoted, ok bool) {
	if f.skip(); f.at < len(f.s) && f.s[f.at] == '"' {
		end := f.at + 1
		for end < len(f.s) && f.s[end] != '"' {
			if f.s[end] == '\\' {
				end++
			}
			end++
		}
		if end >= len(f.s) || json.Unmarshal([]byte(f.s[f.at:end+1]), &text) != nil || strings.IndexByte(text, 0) >= 0 {
			return "", true, f.wrong("the string is no JSON string")
		}
		f.at = end + 1
		return text, true, true
	}
	from := f.at
	for f.at < len(f.s) {
		r, n := utf8.DecodeRuneInString(f.s[f.at:])
		if r == ')' || r == ']' || unicode.IsSpace(r) {
			break
		}
		f.at += n
	}
	if from == f.at {
		return "", false, f.wrong("a value is expected")
	}
	return f.s[from:f.at], false, true
}

// filterText compiles the operators of _filter on strings.
func (c *compiler) filterText(p *Param, m Modifier, text string) term {
	f := fold(text)
	short, _ := cut(f)
	if m == modEqual {
		return term{Point{Key{p.key, "", short}}, !mayBeCut(f)}
	}
	return either([]term{{Contains{p.key, f}, false}, {Present{p.key + formCut}, false}})
}

// unequal says whether an element has a value that none of the asked ones is.
func (m *matcher) unequal(n element.Node) bool {
	switch m.c.Param.Kind {
	case KindString:
		return slices.ContainsFunc(partsOf(n), func(p namePart) bool {
			return !slices.ContainsFunc(m.c.Values, func(v Value) bool { return fold(p.text) == fold(v.Text) })
		})
	case KindToken:
		return slices.ContainsFunc(tokensOf(n), func(t token) bool { return !m.anyToken([]token{t}) })
	case KindReference:
		return referenceTextOf(n) != "" && !m.referenceNode(n)
	case KindURI:
		return !m.uriNode(n)
	}
	return false
}
