package interaction

import (
	"strconv"
	"strings"

	"meridian/fhir/issue"
	"meridian/server/store"
)

// A target is what the address of an interaction names, relative to the base:
//
//	Patient            Type
//	Patient?name=x     Type, Query
//	?_type=Patient     Query
//	Patient/1/Observation, Patient/1/*   Type or nothing, Compartment
//	Patient/_search, _search, Patient/1/*/_search   Search beside what stands before it
//	Patient/1          Type, ID
//	Patient/1/_history            Type, ID, History
//	Patient/1/_history/2          Type, ID, Version
//	Patient/_history, _history    Type or nothing, History
//	metadata           Metadata
//	$meta, Patient/$match, Patient/1/$everything   Operation beside the others
type target struct {
	store.Key
	Compartment store.Key
	Version     uint64
	History     bool
	Metadata    bool
	// Search says that _search stands at the end: a POST is a search, too.
	Search bool
	// Operation is the name behind the dollar; Version is set for Patient/1/_history/2/$meta.
	Operation string
	Query     string
}

// parseTarget reads the url of a bundle entry: relative to the base, or absolute with the base of this server.
func (s *Service) parseTarget(url string) (target, error) {
	var t target
	rest, query, _ := strings.Cut(url, "?")
	t.Query = query
	rest = strings.TrimPrefix(strings.TrimPrefix(rest, s.base), "/")
	if strings.Contains(rest, ":") {
		return t, issue.New(issue.Invalid, "bundle.url", "the url is not one of this server", "")
	}
	parts := strings.Split(strings.TrimSuffix(rest, "/"), "/")
	if rest == "" && query != "" {
		return t, nil
	}
	if parts[0] == "metadata" && len(parts) == 1 {
		t.Metadata = true
		return t, nil
	}
	if parts[0] == "_history" && len(parts) == 1 {
		t.History = true
		return t, nil
	}
	if n := len(parts) - 1; parts[n] == "_search" {
		if t.Search, parts = true, parts[:n]; n == 0 {
			return t, nil
		}
	}
	if name, ok := strings.CutPrefix(parts[len(parts)-1], "$"); ok && !t.Search {
		if name == "" {
			return t, noSuchInteraction()
		}
		if t.Operation, parts = name, parts[:len(parts)-1]; len(parts) == 0 {
			return t, nil
		}
	}
	if t.Type = parts[0]; !IsResourceType(t.Type) {
		return t, unknownType(t.Type)
	}
	return t, t.parsePath(parts[1:])
}

// parsePath reads what follows the type: id, _history, version.
func (t *target) parsePath(parts []string) error {
	if len(parts) > 0 && parts[0] != "_history" {
		if t.ID = parts[0]; strings.HasPrefix(t.ID, "$") || strings.HasPrefix(t.ID, "_") {
			return noSuchInteraction()
		}
		if !ValidID(t.ID) {
			return issue.New(issue.Value, "id.invalid", "an id has 1 to 64 characters of A-Z a-z 0-9 - .", "")
		}
		parts = parts[1:]
	}
	if len(parts) == 1 && t.ID != "" && t.Operation == "" && (parts[0] == "*" || IsResourceType(parts[0])) {
		t.Compartment, t.Key = t.Key, store.Key{Type: strings.TrimPrefix(parts[0], "*")}
		return nil
	}
	if t.Search && (t.ID != "" || len(parts) > 0) {
		return noSuchInteraction()
	}
	if len(parts) > 0 && parts[0] == "_history" {
		t.History, parts = true, parts[1:]
	}
	if len(parts) == 1 && t.History && t.ID != "" {
		v, ok := ParseVersion(parts[0])
		if !ok {
			return notFound(t.Key)
		}
		t.Version, t.History, parts = v, false, nil
	}
	if len(parts) > 0 {
		return noSuchInteraction()
	}
	return nil
}

// search reads the target as a search.
func (t *target) search(lenient bool) (SearchParams, error) {
	pairs, err := ParseQuery(t.Query)
	return SearchParams{Type: t.Type, Compartment: t.Compartment, Query: withoutFormat(pairs), Lenient: lenient}, err
}

func noSuchInteraction() error {
	return issue.New(issue.NotSupported, "bundle.url", "this server has no such interaction in a bundle", "")
}

// ParseVersion reads a version id of this server, a decimal number from 1.
func ParseVersion(s string) (uint64, bool) {
	v, err := strconv.ParseUint(s, 10, 64)
	return v, err == nil && v > 0 && s[0] != '0' && s[0] != '+'
}
