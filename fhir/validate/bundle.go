package validate

import (
	"strings"

	"meridian/fhir/element"
	"meridian/fhir/issue"
	"meridian/fhir/schema"
)

// whole checks what no element says alone.
func (r *run) whole() {
	for i := r.root.Index(); i < r.end; i++ {
		n := r.tree.At(i)
		if r.skipped(n) || !r.step() {
			continue
		}
		switch n.TypeID() {
		case schema.TypeBundle:
			r.bundle(n)
		case schema.TypeQuestionnaireResponse:
			r.questionnaireResponse(n)
		}
	}
}

// bundle checks the entries of a Bundle; what invariants say of it is in the base layer.
//
// https://hl7.org/fhir/R4/bundle.html
func (r *run) bundle(b element.Node) {
	kind := b.Child("type").Text()
	entries := children(b, "entry")
	first := map[string]string{"document": "Composition", "message": "MessageHeader"}[kind]
	if first != "" {
		switch {
		case len(entries) == 0:
			r.report(b, issue.SevError, issue.Required, "bundle.empty", kind)
		case typeName(entries[0].Child("resource")) != first:
			r.report(entries[0], issue.SevError, issue.Structure, "bundle.first", kind, first)
		}
	}
	for _, e := range entries {
		r.entry(e, kind)
	}
	if first != "" {
		r.inside(b, entries, kind)
	}
}

// entry checks fullUrl and request of one entry.
func (r *run) entry(e element.Node, kind string) {
	full, res := e.Child("fullUrl"), e.Child("resource")
	switch {
	case !full.HasValue():
		if res.Valid() && kind != "batch" && kind != "transaction" && kind != "batch-response" && kind != "transaction-response" {
			r.report(e, issue.SevError, issue.Required, "bundle.full-url")
		}
	case !strings.Contains(full.Text(), ":"):
		r.report(full, issue.SevError, issue.Value, "bundle.full-url-absolute")
	case strings.Contains(full.Text(), "/_history/"):
		r.report(full, issue.SevError, issue.Value, "bundle.full-url-version")
	case strings.HasPrefix(full.Text(), "http") && res.Child("id").HasValue():
		id := res.Child("id").Text()
		if t := typeInReference(full.Text()); t != nil && t.ID == res.TypeID() && !strings.HasSuffix(full.Text(), "/"+id) {
			r.report(full, issue.SevError, issue.Value, "bundle.full-url-id")
		}
	}
	method := e.Path("request", "method").Text()
	if method == "" || !res.Valid() && method != "POST" && method != "PUT" {
		return
	}
	switch {
	case method == "PUT" && !res.Valid():
		r.report(e, issue.SevError, issue.Required, "bundle.method", method)
	case (method == "DELETE" || method == "HEAD") && res.Valid():
		r.report(e, issue.SevError, issue.Structure, "bundle.method-resource", method)
	}
}

func children(n element.Node, name string) (out []element.Node) {
	for c := n.First(); c.Valid(); c = c.Next() {
		if c.Name() == name {
			out = append(out, c)
		}
	}
	return out
}

// inside checks that the references of a document or message lead to entries of it where they have to, and that every entry is reached.
//
// https://hl7.org/fhir/R4/documents.html#content, https://hl7.org/fhir/R4/messaging.html#reference
func (r *run) inside(b element.Node, entries []element.Node, kind string) {
	if len(entries) == 0 {
		return
	}
	// Links in both directions: an entry that points to a reached one is reached too (Provenance).
	links := map[int][]int{}
	for i := entries[0].Index(); i < r.end; i++ {
		n := r.tree.At(i)
		if n.TypeID() != schema.TypeReference {
			continue
		}
		from, to := entryOf(n, b), element.Node{}
		if !from.Valid() {
			continue
		}
		if t := r.target(n); t.Valid() {
			to = entryOf(t, b)
		}
		if to.Valid() {
			links[from.Index()] = append(links[from.Index()], to.Index())
			links[to.Index()] = append(links[to.Index()], from.Index())
			continue
		}
		if from == entries[0] && kind == "document" && mustBeInside[n.Parent().Type().Name+"."+n.Name()] && n.Child("reference").HasValue() &&
			!strings.HasPrefix(n.Child("reference").Text(), "#") {
			r.report(n, issue.SevError, issue.NotFound, "bundle.reference")
		}
	}
	reached := reach(entries[0].Index(), links)
	for _, e := range entries {
		if !reached[e.Index()] && e.Child("resource").Valid() {
			r.report(e, issue.Warning, issue.Informational, "bundle.unreachable")
		}
	}
}

// reach follows links from one entry.
func reach(first int, links map[int][]int) map[int]bool {
	reached := map[int]bool{first: true}
	for queue := []int{first}; len(queue) > 0; queue = queue[1:] {
		for _, k := range links[queue[0]] {
			if !reached[k] {
				reached[k] = true
				queue = append(queue, k)
			}
		}
	}
	return reached
}

// mustBeInside are the references of a Composition whose targets a document contains.
//
// https://hl7.org/fhir/R4/documents.html#content
var mustBeInside = map[string]bool{
	"Composition.subject": true, "Composition.encounter": true, "Composition.author": true, "Composition.attester.party": true,
	"Composition.custodian": true, "Composition.event.detail": true, "Composition.section.author": true, "Composition.section.focus": true,
	"Composition.section.entry": true,
}

// entryOf is the entry of Bundle b that n stands in, the zero Node when it is in none.
func entryOf(n, b element.Node) element.Node {
	for n.Valid() {
		p := n.Parent()
		if p == b {
			if n.Name() == "entry" {
				return n
			}
			return element.Node{}
		}
		n = p
	}
	return n
}

// typeName is the name of n's type, "" for nothing.
func typeName(n element.Node) string {
	if !n.Valid() {
		return ""
	}
	return n.Type().Name
}
