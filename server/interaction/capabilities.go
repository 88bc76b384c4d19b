package interaction

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"

	"meridian/fhir/definitions"
	"meridian/fhir/schema"
	"meridian/fhir/search"
)

// Capabilities gives the CapabilityStatement, minified. It is made from
// what is registered, again when search parameters were added or taken away, and says nothing that the server does not do: a test calls all of it.
//
// https://hl7.org/fhir/R4/http.html#capabilities
func (s *Service) Capabilities() []byte {
	c := &s.capabilities
	c.mu.Lock()
	defer c.mu.Unlock()
	if adopted := s.registry.Adopted(); c.body == nil || adopted != c.adopted {
		c.adopted, c.body = adopted, s.buildCapabilities()
	}
	return c.body
}

// capabilityCache is the CapabilityStatement of one set of search parameters.
type capabilityCache struct {
	mu      sync.Mutex
	adopted uint64
	body    []byte
}

// Capability is the part of a CapabilityStatement that this server fills, in
// the form of its JSON.
type Capability struct {
	ResourceType   string                   `json:"resourceType"`
	Status         string                   `json:"status"`
	Date           string                   `json:"date"`
	Kind           string                   `json:"kind"`
	Software       CapabilitySoftware       `json:"software"`
	Implementation CapabilityImplementation `json:"implementation"`
	FHIRVersion    string                   `json:"fhirVersion"`
	Format         []string                 `json:"format"`
	PatchFormat    []string                 `json:"patchFormat"`
	Rest           []CapabilityRest         `json:"rest"`
}

type CapabilitySoftware struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

type CapabilityImplementation struct {
	Description string `json:"description"`
	URL         string `json:"url"`
}

type CapabilityRest struct {
	Mode          string                  `json:"mode"`
	Documentation string                  `json:"documentation"`
	Security      CapabilitySecurity      `json:"security"`
	Resource      []CapabilityResource    `json:"resource"`
	Interaction   []CapabilityInteraction `json:"interaction"`
	SearchParam   []CapabilityParam       `json:"searchParam,omitempty"`
	Operation     []CapabilityOperation   `json:"operation,omitempty"`
	Compartment   []string                `json:"compartment,omitempty"`
}

type CapabilitySecurity struct {
	Description string `json:"description"`
}

type CapabilityInteraction struct {
	Code          string `json:"code"`
	Documentation string `json:"documentation,omitempty"`
}

type CapabilityResource struct {
	Type              string                  `json:"type"`
	Interaction       []CapabilityInteraction `json:"interaction"`
	Versioning        string                  `json:"versioning"`
	ReadHistory       bool                    `json:"readHistory"`
	UpdateCreate      bool                    `json:"updateCreate"`
	ConditionalCreate bool                    `json:"conditionalCreate"`
	ConditionalRead   string                  `json:"conditionalRead"`
	ConditionalUpdate bool                    `json:"conditionalUpdate"`
	ConditionalDelete string                  `json:"conditionalDelete"`
	ReferencePolicy   []string                `json:"referencePolicy"`
	SearchInclude     []string                `json:"searchInclude,omitempty"`
	SearchRevInclude  []string                `json:"searchRevInclude,omitempty"`
	SearchParam       []CapabilityParam       `json:"searchParam,omitempty"`
	Operation         []CapabilityOperation   `json:"operation,omitempty"`
}

type CapabilityParam struct {
	Name          string `json:"name"`
	Definition    string `json:"definition,omitempty"`
	Type          string `json:"type"`
	Documentation string `json:"documentation,omitempty"`
}

type CapabilityOperation struct {
	Name          string `json:"name"`
	Definition    string `json:"definition"`
	Documentation string `json:"documentation,omitempty"`
}

// typeInteractions are those of every resource type, in the order of R4's list.
var typeInteractions = []string{"read", "vread", "update", "patch", "delete", "history-instance", "history-type", "create", "search-type"}

// Formats are the media types of resources, in bodies and answers, with the short forms of _format.
func Formats() []string {
	return []string{"application/fhir+json", "application/fhir+xml", "json", "xml"}
}

// Capability gives the CapabilityStatement as structs.
func (s *Service) Capability() *Capability {
	c := &Capability{
		ResourceType: "CapabilityStatement", Status: "active", Date: s.started.In(s.zone).Format("2006-01-02T15:04:05-07:00"), Kind: "instance",
		Software: CapabilitySoftware{"Meridian", s.version},
		Implementation: CapabilityImplementation{URL: s.base,
			Description: "Meridian FHIR server. Dates and times without a time zone are read in " + s.zone.String() + "."},
		FHIRVersion: "4.0.1",
		Format:      Formats(),
		PatchFormat: PatchFormats(),
	}
	rest := CapabilityRest{
		Mode: "server",
		Documentation: "Searches are strict: an unknown parameter is an error, unless Prefer: handling=lenient is sent; then a warning stands in the bundle. " +
			"Bundle.total is given when all matches stand on the first page, or when _total asks for it. Searches are also answered in application/fhir+ndjson. " +
			"The parameters that every search takes stand in searchParam.",
		Security:    CapabilitySecurity{"No authentication is configured: the server listens on loopback addresses only."},
		Interaction: s.systemInteractions(),
		SearchParam: s.everySearchParam(),
		Operation:   s.operationCapabilities(func(d *OperationDefinition) bool { return d.System }),
	}
	for _, d := range definitions.Compartments() {
		rest.Compartment = append(rest.Compartment, d.URL)
	}
	reverse := s.reverseIncludes()
	for _, typ := range schema.ResourceTypes() {
		rest.Resource = append(rest.Resource, s.resourceCapability(typ, reverse))
	}
	c.Rest = []CapabilityRest{rest}
	return c
}

