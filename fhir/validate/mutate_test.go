package validate

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"meridian/fhir/codec"
	"meridian/fhir/element"
	"meridian/fhir/fhirtest"
	"meridian/fhir/schema"
)

// A mutation changes a resource in one place. Most make it wrong, some leave it right; both verdicts are compared.

// mutationKinds in the order in which they are printed.
var mutationKinds = []string{"removed", "repeated", "misspelt", "wrong-type", "wrong-code", "broken-reference", "broken-invariant", "bad-slice", "bad-extension", "bad-narrative"}

// object is a JSON object being mutated.
type object = map[string]any

// mutator changes one document. tree is what codec reads from it.
type mutator struct {
	r    *rand.Rand
	doc  object
	tree *element.Tree
}

// mutate gives the document changed by one mutation of a kind; false when the kind finds no place in it.
func mutate(body []byte, kind string, seed uint64) ([]byte, bool) {
	tree, err := codec.Parse(body, codec.Options{})
	if err != nil {
		return nil, false
	}
	m := mutator{r: rand.New(rand.NewPCG(seed, 1)), tree: tree}
	d := json.NewDecoder(strings.NewReader(string(body)))
	d.UseNumber()
	if d.Decode(&m.doc) != nil {
		return nil, false
	}
	changed := false
	for range 60 {
		if changed = m.try(kind); changed {
			break
		}
	}
	out, err := json.Marshal(m.doc)
	return out, changed && err == nil
}

func (m *mutator) try(kind string) bool {
	switch kind {
	case "removed":
		return m.remove()
	case "repeated":
		return m.repeat()
	case "misspelt":
		return m.misspell()
	case "wrong-type":
		return m.retype()
	case "wrong-code":
		return m.recode()
	case "broken-reference":
		return m.misrefer()
	case "broken-invariant":
		return m.contradict()
	case "bad-slice":
		return m.unslice()
	case "bad-extension":
		return m.extend()
	}
	return m.renarrate()
}

// pick gives a random node below the root that is asked for.
func (m *mutator) pick(want func(element.Node) bool) (element.Node, bool) {
	for range 200 {
		if n := m.tree.At(m.r.IntN(m.tree.Len())); n.Element() != nil && n.Type().Name != "xhtml" && want(n) {
			return n, true
		}
	}
	return element.Node{}, false
}

func anyNode(element.Node) bool { return true }

// member is the JSON name of n in its parent.
func member(n element.Node) string {
	e := n.Element()
	if !e.Choice {
		return e.Name
	}
	t := n.Type().Name
	return e.Name + strings.ToUpper(t[:1]) + t[1:]
}

// parent finds the JSON object that holds n; nil where that is a primitive's twin.
func (m *mutator) parent(n element.Node) object {
	p := n.Parent()
	if !p.Parent().Valid() {
		return m.doc
	}
	if p.Type().Kind == schema.Primitive {
		return nil
	}
	o := m.parent(p)
	if o == nil {
		return nil
	}
	switch v := o[member(p)].(type) {
	case object:
		return v
	case []any:
		if k := p.Ordinal(); k < len(v) {
			o, _ := v[k].(object)
			return o
		}
	}
	return nil
}

// self is the JSON object of n itself.
func (m *mutator) self(n element.Node) object {
	if !n.Parent().Valid() {
		return m.doc
	}
	o := m.parent(n)
	if o == nil {
		return nil
	}
	switch v := o[member(n)].(type) {
	case object:
		return v
	case []any:
		o, _ := v[n.Ordinal()].(object)
		return o
	}
	return nil
}

// set replaces the JSON value of n.
func (m *mutator) set(n element.Node, value any) bool {
	o := m.parent(n)
	if o == nil {
		return false
	}
	if list, ok := o[member(n)].([]any); ok {
		list[n.Ordinal()] = value
		return true
	}
	o[member(n)] = value
	return true
}

func (m *mutator) remove() bool {
	n, ok := m.pick(anyNode)
	o := m.parent(n)
	if !ok || o == nil {
		return false
	}
	list, repeats := o[member(n)].([]any)
	if !repeats || len(list) == 1 {
		delete(o, member(n))
		delete(o, "_"+member(n))
		return len(o) > 0
	}
	if o["_"+member(n)] != nil {
		return false
	}
	k := n.Ordinal()
	o[member(n)] = append(append([]any{}, list[:k]...), list[k+1:]...)
	return true
}

func (m *mutator) repeat() bool {
	n, ok := m.pick(anyNode)
	o := m.parent(n)
	if !ok || o == nil || o["_"+member(n)] != nil {
		return false
	}
	if list, ok := o[member(n)].([]any); ok {
		o[member(n)] = append(list, list[n.Ordinal()])
		return true
	}
	o[member(n)] = []any{o[member(n)], o[member(n)]}
	return true
}

