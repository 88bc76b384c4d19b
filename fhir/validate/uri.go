package validate

import (
	"bytes"
	"strings"

	"meridian/fhir/element"
	"meridian/fhir/issue"
	"meridian/fhir/schema"
	"meridian/fhir/ucum"
)

// uri checks what the form of a uri promises: a canonical is absolute or a fragment, urn:uuid and urn:oid hold what they say.
//
// https://hl7.org/fhir/R4/datatypes.html#uri, https://hl7.org/fhir/R4/references.html#canonical
func (r *run) uri(n element.Node) {
	b := n.Bytes()
	if n.TypeID() != schema.TypeCanonical && !bytes.HasPrefix(b, []byte("urn:")) {
		return
	}
	text := string(b)
	if rest, ok := strings.CutPrefix(text, "urn:uuid:"); ok && !isUUID(rest) {
		r.report(n, issue.SevError, issue.Value, "uri.uuid")
	}
	if rest, ok := strings.CutPrefix(text, "urn:oid:"); ok && !isOID(rest) {
		r.report(n, issue.SevError, issue.Value, "uri.oid")
	}
	if n.TypeID() == schema.TypeCanonical && text != "" && !isAbsolute(text) && text[0] != '#' {
		r.report(n, issue.SevError, issue.Value, "canonical.absolute")
	}
}

// isAbsolute says that a URL starts with a scheme.
func isAbsolute(s string) bool {
	scheme, _, ok := strings.Cut(s, ":")
	if !ok || scheme == "" || strings.ContainsAny(scheme, "/?#") {
		return false
	}
	return true
}

func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if dash := i == 8 || i == 13 || i == 18 || i == 23; dash != (c == '-') || !dash && (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func isOID(s string) bool {
	arcs := strings.Split(s, ".")
	if len(arcs) < 2 || len(arcs[0]) != 1 || arcs[0][0] < '0' || arcs[0][0] > '2' {
		return false
	}
	for _, a := range arcs {
		if a == "" || len(a) > 1 && a[0] == '0' || strings.Trim(a, "0123456789") != "" {
			return false
		}
	}
	return true
}

// identifier checks that the value of an identifier in the system of URIs is one.
//
// https://hl7.org/fhir/R4/datatypes.html#Identifier
func (r *run) identifier(n element.Node) {
	if value := n.Child("value"); n.Child("system").Text() == "urn:ietf:rfc:3986" && value.HasValue() && !isAbsolute(value.Text()) {
		r.report(value, issue.SevError, issue.Value, "identifier.uri")
	}
}

// uniqueID checks that the id of an element is its own in its resource.
//
// https://hl7.org/fhir/R4/element-definitions.html#Element.id
func (r *run) uniqueID(n element.Node) {
	of := n.Parent()
	if !of.Valid() || of.Type().Kind == schema.Resource {
		return
	}
	for of.Type().Kind != schema.Resource && of.Parent().Valid() {
		of = of.Parent()
	}
	if r.ids == nil {
		r.ids = map[elementID]bool{}
	}
	key := elementID{of.Index(), n.Text()}
	if r.ids[key] {
		r.report(n, issue.SevError, issue.Duplicate, "element.id-repeated")
	}
	r.ids[key] = true
}

// narrative checks the namespace of a div and that it says something (txt-2); codec has checked its elements.
//
// https://hl7.org/fhir/R4/narrative.html#xhtml
func (r *run) narrative(n element.Node) {
	div := n.Bytes()
	tag, _, _ := bytes.Cut(div, []byte(">"))
	if !bytes.Contains(tag, []byte(`"http://www.w3.org/1999/xhtml"`)) && !bytes.Contains(tag, []byte(`'http://www.w3.org/1999/xhtml'`)) {
		r.report(n, issue.SevError, issue.Value, "narrative.namespace")
	}
	if !saysSomething(div) {
		r.report(n, issue.SevError, issue.Invariant, "invariant.txt-2")
	}
}

// saysSomething finds text that is no white space, or an image.
func saysSomething(div []byte) bool {
	for len(div) > 0 {
		text, rest, _ := bytes.Cut(div, []byte("<"))
		if len(bytes.TrimSpace(text)) > 0 || bytes.HasPrefix(rest, []byte("img")) {
			return true
		}
		if end := bytes.Index(rest, []byte("-->")); bytes.HasPrefix(rest, []byte("!--")) && end >= 0 {
			div = rest[end+3:]
			continue
		}
		_, div, _ = bytes.Cut(rest, []byte(">"))
	}
	return false
}

// contained checks that the id of a contained resource is its own.
//
// https://hl7.org/fhir/R4/references.html#contained
func (r *run) contained(n element.Node) {
	id := n.Child("id").Text()
	for c := n.Parent().First(); c.Valid() && c != n; c = c.Next() {
		if id != "" && c.Name() == "contained" && c.Child("id").Text() == id {
			r.report(n, issue.SevError, issue.Duplicate, "contained.repeated")
			return
		}
	}
}

// unit checks the code of a Quantity: UCUM is a grammar and needs no terminology.
//
// https://hl7.org/fhir/R4/datatypes.html#Quantity
func (r *run) unit(n element.Node) {
	system, code := n.Child("system"), n.Child("code")
	if !code.HasValue() || !system.HasValue() {
		return
	}
	if system.Text() == "http://unitsofmeasure.org" {
		if _, err := ucum.Parse(code.Text()); err != nil {
			r.report(code, issue.SevError, issue.CodeInvalid, "unit.unknown")
		}
		return
	}
	r.coding(n)
}
