package mongostore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"meridian/server/store"
)

// The catalog is one document, replaced by compare-and-set on its revision:
//
//	db.meta  {_id: "catalog", revision: 3, generation: 2, added: [{t: "Patient", p: "shoe@5d3c"}], body: "…"}
//
// A process looks at it again when it writes and what it knows is older than
// CatalogAge, so a write is of facts that were current at most that long before its head is replaced. A walk of Reindex begins
// CatalogAge and Settle after the catalog was put: by then what was on its way has
// landed, by the same assumption that Changes makes.
type catalogDoc struct {
	ID         string     `bson:"_id"` // catalog
	Revision   int64      `bson:"revision"`
	Generation int64      `bson:"generation"`
	Added      []addedDoc `bson:"added"`
	Body       string     `bson:"body"`
}

type addedDoc struct {
	T string `bson:"t"`
	P string `bson:"p"`
}

const catalogID = "catalog"

// catalog is what this process knows of it.
type catalog struct {
	lock  chan struct{} // of one: held while the database is asked, which who waits need not wait for
	now   store.Catalog
	asked time.Time // by the process's own clock; zero: never
	since time.Time // when the generation was seen first
}

func newCatalog() catalog { return catalog{lock: make(chan struct{}, 1)} }

// hold locks, unless ctx ends before.
func (c *catalog) hold(ctx context.Context) error {
	select {
	case c.lock <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *catalog) release() { <-c.lock }

func (d *catalogDoc) catalog() store.Catalog {
	c := store.Catalog{Revision: uint64(d.Revision), Generation: uint64(d.Generation), Body: []byte(d.Body)}
	for _, a := range d.Added {
		c.Added = append(c.Added, store.Added{Type: a.T, Param: a.P})
	}
	return c
}

func newCatalogDoc(c *store.Catalog) *catalogDoc {
	d := &catalogDoc{ID: catalogID, Revision: int64(c.Revision), Generation: int64(c.Generation), Added: []addedDoc{}, Body: string(c.Body)}
	for _, a := range c.Added {
		d.Added = append(d.Added, addedDoc{a.Type, a.Param})
	}
	return d
}

// catalogNow gives the catalog as it stood at most age ago, and has it adopted when it is another.
func (s *Store) catalogNow(ctx context.Context, age time.Duration) (store.Catalog, error) {
	if err := s.catalog.hold(ctx); err != nil {
		return store.Catalog{}, err
	}
	defer s.catalog.release()
	if asked := s.catalog.asked; !asked.IsZero() && time.Since(asked) < age {
		return s.catalog.now, nil
	}
	began := time.Now()
	d := catalogDoc{}
	err := s.db.Collection(metaName).FindOne(ctx, bson.D{{Key: "_id", Value: catalogID}}).Decode(&d)
	if err != nil && !errors.Is(err, mongo.ErrNoDocuments) {
		return store.Catalog{}, fmt.Errorf("mongostore: read the catalog: %w", err)
	}
	if err := s.adopt(d.catalog()); err != nil {
		return store.Catalog{}, err
	}
	s.catalog.asked = began
	return s.catalog.now, nil
}

// adopt makes c what this process indexes by. The caller holds the lock.
func (s *Store) adopt(c store.Catalog) error {
	if c.Revision == s.catalog.now.Revision {
		return nil
	}
	if err := s.opts.Adopt(c); err != nil {
		return fmt.Errorf("mongostore: adopt the catalog: %w", err)
	}
	if c.Generation != s.catalog.now.Generation {
		s.catalog.since = time.Now()
	}
	s.catalog.now = c
	return nil
}

// Catalog asks the database.
func (s *Store) Catalog(ctx context.Context) (store.Catalog, error) {
	if err := s.enter(); err != nil {
		return store.Catalog{}, err
	}
	defer s.flight.Done()
	return s.catalogNow(ctx, 0)
}

// PutCatalog replaces the catalog of all processes; this one has adopted it when it returns.
func (s *Store) PutCatalog(ctx context.Context, c store.Catalog) error {
	if len(c.Body) > store.MaxCatalog {
		return fmt.Errorf("a catalog of %d bytes: %w", len(c.Body), store.ErrTooLarge)
	}
	if err := s.enter(); err != nil {
		return err
	}
	defer s.flight.Done()
	if err := s.catalog.hold(ctx); err != nil {
		return err
	}
	defer s.catalog.release()
	meta, d := s.db.Collection(metaName), newCatalogDoc(&c)
	switch c.Revision {
	case 0:
		return store.ErrCatalog
	case 1:
		if _, err := meta.InsertOne(ctx, d); mongo.IsDuplicateKeyError(err) {
			return store.ErrCatalog
		} else if err != nil {
			return fmt.Errorf("mongostore: put the catalog: %w", err)
		}
	default:
		r, err := meta.ReplaceOne(ctx, bson.D{{Key: "_id", Value: catalogID}, {Key: "revision", Value: d.Revision - 1},
			{Key: "generation", Value: bson.D{{Key: "$lte", Value: d.Generation}}}}, d)
		if err != nil {
			return fmt.Errorf("mongostore: put the catalog: %w", err)
		}
		if r.MatchedCount == 0 {
			return store.ErrCatalog
		}
	}
	return s.adopt(c)
}

// checkGeneration refuses facts that the catalog has overtaken.
func (s *Store) checkGeneration(ctx context.Context, w *store.Write, index int) error {
	c, err := s.catalogNow(ctx, s.opts.CatalogAge)
	if err != nil {
		return err
	}
	if w.Facts != nil && w.Facts.Generation < c.Generation {
		return &store.ConflictError{Stale: true, Index: index, Key: w.Key, Current: w.Version - 1}
	}
	return nil
}

// waitForWriters returns when no process writes by an older catalog any more.
func (s *Store) waitForWriters(ctx context.Context) error {
	if _, err := s.catalogNow(ctx, s.opts.CatalogAge); err != nil {
		return err
	}
	if err := s.catalog.hold(ctx); err != nil {
		return err
	}
	since := s.catalog.since
	s.catalog.release()
	if since.IsZero() {
		return nil
	}
	left := time.Until(since.Add(s.opts.CatalogAge + max(s.opts.Settle, 0)))
	if left <= 0 {
		return nil
	}
	t := time.NewTimer(left)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
