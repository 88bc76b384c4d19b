package validate

import (
	"slices"
	"strings"

	"meridian/fhir/element"
)

// elementDef is one element of a snapshot. Nodes are its ElementDefinitions from the one that says most about
// it (a profile's differential) to the one that says least: what the first that has a child says, holds.
type elementDef struct {
	path  string // "Observation.category.coding"; a choice ends in [x]
	id    string // the path with slice names: "Observation.category:lab.coding"
	slice string // its own slice name, "" for none; "a/b" is slice b of slice a
	nodes []element.Node
	// unsliced are those of nodes that were taken over from the element it is a slice of: their slicing is not its own.
	unsliced []element.Node
	// implied is the type of a slice that a choice's written-out name makes: Quantity of valueQuantity.
	implied string
}

// child gives the first child of that name of the first node that has one.
func (d *elementDef) child(name string) element.Node {
	for _, n := range d.nodes {
		if c := n.Child(name); c.Valid() {
			return c
		}
	}
	return element.Node{}
}

// owner gives the first node that has a child of that name.
func (d *elementDef) owner(name string) element.Node {
	for _, n := range d.nodes {
		if n.Child(name).Valid() {
			return n
		}
	}
	return element.Node{}
}

// slicing gives the element's own slicing.
func (d *elementDef) slicing() element.Node {
	if n := d.owner("slicing"); !slices.Contains(d.unsliced, n) {
		return n.Child("slicing")
	}
	return element.Node{}
}

func (d *elementDef) text(name string) string { return d.child(name).Text() }

// depth is the number of steps in a path.
func depth(path string) int { return strings.Count(path, ".") }

// last step of a path.
func last(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }

// parentOf is a path or id without its last step.
func parentOf(path string) string {
	if k := strings.LastIndexByte(path, '.'); k >= 0 {
		return path[:k]
	}
	return ""
}

// readElements reads the element children of a snapshot or differential and gives each its id, which is made from
// paths and slice names: definitions written by hand have none, or wrong ones.
func readElements(view element.Node) (out []*elementDef) {
	var above []*elementDef // the element before, what it stands in, …
	for c := view.First(); c.Valid(); c = c.Next() {
		if c.Name() != "element" {
			continue
		}
		d := &elementDef{path: c.Child("path").Text(), slice: c.Child("sliceName").Text(), nodes: []element.Node{c}}
		for len(above) > 0 && !strings.HasPrefix(d.path, above[len(above)-1].path+".") {
			above = above[:len(above)-1]
		}
		step, given := last(d.path), c.Child("id").Text()
		if named := last(given); d.slice == "" && strings.HasPrefix(named, step+":") {
			d.slice = named[len(step)+1:] // the id alone names the slice
		}
		if d.slice != "" {
			step += ":" + d.slice
		}
		parent := parentOf(given)
		switch { // a differential may go straight below a slice that only its id names, and leaves out what is above
		case depth(d.path) == 0:
			d.id = step
		case parent != "" && unsliced(parent) == parentOf(d.path):
			d.id = parent + "." + step
		case len(above) > 0:
			top := above[len(above)-1]
			d.id = top.id + strings.TrimPrefix(parentOf(d.path), top.path) + "." + step
		default:
			d.id = parentOf(d.path) + "." + step
		}
		above = append(above, d)
		out = append(out, d)
	}
	return out
}

// unsliced is an id without slice names.
func unsliced(id string) string {
	var b strings.Builder
	for i, step := range strings.Split(id, ".") {
		if i > 0 {
			b.WriteByte('.')
		}
		name, _, _ := strings.Cut(step, ":")
		b.WriteString(name)
	}
	return b.String()
}
