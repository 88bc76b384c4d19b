// Package issue owns the one error that a client may see: a list of issues in
// the vocabulary of OperationOutcome.
//
// Contract: engines collect issues and return them as *Error; every other
// error is internal and is never shown to a client. An issue names a place (a
// FHIRPath expression, a byte offset), never a patient's value.
//
// https://hl7.org/fhir/R4/operationoutcome.html
package issue

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Severity is OperationOutcome.issue.severity.
// https://hl7.org/fhir/R4/valueset-issue-severity.html
type Severity string

const (
	Fatal       Severity = "fatal"
	SevError    Severity = "error"
	Warning     Severity = "warning"
	Information Severity = "information"
)

// Code is OperationOutcome.issue.code (IssueType).
// https://hl7.org/fhir/R4/valueset-issue-type.html
type Code string

const (
	Invalid       Code = "invalid"
	Structure     Code = "structure"
	Required      Code = "required"
	Value         Code = "value"
	Invariant     Code = "invariant"
	Security      Code = "security"
	Login         Code = "login"
	Forbidden     Code = "forbidden"
	Processing    Code = "processing"
	NotSupported  Code = "not-supported"
	Duplicate     Code = "duplicate"
	MultipleMatch Code = "multiple-matches"
	NotFound      Code = "not-found"
	Deleted       Code = "deleted"
	TooLong       Code = "too-long"
	CodeInvalid   Code = "code-invalid"
	Extension     Code = "extension"
	TooCostly     Code = "too-costly"
	BusinessRule  Code = "business-rule"
	Conflict      Code = "conflict"
	Transient     Code = "transient"
	LockError     Code = "lock-error"
	Exception     Code = "exception"
	Timeout       Code = "timeout"
	Incomplete    Code = "incomplete"
	Throttled     Code = "throttled"
	Informational Code = "informational"
)

// NoOffset says that an issue has no place in the input bytes.
const NoOffset = -1

// Issue is one OperationOutcome.issue. Text holds no value of a patient.
type Issue struct {
	Severity   Severity
	Code       Code
	ID         string // stable message id such as "json.duplicate-key"; details.coding.code
	Text       string // diagnostics, one English sentence
	Expression string // FHIRPath location such as "Patient.name[0].family"; empty when there is none
	Offset     int    // byte offset in the input, NoOffset when there is none
	Chinese    string // Text in Chinese; empty where there is no such text
	Line       int    // of Offset, from 1; 0 where it was not worked out
	Column     int    // of Offset in its line, from 1, in characters; 0 as Line
}

// Error is a failed request as the client will see it. Issues is not empty.
// Status overrides the HTTP status that the table in server/rest derives from
// the first issue's code; 0 leaves it to the table.
type Error struct {
	Issues []Issue
	Status int
}

// Locate fills Line and Column of issues whose Offset is in src. Issues in the order of their places cost one pass over src.
func Locate(src []byte, issues []Issue) {
	done, line, start := 0, 1, 0
	for i := range issues {
		at := issues[i].Offset
		if at < 0 || at > len(src) {
			continue
		}
		if at < done {
			done, line, start = 0, 1, 0
		}
		if k := bytes.LastIndexByte(src[done:at], '\n'); k >= 0 {
			line += bytes.Count(src[done:at], []byte{'\n'})
			start = done + k + 1
		}
		done = at
		issues[i].Line, issues[i].Column = line, utf8.RuneCount(src[start:at])+1
	}
}

// New gives an *Error with a single issue of severity error and no offset.
func New(code Code, id, text, expression string) *Error {
	return &Error{Issues: []Issue{{Severity: SevError, Code: code, ID: id, Text: text, Expression: expression, Offset: NoOffset}}}
}

// WithStatus sets Status and gives e back.
func (e *Error) WithStatus(status int) *Error {
	e.Status = status
	return e
}

func (e *Error) Error() string {
	var b strings.Builder
	for i, is := range e.Issues {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(string(is.Code))
		b.WriteString(": ")
		b.WriteString(is.Text)
		if is.Expression != "" {
			b.WriteString(" (at ")
			b.WriteString(is.Expression)
			b.WriteString(")")
		}
		if is.Offset >= 0 {
			b.WriteString(" [byte ")
			b.WriteString(strconv.Itoa(is.Offset))
			b.WriteString("]")
		}
	}
	return b.String()
}

// As finds the *Error in err's chain, nil when there is none.
func As(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}
