package fhirpath

import (
	"fmt"

	"meridian/fhir/element"
	"meridian/fhir/schema"
)

// scope is what names mean at a place in the expression.
type scope struct {
	this  []Item // $this and the focus of names; one item, or the whole focus at the top
	index int    // $index
	total []Item // $total, nil outside of aggregate()
	inner bool   // inside of a function's criterion: $index is known
	vars  *defined
}

// defined is a variable that defineVariable() made, and those before it.
type defined struct {
	name  string
	value []Item
	next  *defined
}

// evaluator runs one evaluation. Results are pushed on stack; see the package comment.
type evaluator struct {
	expr   *Expr
	env    *Env
	limits Limits
	focus  []Item
	stack  []Item
	scopes []*scope // reused, the first depth of them in use
	depth  int
	high   int // the most items that were on stack
	steps  int
	bytes  int
}

// pooledItems is the largest stack that goes back into the pool.
const pooledItems = 4096

var emptyEnv Env

func (ev *evaluator) reset(e *Expr, env *Env, focus []Item) {
	if env == nil {
		env = &emptyEnv
	}
	ev.expr, ev.env, ev.limits = e, env, env.Limits.withDefaults()
	ev.focus = append(ev.focus[:0], focus...)
	ev.steps, ev.bytes, ev.depth = 0, 0, 0
}

// clear lets go of everything that belongs to the caller.
func (ev *evaluator) clear() {
	if cap(ev.stack) > pooledItems {
		ev.stack = nil
	}
	ev.cut(0)
	clear(ev.stack[:min(ev.high, cap(ev.stack))])
	clear(ev.focus)
	for _, s := range ev.scopes {
		*s = scope{}
	}
	ev.focus, ev.env, ev.high = ev.focus[:0], nil, 0
}

// enter gives the scope of a criterion within sc; leave gives it back.
func (ev *evaluator) enter(sc *scope) *scope {
	if ev.depth == len(ev.scopes) {
		ev.scopes = append(ev.scopes, new(scope))
	}
	s := ev.scopes[ev.depth]
	ev.depth++
	*s = scope{inner: true, total: sc.total, vars: sc.vars}
	return s
}

func (ev *evaluator) leave() { ev.depth-- }

func (ev *evaluator) fail(kind ErrorKind, n Node, format string, args ...any) error {
	return &Error{Kind: kind, Source: ev.expr.source, Offset: n.Offset(), Text: fmt.Sprintf(format, args...)}
}

func (ev *evaluator) push(i Item) { ev.stack = append(ev.stack, i) }

func (ev *evaluator) pushAll(items []Item) { ev.stack = append(ev.stack, items...) }

func (ev *evaluator) pushBool(b bool) { ev.push(BooleanItem(b)) }

// pushTruth pushes nothing for unknown.
func (ev *evaluator) pushTruth(t ternary) {
	if t != unknown {
		ev.pushBool(t == yes)
	}
}

// pushText pushes a string that was built, within the limit.
func (ev *evaluator) pushText(n Node, s string) error {
	if ev.bytes += len(s); ev.bytes > ev.limits.Bytes {
		return ev.fail(Costly, n, "more than %d bytes of strings", ev.limits.Bytes)
	}
	ev.push(StringItem(s))
	return nil
}

// results gives what was pushed since mark. It stays as it is until the stack
// is cut below its end and pushed again.
func (ev *evaluator) results(mark int) []Item { return ev.stack[mark:len(ev.stack):len(ev.stack)] }

// cut takes everything from mark off the stack.
func (ev *evaluator) cut(mark int) {
	ev.high = max(ev.high, len(ev.stack))
	ev.stack = ev.stack[:mark]
}

// drop removes the items from mark to end, which lie below the results.
func (ev *evaluator) drop(mark, end int) {
	if mark == end {
		return
	}
	ev.cut(mark + copy(ev.stack[mark:], ev.stack[end:]))
}

