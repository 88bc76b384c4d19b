package codec

import (
	"bytes"

	"meridian/fhir/issue"
	"meridian/fhir/schema"
)

// xmlMembers is the state of one JSON object while the elements for it are read.
type xmlMembers struct {
	t    *schema.Type
	tag  xmlTag // of the element that the object is the content of
	last int    // index of the element read last, -1 before the first

	id, url xmlAttr // to be written before the first element that follows them

	prop        *schema.Property // of the run of elements with the same name; nil outside of one
	n           int              // its items so far
	start, mark int              // where it begins in out
	values      bool             // of repeating primitives: a value was written
	twins       bool             // and an id or extension
	side        *jsonText        // the items of the "_name" array

	unknown []xmlTag // names that are written at the end, for the Parser to report
}

// document reads the root element and what stands around it.
func (x *XMLReader) document() bool {
	for root := false; ; {
		x.white()
		switch {
		case x.i >= len(x.src):
			if !root {
				return x.fail(x.i, idXMLSyntax, "the body holds no element")
			}
			return true
		case x.has("<!--"), x.has("<?"):
			if !x.aside() {
				return false
			}
		case x.has("<!"):
			return x.declaration()
		case root:
			return x.fail(x.i, idXMLSyntax, "something follows the end of the resource")
		case x.src[x.i] != '<':
			return x.fail(x.i, idXMLSyntax, "the body is no XML: an element is expected")
		default:
			if !x.startTag() {
				return false
			}
			if x.tag.space != spaceFHIR {
				return x.fail(x.tag.at, idXMLNamespace, "the resource is not in the namespace "+fhirNamespace)
			}
			root = true
			if !x.resource() {
				return false
			}
		}
	}
}

// resource reads the resource whose start tag was read last.
func (x *XMLReader) resource() bool {
	tag := x.tag
	x.out.mark(tag.at)
	x.out.b = append(x.out.b, `{"resourceType":`...)
	x.out.mark(tag.at + 1)
	x.out.b = AppendString(x.out.b, string(tag.name))
	t := schema.ByNameBytes(tag.name)
	if t == nil || t.Kind != schema.Resource || t.Abstract {
		x.out.b = append(x.out.b, '}')
		return x.skip()
	}
	if len(x.path) == 0 {
		x.path = append(x.path, xmlStep{e: &schema.Element{Name: t.Name}})
	}
	return x.members(t)
}

// object reads the content of the element whose start tag was read last as { … }.
func (x *XMLReader) object(t *schema.Type) bool {
	x.out.mark(x.tag.at)
	x.out.b = append(x.out.b, '{')
	return x.members(t)
}

// members reads attributes and child elements up to the end tag, and closes the object.
func (x *XMLReader) members(t *schema.Type) bool {
	m := xmlMembers{t: t, tag: x.tag, last: -1}
	x.ownAttributes(&m)
	if len(x.path) > x.opt.MaxDepth {
		return x.tooDeep(m.tag.at)
	}
	for !m.tag.empty {
		if !x.between(false) {
			return false
		}
		if x.has("</") {
			if !x.endTag(m.tag.full) {
				return false
			}
			break
		}
		if !x.startTag() || !x.element(&m) {
			return false
		}
	}
	x.leave(m.tag.binds)
	x.endRun(&m)
	x.attributesBefore(&m, len(t.Elements))
	for _, tag := range m.unknown {
		x.comma()
		x.out.mark(tag.at)
		x.out.b = append(AppendString(x.out.b, string(tag.name)), ":null"...)
	}
	x.out.b = append(x.out.b, '}')
	return true
}

// ownAttributes takes id and url of the element and reports the others. The
// value of a primitive is not looked at here.
func (x *XMLReader) ownAttributes(m *xmlMembers) {
	for _, a := range x.attrs {
		prop, ok := m.t.Lookup(a.full)
		isElement := ok && m.t.Elements[prop.Element].Attr
		switch {
		case isElement && string(a.full) == "id":
			m.id = a
		case isElement:
			m.url = a
		case m.t.Kind == schema.Primitive && string(a.full) == "value":
		default:
			x.foreign(&a)
		}
	}
}

