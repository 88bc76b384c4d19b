package pebblestore

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"meridian/fhir/search"
	"meridian/server/store"
)

// Values of P and S: nothing where the entry's low half is both the lowest
// and the highest sort value of the resource; else a byte that says which.
const (
	lowest  = 1
	highest = 2
)

// encoder writes the keys of one resource. Its scratch is kept between uses.
type encoder struct {
	names    *names
	declared func(typ, param string) bool
	// maxForward is how many ranges a forward value holds.
	maxForward int

	typ     *typeName
	params  []*paramName
	scopes  []uint32 // by key of the facts
	present []byte
	ranges  []string
}

// encode adds to set every key of a resource that its facts determine: A, P, W, D, S.
func (e *encoder) encode(set *keySet, t *typeName, number uint64, id string, facts *search.Facts) error {
	e.typ = t
	if err := e.resolve(facts); err != nil {
		return err
	}
	e.present = e.present[:0]
	unsure := false
	keys, forward := facts.Keys, facts.Forward
	for g := 0; len(keys) > 0 || len(forward) > 0; g++ {
		name := nextParam(keys, forward)
		n := 0
		for n < len(keys) && keys[n].Param == name {
			n++
		}
		var f *search.Forward
		if len(forward) > 0 && forward[0].Param == name {
			f, forward = &forward[0], forward[1:]
		}
		at := len(facts.Keys) - len(keys)
		ops := len(set.ops)
		e.param(set, e.params[g], number, keys[:n], e.scopes[at:at+n], f)
		keys = keys[n:]
		if e.params[g].added.Load() {
			unsure = true
			for i := ops; i < len(set.ops); i++ {
				set.ops[i].unsure = true
			}
		}
	}
	at := len(set.buf)
	set.buf = allKey(set.buf, t.number, number)
	split := len(set.buf)
	set.buf = append(binary.AppendUvarint(set.buf, uint64(len(e.present))), e.present...)
	set.buf = append(set.buf, id...)
	set.add(at, split)
	set.ops[len(set.ops)-1].unsure = unsure
	return nil
}

// nextParam is the lower of the parameters that keys and forward go on with.
func nextParam(keys []search.Key, forward []search.Forward) string {
	switch {
	case len(keys) == 0:
		return forward[0].Param
	case len(forward) == 0:
		return keys[0].Param
	}
	return min(keys[0].Param, forward[0].Param)
}

// resolve finds the numbers of all parameters and scopes, giving new ones under the lock once.
func (e *encoder) resolve(facts *search.Facts) error {
	e.names.mu.RLock()
	ok, err := e.lookUp(facts, false)
	e.names.mu.RUnlock()
	if ok || err != nil {
		return err
	}
	e.names.mu.Lock()
	defer e.names.mu.Unlock()
	_, err = e.lookUp(facts, true)
	return err
}

func (e *encoder) lookUp(facts *search.Facts, give bool) (ok bool, err error) {
	e.params, e.scopes = e.params[:0], e.scopes[:0]
	keys, forward := facts.Keys, facts.Forward
	for len(keys) > 0 || len(forward) > 0 {
		name := nextParam(keys, forward)
		p := e.typ.params[name]
		if p == nil && give {
			p = e.names.giveParam(e.typ, name)
		}
		if p == nil {
			return false, nil
		}
		e.params = append(e.params, p)
		for len(keys) > 0 && keys[0].Param == name {
			s, known := e.names.scopes[keys[0].Scope]
			if !known && give {
				s, err = e.names.giveScope(keys[0].Scope)
				known = err == nil
			}
			if !known {
				return false, err
			}
			e.scopes = append(e.scopes, s)
			keys = keys[1:]
		}
		if len(forward) > 0 && forward[0].Param == name {
			forward = forward[1:]
		}
	}
	return true, nil
}

