package terminology

import (
	"fmt"
	"slices"

	"meridian/fhir/issue"
	"meridian/fhir/search"
)

// ExpandParams choose what an expansion shows.
type ExpandParams struct {
	Filter         string   // as search.Typed reads it; empty: everything
	Offset         int      // codes left out at the beginning
	Count          int      // codes at most; negative: all, as long as they are not more than MaxExpansion
	ActiveOnly     bool     // no inactive codes
	ForUI          bool     // no abstract codes
	Nested         bool     // what is below a code stands in it, where all are shown
	ExcludeSystems []string // urls, with or without version
}

// Expansion is a page of what a value set holds.
type Expansion struct {
	Total   int // codes on all pages
	Items   []Item
	Nested  bool     // Items has children
	Systems []string // "url|version" of systems whose versions are known
	// Unclosed: of a system that it draws from only a part is here, so that the value set may hold more.
	Unclosed bool
}

// Item is a code of an expansion.
type Item struct {
	Concept
	Children []Item
}

// Expand lists what the value set holds, in the order in which it says it.
// Issue codes: too-costly; value for an offset or count; not-supported for what
// cannot be listed; those of what the value set draws from.
//
// https://hl7.org/fhir/R4/valueset-operation-expand.html
func (s ValueSet) Expand(p ExpandParams) (*Expansion, error) {
	if p.Offset < 0 || p.Count > s.l.most {
		return nil, issue.New(issue.Value, "terminology.page", fmt.Sprintf("offset is not negative, count at most %d", s.l.most), "")
	}
	typed, ok := search.NewTyped(p.Filter)
	if !ok {
		return nil, issue.New(issue.TooLong, "terminology.filter", fmt.Sprintf("the filter has more than %d words or %d bytes", search.MaxTyped, search.MaxTypedBytes), "")
	}
	out := &Expansion{Unclosed: s.b.unclosed()}
	var at []place
	var texts []string
	err := s.l.each(s.b, func(m *place) bool {
		if !p.shows(m) {
			return true
		}
		if p.Filter != "" {
			if texts = m.texts(texts[:0]); !typed.In(texts...) {
				return true
			}
		}
		out.Total++
		if p.Count < 0 && out.Total > s.l.most {
			return false
		}
		if out.Total > p.Offset && (p.Count < 0 || len(at) < p.Count) {
			at = append(at, *m)
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	if p.Count < 0 && out.Total > s.l.most {
		return nil, issue.New(issue.TooCostly, "terminology.expansion", fmt.Sprintf("the value set holds more than %d codes: ask for a page with count, or by a filter", s.l.most), "")
	}
	out.fill(at, p.Nested && p.Filter == "" && p.Offset == 0 && p.Count < 0)
	return out, nil
}

// unclosed says that b draws, other than by listing codes, from a system of which only a part is here.
func (b *bound) unclosed() bool {
	return slices.ContainsFunc(b.include, func(in boundInclude) bool {
		part := in.cs != nil && in.cs.grammar == nil && !in.cs.listed() && len(in.codes) == 0
		return part || slices.ContainsFunc(in.sets, (*bound).unclosed)
	})
}

// shows says whether a code is to be shown, as far as the filter lets it.
func (p *ExpandParams) shows(m *place) bool {
	if p.ActiveOnly && m.inactive() {
		return false
	}
	if len(p.ExcludeSystems) > 0 {
		version := ""
		if m.cs != nil {
			version = m.cs.version
		}
		if slices.Contains(p.ExcludeSystems, m.system) || slices.Contains(p.ExcludeSystems, m.system+"|"+version) {
			return false
		}
	}
	return !p.ForUI || m.cs == nil || m.row < 0 || !m.cs.concepts[m.row].abstract
}

// texts appends all by which a code is found.
func (p *place) texts(dst []string) []string {
	dst = append(dst, p.code)
	if p.listed != nil {
		dst = appendTexts(dst, p.listed.display, p.listed.designations)
	}
	if p.cs != nil && p.row >= 0 {
		c := &p.cs.concepts[p.row]
		dst = appendTexts(dst, c.display, c.designations)
	}
	return dst
}

func appendTexts(dst []string, display string, designations []Designation) []string {
	dst = append(dst, display)
	for i := range designations {
		dst = append(dst, designations[i].Value)
	}
	return dst
}

// fill makes items, one inside the other where that is asked for.
func (e *Expansion) fill(at []place, nested bool) {
	items := make([]Item, len(at))
	for i := range at {
		items[i].Concept = at[i].concept()
		if at[i].cs != nil && at[i].cs.version != "" {
			if s := at[i].system + "|" + at[i].cs.version; !slices.Contains(e.Systems, s) {
				e.Systems = append(e.Systems, s)
			}
		}
	}
	if !nested {
		e.Items = items
		return
	}
	parents := parentsIn(at)
	children := make([][]int, len(at))
	var roots []int
	for i, p := range parents {
		if p < 0 {
			roots = append(roots, i)
			continue
		}
		e.Nested = true
		children[p] = append(children[p], i)
	}
	var build func(rows []int) []Item
	build = func(rows []int) (out []Item) {
		for _, i := range rows {
			items[i].Children = build(children[i])
			out = append(out, items[i])
		}
		return out
	}
	e.Items = build(roots)
}

// parentsIn gives for each place that of the nearest one above it, -1 for none.
func parentsIn(at []place) []int {
	type key struct {
		cs  *codeSystem
		row int32
	}
	index := make(map[key]int, len(at))
	for i := range at {
		if at[i].row >= 0 {
			index[key{at[i].cs, at[i].row}] = i
		}
	}
	parents := make([]int, len(at))
	for i := range at {
		parents[i] = -1
		if at[i].row < 0 || !at[i].cs.subsumes {
			continue
		}
		at[i].cs.walk(at[i].row, above, func(up int32) bool {
			p, ok := index[key{at[i].cs, up}]
			if ok = ok && !leadsTo(parents[:i], p, i); ok {
				parents[i] = p
			}
			return !ok
		})
	}
	return parents
}

// leadsTo says that the parents set so far lead from one place to another, as in a hierarchy that is a circle.
func leadsTo(parents []int, from, to int) bool {
	for from >= 0 {
		if from == to {
			return true
		}
		if from >= len(parents) {
			return false
		}
		from = parents[from]
	}
	return false
}