// foreign reports an attribute that is none of FHIR's. Where a schema lies is
// no part of a resource, and is let pass.
func (x *XMLReader) foreign(a *xmlAttr) {
	if a.space == spaceXSI {
		if name := string(a.full[bytes.IndexByte(a.full, ':')+1:]); name == "schemaLocation" || name == "noNamespaceSchemaLocation" {
			return
		}
	}
	x.report(issue.Structure, idXMLAttribute, a.at, x.location(), "the element has no attribute "+shown(a.full))
}

// attributesBefore writes id and url when it is their turn: before element k.
func (x *XMLReader) attributesBefore(m *xmlMembers, k int) {
	for _, a := range [...]*xmlAttr{&m.id, &m.url} {
		if a.full == nil {
			continue
		}
		if prop, _ := m.t.Lookup(a.full); int(prop.Element) < k {
			x.comma()
			x.out.mark(a.at)
			x.out.b = append(append(append(x.out.b, '"'), a.full...), '"', ':')
			x.out.mark(a.quote)
			x.quoted(a.value)
			a.full = nil
		}
	}
}

func (x *XMLReader) comma() {
	if x.out.b[len(x.out.b)-1] != '{' {
		x.out.b = append(x.out.b, ',')
	}
}

// element reads the child element whose start tag was read last.
func (x *XMLReader) element(m *xmlMembers) bool {
	if x.nodes++; x.nodes > x.opt.MaxNodes {
		return x.failCode(issue.TooCostly, x.tag.at, idTooMany, "the body has more elements than the limit")
	}
	prop, ok := m.t.Lookup(x.tag.name)
	narrative := ok && prop.Type == schema.TypeXhtml
	if x.tag.space != spaceFHIR && !(narrative && x.tag.space == spaceXHTML) || narrative && x.tag.space != spaceXHTML {
		return x.otherSpace(m, narrative)
	}
	if !ok {
		return x.unknownElement(m)
	}
	e, k := &m.t.Elements[prop.Element], int(prop.Element)
	if e.Attr {
		x.report(issue.Structure, idXMLAttribute, x.tag.at, x.child(e.Name), e.Name+" is written as an attribute")
		return x.skip()
	}
	if k < m.last {
		x.report(issue.Structure, idXMLOrder, x.tag.at, x.child(e.Name), m.t.Name+" has "+e.Name+" before "+m.t.Elements[m.last].Name+"; in XML the order counts")
		return x.skip()
	}
	if m.prop == prop && e.Repeats() {
		m.n++
	} else {
		x.endRun(m)
		x.attributesBefore(m, k)
		x.startRun(m, prop, e)
	}
	m.last = k
	x.path = append(x.path, xmlStep{e, m.n})
	ok = x.item(m, prop, e)
	x.path = x.path[:max(len(x.path)-1, 0)]
	return ok
}

func (x *XMLReader) otherSpace(m *xmlMembers, narrative bool) bool {
	space, name := fhirNamespace, string(clip(x.tag.name))
	if narrative {
		space = xhtmlNamespace
		m.last = len(m.t.Elements) - 1
		x.endRun(m)
		x.comma()
		x.out.b = append(x.out.b, `"div":"<div>-</div>"`...) // it is there, so it is not missed, too
	}
	x.report(issue.Structure, idXMLNamespace, x.tag.at, x.child(name), "the element is not in the namespace "+space)
	return x.skip()
}

// unknownElement leaves the report to the Parser, but for names that JSON gives another meaning.
func (x *XMLReader) unknownElement(m *xmlMembers) bool {
	if name := string(clip(x.tag.name)); name == "resourceType" || name[0] == '_' {
		x.report(issue.Structure, idUnknown, x.tag.at, x.location(), m.t.Name+" has no element "+shown(x.tag.name))
	} else if !m.has(x.tag.name) {
		m.unknown = append(m.unknown, x.tag)
	}
	return x.skip()
}

