package fhirpath

import "slices"

// sortKey is what one argument of sort() gives for an item.
type sortKey struct {
	item Item
	ok   bool
}

// fnSort orders the input by its arguments, each evaluated on an item, without
// arguments by the items; a minus sign before an argument turns its order
// round. Items for which an argument is empty come first.
// https://hl7.org/fhirpath/N1/ has no sort(); this is that of version 3.0.
func fnSort(ev *evaluator, n *Call, in []Item, sc *scope) error {
	args, down := make([]Node, len(n.Args)), make([]bool, max(1, len(n.Args)))
	for k, a := range n.Args {
		args[k] = a
		if u, ok := a.(*Unary); ok && u.Op == "-" {
			args[k], down[k] = u.X, true
		}
	}
	keys, err := ev.sortKeys(args, in, sc)
	if err != nil {
		return err
	}
	order := make([]int, len(in))
	for k := range order {
		order[k] = k
	}
	var bad error
	slices.SortStableFunc(order, func(a, b int) int {
		for k := range keys[a] {
			c, ok := compareKeys(keys[a][k], keys[b][k], down[k])
			if !ok && bad == nil {
				bad = ev.fail(Execution, n, "%s and %s have no order", keys[a][k].item.TypeName(), keys[b][k].item.TypeName())
			}
			if c != 0 {
				return c
			}
		}
		return 0
	})
	for _, k := range order {
		ev.push(in[k])
	}
	return bad
}

func (ev *evaluator) sortKeys(args []Node, in []Item, sc *scope) ([][]sortKey, error) {
	keys, inner := make([][]sortKey, len(in)), ev.enter(sc)
	defer ev.leave()
	for j, i := range in {
		if len(args) == 0 {
			keys[j] = []sortKey{{i, true}}
			continue
		}
		inner.this, inner.index = in[j:j+1], j
		for _, a := range args {
			item, ok, err := ev.singleton(a, inner)
			if err != nil {
				return nil, err
			}
			keys[j] = append(keys[j], sortKey{item, ok})
		}
	}
	return keys, nil
}

func compareKeys(x, y sortKey, down bool) (int, bool) {
	switch {
	case !x.ok && !y.ok:
		return 0, true
	case !x.ok:
		return -1, true
	case !y.ok:
		return 1, true
	}
	c, known, ok := compare(x.item, y.item)
	if !known {
		return 0, ok
	}
	if down {
		c = -c
	}
	return c, ok
}
