package rest

import (
	"errors"
	"fmt"
	"testing"

	"meridian/fhir/issue"
	"meridian/server/store"
)

// https://hl7.org/fhir/R4/valueset-issue-type.html
func TestEveryIssueTypeHasItsStatus(t *testing.T) {
	for status, codes := range map[int][]issue.Code{
		200: {issue.Informational},
		400: {issue.Invalid, issue.Structure, issue.Required, issue.Value, issue.NotSupported},
		401: {issue.Login},
		403: {issue.Security, issue.Forbidden},
		404: {issue.NotFound},
		409: {issue.Conflict, issue.Duplicate, issue.LockError},
		410: {issue.Deleted},
		412: {issue.MultipleMatch},
		413: {issue.TooLong},
		422: {issue.Invariant, issue.CodeInvalid, issue.Extension, issue.BusinessRule, issue.Processing, issue.TooCostly},
		429: {issue.Throttled},
		500: {issue.Exception, issue.Incomplete, "of another list"},
		503: {issue.Transient},
		504: {issue.Timeout},
	} {
		for _, code := range codes {
			if got := errorStatus(fmt.Errorf("wrapped: %w", issue.New(code, "", "", ""))); got != status {
				t.Errorf("%s: %d, want %d", code, got, status)
			}
		}
	}
}

func TestStatusOfOtherErrors(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want int
	}{
		{issue.New(issue.Conflict, "", "", "").WithStatus(412), 412},
		{errors.New("x"), 500}, {store.ErrClosed, 503}, {store.ErrStarting, 503}, {&issue.Error{}, 500},
	} {
		if got := errorStatus(tc.err); got != tc.want {
			t.Errorf("%v: %d, want %d", tc.err, got, tc.want)
		}
	}
}
