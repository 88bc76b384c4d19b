package codec

import (
	"meridian/fhir/element"
	"meridian/fhir/issue"
	"meridian/fhir/schema"
)

// object is the state of one JSON object while its members are read.
type object struct {
	t     *schema.Type
	node  int // the element it is the value of, or, when twin, the primitive
	last  int // last child so far, -1 when there is none
	depth int // nesting of the object itself
	start int // offset of its brace

	seen, twins uint64 // by element: value given, "_name" given
	runElem     int16  // element of the member read last
	runFirst    int    // and its first node
	twin        bool   // the object is a primitive's "_name"
	typed       bool   // resourceType has been read
	gaps        bool   // a primitive without a value was added
	gapAt       int    // where null stands in the "_name" array of the last such
	broken      uint64 // by element: its "_name" was reported, so what it lacks is not
}

// facts about a type that a parse needs for every object or value.
type facts struct {
	required uint64 // by element
	json     byte   // of a primitive: 's' string, 'n' number, 'b' boolean
}

var types = typeFacts()

func typeFacts() (all [schema.Count]facts) {
	for id := range all {
		t := schema.ByID(schema.ID(id))
		for k := range t.Elements {
			if t.Elements[k].Min > 0 {
				all[id].required |= 1 << k
			}
		}
		switch t.ID {
		case schema.TypeBoolean:
			all[id].json = 'b'
		case schema.TypeDecimal, schema.TypeInteger, schema.TypePositiveInt, schema.TypeUnsignedInt:
			all[id].json = 'n'
		default:
			all[id].json = 's'
		}
	}
	return all
}

// add appends a node to o, -1 when there are too many.
func (p *Parser) add(o *object, d element.Data) int {
	if p.tree.Len() >= p.opt.MaxNodes {
		return p.failCode(issue.TooCostly, d.Start, idTooMany, "the body has more elements than the limit")
	}
	o.last = p.tree.Add(o.node, o.last, d)
	return o.last
}

// object reads { … } as the value of node, or as its "_name".
func (p *Parser) object(node int, t *schema.Type, i, depth int, twin bool) int {
	o := object{t: t, node: node, last: -1, depth: depth, start: i, runElem: -1, twin: twin}
	if depth > p.opt.MaxDepth {
		return p.placed(&o, "", p.tooDeep(i))
	}
	if i = p.space(i + 1); p.peek(i) == '}' {
		p.reportNode(node, issue.Structure, idEmptyObject, o.start, "an object must not be empty")
		if !twin {
			p.tree.SetEnd(node, i+1)
		}
		return i + 1
	}
	return p.members(&o, i)
}

// members reads from the first name to behind the closing brace.
func (p *Parser) members(o *object, i int) int {
	for more := true; more; {
		if i = p.member(o, i); i >= 0 {
			i, more = p.next(i, '}')
		}
		if i < 0 {
			return p.placed(o, "", i)
		}
	}
	p.close(o, i)
	return i
}

// placed hands through i; where it says that the parse has failed, the error gets its place.
func (p *Parser) placed(o *object, name string, i int) int {
	if i < 0 {
		p.place(o.node, name)
	}
	return i
}

func (p *Parser) member(o *object, i int) int {
	at := i
	name, i := p.name(i)
	if i < 0 {
		return -1
	}
	prop, ok := o.t.Lookup(name)
	if !ok {
		return p.otherMember(o, name, at, i)
	}
	e, bit := &o.t.Elements[prop.Element], uint64(1)<<prop.Element
	if (o.seen|o.twins)&bit != 0 {
		return p.placed(o, prop.JSON, p.memberAgain(o, prop, e, at, i))
	}
	o.seen |= bit
	if p.left&bit != 0 && o.node == 0 {
		return p.placed(o, prop.JSON, p.skip(i, o.depth+1))
	}
	o.runElem, o.runFirst = prop.Element, p.tree.Len()
	if e.Repeats() {
		return p.placed(o, prop.JSON, p.array(o, prop, i))
	}
	return p.placed(o, prop.JSON, p.single(o, prop, i, o.depth+1))
}

