package operation

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"meridian/fhir/codec"
	"meridian/fhir/element"
	"meridian/fhir/fhirpath"
	"meridian/fhir/issue"
	"meridian/fhir/schema"
	"meridian/fhir/views"
)

// Extensions of FHIRPath Lab.
const (
	resourcePathURL = "http://fhir.forms-lab.com/StructureDefinition/resource-path"
	jsonValueURL    = "http://fhir.forms-lab.com/StructureDefinition/json-value"
)

// pathWriter writes the answer of $fhirpath, a Parameters:
//
//	parameters   part evaluator, expression, context, resource, variables, expectedReturnType
//	result       valueString Patient.name[0]; part string, extension resource-path; part trace
//
// A value whose type Parameters does not have (a backbone element, a partial time) stands in the
// extension json-value.
type pathWriter struct{ dst []byte }

func (w *pathWriter) bytes() []byte { return append(w.dst, `]}`...) }

// open begins a parameter or a part with a name; the next member follows a comma.
func (w *pathWriter) open(name string) {
	if last := w.dst[len(w.dst)-1]; last != '[' {
		w.dst = append(w.dst, ',')
	}
	w.dst = codec.AppendString(append(w.dst, `{"name":`...), name)
}

func (w *pathWriter) text(name, value string) {
	if value == "" {
		return
	}
	w.open(name)
	w.dst = append(codec.AppendString(append(w.dst, `,"valueString":`...), value), '}')
}

// call says what was asked.
func (w *pathWriter) call(p *pathCall, root element.Node) {
	w.dst = append(w.dst, `{"resourceType":"Parameters","id":"fhirpath","parameter":[{"name":"parameters","part":[`...)
	w.text("evaluator", "Meridian (R4)")
	w.text("expression", p.c.Text("expression"))
	w.text("context", p.c.Text("context"))
	w.open("resource")
	w.dst = append(append(append(w.dst, `,"resource":`...), root.Raw()...), '}')
	for _, list := range p.c.Values("variables") {
		w.open("variables")
		w.dst = append(w.dst, `,"part":[`...)
		for _, v := range list.Parts {
			w.item(v.Name, fhirpath.NodeItem(v.Node), false)
		}
		w.dst = append(w.dst, `]}`...)
	}
	w.text("expectedReturnType", p.returnType())
	w.dst = append(w.dst, `]}`...)
}

// result writes what one context gives. Issue code: too-costly.
func (w *pathWriter) result(context string, items fhirpath.Collection, traces []trace) error {
	w.open("result")
	if context != "" {
		w.dst = codec.AppendString(append(w.dst, `,"valueString":`...), context)
	}
	if len(items) == 0 && len(traces) == 0 {
		w.dst = append(w.dst, '}')
		return nil
	}
	w.dst = append(w.dst, `,"part":[`...)
	if err := w.items(items); err != nil {
		return err
	}
	for _, t := range traces {
		w.open("trace")
		if member, json := partValue(fhirpath.StringItem(t.name)); member != "" {
			w.dst = append(append(w.dst, `,"valueString":`...), json...)
		} else { // no string of FHIR
			w.dst = codec.AppendString(append(w.dst, `,"valueString":`...), strconv.Quote(t.name))
		}
		if len(t.items) > 0 {
			w.dst = append(w.dst, `,"part":[`...)
			if err := w.items(t.items); err != nil {
				return err
			}
			w.dst = append(w.dst, ']')
		}
		w.dst = append(w.dst, '}')
	}
	w.dst = append(w.dst, `]}`...)
	return nil
}

func (w *pathWriter) items(items fhirpath.Collection) error {
	for _, i := range items {
		if w.item(itemType(i), i, true); len(w.dst) > maxPathAnswer {
			return issue.New(issue.TooCostly, "fhirpath.answer", "the results are larger than "+strconv.Itoa(maxPathAnswer>>20)+" MiB", "")
		}
	}
	return nil
}

// itemType is the name of a result part: its type, or empty-string for one that FHIR has no value for.
func itemType(i fhirpath.Item) string {
	if s, ok := i.Text(); ok && s == "" {
		return "empty-string"
	}
	if i.Kind() == fhirpath.Element {
		return i.Node().Type().Name
	}
	name := strings.TrimPrefix(i.TypeName(), "System.")
	if i.Kind() == fhirpath.KindQuantity || i.Kind() == fhirpath.TypeInfo {
		return name
	}
	r, n := utf8.DecodeRuneInString(name)
	return string(unicode.ToLower(r)) + name[n:]
}

