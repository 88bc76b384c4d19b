package operation

import (
	"slices"

	"meridian/fhir/definitions"
	"meridian/fhir/search"
	"meridian/server/interaction"
)

// compartment is a compartment definition, with the parameters that are searched here.
//
// https://hl7.org/fhir/R4/compartmentdefinition.html
type compartment struct {
	code   string
	types  []string            // sorted, the compartment's own type first
	params map[string][]string // by type
}

// compartmentOf gives the compartment of a type; nil when it has none.
func compartmentOf(s *interaction.Service, code string) *compartment {
	d := definitions.CompartmentOf(code)
	if d == nil {
		return nil
	}
	c := &compartment{code: code, params: map[string][]string{}}
	for _, r := range d.Resources {
		for _, name := range r.Params {
			if p, ok := s.Registry().Param(r.Type, name); ok && p.Unsupported == "" {
				c.params[r.Type] = append(c.params[r.Type], name)
			}
		}
		if len(c.params[r.Type]) > 0 && r.Type != code {
			c.types = append(c.types, r.Type)
		}
	}
	slices.Sort(c.types)
	c.types = slices.Insert(c.types, 0, code)
	return c
}

// has says whether a type may be in it.
func (c *compartment) has(typ string) bool { return typ == c.code || len(c.params[typ]) > 0 }

// of gives the alternatives that put a resource of a type into the compartment of id.
func (c *compartment) of(typ, id string) [][]search.Pair {
	var out [][]search.Pair
	for _, name := range c.params[typ] {
		out = append(out, []search.Pair{{Name: name, Value: c.code + "/" + id}})
	}
	if typ == c.code {
		out = append(out, []search.Pair{{Name: "_id", Value: id}})
	}
	return out
}
