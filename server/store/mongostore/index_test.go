package mongostore

import (
	"fmt"
	"slices"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// The test server accepts what MongoDB refuses, so the definitions are held to its rules here.
func TestIndexDefinitions(t *testing.T) {
	all := slices.Clone(typeIndexes)
	for _, p := range sortParams {
		all = append(all, sortIndexes(p)...)
	}
	if err := checkIndexes(all); err != nil {
		t.Errorf("resource types: %v", err)
	}
	for _, d := range fixedIndexes {
		if err := checkIndexes(d.list); err != nil {
			t.Errorf("%s: %v", d.collection, err)
		}
	}
}

func TestCheckIndexes(t *testing.T) {
	many := make([]index, MaxIndexes)
	for i := range many {
		many[i] = index{name: fmt.Sprint(i), keys: bson.D{{Key: "n", Value: 1}}}
	}
	keys := func(names ...string) bson.D {
		var d bson.D
		for _, n := range names {
			d = append(d, bson.E{Key: n, Value: 1})
		}
		return d
	}
	for _, c := range []struct {
		rule string
		list []index
		ok   bool
	}{
		{"63 indexes beside that of _id", many[1:], true},
		{"64 indexes beside that of _id", many, false},
		{"one array and a scalar", []index{{name: "a", keys: keys("k", "n")}}, true},
		{"fields of one array", []index{{name: "a", keys: keys("r.p", "r.lo", "r.hi")}}, true},
		{"two arrays in one index", []index{{name: "a", keys: keys("k", "r.p")}}, false},
		{"a name twice", []index{{name: "a", keys: keys("k")}, {name: "a", keys: keys("n")}}, false},
		{"sparse and compound", []index{{name: "a", keys: keys("k", "n"), sparse: true}}, false},
	} {
		t.Run(c.rule, func(t *testing.T) {
			if err := checkIndexes(c.list); (err == nil) != c.ok {
				t.Errorf("got %v", err)
			}
		})
	}
}
