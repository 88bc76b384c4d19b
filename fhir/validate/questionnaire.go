package validate

import (
	"meridian/fhir/element"
	"meridian/fhir/issue"
)

func (r *run) questionnaireResponse(n element.Node) {
	if !n.Child("questionnaire").HasValue() {
		r.report(n, issue.Information, issue.Informational, "questionnaire.none")
	}
}
