package engine

import "meridian/mappings/source"

// Coverage says what became of every place of the record that says something:
// nothing is dropped in silence.
type Coverage struct {
	Leaves  int // places with a text or a deletion
	Used    int // read by a rule
	Ignored int // set aside by the map with a reason
	// Unread lists the others, by place, in the order of the record.
	Unread []Unread
}

// Unread is a place that no rule read and no rule set aside.
type Unread struct {
	Place string // without occurrences: "OBX.17.1"
	First string // where it stands first: "OBX[3].17.1"
	Count int
}

// MaxUnread bounds Coverage.Unread; what is beyond is counted under the place "…".
const MaxUnread = 500

// Rest is the number of leaves that are neither used nor ignored.
func (c *Coverage) Rest() int { return c.Leaves - c.Used - c.Ignored }

// ignoreDef sets occurrences aside, or, without each, a field of a segment.
type ignoreDef struct {
	scope  int
	each   *path
	slot   int
	when   *condition
	reason string
}

// coverage collects the marks of the run.
func (rt *run) coverage() *Coverage {
	c := &Coverage{}
	index := map[source.Place]int(nil)
	rt.tree.Leaves(func(n source.Node, used, ignored bool) {
		c.Leaves++
		switch {
		case used:
			c.Used++
			return
		case ignored:
			c.Ignored++
			return
		}
		at := n.Place()
		if rt.m.ignored(at) {
			c.Ignored++
			return
		}
		if index == nil {
			index = map[source.Place]int{}
		}
		i, known := index[at]
		switch {
		case known:
			c.Unread[i].Count++
		case len(c.Unread) < MaxUnread:
			index[at] = len(c.Unread)
			c.Unread = append(c.Unread, Unread{Place: n.PlaceText(), First: n.Origin(), Count: 1})
		case len(c.Unread) == MaxUnread:
			c.Unread = append(c.Unread, Unread{Place: "…", Count: 1})
		default:
			c.Unread[MaxUnread].Count++
		}
	})
	return c
}

// ignored says that the map sets a place aside: the segment, the field, or the component.
func (m *Map) ignored(at source.Place) bool {
	if len(m.ignoredPlaces) == 0 {
		return false
	}
	for k := len(at); k > 0; k-- {
		if m.ignoredPlaces[at] {
			return true
		}
		at[k-1] = 0
	}
	return false
}
