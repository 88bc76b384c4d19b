package search

import (
	"slices"
	"strings"

	"meridian/fhir/definitions"
)

// IsCompartment says whether resources of this type have a compartment:
// Patient, Encounter, RelatedPerson, Practitioner and Device.
// https://hl7.org/fhir/R4/compartmentdefinition.html
func IsCompartment(of string) bool { return definitions.CompartmentOf(of) != nil }

// CompartmentTypes lists the types that can be in a compartment, sorted; nil where there is none.
func CompartmentTypes(of string) []string {
	c := definitions.CompartmentOf(of)
	if c == nil {
		return nil
	}
	types := make([]string, len(c.Resources))
	for i := range c.Resources {
		types[i] = c.Resources[i].Type
	}
	return types
}

// InCompartment narrows a query to what is in the compartment of a resource:
// what names it by one of the parameters that the compartment's definition
// lists for the type, and with "{def}" the resource itself. False where
// resources of q's type are never in such a compartment.
//
// https://hl7.org/fhir/R4/search.html#compartment
func (r *Registry) InCompartment(q *Query, of, id string) (*Query, bool) {
	c := definitions.CompartmentOf(of)
	if c == nil {
		return nil, false
	}
	i, found := slices.BinarySearchFunc(c.Resources, q.Type, func(x definitions.CompartmentResource, typ string) int { return strings.Compare(x.Type, typ) })
	if !found {
		return nil, false
	}
	in := Criterion{Op: AnyOf}
	for _, code := range c.Resources[i].Params {
		if code == "{def}" {
			own, _ := r.Param(q.Type, "_id")
			in.Of = append(in.Of, Criterion{Param: own, Values: []Value{{Token: Token{Code: id}}}})
			continue
		}
		if p, ok := r.Param(q.Type, code); ok && r.MayRefer(p, of) {
			in.Of = append(in.Of, Criterion{Param: p, Values: []Value{{Reference: Reference{Type: of, ID: id}}}})
		}
	}
	narrowed := *q
	narrowed.Criteria = append([]Criterion{in}, q.Criteria...)
	return &narrowed, true
}
