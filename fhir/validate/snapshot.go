package validate

import (
	"slices"
	"strings"

	"meridian/fhir/element"
	"meridian/fhir/schema"
)

// maxElements is how many elements a snapshot may have.
const maxElements = 20_000

// snapshot gives the elements of a definition: its own snapshot, else its differential merged into the snapshot of its base.
//
// https://hl7.org/fhir/R4/profiling.html#snapshot
func (l *loader) snapshot(sd element.Node, p *profile) []*elementDef {
	if s := sd.Child("snapshot"); s.Valid() {
		return implied(readElements(s), p.typeName)
	}
	diff := implied(readElements(sd.Child("differential")), p.typeName)
	base := sd.Child("baseDefinition").Text()
	if len(diff) == 0 || base == "" {
		return nil
	}
	from := l.profile(base)
	p.bases = append(p.bases, baseProfile{base, from})
	if from == nil || len(from.elements) == 0 {
		p.problems = append(p.problems, "its base "+base+" is not known")
		return nil
	}
	m := merger{l: l, p: p}
	for _, d := range from.elements {
		c := *d
		m.out = append(m.out, &c)
	}
	for _, d := range diff {
		if len(m.out) > maxElements {
			p.problems = append(p.problems, "its snapshot has more than "+count(maxElements)+" elements")
			return nil
		}
		m.merge(d)
	}
	return m.out
}

// implied turns paths whose choice is written out (Observation.valueQuantity.unit) into slices of the choice
// (Observation.value[x]:valueQuantity.unit).
//
// https://hl7.org/fhir/R4/elementdefinition.html#path
func implied(defs []*elementDef, typeName string) []*elementDef {
	for _, d := range defs {
		path, id := strings.Split(d.path, "."), strings.Split(d.id, ".")
		if len(path) != len(id) || path[0] != typeName {
			continue
		}
		t := schema.ByName(typeName)
		for i := 1; i < len(path) && t != nil; i++ {
			t = choiceStep(t, d, path, id, i)
		}
		d.path, d.id = strings.Join(path, "."), strings.Join(id, ".")
	}
	return defs
}

// choiceStep rewrites step i of a path and an id where it names a choice with its type, and gives the type of the step, nil when it is
// not known.
func choiceStep(t *schema.Type, d *elementDef, path, id []string, i int) *schema.Type {
	name := strings.TrimSuffix(path[i], "[x]")
	last := i == len(path)-1
	if k := elementIndex(t, name); k >= 0 {
		e := &t.Elements[k]
		_, slice, _ := strings.Cut(id[i], ":")
		if !e.Choice {
			return schema.ByID(e.Types[0])
		}
		typ := typeOfSlice(t, k, slice)
		if typ != "" && last {
			d.implied = typ
		}
		return schema.ByName(typ)
	}
	prop, ok := t.Lookup([]byte(name))
	if !ok || !t.Elements[prop.Element].Choice {
		return nil
	}
	typ := schema.ByID(prop.Type)
	_, slice, _ := strings.Cut(id[i], ":")
	if slice == "" {
		slice = prop.JSON
	}
	path[i] = t.Elements[prop.Element].Name + "[x]"
	id[i] = path[i] + ":" + slice
	if last {
		d.slice, d.implied = slice, typ.Name
	}
	return typ
}

// typeOfSlice is the type that the name of a slice of a choice says: Quantity of valueQuantity; empty when it says none.
func typeOfSlice(t *schema.Type, index int, slice string) string {
	if prop, ok := t.Lookup([]byte(slice)); ok && int(prop.Element) == index {
		return schema.ByID(prop.Type).Name
	}
	return ""
}

// merger merges a differential into the elements of its base.
type merger struct {
	l   *loader
	p   *profile
	out []*elementDef
}

func (m *merger) index(id string) int {
	return slices.IndexFunc(m.out, func(d *elementDef) bool { return d.id == id })
}

// merge brings one element of the differential in.
func (m *merger) merge(d *elementDef) {
	at := m.find(d.id, d.path)
	if at < 0 && d.slice != "" {
		at = m.addSlice(d)
	}
	if at < 0 {
		m.p.problems = append(m.p.problems, "element "+d.id+" of the differential is not in the base")
		return
	}
	to := m.out[at]
	to.nodes = append([]element.Node{d.nodes[0]}, to.nodes...)
	if d.implied != "" {
		to.implied = d.implied
	}
}