// param adds the keys of one parameter: all its postings, and its forward value.
func (e *encoder) param(set *keySet, p *paramName, number uint64, keys []search.Key, scopes []uint32, f *search.Forward) {
	if len(keys) > 0 {
		for len(e.present) <= int(p.number/8) {
			e.present = append(e.present, 0)
		}
		e.present[p.number/8] |= 1 << (p.number % 8)
	}
	ranged := f != nil && e.ranged(keys, f)
	whole := ranged && len(e.ranges) <= e.maxForward
	var flags uint32
	for i := range keys {
		lo, hi := splitValue(keys[i].Value)
		if hi != "" && !whole {
			flags |= paramOdd
		}
		if i > 0 && keys[i].Scope == keys[i-1].Scope {
			flags |= paramMulti
		}
		at := len(set.buf)
		set.buf = scopePrefix(set.buf, e.typ.number, p.number, scopes[i])
		e.posting(set, at, lo, hi, number, ranged && keys[i].Scope == "", f)
		if hi == "" {
			continue
		}
		if class := widthClass(lo, hi[1:]); class != classNarrow {
			at := len(set.buf)
			set.buf = widePrefix(set.buf, e.typ.number, p.number, scopes[i], class)
			e.posting(set, at, lo, hi, number, ranged && keys[i].Scope == "", f)
		}
	}
	switch {
	case ranged:
		flags |= paramRanged
		e.forward(set, p, number, func(b []byte) []byte {
			if whole {
				return e.appendRanges(b, keys, scopes)
			}
			return appendPlain(b, f)
		})
	case f != nil && e.declared(e.typ.name, p.name):
		flags |= paramPlain
		e.forward(set, p, number, func(b []byte) []byte { return appendPlain(b, f) })
		e.sort(set, p, number, f)
	case f != nil:
		flags |= paramLoose | looseOrder(keys, f)
	}
	if f == nil && len(keys) > 0 {
		flags |= paramHollow
	}
	if f != nil && f.Low != f.High {
		flags |= paramMulti
	}
	if flags != 0 {
		e.names.mark(e.typ, p, flags)
	}
}

// looseOrder says how a walk finds sort values that are not in D among the keys.
func looseOrder(keys []search.Key, f *search.Forward) (flags uint32) {
	low, high := false, false
	for i := range keys {
		k := &keys[i]
		if strings.IndexFunc(k.Value, func(r rune) bool { return r < ' ' }) >= 0 {
			return paramApart // a value "a\tb" would stand behind "a b"
		}
		if k.Scope == "" {
			low, high = low || k.Value == f.Low, high || k.Value == f.High
		}
	}
	if low && high {
		return 0
	}
	for i := range keys {
		k := &keys[i]
		low, high = low || isReference(k, f.Low), high || isReference(k, f.High)
	}
	if low && high {
		return paramScoped
	}
	return paramApart
}

// isReference says whether a sort value is that of a key in a scope.
func isReference(k *search.Key, text string) bool {
	return k.Scope != "" && len(text) == len(k.Scope)+1+len(k.Value) && strings.HasPrefix(text, k.Scope) && text[len(k.Scope)] == '/' && strings.HasSuffix(text, k.Value)
}

// posting ends the P or W that begins at at.
func (e *encoder) posting(set *keySet, at int, lo, hi string, number uint64, sorted bool, f *search.Forward) {
	set.buf = appendPosting(set.buf, lo, number, hi)
	split := len(set.buf)
	if sorted && hi != "" {
		set.buf = appendExtreme(set.buf, lo, f)
	}
	set.add(at, split)
	set.ops[len(set.ops)-1].plain = hi == ""
}

// ranged says whether the sort values are low bounds of ranges, so that P is
// in their order; ranges are then all different values.
func (e *encoder) ranged(keys []search.Key, f *search.Forward) bool {
	e.ranges = e.ranges[:0]
	var low, high string
	found := false
	for i := range keys {
		if len(e.ranges) <= e.maxForward && !slices.Contains(e.ranges, keys[i].Value) {
			e.ranges = append(e.ranges, keys[i].Value)
		}
		lo, hi := splitValue(keys[i].Value)
		if hi == "" || keys[i].Scope != "" {
			continue
		}
		if !found {
			low, high, found = lo, lo, true
		}
		low, high = min(low, lo), max(high, lo)
	}
	return found && low == f.Low && high == f.High
}

func appendExtreme(b []byte, lo string, f *search.Forward) []byte {
	var which byte
	if lo == f.Low {
		which |= lowest
	}
	if lo == f.High {
		which |= highest
	}
	if which == lowest|highest {
		return b
	}
	return append(b, which)
}

