package inbox

import "bytes"

// Findings of the writer, beside those of the map.
const (
	silentCorrection = "silent.correction"
	statusBack       = "status.back"
	reportStale      = "report.stale"
	subjectStale     = "subject.stale"
)

// findingTexts are their texts, without values.
var findingTexts = map[string]string{
	silentCorrection: "the source sent a final result again with another value and did not say that it corrects; it stands as corrected",
	statusBack:       "the source took a final state back; it stands as the source says",
	reportStale:      "a later state of this report stands already; what this message says of it was not applied",
	subjectStale:     "a message that was sent later has changed this resource; what this message says of it was not applied",
}

// restate decides on the status where an Observation or a report that was final
// is written again. It may change the status of what is to stand, and gives the code of a
// finding or "".
//
//   - A final result that comes again as final with another value was
//     corrected, whatever the source says: https://hl7.org/fhir/R4/valueset-observation-status.html.
//   - A result that stands corrected or amended stays so when the same value
//     comes again as final: that is the same state.
//   - A step back from a final state is the source's to take, and is noted.
func (r *reviser) restate(typ string) string {
	if typ != "Observation" && typ != "DiagnosticReport" {
		return ""
	}
	was, is := find(r.old, "status"), find(r.merged, "status")
	if was == nil || is == nil || !settled(was.value) {
		return ""
	}
	switch {
	case isStatus(is.value, "preliminary"), isStatus(is.value, "registered"), isStatus(is.value, "partial"):
		return statusBack
	case typ != "Observation" || !isStatus(is.value, "final"):
		return ""
	case r.said(r.old) != r.said(r.merged):
		is.value = []byte(`"corrected"`)
		return silentCorrection
	}
	is.value = was.value
	return ""
}

// settled are the states in which a result was given as final.
func settled(status []byte) bool {
	return isStatus(status, "final") || isStatus(status, "corrected") || isStatus(status, "amended") || isStatus(status, "appended")
}

func isStatus(value []byte, status string) bool {
	return len(value) == len(status)+2 && string(value[1:len(value)-1]) == status
}

// said is what the source said an Observation's value is, without what tables
// add to it: a replay with a mended table is no correction. The number of a
// quantity with its comparator, the text of a concept, other types as they are.
func (r *reviser) said(list []property) string {
	for i := range list {
		p := &list[i]
		switch {
		case !bytes.HasPrefix(p.name, []byte("value")):
		case p.is("valueQuantity"):
			r.parts = properties(r.parts[:0], p.value)
			return text(find(r.parts, "comparator")) + text(find(r.parts, "value"))
		case p.is("valueCodeableConcept"):
			r.parts = properties(r.parts[:0], p.value)
			if t := find(r.parts, "text"); t != nil {
				return text(t)
			}
			return string(p.value)
		default:
			return text(p)
		}
	}
	return ""
}

// text is a scalar without its quotes; "" for what is not there.
func text(p *property) string {
	if p == nil {
		return ""
	}
	return string(bytes.Trim(p.value, `"`))
}
