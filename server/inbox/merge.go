package inbox

import (
	"bytes"
	"slices"

	"meridian/fhir/schema"
	"meridian/mappings/engine"
)

// property is one member of a minified JSON object, as text.
type property struct {
	name  string // as written, without quotes; twins keep their underscore
	value []byte
}

// properties splits a minified object that codec or engine wrote (checked
// syntax, no blanks between tokens) into its members.
func properties(object []byte) []property {
	var out []property
	for i := 1; i < len(object)-1; {
		end := stringEnd(object, i)
		name := string(object[i+1 : end-1])
		start := end + 1
		i = valueEnd(object, start)
		out = append(out, property{name, object[start:i]})
		i++ // the comma, or the closing brace
	}
	return out
}

// items splits a minified array.
func items(array []byte) [][]byte {
	var out [][]byte
	for i := 1; i < len(array)-1; {
		end := valueEnd(array, i)
		out = append(out, array[i:end])
		i = end + 1
	}
	return out
}

// stringEnd gives the offset behind the string that begins at i.
func stringEnd(b []byte, i int) int {
	for i++; b[i] != '"'; i++ {
		if b[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// valueEnd gives the offset behind the value that begins at i.
func valueEnd(b []byte, i int) int {
	depth := 0
	for ; i < len(b); i++ {
		switch b[i] {
		case '"':
			i = stringEnd(b, i) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			depth--
		case ',':
			if depth == 0 {
				return i
			}
		}
	}
	return i
}

// revise gives the resource as it is to stand: the message's, or the message's
// over what stands there. keep says that the message changes nothing that
// counts: only elements in volatile differ. finding is the code of something that
// a person should know of the change, or "".
//
// meta is the record's, not the message's: tags and labels that stand stay.
func revise(current []byte, out *engine.Out, volatile []string) (body []byte, keep bool, finding string) {
	if current == nil {
		return out.JSON, false, ""
	}
	old, fresh := properties(current), properties(out.JSON)
	var merged []property
	if out.Write == engine.Merge {
		merged = mergeProperties(schema.ByName(out.Type), old, fresh, out)
	} else {
		merged = replaceProperties(old, fresh)
	}
	finding = restate(out.Type, old, merged)
	if sameBut(old, merged, volatile) {
		return nil, true, ""
	}
	return join(merged), false, finding
}

// replaceProperties keeps meta of what stands and takes all else from the message.
func replaceProperties(old, fresh []property) []property {
	out := make([]property, 0, len(fresh)+1)
	for _, p := range fresh {
		out = append(out, p)
		if p.name == "id" {
			if m := find(old, "meta"); m != nil {
				out = append(out, *m)
			}
		}
	}
	return out
}

// mergeProperties puts the message's elements over those that stand, in their
// places; what the message deletes (Clear) and other types of a choice go.
func mergeProperties(t *schema.Type, old, fresh []property, o *engine.Out) []property {
	out := make([]property, 0, len(old)+len(fresh))
	placed := make([]bool, len(fresh))
	for _, p := range old {
		if slices.Contains(o.Clear, trimTwin(p.name)) {
			continue
		}
		same := sameElement(t, fresh, p.name)
		switch {
		case same < 0:
			out = append(out, p)
		case fresh[same].name == p.name:
			placed[same] = true
			q := fresh[same]
			switch {
			case slices.Contains(o.Union, p.name):
				q.value = union(p.value, q.value)
			case p.name == "extension":
				q.value = overExtensions(p.value, q.value)
			}
			out = append(out, q)
		}
	}
	for i, p := range fresh {
		if !placed[i] {
			out = append(out, p)
		}
	}
	return out
}

// sameElement finds the fresh member that stands for the same element as name:
// the same property, or another type of the same choice.
func sameElement(t *schema.Type, fresh []property, name string) int {
	p, ok := t.Lookup([]byte(trimTwin(name)))
	for i := range fresh {
		if fresh[i].name == name {
			return i
		}
		q, ok2 := t.Lookup([]byte(trimTwin(fresh[i].name)))
		if ok && ok2 && p.Element == q.Element {
			return i
		}
	}
	return -1
}

func trimTwin(name string) string {
	if len(name) > 0 && name[0] == '_' {
		return name[1:]
	}
	return name
}

// union adds the entries of b that a does not have.
func union(a, b []byte) []byte {
	have := items(a)
	out := append([]byte(nil), a[:len(a)-1]...)
	for _, it := range items(b) {
		if !slices.ContainsFunc(have, func(h []byte) bool { return bytes.Equal(h, it) }) {
			out = append(append(out, ','), it...)
		}
	}
	return append(out, ']')
}

// overExtensions gives the extensions of b, and behind them those of a whose url b does not have.
func overExtensions(a, b []byte) []byte {
	var rest [][]byte
	fresh := items(b)
	for _, it := range items(a) {
		url := find(properties(it), "url")
		if !slices.ContainsFunc(fresh, func(f []byte) bool {
			u := find(properties(f), "url")
			return url != nil && u != nil && bytes.Equal(u.value, url.value)
		}) {
			rest = append(rest, it)
		}
	}
	if len(rest) == 0 {
		return b
	}
	out := append([]byte(nil), b[:len(b)-1]...)
	for _, it := range rest {
		out = append(append(out, ','), it...)
	}
	return append(out, ']')
}

// sameBut compares two resources member by member, meta and the volatile ones aside.
func sameBut(a, b []property, volatile []string) bool {
	counts := func(p *property) bool { return p.name != "meta" && !slices.Contains(volatile, trimTwin(p.name)) }
	n := 0
	for i := range a {
		if !counts(&a[i]) {
			continue
		}
		n++
		q := find(b, a[i].name)
		if q == nil || !bytes.Equal(q.value, a[i].value) {
			return false
		}
	}
	for i := range b {
		if counts(&b[i]) {
			n--
		}
	}
	return n == 0
}

func find(list []property, name string) *property {
	for i := range list {
		if list[i].name == name {
			return &list[i]
		}
	}
	return nil
}

func join(list []property) []byte {
	n := 2
	for i := range list {
		n += len(list[i].name) + len(list[i].value) + 4
	}
	b := append(make([]byte, 0, n), '{')
	for i := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, '"'), list[i].name...), '"', ':')
		b = append(b, list[i].value...)
	}
	return append(b, '}')
}
