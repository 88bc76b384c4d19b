package fhirpath

import "meridian/fhir/schema"

// typeByName resolves the parts of a type specifier; nil when there is no such
// type. Without a namespace both FHIR's and the system's type of that name are
// meant (Quantity); their names differ otherwise (string, String).
// https://hl7.org/fhirpath/N1/#type-specifier
func typeByName(names []string) *TypeName {
	t := &TypeName{Name: names[len(names)-1]}
	switch {
	case len(names) > 2:
		return nil
	case len(names) == 2:
		t.Namespace = names[0]
	}
	if t.Namespace != "System" {
		t.fhir = schema.ByName(t.Name)
	}
	if t.Namespace != "FHIR" {
		for k, name := range kindNames {
			if name == t.Name && name != "" {
				t.system = Kind(k)
			}
		}
	}
	switch {
	case t.Namespace == "System": // System.Patient is a name, of nothing
		return t
	case t.Namespace != "" && t.Namespace != "FHIR":
		return nil
	case t.fhir == nil && t.system == 0:
		return nil
	}
	return t
}

// has says that i is of the type or of one derived from it.
func (t *TypeName) has(i Item) bool {
	switch i.kind {
	case Element, Referred:
		return t.fhir != nil && schema.ByID(i.Type()).IsA(t.fhir.ID)
	}
	return t.system != 0 && i.kind == t.system
}

// https://hl7.org/fhirpath/N1/#types
var typeFunctions = []function{
	{name: "is", typeArg: true, eval: func(ev *evaluator, n *Call, in []Item, _ *scope) error { return ev.isType(n, in, n.Type) }},
	{name: "as", typeArg: true, eval: func(ev *evaluator, n *Call, in []Item, _ *scope) error { return ev.asType(n, in, n.Type) }},
	{name: "type", eval: fnType},
}

func fnType(ev *evaluator, _ *Call, in []Item, _ *scope) error {
	for _, i := range in {
		ev.pushType(i)
	}
	return nil
}

func (ev *evaluator) typeTest(n *TypeTest, sc *scope) error {
	mark := len(ev.stack)
	if err := ev.eval(n.X, sc); err != nil {
		return err
	}
	end := len(ev.stack)
	in := ev.stack[mark:end:end]
	var err error
	if n.Op == "is" {
		err = ev.isType(n, in, n.Type)
	} else {
		err = ev.asType(n, in, n.Type)
	}
	ev.drop(mark, end)
	return err
}

// isType pushes whether the only item of in is a t.
// https://hl7.org/fhirpath/N1/#is-type-specifier
func (ev *evaluator) isType(n Node, in []Item, t *TypeName) error {
	i, ok, err := ev.one(n, in)
	if ok {
		ev.pushBool(t.has(i))
	}
	return err
}

// asType pushes the only item of in if it is a t.
// https://hl7.org/fhirpath/N1/#as-type-specifier
func (ev *evaluator) asType(n Node, in []Item, t *TypeName) error {
	if len(in) > 1 && !ev.env.FilterAs {
		return ev.fail(Execution, n, "'as' takes one item, but there are %d", len(in))
	}
	ev.ofType(in, t)
	return nil
}

func (ev *evaluator) ofType(in []Item, t *TypeName) {
	for _, i := range in {
		if t.has(i) {
			ev.push(i)
		}
	}
}

// pushType pushes what type() says of i.
// https://hl7.org/fhirpath/N1/#reflection
func (ev *evaluator) pushType(i Item) {
	switch i.kind {
	case Element, Referred:
		ev.push(Item{kind: TypeInfo, str: schema.ByID(i.Type()).Name})
	case TypeInfo:
		ev.push(Item{kind: TypeInfo, str: "SimpleTypeInfo", num: 1})
	default:
		ev.push(Item{kind: TypeInfo, str: kindNames[i.kind], num: 1})
	}
}
