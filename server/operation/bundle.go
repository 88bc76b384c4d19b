package operation

import (
	"strconv"

	"meridian/fhir/codec"
	"meridian/fhir/issue"
	"meridian/server/interaction"
	"meridian/server/store"
)

// bundle builds a searchset, minified. The zero value is empty.
type bundle struct {
	entries []byte
	matches int // entries of mode match
}

func (b *bundle) separate() {
	if len(b.entries) > 0 {
		b.entries = append(b.entries, ',')
	}
}

// add appends a stored body. search is what follows mode in Bundle.entry.search, as JSON members with their comma, or nothing.
func (b *bundle) add(s *interaction.Service, r *store.Resource, mode, search string) {
	b.separate()
	if mode == "match" {
		b.matches++
	}
	b.entries = s.AppendFullURL(append(b.entries, `{"fullUrl":"`...), r)
	b.entries = append(append(b.entries, `","resource":`...), r.Body...)
	b.entries = append(append(append(append(b.entries, `,"search":{"mode":"`...), mode...), '"'), search...)
	b.entries = append(b.entries, `}}`...)
}

// outcome appends an entry with issues.
func (b *bundle) outcome(issues []issue.Issue) {
	if len(issues) == 0 {
		return
	}
	b.separate()
	b.entries = interaction.AppendOutcome(append(b.entries, `{"resource":`...), issues)
	b.entries = append(b.entries, `,"search":{"mode":"outcome"}}`...)
}

// link is an element of Bundle.link.
type link struct{ relation, url string }

// result closes the bundle; a total below 0 is left out.
func (b *bundle) result(total int, links ...link) interaction.OperationResult {
	out := make([]byte, 0, len(b.entries)+512)
	out = append(out, `{"resourceType":"Bundle","type":"searchset"`...)
	if total >= 0 {
		out = strconv.AppendInt(append(out, `,"total":`...), int64(total), 10)
	}
	for i, l := range links {
		if i == 0 {
			out = append(out, `,"link":[`...)
		} else {
			out = append(out, ',')
		}
		out = append(append(append(out, `{"relation":"`...), l.relation...), `","url":`...)
		out = append(codec.AppendString(out, l.url), '}')
	}
	if len(links) > 0 {
		out = append(out, ']')
	}
	if len(b.entries) > 0 {
		out = append(append(append(out, `,"entry":[`...), b.entries...), ']')
	}
	return interaction.OperationResult{Body: append(out, '}')}
}

// warning is an issue that stands beside an answer.
func warning(code issue.Code, id, text string) issue.Issue {
	return issue.Issue{Severity: issue.Warning, Code: code, ID: id, Text: text, Offset: issue.NoOffset}
}
