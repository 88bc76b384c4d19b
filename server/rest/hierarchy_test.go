package rest_test

import (
	"fmt"
	"strings"
	"testing"

	"meridian/fhir/search"
	"meridian/server/interaction"
)

// A hierarchy that goes on beyond what :above and :below follow is refused: no answer is cut in silence.
func TestHierarchiesAreFollowedWholeOrRefused(t *testing.T) {
	onEvery(t, interaction.Limits{}, func(t *testing.T, s *server) {
		const last = search.MaxHierarchy + 1
		s.put(t, `{"resourceType":"Location","id":"l0"}`)
		for i := 1; i <= last; i++ {
			s.put(t, fmt.Sprintf(`{"resourceType":"Location","id":"l%d","partOf":{"reference":"Location/l%d"}}`, i, i-1))
		}
		s.put(t, `{"resourceType":"Location","id":"a","partOf":{"reference":"Location/b"}}`, `{"resourceType":"Location","id":"b","partOf":{"reference":"Location/a"}}`,
			`{"resourceType":"Encounter","id":"e","status":"planned","class":{"code":"x"},"location":[{"location":{"reference":"Location/l9"}}]}`)
		for target, total := range map[string]int{
			"/fhir/Location?partof:below=l1":                         search.MaxHierarchy, // l2 to l9
			"/fhir/Location?partof:above=l8":                         search.MaxHierarchy + 1,
			"/fhir/Encounter?location:below=l1":                      1,
			"/fhir/Encounter?location:below=l0":                      -1,
			"/fhir/Encounter?location:below=l1,l0":                   -1,
			"/fhir/Encounter?location:above=l9":                      -1,
			"/fhir/Encounter?location:below=a":                       -1,
			"/fhir/Location?partof:below=l0&_summary=count":          -1,
			"/fhir?_type=Encounter&location:below=l0&_summary=count": -1,
		} {
			w := s.send("GET", target, "")
			switch {
			case total < 0 && (w.Code != 400 || !strings.Contains(w.Body.String(), "hierarchy of Location")):
				t.Errorf("%s: %d %s", target, w.Code, w.Body)
			case total >= 0 && !strings.Contains(w.Body.String(), fmt.Sprintf(`"total":%d,`, total)):
				t.Errorf("%s: %d %.200s, want %d", target, w.Code, w.Body, total)
			}
		}
		if w := s.send("DELETE", "/fhir/Encounter?location:below=l0", ""); w.Code != 400 {
			t.Errorf("conditional delete: %d %s", w.Code, w.Body)
		}
	})
}
