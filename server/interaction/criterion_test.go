package interaction

import "testing"

// A condition is the query string; clients also send it after its own address.
// https://hl7.org/fhir/R4/http.html#ccreate
func TestConditionStandsAfterItsOwnAddressOnly(t *testing.T) {
	s := &Service{base: "http://example.org/fhir"}
	for given, want := range map[string]string{
		"identifier=a|1":                                    "identifier=a|1",
		"?identifier=a|1":                                   "identifier=a|1",
		"Patient?identifier=a|1":                            "identifier=a|1",
		"/Patient?identifier=a|1":                           "identifier=a|1",
		"http://example.org/fhir/Patient?identifier=a|1":    "identifier=a|1",
		"url=http://x/y?z=1":                                "url=http://x/y?z=1",
		"identifier=http://example.org/fhir/Patient?a|1":    "identifier=http://example.org/fhir/Patient?a|1",
		"Observation?identifier=a|1":                        "refused",
		"http://other.example/fhir/Patient?identifier=a|1":  "refused",
		"http://example.org/fhir/Patient/1?identifier=a|1":  "refused",
		"http://example.org/fhir2/Patient?identifier=a%7C1": "refused",
	} {
		got, err := s.bareQuery("Patient", given)
		if err != nil {
			got = "refused"
		}
		if got != want {
			t.Errorf("%s: %s, want %s", given, got, want)
		}
	}
}
