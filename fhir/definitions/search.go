package definitions

// SearchParameter is one search parameter of R4.
// https://hl7.org/fhir/R4/searchparameter.html
type SearchParameter struct {
	URL        string
	Name       string
	Code       string   // the name in a query string: "birthdate"
	Type       string   // token, string, date, number, quantity, reference, uri, composite, special
	Base       []string // resource types, "Resource" and "DomainResource" among them
	Expression string   // FHIRPath over all of Base; empty for _text, _content, _query
	Target     []string // resource types that a reference may point to, as listed
	// Comparators are the prefixes that the definition lists (eq, ne, gt, …);
	// empty where it is silent.
	Comparators []string
	Components  []Component // of a composite
	MultipleOr  bool        // values separated by comma; false for composites only
	MultipleAnd bool        // repetition; no definition of R4 forbids it
}

// Component is one part of a composite parameter.
type Component struct {
	Definition string // canonical of the part's SearchParameter
	Expression string // FHIRPath from each result of the composite's expression
}

// Compartment says which resources belong to a patient, an encounter and so on.
// https://hl7.org/fhir/R4/compartmentdefinition.html
type Compartment struct {
	URL       string
	Code      string                // Patient, Encounter, RelatedPerson, Practitioner, Device
	Resources []CompartmentResource // sorted by type; types that are never in it are left out
}

// CompartmentResource names the search parameters through which a resource of
// Type is in the compartment; "{def}" says that the resource is the compartment's own.
type CompartmentResource struct {
	Type   string
	Params []string
}

// SearchParameters lists the search parameters of R4, sorted by canonical. Read only.
func SearchParameters() []SearchParameter { return searchParameters }

// Compartments lists the five compartment definitions, sorted by canonical. Read only.
func Compartments() []Compartment { return compartments }

// CompartmentOf is the compartment of a resource type (Patient), nil where there is none. Read only.
func CompartmentOf(code string) *Compartment {
	for i := range compartments {
		if compartments[i].Code == code {
			return &compartments[i]
		}
	}
	return nil
}
