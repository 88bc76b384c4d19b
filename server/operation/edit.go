package operation

import (
	"meridian/fhir/codec"
	"meridian/fhir/element"
)

// member is an element of a resource's top level with its JSON value; a nil
// value leaves the element out.
type member struct {
	name  string
	value []byte
}

// withMembers appends a resource, or a datatype, with these members in place of what it has
// of them, at its end; of the zero Node there are only these.
func withMembers(dst []byte, n element.Node, members ...member) []byte {
	replaced := func(c element.Node) bool {
		if c.Parent() != n {
			return false
		}
		for _, m := range members {
			if m.name == c.Name() {
				return true
			}
		}
		return false
	}
	if !n.Valid() {
		dst = append(dst, "{}"...)
	}
	dst = codec.AppendJSON(dst, n, &codec.Edit{Keep: func(c element.Node) bool { return !replaced(c) }})
	dst = dst[:len(dst)-1]
	for _, m := range members {
		if m.value == nil {
			continue
		}
		if dst[len(dst)-1] != '{' {
			dst = append(dst, ',')
		}
		dst = append(codec.AppendString(dst, m.name), ':')
		dst = append(dst, m.value...)
	}
	return append(dst, '}')
}

// elements gives the children of that name.
func elements(n element.Node, name string) (out []element.Node) {
	for c := n.First(); c.Valid(); c = c.Next() {
		if c.Name() == name {
			out = append(out, c)
		}
	}
	return out
}

// array joins JSON values; nil for none.
func array(values ...[]byte) []byte {
	if len(values) == 0 {
		return nil
	}
	out := []byte{'['}
	for i, v := range values {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, v...)
	}
	return append(out, ']')
}
