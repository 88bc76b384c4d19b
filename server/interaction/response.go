package interaction

import (
	"strconv"

	"meridian/fhir/codec"
	"meridian/fhir/issue"
)

// Return is what a client prefers to get back from a write.
// https://hl7.org/fhir/R4/http.html#ops
type Return uint8

const (
	// ReturnDefault is the representation of a single write, and minimal for each entry of a bundle.
	ReturnDefault Return = iota
	ReturnMinimal
	ReturnRepresentation
	ReturnOutcome
)

// ResponseParams shape a batch-response or transaction-response.
type ResponseParams struct {
	Return Return
	// Status gives the text of Bundle.entry.response.status, "201 Created".
	Status func(*EntryResult) string
	// Outcome gives the issues that a client sees of an error.
	Outcome func(error) []issue.Issue
}

// AppendBundle appends the response bundle. Entries stand in the order of the request.
//
// https://hl7.org/fhir/R4/http.html#transaction-response
func (s *Service) AppendBundle(dst []byte, r *BundleResult, p ResponseParams) []byte {
	dst = append(dst, `{"resourceType":"Bundle","type":"`...)
	dst = append(dst, r.Type...)
	dst = append(dst, '"')
	for i := range r.Entries {
		if i == 0 {
			dst = append(dst, `,"entry":[`...)
		} else {
			dst = append(dst, ',')
		}
		dst = s.appendEntryResult(dst, &r.Entries[i], &p)
	}
	if len(r.Entries) > 0 {
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

func (s *Service) appendEntryResult(dst []byte, r *EntryResult, p *ResponseParams) []byte {
	dst = append(dst, '{')
	if r.Err == nil && !r.NotModified && !r.head {
		dst = s.appendEntryBody(dst, r, p.Return)
	}
	dst = append(dst, `"response":{"status":`...)
	dst = codec.AppendString(dst, p.Status(r))
	if v := &r.Resource; r.Err == nil && v.Version > 0 {
		if !v.Deleted && !r.Read {
			dst = append(dst, `,"location":"`...)
			dst = appendLocation(dst, v)
			dst = append(dst, '"')
		}
		dst = append(dst, `,"etag":`...)
		dst = appendETag(dst, v.Version)
		if !v.LastUpdated.IsZero() {
			dst = append(dst, `,"lastModified":"`...)
			dst = append(appendInstant(dst, v.LastUpdated), '"')
		}
	}
	switch {
	case r.Err != nil:
		dst = append(dst, `,"outcome":`...)
		dst = AppendOutcome(dst, p.Outcome(r.Err))
	case !r.Read && (p.Return == ReturnOutcome || len(r.Warnings) > 0 || r.Count > 0):
		dst = append(dst, `,"outcome":`...)
		dst = AppendOutcome(dst, r.Issues())
	}
	return append(dst, `}}`...)
}

// appendEntryBody appends fullUrl and resource, where the entry has one.
func (s *Service) appendEntryBody(dst []byte, r *EntryResult, pref Return) []byte {
	if r.Content != nil {
		dst = append(dst, `"resource":`...)
		dst = append(dst, r.Content...)
		return append(dst, ',')
	}
	if r.Resource.Body == nil || !r.Read && pref != ReturnRepresentation {
		return dst
	}
	dst = append(dst, `"fullUrl":"`...)
	dst = s.appendFullURL(dst, &r.Resource)
	dst = append(dst, `","resource":`...)
	dst = append(dst, r.Resource.Body...)
	return append(dst, ',')
}

// Issues says in words what a write did, for Prefer: return=OperationOutcome.
func (r *Result) Issues() []issue.Issue {
	id, text := "", ""
	switch r.Effect {
	case Created:
		id, text = "write.created", "created"
	case Updated:
		id, text = "write.updated", "updated"
	case Unchanged:
		id, text = "write.unchanged", "nothing was changed: it is there already"
	case Deleted:
		id, text = "write.deleted", "deleted"
	case Absent:
		id, text = "write.absent", "there was nothing to delete"
	}
	if r.Count > 0 {
		text = strconv.Itoa(r.Count) + " deleted"
	}
	return append([]issue.Issue{{Severity: issue.Information, Code: issue.Informational, ID: id, Text: text, Offset: issue.NoOffset}}, r.Warnings...)
}
