package fhirpath

// https://hl7.org/fhirpath/N1/#subsetting
var subsettingFunctions = []function{
	{name: "single", eval: fnSingle},
	{name: "first", ordered: true, eval: fnFirst},
	{name: "last", ordered: true, eval: fnLast},
	{name: "tail", ordered: true, eval: fnTail},
	{name: "skip", least: 1, most: 1, ordered: true, eval: fnSkip},
	{name: "take", least: 1, most: 1, ordered: true, eval: fnTake},
	{name: "intersect", least: 1, most: 1, eval: fnIntersect},
	{name: "exclude", least: 1, most: 1, eval: fnExclude},
}

func fnSingle(ev *evaluator, n *Call, in []Item, _ *scope) error {
	i, ok, err := ev.one(n, in)
	if ok {
		ev.push(i)
	}
	return err
}

func fnFirst(ev *evaluator, _ *Call, in []Item, _ *scope) error {
	ev.pushAll(in[:min(1, len(in))])
	return nil
}

func fnLast(ev *evaluator, _ *Call, in []Item, _ *scope) error {
	ev.pushAll(in[max(0, len(in)-1):])
	return nil
}

func fnTail(ev *evaluator, _ *Call, in []Item, _ *scope) error {
	ev.pushAll(in[min(1, len(in)):])
	return nil
}

func fnSkip(ev *evaluator, n *Call, in []Item, sc *scope) error {
	k, ok, err := ev.intArgument(n, 0, sc)
	if ok {
		ev.pushAll(in[min(max(k, 0), int64(len(in))):])
	}
	return err
}

func fnTake(ev *evaluator, n *Call, in []Item, sc *scope) error {
	k, ok, err := ev.intArgument(n, 0, sc)
	if ok {
		ev.pushAll(in[:min(max(k, 0), int64(len(in)))])
	}
	return err
}

// fnIntersect keeps what is in both, without duplicates.
func fnIntersect(ev *evaluator, n *Call, in []Item, sc *scope) error {
	mark, other, err := ev.collection(n, 0, sc)
	ev.cut(mark)
	if err != nil {
		return err
	}
	set, done := ev.setOf(other), &itemSet{ev: ev}
	for _, i := range in {
		if set.has(i) && done.add(i) {
			ev.push(i)
		}
	}
	return nil
}

// fnExclude keeps what is not in the argument, duplicates and order included.
func fnExclude(ev *evaluator, n *Call, in []Item, sc *scope) error {
	mark, other, err := ev.collection(n, 0, sc)
	ev.cut(mark)
	if err != nil {
		return err
	}
	set := ev.setOf(other)
	for _, i := range in {
		if !set.has(i) {
			ev.push(i)
		}
	}
	return nil
}
