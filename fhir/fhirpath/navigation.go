package fhirpath

import "meridian/fhir/element"

// https://hl7.org/fhirpath/N1/#tree-navigation
var navigationFunctions = []function{
	{name: "children", eval: fnChildren},
	{name: "descendants", eval: fnDescendants},
}

func fnChildren(ev *evaluator, _ *Call, in []Item, _ *scope) error {
	for _, i := range in {
		for c := i.node.First(); c.Valid(); c = c.Next() {
			ev.push(NodeItem(c))
		}
	}
	return nil
}

// fnDescendants gives all elements below, parents before their children.
func fnDescendants(ev *evaluator, n *Call, in []Item, _ *scope) error {
	for _, i := range in {
		ev.descend(i.node)
		if len(ev.stack) > ev.limits.Items {
			return ev.fail(Costly, n, "more than %d items", ev.limits.Items)
		}
	}
	return nil
}

// descend recurses as deep as the codec lets a tree be.
func (ev *evaluator) descend(n element.Node) {
	for c := n.First(); c.Valid() && len(ev.stack) <= ev.limits.Items; c = c.Next() {
		ev.push(NodeItem(c))
		ev.descend(c)
	}
}
