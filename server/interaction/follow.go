package interaction

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"meridian/fhir/element"
	"meridian/fhir/schema"
	"meridian/fhir/search"
	"meridian/server/store"
)

// canonicalTypes are the types that are referred to by canonical URL: those with an element url.
func canonicalTypes() (types []string) {
	for _, typ := range schema.ResourceTypes() {
		if hasElement(typ, "url") {
			types = append(types, typ)
		}
	}
	return types
}

// address is how a resource may be referred to: by canonical where it has one.
type address struct {
	store.Key
	url, version string
}

// refsExpected is for how many references of a resource room is made at once.
const refsExpected = 4

// look reads the resources at hand once, for all steps.
func (h *hop) look() error {
	if h.looked {
		return nil
	}
	h.looked, h.urls, h.own = true, map[string][]string{}, map[string][]address{}
	if len(h.forward) > 0 {
		h.refs = make([]versioned, 0, refsExpected*len(h.at))
	}
	params := map[string][]search.Include{}
	for i := range h.at {
		res := &h.at[i]
		if _, known := params[res.Type]; !known {
			params[res.Type] = h.in.s.forwardOf(res.Type, h.forward)
		}
		if err := h.read(res, params[res.Type]); err != nil {
			return err
		}
	}
	slices.SortFunc(h.refs, compareVersioned)
	h.refs = slices.Compact(h.refs)
	for typ := range h.urls {
		slices.Sort(h.urls[typ])
		h.urls[typ] = slices.Compact(h.urls[typ])
	}
	return nil
}

// forwardOf lists the includes that apply to a type, one for each parameter.
func (s *Service) forwardOf(typ string, all []search.Include) (out []search.Include) {
	for _, i := range all {
		switch {
		case i.Source != "" && i.Source != typ:
		case i.Param != nil:
			out = append(out, i)
		default:
			for _, p := range s.registry.ReferenceParams(typ) {
				out = append(out, search.Include{Param: p, Target: i.Target})
			}
		}
	}
	return out
}

// read notes what one resource refers to and what it is referred to by.
func (h *hop) read(res *store.Resource, forward []search.Include) error {
	s := h.in.s
	elements, canonical := uint64(0), slices.Contains(s.canonicals, res.Type)
	for _, i := range forward {
		elements |= i.Param.Elements()
	}
	if canonical {
		elements = ^uint64(0)
	}
	own := address{Key: res.Key}
	if elements != 0 {
		p := s.stored.Get()
		defer s.stored.Put(p)
		tree, err := p.ParseElements(res.Body, elements)
		if err != nil {
			return err
		}
		root := tree.Root()
		for _, i := range forward {
			h.follow(root, i)
		}
		if canonical {
			own.url, own.version = root.Child("url").Text(), root.Child("version").Text()
		}
	}
	h.own[res.Type] = append(h.own[res.Type], own)
	return nil
}

// follow notes what an include finds in a resource.
func (h *hop) follow(root element.Node, i search.Include) {
	s := h.in.s
	for _, ref := range s.registry.References(root, i.Param, "") {
		switch {
		case ref.Local():
			if i.Target != "" && ref.Type != i.Target {
				continue
			}
			v := versioned{Key: store.Key{Type: ref.Type, ID: ref.ID}}
			if ref.Version != "" {
				if v.version, _ = ParseVersion(ref.Version); v.version == 0 {
					continue
				}
			}
			h.refs = append(h.refs, v)
		case ref.Type == "" && strings.Contains(ref.URL, ":"):
			for _, typ := range s.canonicals {
				if (i.Target == "" || i.Target == typ) && s.registry.MayRefer(i.Param, typ) {
					h.urls[typ] = append(h.urls[typ], ref.URL)
				}
			}
		}
	}
}

func compareVersioned(a, b versioned) int {
	return cmp.Or(strings.Compare(a.Type, b.Type), strings.Compare(a.ID, b.ID), cmp.Compare(a.version, b.version))
}

// text is how a cursor names it.
func (v versioned) text() string {
	if v.version == 0 {
		return keyPath(v.Key)
	}
	return keyPath(v.Key) + "/" + strconv.FormatUint(v.version, 10)
}

func parseVersioned(s string) (v versioned) {
	parts := strings.Split(s, "/")
	if len(parts) < 2 {
		return v
	}
	v.Type, v.ID = parts[0], parts[1]
	if len(parts) == 3 {
		v.version, _ = ParseVersion(parts[2])
	}
	return v
}

// references reads what the resources at hand refer to, behind from.Key. A
// reference that names a version gives that one, where there is such a one.
func (h *hop) references(ctx context.Context, _ *step, from rest) (*rest, error) {
	if err := h.look(); err != nil {
		return nil, err
	}
	refs := h.refs
	if from.Key != "" {
		at, found := slices.BinarySearchFunc(refs, parseVersioned(from.Key), compareVersioned)
		if found {
			at++
		}
		refs = refs[at:]
	}
	most := min(len(refs), h.room)
	keys, want := make([]store.Key, 0, most), make([]versioned, 0, most)
	for _, v := range refs {
		if h.in.has(v) {
			continue
		}
		if len(keys) == h.room {
			last := from.Key
			if len(want) > 0 {
				last = want[len(want)-1].text()
			}
			return &rest{Key: last}, h.fetch(ctx, keys, want)
		}
		keys, want = append(keys, v.Key), append(want, v)
	}
	return nil, h.fetch(ctx, keys, want)
}

