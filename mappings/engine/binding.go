package engine

import (
	"encoding/json"
	"strings"

	"meridian/fhir/definitions"
	"meridian/fhir/schema"
)

// valueSet is as much of a ValueSet or CodeSystem as a check of codes needs.
type valueSet struct {
	Compose struct {
		Include []struct {
			System  string                  `json:"system"`
			Concept []struct{ Code string } `json:"concept"`
			Filter  []any                   `json:"filter"`
		} `json:"include"`
	} `json:"compose"`
	Concept []concept `json:"concept"`
}

type concept struct {
	Code    string    `json:"code"`
	Concept []concept `json:"concept"`
}

// bindings keeps the codes of value sets for the maps of one library: opening the definitions is most of what loading costs.
type bindings struct {
	set   definitions.Set
	codes map[string]map[string]bool
}

// bindingCodes gives the codes of a required binding where they are a plain
// list; nil when they are not, or the set is too large to be written out.
func (c *compiler) bindingCodes(e *schema.Element) map[string]bool {
	codes, known := c.bindings.codes[e.Binding]
	if !known {
		codes = readCodes(&c.bindings.set, e.Binding)
		c.bindings.codes[e.Binding] = codes
	}
	return codes
}

func readCodes(set *definitions.Set, binding string) map[string]bool {
	text, err := set.Resource("ValueSet", binding)
	if err != nil {
		return nil
	}
	var vs valueSet
	if json.Unmarshal(text, &vs) != nil {
		return nil
	}
	codes := map[string]bool{}
	for _, in := range vs.Compose.Include {
		if len(in.Filter) > 0 {
			return nil
		}
		for _, k := range in.Concept {
			codes[k.Code] = true
		}
		if len(in.Concept) > 0 {
			continue
		}
		text, err := set.Resource("CodeSystem", in.System)
		if err != nil {
			return nil
		}
		var cs valueSet
		if json.Unmarshal(text, &cs) != nil || len(cs.Concept) == 0 {
			return nil
		}
		addConcepts(codes, cs.Concept)
	}
	return codes
}

func addConcepts(codes map[string]bool, list []concept) {
	for _, k := range list {
		codes[k.Code] = true
		addConcepts(codes, k.Concept)
	}
}

// checkCode checks a constant against a required binding (M014).
func (c *compiler) checkCode(e *schema.Element, y *ynode) {
	if e.Strength != 'r' || e.Binding == "" {
		return
	}
	allowed := c.bindingCodes(e)
	if allowed == nil || allowed[y.text] {
		return
	}
	var known []string
	for k := range allowed {
		if !strings.ContainsAny(k, " ") {
			known = append(known, k)
		}
	}
	c.problem(y, "M014", nearest(y.text, known), "%s does not allow %q", e.Path, y.text)
}
