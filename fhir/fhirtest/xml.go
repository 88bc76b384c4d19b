package fhirtest

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"strings"
	"testing"

	"meridian/fhir/schema"
)

// xmlNode is any XML element.
type xmlNode struct {
	XMLName xml.Name
	Attrs   []xml.Attr `xml:",any,attr"`
	Nodes   []xmlNode  `xml:",any"`
	Inner   string     `xml:",innerxml"`
}

func (x *xmlNode) attr(name string) (string, bool) {
	for _, a := range x.Attrs {
		if a.Name.Local == name {
			return a.Value, true
		}
	}
	return "", false
}

// JSONOf turns a resource in XML into JSON by the element tables, far enough
// for the inputs of the published suites. https://hl7.org/fhir/R4/xml.html
func JSONOf(t testing.TB, data []byte) []byte {
	t.Helper()
	var x xmlNode
	if err := xml.Unmarshal(data, &x); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	writeObject(&b, &x, schema.ByName(x.XMLName.Local), true)
	return b.Bytes()
}

func writeObject(b *bytes.Buffer, x *xmlNode, typ *schema.Type, resource bool) {
	b.WriteByte('{')
	comma := func() {
		if last := b.Bytes()[b.Len()-1]; last != '{' {
			b.WriteByte(',')
		}
	}
	if resource {
		b.WriteString(`"resourceType":` + quoteJSON(typ.Name))
	}
	for _, name := range []string{"id", "url"} {
		if v, ok := x.attr(name); ok && !resource {
			comma()
			b.WriteString(quoteJSON(name) + ":" + quoteJSON(v))
		}
	}
	for i := 0; i < len(x.Nodes); {
		name := x.Nodes[i].XMLName.Local
		end := i
		for end < len(x.Nodes) && x.Nodes[end].XMLName.Local == name {
			end++
		}
		p, ok := typ.Lookup([]byte(name))
		if !ok {
			panic(typ.Name + " has no " + name)
		}
		comma()
		writeProperty(b, x.Nodes[i:end], p, typ.Elements[p.Element].Repeats())
		i = end
	}
	b.WriteByte('}')
}

func writeProperty(b *bytes.Buffer, nodes []xmlNode, p *schema.Property, array bool) {
	typ := schema.ByID(p.Type)
	list := func(write func(x *xmlNode)) {
		for k := range nodes {
			if k > 0 {
				b.WriteByte(',')
			}
			write(&nodes[k])
		}
	}
	open, shut := "", ""
	if array {
		open, shut = "[", "]"
	}
	start := b.Len()
	b.WriteString(quoteJSON(p.JSON) + ":" + open)
	if typ.Kind != schema.Primitive {
		list(func(x *xmlNode) {
			if typ.Abstract && typ.Kind == schema.Resource { // contained, Bundle.entry.resource
				x = &x.Nodes[0]
				writeObject(b, x, schema.ByName(x.XMLName.Local), true)
				return
			}
			writeObject(b, x, typ, false)
		})
		b.WriteString(shut)
		return
	}
	twins, values := false, false
	list(func(x *xmlNode) {
		v, ok := x.attr("value")
		twins = twins || len(x.Nodes) > 0 && typ.ID != schema.TypeXhtml
		values = values || ok
		switch {
		case typ.ID == schema.TypeXhtml:
			b.WriteString(quoteJSON(`<div xmlns="http://www.w3.org/1999/xhtml">` + x.Inner + `</div>`))
			values = true
		case !ok:
			b.WriteString("null")
		case isBare(typ):
			b.WriteString(v)
		default:
			b.WriteString(quoteJSON(v))
		}
	})
	b.WriteString(shut)
	if !values {
		b.Truncate(start)
	}
	if twins {
		if values {
			b.WriteByte(',')
		}
		b.WriteString(quoteJSON("_"+p.JSON) + ":" + open)
		list(func(x *xmlNode) {
			if len(x.Nodes) == 0 {
				b.WriteString("null")
				return
			}
			writeObject(b, x, typ, false)
		})
		b.WriteString(shut)
	}
}

// isBare says that values of a primitive type stand without quotes in JSON.
func isBare(t *schema.Type) bool {
	switch t.ID {
	case schema.TypeBoolean, schema.TypeDecimal, schema.TypeInteger, schema.TypePositiveInt, schema.TypeUnsignedInt:
		return true
	}
	return false
}

func quoteJSON(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		panic(err) // a string always has a JSON form
	}
	return strings.TrimSuffix(b.String(), "\n")
}
