package mongostore

import (
	"context"
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"meridian/server/store"
)

// overflow looks for the leaves of a search in the overflow documents of a
// type and gives, by leaf, the resources whose current version has it there.
// The answer is empty nearly always, by one probe.
func (s *Store) overflow(ctx context.Context, typ string, leaves []bson.D) (map[string][]string, error) {
	if len(leaves) == 0 {
		return nil, nil
	}
	coll := s.coll(ctx, overflowName)
	any := make(bson.A, len(leaves))
	for i, f := range leaves {
		any[i] = f
	}
	n, err := coll.CountDocuments(ctx, bson.D{{Key: "t", Value: typ}, {Key: "$or", Value: any}}, options.Count().SetLimit(1))
	if err != nil {
		return nil, fmt.Errorf("mongostore: overflow of %s: %w", typ, err)
	}
	if n == 0 {
		return nil, nil
	}
	more := map[string][]string{}
	for _, f := range leaves {
		key, err := leafKey(f)
		if err != nil {
			return nil, err
		}
		if _, done := more[key]; done {
			continue
		}
		if more[key], err = s.overflowLeaf(ctx, typ, f); err != nil {
			return nil, err
		}
	}
	return more, nil
}

func (s *Store) overflowLeaf(ctx context.Context, typ string, leaf bson.D) ([]string, error) {
	cur, err := s.coll(ctx, overflowName).Find(ctx, conjunction(bson.D{{Key: "t", Value: typ}}, leaf),
		options.Find().SetProjection(bson.D{{Key: "of", Value: 1}, {Key: "p", Value: 1}}).SetLimit(MaxOverflow+1))
	if err != nil {
		return nil, fmt.Errorf("mongostore: overflow of %s: %w", typ, err)
	}
	var parts []part
	if err := cur.All(ctx, &parts); err != nil {
		return nil, fmt.Errorf("mongostore: overflow of %s: %w", typ, err)
	}
	if len(parts) > MaxOverflow {
		return nil, fmt.Errorf("%w: more than %d resources of type %s with overflowing postings match", store.ErrTooCostly, MaxOverflow, typ)
	}
	attempts := map[string][]int64{}
	var ids []string
	for _, p := range parts {
		if attempts[p.Of] == nil {
			ids = append(ids, p.Of)
		}
		attempts[p.Of] = append(attempts[p.Of], p.P)
	}
	heads, err := s.heads(ctx, typ, ids, bson.D{{Key: "p", Value: 1}})
	if err != nil {
		return nil, err
	}
	// Of an uncommitted or a former version something may still stand.
	return slices.DeleteFunc(ids, func(id string) bool {
		h := heads[id]
		return h == nil || !slices.Contains(attempts[id], h.P)
	}), nil
}

// parts are the overflow documents of the head that the attempt at position p made.
func (s *Store) parts(ctx context.Context, id string, p int64) ([]part, error) {
	cur, err := s.coll(ctx, overflowName).Find(ctx, bson.D{{Key: "of", Value: id}, {Key: "p", Value: p}})
	if err != nil {
		return nil, fmt.Errorf("mongostore: overflow of %s: %w", id, err)
	}
	var parts []part
	if err := cur.All(ctx, &parts); err != nil {
		return nil, fmt.Errorf("mongostore: overflow of %s: %w", id, err)
	}
	return parts, nil
}

// putParts writes the overflow documents of the attempt at position p, before its head.
func (s *Store) putParts(ctx context.Context, parts []part, p int64) error {
	if len(parts) == 0 {
		return nil
	}
	models := make([]mongo.WriteModel, len(parts))
	for i := range parts {
		parts[i].P = p
		parts[i].ID = fmt.Sprintf("%s/%s/%d", parts[i].Of, textNumber(p), i+1)
		raw, err := bson.Marshal(&parts[i])
		if err != nil {
			return fmt.Errorf("mongostore: encode overflow of %s: %w", parts[i].Of, err)
		}
		models[i] = mongo.NewReplaceOneModel().SetFilter(bson.D{{Key: "_id", Value: parts[i].ID}, {Key: "of", Value: parts[i].Of}}).SetReplacement(bson.Raw(raw)).SetUpsert(true)
	}
	if _, err := s.db.Collection(overflowName).BulkWrite(ctx, models); err != nil {
		return fmt.Errorf("mongostore: write overflow of %s: %w", parts[0].Of, err)
	}
	return nil
}

// dropParts removes the overflow documents of other attempts at h's version
// and of the versions below. One that is left does no harm: it is not the head's.
func (s *Store) dropParts(ctx context.Context, h *head) error {
	filter := bson.D{{Key: "of", Value: h.ID}, {Key: "v", Value: bson.D{{Key: "$lte", Value: h.V}}}, {Key: "p", Value: bson.D{{Key: "$ne", Value: h.P}}}}
	if _, err := s.db.Collection(overflowName).DeleteMany(ctx, filter); err != nil {
		return fmt.Errorf("mongostore: drop overflow of %s: %w", h.ID, err)
	}
	return nil
}
