package terminology

import (
	"strings"

	"meridian/fhir/definitions"
	"meridian/fhir/element"
)

// conceptMap is a compiled ConceptMap.
type conceptMap struct {
	url, version, name string
	status, date       string
	stamp              string
	source, target     string // value sets; empty where they are not said
	groups             []mapGroup
}

// mapGroup maps codes of one system to another.
type mapGroup struct {
	source, target               string // systems, each may be empty
	sourceVersion, targetVersion string
	elements                     []mapElement
	byCode                       map[string][]int // rows of elements with a code
	byTarget                     map[string][]int // rows of elements that are mapped to a code
	unmapped                     *unmapped
}

type mapElement struct {
	code, display string
	targets       []mapTarget
}

type mapTarget struct {
	code, display, equivalence, comment string
	dependsOn                           []dependency
	product                             []dependency
}

// dependency is a dependsOn or product: a further value beside the code.
type dependency struct{ property, system, value, display string }

// unmapped is what holds for a code that a group does not list.
type unmapped struct{ mode, code, display, url string }

func (m *conceptMap) about() header {
	return header{m.url, m.stamp, definitions.Edition{Version: m.version, Status: m.status, Date: m.date}}
}

func (m *conceptMap) size() (n int) {
	for i := range m.groups {
		n += len(m.groups[i].elements)
	}
	return n
}

// compileConceptMap reads a ConceptMap.
//
// https://hl7.org/fhir/R4/conceptmap.html
func compileConceptMap(root element.Node) *conceptMap {
	m := &conceptMap{url: root.Child("url").Text(), version: root.Child("version").Text(), name: root.Child("name").Text(),
		status: root.Child("status").Text(), date: root.Child("date").Text(), source: root.Child("source").Text(), target: root.Child("target").Text()}
	for n := root.First(); n.Valid(); n = n.Next() {
		if n.Name() == "group" {
			m.groups = append(m.groups, compileGroup(n))
		}
	}
	return m
}

func compileGroup(n element.Node) mapGroup {
	g := mapGroup{source: n.Child("source").Text(), target: n.Child("target").Text(), sourceVersion: n.Child("sourceVersion").Text(),
		targetVersion: n.Child("targetVersion").Text(), byCode: map[string][]int{}, byTarget: map[string][]int{}}
	for k := n.First(); k.Valid(); k = k.Next() {
		switch k.Name() {
		case "element":
			g.add(k)
		case "unmapped":
			g.unmapped = &unmapped{k.Child("mode").Text(), k.Child("code").Text(), k.Child("display").Text(), k.Child("url").Text()}
		}
	}
	return g
}

func (g *mapGroup) add(n element.Node) {
	e := mapElement{code: n.Child("code").Text(), display: n.Child("display").Text()}
	row := len(g.elements)
	for k := n.First(); k.Valid(); k = k.Next() {
		if k.Name() != "target" {
			continue
		}
		t := mapTarget{code: k.Child("code").Text(), display: k.Child("display").Text(), equivalence: k.Child("equivalence").Text(), comment: k.Child("comment").Text()}
		for d := k.First(); d.Valid(); d = d.Next() {
			switch d.Name() {
			case "dependsOn":
				t.dependsOn = append(t.dependsOn, dependencyOf(d))
			case "product":
				t.product = append(t.product, dependencyOf(d))
			}
		}
		e.targets = append(e.targets, t)
		g.byTarget[t.code] = append(g.byTarget[t.code], row)
	}
	g.elements = append(g.elements, e)
	g.byCode[e.code] = append(g.byCode[e.code], row)
}

func dependencyOf(n element.Node) dependency {
	return dependency{n.Child("property").Text(), n.Child("system").Text(), n.Child("value").Text(), n.Child("display").Text()}
}

// sameCanonical compares urls, and versions where both have one.
func sameCanonical(a, b string) bool {
	x, v, _ := strings.Cut(a, "|")
	y, w, _ := strings.Cut(b, "|")
	return x == y && (v == "" || w == "" || v == w)
}
