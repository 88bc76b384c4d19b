package rest

import (
	"strings"

	"meridian/fhir/element"
)

// appendLines appends a searchset, given as JSON, with a resource to a line:
// the matches, what was included, and last the OperationOutcome with warnings.
// What else a Bundle says stands in headers: its links in Link, its total in X-Total-Count.
//
// https://hl7.org/fhir/R4/nd-json.html, https://www.rfc-editor.org/rfc/rfc8288.html
func (x *call) appendLines(dst, json []byte) ([]byte, error) {
	p := x.h.answers.Get()
	defer x.h.answers.Put(p)
	tree, err := p.Parse(json)
	if err != nil {
		return dst, unreadable(err)
	}
	head := x.Response().Header()
	if dst == nil {
		dst = []byte{} // no line is an answer, too
	}
	for c := tree.Root().First(); c.Valid(); c = c.Next() {
		switch c.Name() {
		case "link":
			head.Add("Link", x.linkHeader(c))
		case "total":
			head.Set("X-Total-Count", c.Text())
		case "entry":
			dst = append(append(dst, c.Child("resource").Raw()...), '\n')
		}
	}
	return dst, nil
}

// linkHeader writes a Bundle.link as <url>; rel="next".
func (x *call) linkHeader(link element.Node) string {
	url := strings.NewReplacer("<", "%3C", ">", "%3E").Replace(x.keepFormat(link.Child("url").Text()))
	return "<" + url + `>; rel="` + link.Child("relation").Text() + `"`
}