// otherMember is a name that is no element: resourceType, a "_name", or an error.
func (p *Parser) otherMember(o *object, name []byte, at, i int) int {
	if o.t.Kind == schema.Resource && string(name) == "resourceType" {
		if o.typed {
			p.reportChild(o.node, "resourceType", issue.Structure, idDuplicate, at, "the name is given twice")
		}
		o.typed = true
		return p.skip(i, o.depth+1)
	}
	if len(name) > 1 && name[0] == '_' {
		prop, ok := o.t.Lookup(name[1:])
		if ok && schema.ByID(prop.Type).Kind == schema.Primitive && !o.t.Elements[prop.Element].Attr {
			if p.left>>prop.Element&1 != 0 && o.node == 0 {
				o.twins |= 1 << prop.Element
				return p.placed(o, prop.JSON, p.skip(i, o.depth+1))
			}
			before := len(p.issues) + p.unlisted
			i = p.twin(o, prop, at, i)
			if len(p.issues)+p.unlisted > before {
				o.broken |= 1 << prop.Element
			}
			return p.placed(o, prop.JSON, i)
		}
	}
	p.unknown(o, name, at)
	return p.placed(o, string(clip(name)), p.skip(i, o.depth+1))
}

// memberAgain is an element of which something was read before: its "_name",
// itself, or the same choice with another type.
func (p *Parser) memberAgain(o *object, prop *schema.Property, e *schema.Element, at, i int) int {
	bit := uint64(1) << prop.Element
	first := p.run(o, prop.Element)
	if e.Choice && first.Valid() && first.TypeID() != prop.Type {
		p.choiceTwice(o, e, at)
		return p.skip(i, o.depth+1)
	}
	if o.seen&bit != 0 {
		p.reportChild(o.node, prop.JSON, issue.Structure, idDuplicate, at, "the name is given twice")
		return p.skip(i, o.depth+1)
	}
	o.seen |= bit
	return p.join(o, prop, first, i)
}

func (p *Parser) choiceTwice(o *object, e *schema.Element, at int) {
	p.reportChild(o.node, e.Name, issue.Structure, idChoice, at, e.Name+"[x] is given twice, with different types")
}

// run finds the first node of an element of o, the zero Node when there is none.
func (p *Parser) run(o *object, elem int16) element.Node {
	if o.runElem == elem && o.runFirst < p.tree.Len() {
		return p.tree.At(o.runFirst)
	}
	for c := p.tree.At(o.node).First(); c.Valid(); c = c.Next() {
		if c.ElementIndex() == int(elem) {
			return c
		}
	}
	return element.Node{}
}

// single reads one value; an array or null here is an error.
func (p *Parser) single(o *object, prop *schema.Property, i, depth int) int {
	switch p.peek(i) {
	case '[':
		p.reportChild(o.node, prop.JSON, issue.Structure, idJSONType, i, "the element does not repeat, so it must not be an array")
		return p.skip(i, depth)
	case 'n':
		p.reportChild(o.node, prop.JSON, issue.Structure, idNull, i, "null stands only in the arrays of primitives")
		return p.skip(i, depth)
	}
	return p.item(o, prop, i, depth)
}

func (p *Parser) array(o *object, prop *schema.Property, i int) int {
	depth := o.depth + 1
	primitive := schema.ByID(prop.Type).Kind == schema.Primitive
	if c := p.peek(i); c != '[' {
		p.reportChild(o.node, prop.JSON, issue.Structure, idJSONType, i, "the element repeats, so it must be an array")
		if c == 'n' || primitive == (c == '{') {
			return p.skip(i, depth)
		}
		return p.item(o, prop, i, depth)
	}
	if depth > p.opt.MaxDepth {
		return p.tooDeep(i)
	}
	at := i
	if i = p.space(i + 1); p.peek(i) == ']' {
		p.reportChild(o.node, prop.JSON, issue.Structure, idEmptyArray, at, "an array must not be empty")
		return i + 1
	}
	for more := true; more; {
		if primitive && p.peek(i) == 'n' {
			i = p.nullItem(o, prop, i)
		} else if p.peek(i) == 'n' {
			p.misplaced(o, prop, i, idNull, "null stands only in the arrays of primitives")
			i = p.skip(i, depth+1)
		} else {
			i = p.item(o, prop, i, depth+1)
		}
		if i >= 0 {
			i, more = p.next(i, ']')
		}
		if i < 0 {
			return -1
		}
	}
	return i
}