func (m *mutator) misspell() bool {
	n, ok := m.pick(anyNode)
	o := m.parent(n)
	if !ok || o == nil {
		return false
	}
	name := member(n)
	k := m.r.IntN(len(name))
	wrong := name[:k] + name[k+1:]
	if m.r.IntN(2) == 0 {
		wrong = name[:k] + "x" + name[k:]
	}
	if wrong == "" || o[wrong] != nil {
		return false
	}
	o[wrong] = o[name]
	delete(o, name)
	return true
}

func (m *mutator) retype() bool {
	n, ok := m.pick(anyNode)
	if !ok {
		return false
	}
	wrong := []any{"not a value!", json.Number("-1.5"), true, object{"text": "x"}, "2026-13-45", ""}
	if n.Type().Kind != schema.Primitive {
		wrong = []any{"text", json.Number("1"), false, []any{}, object{}}
	}
	return m.set(n, wrong[m.r.IntN(len(wrong))])
}

// recode puts a code where there is none such in the value set or the system.
func (m *mutator) recode() bool {
	n, ok := m.pick(func(n element.Node) bool {
		return n.TypeID() == schema.TypeCode && (n.Element().Strength == 'r' || n.Name() == "code" && n.Parent().TypeID() == schema.TypeCoding)
	})
	return ok && m.set(n, "no-such-code")
}

func (m *mutator) misrefer() bool {
	n, ok := m.pick(func(n element.Node) bool {
		return n.Name() == "reference" && n.Parent().TypeID() == schema.TypeReference
	})
	wrong := []string{"#none", "Basic/1", "Nothing/1", "AuditEvent/x", "urn:uuid:X", "Patient/a b", "#"}
	return ok && m.set(n, wrong[m.r.IntN(len(wrong))])
}

// contradict breaks an invariant of some data type or resource.
func (m *mutator) contradict() bool {
	n, ok := m.pick(func(n element.Node) bool { return n.Type().Kind != schema.Primitive })
	if !ok {
		return false
	}
	o := m.self(n)
	if o == nil {
		return false
	}
	has := func(name string) bool { return o[name] != nil }
	switch t := n.Type(); t.Name {
	case "Period":
		o["start"], o["end"] = "2020-02-01", "2010-02-01" // per-1
	case "Quantity", "Age", "Duration":
		if !has("code") {
			return false
		}
		delete(o, "system") // qty-3
	case "ContactPoint":
		delete(o, "system") // cpt-2
	case "Attachment":
		o["data"] = "AAAA"
		delete(o, "contentType") // att-1
	case "Identifier", "HumanName", "Address":
		o["period"] = object{"start": "2020-02-01", "end": "2010-02-01"}
	case "Extension":
		o["valueString"], o["extension"] = "x", []any{object{"url": "http://example.org/x", "valueString": "x"}} // ext-1
	case "Reference":
		o["reference"] = "#nothing-such" // ref-1
	case "CodeableConcept":
		return false
	case "Observation.referenceRange":
		delete(o, "low")
		delete(o, "high")
		delete(o, "text") // obs-3
		return len(o) > 0
	case "Observation.component", "Observation":
		o["dataAbsentReason"], o["valueString"] = object{"text": "x"}, "x" // obs-6
	default:
		return m.contradictResource(n, o)
	}
	return true
}

func (m *mutator) contradictResource(n element.Node, o object) bool {
	if n.Type().Kind != schema.Resource || !n.Type().IsA(schema.TypeDomainResource) || n.Name() == "contained" {
		return false
	}
	inner := object{"resourceType": "Basic", "id": "inner", "code": object{"text": "x"}}
	switch m.r.IntN(3) {
	case 0: // dom-3: not referred to
	case 1: // dom-4
		inner["meta"] = object{"versionId": "1"}
	case 2: // dom-2
		inner["contained"] = []any{object{"resourceType": "Basic", "id": "deep", "code": object{"text": "x"}}}
	}
	list, _ := o["contained"].([]any)
	o["contained"] = append(list, inner)
	return true
}

// unslice breaks what a vital signs profile asks for.
func (m *mutator) unslice() bool {
	meta, _ := m.doc["meta"].(object)
	if profiles, _ := meta["profile"].([]any); len(profiles) == 0 || !strings.Contains(fmt.Sprint(profiles...), "hl7.org") {
		return false
	}
	category, _ := m.doc["category"].([]any)
	if m.doc["resourceType"] != "Observation" || len(category) == 0 {
		return false
	}
	coding := func(at any) object {
		o, _ := at.(object)
		list, _ := o["coding"].([]any)
		if len(list) == 0 {
			return object{}
		}
		c, _ := list[0].(object)
		return c
	}
	value, _ := m.doc["valueQuantity"].(object)
	component, _ := m.doc["component"].([]any)
	switch m.r.IntN(9) {
	case 0:
		coding(category[0])["code"] = "survey"
	case 1:
		delete(m.doc, "category")
	case 2:
		coding(m.doc["code"])["system"] = "http://example.org/codes"
	case 3:
		m.doc["category"] = append(category, object{"coding": []any{object{"system": coding(category[0])["system"], "code": "vital-signs"}}})
	case 4:
		if value == nil {
			return false
		}
		value["code"] = "km"
	case 5:
		if value == nil {
			return false
		}
		delete(m.doc, "valueQuantity")
		m.doc["valueString"] = "x"
	case 6:
		if len(component) == 0 {
			return false
		}
		m.doc["component"] = component[1:]
		if len(component) == 1 {
			delete(m.doc, "component")
		}
	case 7:
		if len(component) == 0 {
			return false
		}
		m.doc["component"] = append(component, component[0])
	case 8:
		delete(m.doc, "effectiveDateTime")
		delete(m.doc, "subject")
	}
	return true
}