func (h *hop) fetch(ctx context.Context, keys []store.Key, want []versioned) error {
	if len(keys) == 0 {
		return nil
	}
	got, err := h.in.s.store.ReadMany(ctx, keys)
	if err != nil {
		return err
	}
	h.found = slices.Grow(h.found, len(got))
	h.in.expect(len(got))
	for i := range got {
		v := want[i].version
		if v == 0 || got[i].Version == v && !got[i].Deleted {
			if got[i].Body != nil {
				h.add(&got[i], false)
			}
			continue
		}
		old, err := h.in.s.store.ReadVersion(ctx, want[i].Key, v)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if old.Body != nil {
			h.add(&old, true)
		}
	}
	return nil
}

// search runs the search of a step behind from.Number.
func (h *hop) search(ctx context.Context, st *step, from rest) (*rest, error) {
	if err := h.look(); err != nil {
		return nil, err
	}
	c := h.canonicalCriterion(st.typ)
	if st.reverse != nil {
		c = h.reverseCriterion(st)
	}
	if c == nil {
		return nil, nil
	}
	plan, err := h.in.s.registry.Compile(&search.Query{Type: st.typ, Criteria: []search.Criterion{*c}})
	if err != nil {
		return nil, err
	}
	if plan.Limit = h.room; from.Number > 0 {
		plan.After = &search.Cursor{Number: from.Number}
	}
	probe := plan.Limit == 0
	plan.Limit = max(plan.Limit, 1)
	page, err := h.in.s.store.Search(ctx, plan)
	if err != nil {
		return nil, err
	}
	last := from.Number
	for i := range page.Rows {
		row := &page.Rows[i]
		if probe && !h.in.has(versioned{row.Key, 0}) {
			return &rest{Number: last}, nil
		}
		last = row.At.Number
		ok, err := h.means(st, row)
		if err != nil {
			return nil, err
		}
		if ok {
			h.add(&row.Resource, false)
		}
	}
	if page.More {
		return &rest{Number: last}, nil
	}
	return nil, nil
}

// canonicalCriterion asks for the resources of typ that the resources at hand refer to by URL.
func (h *hop) canonicalCriterion(typ string) *search.Criterion {
	if len(h.urls[typ]) == 0 {
		return nil
	}
	p, ok := h.in.s.registry.Param(typ, "url")
	if !ok {
		return nil
	}
	c := &search.Criterion{Param: p}
	for _, u := range h.urls[typ] {
		bare, _, _ := strings.Cut(u, "|")
		c.Values = append(c.Values, search.Value{Text: bare})
	}
	return c
}

// reverseCriterion asks for the resources of a step's type that refer to one at hand.
func (h *hop) reverseCriterion(st *step) *search.Criterion {
	any := search.Criterion{Op: search.AnyOf}
	for _, i := range st.reverse {
		params := []*search.Param{i.Param}
		if i.Param == nil {
			params = h.in.s.registry.ReferenceParams(st.typ)
		}
		for _, p := range params {
			if c := h.named(p, i.Target); len(c.Values) > 0 {
				any.Of = append(any.Of, c)
			}
		}
	}
	if len(any.Of) == 0 {
		return nil
	}
	return &any
}

// named asks that p names one of the resources at hand.
func (h *hop) named(p *search.Param, target string) search.Criterion {
	c := search.Criterion{Param: p}
	for typ, all := range h.own {
		if target != "" && target != typ || !h.in.s.registry.MayRefer(p, typ) {
			continue
		}
		for _, a := range all {
			c.Values = append(c.Values, search.Value{Reference: search.Reference{Type: a.Type, ID: a.ID}})
			if a.url != "" {
				c.Values = append(c.Values, search.Value{Reference: search.Reference{URL: a.url}})
			}
		}
	}
	return c
}

// means says whether a row was meant: a canonical may name a version, and the key of its URL does not.
func (h *hop) means(st *step, row *store.Row) (bool, error) {
	if st.reverse == nil {
		return h.meant(st.typ, row)
	}
	if !slices.ContainsFunc(st.reverse, func(i search.Include) bool { return i.Param == nil || i.Param.Canonical() }) || !h.canonicals() {
		return true, nil
	}
	return h.refersHere(st, row)
}

// canonicals says whether one of the resources at hand has a canonical URL.
func (h *hop) canonicals() bool {
	for _, all := range h.own {
		if slices.ContainsFunc(all, func(a address) bool { return a.url != "" }) {
			return true
		}
	}
	return false
}

func (h *hop) meant(typ string, row *store.Row) (ok bool, err error) {
	err = h.in.s.withTree(row.Body, func(root element.Node) {
		url := root.Child("url").Text()
		for _, u := range [2]string{url, url + "|" + root.Child("version").Text()} {
			_, found := slices.BinarySearch(h.urls[typ], u)
			ok = ok || found
		}
	})
	return ok, err
}

// refersHere reads the references of a row themselves.
func (h *hop) refersHere(st *step, row *store.Row) (ok bool, err error) {
	names := func(ref search.Reference, target string) bool {
		for typ, all := range h.own {
			if target != "" && target != typ {
				continue
			}
			for _, a := range all {
				if ref.Local() && a.Type == ref.Type && a.ID == ref.ID || a.url != "" && (ref.URL == a.url || ref.URL == a.url+"|"+a.version) {
					return true
				}
			}
		}
		return false
	}
	err = h.in.s.withTree(row.Body, func(root element.Node) {
		for _, i := range st.reverse {
			for _, one := range h.in.s.forwardOf(st.typ, []search.Include{{Source: st.typ, Param: i.Param}}) {
				for _, ref := range h.in.s.registry.References(root, one.Param, "") {
					ok = ok || names(ref, i.Target)
				}
			}
		}
	})
	return ok, err
}

// withTree parses a stored body.
func (s *Service) withTree(body []byte, f func(root element.Node)) error {
	p := s.stored.Get()
	defer s.stored.Put(p)
	tree, err := p.Parse(body)
	if err != nil {
		return err
	}
	f(tree.Root())
	return nil
}
