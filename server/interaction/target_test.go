package interaction

import (
	"testing"

	"meridian/server/store"
)

func TestAddressesOfBundleEntries(t *testing.T) {
	s := &Service{base: "http://example.org/fhir"}
	patient := func(id string) store.Key { return store.Key{Type: "Patient", ID: id} }
	for _, tc := range []struct {
		url  string
		want target
		ok   bool
	}{
		{"Patient", target{Key: patient("")}, true},
		{"/Patient", target{Key: patient("")}, true},
		{"Patient?name=x", target{Key: patient(""), Query: "name=x"}, true},
		{"Patient/1", target{Key: patient("1")}, true},
		{"http://example.org/fhir/Patient/1", target{Key: patient("1")}, true},
		{"Patient/1/_history", target{Key: patient("1"), History: true}, true},
		{"Patient/1/_history/2", target{Key: patient("1"), Version: 2}, true},
		{"Patient/_history", target{Key: patient(""), History: true}, true},
		{"_history?_count=1", target{History: true, Query: "_count=1"}, true},
		{"metadata", target{Metadata: true}, true},
		{"Patient/1/_history/x", target{}, false},
		{"Patient/_history/2", target{}, false},
		{"Patient/1/x", target{}, false},
		{"Patient/a_b", target{}, false},
		{"Patient//_history", target{}, false},
		{"Patient/$validate", target{Key: patient(""), Operation: "validate"}, true},
		{"Patient/1/_history/2/$meta", target{Key: patient("1"), Version: 2, Operation: "meta"}, true},
		{"$meta?x=y", target{Operation: "meta", Query: "x=y"}, true},
		{"Patient/$", target{}, false},
		{"$meta/1", target{}, false},
		{"Patient/_search?name=x", target{Key: patient(""), Search: true, Query: "name=x"}, true},
		{"Patient/1/Observation?code=x", target{Key: store.Key{Type: "Observation"}, Compartment: patient("1"), Query: "code=x"}, true},
		{"Patient/1/*", target{Compartment: patient("1")}, true},
		{"Patient/1/*/_search", target{Compartment: patient("1"), Search: true}, true},
		{"?_type=Patient", target{Query: "_type=Patient"}, true},
		{"/_search?_type=Patient", target{Search: true, Query: "_type=Patient"}, true},
		{"_search", target{Search: true}, true},
		{"_search/$meta", target{}, false},
		{"$meta/_search", target{}, false},
		{"metadata/_search", target{}, false},
		{"_history/_search", target{}, false},
		{"Patient/1/Observation/$meta", target{}, false},
		{"Patient/_search/1", target{}, false},
		{"Patient/1/_search", target{}, false},
		{"Patient/_history/_search", target{}, false},
		{"Patient/1/Observation/2", target{}, false},
		{"Patient/*", target{}, false},
		{"Patient/1/Pazient", target{}, false},
		{"http://other.org/fhir?_type=Patient", target{}, false},
		{"Pazient/1", target{}, false},
		{"http://other.org/fhir/Patient/1", target{}, false},
		{"", target{}, false},
	} {
		got, err := s.parseTarget(tc.url)
		if (err == nil) != tc.ok || tc.ok && got != tc.want {
			t.Errorf("%q: %+v, %v", tc.url, got, err)
		}
	}
}

func FuzzTarget(f *testing.F) {
	for _, u := range []string{"Patient", "Patient/1/_history/2", "?", "http://example.org/fhir/Patient?x=y", "/_history/"} {
		f.Add(u)
	}
	s := &Service{base: "http://example.org/fhir"}
	f.Fuzz(func(t *testing.T, url string) {
		if got, err := s.parseTarget(url); err == nil && got.Type != "" && !IsResourceType(got.Type) {
			t.Errorf("%q gives the type %q", url, got.Type)
		}
	})
}