// misplaced reports what stands at i in place of an object or a resource. It
// gets a node, so that its location and those of the items behind it have the
// right index.
func (p *Parser) misplaced(o *object, prop *schema.Property, i int, id, text string) {
	if n := p.placeholder(o, prop, i); n >= 0 {
		p.reportNode(n, issue.Structure, id, i, text)
		return
	}
	p.reportChild(o.node, prop.JSON, issue.Structure, id, i, text)
}

// placeholder adds a node without content for what cannot be read, -1 where
// there is no room for it. The parse has failed or is about to.
func (p *Parser) placeholder(o *object, prop *schema.Property, i int) int {
	if o.node < 0 || p.tree.Len() >= p.opt.MaxNodes {
		return -1
	}
	return p.add(o, element.Data{Start: i, End: i, Type: prop.Type, Elem: int(prop.Element)})
}

// nullItem adds a primitive that has only an id or extensions. Whether its
// "_name" brings them shows at the end of the object.
func (p *Parser) nullItem(o *object, prop *schema.Property, i int) int {
	end := p.literal(i, "null")
	if end < 0 {
		return -1
	}
	o.gaps = true
	if p.add(o, element.Data{Start: i, End: i, Type: prop.Type, Elem: int(prop.Element)}) < 0 {
		return -1
	}
	return end
}

// item reads one value that is not null and adds its node.
func (p *Parser) item(o *object, prop *schema.Property, i, depth int) int {
	t := schema.ByID(prop.Type)
	switch t.Kind {
	case schema.Primitive:
		return p.primitive(o, prop, i, depth)
	case schema.Resource:
		return p.resource(o, prop, i, depth)
	}
	n := p.add(o, element.Data{Start: i, End: i + 1, Type: prop.Type, Elem: int(prop.Element)})
	if n < 0 {
		return -1
	}
	if p.peek(i) != '{' {
		p.reportNode(n, issue.Structure, idJSONType, i, "the element must be an object")
		return p.skip(i, depth)
	}
	return p.object(n, t, i, depth, false)
}

// primitive reads a value and adds its node.
func (p *Parser) primitive(o *object, prop *schema.Property, i, depth int) int {
	d := element.Data{Start: i, Type: prop.Type, Elem: int(prop.Element)}
	end := p.scalar(&d, i, depth)
	if end < 0 {
		return -1
	}
	n := p.add(o, d)
	if n < 0 {
		return -1
	}
	p.check(n, &d)
	return end
}

// scalar reads any value and fills d with its place and form.
func (p *Parser) scalar(d *element.Data, i, depth int) int {
	if p.peek(i) != '"' {
		d.End = p.skip(i, depth)
		return d.End
	}
	end, escaped := p.stringEnd(i + 1)
	if end < 0 {
		return -1
	}
	d.Start, d.End, d.String, d.Escaped = i, end+1, true, escaped
	return end + 1
}

// close checks what shows only when all members are read. i is behind the brace.
func (p *Parser) close(o *object, i int) {
	if !o.twin {
		p.tree.SetEnd(o.node, i)
	}
	if o.gaps {
		for c := p.tree.At(o.node).First(); c.Valid(); c = c.Next() {
			if !c.HasValue() && !c.First().Valid() && o.broken>>c.ElementIndex()&1 == 0 {
				p.reportNode(c.Index(), issue.Structure, idNull, max(c.Offset(), o.gapAt, o.start), "the element has neither a value nor an extension")
			}
		}
	}
	missing := types[o.t.ID].required &^ (o.seen | o.twins)
	if missing == 0 || p.opt.AnyCardinality {
		return
	}
	for k := range o.t.Elements {
		if missing>>k&1 != 0 {
			p.reportChild(o.node, o.t.Elements[k].Name, issue.Required, idRequired, o.start, o.t.Name+" needs the element "+o.t.Elements[k].Name)
		}
	}
}
