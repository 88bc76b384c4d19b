package validate

import (
	"strings"

	"meridian/fhir/element"
	"meridian/fhir/issue"
	"meridian/fhir/schema"
)

const loinc = "http://loinc.org"

// vitalSigns are the LOINC codes whose Observations conform to a profile of the specification, claimed or not.
//
// https://hl7.org/fhir/R4/observation-vitalsigns.html#vitals-table
var vitalSigns = map[string]string{
	"85353-1": "vitalspanel", "9279-1": "resprate", "8867-4": "heartrate", "2708-6": "oxygensat", "8310-5": "bodytemp",
	"8302-2": "bodyheight", "9843-4": "headcircum", "29463-7": "bodyweight", "39156-5": "bmi", "85354-9": "bp",
}

// signposts warns of an Observation that does not conform to the profile that its code asks for and does not claim it.
func (r *run) signposts(n element.Node) {
	if n.TypeID() != schema.TypeObservation {
		return
	}
	for c := n.Child("code").First(); c.Valid(); c = c.Next() {
		if c.Name() != "coding" || c.Child("system").Text() != loinc {
			continue
		}
		if name, ok := vitalSigns[c.Child("code").Text()]; ok {
			p := r.known("http://hl7.org/fhir/StructureDefinition/" + name)
			if p != nil && !claims(n, name) && !r.probe(func() { r.hold(n, p) }) {
				r.report(n, issue.Warning, issue.BusinessRule, "profile.vital-sign", name)
			}
		}
	}
}

func claims(n element.Node, name string) bool {
	for _, p := range texts(n.Child("meta"), "profile") {
		if strings.HasSuffix(withoutVersion(p), "/StructureDefinition/"+name) {
			return true
		}
	}
	return false
}
