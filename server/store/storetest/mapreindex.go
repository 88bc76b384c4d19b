package storetest

import (
	"context"
	"reflect"
	"slices"

	"meridian/server/store"
)

// Catalog gives what was put last.
func (m *Map) Catalog(context.Context) (store.Catalog, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.catalog, nil
}

func (m *Map) PutCatalog(_ context.Context, c store.Catalog) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c.Revision != m.catalog.Revision+1 || c.Generation < m.catalog.Generation {
		return store.ErrCatalog
	}
	if m.adopt != nil {
		if err := m.adopt(c); err != nil {
			return err
		}
	}
	m.catalog = c
	return nil
}

// slice lists live resources of a type in the order of ids.
func (m *Map) slice(typ, after string, limit int) (out []*mapResource, more bool) {
	all := m.live(typ)
	slices.SortFunc(all, func(a, b *mapResource) int {
		if a.id < b.id {
			return -1
		}
		return 1
	})
	all = slices.DeleteFunc(all, func(r *mapResource) bool { return r.id <= after })
	return all[:min(limit, len(all))], len(all) > limit
}

func (m *Map) Reindex(_ context.Context, p store.ReindexParams) (page store.ReindexPage, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all, more := m.slice(p.Type, p.After, p.Limit)
	if p.IDs != nil {
		all, more = slices.DeleteFunc(m.live(p.Type), func(r *mapResource) bool { return !slices.Contains(p.IDs, r.id) }), false
	}
	for _, r := range all {
		facts, err := m.index(r.current().Body)
		if err != nil {
			return page, err
		}
		if page.Checked++; !reflect.DeepEqual(facts.Keys, r.facts.Keys) || !reflect.DeepEqual(facts.Forward, r.facts.Forward) {
			if page.Mended++; !p.Look {
				r.facts = facts
			}
		}
	}
	if more {
		page.Next = all[len(all)-1].id
	}
	return page, nil
}

func (m *Map) Verify(_ context.Context, p store.VerifyParams) (out store.Verification, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.live(p.Type) {
		facts, err := m.index(r.current().Body)
		if err != nil {
			return out, err
		}
		if out.Checked++; !reflect.DeepEqual(facts.Keys, r.facts.Keys) || !reflect.DeepEqual(facts.Forward, r.facts.Forward) {
			out.Differ++
		}
	}
	return out, nil
}
