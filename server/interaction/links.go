package interaction

import (
	"strconv"

	"meridian/fhir/codec"
	"meridian/server/store"
)

// appendFullURL appends the address of a resource; it holds nothing that JSON escapes.
func (s *Service) appendFullURL(dst []byte, r *store.Resource) []byte {
	dst = append(append(dst, s.base...), '/')
	return append(append(append(dst, r.Type...), '/'), r.ID...)
}

// appendLocation appends the relative address of a version, "Patient/1/_history/2".
func appendLocation(dst []byte, r *store.Resource) []byte {
	dst = append(append(append(dst, r.Type...), '/'), r.ID...)
	return strconv.AppendUint(append(dst, "/_history/"...), r.Version, 10)
}

// appendLink appends an element of Bundle.link.
func appendLink(dst []byte, relation, url string) []byte {
	dst = append(append(append(dst, `{"relation":"`...), relation...), `","url":`...)
	return append(codec.AppendString(dst, url), '}')
}
