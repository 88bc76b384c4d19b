package patch

import "meridian/fhir/issue"

// Format is how a patch document is written.
type Format uint8

const (
	// AnyFormat is told by the document itself, see FormatOf.
	AnyFormat  Format = iota
	JSON              // RFC 6902, application/json-patch+json
	Merge             // RFC 7396, application/merge-patch+json
	Parameters        // FHIRPath Patch, application/fhir+json
	XML               // FHIRPath Patch, application/fhir+xml
)

// FormatOf tells a document sent as application/json, which says no more than
// that: an array is a JSON Patch, a Parameters resource a FHIRPath Patch, any
// other object a Merge Patch. Issue codes: structure, invalid.
func FormatOf(src []byte) (Format, error) {
	v, err := parseText(src)
	switch {
	case err != nil:
		return 0, err
	case v.isArray():
		return JSON, nil
	case !v.isObject():
		return 0, issue.New(issue.Invalid, idDocument, "a patch is an array of operations, a Parameters resource, or an object to be merged", "")
	}
	d := document{nodes: DefaultMaxNodes}
	b, err := d.open(v)
	if err != nil {
		return 0, err
	}
	if i := b.find("resourceType"); i >= 0 && b.items[i].isString() && b.items[i].string() == "Parameters" {
		return Parameters, nil
	}
	return Merge, nil
}
