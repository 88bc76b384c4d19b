package mongostore

import (
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"meridian/server/store"
)

// A new reference and the delete of its target see each other by writing to one
// document: two transactions that read different snapshots would else both
// commit. Were it the target's own, all writes that refer to one hospital
// would wait for each other. So there are holdWidth documents for each of
// holdBuckets hashes: a reference writes to one of them by chance, a delete to all.
//
//	db.hold  {_id: "417/3", n: 12}
const (
	holdBuckets = 1024
	holdWidth   = 16
)

func holdBucket(key store.Key) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(documentID(key))) // never fails
	return strconv.Itoa(int(h.Sum32() % holdBuckets))
}

// makeHold makes the collection, which a transaction may not be able to.
func (s *Store) makeHold(ctx context.Context) error {
	if !s.transactions {
		return nil
	}
	_, err := s.db.Collection(holdName).UpdateOne(ctx, bson.D{{Key: "_id", Value: "0/0"}}, bson.D{{Key: "$inc", Value: bson.D{{Key: "n", Value: int64(1)}}}}, options.UpdateOne().SetUpsert(true))
	if err != nil {
		return fmt.Errorf("mongostore: make %s: %w", holdName, err)
	}
	return nil
}

// holdAll writes, in the transaction of ctx, the documents of what p requires to be there, and of what it deletes while nobody may refer to it.
func (s *Store) holdAll(ctx context.Context, p *store.CommitParams) error {
	ids := map[string]bool{}
	for i := range p.Requires {
		if r := &p.Requires[i]; r.Version == 0 {
			ids[holdBucket(r.Key)+"/"+strconv.Itoa(rand.IntN(holdWidth))] = true
		}
	}
	for i := range p.Writes {
		if w := &p.Writes[i]; w.Body == nil && len(p.NoMatch) > 0 {
			for n := range holdWidth {
				ids[holdBucket(w.Key)+"/"+strconv.Itoa(n)] = true
			}
		}
	}
	if len(ids) == 0 {
		return nil
	}
	models := make([]mongo.WriteModel, 0, len(ids))
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		models = append(models, mongo.NewUpdateOneModel().SetFilter(bson.D{{Key: "_id", Value: id}}).
			SetUpdate(bson.D{{Key: "$inc", Value: bson.D{{Key: "n", Value: int64(1)}}}}).SetUpsert(true))
	}
	if _, err := s.db.Collection(holdName).BulkWrite(ctx, models, options.BulkWrite().SetOrdered(true)); err != nil {
		return fmt.Errorf("mongostore: hold %d references: %w", len(ids), err)
	}
	return nil
}
