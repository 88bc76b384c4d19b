package terminology

import (
	"maps"
	"slices"
	"strings"

	"meridian/fhir/element"
)

// Contents of a code system. https://hl7.org/fhir/R4/valueset-codesystem-content-mode.html
const (
	contentComplete   = "complete"
	contentNotPresent = "not-present"
	contentSupplement = "supplement"
)

// codeSystem is a compiled CodeSystem.
type codeSystem struct {
	url, version, name string
	status, date       string
	content            string
	supplements        string // canonical
	stamp              string
	folds              bool // case does not count
	subsumes           bool // what is below is also what is above
	concepts           []concept
	byCode             map[string]int32
	declared           map[string]bool // properties
	grammar            grammar         // not nil: codes are known by their form
}

type concept struct {
	code, display, definition string
	abstract, inactive        bool
	parents, children         []int32 // rows
	designations              []Designation
	properties                []Property
}

// listed says that what is not in concepts is no code of the system.
func (cs *codeSystem) listed() bool { return cs.content == contentComplete && cs.grammar == nil }

// row finds a code.
func (cs *codeSystem) row(code string) (int32, bool) {
	i, ok := cs.byCode[code]
	if !ok && cs.folds {
		i, ok = cs.byCode[strings.ToLower(code)]
	}
	return i, ok
}

// The properties that the specification defines, by their uris and by the codes that they have there.
//
// https://hl7.org/fhir/R4/codesystem-concept-properties.html
const conceptProperties = "http://hl7.org/fhir/concept-properties#"

// compileCodeSystem reads a CodeSystem.
func compileCodeSystem(root element.Node) *codeSystem {
	cs := &codeSystem{byCode: map[string]int32{}, declared: map[string]bool{}, subsumes: true, content: contentComplete}
	meaning := map[string]string{}
	for n := root.First(); n.Valid(); n = n.Next() {
		switch n.Name() {
		case "url":
			cs.url = n.Text()
		case "version":
			cs.version = n.Text()
		case "name":
			cs.name = n.Text()
		case "status":
			cs.status = n.Text()
		case "date":
			cs.date = n.Text()
		case "content":
			cs.content = n.Text()
		case "supplements":
			cs.supplements = n.Text()
		case "caseSensitive":
			cs.folds = n.Text() == "false"
		case "hierarchyMeaning":
			cs.subsumes = n.Text() == "is-a" || n.Text() == "classified-with"
		case "property":
			code := n.Child("code").Text()
			cs.declared[code], meaning[code] = true, code
			if uri, ok := strings.CutPrefix(n.Child("uri").Text(), conceptProperties); ok {
				meaning[code] = uri
			}
		}
	}
	for n := root.Child("concept"); n.Valid(); n = n.Next() {
		if n.Name() == "concept" {
			cs.add(n, -1)
		}
	}
	cs.link(meaning)
	return cs
}

// add reads a concept and those inside it.
func (cs *codeSystem) add(n element.Node, parent int32) {
	at := int32(len(cs.concepts))
	cs.concepts = append(cs.concepts, concept{})
	c := concept{}
	if parent >= 0 {
		c.parents = append(c.parents, parent)
	}
	for k := n.First(); k.Valid(); k = k.Next() {
		switch k.Name() {
		case "code":
			c.code = k.Text()
		case "display":
			c.display = k.Text()
		case "definition":
			c.definition = k.Text()
		case "designation":
			c.designations = append(c.designations, designationOf(k))
		case "property":
			c.properties = append(c.properties, propertyOf(k))
		}
	}
	cs.concepts[at] = c
	if _, twice := cs.byCode[c.code]; !twice {
		cs.byCode[c.code] = at
	}
	if lower := strings.ToLower(c.code); cs.folds && lower != c.code {
		if _, twice := cs.byCode[lower]; !twice {
			cs.byCode[lower] = at
		}
	}
	for k := n.Child("concept"); k.Valid(); k = k.Next() {
		if k.Name() == "concept" {
			cs.add(k, at)
		}
	}
}

func designationOf(n element.Node) Designation {
	use := n.Child("use")
	return Designation{Language: n.Child("language").Text(), Value: n.Child("value").Text(),
		UseSystem: use.Child("system").Text(), UseCode: use.Child("code").Text(), Use: string(use.Raw())}
}

func propertyOf(n element.Node) Property {
	p := Property{Code: n.Child("code").Text()}
	if v := n.Child("value"); v.Valid() {
		name := v.Type().Name
		p.Member, p.Raw, p.Text = "value"+strings.ToUpper(name[:1])+name[1:], string(v.Raw()), v.Text()
		if name == "Coding" {
			p.Text = v.Child("code").Text()
		}
	}
	return p
}

// link reads what properties say of the hierarchy and of states, and notes for each row those below it.
func (cs *codeSystem) link(meaning map[string]string) {
	said := map[[2]int32]bool{} // pairs that properties make
	for i := range cs.concepts {
		c := &cs.concepts[i]
		for _, p := range c.properties {
			what, known := meaning[p.Code]
			if !known {
				what = p.Code
			}
			switch what {
			case "parent", "subsumedBy":
				cs.below(said, p.Text, int32(i))
			case "child":
				if k, ok := cs.row(p.Text); ok {
					cs.below(said, c.code, k)
				}
			case "notSelectable", "abstract":
				c.abstract = c.abstract || p.Text == "true"
			case "inactive":
				c.inactive = c.inactive || p.Text == "true"
			case "status":
				c.inactive = c.inactive || p.Text == "retired" || p.Text == "inactive"
			}
		}
	}
	for i := range cs.concepts {
		for _, p := range cs.concepts[i].parents {
			cs.concepts[p].children = append(cs.concepts[p].children, int32(i))
		}
	}
}

// below notes that the code parent stands above a row, once.
func (cs *codeSystem) below(said map[[2]int32]bool, parent string, row int32) {
	p, ok := cs.row(parent)
	pair := [2]int32{p, row}
	c := &cs.concepts[row]
	if !ok || p == row || said[pair] || len(c.parents) > 0 && c.parents[0] == p {
		return
	}
	said[pair] = true
	c.parents = append(c.parents, p)
}

// with gives the system with what supplements add: designations and properties of codes that it has.
func (cs *codeSystem) with(supplements []*codeSystem) *codeSystem {
	out := *cs
	out.concepts, out.declared = slices.Clone(cs.concepts), maps.Clone(cs.declared)
	for _, s := range supplements {
		maps.Copy(out.declared, s.declared)
		for i := range s.concepts {
			from := &s.concepts[i]
			row, ok := out.row(from.code)
			if !ok {
				continue
			}
			c := &out.concepts[row]
			c.designations = slices.Concat(c.designations, from.designations)
			c.properties = slices.Concat(c.properties, from.properties)
			if from.display != "" && from.display != c.display {
				c.designations = append(c.designations, Designation{Value: from.display})
			}
		}
	}
	return &out
}

// show gives what is known of a row.
func (cs *codeSystem) show(row int32) Concept {
	c := &cs.concepts[row]
	out := Concept{System: cs.url, Version: cs.version, Name: cs.name, Code: c.code, Display: c.display, Definition: c.definition,
		Abstract: c.abstract, Inactive: c.inactive, Designations: c.designations, Properties: c.properties}
	for _, p := range c.parents {
		out.Parents = append(out.Parents, cs.concepts[p].code)
	}
	for _, k := range c.children {
		out.Children = append(out.Children, cs.concepts[k].code)
	}
	return out
}
