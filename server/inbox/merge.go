package inbox

import (
	"bytes"
	"slices"
	"sync"

	"meridian/fhir/schema"
	"meridian/mappings/engine"
)

// property is one member of a minified JSON object, as text.
type property struct {
	name  []byte // as written, without quotes; twins keep their underscore
	value []byte
}

func (p *property) is(name string) bool { return string(p.name) == name }

// in says whether the property, or its twin, is one of names.
func (p *property) in(names []string) bool {
	plain := trimTwin(p.name)
	for _, n := range names {
		if string(plain) == n {
			return true
		}
	}
	return false
}

// properties appends the members of a minified object that codec or engine
// wrote (checked syntax, no blanks between tokens).
func properties(out []property, object []byte) []property {
	for i := 1; i < len(object)-1; {
		end := stringEnd(object, i)
		start := end + 1
		to := valueEnd(object, start)
		out = append(out, property{object[i+1 : end-1], object[start:to]})
		i = to + 1 // behind the comma, or the closing brace
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

// reviser holds the scratch of revise. It is for one goroutine.
type reviser struct {
	old, fresh, merged, parts, more []property
	metaChanged                     bool // the message adds a tag, a label or a profile
}

var revisers = sync.Pool{New: func() any { return new(reviser) }}

// revise gives the resource as it is to stand: the message's, or the message's
// over what stands there. keep says that the message changes nothing that
// counts: only elements in volatile differ. finding is the code of something that
// a person should know of the change, or "".
//
// meta is the record's: tags, labels and profiles that stand stay, those of the message are added.
func (r *reviser) revise(current []byte, out *engine.Out, volatile []string) (body []byte, keep bool, finding string) {
	if current == nil {
		return out.JSON, false, ""
	}
	if sameAsStored(current, out.JSON) {
		return nil, true, ""
	}
	r.old, r.fresh = properties(r.old[:0], current), properties(r.fresh[:0], out.JSON)
	r.takeInitial(out.Initial)
	if out.Write == engine.Merge {
		r.merge(schema.ByName(out.Type), out)
	} else {
		r.replace()
	}
	r.mergeMeta()
	finding = r.restate(out.Type)
	if !r.metaChanged && sameBut(r.old, r.merged, volatile) {
		return nil, true, ""
	}
	return join(r.merged), false, finding
}

// sameAsStored says whether a message's resource is what stands, meta aside:
// the usual case of a resend. Both begin with resourceType and id.
func sameAsStored(current, fresh []byte) bool {
	at := memberEnd(fresh, memberEnd(fresh, 1))
	if at < 0 || at > len(current) || !bytes.Equal(current[:at], fresh[:at]) {
		return false
	}
	rest := current[at:]
	if name := []byte(`,"meta":`); bytes.HasPrefix(rest, name) {
		rest = rest[valueEnd(rest, len(name)):]
	}
	return bytes.Equal(rest, fresh[at:])
}

// memberEnd gives the offset behind the member that begins at i, or behind the comma there; -1 where there is none.
func memberEnd(object []byte, i int) int {
	if i > 0 && i < len(object) && object[i] == ',' {
		i++
	}
	if i < 0 || i >= len(object) || object[i] != '"' {
		return -1
	}
	return valueEnd(object, stringEnd(object, i)+1)
}

// takeInitial gives the elements that a message says of new resources only the values that stand.
func (r *reviser) takeInitial(names []string) {
	for _, name := range names {
		i := slices.IndexFunc(r.fresh, func(p property) bool { return p.is(name) })
		if i < 0 {
			continue
		}
		if q := find(r.old, name); q != nil {
			r.fresh[i].value = q.value
		} else {
			r.fresh = slices.Delete(r.fresh, i, i+1)
		}
	}
}

// replace takes all from the message but meta.
func (r *reviser) replace() {
	r.merged = append(r.merged[:0], r.fresh...)
}

// mergeMeta puts what stands in meta before what the message adds to it, in its place behind id.
func (r *reviser) mergeMeta() {
	r.metaChanged = false
	r.merged = slices.DeleteFunc(r.merged, func(p property) bool { return p.is("meta") })
	old, fresh := find(r.old, "meta"), find(r.fresh, "meta")
	var value []byte
	switch {
	case old == nil && fresh == nil:
		return
	case fresh == nil:
		value = old.value
	case old == nil:
		value, r.metaChanged = fresh.value, true
	default:
		value = r.overMeta(old.value, fresh.value)
	}
	at := slices.IndexFunc(r.merged, func(p property) bool { return p.is("id") }) + 1
	r.merged = slices.Insert(r.merged, at, property{[]byte("meta"), value})
}

// overMeta adds the tags, labels and profiles of b to a; its other members are the record's.
func (r *reviser) overMeta(a, b []byte) []byte {
	r.parts, r.more = properties(r.parts[:0], a), properties(r.more[:0], b)
	for _, p := range r.more {
		if !p.is("security") && !p.is("tag") && !p.is("profile") {
			continue
		}
		q := find(r.parts, string(p.name))
		if q == nil {
			r.parts, r.metaChanged = append(r.parts, p), true
			continue
		}
		if both := union(q.value, p.value); len(both) != len(q.value) {
			q.value, r.metaChanged = both, true
		}
	}
	if !r.metaChanged {
		return a
	}
	return join(r.parts)
}

// merge puts the message's elements over those that stand, in their places;
// what the message deletes (Clear) and other types of a choice go.
func (r *reviser) merge(t *schema.Type, o *engine.Out) {
	r.merged = r.merged[:0]
	for i := range r.old {
		p := &r.old[i]
		if p.in(o.Clear) {
			continue
		}
		same := sameElement(t, r.fresh, p.name)
		switch {
		case same < 0:
			r.merged = append(r.merged, *p)
		case bytes.Equal(r.fresh[same].name, p.name):
			q := r.fresh[same]
			switch {
			case p.in(o.Union):
				q.value = union(p.value, q.value)
			case p.is("extension"):
				q.value = r.overExtensions(p.value, q.value)
			}
			r.merged = append(r.merged, q)
		}
	}
	for _, p := range r.fresh {
		if find(r.old, string(p.name)) == nil {
			r.merged = append(r.merged, p)
		}
	}
}

// sameElement finds the fresh member that stands for the same element as name:
// the same property, or another type of the same choice.
func sameElement(t *schema.Type, fresh []property, name []byte) int {
	for i := range fresh {
		if bytes.Equal(fresh[i].name, name) {
			return i
		}
	}
	p, ok := t.Lookup(trimTwin(name))
	if !ok {
		return -1
	}
	for i := range fresh {
		if q, ok := t.Lookup(trimTwin(fresh[i].name)); ok && p.Element == q.Element {
			return i
		}
	}
	return -1
}

func trimTwin(name []byte) []byte {
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
func (r *reviser) overExtensions(a, b []byte) []byte {
	var rest [][]byte
	fresh := items(b)
	for _, it := range items(a) {
		r.parts = properties(r.parts[:0], it)
		url := find(r.parts, "url")
		if url == nil || !slices.ContainsFunc(fresh, func(f []byte) bool {
			r.more = properties(r.more[:0], f)
			u := find(r.more, "url")
			return u != nil && bytes.Equal(u.value, url.value)
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
	counts := func(p *property) bool { return !p.is("meta") && !p.in(volatile) }
	n := 0
	for i := range a {
		if !counts(&a[i]) {
			continue
		}
		n++
		// Mostly the members stand in the same order.
		q := (*property)(nil)
		if i < len(b) && bytes.Equal(b[i].name, a[i].name) {
			q = &b[i]
		} else {
			q = find(b, string(a[i].name))
		}
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
		if list[i].is(name) {
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
