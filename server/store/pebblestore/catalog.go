package pebblestore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"meridian/server/store"
)

// The catalog stands as JSON at M catalog. It changes in the committer, between
// two commits: in one batch, on disk before anything follows, the record and the
// removal of all keys of parameters that it names no more. What was prepared
// before is prepared again, so no key is written by an index that is no more.
//
// A resource that was written before a parameter was added lacks its keys until
// Reindex. So an update cannot tell from the old body which keys stand, and
// writes those of added parameters in any case (keyOp.unsure); removing what
// does not stand is harmless.

// loadCatalog reads what is recorded and has it adopted.
func (s *Store) loadCatalog() error {
	c := new(store.Catalog)
	text, err := s.meta(metaCatalog)
	if err == nil && text != "" {
		err = json.Unmarshal([]byte(text), c)
	}
	if err != nil {
		return err
	}
	s.names.adopt(c)
	s.catalog.Store(c)
	if c.Revision == 0 {
		return nil
	}
	return s.options.Adopt(*c)
}

// Catalog gives what holds.
func (s *Store) Catalog(context.Context) (store.Catalog, error) {
	if !s.enter() {
		return store.Catalog{}, store.ErrClosed
	}
	defer s.leave()
	return *s.catalog.Load(), nil
}

// PutCatalog returns when the catalog is on disk and holds.
func (s *Store) PutCatalog(ctx context.Context, c store.Catalog) error {
	if len(c.Body) > store.MaxCatalog {
		return fmt.Errorf("a catalog of %d bytes: %w", len(c.Body), store.ErrTooLarge)
	}
	return s.submit(ctx, &request{catalog: &c})
}

// checkGeneration refuses facts that the catalog has overtaken.
func (c *committer) checkGeneration(p *store.CommitParams) error {
	least := c.store.catalog.Load().Generation
	for i := range p.Writes {
		if w := &p.Writes[i]; w.Facts != nil && w.Facts.Generation < least {
			return &store.ConflictError{Stale: true, Index: i, Key: w.Key, Current: w.Version - 1}
		}
	}
	return nil
}

// errAddedAlone is a mistake of the caller.
var errAddedAlone = errors.New("a catalog with other parameters needs another generation")

// addCatalog records a catalog and has it adopted, between two commits.
func (c *committer) addCatalog(r *request) error {
	stands, next := c.store.catalog.Load(), r.catalog
	if next.Revision != stands.Revision+1 || next.Generation < stands.Generation {
		return store.ErrCatalog
	}
	if next.Generation == stands.Generation && !slices.Equal(next.Added, stands.Added) {
		return errAddedAlone
	}
	c.apply()
	text, err := json.Marshal(next)
	if err != nil {
		return fmt.Errorf("catalog: %w", err)
	}
	b := c.store.db.NewBatch()
	defer b.Close()
	dropped := c.store.names.adopt(next)
	err = b.Set(metaKey(metaCatalog), text, nil)
	for _, d := range dropped {
		for _, prefix := range d.prefixes() {
			err = errors.Join(err, b.DeleteRange(prefix, after(prefix), nil))
		}
	}
	if err = errors.Join(err, b.Commit(pebble.Sync)); err != nil {
		err = fmt.Errorf("catalog: %w", err)
		c.fail(err) // names and disk may differ now
		return err
	}
	if err := c.store.options.Adopt(*next); err != nil {
		err = fmt.Errorf("adopt the catalog: %w", err)
		c.fail(err) // the index is not what is recorded
		return err
	}
	c.store.catalog.Store(next)
	if next.Generation > stands.Generation {
		c.position++
		c.swept = c.position
		c.applied.Store(c.position)
	}
	r.done <- nil
	return nil
}

// prefixes of all keys of a parameter.
func (d droppedParam) prefixes() [][]byte {
	return [][]byte{
		paramPrefix(nil, d.typ, d.param),
		appendNum(appendNum([]byte{prefixWide}, d.typ), d.param),
		forwardPrefix(nil, d.typ, d.param),
		sortPrefix(nil, d.typ, d.param),
	}
}
