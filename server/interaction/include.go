package interaction

import (
	"context"
	"maps"
	"slices"
	"strconv"

	"meridian/fhir/issue"
	"meridian/fhir/schema"
	"meridian/fhir/search"
	"meridian/server/store"
)

// Includes of a page are found hop by hop. A hop has steps, in an order that
// the query alone decides:
//
//	references    what the resources at hand refer to by Type/id, in one ReadMany
//	canonicals    for each type, what they refer to by canonical URL, in one search
//	reverse       for each type, what refers to them, in one search
//
// The first hop starts at the matches; with :iterate further ones start at what
// the last one found. An answer takes Limits.MaxIncludes of the first hop; the
// rest follows by `next`, which names a step and the last resource it gave: the
// matches are found again, not shown, and the step goes on behind it.

// MaxIterateDepth is how many hops :iterate goes from the matches.
const MaxIterateDepth = 8

// includes are what an answer includes; rest is where there is more, nil at the end.
type includes struct {
	included []store.Resource
	rest     *rest
}

// include follows _include and _revinclude of a page.
//
// https://hl7.org/fhir/R4/search.html#include
func (r *request) include(ctx context.Context, rows []store.Row) (out includes, err error) {
	if len(rows) == 0 || len(r.query.Includes) == 0 && len(r.query.RevIncludes) == 0 {
		return out, nil
	}
	in := includer{s: r.s, current: make(map[store.Key]uint64, len(rows))}
	at := make([]store.Resource, len(rows))
	for i := range rows {
		at[i] = rows[i].Resource
		in.current[at[i].Key] = at[i].Version
	}
	h := in.hop(at, r.query, false)
	h.room = r.s.limits.MaxIncludes
	from := rest{}
	if r.rest != nil {
		from = *r.rest
	}
	if out.rest, err = h.run(ctx, from); err != nil {
		return out, translate(err, "include")
	}
	out.included = h.found
	more, err := r.iterate(ctx, &in, h.found)
	if err != nil {
		return out, translate(err, "include")
	}
	out.included = append(out.included, more...)
	return out, nil
}

// iterate goes on from what the first hop found. What a limit leaves out is told by a warning.
func (r *request) iterate(ctx context.Context, in *includer, at []store.Resource) (all []store.Resource, err error) {
	if !slices.ContainsFunc(slices.Concat(r.query.Includes, r.query.RevIncludes), func(i search.Include) bool { return i.Iterate }) {
		return nil, nil
	}
	for hop := 1; len(at) > 0; hop++ {
		h := in.hop(at, r.query, true)
		if h.room = r.s.limits.MaxIterated - len(all); hop == MaxIterateDepth {
			h.room = 0 // only to see whether there is more
		}
		more, err := h.run(ctx, rest{})
		if err != nil {
			return nil, err
		}
		all = append(all, h.found...)
		at = h.found
		if more == nil {
			continue
		}
		text := "the limit of " + strconv.Itoa(r.s.limits.MaxIterated) + " resources that :iterate adds to one answer is reached"
		if hop == MaxIterateDepth {
			text = ":iterate goes over at most " + strconv.Itoa(MaxIterateDepth) + " references"
		}
		r.warnings = append(r.warnings, issue.Issue{Severity: issue.Warning, Code: issue.Incomplete, ID: "search.include-limit", Offset: issue.NoOffset,
			Text: text + ", further resources are left out; ask for smaller pages with _count, or for what is missing by its references"})
		break
	}
	return all, nil
}

// versioned names a resource, or with a version one version of it.
type versioned struct {
	store.Key
	version uint64
}

// includer knows what stands in the answer already.
type includer struct {
	s       *Service
	current map[store.Key]uint64 // the current version of each
	old     map[versioned]bool   // versions before it
}

// has says whether what a reference names stands in the answer.
func (in *includer) has(v versioned) bool {
	current, ok := in.current[v.Key]
	return ok && (v.version == 0 || v.version == current) || v.version > 0 && in.old[v]
}

// expect makes room for so many more.
func (in *includer) expect(n int) {
	if n <= len(in.current) {
		return
	}
	larger := make(map[store.Key]uint64, len(in.current)+n)
	maps.Copy(larger, in.current)
	in.current = larger
}

// hop is one hop from the resources at hand.
type hop struct {
	in      *includer
	at      []store.Resource
	forward []search.Include
	steps   []step
	room    int
	found   []store.Resource

	refs   []versioned          // what at refers to, sorted; read once
	urls   map[string][]string  // by type, the canonicals that at refers to, sorted
	own    map[string][]address // by type, what at is referred to by
	looked bool
}

// step is one of a hop: references when typ is empty; else a search of typ,
// for canonicals when reverse is nil.
type step struct {
	typ     string
	reverse []search.Include
}

// hop makes the steps of the includes of q, of those with :iterate only.
func (in *includer) hop(at []store.Resource, q *search.Query, iterated bool) *hop {
	h := &hop{in: in, at: at}
	for _, i := range q.Includes {
		if i.Iterate || !iterated {
			h.forward = append(h.forward, i)
		}
	}
	if len(h.forward) > 0 {
		h.steps = append(make([]step, 0, 1+len(in.s.canonicals)), step{})
		for _, typ := range in.s.canonicals {
			h.steps = append(h.steps, step{typ: typ})
		}
	}
	by := map[string][]search.Include{}
	for _, i := range q.RevIncludes {
		switch {
		case iterated && !i.Iterate:
		case i.Source != "":
			by[i.Source] = append(by[i.Source], i)
		default:
			for _, typ := range schema.ResourceTypes() {
				by[typ] = append(by[typ], i)
			}
		}
	}
	for _, typ := range slices.Sorted(maps.Keys(by)) {
		h.steps = append(h.steps, step{typ, by[typ]})
	}
	return h
}

// run carries out the steps from a place on, until the room is used up. It
// gives the place of the next resource, nil when there is none.
func (h *hop) run(ctx context.Context, from rest) (*rest, error) {
	for i := from.Step; i < len(h.steps); i++ {
		run := h.search
		if h.steps[i].typ == "" {
			run = h.references
		}
		if i > from.Step {
			from.Key, from.Number = "", 0
		}
		more, err := run(ctx, &h.steps[i], from)
		if err != nil {
			return nil, err
		}
		if more != nil {
			more.Step = i
			return more, nil
		}
	}
	return nil, nil
}

// add takes a resource in that does not stand in the answer.
func (h *hop) add(res *store.Resource, old bool) {
	key := versioned{res.Key, 0}
	if old {
		key.version = res.Version
	}
	switch {
	case h.in.has(key):
		return
	case !old:
		h.in.current[res.Key] = res.Version
	case h.in.old == nil:
		h.in.old = map[versioned]bool{key: true}
	default:
		h.in.old[key] = true
	}
	h.found = append(h.found, *res)
	h.room--
}
