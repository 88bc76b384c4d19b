package interaction

import (
	"slices"
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
		return func(n element.Node) bool {
			return !top(n) || n.Name() == "text" || n.Name() == "id" || n.Name() == "meta" || n.Element().Min > 0
		}
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

// Part is what _summary and _elements of a read leave of a resource; nil is all of it.
type Part struct{ subset subset }

// ReadPart reads the parameters of a read of typ; others than _summary and
// _elements are refused, or left out when lenient. Issue codes: value, not-supported, not-found (400).
func ReadPart(typ string, pairs []search.Pair, lenient bool) (*Part, error) {
	var sub subset
	for _, p := range pairs {
		switch p.Name {
		case "_summary":
			switch p.Value {
			case "true", "text", "data", "false":
				sub.summary = search.Summary(p.Value)
			default:
				return nil, issue.New(issue.Value, "read.summary", "_summary of a read is true, text, data or false", "").WithStatus(400)
			}
		case "_elements":
			for name := range strings.SplitSeq(p.Value, ",") {
				if !hasElement(typ, name) {
					return nil, issue.New(issue.NotFound, "read.elements", "_elements names no element of "+typ, "").WithStatus(400)
				}
				sub.elements = append(sub.elements, name)
			}
		default:
			if !lenient {
				return nil, issue.New(issue.NotSupported, "read.parameter", "a read has no parameter "+search.Shown(p.Name)+"; there are _summary, _elements, _format and _pretty", "")
			}
		}
	}
	if sub.all() {
		return nil, nil
	}
	return &Part{sub}, nil
}

func hasElement(typ, name string) bool {
	t := schema.ByName(typ)
	return t != nil && slices.ContainsFunc(t.Elements, func(e schema.Element) bool { return e.Name == name })
}

// AppendPart appends the part p of a stored body.
func (s *Service) AppendPart(dst, body []byte, p *Part) ([]byte, error) {
	return s.appendSubset(dst, body, &p.subset)
}
