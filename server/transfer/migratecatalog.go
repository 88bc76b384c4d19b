package transfer

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"meridian/server/store"
)

// catalog gives the target the source's search parameters before anything is
// written to it, so that what is copied has their keys from the first commit on.
func (m *migrator) catalog() error {
	if m.cataloged {
		return nil
	}
	from, to, err := m.catalogs()
	if err != nil {
		return err
	}
	m.cataloged = true
	if alikeCatalogs(&from, &to) {
		return nil
	}
	if to.Revision > 0 {
		return fmt.Errorf("%w: its search parameters are others", ErrNotACopy)
	}
	from.Revision = 1
	if err := m.To.PutCatalog(m.ctx, from); err != nil {
		return fmt.Errorf("copy the search parameters: %w", err)
	}
	return nil
}

func (m *migrator) catalogs() (from, to store.Catalog, err error) {
	if from, err = m.From.Catalog(m.ctx); err != nil {
		return from, to, fmt.Errorf("search parameters of the source: %w", err)
	}
	if to, err = m.To.Catalog(m.ctx); err != nil {
		return from, to, fmt.Errorf("search parameters of the target: %w", err)
	}
	return from, to, nil
}

// alikeCatalogs: equal but for the revision, which counts what each store was given.
func alikeCatalogs(a, b *store.Catalog) bool {
	return a.Generation == b.Generation && slices.Equal(a.Added, b.Added) && bytes.Equal(a.Body, b.Body)
}

// catalog compares the search parameters, and every resource's keys of them with what its body gives.
func (v *verifier) catalog() error {
	from, to, err := v.catalogs()
	if err != nil {
		return err
	}
	if !alikeCatalogs(&from, &to) {
		v.differ("the search parameters that were added differ")
	}
	params := map[string][]string{}
	for _, a := range to.Added {
		params[a.Type] = append(params[a.Type], a.Param)
	}
	for _, typ := range slices.Sorted(maps.Keys(params)) {
		found, err := v.To.Verify(v.ctx, store.VerifyParams{Type: typ, Params: params[typ]})
		if err != nil {
			return fmt.Errorf("keys of %s: %w", typ, err)
		}
		if found.Differ > 0 || found.Extra > 0 {
			v.differ("%d resources of %s lack keys of added search parameters, %d keys are left over", found.Differ, typ, found.Extra)
		}
	}
	return nil
}