func (s *Service) buildCapabilities() []byte {
	body, err := json.Marshal(s.Capability())
	if err != nil {
		panic("interaction: the CapabilityStatement has no JSON form: " + err.Error()) // plain structs of strings always have one
	}
	return body
}

func (s *Service) systemInteractions() []CapabilityInteraction {
	out := []CapabilityInteraction{{Code: "batch"}, {Code: "search-system"}, {Code: "history-system"}}
	if s.store.Transactions() {
		out = append(out, CapabilityInteraction{Code: "transaction"})
	}
	return out
}

// controlParameters are taken by every search beside the parameters of its types: they ask about other resources, or say how the
// answer looks. They have no definition in R4, so their type is special.
//
// https://hl7.org/fhir/R4/capabilitystatement-definitions.html#CapabilityStatement.rest.searchParam
var controlParameters = []CapabilityParam{
	{Name: "_contained", Documentation: "Of one type: true, both or false: whether contained resources are searched"},
	{Name: "_containedType", Documentation: "container or contained: which of both is the entry"},
	{Name: "_count", Documentation: "Resources on a page; more than the server allows is refused"},
	{Name: "_elements", Documentation: "Elements to answer, separated by comma"},
	{Name: "_explain", Documentation: "true adds the plan of the search and what it read"},
	{Name: "_filter", Documentation: "An expression of https://hl7.org/fhir/R4/search_filter.html"},
	{Name: "_format", Documentation: "Media type of the answer"},
	{Name: "_has", Documentation: "_has:Type:reference:parameter=value: such a resource refers here; nested, and with chains"},
	{Name: "_include", Documentation: "Type:parameter[:Target], Type:* or *; with :iterate over what is included, too"},
	{Name: "_list", Documentation: "The items of a List, by its id"},
	{Name: "_not-referenced", Documentation: "Type:reference, Type:* or *:*: nothing of that refers here"},
	{Name: "_pretty", Documentation: "true indents"},
	{Name: "_revinclude", Documentation: "Type:parameter[:Target], Type:* or *; with :iterate over what is included, too"},
	{Name: "_sort", Documentation: "Parameters to sort by, separated by comma; - in front descends"},
	{Name: "_summary", Documentation: "true, text, data, count or false"},
	{Name: "_total", Documentation: "none, estimate or accurate"},
	{Name: "_type", Documentation: "Of several types, or of all of a compartment: the types, separated by comma"},
}

// everySearchParam lists the parameters that every type has, which a search of all types takes, and those that control a search; by name.
func (s *Service) everySearchParam() (out []CapabilityParam) {
	types := schema.ResourceTypes()
	for _, p := range s.registry.Params(types[0]) {
		everywhere := p.Unsupported == "" && !slices.ContainsFunc(types, func(typ string) bool {
			q, ok := s.registry.Param(typ, p.Code)
			return !ok || q.URL != p.URL
		})
		if everywhere {
			out = append(out, CapabilityParam{Name: p.Code, Definition: p.URL, Type: p.Kind.String(), Documentation: s.paramText(p)})
		}
	}
	for _, c := range controlParameters {
		c.Type = search.KindSpecial.String()
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b CapabilityParam) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func (s *Service) resourceCapability(typ string, reverse map[string][]string) CapabilityResource {
	r := CapabilityResource{Type: typ, Versioning: "versioned", ReadHistory: true, UpdateCreate: true, ConditionalCreate: true,
		ConditionalRead: "full-support", ConditionalUpdate: true, ConditionalDelete: "single", ReferencePolicy: []string{"literal", "logical"},
		Operation: s.operationCapabilities(func(d *OperationDefinition) bool { return d.onType(typ) })}
	if s.limits.ConditionalDelete > 1 {
		r.ConditionalDelete = "multiple"
	}
	if s.policies.of(typ) == PolicyEnforce {
		r.ReferencePolicy = append(r.ReferencePolicy, "enforced")
	}
	for _, code := range typeInteractions {
		r.Interaction = append(r.Interaction, CapabilityInteraction{Code: code})
	}
	for _, p := range s.registry.Params(typ) {
		if p.Unsupported != "" {
			continue
		}
		r.SearchParam = append(r.SearchParam, CapabilityParam{Name: p.Code, Definition: p.URL, Type: p.Kind.String(), Documentation: s.paramText(p)})
		if p.Kind == search.KindReference {
			r.SearchInclude = append(r.SearchInclude, typ+":"+p.Code)
		}
	}
	r.SearchRevInclude = slices.Concat(reverse[typ], reverse[""])
	slices.Sort(r.SearchRevInclude)
	return r
}

// paramText says what a parameter looks at and which modifiers it takes.
func (s *Service) paramText(p *search.Param) string {
	text := p.Expression
	var names []string
	for _, m := range s.registry.Modifiers(p) {
		names = append(names, ":"+string(m))
	}
	if len(names) > 0 {
		if text != "" {
			text += "; "
		}
		text += "modifiers " + strings.Join(names, " ")
	}
	return text
}

// operationCapabilities lists the operations of which say is true, by name. What is there for
// every type and not on the system is not explained again and again.
func (s *Service) operationCapabilities(say func(*OperationDefinition) bool) (out []CapabilityOperation) {
	for _, r := range s.operations.all {
		if say(r.OperationDefinition) {
			o := CapabilityOperation{Name: r.Name, Definition: r.URL}
			if r.Types != nil || r.System {
				o.Documentation = r.Documentation
			}
			out = append(out, o)
		}
	}
	slices.SortFunc(out, func(a, b CapabilityOperation) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// OperationDefinitions lists what is registered, in that order. Read only.
func (s *Service) OperationDefinitions() (out []*OperationDefinition) {
	for _, r := range s.operations.all {
		out = append(out, r.OperationDefinition)
	}
	return out
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
