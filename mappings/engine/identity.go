package engine

import (
	"crypto/sha1"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"meridian/mappings/source"
)

// spaceID is the namespace of all ids of ours.
var spaceID = uuid.MustParse("6f3c1f0e-5f0b-5a5e-9c39-6d6572696469")

// StableID is the id of the resource that a source knows under a business key:
// UUIDv5 (RFC 4122 section 4.3) of the source's namespace over the type and the parts of the key.
func StableID(source, resourceType string, key ...string) string {
	space := uuid.NewSHA1(spaceID, []byte(source))
	return uuid.NewSHA1(space, []byte(resourceType+"\x1f"+strings.Join(key, "\x1f"))).String()
}

// idPart is one part of a business key: a value, the index among equal keys, or a constant.
type idPart struct {
	value *value
	dup   bool
	text  string
	// shared, when not 0, numbers a part that does not depend on the variable of a rule that repeats: it is read once in a scope.
	shared int
}

// sharedText is such a part, as it was read.
type sharedText struct {
	scope int32
	known bool
	text  string
}

// part gives the text of a part that comes from the record.
func (rt *run) part(p *idPart) string {
	if p.shared == 0 {
		return strings.TrimSpace(p.value.first(rt))
	}
	k := &rt.parts[p.shared]
	if !k.known || k.scope != rt.scope {
		*k = sharedText{scope: rt.scope, known: true, text: strings.TrimSpace(p.value.first(rt))}
	}
	return k.text
}

// space sets the namespace and the prefixes of the source; they are kept while the sources of following runs are the same.
func (rt *run) space(source string) {
	if rt.spaceOf != source || rt.spaceOf == "" {
		rt.spaceOf, rt.spaceID = source, uuid.NewSHA1(spaceID, []byte(source))
		rt.prefix = "urn:meridian:source:" + source + ":"
		rt.prefixItem, rt.prefixJSON = rt.prefix+"item", appendEscaped(rt.prefixJSON[:0], rt.prefix)
	}
}

// key puts namespace, type and parts into rt.keyBuf, the index among equal keys as given. The first part identifies: without it there is no key.
func (rt *run) key(typ string, parts []idPart, dup int) (hasDup, ok bool) {
	b := append(append(rt.keyBuf[:0], rt.spaceID[:]...), typ...)
	for i := range parts {
		b = append(b, '\x1f')
		switch p := &parts[i]; {
		case p.dup:
			hasDup = true
			b = strconv.AppendInt(b, int64(dup), 10)
		case p.value != nil:
			s := rt.part(p)
			if s == "" && i == 0 {
				rt.keyBuf = b
				return false, false
			}
			b = append(b, s...)
		default:
			b = append(b, p.text...)
		}
	}
	rt.keyBuf = b
	return hasDup, true
}

// keyID hashes rt.keyBuf.
func (rt *run) keyID() uuid.UUID {
	sum := sha1.Sum(rt.keyBuf)
	u := uuid.UUID(sum[:16])
	u[6] = u[6]&0x0f | 0x50
	u[8] = u[8]&0x3f | 0x80
	return u
}

// identify gives the id of the first key that identifies the resource, and how many
// keys equal to it came before. The second of two equal ones is counted, so that it is not lost.
func (rt *run) identify(def *resourceDef) (id uuid.UUID, before int, ok bool) {
	for _, parts := range def.keys {
		hasDup, found := rt.key(def.typ.Name, parts, 0)
		if !found {
			continue
		}
		id = rt.keyID()
		if !hasDup {
			return id, 0, true
		}
		before = rt.dups[id]
		rt.dups[id]++
		if before > 0 {
			rt.key(def.typ.Name, parts, before)
			id = rt.keyID()
		}
		return id, before, true
	}
	return id, 0, false
}

// firstPlace names where the first part of a key should have been.
func (rt *run) firstPlace(keys [][]idPart, n source.Node) string {
	for _, parts := range keys {
		if len(parts) > 0 && parts[0].value != nil && len(parts[0].value.paths) > 0 {
			return parts[0].value.paths[0].placeText(rt)
		}
	}
	return n.Origin()
}

// placeText prints the place of a path as far as the record has it, and the names that are missing: "PID[1].3.1".
func (p *path) placeText(rt *run) string {
	n, at := rt.vars[p.slot], 0
	for ; at < len(p.steps); at++ {
		c := n.Child(p.steps[at].sym)
		if !c.Valid() {
			break
		}
		n = c
	}
	s := n.Origin()
	for _, st := range p.steps[at:] {
		s += "." + strings.TrimPrefix(st.name, "f")
	}
	return s
}

// subject is the key by which messages about one person are kept in order.
func (rt *run) subject() string {
	if len(rt.m.subject) == 0 {
		return ""
	}
	if len(rt.scopes) > 1 {
		rt.enter(1)
	}
	parts := make([]string, 0, len(rt.m.subject))
	for i := range rt.m.subject {
		s := rt.m.subject[i].text
		if v := rt.m.subject[i].value; v != nil {
			s = v.first(rt)
		}
		if s = strings.TrimSpace(s); s == "" && i == 0 {
			return ""
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, "|")
}
