package terminology

import (
	"cmp"
	"context"
	"slices"

	"meridian/fhir/element"
	"meridian/fhir/issue"
)

// maxOtherMaps is how many maps are followed one after the other by unmapped.mode other-map.
const maxOtherMaps = 10

// TranslateParams say what is translated by what: by Map, by Definition, or by all
// maps that fit the rest.
type TranslateParams struct {
	Codings      []Coding
	Map          string // canonical or reference
	Definition   element.Node
	Source       string // value set that the codes were chosen from
	Target       string // value set in which a translation is sought
	TargetSystem string
	Reverse      bool // from targets to sources
	DependsOn    []Dependency
}

// Dependency is a further value that a mapping may depend on.
type Dependency struct {
	Property string
	Codings  []Coding
	Text     string
}

// Match is a translation.
type Match struct {
	Equivalence string // a code of ConceptMapEquivalence, turned around for Reverse
	Concept     Coding
	Products    []Product
	Map         string // url of the map
	Comment     string
}

// Product is a further value that belongs to a translation.
type Product struct {
	Property string
	Concept  Coding
}

// Translation is what maps make of codes.
type Translation struct {
	Matches []Match
	Needs   []string // properties of which mappings that were left out need another value
}

// Matches says that the equivalence is a translation: not unmatched, not disjoint.
func (m *Match) Matches() bool { return m.Equivalence != "unmatched" && m.Equivalence != "disjoint" }

// Translate gives the translations, in the order of the maps. Issue codes:
// not-found for a map; required where neither a map nor a target is named.
//
// https://hl7.org/fhir/R4/conceptmap-operation-translate.html
func (l *Library) Translate(ctx context.Context, p TranslateParams) (Translation, error) {
	maps, err := l.mapsFor(ctx, &p)
	if err != nil {
		return Translation{}, err
	}
	t := translation{l: l, ctx: ctx, p: &p}
	for _, m := range maps {
		for i := range p.Codings {
			if err := t.apply(m, &p.Codings[i], nil); err != nil {
				return Translation{}, err
			}
		}
	}
	return t.Translation, nil
}

// mapsFor finds the maps to use.
func (l *Library) mapsFor(ctx context.Context, p *TranslateParams) ([]*conceptMap, error) {
	var named *conceptMap
	switch {
	case p.Definition.Valid():
		named = compileConceptMap(p.Definition)
	case p.Map != "":
		m, err := l.find(ctx, kindConceptMap, p.Map)
		if err != nil {
			return nil, err
		}
		named = m.(*conceptMap)
	case p.Source == "" && p.Target == "" && p.TargetSystem == "":
		return nil, issue.New(issue.Required, "terminology.map", "a translation needs a concept map, or a source, target or target system to find one by", "")
	}
	if named != nil {
		if !p.fits(named, true) {
			return nil, issue.New(issue.Invalid, "terminology.map", "the concept map is from another source, or to another target, than those that are named", "")
		}
		return []*conceptMap{named}, nil
	}
	all, err := l.allMaps(ctx)
	if err != nil {
		return nil, err
	}
	var fit []*conceptMap
	for _, m := range all {
		if p.fits(m, false) {
			fit = append(fit, m)
		}
	}
	return fit, nil
}

// fits says that a map is from the source to the target that are named. A map may leave open which those are.
func (p *TranslateParams) fits(m *conceptMap, open bool) bool {
	source, target := m.source, m.target
	if p.Reverse {
		source, target = target, source
	}
	same := func(has, want string) bool { return want == "" || has == "" && open || sameCanonical(has, want) }
	return same(source, p.Source) && same(target, p.Target)
}

// allMaps gives one map for each url: the newest that is stored, else the official one; by url.
func (l *Library) allMaps(ctx context.Context) ([]*conceptMap, error) {
	byURL := map[string][]compiled{}
	if l.source != nil {
		stored, err := l.source.ConceptMaps(ctx)
		if err != nil {
			return nil, err
		}
		for _, r := range stored {
			c, err := l.compile(kindConceptMap, r.Stamp, func() ([]byte, error) { return r.Read(ctx) })
			if err != nil {
				return nil, err
			}
			url := cmp.Or(c.about().url, r.Stamp)
			byURL[url] = append(byURL[url], c)
		}
	}
	for e := range l.set.Entries(kindConceptMap) {
		if byURL[e.URL] != nil {
			continue
		}
		c, err := l.official(kindConceptMap, e.URL, e.URL)
		if err != nil {
			return nil, err
		}
		byURL[e.URL] = []compiled{c}
	}
	var out []*conceptMap
	for _, of := range byURL {
		out = append(out, newest(of, "").(*conceptMap))
	}
	slices.SortFunc(out, func(a, b *conceptMap) int { return cmp.Or(cmp.Compare(a.url, b.url), cmp.Compare(a.stamp, b.stamp)) })
	return out, nil
}

