package search

import (
	"fmt"

	"meridian/fhir/element"
	"meridian/fhir/schema"
)

// Stamp is what the server writes into a version in place of what the client
// said: Resource.id and Resource.meta.lastUpdated.
type Stamp struct {
	ID          string
	LastUpdated string // an instant as the stored form shows it
}

// Places of the stamped elements: the first two are the same in every resource.
var (
	resourceID      = index("Resource", "id")
	resourceMeta    = index("Resource", "meta")
	metaLastUpdated = index("Meta", "lastUpdated")
)

// IndexStamped gives the facts that Index gives for the stored form of root,
// without that form being parsed. ok is false, and into undefined, where a
// parameter's expression could see more of the resource than the stamp says;
// then the stored form has to be indexed.
func (r *Registry) IndexStamped(root element.Node, s Stamp, into *Facts) (ok bool, err error) {
	b, err := r.begin(root, into)
	if err != nil {
		return false, err
	}
	defer r.end(b)
	if len(b.t.slow) > 0 {
		return false, nil
	}
	b.stamped(root, &s)
	if err := b.finishParams(root); err != nil {
		return false, err
	}
	b.finish(into)
	return true, r.indexContained(root, into)
}

// stamped walks root with the stamp in place of its own id and time.
func (b *builder) stamped(root element.Node, s *Stamp) {
	for c := root.First(); c.Valid(); c = c.Next() {
		switch c.ElementIndex() {
		case resourceID:
		case resourceMeta:
			b.clientMeta(c)
		default:
			b.child(c, b.t.root)
		}
	}
	b.walk(b.stampTree(root.Type(), s), b.t.root)
}

// clientMeta walks meta but for its time.
func (b *builder) clientMeta(meta element.Node) {
	if resourceMeta >= len(b.t.root.elems) {
		return
	}
	for _, ed := range b.t.root.elems[resourceMeta] {
		for c := meta.First(); c.Valid() && ed.node != nil; c = c.Next() {
			if c.ElementIndex() != metaLastUpdated {
				b.child(c, ed.node)
			}
		}
	}
}

// stampTree is a resource of type t that has nothing but the stamp.
func (b *builder) stampTree(t *schema.Type, s *Stamp) element.Node {
	b.stampText = fmt.Appendf(b.stampText[:0], `"%s""%s"`, s.ID, s.LastUpdated)
	between, end := len(s.ID)+2, len(b.stampText)
	b.stamp.Reset(b.stampText)
	root := b.stamp.Add(-1, -1, element.Data{End: end, Type: t.ID, Elem: -1})
	id := b.stamp.Add(root, -1, element.Data{End: between, Type: schema.TypeId, Elem: resourceID, String: true})
	meta := b.stamp.Add(root, id, element.Data{Start: between, End: end, Type: schema.TypeMeta, Elem: resourceMeta})
	b.stamp.Add(meta, -1, element.Data{Start: between, End: end, Type: schema.TypeInstant, Elem: metaLastUpdated, String: true})
	return b.stamp.Root()
}
