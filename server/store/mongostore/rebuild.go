package mongostore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// Limits of a rebuild.
const (
	rebuildBatch  = 500
	rebuildLease  = time.Minute            // renewed with each batch
	rebuildLook   = 500 * time.Millisecond // how often the others look whether it is done
	rebuildPasses = 16                     // over a type, while processes of another version still write
)

// indexDoc says which IndexVersion the database is indexed by.
type indexDoc struct {
	ID      string `bson:"_id"` // index
	Version string `bson:"version"`
}

// rebuild returns when the database is indexed by Options.IndexVersion. One
// process does the work, by a lease in the meta collection, others wait for it.
// Processes of another version must not be writing any more at its end.
func (s *Store) rebuild(ctx context.Context) error {
	meta := s.db.Collection(metaName)
	for {
		var d indexDoc
		err := meta.FindOne(ctx, bson.D{{Key: "_id", Value: "index"}}).Decode(&d)
		switch {
		case errors.Is(err, mongo.ErrNoDocuments):
			_, err = meta.InsertOne(ctx, indexDoc{ID: "index", Version: s.opts.IndexVersion})
			if err == nil || mongo.IsDuplicateKeyError(err) {
				continue
			}
			return fmt.Errorf("mongostore: record the index version: %w", err)
		case err != nil:
			return fmt.Errorf("mongostore: read the index version: %w", err)
		case d.Version == s.opts.IndexVersion || s.opts.AsIs:
			return nil
		}
		mine, err := s.leaseRebuild(ctx)
		if err != nil {
			return err
		}
		if mine {
			s.log.Info("mongostore: rebuilding search postings", "from", d.Version, "to", s.opts.IndexVersion)
			if err := s.rebuildAll(ctx); err != nil {
				return err
			}
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(rebuildLook):
		}
	}
}

// leaseRebuild takes or renews the right to rebuild; false when another process has it.
func (s *Store) leaseRebuild(ctx context.Context) (bool, error) {
	meta, now := s.db.Collection(metaName), s.now()
	until := now.Add(rebuildLease)
	r, err := meta.UpdateOne(ctx,
		bson.D{{Key: "_id", Value: "rebuild"}, {Key: "$or", Value: bson.A{bson.D{{Key: "owner", Value: s.owner}}, bson.D{{Key: "until", Value: bson.D{{Key: "$lt", Value: now}}}}}}},
		bson.D{{Key: "$set", Value: bson.D{{Key: "owner", Value: s.owner}, {Key: "until", Value: until}}}})
	if err != nil {
		return false, fmt.Errorf("mongostore: lease of the rebuild: %w", err)
	}
	if r.MatchedCount == 1 {
		return true, nil
	}
	_, err = meta.InsertOne(ctx, bson.D{{Key: "_id", Value: "rebuild"}, {Key: "owner", Value: s.owner}, {Key: "until", Value: until}})
	if mongo.IsDuplicateKeyError(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("mongostore: lease of the rebuild: %w", err)
	}
	return true, nil
}

// rebuildAll indexes every type anew, records the version and gives the lease back.
func (s *Store) rebuildAll(ctx context.Context) error {
	names, err := s.db.ListCollectionNames(ctx, bson.D{})
	if err != nil {
		return fmt.Errorf("mongostore: list collections: %w", err)
	}
	names = slices.DeleteFunc(names, func(n string) bool { return !isType(n) })
	slices.Sort(names)
	total := 0
	for _, typ := range names {
		n, err := s.db.Collection(typ).CountDocuments(ctx, s.outdated())
		if err != nil {
			return fmt.Errorf("mongostore: count %s: %w", typ, err)
		}
		total += int(n)
	}
	done := 0
	for _, typ := range names {
		if err := s.rebuildType(ctx, typ, &done, total); err != nil {
			return err
		}
	}
	meta := s.db.Collection(metaName)
	_, err = meta.UpdateOne(ctx, bson.D{{Key: "_id", Value: "index"}}, bson.D{{Key: "$set", Value: bson.D{{Key: "version", Value: s.opts.IndexVersion}}}})
	if err != nil {
		return fmt.Errorf("mongostore: record the index version: %w", err)
	}
	if _, err := meta.DeleteOne(ctx, bson.D{{Key: "_id", Value: "rebuild"}, {Key: "owner", Value: s.owner}}); err != nil {
		return fmt.Errorf("mongostore: give the rebuild's lease back: %w", err)
	}
	return nil
}

