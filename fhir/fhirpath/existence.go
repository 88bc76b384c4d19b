package fhirpath

// https://hl7.org/fhirpath/N1/#existence
var existenceFunctions = []function{
	{name: "empty", eval: fnEmpty},
	{name: "exists", most: 1, eval: fnExists},
	{name: "all", least: 1, most: 1, eval: fnAll},
	{name: "allTrue", eval: fnAllTrue},
	{name: "anyTrue", eval: fnAnyTrue},
	{name: "allFalse", eval: fnAllFalse},
	{name: "anyFalse", eval: fnAnyFalse},
	{name: "subsetOf", least: 1, most: 1, eval: fnSubsetOf},
	{name: "supersetOf", least: 1, most: 1, eval: fnSupersetOf},
	{name: "count", eval: fnCount},
	{name: "distinct", eval: fnDistinct},
	{name: "isDistinct", eval: fnIsDistinct},
}

func fnEmpty(ev *evaluator, _ *Call, in []Item, _ *scope) error {
	ev.pushBool(len(in) == 0)
	return nil
}

func fnExists(ev *evaluator, n *Call, in []Item, sc *scope) error {
	if len(n.Args) == 0 {
		ev.pushBool(len(in) > 0)
		return nil
	}
	found := false
	err := ev.eachTruth(n, 0, in, sc, func(_ Item, t ternary) bool {
		found = t == yes
		return !found
	})
	ev.pushBool(found)
	return err
}

func fnAll(ev *evaluator, n *Call, in []Item, sc *scope) error {
	all := true
	err := ev.eachTruth(n, 0, in, sc, func(_ Item, t ternary) bool {
		all = t == yes
		return all
	})
	ev.pushBool(all)
	return err
}

func fnAllTrue(ev *evaluator, n *Call, in []Item, _ *scope) error {
	return ev.allBooleans(n, in, false, true)
}

func fnAnyTrue(ev *evaluator, n *Call, in []Item, _ *scope) error {
	return ev.allBooleans(n, in, true, false)
}

func fnAllFalse(ev *evaluator, n *Call, in []Item, _ *scope) error {
	return ev.allBooleans(n, in, true, true)
}

func fnAnyFalse(ev *evaluator, n *Call, in []Item, _ *scope) error {
	return ev.allBooleans(n, in, false, false)
}

// allBooleans pushes otherwise if no item is stop, else its opposite.
func (ev *evaluator) allBooleans(n *Call, in []Item, stop, otherwise bool) error {
	result := otherwise
	for _, i := range in {
		b, ok := i.Bool()
		if !ok {
			return ev.fail(Execution, n, "%s() takes Booleans, not %s", n.Name, i.TypeName())
		}
		if b == stop {
			result = !otherwise
		}
	}
	ev.pushBool(result)
	return nil
}

func fnSubsetOf(ev *evaluator, n *Call, in []Item, sc *scope) error {
	mark, other, err := ev.collection(n, 0, sc)
	ev.cut(mark)
	if err == nil {
		ev.pushBool(ev.subset(in, other))
	}
	return err
}

func fnSupersetOf(ev *evaluator, n *Call, in []Item, sc *scope) error {
	mark, other, err := ev.collection(n, 0, sc)
	ev.cut(mark)
	if err == nil {
		ev.pushBool(ev.subset(other, in))
	}
	return err
}

func (ev *evaluator) subset(x, y []Item) bool {
	set := ev.setOf(y)
	for _, i := range x {
		if !set.has(i) {
			return false
		}
	}
	return true
}

func (ev *evaluator) setOf(items []Item) *itemSet {
	s := &itemSet{ev: ev}
	for _, i := range items {
		s.add(i)
	}
	return s
}

func fnCount(ev *evaluator, _ *Call, in []Item, _ *scope) error {
	ev.push(IntegerItem(int64(len(in))))
	return nil
}

func fnDistinct(ev *evaluator, _ *Call, in []Item, _ *scope) error {
	ev.distinct(in)
	return nil
}

func fnIsDistinct(ev *evaluator, _ *Call, in []Item, _ *scope) error {
	ev.pushBool(len(ev.setOf(in).items) == len(in))
	return nil
}
