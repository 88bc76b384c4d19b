package pebblestore

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"meridian/fhir/search"
	"meridian/server/store"
)

// Costs in units of one key read in passing, as measured: a seek is 0.6 µs, a
// forward value 0.8, a body with its facts 10 and more.
const (
	unitNext    = 1
	unitSeek    = 6
	unitForward = 8
	unitBody    = 100
	// tickUnits is how often a search looks whether it should end.
	tickUnits = 4096
)

// effort is what a search has spent, with the searches within it.
type effort struct {
	ctx     context.Context
	limit   int // of units
	units   int // spent
	ticked  int
	keys    int // read
	checked int // candidates looked at
	err     error
}

// exec is one search on one snapshot, or a chain's search of another type
// within one, which shares its effort. Not for concurrent use. The first error
// ends it: lists run dry and checks fail, and err says why.
type exec struct {
	*effort
	store  *Store
	db     *pebble.Snapshot
	typ    *typeName
	tuning *tuning
	within []*exec // the searches of chains

	iters   []*pebble.Iterator
	passing *[]*pebble.Iterator // where iterators of lists go that do not live as long as the search
	forward map[*paramName]*forwardReader
	all     *cursor // A by number, for checks

	// The body last read, and where it stands: pages and bundles lie side by
	// side, so that a step or a short seek costs a third of a Get.
	bodies   *cursor
	bodyOf   uint64
	resource store.Resource
	facts    *search.Facts
}

func (s *Store) newExec(ctx context.Context, db *pebble.Snapshot, typ *typeName) *exec {
	return &exec{effort: &effort{ctx: ctx, limit: MaxRead}, store: s, db: db, typ: typ, tuning: &s.options.tuning}
}

// inner is a search of another type within e.
func (e *exec) inner(typ *typeName) *exec {
	in := &exec{effort: e.effort, store: e.store, db: e.db, typ: typ, tuning: e.tuning}
	e.within = append(e.within, in)
	return in
}

func (e *exec) close() {
	for _, in := range e.within {
		in.close()
	}
	for _, it := range e.iters {
		e.fail(it.Close())
	}
	e.iters = nil
}

func (e *effort) fail(err error) {
	if err != nil && e.err == nil {
		e.err = err
	}
}

// spend counts work; it is where limits and the end of the context are seen.
func (e *effort) spend(units int) {
	e.units += units
	if e.units-e.ticked < tickUnits {
		return
	}
	e.ticked = e.units
	if e.units > e.limit {
		e.fail(fmt.Errorf("reading more than %d keys: %w", e.limit, store.ErrTooCostly))
	}
	e.fail(e.ctx.Err())
}

// iter opens an iterator that lives as long as the search.
func (e *exec) iter(lower, upper []byte) *pebble.Iterator {
	it := e.open(lower, upper)
	if it != nil {
		e.iters = append(e.iters, it)
	}
	return it
}

// listIter opens the iterator of a list or a walk.
func (e *exec) listIter(lower, upper []byte) *pebble.Iterator {
	if e.passing == nil {
		return e.iter(lower, upper)
	}
	it := e.open(lower, upper)
	if it != nil {
		*e.passing = append(*e.passing, it)
	}
	return it
}

func (e *exec) open(lower, upper []byte) *pebble.Iterator {
	it, err := e.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		e.fail(err)
		return nil
	}
	return it
}

// read makes number the body last read; false on an error.
func (e *exec) read(number uint64) bool {
	if e.bodyOf == number {
		return true
	}
	e.spend(unitBody)
	if e.bodies == nil {
		e.bodies = e.cursor([]byte{prefixBody})
	}
	value, ok := e.bodies.get(number)
	if !ok {
		e.fail(fmt.Errorf("resource %d has no body: %w", number, errCorrupt))
		return false
	}
	r, err := e.store.readRecord(value, number, nil)
	if err != nil {
		e.fail(err)
		return false
	}
	e.bodyOf, e.resource, e.facts = number, r, nil
	return true
}

// cursor looks numbers up among the keys of one prefix, each of which ends with its number.
type cursor struct {
	e      *exec
	iter   *pebble.Iterator
	prefix int
	key    []byte
	at     uint64 // number under the iterator, when valid
	valid  bool
}

func (e *exec) cursor(prefix []byte) *cursor {
	return &cursor{e: e, iter: e.iter(prefix, after(prefix)), prefix: len(prefix), key: prefix}
}

// get is the value of a number; ok is false when it has none. Valid until the next get.
func (c *cursor) get(number uint64) (value []byte, ok bool) {
	if c.iter == nil {
		return nil, false
	}
	if c.valid && c.at < number {
		// One step before a seek: often that is it.
		c.land(c.iter.Next())
		if c.valid && c.at > number {
			return nil, false
		}
	}
	if !c.valid || c.at != number {
		c.key = appendNumber(c.key[:c.prefix], number)
		c.land(c.iter.SeekGE(c.key))
	}
	if !c.valid || c.at != number {
		c.e.fail(c.iter.Error())
		return nil, false
	}
	value, err := c.iter.ValueAndErr()
	c.e.fail(err)
	return value, err == nil
}

// land notes what is under the iterator.
func (c *cursor) land(valid bool) {
	c.e.keys++
	if c.valid = valid; valid {
		c.at = numberAt(c.iter.Key())
	}
}

// factsOf recomputes the facts of a resource from its body; nil on an error.
func (e *exec) factsOf(number uint64) *search.Facts {
	if !e.read(number) {
		return nil
	}
	if e.facts == nil {
		facts, err := e.store.options.Index(e.resource.Body)
		if err != nil {
			e.fail(fmt.Errorf("index %s/%s: %w", e.resource.Type, e.resource.ID, err))
			return nil
		}
		e.facts = facts
	}
	return e.facts
}

// forwardReader looks up D of one parameter.
type forwardReader struct {
	*cursor
	number uint64 // last looked up; 0 is none
	value  []byte // of number; nil when it has none
}

func (e *exec) forwardOf(p *paramName) *forwardReader {
	if f := e.forward[p]; f != nil {
		return f
	}
	f := &forwardReader{cursor: e.cursor(forwardPrefix(nil, e.typ.number, p.number))}
	if e.forward == nil {
		e.forward = map[*paramName]*forwardReader{}
	}
	e.forward[p] = f
	return f
}

// get is the forward value of a resource, nil when it has none. Valid until the next get.
func (f *forwardReader) get(number uint64) []byte {
	if f.number != number {
		f.e.spend(unitForward)
		f.number = number
		f.value, _ = f.cursor.get(number)
	}
	return f.value
}

// presence says which parameters a resource has; ok is false when it is deleted or of another type.
func (e *exec) presence(number uint64) (bits []byte, ok bool) {
	bits, _, ok = e.live(number)
	return bits, ok
}

// live is the A of a resource: the parameters that it has and its id, valid
// until the next call; ok is false when it is deleted or of another type.
func (e *exec) live(number uint64) (bits, id []byte, ok bool) {
	if e.all == nil {
		e.all = e.cursor(appendNum([]byte{prefixAll}, e.typ.number))
	}
	e.spend(unitSeek)
	value, ok := e.all.get(number)
	if !ok {
		return nil, nil, false
	}
	if bits, id, ok = cutText(value); !ok {
		e.fail(errCorrupt)
	}
	return bits, id, ok
}

func hasBit(bits []byte, n uint32) bool { return int(n/8) < len(bits) && bits[n/8]&(1<<(n%8)) != 0 }

// numberAt is the big endian number at the end of a key.
func numberAt(key []byte) uint64 { return binary.BigEndian.Uint64(key[len(key)-numberLen:]) }