// eval pushes the results of n.
func (ev *evaluator) eval(n Node, sc *scope) error {
	ev.steps++
	if err := ev.paid(n); err != nil {
		return err
	}
	if len(ev.stack) > ev.limits.Items {
		return ev.fail(Costly, n, "more than %d items", ev.limits.Items)
	}
	switch n := n.(type) {
	case *Literal:
		ev.pushAll(n.Value)
		return nil
	case *Variable:
		return ev.variable(n, sc)
	case *Special:
		return ev.special(n, sc)
	case *Member, *Call, *Indexer:
		return ev.step(n, sc)
	case *Unary:
		return ev.unary(n, sc)
	case *Binary:
		return ev.binary(n, sc)
	}
	return ev.typeTest(n.(*TypeTest), sc)
}

// step evaluates a step of a path; behind the last one what the path defined is unknown.
func (ev *evaluator) step(n Node, sc *scope) (err error) {
	vars, closes := sc.vars, false
	switch n := n.(type) {
	case *Member:
		closes, err = n.closes, ev.member(n, sc)
	case *Call:
		closes, err = n.closes, ev.call(n, sc)
	case *Indexer:
		closes, err = n.closes, ev.indexer(n, sc)
	}
	if closes {
		sc.vars = vars
	}
	return err
}

// charge takes the price of work that is not an evaluation of a node: comparisons,
// text. Where the limit is passed, it says so by false, and paid by an error.
func (ev *evaluator) charge(steps int) bool {
	ev.steps += steps
	return ev.steps <= ev.limits.Steps
}

func (ev *evaluator) paid(n Node) error {
	if ev.steps > ev.limits.Steps {
		return ev.fail(Costly, n, "more than %d steps", ev.limits.Steps)
	}
	return nil
}

// singleton evaluates n, which may give at most one item, and takes the result off the stack.
func (ev *evaluator) singleton(n Node, sc *scope) (Item, bool, error) {
	mark := len(ev.stack)
	if err := ev.eval(n, sc); err != nil {
		return Item{}, false, err
	}
	items := ev.stack[mark:]
	ev.cut(mark)
	switch len(items) {
	case 0:
		return Item{}, false, nil
	case 1:
		return items[0], true, nil
	}
	return Item{}, false, ev.fail(Execution, n, "one item is asked for, but there are %d", len(items))
}

// one gives the only item of in.
func (ev *evaluator) one(n Node, in []Item) (Item, bool, error) {
	switch len(in) {
	case 0:
		return Item{}, false, nil
	case 1:
		return in[0], true, nil
	}
	return Item{}, false, ev.fail(Execution, n, "one item is asked for, but there are %d", len(in))
}

func (ev *evaluator) special(n *Special, sc *scope) error {
	switch {
	case n.Name == "$this":
		ev.pushAll(sc.this)
	case n.Name == "$total":
		ev.pushAll(sc.total)
	case !sc.inner:
		return ev.fail(Semantic, n, "$index has no meaning here")
	default:
		ev.push(IntegerItem(int64(sc.index)))
	}
	return nil
}

func (ev *evaluator) member(n *Member, sc *scope) error {
	if n.X == nil {
		for _, i := range sc.this {
			if isUpper(n.Name) && ofTypeNamed(i, n.Name) {
				ev.push(i)
				continue
			}
			if err := ev.children(n, i); err != nil {
				return err
			}
		}
		return nil
	}
	if ev.env.Strict {
		if t := castType(n.X); t != nil && !hasElement(t, n.Name) {
			return ev.fail(Semantic, n, "%s has no element %q", t.Name, n.Name)
		}
	}
	mark := len(ev.stack)
	if err := ev.eval(n.X, sc); err != nil {
		return err
	}
	end := len(ev.stack)
	for k := mark; k < end; k++ {
		if err := ev.children(n, ev.stack[k]); err != nil {
			return err
		}
	}
	ev.drop(mark, end)
	return nil
}

func isUpper(s string) bool { return s != "" && s[0] >= 'A' && s[0] <= 'Z' }

// ofTypeNamed says that i is an element of the type that a path begins with.
func ofTypeNamed(i Item, name string) bool {
	if i.kind != Element {
		return false
	}
	for t := i.node.Type(); ; t = schema.ByID(t.Base) {
		if t.Name == name {
			return true
		}
		if t.Base == 0 {
			return false
		}
	}
}

