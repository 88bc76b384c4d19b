package interaction

import (
	"encoding/json"
	"slices"

	"meridian/fhir/definitions"
	"meridian/fhir/schema"
	"meridian/fhir/search"
)

// Capabilities gives the CapabilityStatement, minified. It is made once, from
// what is registered, and says nothing that the server does not do.
//
// https://hl7.org/fhir/R4/http.html#capabilities
func (s *Service) Capabilities() []byte { return s.capabilities() }

type capability struct {
	ResourceType   string         `json:"resourceType"`
	Status         string         `json:"status"`
	Date           string         `json:"date"`
	Kind           string         `json:"kind"`
	Software       software       `json:"software"`
	Implementation implementation `json:"implementation"`
	FHIRVersion    string         `json:"fhirVersion"`
	Format         []string       `json:"format"`
	PatchFormat    []string       `json:"patchFormat"`
	Rest           []restPart     `json:"rest"`
}

type software struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

type implementation struct {
	Description string `json:"description"`
	URL         string `json:"url"`
}

type restPart struct {
	Mode          string         `json:"mode"`
	Documentation string         `json:"documentation"`
	Resource      []resourcePart `json:"resource"`
	Interaction   []codePart     `json:"interaction"`
	Compartment   []string       `json:"compartment"`
}

type codePart struct {
	Code          string `json:"code"`
	Documentation string `json:"documentation,omitempty"`
}

type resourcePart struct {
	Type              string       `json:"type"`
	Interaction       []codePart   `json:"interaction"`
	Versioning        string       `json:"versioning"`
	ReadHistory       bool         `json:"readHistory"`
	UpdateCreate      bool         `json:"updateCreate"`
	ConditionalCreate bool         `json:"conditionalCreate"`
	ConditionalRead   string       `json:"conditionalRead"`
	ConditionalUpdate bool         `json:"conditionalUpdate"`
	ConditionalDelete string       `json:"conditionalDelete"`
	SearchInclude     []string     `json:"searchInclude,omitempty"`
	SearchRevInclude  []string     `json:"searchRevInclude,omitempty"`
	SearchParam       []searchPart `json:"searchParam,omitempty"`
}

type searchPart struct {
	Name          string `json:"name"`
	Definition    string `json:"definition,omitempty"`
	Type          string `json:"type"`
	Documentation string `json:"documentation,omitempty"`
}

func (s *Service) buildCapabilities() []byte {
	c := capability{
		ResourceType: "CapabilityStatement", Status: "active", Date: s.started.In(s.zone).Format("2006-01-02T15:04:05-07:00"), Kind: "instance",
		Software: software{"Meridian", s.version},
		Implementation: implementation{URL: s.base,
			Description: "Meridian FHIR server. Dates and times without a time zone are read in " + s.zone.String() + "."},
		FHIRVersion: "4.0.1",
		Format:      []string{"application/fhir+json", "json"},
		PatchFormat: PatchFormats(),
	}
	c.Rest = []restPart{{
		Mode: "server",
		Documentation: "Searches are strict: an unknown parameter is an error, unless Prefer: handling=lenient is sent; then a warning stands in the bundle. " +
			"Bundle.total is given when all matches stand on the first page, or when _total asks for it.",
		Interaction: []codePart{{Code: "batch"}, {Code: "history-system"}, {Code: "search-system"}},
	}}
	rest := &c.Rest[0]
	for _, x := range definitions.Compartments() {
		rest.Compartment = append(rest.Compartment, x.URL)
	}
	if s.store.Transactions() {
		rest.Interaction = append(rest.Interaction, codePart{Code: "transaction"})
	}
	reverse := s.reverseIncludes()
	for _, typ := range schema.ResourceTypes() {
		rest.Resource = append(rest.Resource, s.resourceCapability(typ, reverse))
	}
	body, err := json.Marshal(c)
	if err != nil {
		panic("interaction: the CapabilityStatement has no JSON form: " + err.Error()) // plain structs of strings always have one
	}
	return body
}

func (s *Service) resourceCapability(typ string, reverse map[string][]string) resourcePart {
	r := resourcePart{Type: typ, Versioning: "versioned", ReadHistory: true, UpdateCreate: true, ConditionalCreate: true,
		ConditionalRead: "full-support", ConditionalUpdate: true, ConditionalDelete: "single"}
	if s.limits.ConditionalDelete > 1 {
		r.ConditionalDelete = "multiple"
	}
	for _, code := range []string{"read", "vread", "update", "patch", "delete", "history-instance", "history-type", "create", "search-type"} {
		r.Interaction = append(r.Interaction, codePart{Code: code})
	}
	for _, p := range s.registry.Params(typ) {
		if p.Unsupported != "" {
			continue
		}
		r.SearchParam = append(r.SearchParam, searchPart{Name: p.Code, Definition: p.URL, Type: p.Kind.String(), Documentation: p.Expression})
		if p.Kind == search.KindReference {
			r.SearchInclude = append(r.SearchInclude, typ+":"+p.Code)
		}
	}
	r.SearchRevInclude = slices.Concat(reverse[typ], reverse[""])
	slices.Sort(r.SearchRevInclude)
	return r
}

// reverseIncludes lists for each type the reference parameters that may point
// to it; under "" those that point to any.
func (s *Service) reverseIncludes() map[string][]string {
	out := map[string][]string{}
	for _, typ := range schema.ResourceTypes() {
		for _, p := range s.registry.Params(typ) {
			if p.Unsupported != "" || p.Kind != search.KindReference {
				continue
			}
			if len(p.Targets) == 0 {
				out[""] = append(out[""], typ+":"+p.Code)
			}
			for _, target := range p.Targets {
				out[target] = append(out[target], typ+":"+p.Code)
			}
		}
	}
	return out
}
