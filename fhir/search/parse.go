package search

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"meridian/fhir/issue"
	"meridian/fhir/value"
)

// Limits of a query.
const (
	MaxPairs      = 500    // name=value pairs
	MaxValues     = 10_000 // alternatives of all parameters together
	MaxQueryValue = 64_000 // bytes of one pair's value, 1 MB in sum is left to the server
	MaxChain      = 4      // references between the searched resource and a parameter: chains and _has together
	MaxJoins      = 500    // types of other resources that all chains of a query look at; subject.name counts each type of subject
	maxShownName  = 64     // bytes of a client's name that an issue repeats
)

// Ids of issues that Parse and Compile give.
const (
	idUnknownParameter   = "search.unknown-parameter"
	idUnknownModifier    = "search.unknown-modifier"
	idNoReference        = "search.no-reference"
	idUnsupported        = "search.not-supported"
	idInvalidValue       = "search.invalid-value"
	idTooMany            = "search.too-many"
	idEmpty              = "search.empty"
	idNotSortable        = "search.not-sortable"
	idModifierNotForKind = "search.modifier-not-for-type"
	statusBadRequest     = 400
)

// Parse reads the parameters of a search for resources of typ. All problems
// are collected in the *issue.Error (status 400): an unknown or unsupported
// parameter or modifier (codes not-found, not-supported), a value that cannot
// be read (value), too many of anything (too-costly).
//
// A lenient search leaves unknown and unsupported parameters and modifiers out
// and gives a warning for each; unreadable values stay errors. A parameter
// without a value is left out with a warning in either mode, so who changes
// resources by criteria must refuse when there is any warning.
//
// https://hl7.org/fhir/R4/search.html, https://hl7.org/fhir/R4/search.html#errors
func (r *Registry) Parse(typ string, values []Pair, lenient bool) (*Query, []issue.Issue, error) {
	return r.parse(typ, []string{typ}, values, lenient)
}

// parse is Parse for typ in a search over types.
func (r *Registry) parse(typ string, types []string, values []Pair, lenient bool) (*Query, []issue.Issue, error) {
	t := r.table(typ)
	if t == nil {
		return nil, nil, issue.New(issue.NotSupported, "search.unknown-type", "there is no resource type "+strconv.Quote(short(typ)), "").WithStatus(statusBadRequest)
	}
	p := parser{r: r, t: t, types: types, lenient: lenient, q: &Query{Type: typ, Count: -1, at: value.InstantOf(r.now())}}
	if len(values) > MaxPairs {
		p.fail(issue.TooCostly, idTooMany, "more than %d parameters", MaxPairs)
		values = values[:MaxPairs]
	}
	for _, v := range values {
		p.pair(v)
	}
	if p.contained == "true" || p.contained == "both" {
		p.q.Contained = &Contained{Only: p.contained == "true", Own: p.containedType == "contained"}
		p.checkContained()
	}
	if len(p.errors) > 0 {
		return nil, p.warnings, (&issue.Error{Issues: p.errors}).WithStatus(statusBadRequest)
	}
	return p.q, p.warnings, nil
}

type parser struct {
	r                        *Registry
	t                        *typeTable
	types                    []string // all that are searched at once
	q                        *Query
	lenient                  bool
	values                   int
	joins                    int
	kept                     []string // items of a list that were understood
	contained, containedType string
	errors                   []issue.Issue
	warnings                 []issue.Issue
}

func (p *parser) fail(code issue.Code, id, format string, args ...any) {
	p.errors = append(p.errors, issue.Issue{Severity: issue.SevError, Code: code, ID: id, Text: fmt.Sprintf(format, args...), Offset: issue.NoOffset})
}

// refuse is for what a lenient search may leave out.
func (p *parser) refuse(code issue.Code, id, format string, args ...any) {
	if !p.lenient {
		p.fail(code, id, format, args...)
		return
	}
	p.warn(code, id, fmt.Sprintf(format, args...))
}

func (p *parser) warn(code issue.Code, id, text string) {
	p.warnings = append(p.warnings, issue.Issue{Severity: issue.Warning, Code: code, ID: id, Text: text + "; it was left out", Offset: issue.NoOffset})
}

// leave is for a parameter without a value, which is no error but selects nothing.
// https://hl7.org/fhir/R4/http.html#search
func (p *parser) leave(name string) {
	p.warn(issue.Value, idEmpty, fmt.Sprintf("the parameter %s has no value", strconv.Quote(short(name))))
}

