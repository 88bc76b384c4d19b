package interaction

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"meridian/fhir/codec"
	"meridian/fhir/issue"
)

// IssueSystem is the code system of the stable message ids in OperationOutcome.issue.details.
const IssueSystem = "urn:meridian:issue"

// AppendOutcome appends an OperationOutcome with these issues. Without any it
// says "All OK", since issue is 1..*.
//
// https://hl7.org/fhir/R4/operationoutcome.html
func AppendOutcome(dst []byte, issues []issue.Issue) []byte {
	if len(issues) == 0 {
		issues = []issue.Issue{{Severity: issue.Information, Code: issue.Informational, Text: "All OK", Offset: issue.NoOffset}}
	}
	dst = append(dst, `{"resourceType":"OperationOutcome","issue":[`...)
	for i := range issues {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendIssue(dst, &issues[i])
	}
	return append(dst, `]}`...)
}

func appendIssue(dst []byte, is *issue.Issue) []byte {
	dst = append(dst, `{"severity":"`...)
	dst = append(dst, is.Severity...)
	dst = append(dst, `","code":"`...)
	dst = append(dst, is.Code...)
	dst = append(dst, '"')
	if is.ID != "" {
		dst = append(dst, `,"details":{"coding":[{"system":"`+IssueSystem+`","code":`...)
		dst = codec.AppendString(dst, is.ID)
		dst = append(dst, `}]`...)
		dst = append(appendTexts(dst, is), '}')
	}
	if is.Text != "" || is.Offset >= 0 {
		text := plain(is.Text)
		if is.Offset >= 0 {
			text += " (byte " + strconv.Itoa(is.Offset) + ")"
		}
		dst = append(dst, `,"diagnostics":`...)
		dst = codec.AppendString(dst, text)
	}
	if is.Line > 0 {
		dst = append(dst, `,"location":["Line[`...)
		dst = append(strconv.AppendInt(dst, int64(is.Line), 10), `] Col[`...)
		dst = append(strconv.AppendInt(dst, int64(is.Column), 10), `]"]`...)
	}
	if is.Expression != "" {
		dst = append(dst, `,"expression":[`...)
		dst = codec.AppendString(dst, plain(is.Expression))
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

// plain is a text as a string of FHIR may hold it: what an issue repeats of a
// request may have control characters.
//
// https://hl7.org/fhir/R4/datatypes.html#string
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' && r != '\n' && r != '\r' {
			return utf8.RuneError
		}
		return r
	}, text)
}

// appendTexts appends the text of an issue that has one in Chinese too, as a translation of it.
//
// https://hl7.org/fhir/R4/extension-translation.html
func appendTexts(dst []byte, is *issue.Issue) []byte {
	if is.Chinese == "" {
		return dst
	}
	dst = codec.AppendString(append(dst, `,"text":`...), plain(is.Text))
	dst = append(dst, `,"_text":{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/translation","extension":[{"url":"lang","valueCode":"zh"},{"url":"content","valueString":`...)
	return append(codec.AppendString(dst, plain(is.Chinese)), `}]}]}`...)
}