// outdated are the resources indexed by another version.
func (s *Store) outdated() bson.D {
	return bson.D{{Key: "iv", Value: bson.D{{Key: "$ne", Value: s.opts.IndexVersion}}}, {Key: "del", Value: nil}}
}

// rebuildType walks a type in the order of ids until nothing outdated is left.
func (s *Store) rebuildType(ctx context.Context, typ string, done *int, total int) error {
	last := ""
	for pass := 0; pass < rebuildPasses; {
		mine, err := s.leaseRebuild(ctx)
		if err != nil {
			return err
		}
		if !mine {
			return errors.New("mongostore: the lease of the rebuild was lost")
		}
		cur, err := s.db.Collection(typ).Find(ctx, conjunction(bson.D{{Key: "_id", Value: bson.D{{Key: "$gt", Value: last}}}}, s.outdated()),
			options.Find().SetSort(bson.D{{Key: "_id", Value: 1}}).SetLimit(rebuildBatch).SetProjection(noPostings))
		if err != nil {
			return fmt.Errorf("mongostore: rebuild %s: %w", typ, err)
		}
		var batch []head
		if err := cur.All(ctx, &batch); err != nil {
			return fmt.Errorf("mongostore: rebuild %s: %w", typ, err)
		}
		if len(batch) == 0 {
			if last == "" {
				return nil
			}
			last = ""
			pass++
			continue
		}
		if err := s.rebuildHeads(ctx, typ, batch); err != nil {
			return err
		}
		last = batch[len(batch)-1].ID
		if *done += len(batch); s.opts.Progress != nil {
			s.opts.Progress(*done, max(*done, total))
		}
	}
	return fmt.Errorf("mongostore: rebuild %s: a process of another version keeps writing", typ)
}

// rebuildHeads indexes one batch anew. A head that was replaced since it was read is left for the next pass.
func (s *Store) rebuildHeads(ctx context.Context, typ string, batch []head) error {
	models := make([]mongo.WriteModel, len(batch))
	for i := range batch {
		h := &batch[i]
		facts, err := s.opts.Index([]byte(h.Body))
		if err != nil {
			return fmt.Errorf("mongostore: index %s version %d: %w", h.ID, h.V, err)
		}
		if err := s.ensureType(ctx, typ, facts); err != nil {
			return err
		}
		before := h.O
		parts, err := h.index(facts, s.opts.IndexVersion)
		if err != nil {
			return err
		}
		if _, err := h.marshal(); err != nil {
			return err
		}
		if err := s.putParts(ctx, parts, h.P); err != nil {
			return err
		}
		if int(before) > len(parts) {
			if err := s.trimParts(ctx, h, parts); err != nil {
				return err
			}
		}
		models[i] = mongo.NewUpdateOneModel().SetFilter(bson.D{{Key: "_id", Value: h.ID}, {Key: "p", Value: h.P}}).SetUpdate(h.searchFields())
	}
	if _, err := s.db.Collection(typ).BulkWrite(ctx, models); err != nil {
		return fmt.Errorf("mongostore: rebuild %s: %w", typ, err)
	}
	return nil
}

// trimParts removes the overflow documents that the new index does not fill.
func (s *Store) trimParts(ctx context.Context, h *head, parts []part) error {
	keep := bson.A{}
	for i := range parts {
		keep = append(keep, parts[i].ID)
	}
	_, err := s.db.Collection(overflowName).DeleteMany(ctx, bson.D{{Key: "of", Value: h.ID}, {Key: "p", Value: h.P}, {Key: "_id", Value: bson.D{{Key: "$nin", Value: keep}}}})
	if err != nil {
		return fmt.Errorf("mongostore: trim overflow of %s: %w", h.ID, err)
	}
	return nil
}

// searchFields is the update of what search reads.
func (h *head) searchFields() bson.D {
	set, unset := bson.D{{Key: "iv", Value: h.IV}}, bson.D{}
	field := func(name string, value any, there bool) {
		if there {
			set = append(set, bson.E{Key: name, Value: value})
		} else {
			unset = append(unset, bson.E{Key: name, Value: ""})
		}
	}
	field("k", h.K, len(h.K) > 0)
	field("r", h.R, len(h.R) > 0)
	field("f", h.F, len(h.F) > 0)
	field("o", h.O, h.O > 0)
	update := bson.D{{Key: "$set", Value: set}}
	if len(unset) > 0 {
		update = append(update, bson.E{Key: "$unset", Value: unset})
	}
	return update
}
