package fhirpath

// https://hl7.org/fhirpath/N1/#filtering-and-projection
var filteringFunctions = []function{
	{name: "where", least: 1, most: 1, eval: fnWhere},
	{name: "select", least: 1, most: 1, eval: fnSelect},
	{name: "repeat", least: 1, most: 1, eval: fnRepeat},
	{name: "ofType", typeArg: true, eval: fnOfType},
	{name: "sort", most: many, eval: fnSort},
}

func fnWhere(ev *evaluator, n *Call, in []Item, sc *scope) error {
	return ev.eachTruth(n, 0, in, sc, func(i Item, t ternary) bool {
		if t == yes {
			ev.push(i)
		}
		return true
	})
}

func fnSelect(ev *evaluator, n *Call, in []Item, sc *scope) error {
	return ev.project(n, 0, in, sc)
}

// project pushes the results of argument k for every item of in.
func (ev *evaluator) project(n *Call, k int, in []Item, sc *scope) error {
	inner := ev.enter(sc)
	defer ev.leave()
	for j := range in {
		inner.this, inner.index = in[j:j+1], j
		if err := ev.eval(n.Args[k], inner); err != nil {
			return err
		}
	}
	return nil
}

// fnRepeat applies its argument to the input, then to what is new in the
// results, until nothing new comes.
func fnRepeat(ev *evaluator, n *Call, in []Item, sc *scope) error {
	seen := itemSet{ev: ev}
	for len(in) > 0 {
		mark := len(ev.stack)
		if err := ev.project(n, 0, in, sc); err != nil {
			return err
		}
		from := len(seen.items)
		for _, i := range ev.stack[mark:] {
			seen.add(i)
		}
		ev.cut(mark)
		in = seen.items[from:len(seen.items):len(seen.items)]
		if len(seen.items) > ev.limits.Items {
			return ev.fail(Costly, n, "more than %d items", ev.limits.Items)
		}
	}
	ev.pushAll(seen.items)
	return nil
}

func fnOfType(ev *evaluator, n *Call, in []Item, _ *scope) error {
	ev.ofType(in, n.Type)
	return nil
}
