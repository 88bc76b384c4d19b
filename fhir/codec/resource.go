package codec

import (
	"bytes"

	"meridian/fhir/element"
	"meridian/fhir/issue"
	"meridian/fhir/schema"
)

const byteOrderMark = "\xEF\xBB\xBF"

// root reads the body's one value.
func (p *Parser) root(i int) int {
	if i >= len(p.src) {
		return p.fail(i, idSyntax, "the body is empty")
	}
	if bytes.HasPrefix(p.src, []byte(byteOrderMark)) {
		return p.fail(0, idSyntax, "the body starts with a byte order mark, which JSON does not allow")
	}
	o := object{last: -1, node: -1}
	prop := schema.Property{Element: -1, Type: schema.TypeResource}
	if t := schema.ByName(p.opt.Type); t != nil && t.Kind != schema.Resource {
		prop.Type = t.ID
	}
	if p.peek(i) != '{' && schema.ByID(prop.Type).Kind != schema.Primitive {
		p.report(issue.Structure, idJSONType, i, p.opt.Type, "the body must be an object")
		return p.skip(i, 1)
	}
	return p.item(&o, &prop, i, 1)
}

// resource reads a resource below o: contained, Bundle.entry.resource,
// Parameters.parameter.resource; or the root, where o.node is -1.
func (p *Parser) resource(o *object, prop *schema.Property, i, depth int) int {
	if p.peek(i) != '{' {
		p.misplaced(o, prop, i, idJSONType, "the element must be an object")
		return p.skip(i, depth)
	}
	if depth > p.opt.MaxDepth {
		return p.resourceFailed(o, prop, i, p.tooDeep(i))
	}
	t, rest := p.resourceType(o, prop, i, depth)
	if rest < 0 {
		return p.resourceFailed(o, prop, i, rest)
	}
	if t == nil {
		return p.skip(i, depth)
	}
	n := p.add(o, element.Data{Start: i, End: i + 1, Type: t.ID, Elem: int(prop.Element)})
	if n < 0 {
		return -1
	}
	if o.node < 0 && !p.isExpected(t) {
		p.report(issue.Structure, idTypeMismatch, i, t.Name, "the body is a "+t.Name+", but "+p.opt.Type+" is expected")
	}
	in := object{t: t, node: n, last: -1, depth: depth, start: i, runElem: -1}
	if rest == i {
		return p.members(&in, p.space(i+1))
	}
	in.typed = true
	rest, more := p.next(rest, '}')
	if rest < 0 || more {
		if rest = p.placed(&in, "", rest); rest < 0 {
			return -1
		}
		return p.members(&in, rest)
	}
	p.close(&in, rest)
	return rest
}

// resourceFailed gives the error that ended the parse its place before the
// resource at i has a node.
func (p *Parser) resourceFailed(o *object, prop *schema.Property, i, failed int) int {
	if n := p.placeholder(o, prop, i); n >= 0 {
		p.place(n, "")
	}
	return failed
}

// isExpected says that t is the type of Options, or derives from it.
func (p *Parser) isExpected(t *schema.Type) bool {
	if p.opt.Type == "" || p.opt.Type == t.Name {
		return true
	}
	base := schema.ByName(p.opt.Type)
	return base != nil && t.IsA(base.ID)
}

// resourceType finds the type of the resource at i. rest is the offset behind
// its member when that is the first, i when it stands later, -1 after a syntax
// error. The type is nil, with an issue, when there is none or it is unknown.
func (p *Parser) resourceType(o *object, prop *schema.Property, i, depth int) (t *schema.Type, rest int) {
	name, at, rest := p.findType(i, depth)
	if rest < 0 {
		return nil, -1
	}
	if at < 0 {
		p.resourceIssue(o, prop, idTypeMissing, i, "resourceType is missing")
		return nil, rest
	}
	if name == nil {
		p.resourceIssue(o, prop, idJSONType, at, "resourceType must be a string")
		return nil, rest
	}
	t = schema.ByNameBytes(name)
	if t == nil || t.Kind != schema.Resource || t.Abstract {
		text := shown(name) + " is no resource type of R4"
		if best := nearestType(name); best != "" {
			text += "; did you mean " + best + "?"
		}
		p.resourceIssue(o, prop, idTypeUnknown, at, text)
		return nil, rest
	}
	return t, rest
}

func (p *Parser) resourceIssue(o *object, prop *schema.Property, id string, offset int, text string) {
	if o.node < 0 {
		p.report(issue.Structure, id, offset, p.opt.Type, text)
		return
	}
	p.misplaced(o, prop, offset, id, text)
}

// findType reads ahead to the member resourceType of the object at i. at is
// the offset of its value, -1 when there is none; name is nil when it is no
// string.
func (p *Parser) findType(i, depth int) (name []byte, at, rest int) {
	start := i
	if i = p.space(i + 1); p.peek(i) == '}' {
		return nil, -1, start
	}
	for first, more := true, true; more; first = false {
		key, value := p.name(i)
		if value < 0 {
			return nil, -1, -1
		}
		if i = p.skip(value, depth+1); i < 0 {
			return nil, -1, -1
		}
		if string(key) == "resourceType" {
			if p.src[value] == '"' {
				name = unescapedType(p.src[value+1 : i-1])
			}
			if first {
				return name, value, i
			}
			return name, value, p.lookedAhead(i, start)
		}
		if i, more = p.next(i, '}'); i < 0 {
			return nil, -1, -1
		}
	}
	return nil, -1, p.lookedAhead(i, start)
}

// lookedAhead charges what was read twice: without a limit, Bundles inside
// each other that all have their type last would cost their depth squared.
func (p *Parser) lookedAhead(i, start int) int {
	if p.ahead -= i - start; p.ahead < 0 {
		return p.failCode(issue.TooCostly, start, idLookAhead, "resourceType stands last in too many resources inside each other; put it first")
	}
	return start
}

func unescapedType(s []byte) []byte {
	for _, c := range s {
		if c == '\\' {
			return unescaped(s)
		}
	}
	return s
}
