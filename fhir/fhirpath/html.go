package fhirpath

import (
	"encoding/xml"
	"io"
	"strings"

	"meridian/fhir/schema"
)

// fnHTMLChecks says for a narrative's div whether it keeps to the allowed
// elements and attributes and is not blank. For other elements it gives true.
// https://hl7.org/fhir/R4/narrative.html#xhtml
func fnHTMLChecks(ev *evaluator, n *Call, in []Item, _ *scope) error {
	i, ok, err := ev.one(n, in)
	if err != nil || !ok {
		return err
	}
	if i.Type() != schema.TypeXhtml {
		ev.pushBool(true)
		return nil
	}
	ev.pushBool(narrativeAllowed(i.node.Text()))
	return nil
}

func narrativeAllowed(s string) bool {
	d := xml.NewDecoder(strings.NewReader(s))
	d.Entity = xml.HTMLEntity
	seen := false // text or an image
	for depth := 0; ; {
		t, err := d.Token()
		if err == io.EOF {
			return seen && depth == 0
		}
		if err != nil {
			return false
		}
		switch t := t.(type) {
		case xml.StartElement:
			if depth == 0 && t.Name.Local != "div" || !elementAllowed(t) {
				return false
			}
			seen = seen || t.Name.Local == "img"
			depth++
		case xml.EndElement:
			depth--
		case xml.CharData:
			seen = seen || strings.TrimSpace(string(t)) != ""
		case xml.Directive, xml.ProcInst:
			return false
		}
	}
}

func elementAllowed(e xml.StartElement) bool {
	if e.Name.Space != "" && e.Name.Space != "http://www.w3.org/1999/xhtml" || !allowedElements[e.Name.Local] {
		return false
	}
	for _, a := range e.Attr {
		name := a.Name.Local
		if a.Name.Space == "xml" || a.Name.Space == "http://www.w3.org/XML/1998/namespace" {
			name = "xml:" + name
		}
		if a.Name.Space == "xmlns" || name == "xmlns" || allowedAttributes[name] || allowedAttributes[e.Name.Local+"."+name] {
			continue
		}
		return false
	}
	return true
}

func wordSet(words string) map[string]bool {
	m := make(map[string]bool)
	for _, w := range strings.Fields(words) {
		m[w] = true
	}
	return m
}

// What R4 allows in a narrative; an attribute behind a dot belongs to that element only. Read only.
var (
	allowedElements = wordSet(`p br div h1 h2 h3 h4 h5 h6 a span b em i strong small big tt pre q cite dfn abbr acronym
		code samp kbd var sub sup bdo ins del img map area ul ol li dl dt dd blockquote hr address
		table caption thead tfoot tbody colgroup col tr th td`)
	allowedAttributes = wordSet(`title style class id lang xml:lang xml:space dir accesskey tabindex
		span width align valign char charoff abbr axis headers scope rowspan colspan cellspacing cellpadding border frame rules summary
		a.href a.name a.charset a.hreflang a.rel a.rev a.type a.coords a.shape img.src img.alt img.longdesc img.height img.width img.usemap img.ismap
		area.shape area.coords area.href area.nohref area.alt map.name q.cite blockquote.cite ins.cite ins.datetime del.cite del.datetime
		table.bgcolor tr.bgcolor th.bgcolor td.bgcolor td.nowrap th.nowrap ol.start ol.type ul.type li.value li.type hr.size hr.noshade br.clear`)
)