// translation collects matches.
type translation struct {
	l   *Library
	ctx context.Context
	p   *TranslateParams
	Translation
}

// apply looks a code up in a map. via are the maps that led here.
func (t *translation) apply(m *conceptMap, c *Coding, via []string) error {
	for i := range m.groups {
		g := &m.groups[i]
		from, to := g.source, g.target
		if t.p.Reverse {
			from, to = to, from
		}
		if from != "" && c.System != "" && from != c.System || t.p.TargetSystem != "" && to != t.p.TargetSystem {
			continue
		}
		if t.p.Reverse {
			t.reverse(m, g, c)
			continue
		}
		rows := g.byCode[c.Code]
		for _, row := range rows {
			t.targets(m, g, &g.elements[row])
		}
		if len(rows) == 0 && g.unmapped != nil {
			if err := t.unmapped(m, g, c, via); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *translation) targets(m *conceptMap, g *mapGroup, e *mapElement) {
	for k := range e.targets {
		to := &e.targets[k]
		if needs := t.missing(to.dependsOn); needs != "" {
			if !slices.Contains(t.Needs, needs) {
				t.Needs = append(t.Needs, needs)
			}
			continue
		}
		match := Match{Equivalence: to.equivalence, Map: m.url, Comment: to.comment}
		if to.code != "" {
			match.Concept = Coding{System: g.target, Version: g.targetVersion, Code: to.code, Display: to.display}
		}
		for _, p := range to.product {
			match.Products = append(match.Products, Product{p.property, Coding{System: p.system, Code: p.value, Display: p.display}})
		}
		t.Matches = append(t.Matches, match)
	}
}

// reversed equivalences. https://hl7.org/fhir/R4/valueset-concept-map-equivalence.html
var reversed = map[string]string{"wider": "narrower", "narrower": "wider", "subsumes": "specializes", "specializes": "subsumes"}

// reverse lists the sources of a target. What depends on or makes further values is a source all the same.
func (t *translation) reverse(m *conceptMap, g *mapGroup, c *Coding) {
	for _, row := range g.byTarget[c.Code] {
		e := &g.elements[row]
		for k := range e.targets {
			if to := &e.targets[k]; to.code == c.Code {
				t.Matches = append(t.Matches, Match{Equivalence: cmp.Or(reversed[to.equivalence], to.equivalence), Map: m.url, Comment: to.comment,
					Concept: Coding{System: g.source, Version: g.sourceVersion, Code: e.code, Display: e.display}})
			}
		}
	}
}

// missing names a property of which a mapping needs another value than was sent, "" when there is none.
func (t *translation) missing(of []dependency) string {
	for _, d := range of {
		if !slices.ContainsFunc(t.p.DependsOn, func(x Dependency) bool { return x.Property == d.property && x.is(d) }) {
			return d.property
		}
	}
	return ""
}

func (x *Dependency) is(d dependency) bool {
	return x.Text == d.value && d.value != "" && d.system == "" || slices.ContainsFunc(x.Codings, func(c Coding) bool {
		return c.Code == d.value && (d.system == "" || c.System == d.system)
	})
}

// unmapped does what a group says about codes that it does not list.
//
// https://hl7.org/fhir/R4/valueset-conceptmap-unmapped-mode.html
func (t *translation) unmapped(m *conceptMap, g *mapGroup, c *Coding, via []string) error {
	switch g.unmapped.mode {
	case "provided":
		t.Matches = append(t.Matches, Match{Equivalence: "equal", Map: m.url, Concept: Coding{System: g.target, Version: g.targetVersion, Code: c.Code, Display: c.Display}})
	case "fixed":
		t.Matches = append(t.Matches, Match{Equivalence: "inexact", Map: m.url, Concept: Coding{System: g.target, Version: g.targetVersion, Code: g.unmapped.code, Display: g.unmapped.display}})
	case "other-map":
		if slices.Contains(via, g.unmapped.url) || len(via) >= maxOtherMaps {
			return issue.New(issue.Processing, "terminology.cycle", "concept maps lead to each other in a circle, or over more than 10, at "+quote(g.unmapped.url), "")
		}
		other, err := t.l.find(t.ctx, kindConceptMap, g.unmapped.url)
		if err != nil {
			return err
		}
		return t.apply(other.(*conceptMap), c, append(via, g.unmapped.url))
	}
	return nil
}
