package mongostore

import (
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"

	"meridian/fhir/search"
)

// order is a plan's order over the fields of the documents of one type.
//
// MongoDB puts a missing value first going up and last going down; plans want
// it last in both. So a search sorted by a parameter runs in two phases, the
// documents that have a value and then those that have none, each bounded on
// the parameter's index; a further key going up gets a stand-in that sorts
// above every string.
type order struct {
	typ  string
	keys []sortKey
	// decide are the places in keys of those that decide: neither a field's second mention nor what follows the id.
	decide []int
	desc   bool // of the number
}

type sortKey struct {
	path  string // _id, or f.param.end
	param string
	end   string // lo or hi
	desc  bool
}

func (k sortKey) isID() bool { return k.path == "_id" }

func (k sortKey) direction() int {
	if k.desc {
		return -1
	}
	return 1
}

func newOrder(typ string, sort []search.Order) order {
	o := order{typ: typ, keys: make([]sortKey, len(sort)), desc: len(sort) > 0 && sort[0].Desc}
	seen := map[string]bool{}
	for i, by := range sort {
		k := sortKey{param: by.Param, desc: by.Desc}
		switch {
		case by.Param == "" || by.Param == "_id":
			k.path = "_id"
		case by.Desc:
			k.end = "hi"
			k.path = "f." + fieldName(by.Param) + ".hi"
		default:
			k.end = "lo"
			k.path = "f." + fieldName(by.Param) + ".lo"
		}
		o.keys[i] = k
		if !seen[k.path] && !seen["_id"] {
			o.decide = append(o.decide, i)
		}
		seen[k.path] = true
	}
	return o
}

// check refuses a cursor of another order.
func (o order) check(after *search.Cursor) error {
	if after != nil && len(after.Values) != len(o.keys) {
		return fmt.Errorf("mongostore: a cursor with %d values in an order of %d", len(after.Values), len(o.keys))
	}
	return nil
}

// place is the cursor of a document.
func (o order) place(h *head) search.Cursor {
	c := search.Cursor{Values: make([]*string, len(o.keys)), Number: uint64(h.N)}
	for i, k := range o.keys {
		if k.isID() {
			id := keyOf(h.ID).ID
			c.Values[i] = &id
			continue
		}
		c.Values[i] = forwardValue(h.F, k.param, k.end)
	}
	return c
}

// phase is one bounded run over the documents in order.
type phase struct {
	filter bson.D // on top of the search's own
	skip   int    // keys that are the same in all its documents
}

// phases are the runs that give the documents after a cursor, in order.
func (o order) phases(after *search.Cursor) []phase {
	if len(o.keys) == 0 || o.keys[0].isID() {
		return []phase{{filter: o.keyset(after, 0)}}
	}
	missing := bson.D{{Key: o.keys[0].path, Value: nil}}
	if after != nil && after.Values[0] == nil {
		return []phase{{filter: conjunction(missing, o.keyset(after, 1)), skip: 1}}
	}
	present := bson.D{{Key: o.keys[0].path, Value: bson.D{{Key: "$gte", Value: ""}}}}
	if after != nil {
		// Both bounds in one place, so that the scan starts at the cursor.
		present = bson.D{{Key: o.keys[0].path, Value: bson.D{{Key: o.operator(0) + "e", Value: *after.Values[0]}}}}
	}
	return []phase{{filter: conjunction(present, o.keyset(after, 0))}, {filter: missing, skip: 1}}
}

// operator is the comparison that leads on from a value of key i.
func (o order) operator(i int) string {
	if o.keys[i].desc {
		return "$lt"
	}
	return "$gt"
}

func (o order) value(i int, v string) string {
	if o.keys[i].isID() {
		return o.typ + "/" + v
	}
	return v
}

// keyset is the condition of standing after a cursor, from key first on; the
// keys before it are known to be equal.
func (o order) keyset(after *search.Cursor, first int) bson.D {
	if after == nil {
		return bson.D{}
	}
	var any bson.A
	var equal bson.D
	for _, i := range o.decide[min(first, len(o.decide)):] {
		k, v := o.keys[i], after.Values[i]
		if v == nil { // nothing comes after none
			equal = append(equal, bson.E{Key: k.path, Value: nil})
			continue
		}
		beyond := bson.D{{Key: k.path, Value: bson.D{{Key: o.operator(i), Value: o.value(i, *v)}}}}
		if i > 0 && !k.isID() {
			beyond = bson.D{{Key: "$or", Value: bson.A{beyond, bson.D{{Key: k.path, Value: nil}}}}}
		}
		any = append(any, conjunction(equal, beyond))
		equal = append(equal[:len(equal):len(equal)], bson.E{Key: k.path, Value: o.value(i, *v)})
	}
	operator := "$gt"
	if o.desc {
		operator = "$lt"
	}
	beyond := bson.D{{Key: "n", Value: bson.D{{Key: operator, Value: int64(after.Number)}}}}
	any = append(any, conjunction(equal, beyond))
	if len(any) == 1 {
		return any[0].(bson.D)
	}
	return bson.D{{Key: "$or", Value: any}}
}

// standIn is the field that holds the value, or what sorts above all strings, of key i.
func standIn(i int) string { return fmt.Sprintf("s%d", i) }

// sort is the sort document from key skip on, and the stand-ins it needs, nil mostly.
func (o order) sort(skip int) (by, standIns bson.D) {
	for _, i := range o.decide[min(skip, len(o.decide)):] {
		k := o.keys[i]
		path := k.path
		if i > 0 && !k.isID() && !k.desc {
			// A boolean sorts above every string.
			path = standIn(i)
			standIns = append(standIns, bson.E{Key: path, Value: bson.D{{Key: "$ifNull", Value: bson.A{"$" + k.path, true}}}})
		}
		by = append(by, bson.E{Key: path, Value: k.direction()})
		if k.isID() {
			return by, standIns // no two documents share an id
		}
	}
	n := 1
	if o.desc {
		n = -1
	}
	return append(by, bson.E{Key: "n", Value: n}), standIns
}

// strategy names the way a search is bounded, for people.
func (o order) strategy() string {
	switch {
	case len(o.keys) == 0:
		return "in the order of numbers"
	case o.keys[0].isID():
		return "in the order of ids"
	}
	return "those with " + o.keys[0].param + " in its order, then those without"
}