// castType is the type to which n brings its items; nil when it is open.
func castType(n Node) *schema.Type {
	switch n := n.(type) {
	case *TypeTest:
		if n.Op == "as" {
			return n.Type.fhir
		}
	case *Call:
		if n.Type != nil && (n.Name == "as" || n.Name == "ofType") {
			return n.Type.fhir
		}
	}
	return nil
}

// unordered says that n's items come in no order that a function may count on.
// https://hl7.org/fhirpath/N1/#tree-navigation
func unordered(n Node) bool {
	c, ok := n.(*Call)
	return ok && (c.Name == "children" || c.Name == "descendants")
}

// children pushes the children of i with n's name.
func (ev *evaluator) children(n *Member, i Item) error {
	if i.kind != Element {
		return ev.systemMember(n, i)
	}
	elements, found := i.node.Type().Elements, false
	for c := i.node.First(); c.Valid(); c = c.Next() {
		if e := c.ElementIndex(); e >= 0 && elements[e].Name == n.Name {
			ev.push(NodeItem(c))
			found = true
		}
	}
	if !found && ev.env.Strict && !hasElement(i.node.Type(), n.Name) {
		return ev.fail(Semantic, n, "%s has no element %q", i.node.Type().Name, n.Name)
	}
	return nil
}

func hasElement(t *schema.Type, name string) bool {
	for k := range t.Elements {
		if t.Elements[k].Name == name {
			return true
		}
	}
	return false
}

// systemMember gives the members of what type() returns; other system values have none.
func (ev *evaluator) systemMember(n *Member, i Item) error {
	switch {
	case i.kind == TypeInfo && n.Name == "name":
		ev.push(StringItem(i.str))
	case i.kind == TypeInfo && n.Name == "namespace" && i.num == 1:
		ev.push(StringItem("System"))
	case i.kind == TypeInfo && n.Name == "namespace":
		ev.push(StringItem("FHIR"))
	case i.kind == Referred:
		return ev.fail(Missing, n, "only the type of the referenced %s is known", i.TypeName())
	case ev.env.Strict:
		return ev.fail(Semantic, n, "%s has no element %q", i.TypeName(), n.Name)
	}
	return nil
}

func (ev *evaluator) call(n *Call, sc *scope) error {
	if n.X == nil {
		if err := n.fn.eval(ev, n, sc.this, sc); err != nil {
			return err
		}
		return ev.paid(n)
	}
	if ev.env.Strict && n.fn.ordered && unordered(n.X) {
		return ev.fail(Semantic, n, "%s() of items without order", n.Name)
	}
	mark := len(ev.stack)
	if err := ev.eval(n.X, sc); err != nil {
		return err
	}
	end := len(ev.stack)
	if err := n.fn.eval(ev, n, ev.stack[mark:end:end], sc); err != nil {
		return err
	}
	ev.drop(mark, end)
	return ev.paid(n)
}

func (ev *evaluator) indexer(n *Indexer, sc *scope) error {
	mark := len(ev.stack)
	if err := ev.eval(n.X, sc); err != nil {
		return err
	}
	i, ok, err := ev.singleton(n.Index, sc)
	if err != nil {
		return err
	}
	at, isInt := i.Int()
	if ok && !isInt {
		return ev.fail(Execution, n.Index, "an index is an Integer, not %s", i.TypeName())
	}
	if items := ev.stack[mark:]; ok && at >= 0 && at < int64(len(items)) {
		items[0] = items[at]
		ev.cut(mark + 1)
	} else {
		ev.cut(mark)
	}
	return nil
}

// resourceOf is the nearest resource that holds n, n included.
func resourceOf(n element.Node) element.Node {
	for n.Valid() && n.Type().Kind != schema.Resource {
		n = n.Parent()
	}
	return n
}

// rootResourceOf is the resource that contains n's resource, or that resource itself.
// https://hl7.org/fhir/R4/fhirpath.html#vars
func rootResourceOf(n element.Node) element.Node {
	r := resourceOf(n)
	if r.Valid() && r.Name() == "contained" {
		return resourceOf(r.Parent())
	}
	return r
}
