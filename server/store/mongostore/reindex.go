package mongostore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"meridian/server/store"
)

// Reindex compares the documents of a slice, in the order of ids, with what their bodies give, and replaces what
// search reads of those that differ, by compare-and-set on the version that was looked at: who wrote meanwhile
// wrote by the catalog that holds.
func (s *Store) Reindex(ctx context.Context, p store.ReindexParams) (page store.ReindexPage, err error) {
	if err := s.enter(); err != nil {
		return page, err
	}
	defer s.flight.Done()
	if len(p.IDs) > store.MaxReindex {
		return page, fmt.Errorf("mongostore: reindex %d resources: %w", len(p.IDs), store.ErrTooLarge)
	}
	limit := min(p.Limit, store.MaxReindex)
	if p.IDs != nil {
		limit = len(p.IDs)
	}
	if !isType(p.Type) || limit < 1 {
		return page, nil
	}
	if err := s.waitForWriters(ctx); err != nil {
		return page, err
	}
	batch, err := s.slice(ctx, &p, limit)
	if err != nil {
		return page, err
	}
	var differ []head
	for i := range batch {
		same, err := s.keysAgree(ctx, &batch[i])
		if err != nil {
			return page, err
		}
		if !same {
			differ = append(differ, batch[i])
		}
	}
	page = store.ReindexPage{Checked: len(batch), Mended: len(differ)}
	if len(differ) > 0 && !p.Look {
		if err := s.rebuildHeads(ctx, p.Type, differ); err != nil {
			return page, err
		}
	}
	if len(batch) == limit && p.IDs == nil {
		page.Next = keyOf(batch[len(batch)-1].ID).ID
	}
	return page, nil
}

// slice gives the resources that p names.
func (s *Store) slice(ctx context.Context, p *store.ReindexParams, limit int) ([]head, error) {
	if p.IDs == nil {
		return s.sliceAfter(ctx, p.Type, p.After, limit)
	}
	ids := bson.A{}
	for _, id := range p.IDs {
		ids = append(ids, documentID(store.Key{Type: p.Type, ID: id}))
	}
	return s.inOrder(ctx, p.Type, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}, {Key: "del", Value: nil}}, limit)
}

// sliceAfter gives resources that are not deleted, with all that search reads.
func (s *Store) sliceAfter(ctx context.Context, typ, id string, limit int) ([]head, error) {
	filter := bson.D{{Key: "_id", Value: bson.D{{Key: "$gt", Value: documentID(store.Key{Type: typ, ID: id})}}}, {Key: "del", Value: nil}}
	return s.inOrder(ctx, typ, filter, limit)
}

// inOrder gives documents in the order of ids.
func (s *Store) inOrder(ctx context.Context, typ string, filter bson.D, limit int) ([]head, error) {
	cur, err := s.db.Collection(typ).Find(ctx, filter, options.Find().SetSort(bson.D{{Key: "_id", Value: 1}}).SetLimit(int64(limit)))
	if err != nil {
		return nil, fmt.Errorf("mongostore: reindex %s: %w", typ, err)
	}
	var batch []head
	if err := cur.All(ctx, &batch); err != nil {
		return nil, fmt.Errorf("mongostore: reindex %s: %w", typ, err)
	}
	return batch, nil
}

// keysAgree says whether a document holds what its body gives.
func (s *Store) keysAgree(ctx context.Context, h *head) (bool, error) {
	facts, err := s.opts.Index([]byte(h.Body))
	if err != nil {
		return false, fmt.Errorf("mongostore: index %s version %d: %w", h.ID, h.V, err)
	}
	want := *h
	parts, err := want.index(facts, h.IV)
	if err != nil {
		return false, err
	}
	if want.O != h.O || !slices.Equal(want.K, h.K) || !slices.Equal(want.R, h.R) || !bytes.Equal(want.F, h.F) {
		return false, nil
	}
	if len(parts) == 0 {
		return true, nil
	}
	there, err := s.parts(ctx, h.ID, h.P)
	if err != nil {
		return false, err
	}
	slices.SortFunc(there, func(a, b part) int { return strings.Compare(a.ID, b.ID) })
	for i := range parts {
		parts[i].ID = fmt.Sprintf("%s/%s/%d", h.ID, textNumber(h.P), i+1)
	}
	slices.SortFunc(parts, func(a, b part) int { return strings.Compare(a.ID, b.ID) })
	return slices.EqualFunc(parts, there, func(a, b part) bool {
		return a.ID == b.ID && slices.Equal(a.K, b.K) && slices.Equal(a.R, b.R)
	}), nil
}

// Verify compares each document by itself, as it stands when its turn comes.
func (s *Store) Verify(ctx context.Context, p store.VerifyParams) (out store.Verification, err error) {
	if err := s.enter(); err != nil {
		return out, err
	}
	defer s.flight.Done()
	if !isType(p.Type) {
		return out, nil
	}
	before, err := s.catalogNow(ctx, 0)
	if err != nil {
		return out, err
	}
	for after := ""; ; {
		batch, err := s.sliceAfter(ctx, p.Type, after, rebuildBatch)
		if err != nil {
			return out, err
		}
		for i := range batch {
			if err := s.verifyOne(ctx, batch[i], &out); err != nil {
				return out, err
			}
		}
		if p.Progress != nil {
			p.Progress(out.Checked)
		}
		if len(batch) < rebuildBatch {
			break
		}
		after = keyOf(batch[len(batch)-1].ID).ID
	}
	now, err := s.catalogNow(ctx, 0)
	if err == nil && now.Generation != before.Generation {
		err = store.ErrCatalog
	}
	return out, err
}

// verifyOne compares h, again while its overflow documents were replaced between two reads.
func (s *Store) verifyOne(ctx context.Context, h head, out *store.Verification) error {
	for range MaxAttempts {
		same, err := s.keysAgree(ctx, &h)
		if err != nil {
			return err
		}
		var now head
		if !same && h.O > 0 {
			err := s.db.Collection(h.typ()).FindOne(ctx, bson.D{{Key: "_id", Value: h.ID}, {Key: "del", Value: nil}}).Decode(&now)
			if errors.Is(err, mongo.ErrNoDocuments) {
				return nil
			}
			if err != nil {
				return fmt.Errorf("mongostore: verify %s: %w", h.ID, err)
			}
			if now.P != h.P {
				h = now
				continue
			}
		}
		if out.Checked++; !same {
			out.Differ++
		}
		return nil
	}
	return fmt.Errorf("mongostore: verify %s: it was written again and again", h.ID)
}
