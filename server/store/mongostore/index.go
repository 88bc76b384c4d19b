package mongostore

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"meridian/fhir/search"
)

// index is the definition of one index.
type index struct {
	name   string
	keys   bson.D
	unique bool
	sparse bool
}

// Names of indexes that error messages and explanations mention.
const (
	postingsIndex = "postings"
	rangesIndex   = "ranges"
	numberIndex   = "number"
	unlessIndex   = "unless"
	keyIndex      = "key" // of queue items
)

// arrayFields are the fields that are arrays: one compound index may have one of them.
var arrayFields = []string{"k", "r", "u"}

// typeIndexes stand on every collection of resources. The last one makes two
// racing conditional creates collide; MongoDB refuses it on a collection
// sharded by _id, so it is left out behind mongos (Store.guard).
var typeIndexes = []index{
	{name: postingsIndex, keys: bson.D{{Key: "k", Value: 1}, {Key: "n", Value: 1}}},
	{name: rangesIndex, keys: bson.D{{Key: "r.p", Value: 1}, {Key: "r.lo", Value: 1}, {Key: "r.hi", Value: 1}}},
	{name: numberIndex, keys: bson.D{{Key: "n", Value: 1}}},
	{name: unlessIndex, keys: bson.D{{Key: "u", Value: 1}}, unique: true, sparse: true},
}

// sortParams are the search parameters whose order is indexed, in each type
// that has them; sorting by another one collects what matches.
var sortParams = []string{
	"_lastUpdated", "authored", "authored-on", "authoredon", "birthdate", "date", "effective-time", "family",
	"identifier", "issued", "name", "onset-date", "period", "received", "recorded", "sent", "status", "title",
}

// sortIndexes are the indexes of one of sortParams: the walk down goes through the second one backwards.
func sortIndexes(param string) []index {
	f := "f." + fieldName(param)
	return []index{
		{name: "sort " + param, keys: bson.D{{Key: f + ".lo", Value: 1}, {Key: "n", Value: 1}}},
		{name: "sort -" + param, keys: bson.D{{Key: f + ".hi", Value: 1}, {Key: "n", Value: 1}}},
	}
}

// fixedIndexes stand on the collections beside those of the types.
var fixedIndexes = []struct {
	collection string
	list       []index
}{
	{historyName, []index{
		{name: "position", keys: bson.D{{Key: "p", Value: 1}}},
		{name: "type", keys: bson.D{{Key: "t", Value: 1}, {Key: "p", Value: 1}}},
		{name: "instance", keys: bson.D{{Key: "r", Value: 1}, {Key: "v", Value: 1}}},
	}},
	{receiptName, []index{
		{name: "until", keys: bson.D{{Key: "x", Value: 1}}},
	}},
	{overflowName, []index{
		{name: postingsIndex, keys: bson.D{{Key: "t", Value: 1}, {Key: "k", Value: 1}}},
		{name: rangesIndex, keys: bson.D{{Key: "t", Value: 1}, {Key: "r.p", Value: 1}, {Key: "r.lo", Value: 1}, {Key: "r.hi", Value: 1}}},
		{name: "resource", keys: bson.D{{Key: "of", Value: 1}, {Key: "p", Value: 1}}},
	}},
	{queueName, []index{
		{name: "due", keys: bson.D{{Key: "topic", Value: 1}, {Key: "state", Value: 1}, {Key: "due", Value: 1}, {Key: "_id", Value: 1}}},
		{name: "list", keys: bson.D{{Key: "topic", Value: 1}, {Key: "_id", Value: 1}}},
		{name: "label", keys: bson.D{{Key: "topic", Value: 1}, {Key: "state", Value: 1}, {Key: "label", Value: 1}, {Key: "_id", Value: 1}}},
		{name: keyIndex, keys: bson.D{{Key: "uk", Value: 1}}, unique: true, sparse: true},
		{name: "batch", keys: bson.D{{Key: "batch", Value: 1}}, sparse: true},
	}},
}

// checkIndexes holds a collection's definitions to MongoDB's rules, which a
// test server may not know: at most MaxIndexes with that of _id, at most one
// array in each, different names, and sparse only where every query names the field.
func checkIndexes(list []index) error {
	if n := len(list) + 1; n > MaxIndexes {
		return fmt.Errorf("mongostore: %d indexes on one collection, at most %d", n, MaxIndexes)
	}
	names := map[string]bool{}
	for _, x := range list {
		if names[x.name] {
			return fmt.Errorf("mongostore: two indexes are named %q", x.name)
		}
		names[x.name] = true
		arrays := map[string]bool{}
		for _, k := range x.keys {
			top, _, _ := strings.Cut(k.Key, ".")
			if slices.Contains(arrayFields, top) {
				arrays[top] = true
			}
		}
		if len(arrays) > 1 {
			return fmt.Errorf("mongostore: index %q has two arrays", x.name)
		}
		if x.sparse && len(x.keys) > 1 {
			return fmt.Errorf("mongostore: index %q is sparse and compound: a document with one of its fields is in it", x.name)
		}
	}
	return nil
}

// indexes remembers which indexes this process has made sure of.
type indexes struct {
	mu   sync.Mutex
	made map[string]bool // collection and index name
}

// missing are those of list that are not known to stand.
func (x *indexes) missing(collection string, list []index) []index {
	x.mu.Lock()
	defer x.mu.Unlock()
	var out []index
	for _, d := range list {
		if !x.made[collection+" "+d.name] {
			out = append(out, d)
		}
	}
	return out
}

// ensure makes the indexes of list on a collection where they do not stand; the server's answer
// to one that stands is at once.
func (x *indexes) ensure(ctx context.Context, db *mongo.Database, collection string, list []index) error {
	list = x.missing(collection, list)
	if len(list) == 0 {
		return nil
	}
	if err := checkIndexes(list); err != nil {
		return err
	}
	models := make([]mongo.IndexModel, len(list))
	for i, d := range list {
		o := options.Index().SetName(d.name)
		if d.unique {
			o.SetUnique(true)
		}
		if d.sparse {
			o.SetSparse(true)
		}
		models[i] = mongo.IndexModel{Keys: d.keys, Options: o}
	}
	if _, err := db.Collection(collection).Indexes().CreateMany(ctx, models); err != nil {
		return fmt.Errorf("mongostore: indexes of %s: %w", collection, err)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.made == nil {
		x.made = map[string]bool{}
	}
	for _, d := range list {
		x.made[collection+" "+d.name] = true
	}
	return nil
}

// ensureType makes the indexes that a resource with these facts needs. A
// sort parameter's indexes come with the first resource that has it.
func (s *Store) ensureType(ctx context.Context, typ string, facts *search.Facts) error {
	list := typeIndexes
	if s.guarded {
		list = list[:len(list)-1]
	}
	if facts != nil {
		list = slices.Clone(list)
		for _, f := range facts.Forward {
			if slices.Contains(sortParams, f.Param) {
				list = append(list, sortIndexes(f.Param)...)
			}
		}
	}
	return s.indexes.ensure(ctx, s.db, typ, list)
}
