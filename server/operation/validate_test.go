package operation

import (
	"bytes"
	"fmt"
	"testing"
)

// A canonical without a version is the newest one, whichever was stored last; with one, that one.
//
// https://hl7.org/fhir/R4/references.html#canonical
func TestAProfileWithoutAVersionIsTheNewest(t *testing.T) {
	s := newService(t)
	for _, version := range []string{"2.0.0", "1.9.0", "1.10.0"} {
		put(t, s, fmt.Sprintf(`{"resourceType":"StructureDefinition","id":"v%s","url":"http://example.org/p","version":"%s","name":"P","status":"active","kind":"resource",
			"abstract":false,"type":"Patient"}`, version, version))
	}
	for canonical, want := range map[string]string{"": "2.0.0", "|1.9.0": "1.9.0", "|1": "1.10.0", "|3": ""} {
		body, err := s.Definition(t.Context(), "StructureDefinition", "http://example.org/p"+canonical)
		if err != nil || (body != nil) != (want != "") || !bytes.Contains(body, []byte(`"version":"`+want)) && want != "" {
			t.Errorf("%s: %s, %v; want %q", canonical, body, err, want)
		}
	}
}
