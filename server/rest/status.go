package rest

import (
	"errors"
	"net/http"
	"strconv"

	"meridian/fhir/issue"
	"meridian/server/interaction"
	"meridian/server/store"
)

// statusOf is the one table from IssueType to HTTP status. An issue.Error with
// a Status of its own (412 of a precondition) goes before it.
//
// https://hl7.org/fhir/R4/valueset-issue-type.html, https://hl7.org/fhir/R4/http.html#Status-Codes
func statusOf(code issue.Code) int {
	switch code {
	case issue.Invalid, issue.Structure, issue.Required, issue.Value, issue.NotSupported:
		return http.StatusBadRequest
	case issue.Login:
		return http.StatusUnauthorized
	case issue.Security, issue.Forbidden:
		return http.StatusForbidden
	case issue.NotFound:
		return http.StatusNotFound
	case issue.Conflict, issue.Duplicate, issue.LockError:
		return http.StatusConflict
	case issue.Deleted:
		return http.StatusGone
	case issue.MultipleMatch:
		return http.StatusPreconditionFailed
	case issue.TooLong:
		return http.StatusRequestEntityTooLarge
	case issue.Invariant, issue.CodeInvalid, issue.Extension, issue.BusinessRule, issue.Processing, issue.TooCostly:
		return http.StatusUnprocessableEntity
	case issue.Throttled:
		return http.StatusTooManyRequests
	case issue.Transient:
		return http.StatusServiceUnavailable
	case issue.Timeout:
		return http.StatusGatewayTimeout
	case issue.Informational:
		return http.StatusOK
	}
	return http.StatusInternalServerError // exception, incomplete, and codes that are not in the list
}

// errorStatus gives the status of an error.
func errorStatus(err error) int {
	e := issue.As(err)
	switch {
	case errors.Is(err, store.ErrStarting), errors.Is(err, store.ErrClosed):
		return http.StatusServiceUnavailable
	case e == nil || len(e.Issues) == 0:
		return http.StatusInternalServerError
	case e.Status != 0:
		return e.Status
	}
	return statusOf(e.Issues[0].Code)
}

// errorIssues gives what a client may see of an error.
func errorIssues(err error) []issue.Issue {
	if e := issue.As(err); e != nil && len(e.Issues) > 0 {
		return e.Issues
	}
	return issue.New(issue.Exception, "internal", "the server failed; its log has the reason", "").Issues
}

func errStarting() error {
	return issue.New(issue.Transient, "store.starting", "the store is being opened; try again in a moment", "")
}

// effectStatus is the status of a write.
func effectStatus(e interaction.Effect) int {
	switch e {
	case interaction.Created:
		return http.StatusCreated
	case interaction.Deleted, interaction.Absent:
		return http.StatusNoContent
	}
	return http.StatusOK
}

// entryStatus is Bundle.entry.response.status.
func entryStatus(r *interaction.EntryResult) string {
	status := effectStatus(r.Effect)
	switch {
	case r.Err != nil:
		status = errorStatus(r.Err)
	case r.NotModified:
		status = http.StatusNotModified
	}
	return strconv.Itoa(status) + " " + http.StatusText(status)
}
