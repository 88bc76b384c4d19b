package storetest

import (
	"strings"

	"meridian/fhir/search"
)

// matches decides a plan's tree on the facts of one resource. lookup gives
// the live resources of a type, for chains.
func matches(e search.Expr, typ, id string, facts *search.Facts, lookup func(typ string) []*mapResource) bool {
	again := func(e search.Expr) bool { return matches(e, typ, id, facts, lookup) }
	switch e := e.(type) {
	case nil, search.All:
		return true
	case search.Point:
		return anyKey(facts, func(k search.Key) bool { return k == e.Key })
	case search.Prefix:
		return anyKey(facts, func(k search.Key) bool {
			return k.Param == e.Key.Param && k.Scope == e.Key.Scope && strings.HasPrefix(k.Value, e.Key.Value)
		})
	case search.Contains:
		return anyKey(facts, func(k search.Key) bool { return k.Param == e.Param && strings.Contains(k.Value, e.Text) })
	case search.Box:
		return anyKey(facts, func(k search.Key) bool { return k.Param == e.Param && k.Scope == e.Scope && e.InBox(k.Value) })
	case search.Present:
		return anyKey(facts, func(k search.Key) bool { return k.Param == e.Param })
	case search.IDs:
		for _, want := range e.IDs {
			if want == id {
				return true
			}
		}
		return false
	case search.And:
		for _, of := range e.Of {
			if !again(of) {
				return false
			}
		}
		return true
	case search.Or:
		for _, of := range e.Of {
			if again(of) {
				return true
			}
		}
		return false
	case search.Not:
		return !again(e.Of)
	case search.ChainForward:
		for _, r := range lookup(e.Type) {
			named := anyKey(facts, func(k search.Key) bool { return k == search.Key{Param: e.Param, Scope: e.Type, Value: r.id} })
			if named && matches(e.Where, e.Type, r.id, r.facts, lookup) && r.passes(e.Check) {
				return true
			}
		}
		return false
	case search.ChainReverse:
		for _, r := range lookup(e.Type) {
			names := anyKey(r.facts, func(k search.Key) bool { return k == search.Key{Param: e.Param, Scope: typ, Value: id} })
			if names && matches(e.Where, e.Type, r.id, r.facts, lookup) && r.passes(e.Check) {
				return true
			}
		}
		return false
	}
	return false
}

// passes is a chain's Check on the current body. An error is the map's too: the
// suite's checks have none.
func (r *mapResource) passes(check func([]byte) (bool, error)) bool {
	if check == nil {
		return true
	}
	ok, err := check(r.current().Body)
	if err != nil {
		panic(err)
	}
	return ok
}

func anyKey(facts *search.Facts, is func(search.Key) bool) bool {
	for _, k := range facts.Keys {
		if is(k) {
			return true
		}
	}
	return false
}

// sortValues are the values of a resource in a plan's order, nil where it has none.
func sortValues(sort []search.Order, id string, facts *search.Facts) []*string {
	values := make([]*string, len(sort))
	for i, o := range sort {
		if o.Param == "" || o.Param == "_id" {
			values[i] = &id
			continue
		}
		for _, f := range facts.Forward {
			if f.Param != o.Param {
				continue
			}
			v := f.Low
			if o.Desc {
				v = f.High
			}
			values[i] = &v
		}
	}
	return values
}

// compareCursors orders two places of a plan's order as plan.go says.
func compareCursors(sort []search.Order, a, b *search.Cursor) int {
	for i, o := range sort {
		x, y := a.Values[i], b.Values[i]
		switch {
		case x == nil && y == nil:
			continue
		case x == nil:
			return 1
		case y == nil:
			return -1
		}
		if c := strings.Compare(*x, *y); c != 0 {
			if o.Desc {
				return -c
			}
			return c
		}
	}
	c := 0
	switch {
	case a.Number < b.Number:
		c = -1
	case a.Number > b.Number:
		c = 1
	}
	if len(sort) > 0 && sort[0].Desc {
		return -c
	}
	return c
}
