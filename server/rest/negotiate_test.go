package rest

import "testing"

// https://www.rfc-editor.org/rfc/rfc9110.html#name-accept
func TestAccepted(t *testing.T) {
	const none = formatRaw
	for _, c := range []struct {
		header string
		want   format
	}{
		{"application/fhir+json", formatJSON},
		{"application/fhir+xml", formatXML},
		{"Application/FHIR+XML", formatXML},
		{"application/xml", formatXML},
		{"text/xml", formatXML},
		{"application/xml+fhir", formatXML},
		{"application/fhir+ndjson", formatNDJSON},
		{"*/*", formatJSON},
		{"application/*", formatJSON},
		{"text/html, */*", formatJSON},
		{"text/html", none},
		{"application/fhir+turtle", none},
		{"application/fhir+xml;q=0", none},
		{"*/*;q=0", none},
		{"application/fhir+json;q=0, */*", formatXML},
		{"application/fhir+xml;q=0,*/*", formatJSON},
		{"application/fhir+xml, application/fhir+json", formatXML},
		{"application/fhir+json, application/fhir+xml", formatJSON},
		{"application/fhir+xml;q=0.8, application/fhir+json;q=0.9", formatJSON},
		{"application/fhir+xml; q=0.9 , application/fhir+json; q=0.8", formatXML},
		{"application/fhir+json;q=0.1, */*;q=0.5", formatXML},
		{"application/fhir+xml, */*", formatXML},
		{"application/fhir+xml;q=0.5, */*", formatJSON},
		{"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", formatXML},
		{"application/fhir+xml;fhirVersion=4.0", formatXML},
		{"application/fhir+xml; charset=utf-8; fhirVersion=4.0; q=0.5", formatXML},
		{"application/fhir+xml;fhirVersion=5.0, application/fhir+json;fhirVersion=4.0;q=0.1", formatJSON},
		{"application/fhir+xml;fhirVersion=3.0", none},
		{"application/fhir+ndjson;q=0.2, application/fhir+json;q=0.1", formatNDJSON},
		{",application/fhir+xml,", formatXML},
	} {
		got, ok := accepted(c.header)
		if !ok {
			got = none
		}
		if got != c.want {
			t.Errorf("%s: %d, want %d", c.header, got, c.want)
		}
	}
}

func TestWantsData(t *testing.T) {
	for header, want := range map[string]bool{
		"*/*":                                  false,
		"application/fhir+json":                false,
		"application/json":                     false,
		"application/fhir+xml, text/plain":     false,
		"application/fhir+turtle":              false,
		"application/pdf":                      true,
		"application/pdf, */*":                 true,
		"application/xml":                      true,
		"image/*,*/*;q=0.8":                    true,
		"application/fhir+json;q=0, image/png": true,
	} {
		if got := wantsData(header); got != want {
			t.Errorf("%s: %v", header, got)
		}
	}
}
