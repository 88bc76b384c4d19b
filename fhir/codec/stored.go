package codec

import (
	"bytes"

	"meridian/fhir/element"
)

// Meta is what the server says about a version: https://hl7.org/fhir/R4/resource.html#Meta
type Meta struct {
	ID          string
	VersionID   string
	LastUpdated string // an instant as it is shown: 2026-01-02T03:04:05.678Z
}

// The stored form starts
//
//	{"resourceType":"Patient","id":"p1","meta":{"versionId":"1","lastUpdated":"2026-01-02T03:04:05.678Z"
//
// and goes on with the client's other members of meta and of the resource.
const (
	beforeID      = `","id":"`
	beforeVersion = `","meta":{"versionId":"`
	beforeUpdated = `","lastUpdated":"`
)

const beforeType = `{"resourceType":"`

// AppendStored appends the form in which a resource is kept and given out:
// minified; resourceType, id and meta first, with the values of m in place of
// the client's; then what the client sent, in its order. The id and extensions
// of the id itself ("_id") stand behind meta, so that the start is the same for
// every resource. All fields of m must be set; they need no escaping.
func AppendStored(dst []byte, root element.Node, m Meta) []byte {
	return appendStored(dst, root, m, nil)
}

// AppendStoredEdit is AppendStored with e.Replace and e.Keep applied, as for
// the references inside a transaction. e may be nil.
func AppendStoredEdit(dst []byte, root element.Node, m Meta, e *Edit) []byte {
	return appendStored(dst, root, m, e)
}

func appendStored(dst []byte, root element.Node, m Meta, e *Edit) []byte {
	t := root.Type()
	for _, s := range [...]string{beforeType, t.Name, beforeID, m.ID, beforeVersion, m.VersionID, beforeUpdated, m.LastUpdated, `"`} {
		dst = append(dst, s...)
	}
	w := writer{dst: dst}
	if e != nil {
		w.replace, w.keep = e.Replace, e.Keep
	}
	var id element.Node
	for c := root.First(); c.Valid(); c = c.Next() {
		switch c.Element().Name {
		case "id":
			id = c
		case "meta":
			w.clientMeta(c)
		}
	}
	w.dst = append(w.dst, '}')
	if id.First().Valid() {
		w.dst = append(w.dst, `,"_id":`...)
		w.twin(id, id.Type())
	}
	for c := root.First(); c.Valid(); {
		elem := &t.Elements[c.ElementIndex()]
		if elem.Name == "id" || elem.Name == "meta" {
			c = c.Next()
			continue
		}
		c = w.element(c, elem)
	}
	return append(w.dst, '}')
}

// clientMeta writes what the client said in meta, but for the server's two.
func (w *writer) clientMeta(meta element.Node) {
	t := meta.Type()
	for c := meta.First(); c.Valid(); {
		elem := &t.Elements[c.ElementIndex()]
		if elem.Name == "versionId" || elem.Name == "lastUpdated" {
			c = c.Next()
			continue
		}
		c = w.element(c, elem)
	}
}

// StoredMeta reads id, version and time from the start of a stored body. tail
// is the rest, from behind lastUpdated. Both are zero when the body does not
// start as the stored form does. The strings are a copy, tail points into body.
func StoredMeta(body []byte) (m Meta, tail []byte) {
	h, ok := readHead(body)
	if !ok {
		return Meta{}, nil
	}
	// One copy of the head serves all three strings.
	start := len(beforeType) + len(h.typ) + len(beforeID)
	head := string(body[start : len(body)-len(h.tail)])
	m.ID, head = head[:len(h.id)], head[len(h.id)+len(beforeVersion):]
	m.VersionID, head = head[:len(h.version)], head[len(h.version)+len(beforeUpdated):]
	m.LastUpdated = head[:len(h.updated)]
	return m, h.tail
}

// StoredType gives the resource type of a stored body, a part of it.
func StoredType(body []byte) []byte {
	name, _, _ := cutValue(body, beforeType)
	return name
}

// head is the start of a stored body, in parts of it.
type head struct{ typ, id, version, updated, tail []byte }

func readHead(body []byte) (h head, ok bool) {
	for _, part := range [...]struct {
		prefix string
		value  *[]byte
	}{{beforeType, &h.typ}, {beforeID[1:], &h.id}, {beforeVersion[1:], &h.version}, {beforeUpdated[1:], &h.updated}} {
		if *part.value, body, ok = cutValue(body, part.prefix); !ok {
			return head{}, false
		}
	}
	h.tail = body
	return h, true
}

// cutValue takes prefix and a string without escapes off the start of b; rest is behind its quote.
func cutValue(b []byte, prefix string) (value, rest []byte, ok bool) {
	if !bytes.HasPrefix(b, []byte(prefix)) {
		return nil, nil, false
	}
	b = b[len(prefix):]
	k := bytes.IndexByte(b, '"')
	if k < 0 {
		return nil, nil, false
	}
	return b[:k], b[k+1:], true
}

// SameContent says whether two stored bodies differ at most in versionId and
// lastUpdated: an update that leaves it so makes no version.
func SameContent(a, b []byte) bool {
	x, okX := readHead(a)
	y, okY := readHead(b)
	return okX && okY && bytes.Equal(x.typ, y.typ) && bytes.Equal(x.id, y.id) && bytes.Equal(x.tail, y.tail)
}
