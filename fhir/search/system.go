package search

import (
	"fmt"
	"slices"
	"strconv"

	"meridian/fhir/issue"
)

// ParseAll reads the parameters of one search over several types: a query for
// each, in their order, with the same result parameters. A parameter must be
// one of all the types; sort values must compare, so they must be of one kind.
// A lenient search leaves out what one of the types does not have.
//
// https://hl7.org/fhir/R4/http.html#search
func (r *Registry) ParseAll(types []string, values []Pair, lenient bool) ([]*Query, []issue.Issue, error) {
	var warnings []issue.Issue
	if lenient && len(types) > 1 {
		values, warnings = r.common(types, values)
	}
	all := &issue.Error{}
	queries := make([]*Query, 0, len(types))
	for _, typ := range types {
		q, warned, err := r.parse(typ, types, values, lenient)
		warnings = addIssues(warnings, warned)
		if err != nil {
			e := issue.As(err)
			if e == nil {
				return nil, warnings, err
			}
			all.Issues = addIssues(all.Issues, e.Issues)
			continue
		}
		queries = append(queries, q)
	}
	if len(all.Issues) == 0 {
		all.Issues = addIssues(all.Issues, unlikeSorts(queries))
	}
	if len(all.Issues) > 0 {
		return nil, warnings, all.WithStatus(statusBadRequest)
	}
	return queries, warnings, nil
}

// common keeps the parameters that all types understand.
func (r *Registry) common(types []string, values []Pair) (kept []Pair, warnings []issue.Issue) {
	for _, v := range values {
		before := len(warnings)
		for _, typ := range types {
			_, warned, _ := r.parse(typ, types, []Pair{v}, true)
			warnings = addIssues(warnings, slices.DeleteFunc(warned, func(i issue.Issue) bool { return i.ID == idEmpty }))
		}
		if len(warnings) == before {
			kept = append(kept, v)
		}
	}
	return kept, warnings
}

// addIssues leaves out what was said already of another type.
func addIssues(all, more []issue.Issue) []issue.Issue {
	for _, i := range more {
		if !slices.ContainsFunc(all, func(x issue.Issue) bool { return x.ID == i.ID && x.Text == i.Text }) {
			all = append(all, i)
		}
	}
	return all
}

func unlikeSorts(queries []*Query) (out []issue.Issue) {
	for _, q := range queries[1:] {
		for i, key := range q.Sort {
			if first := queries[0].Sort[i].Param; first.Kind != key.Param.Kind {
				text := fmt.Sprintf("_sort: %s is a %s parameter of %s and a %s parameter of %s: the two have no common order", strconv.Quote(key.Param.Code), first.Kind, first.Type, key.Param.Kind, q.Type)
				out = append(out, issue.Issue{Severity: issue.SevError, Code: issue.NotSupported, ID: idNotSortable, Text: text, Offset: issue.NoOffset})
			}
		}
	}
	return out
}
