package terminology

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"meridian/fhir/issue"
)

// rows is a set of rows of a code system, a bit each.
type rows []uint64

func newRows(n int) rows        { return make(rows, (n+63)/64) }
func (r rows) add(i int32)      { r[i>>6] |= 1 << (i & 63) }
func (r rows) has(i int32) bool { return r[i>>6]&(1<<(i&63)) != 0 }

// select gives the rows that pass all filters. Issue codes: not-supported,
// invalid for a regular expression, not-found for a code that a filter names.
//
// https://hl7.org/fhir/R4/valueset-filter-operator.html
func (cs *codeSystem) choose(filters []filter) (rows, error) {
	var out rows
	for _, f := range filters {
		r, err := cs.pass(f)
		if err != nil {
			return nil, err
		}
		if out == nil {
			out = r
			continue
		}
		for i := range out {
			out[i] &= r[i]
		}
	}
	return out, nil
}

// pass gives the rows that pass one filter.
func (cs *codeSystem) pass(f filter) (rows, error) {
	if f.property == "concept" || f.property == "code" {
		switch f.op {
		case "is-a", "descendent-of", "is-not-a", "generalizes":
			return cs.hierarchy(f)
		}
	}
	values, err := cs.values(f)
	if err != nil {
		return nil, err
	}
	test, err := f.test()
	if err != nil {
		return nil, err
	}
	out := newRows(len(cs.concepts))
	var texts []string
	for i := range cs.concepts {
		if texts = values(texts[:0], int32(i)); test(texts) {
			out.add(int32(i))
		}
	}
	return out, nil
}

// hierarchy gives the rows above or below a code.
func (cs *codeSystem) hierarchy(f filter) (rows, error) {
	row, err := cs.mustRow(f.value)
	if err != nil {
		return nil, err
	}
	next := func(c *concept) []int32 { return c.children }
	if f.op == "generalizes" {
		next = above
	}
	found := []int32{row}
	if cs.subsumes {
		found = cs.closure(row, next)
	}
	if f.op == "descendent-of" {
		found = found[1:]
	}
	out := newRows(len(cs.concepts))
	for _, k := range found {
		out.add(k)
	}
	if f.op == "is-not-a" {
		for i := range out {
			out[i] = ^out[i]
		}
	}
	return out, nil
}

// values gives the texts of a property of a row.
func (cs *codeSystem) values(f filter) (func(dst []string, row int32) []string, error) {
	switch f.property {
	case "concept", "code":
		return func(dst []string, row int32) []string { return append(dst, cs.concepts[row].code) }, nil
	case "display":
		return func(dst []string, row int32) []string { return append(dst, cs.concepts[row].display) }, nil
	case "definition":
		return func(dst []string, row int32) []string { return append(dst, cs.concepts[row].definition) }, nil
	case "parent", "subsumedBy":
		return func(dst []string, row int32) []string { return cs.codes(dst, cs.concepts[row].parents) }, nil
	case "child":
		return func(dst []string, row int32) []string { return cs.codes(dst, cs.concepts[row].children) }, nil
	case "inactive":
		return func(dst []string, row int32) []string { return append(dst, fmt.Sprint(cs.concepts[row].inactive)) }, nil
	case "notSelectable", "abstract":
		return func(dst []string, row int32) []string { return append(dst, fmt.Sprint(cs.concepts[row].abstract)) }, nil
	}
	used := cs.declared[f.property] || slices.ContainsFunc(cs.concepts, func(c concept) bool {
		return slices.ContainsFunc(c.properties, func(p Property) bool { return p.Code == f.property })
	})
	if !used {
		return nil, issue.New(issue.NotSupported, "terminology.filter", "the code system "+quote(cs.url)+" has no property "+quote(f.property)+" to filter by", "")
	}
	return func(dst []string, row int32) []string {
		for _, p := range cs.concepts[row].properties {
			if p.Code == f.property {
				dst = append(dst, p.Text)
			}
		}
		return dst
	}, nil
}

func (cs *codeSystem) codes(dst []string, of []int32) []string {
	for _, k := range of {
		dst = append(dst, cs.concepts[k].code)
	}
	return dst
}

// test gives the condition on a property's values.
func (f filter) test() (func([]string) bool, error) {
	switch f.op {
	case "=":
		return func(of []string) bool { return slices.Contains(of, f.value) }, nil
	case "in", "not-in":
		var list []string
		for s := range strings.SplitSeq(f.value, ",") {
			list = append(list, strings.TrimSpace(s))
		}
		return func(of []string) bool {
			return slices.ContainsFunc(of, func(s string) bool { return slices.Contains(list, s) }) == (f.op == "in")
		}, nil
	case "exists":
		if f.value != "true" && f.value != "false" {
			return nil, issue.New(issue.Invalid, "terminology.filter", "the value of the filter exists is true or false", "")
		}
		return func(of []string) bool { return (len(of) > 0 && of[0] != "") == (f.value == "true") }, nil
	case "regex":
		if len(f.value) > maxPattern {
			return nil, issue.New(issue.TooCostly, "terminology.filter", fmt.Sprintf("the regular expression of a filter has more than %d bytes", maxPattern), "")
		}
		re, err := regexp.Compile(`^(?:` + f.value + `)$`)
		if err != nil {
			return nil, issue.New(issue.Invalid, "terminology.filter", "the regular expression of a filter on "+quote(f.property)+" is none of RE2", "")
		}
		return func(of []string) bool { return slices.ContainsFunc(of, re.MatchString) }, nil
	}
	return nil, issue.New(issue.NotSupported, "terminology.filter", "the filter "+quote(f.op)+" of the property "+quote(f.property)+" is not supported", "")
}

// passes decides on a code that is known by its form.
func passes(g grammar, filters []filter, code string) (bool, error) {
	for _, f := range filters {
		if u, ok := g.(*units); ok && f.property == "canonical" && f.op == "=" {
			if !u.comparable(code, f.value) {
				return false, nil
			}
			continue
		}
		if f.property != "code" && f.property != "concept" {
			return false, issue.New(issue.NotSupported, "terminology.filter", g.name()+" has no property "+quote(f.property)+" to filter by", "")
		}
		test, err := f.test()
		if err != nil {
			return false, err
		}
		if !test([]string{code}) {
			return false, nil
		}
	}
	return true, nil
}