// extend adds or spoils an extension.
func (m *mutator) extend() bool {
	n, ok := m.pick(func(n element.Node) bool {
		return n.Type().Kind == schema.Complex && n.TypeID() != schema.TypeExtension
	})
	if !ok || m.r.IntN(2) == 0 {
		n = m.tree.Root()
	}
	o := m.self(n)
	if o == nil || !n.Type().IsA(schema.TypeDomainResource) && n.Type().Kind == schema.Resource {
		return false
	}
	const hl7 = "http://hl7.org/fhir/StructureDefinition/"
	list, _ := o["extension"].([]any)
	wrong := []object{
		{"url": "http://hospital.example.net/unknown", "valueString": "x"},
		{"url": hl7 + "no-such-extension", "valueString": "x"},
		{"url": hl7 + "patient-birthTime", "valueDateTime": "2020-01-01T00:00:00Z"},
		{"url": hl7 + "patient-birthPlace", "valueAddress": object{"text": "x"}},
		{"url": hl7 + "patient-birthPlace", "valueString": "x"},
		{"url": hl7 + "patient-nationality", "extension": []any{object{"url": "code", "valueString": "x"}}},
		{"url": hl7 + "patient-nationality", "extension": []any{object{"url": "other", "valueString": "x"}}},
		{"url": hl7 + "iso21090-EN-qualifier", "valueCode": "LS"},
		{"url": hl7 + "data-absent-reason", "valueCode": "unknown"},
		{"url": hl7 + "data-absent-reason", "valueString": "unknown"},
		{"url": "http://hospital.example.net/empty"},
		{"url": "relative", "valueString": "x"},
		{"valueString": "x"},
		{"url": hl7 + "observation-bodyPosition", "valueCodeableConcept": object{"text": "x"}},
	}
	o["extension"] = append(list, wrong[m.r.IntN(len(wrong))])
	return true
}

func (m *mutator) renarrate() bool {
	t, ok := m.doc["text"].(object)
	if !ok {
		return false
	}
	const open = `<div xmlns="http://www.w3.org/1999/xhtml">`
	wrong := []string{
		open + `<script>alert(1)</script></div>`, open + `<p onclick="x()">x</p></div>`, open + `<iframe src="x"/></div>`, open + `<p>x</div>`,
		open + `</div>`, open + `   </div>`, `<div>x</div>`, `plain text`, open + `<p>x</p></div><p/>`, open + `<form><input/></form></div>`,
		open + `<p style="color:red">x</p></div>`, open + `<table><tr><td>x</td></tr></table></div>`, open + `<a href="http://x">x</a></div>`,
		open + `<img src="x.png" alt="x"/></div>`, `<p xmlns="http://www.w3.org/1999/xhtml">x</p>`, open + `<blink>x</blink></div>`, open + `<object data="x"/>x</div>`,
	}
	k := m.r.IntN(len(wrong) + 3)
	switch k - len(wrong) {
	case 0:
		delete(t, "status")
	case 1:
		t["status"] = "nonsense"
	case 2:
		delete(t, "div")
	default:
		t["div"] = wrong[k]
	}
	return true
}

// mutated is one case of the comparison with the peer.
type mutated struct {
	name string // "removed/17 patient-example.json"
	base string
	body []byte
}

// maxMutated bounds the examples that are mutated, in bytes.
const maxMutated = 30_000

// mutations gives each kind n times, seeded.
func mutations(t testing.TB, n int) (out []mutated) {
	var bases []fhirtest.Example
	for _, x := range fhirtest.Examples(t) {
		if len(x.Body) <= maxMutated && exceptions[x.Name] == "" {
			bases = append(bases, x)
		}
	}
	for k, kind := range mutationKinds {
		r := rand.New(rand.NewPCG(uint64(k), 20261122))
		for done := 0; done < n; {
			x := bases[r.IntN(len(bases))]
			if body, ok := mutate(x.Body, kind, r.Uint64()); ok {
				out = append(out, mutated{fmt.Sprintf("%s/%d", kind, done), x.Name, body})
				done++
			}
		}
	}
	return out
}
