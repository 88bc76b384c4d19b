package codec

import (
	"meridian/fhir/element"
	"meridian/fhir/issue"
	"meridian/fhir/schema"
)

// A primitive's id and extensions come in a member "_name" beside "name", for
// a repeating one in an array of the same length. The two may come in either
// order, with others between, and either may be missing.
// https://hl7.org/fhir/R4/json.html#primitive

// twin reads "_name" and adds its content below the primitive's node.
func (p *Parser) twin(o *object, prop *schema.Property, at, i int) int {
	e, bit := &o.t.Elements[prop.Element], uint64(1)<<prop.Element
	var first element.Node
	if (o.seen|o.twins)&bit != 0 {
		first = p.run(o, prop.Element)
		if e.Choice && first.Valid() && first.TypeID() != prop.Type {
			p.choiceTwice(o, e, at)
			return p.skip(i, o.depth+1)
		}
	}
	if o.twins&bit != 0 {
		p.reportChild(o.node, prop.JSON, issue.Structure, idDuplicate, at, "the name is given twice")
		return p.skip(i, o.depth+1)
	}
	o.twins |= bit
	if !first.Valid() {
		o.runElem, o.runFirst = prop.Element, p.tree.Len()
	}
	if e.Repeats() {
		return p.twinArray(o, prop, first, i)
	}
	return p.twinItem(o, prop, first, i, o.depth+1)
}

func (p *Parser) twinArray(o *object, prop *schema.Property, first element.Node, i int) int {
	depth := o.depth + 1
	if p.peek(i) != '[' {
		p.reportChild(o.node, prop.JSON, issue.Structure, idJSONType, i, "the element repeats, so it must be an array")
		return p.skip(i, depth)
	}
	if depth > p.opt.MaxDepth {
		return p.tooDeep(i)
	}
	at := i
	if i = p.space(i + 1); p.peek(i) == ']' {
		p.reportChild(o.node, prop.JSON, issue.Structure, idEmptyArray, at, "an array must not be empty")
		return i + 1
	}
	n, paired := first, first.Valid()
	for more := true; more; {
		switch {
		case paired && !n.Valid():
			p.unpaired(o, prop, i)
			i = p.skip(i, depth+1)
		case p.peek(i) == 'n':
			i = p.twinNull(o, prop, n, i)
		default:
			i = p.twinItem(o, prop, n, i, depth+1)
		}
		n = following(n)
		if i >= 0 {
			i, more = p.next(i, ']')
		}
		if i < 0 {
			return -1
		}
	}
	if n.Valid() {
		p.unpaired(o, prop, at)
	}
	return i
}

// following is the next node of the same element.
func following(n element.Node) element.Node {
	if next := n.Next(); next.Valid() && next.ElementIndex() == n.ElementIndex() {
		return next
	}
	return element.Node{}
}

func (p *Parser) unpaired(o *object, prop *schema.Property, offset int) {
	p.reportChild(o.node, prop.JSON, issue.Structure, idUnpaired, offset,
		"the arrays "+prop.JSON+" and _"+prop.JSON+" differ in length")
}

// bare adds a primitive without a value.
func (p *Parser) bare(o *object, prop *schema.Property) int {
	o.gaps = true
	return p.add(o, element.Data{Type: prop.Type, Elem: int(prop.Element)})
}

func (p *Parser) twinNull(o *object, prop *schema.Property, n element.Node, i int) int {
	at := i
	if i = p.literal(i, "null"); i < 0 {
		return -1
	}
	k := n.Index()
	if !n.Valid() {
		o.gapAt = at
		if k = p.bare(o, prop); k < 0 {
			return -1
		}
	}
	p.tree.SetTwin(k)
	return i
}

// twinItem reads { … } into the primitive n, or into a new one.
func (p *Parser) twinItem(o *object, prop *schema.Property, n element.Node, i, depth int) int {
	k := n.Index()
	if !n.Valid() {
		if k = p.bare(o, prop); k < 0 {
			return -1
		}
	}
	if p.peek(i) != '{' {
		p.reportNode(k, issue.Structure, idJSONType, i, "a primitive's id and extensions must be an object")
		return p.skip(i, depth)
	}
	if k != p.tree.Len()-1 {
		p.renumber = true
	}
	return p.object(k, schema.ByID(prop.Type), i, depth, true)
}

// join reads "name" after "_name" has made its nodes, which move to this place.
func (p *Parser) join(o *object, prop *schema.Property, first element.Node, i int) int {
	if !first.Valid() { // the "_name" was not usable, and is reported
		return p.skip(i, o.depth+1)
	}
	last := first
	for n := following(last); n.Valid(); n = following(last) {
		last = n
	}
	if last.Index() != o.last {
		p.tree.MoveLast(o.node, first.Index(), last.Index(), o.last)
		o.last = last.Index()
		p.renumber = true
	}
	if !o.t.Elements[prop.Element].Repeats() {
		return p.joinItem(o, prop, first, i, o.depth+1)
	}
	return p.joinArray(o, prop, first, i)
}

func (p *Parser) joinArray(o *object, prop *schema.Property, n element.Node, i int) int {
	depth := o.depth + 1
	if p.peek(i) != '[' {
		p.reportChild(o.node, prop.JSON, issue.Structure, idJSONType, i, "the element repeats, so it must be an array")
		return p.skip(i, depth)
	}
	at := i
	if i = p.space(i + 1); p.peek(i) == ']' {
		p.reportChild(o.node, prop.JSON, issue.Structure, idEmptyArray, at, "an array must not be empty")
		return i + 1
	}
	for more := true; more; {
		switch {
		case !n.Valid():
			p.unpaired(o, prop, i)
			i = p.skip(i, depth+1)
		case p.peek(i) == 'n':
			p.tree.SetValue(n.Index(), element.Data{Start: i, End: i})
			i = p.literal(i, "null")
		default:
			i = p.joinItem(o, prop, n, i, depth+1)
		}
		n = following(n)
		if i >= 0 {
			i, more = p.next(i, ']')
		}
		if i < 0 {
			return -1
		}
	}
	if n.Valid() {
		p.unpaired(o, prop, at)
	}
	return i
}

func (p *Parser) joinItem(o *object, prop *schema.Property, n element.Node, i, depth int) int {
	if p.peek(i) == 'n' || p.peek(i) == '[' {
		return p.single(o, prop, i, depth)
	}
	d := element.Data{Start: i, Type: prop.Type, Elem: int(prop.Element)}
	end := p.scalar(&d, i, depth)
	if end < 0 {
		return -1
	}
	p.tree.SetValue(n.Index(), d)
	p.check(n.Index(), &d)
	return end
}
