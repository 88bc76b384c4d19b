package fhirpath

import "meridian/fhir/value"

// https://hl7.org/fhirpath/N1/#utility-functions
var utilityFunctions = []function{
	{name: "trace", least: 1, most: 2, eval: fnTrace},
	{name: "defineVariable", least: 1, most: 2, eval: fnDefineVariable},
	{name: "now", eval: fnNow},
	{name: "timeOfDay", eval: fnTimeOfDay},
	{name: "today", eval: fnToday},
}

// https://hl7.org/fhirpath/N1/#not--boolean
var booleanFunctions = []function{
	{name: "not", eval: fnNot},
}

func fnNot(ev *evaluator, n *Call, in []Item, _ *scope) error {
	t, ok := truth(in)
	if !ok {
		return ev.fail(Execution, n, "a Boolean is asked for, but there are %d items", len(in))
	}
	ev.pushTruth(t.not())
	return nil
}

// https://hl7.org/fhirpath/N1/#aggregates
var aggregateFunctions = []function{
	{name: "aggregate", least: 1, most: 2, eval: fnAggregate},
}

func fnAggregate(ev *evaluator, n *Call, in []Item, sc *scope) error {
	mark := len(ev.stack)
	inner := ev.enter(sc)
	defer ev.leave()
	if len(n.Args) == 2 {
		if err := ev.eval(n.Args[1], sc); err != nil {
			return err
		}
	}
	total := append([]Item(nil), ev.results(mark)...)
	for j := range in {
		ev.cut(mark)
		inner.this, inner.index, inner.total = in[j:j+1], j, total
		if err := ev.eval(n.Args[0], inner); err != nil {
			return err
		}
		total = append(total[:0:0], ev.results(mark)...)
	}
	return nil
}

func fnTrace(ev *evaluator, n *Call, in []Item, sc *scope) error {
	name, _, err := ev.textArgument(n, 0, sc)
	if err != nil {
		return err
	}
	items := in
	if len(n.Args) == 2 {
		mark := len(ev.stack)
		if err := ev.project(n, 1, in, sc); err != nil {
			return err
		}
		items = ev.results(mark)
		ev.cut(mark)
	}
	if ev.env.Trace != nil {
		ev.env.Trace(name, append(Collection(nil), items...))
	}
	ev.pushAll(in)
	return nil
}

// clock gives now with milliseconds.
func (ev *evaluator) clock(n *Call) (value.DateTime, error) {
	if ev.env.Now.IsZero() {
		return value.DateTime{}, ev.fail(Missing, n, "%s() has no clock", n.Name)
	}
	return value.DateTimeOf(ev.env.Now, 3), nil
}

func fnNow(ev *evaluator, n *Call, _ []Item, _ *scope) error {
	d, err := ev.clock(n)
	if err == nil {
		ev.push(DateTimeItem(d))
	}
	return err
}

func fnToday(ev *evaluator, n *Call, _ []Item, _ *scope) error {
	d, err := ev.clock(n)
	if err == nil {
		ev.push(DateItem(d.Date()))
	}
	return err
}

func fnTimeOfDay(ev *evaluator, n *Call, _ []Item, _ *scope) error {
	d, err := ev.clock(n)
	if err == nil {
		t, _ := d.Clock()
		ev.push(TimeItem(t))
	}
	return err
}
