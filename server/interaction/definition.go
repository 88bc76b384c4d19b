package interaction

import (
	"context"
	"encoding/json"
	"strings"

	"meridian/fhir/definitions"
	"meridian/fhir/search"
	"meridian/server/store"
)

// maxVersions is how many stored resources of one canonical are looked at.
const maxVersions = 100

// Definition gives the JSON of what a canonical names among what is stored and packaged, nil when it names nothing: with a version that
// one, else the newest (definitions.Newest), of equal ones the one stored last. Issue code: too-costly when more than maxVersions have the url.
//
//	body, err := s.Definition(ctx, "StructureDefinition", "http://example.org/fhir/StructureDefinition/x|1.0")
func (s *Service) Definition(ctx context.Context, kind, canonical string) ([]byte, error) {
	url, version, _ := strings.Cut(canonical, "|")
	stored, packaged, err := s.underURL(ctx, kind, url)
	if err != nil {
		return nil, err
	}
	var bodies [][]byte
	for i := range stored {
		bodies = append(bodies, stored[i].Body)
	}
	for _, body := range packaged {
		if body != nil {
			bodies = append(bodies, body)
		}
	}
	if version == "" && len(bodies) == 1 {
		return bodies[0], nil
	}
	editions := make([]definitions.Edition, len(bodies))
	for i, body := range bodies {
		editions[i] = editionOf(body)
	}
	if i := definitions.Newest(editions, version); i >= 0 {
		return bodies[i], nil
	}
	return nil, nil
}

// underURL gives what has a url: what is stored, that changed last at the end, and what packages have, nil in place of versions that are stored.
func (s *Service) underURL(ctx context.Context, kind, url string) (stored []store.Resource, packaged [][]byte, err error) {
	if stored, err = s.definitions(ctx, FindParams{Type: kind, All: []search.Pair{{Name: "url", Value: search.Escape(url)}}, Sort: "_lastUpdated", Limit: maxVersions + 1}, "have this url"); err != nil {
		return nil, nil, err
	}
	if packaged, err = s.Packages().Versions(kind, url); err != nil || len(packaged) == 0 {
		return stored, nil, err
	}
	versions := map[string]bool{}
	for i := range stored {
		versions[editionOf(stored[i].Body).Version] = true
	}
	for i, body := range packaged {
		if versions[editionOf(body).Version] {
			packaged[i] = nil
		}
	}
	return stored, packaged, nil
}

// editionOf reads what tells a definition from others of its canonical.
func editionOf(body []byte) (e definitions.Edition) {
	_ = json.Unmarshal(body, &e) // what is stored and packaged is JSON
	return e
}
