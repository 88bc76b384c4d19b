package fhirpath

// https://hl7.org/fhirpath/N1/#combining
var combiningFunctions = []function{
	{name: "union", least: 1, most: 1, eval: fnUnion},
	{name: "combine", least: 1, most: 1, eval: fnCombine},
}

// fnUnion merges without duplicates.
func fnUnion(ev *evaluator, n *Call, in []Item, sc *scope) error {
	mark, other, err := ev.collection(n, 0, sc)
	ev.cut(mark)
	if err != nil {
		return err
	}
	set := ev.setOf(in)
	for _, i := range other {
		set.add(i)
	}
	ev.pushAll(set.items)
	return nil
}

// fnCombine merges with duplicates.
func fnCombine(ev *evaluator, n *Call, in []Item, sc *scope) error {
	mark := len(ev.stack)
	ev.pushAll(in)
	if err := ev.eval(n.Args[0], sc); err != nil {
		ev.cut(mark)
		return err
	}
	return nil
}
