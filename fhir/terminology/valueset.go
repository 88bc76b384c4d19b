package terminology

import (
	"strings"

	"meridian/fhir/definitions"
	"meridian/fhir/element"
)

// valueSet is a compiled ValueSet, not bound to what it draws from.
type valueSet struct {
	url, version, name string
	title              string
	status, date       string
	stamp              string
	active             bool // compose.inactive is false: inactive codes are left out
	include, exclude   []include
	defined            bool // it says what it holds
}

// include is one ValueSet.compose.include or exclude.
type include struct {
	system, version string
	codes           []includedCode
	byCode          map[string]int
	filters         []filter
	valueSets       []string
}

type includedCode struct {
	code, display string
	designations  []Designation
}

type filter struct{ property, op, value string }

func (vs *valueSet) about() header {
	return header{vs.url, vs.stamp, definitions.Edition{Version: vs.version, Status: vs.status, Date: vs.date}}
}

func (vs *valueSet) size() (n int) {
	for _, list := range [][]include{vs.include, vs.exclude} {
		for i := range list {
			n += len(list[i].codes)
		}
	}
	return n
}

// compileValueSet reads a ValueSet. One without compose is what its expansion lists.
//
// https://hl7.org/fhir/R4/valueset.html#compositions
func compileValueSet(root element.Node) *valueSet {
	vs := &valueSet{url: root.Child("url").Text(), version: root.Child("version").Text(), name: root.Child("name").Text(),
		title: root.Child("title").Text(), status: root.Child("status").Text(), date: root.Child("date").Text()}
	if c := root.Child("compose"); c.Valid() {
		vs.defined = true
		vs.active = c.Child("inactive").Text() == "false"
		for n := c.First(); n.Valid(); n = n.Next() {
			switch n.Name() {
			case "include":
				vs.include = append(vs.include, compileInclude(n))
			case "exclude":
				vs.exclude = append(vs.exclude, compileInclude(n))
			}
		}
	} else if e := root.Child("expansion"); e.Valid() {
		vs.defined = true
		listed := map[string]*include{}
		var order []string
		fromExpansion(e, listed, &order)
		for _, key := range order {
			vs.include = append(vs.include, *listed[key])
		}
	}
	return vs
}

func compileInclude(n element.Node) include {
	in := include{system: n.Child("system").Text(), version: n.Child("version").Text()}
	for k := n.First(); k.Valid(); k = k.Next() {
		switch k.Name() {
		case "concept":
			in.add(includedCode{code: k.Child("code").Text(), display: k.Child("display").Text(), designations: designationsOf(k)})
		case "filter":
			in.filters = append(in.filters, filter{k.Child("property").Text(), k.Child("op").Text(), k.Child("value").Text()})
		case "valueSet":
			in.valueSets = append(in.valueSets, k.Text())
		}
	}
	return in
}

func designationsOf(n element.Node) (out []Designation) {
	for d := n.First(); d.Valid(); d = d.Next() {
		if d.Name() == "designation" {
			out = append(out, designationOf(d))
		}
	}
	return out
}

// add notes a listed code; of two that are the same the first counts.
func (in *include) add(c includedCode) {
	if in.byCode == nil {
		in.byCode = map[string]int{}
	}
	if _, twice := in.byCode[c.code]; !twice {
		in.byCode[c.code] = len(in.codes)
		in.codes = append(in.codes, c)
	}
}

// fromExpansion makes includes of what an expansion contains, one for each system and version.
func fromExpansion(n element.Node, listed map[string]*include, order *[]string) {
	for k := n.Child("contains"); k.Valid(); k = k.Next() {
		if k.Name() != "contains" {
			continue
		}
		if code := k.Child("code").Text(); code != "" && k.Child("abstract").Text() != "true" {
			system, version := k.Child("system").Text(), k.Child("version").Text()
			key := system + "|" + version
			if listed[key] == nil {
				listed[key] = &include{system: system, version: version}
				*order = append(*order, key)
			}
			listed[key].add(includedCode{code: code, display: k.Child("display").Text(), designations: designationsOf(k)})
		}
		fromExpansion(k, listed, order)
	}
}

// implicit gives the value sets that a system defines without a resource:
//
//	http://snomed.info/sct?fhir_vs, …?fhir_vs=isa/138875005     all, or what is below a code; of any system
//	http://loinc.org/vs, http://unitsofmeasure.org/vs           all
//
// https://hl7.org/fhir/R4/snomedct.html#implicit, https://hl7.org/fhir/R4/loinc.html, https://hl7.org/fhir/R4/ucum.html
func implicit(canonical string) *valueSet {
	canonical, _, _ = strings.Cut(canonical, "|")
	vs := &valueSet{url: canonical, status: "active", stamp: "implicit " + canonical, defined: true}
	if system, query, ok := strings.Cut(canonical, "?fhir_vs"); ok {
		in := include{system: system}
		if rest, ok := strings.CutPrefix(system, "http://snomed.info/sct/"); ok {
			in.system, in.version = "http://snomed.info/sct", "http://snomed.info/sct/"+rest
		}
		code, isa := strings.CutPrefix(query, "=isa/")
		switch {
		case isa && code != "":
			in.filters = []filter{{"concept", "is-a", code}}
		case query != "":
			return nil
		}
		vs.include = []include{in}
		return vs
	}
	for _, system := range []string{"http://loinc.org", systemUCUM} {
		if canonical == system+"/vs" {
			vs.include = []include{{system: system}}
			return vs
		}
	}
	return nil
}
