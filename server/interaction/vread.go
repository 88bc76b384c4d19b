package interaction

import (
	"context"

	"meridian/fhir/issue"
)

// VRead gives one version. Issue codes: not-found, deleted (the version is the
// one that a delete made).
//
// https://hl7.org/fhir/R4/http.html#vread
func (s *Service) VRead(ctx context.Context, p ReadParams) (ReadResult, error) {
	r, err := s.store.ReadVersion(ctx, p.Key, p.Version)
	if err != nil {
		err = s.readError(err, p.Key)
		if e := issue.As(err); e != nil && e.Issues[0].ID == "resource.unknown" {
			e.Issues[0].Text = "there is no such version of a " + p.Key.Type + " with this id"
		}
		return ReadResult{}, err
	}
	return answerRead(r, &p)
}
