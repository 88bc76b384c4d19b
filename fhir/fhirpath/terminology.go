package fhirpath

// Functions that ask Env.Terminology about codes, and those of %terminologies.
// https://hl7.org/fhir/R4/fhirpath.html#functions, https://hl7.org/fhir/R4/fhirpath.html#txapi
var terminologyFunctions = []function{
	{name: "memberOf", least: 1, most: 1, eval: fnMemberOf},
	{name: "subsumes", least: 1, most: 4, eval: fnSubsumes},
	{name: "subsumedBy", least: 1, most: 1, eval: func(ev *evaluator, n *Call, in []Item, sc *scope) error { return ev.subsumes(n, in, sc, true) }},
	{name: "expand", least: 1, most: 2, eval: fnTerminologies},
	{name: "lookup", least: 1, most: 2, eval: fnTerminologies},
	{name: "validateVS", least: 2, most: 3, eval: fnTerminologies},
	{name: "validateCS", least: 2, most: 3, eval: fnTerminologies},
	{name: "translate", least: 2, most: 3, eval: fnTerminologies},
}

// fnSubsumes is the function of a code, and that of %terminologies.
func fnSubsumes(ev *evaluator, n *Call, in []Item, sc *scope) error {
	if len(in) == 1 && in[0].kind == terminologies {
		return fnTerminologies(ev, n, in, sc)
	}
	return ev.subsumes(n, in, sc, false)
}

// fnTerminologies asks Env.Terminologies.
func fnTerminologies(ev *evaluator, n *Call, in []Item, sc *scope) error {
	if i, ok, err := ev.one(n, in); err != nil || !ok {
		return err
	} else if i.kind != terminologies {
		return ev.fail(Execution, n, "%s() is of %%terminologies, not of %s", n.Name, i.TypeName())
	}
	if ev.env.Terminologies == nil {
		return ev.fail(Missing, n, "%s() has no terminology", n.Name)
	}
	args := make([]Collection, len(n.Args))
	for k := range n.Args {
		mark, items, err := ev.collection(n, k, sc)
		if err != nil {
			return err
		}
		args[k] = append(Collection(nil), items...)
		ev.cut(mark)
	}
	out, err := ev.env.Terminologies.Operate(n.Name, args)
	if err == nil && out.Valid() {
		ev.push(NodeItem(out))
	}
	return err
}

// fnMemberOf asks Env.Terminology.
func fnMemberOf(ev *evaluator, n *Call, in []Item, sc *scope) error {
	i, ok, err := ev.one(n, in)
	if err != nil || !ok {
		return err
	}
	url, ok, err := ev.textArgument(n, 0, sc)
	if err != nil || !ok {
		return err
	}
	if ev.env.Terminology == nil {
		return ev.fail(Missing, n, "memberOf() has no terminology")
	}
	if i.kind != Element {
		return ev.fail(Execution, n, "memberOf() is of a code, Coding or CodeableConcept, not of %s", i.TypeName())
	}
	member, known, err := ev.env.Terminology.MemberOf(i.node, url)
	if known {
		ev.pushBool(member)
	}
	return err
}

// subsumes asks Env.Terminology; turned swaps input and argument.
func (ev *evaluator) subsumes(n *Call, in []Item, sc *scope, turned bool) error {
	if len(n.Args) != 1 {
		return ev.fail(Semantic, n, "%s() has %d arguments, not 1", n.Name, len(n.Args))
	}
	a, ok, err := ev.one(n, in)
	if err != nil || !ok {
		return err
	}
	b, ok, err := ev.argument(n, 0, sc)
	if err != nil || !ok {
		return err
	}
	if ev.env.Terminology == nil {
		return ev.fail(Missing, n, "%s() has no terminology", n.Name)
	}
	if a.kind != Element || b.kind != Element {
		return ev.fail(Execution, n, "%s() is between codes", n.Name)
	}
	if turned {
		a, b = b, a
	}
	result, known, err := ev.env.Terminology.Subsumes(a.node, b.node)
	if known {
		ev.pushBool(result)
	}
	return err
}
