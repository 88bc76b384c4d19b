package interaction

import (
	"strconv"
	"strings"
	"time"

	"meridian/fhir/issue"
)

// Conditions are the preconditions of a request as its headers, or
// Bundle.entry.request, say them; empty fields ask nothing.
type Conditions struct {
	IfMatch         string    // W/"3"
	IfNoneMatch     string    // W/"3", or * for "only if there is none"
	IfModifiedSince time.Time // read: 304 when not newer, in seconds
	IfNoneExist     string    // create: a query string such as identifier=urn:x|1
}

// statusPrecondition is the HTTP status of a failed precondition, which no IssueType stands for.
const statusPrecondition = 412

// parseETags reads a list of entity tags: the versions that they name, and
// whether * stands among them. A tag that is no version number of ours matches nothing.
func parseETags(header string) (versions []uint64, any bool) {
	for part := range strings.SplitSeq(header, ",") {
		part = strings.TrimSpace(part)
		if part == "*" {
			return nil, true
		}
		part = strings.TrimPrefix(part, "W/")
		if n := len(part); n >= 2 && part[0] == '"' && part[n-1] == '"' {
			part = part[1 : n-1]
		}
		if v, err := strconv.ParseUint(part, 10, 64); err == nil {
			versions = append(versions, v)
		}
	}
	return versions, false
}

// etagMatches says whether header names version.
func etagMatches(header string, version uint64) bool {
	if v, ok := singleETag(header); ok {
		return v == version
	}
	versions, any := parseETags(header)
	for _, v := range versions {
		if v == version {
			return true
		}
	}
	return any
}

// singleETag reads W/"12" without allocating, which is what clients send.
func singleETag(header string) (uint64, bool) {
	digits, ok := strings.CutPrefix(header, `W/"`)
	if !ok {
		return 0, false
	}
	if digits, ok = strings.CutSuffix(digits, `"`); !ok || digits == "" || len(digits) > 18 {
		return 0, false
	}
	var v uint64
	for i := 0; i < len(digits); i++ {
		if digits[i] < '0' || digits[i] > '9' {
			return 0, false
		}
		v = v*10 + uint64(digits[i]-'0')
	}
	return v, true
}

// checkWrite decides If-Match and If-None-Match of a write on a resource that
// stands at version current and is there, or is not (exists).
//
// https://hl7.org/fhir/R4/http.html#concurrency
func (c *Conditions) checkWrite(current uint64, exists bool) error {
	if c.IfMatch != "" && (!exists || !etagMatches(c.IfMatch, current)) {
		return issue.New(issue.Conflict, "condition.if-match", "If-Match names another version than the current one", "").WithStatus(statusPrecondition)
	}
	if c.IfNoneMatch != "" && exists && etagMatches(c.IfNoneMatch, current) {
		return issue.New(issue.Conflict, "condition.if-none-match", "If-None-Match forbids to replace the version that is there", "").WithStatus(statusPrecondition)
	}
	return nil
}
