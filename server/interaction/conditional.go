package interaction

import (
	"bytes"
	"strings"

	"meridian/fhir/codec"
	"meridian/fhir/element"
	"meridian/fhir/issue"
	"meridian/fhir/schema"
)

// refuseConditional refuses `"reference": "Patient?identifier=…"` outside a
// transaction: only there is it resolved, and kept as it is it would name nothing.
//
// https://hl7.org/fhir/R4/http.html#trules
func (s *Service) refuseConditional(root element.Node) error {
	// A question mark is rare: most bodies are not walked.
	if raw := root.Raw(); bytes.IndexByte(raw, '?') < 0 && !bytes.Contains(raw, []byte(`\u003`)) {
		return nil
	}
	e := &issue.Error{}
	_ = walk(root, func(n element.Node) error { // visit fails nowhere
		if len(e.Issues) < codec.DefaultMaxIssues && n.Name() == "reference" && n.Parent().TypeID() == schema.TypeReference && n.HasValue() && s.isConditional(n.Text()) {
			e.Issues = append(e.Issues, issue.Issue{Severity: issue.SevError, Code: issue.NotSupported, ID: "reference.conditional",
				Text: "a conditional reference is resolved in a transaction only", Expression: n.Location(), Offset: n.Offset()})
		}
		return nil
	})
	if len(e.Issues) > 0 {
		return e
	}
	return nil
}

// isConditional says that a reference is a search of this server.
func (s *Service) isConditional(ref string) bool {
	typ, _, ok := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(ref, s.base), "/"), "?")
	return ok && IsResourceType(typ)
}