// forward adds D.
func (e *encoder) forward(set *keySet, p *paramName, number uint64, value func([]byte) []byte) {
	at := len(set.buf)
	set.buf = appendNumber(forwardPrefix(set.buf, e.typ.number, p.number), number)
	split := len(set.buf)
	set.buf = value(set.buf)
	set.add(at, split)
}

// sort adds S, one entry or two.
func (e *encoder) sort(set *keySet, p *paramName, number uint64, f *search.Forward) {
	for i, v := range []string{f.Low, f.High} {
		if i == 1 && f.Low == f.High {
			return
		}
		at := len(set.buf)
		set.buf = appendPosting(sortPrefix(set.buf, e.typ.number, p.number), v, number, "")
		split := len(set.buf)
		set.buf = appendExtreme(set.buf, v, f)
		set.add(at, split)
	}
}

// A forward value is a count byte and then
//
//	0            uvarint length, lowest; uvarint length, highest (the rest is empty when they are the same)
//	n, 1 to 8    n times: uvarint length, value, uvarint number of scopes, scopes as in keys
func appendPlain(b []byte, f *search.Forward) []byte {
	b = appendText(append(b, 0), f.Low)
	if f.Low != f.High {
		b = appendText(b, f.High)
	}
	return b
}

func (e *encoder) appendRanges(b []byte, keys []search.Key, scopes []uint32) []byte {
	b = append(b, byte(len(e.ranges)))
	for _, r := range e.ranges {
		b = appendText(b, r)
		n := 0
		for i := range keys {
			if keys[i].Value == r {
				n++
			}
		}
		b = binary.AppendUvarint(b, uint64(n))
		for i := range keys {
			if keys[i].Value == r {
				b = appendNum(b, scopes[i])
			}
		}
	}
	return b
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func cutText(b []byte) (text, rest []byte, ok bool) {
	var n uint64
	if b, ok = cutUvarint(b, &n); !ok || n > uint64(len(b)) {
		return nil, nil, false
	}
	return b[:n], b[n:], true
}

// eachRange calls f for every range of a forward value and each of its
// scopes, until f says stop. whole is false when the value holds no ranges.
func eachRange(value []byte, f func(r []byte, scope uint32) (stop bool)) (whole bool, err error) {
	if len(value) == 0 {
		return false, fmt.Errorf("forward value: %w", errCorrupt)
	}
	count, b := int(value[0]), value[1:]
	for range count {
		r, rest, ok := cutText(b)
		var scopes uint64
		if ok {
			rest, ok = cutUvarint(rest, &scopes)
		}
		for ; ok && scopes > 0; scopes-- {
			var s uint32
			if s, rest, ok = cutNum(rest); ok && f(r, s) {
				return true, nil
			}
		}
		if !ok {
			return false, fmt.Errorf("forward value: %w", errCorrupt)
		}
		b = rest
	}
	return count > 0, nil
}

// sortBounds are the lowest and the highest sort value of a forward value.
func sortBounds(value []byte) (low, high []byte, err error) {
	whole, err := eachRange(value, func(r []byte, scope uint32) bool {
		if scope != 0 {
			return false
		}
		lo, hi := splitBytes(r)
		if len(hi) == 0 {
			return false
		}
		if low == nil || string(lo) < string(low) {
			low = lo
		}
		if high == nil || string(lo) > string(high) {
			high = lo
		}
		return false
	})
	if err != nil || whole {
		return low, high, err
	}
	low, rest, ok := cutText(value[1:])
	if !ok {
		return nil, nil, fmt.Errorf("forward value: %w", errCorrupt)
	}
	if len(rest) == 0 {
		return low, low, nil
	}
	high, _, ok = cutText(rest)
	if !ok {
		return nil, nil, fmt.Errorf("forward value: %w", errCorrupt)
	}
	return low, high, nil
}

func splitBytes(value []byte) (lo, hi []byte) {
	for i, c := range value {
		if c == search.RangeSep[0] {
			return value[:i], value[i:]
		}
	}
	return value, nil
}

// checkFacts refuses what the key space cannot hold.
func checkFacts(facts *search.Facts) error {
	for i := range facts.Keys {
		if k := &facts.Keys[i]; len(k.Value) > 4*search.MaxValue || strings.IndexByte(k.Value, 0) >= 0 {
			return fmt.Errorf("a key of parameter %s: %w", k.Param, store.ErrTooLarge)
		}
	}
	return nil
}