func (m *xmlMembers) has(unknown []byte) bool {
	for _, tag := range m.unknown {
		if bytes.Equal(tag.name, unknown) {
			return true
		}
	}
	return len(m.unknown) >= maxNamesShown
}

func (x *XMLReader) startRun(m *xmlMembers, prop *schema.Property, e *schema.Element) {
	m.prop, m.n, m.values, m.twins = prop, 0, false, false
	m.start, m.mark = len(x.out.b), len(x.out.marks)
	if e.Repeats() || schema.ByID(prop.Type).Kind != schema.Primitive {
		x.name("", prop, x.tag.at)
	}
	if e.Repeats() {
		x.out.b = append(x.out.b, '[')
	}
}

// name writes the separator and the member's name.
func (x *XMLReader) name(prefix string, prop *schema.Property, at int) {
	x.comma()
	x.out.mark(at)
	x.out.b = append(append(x.out.b, '"'), prefix...)
	x.out.b = append(append(x.out.b, prop.JSON...), '"', ':')
}

// endRun closes the array of a repeating element, and writes that of its ids and extensions.
func (x *XMLReader) endRun(m *xmlMembers) {
	prop, side := m.prop, m.side
	m.prop, m.side = nil, nil
	if prop == nil || !m.t.Elements[prop.Element].Repeats() {
		return
	}
	x.out.b = append(x.out.b, ']')
	if schema.ByID(prop.Type).Kind != schema.Primitive {
		return
	}
	if m.twins {
		if !m.values {
			x.out.cut(m.start, m.mark)
		}
		at := int(side.marks[0].xml)
		x.name("_", prop, at)
		x.out.b = append(x.out.b, '[')
		x.out.add(side)
		x.out.b = append(x.out.b, ']')
	}
	if side != nil {
		x.inUse--
	}
}

// item reads the element whose start tag was read last as one value of prop.
func (x *XMLReader) item(m *xmlMembers, prop *schema.Property, e *schema.Element) bool {
	t := schema.ByID(prop.Type)
	if t.Kind == schema.Primitive {
		switch {
		case t.ID == schema.TypeXhtml:
			x.name("", prop, x.tag.at)
			return x.narrative()
		case e.Repeats():
			return x.repeated(m, t)
		}
		return x.single(prop, t)
	}
	if m.n > 0 {
		x.out.b = append(x.out.b, ',')
	}
	if t.Kind == schema.Resource {
		return x.wrapped(e)
	}
	return x.object(t)
}

// wrapped reads <contained>, <resource>: an element with one resource in it.
func (x *XMLReader) wrapped(e *schema.Element) bool {
	wrapper, found := x.tag, false
	for k := range x.attrs {
		x.foreign(&x.attrs[k])
	}
	for !wrapper.empty {
		if !x.between(false) {
			return false
		}
		if x.has("</") {
			if !x.endTag(wrapper.full) {
				return false
			}
			break
		}
		if !x.startTag() {
			return false
		}
		ok := false
		switch {
		case x.tag.space != spaceFHIR:
			x.report(issue.Structure, idXMLNamespace, x.tag.at, x.location(), "the resource is not in the namespace "+fhirNamespace)
			ok = x.skip()
		case found:
			x.report(issue.Structure, idXMLResource, x.tag.at, x.location(), e.Name+" holds one resource only")
			ok = x.skip()
		default:
			found = true
			ok = x.resource()
		}
		if !ok {
			return false
		}
	}
	x.leave(wrapper.binds)
	if !found {
		x.out.mark(wrapper.at)
		x.out.b = append(x.out.b, "{}"...) // the Parser reports that the type is missing
	}
	return true
}
