package interaction

import (
	"strings"

	"meridian/fhir/codec"
	"meridian/fhir/element"
	"meridian/fhir/issue"
	"meridian/fhir/schema"
	"meridian/fhir/search"
)

// subset says which part of each resource is answered. The zero value is all of it.
//
// https://hl7.org/fhir/R4/search.html#summary, https://hl7.org/fhir/R4/search.html#elements
type subset struct {
	summary  search.Summary // all for empty, false and count
	elements []string       // of the top level
}

func (s *subset) all() bool {
	return len(s.elements) == 0 && s.summary != search.SummaryTrue && s.summary != search.SummaryText && s.summary != search.SummaryData
}

// appendSubset appends the part of a stored body with the tag SUBSETTED.
// Mandatory and modifying elements always stand in it.
func (s *Service) appendSubset(dst, body []byte, sub *subset) ([]byte, error) {
	p := s.stored.Get()
	defer s.stored.Put(p)
	tree, err := p.Parse(body)
	if err != nil {
		return dst, err
	}
	return codec.AppendJSON(dst, tree.Root(), &codec.Edit{Keep: sub.keep(tree.Root()), Subsetted: true}), nil
}

// keep decides for each element whether it stays.
func (s *subset) keep(root element.Node) func(element.Node) bool {
	top := func(n element.Node) bool { return n.Parent() == root }
	always := func(n element.Node) bool {
		e := n.Element()
		return e.Min > 0 || e.Modifier || e.Name == "id" || e.Name == "meta"
	}
	switch {
	case len(s.elements) > 0:
		return func(n element.Node) bool {
			if !top(n) || always(n) {
				return true
			}
			for _, name := range s.elements {
				if name == n.Name() {
					return true
				}
			}
			return false
		}
	case s.summary == search.SummaryText:
		return func(n element.Node) bool { return !top(n) || n.Name() == "text" || always(n) }
	case s.summary == search.SummaryData:
		return func(n element.Node) bool { return !top(n) || n.Name() != "text" }
	}
	// What is in the summary is said by each resource for its own elements;
	// a data type in it is there as a whole.
	return func(n element.Node) bool {
		if k := n.Parent().Type().Kind; k != schema.Resource && k != schema.Backbone {
			return true
		}
		return n.Element().Summary || always(n)
	}
}

// Subset applies _summary and _elements to one resource, as on a read; other
// parameters are refused, or left out when lenient. Issue codes: value, not-supported.
func (s *Service) Subset(dst, body []byte, pairs []search.Pair, lenient bool) ([]byte, error) {
	var sub subset
	for _, p := range pairs {
		switch p.Name {
		case "_summary":
			switch p.Value {
			case "true", "text", "data", "false":
				sub.summary = search.Summary(p.Value)
			default:
				return nil, issue.New(issue.Value, "read.summary", "_summary of a read is true, text, data or false", "")
			}
		case "_elements":
			for name := range strings.SplitSeq(p.Value, ",") {
				sub.elements = append(sub.elements, strings.TrimSpace(name))
			}
		default:
			if !lenient {
				return nil, issue.New(issue.NotSupported, "read.parameter", "a read has no such parameter; there are _summary, _elements, _format and _pretty", "")
			}
		}
	}
	if sub.all() {
		return body, nil
	}
	return s.appendSubset(dst, body, &sub)
}
