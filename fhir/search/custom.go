package search

import (
	"cmp"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"meridian/fhir/definitions"
	"meridian/fhir/schema"
)

// A deployment adds search parameters to those of R4, by SearchParameter
// resources. What is built in is untouched by them: the keys of an added parameter have a
// name of their own, code and a hash of the definition, so that a definition that is
// changed is another one and never asks by the keys of the former:
//
//	shoe-size@2kd0v1m9qk3p1   "" "42"
//
// One with the URL of a parameter of R4 stands in for that as soon as it is ready; the keys of both are kept, and without it
// the built-in one answers again at once.
//
// https://hl7.org/fhir/R4/searchparameter.html

// Definition is what counts of a SearchParameter.
type Definition struct {
	ID         string                  `json:"id"` // of the resource
	URL        string                  `json:"url"`
	Code       string                  `json:"code"`
	Type       string                  `json:"type"` // token, string …
	Base       []string                `json:"base"`
	Expression string                  `json:"expression"`
	Target     []string                `json:"target,omitempty"`
	Components []definitions.Component `json:"components,omitempty"`
}

// addedMark parts code and hash in the name of an added parameter's keys; no code has it.
const addedMark = "@"

// isAdded says whether a key's name is that of an added parameter.
func isAdded(param string) bool { return strings.Contains(param, addedMark) }

// Key is the name of its keys: the same for definitions that give the same keys.
func (d *Definition) Key() string {
	h := fnv.New64a()
	text, err := json.Marshal([]any{d.Code, d.Type, d.Base, d.Expression, d.Target, d.Components})
	if err != nil {
		panic("search: strings have no JSON form: " + err.Error())
	}
	h.Write(text)
	return d.Code + addedMark + strconv.FormatUint(h.Sum64(), 36)
}

// Types lists the resource types that it is of, those below an abstract base too, sorted.
func (d *Definition) Types() []string {
	var out []string
	for _, name := range schema.ResourceTypes() {
		t := schema.ByName(name)
		if slices.ContainsFunc(d.Base, func(b string) bool { return isA(t, b) }) {
			out = append(out, name)
		}
	}
	return out
}

// HasKeys says whether resources are indexed by it: not for a composite, which asks by the keys of its parts.
func (d *Definition) HasKeys() bool { return kindOf(d.Type) != KindComposite }

// Added is a definition on its way.
type Added struct {
	Definition
	// Ready: every resource has its keys, and searches may ask by them.
	Ready bool `json:"ready,omitempty"`
	// Percent of the resources that have their keys, while it is not ready.
	Percent int `json:"percent,omitempty"`
}

// addedSet is what a registry has beside R4's; immutable.
type addedSet struct {
	generation uint64
	adopted    uint64 // counts the calls of Adopt
	all        []*Added
	byType     map[schema.ID]*addedType
}

type addedType struct {
	lazyTable
	added []*Added
}

// Adopt replaces the added parameters by these, at once for every caller; the facts that
// Index gives from then on are of the generation. A query that was parsed before keeps the
// parameters that it was parsed with. Calls come one after the other. What is not ready has keys and answers no searches.
func (r *Registry) Adopt(generation uint64, added []Added) {
	set := &addedSet{generation: generation, adopted: r.Adopted() + 1, byType: map[schema.ID]*addedType{}}
	for i := range added {
		a := &added[i]
		set.all = append(set.all, a)
		r.Progress(a.Key(), a.Percent)
		for _, name := range a.Types() {
			id := schema.ByName(name).ID
			if set.byType[id] == nil {
				set.byType[id] = &addedType{}
			}
			set.byType[id].added = append(set.byType[id].added, a)
		}
	}
	r.added.Store(set)
}

// Generation is that of the facts that Index gives.
func (r *Registry) Generation() uint64 { return r.added.Load().generation }

// Adopted counts the calls of Adopt: what was made of the parameters before the last one may be out of date.
func (r *Registry) Adopted() uint64 { return r.added.Load().adopted }

// AddedParameters are those of the last Adopt. Read only.
func (r *Registry) AddedParameters() []*Added { return r.added.Load().all }

// Progress tells searches how many in a hundred resources have the keys of that name.
func (r *Registry) Progress(key string, percent int) {
	p, _ := r.percents.LoadOrStore(key, new(atomic.Int32))
	p.(*atomic.Int32).Store(int32(percent))
}

func (r *Registry) percent(key string) int {
	p, ok := r.percents.Load(key)
	if !ok {
		return 0
	}
	return int(p.(*atomic.Int32).Load())
}

// addTo compiles added parameters into a type's table, after those of R4.
func (r *Registry) addTo(tt *typeTable, added []*Added) {
	var composites []*Param
	from := map[*Param]*definitions.SearchParameter{}
	for _, a := range added {
		d := &definitions.SearchParameter{URL: a.URL, Code: a.Code, Type: a.Type, Base: a.Base, Expression: a.Expression, Target: a.Target, Components: a.Components}
		p := r.newParam(tt.typ, d)
		p.key, p.Added = a.Key(), true
		if p.Kind == KindComposite {
			composites, from[p] = append(composites, p), d
			continue
		}
		tt.all = append(tt.all, p)
		stands := tt.byCode[p.Code]
		switch {
		case a.Ready:
			tt.replace(stands, p)
		case stands == nil:
			p.Pending = func() string {
				return fmt.Sprintf("it is being indexed, %d in 100 resources are done; until all are it answers no search", r.percent(p.key))
			}
			tt.byCode[p.Code] = p
		}
	}
	for _, p := range composites {
		tt.replace(tt.byCode[p.Code], p)
		if p.Unsupported == "" {
			r.composeParts(tt, p, from[p])
		}
	}
	slices.SortFunc(tt.params, func(a, b *Param) int { return cmp.Compare(a.Code, b.Code) })
}

// replace puts p in the place of the parameter that its code stood for, nil for none.
func (tt *typeTable) replace(stands, p *Param) {
	tt.params = append(slices.DeleteFunc(tt.params, func(q *Param) bool { return q == stands }), p)
	tt.byCode[p.Code] = p
}