// pair reads one parameter and keeps as used what was understood of it.
func (p *parser) pair(v Pair) {
	errors, warnings := len(p.errors), len(p.warnings)
	p.kept = p.kept[:0]
	name, modifier, _ := strings.Cut(v.Name, ":")
	switch {
	case len(v.Value) > MaxQueryValue:
		p.fail(issue.TooCostly, idTooMany, "the value of %s is longer than %d bytes", strconv.Quote(short(v.Name)), MaxQueryValue)
	case !utf8.ValidString(v.Value) || strings.IndexByte(v.Value, 0) >= 0:
		p.fail(issue.Value, idInvalidValue, "the value of %s is not text in UTF-8", strconv.Quote(short(v.Name)))
	case p.result(name, modifier, v.Value):
	default:
		p.criterion(v)
	}
	switch {
	case len(p.errors) > errors:
	case len(p.warnings) == warnings:
		p.q.used = append(p.q.used, v)
	case len(p.kept) > 0:
		p.q.used = append(p.q.used, Pair{v.Name, strings.Join(p.kept, ",")})
	}
}

// criterion reads a parameter that is none of the result parameters.
func (p *parser) criterion(v Pair) {
	c, ok := Criterion{}, false
	switch v.Name {
	case "_filter":
		all, _ := p.filter(v)
		p.q.Criteria = append(p.q.Criteria, all...)
	case "_list":
		c, ok = p.list(v)
	case "_not-referenced":
		c, ok = p.notReferenced(v)
	default:
		c, ok = p.named(p.t, v.Name, v, 0)
	}
	if ok {
		p.q.Criteria = append(p.q.Criteria, c)
	}
}

// named reads a parameter of t as name says: a chain, _has, or one of its own.
// depth is how many resources lie between it and the searched one.
func (p *parser) named(t *typeTable, name string, v Pair, depth int) (Criterion, bool) {
	if rest, ok := strings.CutPrefix(name, "_has:"); ok {
		return p.has(t, rest, v, depth)
	}
	if head, rest, ok := strings.Cut(name, "."); ok {
		return p.chain(t, head, rest, v, depth)
	}
	code, modifier, _ := strings.Cut(name, ":")
	return p.plain(t, code, modifier, v)
}

// plain reads one parameter of t with its modifier and values.
func (p *parser) plain(t *typeTable, name, modifier string, v Pair) (c Criterion, ok bool) {
	param := t.byCode[name]
	if param == nil {
		p.unknown(t, name)
		return c, false
	}
	if param.refusal() != "" {
		p.refuse(issue.NotSupported, idUnsupported, "%s: %s", strconv.Quote(name), param.refusal())
		return c, false
	}
	c.Param = param
	if !p.modifier(&c, modifier) {
		return c, false
	}
	if v.Value == "" {
		p.leave(v.Name)
		return c, false
	}
	if c.Modifier == ModMissing {
		if v.Value != "true" && v.Value != "false" {
			p.fail(issue.Value, idInvalidValue, "%s takes true or false", strconv.Quote(short(v.Name)))
			return c, false
		}
		c.Missing = v.Value == "true"
		return c, true
	}
	ok = p.alternatives(&c, v)
	p.levels(&c)
	return c, ok
}

// alternatives reads the values between commas.
func (p *parser) alternatives(c *Criterion, v Pair) bool {
	for _, text := range splitEscaped(v.Value, ',') {
		if p.values++; p.values > MaxValues {
			p.fail(issue.TooCostly, idTooMany, "%s: more than %d values", strconv.Quote(short(v.Name)), MaxValues)
			return false
		}
		x, reason := p.r.value(c, text)
		if reason != "" {
			p.fail(issue.Value, idInvalidValue, "a value of %s (a %s parameter) cannot be read: %s", strconv.Quote(short(v.Name)), c.Param.Kind, reason)
			return false
		}
		if !p.expand(c, &x) {
			return false
		}
		c.Values = append(c.Values, x)
	}
	return true
}

// unsupportedParameters are R4's parameters for all types that are not answered
// here, with the reason.
var unsupportedParameters = map[string]string{
	"_query": "this server has no named queries (_query)",
	"_score": "results have no score (_score)",
	"_type":  "_type is for a search of several types: [base]?_type=…, or [base]/Patient/1/*?_type=…",
	"_has":   "_has is written _has:Type:reference:parameter, as _has:Observation:patient:code",
}

func (p *parser) unknown(t *typeTable, name string) {
	if reason := unsupportedParameters[name]; reason != "" {
		p.refuse(issue.NotSupported, idUnsupported, "%s", reason)
		return
	}
	p.refuse(issue.NotFound, idUnknownParameter, "%s", t.lacks(name))
}

// short cuts a client's text for an issue.
func short(s string) string {
	if len(s) <= maxShownName {
		return strings.ToValidUTF8(s, "\uFFFD")
	}
	return strings.ToValidUTF8(s[:maxShownName], "\uFFFD") + "…"
}

// splitEscaped splits at sep where no backslash stands before it; escapes are kept.
// https://hl7.org/fhir/R4/search.html#escaping
func splitEscaped(s string, sep byte) []string {
	var out []string
	start := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case sep:
			out = append(out, s[start:i])
			start = i + 1
		}
	}
	return append(out, s[start:])
}

// unescape resolves \, \| \$ and \\; any other backslash stands for itself.
func unescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && strings.IndexByte(`,|$\`, s[i+1]) >= 0 {
			i++
		}
		b = append(b, s[i])
	}
	return string(b)
}
