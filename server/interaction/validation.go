package interaction

import (
	"context"

	"meridian/fhir/element"
	"meridian/fhir/issue"
	"meridian/server/store"
)

// Judge validates a resource against the definitions, beyond its structure, which is always checked.
type Judge interface {
	// Judge gives what is wrong with root; the definitions that s stores count. It is called by many goroutines at once.
	Judge(ctx context.Context, s *Service, root element.Node) ([]issue.Issue, error)
}

// maxValidationIssues is how many errors of one write an answer lists.
const maxValidationIssues = 100

// validation judges what a commit writes, by the policy of its type, and gives the warnings of each write. at names the place of a
// write in a bundle; nil for a single one. The error has the codes of the issues, and status 422.
func (s *Service) validation(ctx context.Context, p *store.CommitParams, at func(write int) string) ([][]issue.Issue, error) {
	warnings := make([][]issue.Issue, len(p.Writes))
	if s.validate.off() {
		return warnings, nil
	}
	var failed issue.Error
	for i := range p.Writes {
		w := &p.Writes[i]
		policy := s.validate.of(w.Type)
		if w.Body == nil || policy == PolicyOff {
			continue
		}
		found, err := s.faults(ctx, w.Body)
		if err != nil {
			return nil, err
		}
		if at != nil {
			for k := range found {
				found[k].Text += " (at " + found[k].Expression + ")"
				found[k].Expression = at(i) + ".resource"
			}
		}
		if policy == PolicyEnforce {
			failed.Issues = append(failed.Issues, found...)
			continue
		}
		for k := range found {
			found[k].Severity = issue.Warning
		}
		warnings[i] = found
	}
	if len(failed.Issues) > 0 {
		return nil, failed.WithStatus(422)
	}
	return warnings, nil
}

// faults gives the errors of a stored form. Their places are those of elements; bytes are not those that the client sent.
func (s *Service) faults(ctx context.Context, body []byte) (out []issue.Issue, err error) {
	root, done, err := s.Tree(body)
	if err != nil {
		return nil, err
	}
	defer done()
	found, err := s.judge.Judge(ctx, s, root)
	for _, is := range found {
		if is.Severity == issue.SevError && len(out) < maxValidationIssues {
			is.Offset, is.Line, is.Column = issue.NoOffset, 0, 0
			out = append(out, is)
		}
	}
	return out, err
}