// item writes a part: its value or resource, its path, or its JSON.
func (w *pathWriter) item(name string, i fhirpath.Item, located bool) {
	w.open(name)
	n := i.Node()
	member, json := partValue(i)
	extensions := [][2]string{}
	if located && n.Valid() {
		extensions = append(extensions, [2]string{resourcePathURL, n.Location()})
	}
	if member == "" && json != nil {
		extensions = append(extensions, [2]string{jsonValueURL, string(json)})
	}
	for k, e := range extensions {
		w.dst = append(w.dst, [2]string{`,"extension":[`, `,`}[min(k, 1)]...)
		w.dst = codec.AppendString(append(w.dst, `{"url":`...), e[0])
		w.dst = append(codec.AppendString(append(w.dst, `,"valueString":`...), e[1]), '}')
	}
	if len(extensions) > 0 {
		w.dst = append(w.dst, ']')
	}
	if member != "" && json != nil {
		w.dst = append(append(append(append(w.dst, `,"`...), member...), `":`...), json...)
	}
	if member != "" && n.Valid() && n.Type().Kind == schema.Primitive && n.First().Valid() {
		w.dst = append(append(append(append(w.dst, `,"_`...), member...), `":`...), primitiveTwin(n)...)
	}
	w.dst = append(w.dst, '}')
}

// partValue gives the member of a part that takes a value, "" where none does, and the value's JSON; nil is none.
func partValue(i fhirpath.Item) (member string, json []byte) {
	if n := i.Node(); n.Valid() {
		if n.HasValue() {
			json = codec.AppendJSON(nil, n, nil)
		}
		switch t := n.Type(); {
		case t.Kind == schema.Resource:
			return "resource", json
		case takesValue(t.ID):
			return "value" + strings.ToUpper(t.Name[:1]) + t.Name[1:], json
		}
		return "", json
	}
	switch i.Kind() {
	case fhirpath.TypeInfo:
		return "", []byte(`{"name":"` + i.InfoName() + `"}`)
	case fhirpath.KindQuantity:
		q, _ := i.Quantity()
		json = views.AppendQuantity(nil, q)
	case fhirpath.Boolean, fhirpath.Integer:
		json = []byte(i.String())
	case fhirpath.Decimal:
		d, _ := i.Decimal()
		json = []byte(d.String())
	default:
		if json = systemText(i); json == nil {
			return "", nil
		}
	}
	// What FHIR cannot write (T14, a control character, too many digits) has no member.
	name := itemType(i)
	if _, err := codec.Parse(slices.Clone(json), codec.Options{Type: name}); err != nil {
		return "", json
	}
	return "value" + strings.ToUpper(name[:1]) + name[1:], json
}

// systemText gives strings, dates and times; nil for an empty string.
func systemText(i fhirpath.Item) []byte {
	text, _ := i.Text()
	if d, ok := i.DateTime(); ok {
		text = d.String()
	} else if t, ok := i.Time(); ok {
		text = t.String()
	}
	if text == "" {
		return nil
	}
	return codec.AppendString(nil, text)
}

// takesValue says that Parameters.parameter.value[x] has the type.
func takesValue(id schema.ID) bool {
	p, ok := schema.ByName("Parameters.parameter").Lookup([]byte("valueString"))
	if !ok {
		return false
	}
	for _, t := range schema.ByName("Parameters.parameter").Elements[p.Element].Types {
		if t == id {
			return true
		}
	}
	return false
}

// primitiveTwin writes the id and the extensions of a primitive.
func primitiveTwin(n element.Node) []byte {
	var extensions, out []byte
	for c := n.First(); c.Valid(); c = c.Next() {
		if c.Name() == "id" {
			out = append(append(out, `"id":`...), codec.AppendJSON(nil, c, nil)...)
			continue
		}
		if extensions != nil {
			extensions = append(extensions, ',')
		}
		extensions = codec.AppendJSON(extensions, c, nil)
	}
	if extensions != nil {
		if out != nil {
			out = append(out, ',')
		}
		out = append(append(append(out, `"extension":[`...), extensions...), ']')
	}
	return append(append([]byte{'{'}, out...), '}')
}
