package fhirpath

import "fmt"

// function is a row of the function table.
type function struct {
	name        string
	least, most int  // number of arguments
	typeArg     bool // the only argument is a type specifier
	typeMay     bool // which may be left out
	ordered     bool // depends on the order of the input
	// eval pushes the results for the input in. Criteria are evaluated with an
	// item of in as $this; all other arguments in the scope of the call.
	eval func(ev *evaluator, n *Call, in []Item, sc *scope) error
}

func (f *function) arguments() string {
	if f.least == f.most {
		return fmt.Sprint(f.least)
	}
	return fmt.Sprintf("%d to %d", f.least, f.most)
}

// many is the most arguments that coalesce(), sort() and the like take.
const many = 100

// functions holds a row for every function; the rows stand in the files named after
// the chapters of https://hl7.org/fhirpath/N1/#functions. Read only.
var functions = table(
	existenceFunctions, filteringFunctions, subsettingFunctions, combiningFunctions, conversionFunctions,
	stringFunctions, mathFunctions, navigationFunctions, utilityFunctions, booleanFunctions, typeFunctions,
	aggregateFunctions, boundaryFunctions, fhirFunctions, terminologyFunctions, keyFunctions,
)

func table(chapters ...[]function) map[string]*function {
	m := make(map[string]*function)
	for _, c := range chapters {
		for k := range c {
			m[c[k].name] = &c[k]
		}
	}
	return m
}

// simple makes a row's eval of a function that looks at its only input and
// gives at most one item.
func simple(f func(i Item) (Item, bool)) func(*evaluator, *Call, []Item, *scope) error {
	return func(ev *evaluator, n *Call, in []Item, _ *scope) error {
		i, ok, err := ev.one(n, in)
		if err != nil || !ok {
			return err
		}
		if r, ok := f(i); ok {
			ev.push(r)
		}
		return nil
	}
}

// each evaluates argument k once for every item of in, as $this, and hands its
// results to f before they are taken off the stack. f returns false to stop.
func (ev *evaluator) each(n *Call, k int, in []Item, sc *scope, f func(i Item, results []Item) (bool, error)) error {
	inner := ev.enter(sc)
	defer ev.leave()
	for j := range in {
		inner.this, inner.index = in[j:j+1], j
		mark := len(ev.stack)
		if err := ev.eval(n.Args[k], inner); err != nil {
			return err
		}
		results := ev.results(mark)
		ev.cut(mark)
		if goOn, err := f(in[j], results); err != nil || !goOn {
			return err
		}
	}
	return nil
}

// eachTruth is each for a criterion.
func (ev *evaluator) eachTruth(n *Call, k int, in []Item, sc *scope, f func(i Item, t ternary) bool) error {
	return ev.each(n, k, in, sc, func(i Item, results []Item) (bool, error) {
		t, ok := truth(results)
		if !ok {
			return false, ev.fail(Execution, n.Args[k], "a Boolean is asked for, but there are %d items", len(results))
		}
		return f(i, t), nil
	})
}

// argument evaluates argument k, which may give at most one item. ok is false
// where it is empty or left out.
func (ev *evaluator) argument(n *Call, k int, sc *scope) (Item, bool, error) {
	if k >= len(n.Args) {
		return Item{}, false, nil
	}
	return ev.singleton(n.Args[k], sc)
}

// textArgument is argument for a String.
func (ev *evaluator) textArgument(n *Call, k int, sc *scope) (string, bool, error) {
	i, ok, err := ev.argument(n, k, sc)
	if err != nil || !ok {
		return "", false, err
	}
	s, ok := i.Text()
	if !ok {
		return "", false, ev.fail(Execution, n.Args[k], "%s() takes a String, not %s", n.Name, i.TypeName())
	}
	return s, true, nil
}

// intArgument is argument for an Integer.
func (ev *evaluator) intArgument(n *Call, k int, sc *scope) (int64, bool, error) {
	i, ok, err := ev.argument(n, k, sc)
	if err != nil || !ok {
		return 0, false, err
	}
	v, ok := i.Int()
	if !ok {
		return 0, false, ev.fail(Execution, n.Args[k], "%s() takes an Integer, not %s", n.Name, i.TypeName())
	}
	return v, true, nil
}

// collection evaluates argument k and leaves its items on the stack, from the
// mark that it gives.
func (ev *evaluator) collection(n *Call, k int, sc *scope) (mark int, items []Item, err error) {
	mark = len(ev.stack)
	err = ev.eval(n.Args[k], sc)
	return mark, ev.results(mark), err
}
