package pebblestore

import (
	"fmt"
	"slices"

	"meridian/fhir/search"
	"meridian/server/store"
)

// Chains run their inner search first, on the same snapshot.

// inner gives the numbers of the resources of a type that match where and pass
// check, at most MaxChain.
func (e *exec) inner(typ string, where search.Expr, check func([]byte) (bool, error), each func(in *exec, number uint64)) {
	t := e.store.names.typ(typ)
	if t == nil || e.err != nil {
		return
	}
	in := e.store.newExec(e.ctx, e.db, t)
	in.limit = e.limit
	defer in.close()
	l := in.drive(in.build(where), false)
	n := 0
	for at := uint64(0); in.err == nil; n++ {
		number, ok := l.seek(at)
		if !ok {
			break
		}
		if n == MaxChain {
			in.fail(fmt.Errorf("a chain over more than %d resources of type %s: %w", MaxChain, typ, store.ErrTooCostly))
			break
		}
		if in.passes(number, check) {
			each(in, number)
		}
		at = number + 1
	}
	e.keys += in.keys
	e.checked += in.checked
	e.spend(in.units)
	e.fail(in.err)
}

// passes decides a chain's Check on the body.
func (e *exec) passes(number uint64, check func([]byte) (bool, error)) bool {
	if check == nil {
		return true
	}
	if !e.read(number) {
		return false
	}
	ok, err := check(e.resource.Body)
	e.fail(err)
	return ok && e.err == nil
}

// buildChainForward is an Or of the references to what the inner search finds.
func (e *exec) buildChainForward(x *search.ChainForward) node {
	or := search.Or{}
	e.inner(x.Type, x.Where, x.Check, func(in *exec, number uint64) {
		if in.read(number) {
			or.Of = append(or.Of, search.Point{Key: search.Key{Param: x.Param, Scope: x.Type, Value: in.resource.ID}})
		}
	})
	return e.buildOr(or.Of)
}

// buildChainReverse reads whom the inner search's resources refer to.
func (e *exec) buildChainReverse(x *search.ChainReverse) node {
	var ids []string
	e.inner(x.Type, x.Where, x.Check, func(in *exec, number uint64) {
		facts := in.factsOf(number)
		if facts == nil {
			return
		}
		for i := range facts.Keys {
			if k := &facts.Keys[i]; k.Param == x.Param && k.Scope == e.typ.name {
				ids = append(ids, k.Value)
			}
		}
	})
	slices.Sort(ids)
	return e.buildIDs(slices.Compact(ids))
}
