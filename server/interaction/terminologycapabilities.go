package interaction

import "encoding/json"

// terminologyCapabilities is the TerminologyCapabilities of this server, in the order of the definition.
type terminologyCapabilities struct {
	ResourceType   string                   `json:"resourceType"`
	Status         string                   `json:"status"`
	Date           string                   `json:"date"`
	Kind           string                   `json:"kind"`
	Software       CapabilitySoftware       `json:"software"`
	Implementation CapabilityImplementation `json:"implementation"`
	Expansion      *expansionCapability     `json:"expansion,omitempty"`
	CodeSearch     string                   `json:"codeSearch"`
	ValidateCode   *validateCodeCapability  `json:"validateCode,omitempty"`
	Translation    *translationCapability   `json:"translation,omitempty"`
}

type expansionCapability struct {
	Hierarchical bool                 `json:"hierarchical"`
	Paging       bool                 `json:"paging"`
	Incomplete   bool                 `json:"incomplete"`
	Parameter    []expansionParameter `json:"parameter"`
	TextFilter   string               `json:"textFilter"`
}

type expansionParameter struct {
	Name          string `json:"name"`
	Documentation string `json:"documentation"`
}

type validateCodeCapability struct {
	Translations bool `json:"translations"`
}

type translationCapability struct {
	NeedsMap bool `json:"needsMap"`
}

// TerminologyCapabilities says what metadata?mode=terminology asks for: what is registered of $expand, $validate-code and $translate.
//
// https://hl7.org/fhir/R4/terminologycapabilities.html
func (s *Service) TerminologyCapabilities() []byte {
	c := s.Capability()
	// A search for codes by value set takes what is stored and defined alike.
	t := terminologyCapabilities{ResourceType: "TerminologyCapabilities", Status: c.Status, Date: c.Date, Kind: c.Kind, Software: c.Software, Implementation: c.Implementation, CodeSearch: "all"}
	if of := s.operations.byName["expand"]; len(of) > 0 {
		t.Expansion = &expansionCapability{Hierarchical: true, Paging: true,
			TextFilter: "Words by their beginnings, Chinese characters, pinyin or its initials; all words must be found in code, display and designations"}
		for i := range of[0].Params {
			if p := &of[0].Params[i]; !p.Out && !p.Refused {
				t.Expansion.Parameter = append(t.Expansion.Parameter, expansionParameter{p.Name, p.Documentation})
			}
		}
	}
	if len(s.operations.byName["validate-code"]) > 0 {
		t.ValidateCode = &validateCodeCapability{}
	}
	if len(s.operations.byName["translate"]) > 0 {
		t.Translation = &translationCapability{}
	}
	body, err := json.Marshal(t)
	if err != nil {
		panic("interaction: TerminologyCapabilities has no JSON form: " + err.Error())
	}
	return body
}