// find gives the place of an element, after its parents were opened; -1 when the base has no such element.
func (m *merger) find(id, path string) int {
	if at := m.index(id); at >= 0 {
		return at
	}
	if depth(path) == 0 {
		if len(m.out) > 0 && depth(m.out[0].path) == 0 {
			return 0
		}
		return -1
	}
	parent := m.find(parentOf(id), parentOf(path))
	if parent < 0 {
		_, slice, _ := strings.Cut(last(parentOf(id)), ":")
		if slice == "" {
			return -1
		}
		added := &elementDef{id: parentOf(id), path: parentOf(path), slice: slice}
		if t, k := (&compiler{}).baseOf(added.path); t != nil {
			added.implied = typeOfSlice(t, k, slice)
		}
		if parent = m.addSlice(added); parent < 0 {
			return -1
		}
	}
	m.open(parent)
	return m.index(id)
}

// end is the place behind the subtree of the element at i, its slices included when slices is set.
func (m *merger) end(i int, withSlices bool) int {
	id := m.out[i].id
	k := i + 1
	for k < len(m.out) {
		other := m.out[k].id
		if !strings.HasPrefix(other, id+".") && !(withSlices && (strings.HasPrefix(other, id+":") || strings.HasPrefix(other, id+"/"))) {
			break
		}
		k++
	}
	return k
}

// addSlice adds a slice to the element it is of, behind its other slices; -1 when there is no such element.
func (m *merger) addSlice(d *elementDef) int {
	of := parentOf(d.id) + "." + last(d.path)
	name := d.slice
	if k := strings.LastIndexByte(name, '/'); k > 0 && m.index(of+":"+name[:k]) >= 0 {
		of += ":" + name[:k]
	}
	from := m.find(of, d.path)
	if from < 0 {
		return -1
	}
	at := m.end(from, true)
	slice := &elementDef{path: d.path, id: d.id, slice: name, implied: d.implied}
	slice.unsliced = m.out[from].nodes
	slice.nodes = append([]element.Node{sliceDefault}, slice.unsliced...)
	m.out = slices.Insert(m.out, at, slice)
	return at
}

// open gives the element at i its children, where it has none yet: those of the element it is a slice of, those that it refers
// to, those of its type or of the profile of its type.
func (m *merger) open(i int) {
	d := m.out[i]
	if m.end(i, false) > i+1 {
		return
	}
	if d.slice != "" {
		of := m.index(parentOf(d.id) + "." + last(d.path))
		if of >= 0 && m.end(of, false) > of+1 {
			m.insert(i, m.out[of+1:m.end(of, false)], m.out[of].id, m.out[of].path)
			return
		}
	}
	if ref := strings.TrimPrefix(d.text("contentReference"), "#"); ref != "" {
		if at := m.index(ref); at >= 0 {
			m.insert(i, m.out[at+1:m.end(at, false)], m.out[at].id, m.out[at].path)
		}
		return
	}
	var names []string
	for c := d.owner("type").First(); c.Valid(); c = c.Next() {
		if c.Name() == "type" && (d.implied == "" || c.Child("code").Text() == d.implied) {
			names = append(names, typeURL(c))
		}
	}
	if len(names) != 1 {
		if d.implied == "" {
			return
		}
		names = []string{"http://hl7.org/fhir/StructureDefinition/" + d.implied}
	}
	t := m.l.profile(names[0])
	m.p.bases = append(m.p.bases, baseProfile{names[0], t})
	if t != nil && len(t.elements) > 0 {
		m.insert(i, t.elements[1:], t.elements[0].id, t.elements[0].path)
	}
}

// typeURL is the definition that a type stands for: its only profile, else its base definition.
func typeURL(typ element.Node) string {
	if p := texts(typ, "profile"); len(p) == 1 {
		return p[0]
	}
	return "http://hl7.org/fhir/StructureDefinition/" + typ.Child("code").Text()
}

// insert copies elements behind the one at i and gives them its id and path instead of those of where they come from.
func (m *merger) insert(i int, from []*elementDef, id, path string) {
	to := m.out[i]
	copies := make([]*elementDef, 0, len(from))
	for _, d := range from {
		c := *d
		c.id = to.id + strings.TrimPrefix(d.id, id)
		c.path = to.path + strings.TrimPrefix(d.path, path)
		copies = append(copies, &c)
	}
	m.out = slices.Insert(m.out, i+1, copies...)
}
