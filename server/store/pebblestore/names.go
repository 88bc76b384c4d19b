package pebblestore

import (
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"meridian/server/store"
)

// names gives types, parameters of a type, and scopes (code systems, units,
// reference types) their numbers. All of it is in memory. A name is given by
// whoever needs it first and written with the next batch, which is never later
// than the first key that uses it.
//
//	N t name         number of a type, from 1
//	N p type name    number of a parameter within its type, from 0; flags
//	N s name         number of a scope, from 1; the empty scope is 0
//
// Values are uvarints: the number, then for a parameter its flags.
type names struct {
	mu         sync.RWMutex
	types      map[string]*typeName
	numbers    []*typeName // by number-1
	scopes     map[string]uint32
	scopeNames []string // by number
	added      map[store.Added]bool
	dirty      []nameRecord // given or changed, not yet in a batch
}

type nameRecord struct{ key, value []byte }

type typeName struct {
	name   string
	number uint32
	params map[string]*paramName
}

type paramName struct {
	name   string
	number uint32
	flags  atomic.Uint32 // grows only
	// added says that the catalog names it: a resource written before that may lack its keys.
	added atomic.Bool
}

// What resources of a type were seen to have in a parameter. A flag is set
// before the first such resource is written and stays until a rebuild.
const (
	// paramRanged: forward values that hold all ranges; P of the empty scope is in their order.
	paramRanged = 1 << iota
	// paramPlain: forward values of a declared parameter; S is in their order.
	paramPlain
	// paramLoose: sort values that are not in D.
	paramLoose
	// paramOdd: keys with a separator, and no ranges in D.
	paramOdd
	// paramMulti: more than one key in a scope, or lowest and highest differ.
	paramMulti
	// paramHollow: keys and no sort value.
	paramHollow
	// paramScoped: sort values that are not in D and are scope, slash, value of a key; else they are keys of the empty scope.
	paramScoped
	// paramApart: sort values that are not in D and in no key, or out of order among the keys.
	paramApart
)

func newNames() *names {
	return &names{types: map[string]*typeName{}, scopes: map[string]uint32{"": 0}}
}

// load reads all names.
func (n *names) load(db *pebble.DB) error {
	iter, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte{prefixName}, UpperBound: []byte{prefixName + 1}})
	if err != nil {
		return err
	}
	defer iter.Close()
	// Kinds come in the order p, s, t; parameters need their type.
	type param struct {
		typ, number, flags uint32
		name               string
	}
	var params []param
	for iter.First(); iter.Valid(); iter.Next() {
		key, value := iter.Key(), iter.Value()
		number, size := binary.Uvarint(value)
		if len(key) < 2 || size <= 0 {
			return fmt.Errorf("name: %w", errCorrupt)
		}
		switch key[1] {
		case 't':
			n.addType(string(key[2:]), uint32(number))
		case 's':
			n.addScope(string(key[2:]), uint32(number))
		case 'p':
			typ, name, ok := cutNum(key[2:])
			flags, _ := binary.Uvarint(value[size:])
			if !ok {
				return fmt.Errorf("name of a parameter: %w", errCorrupt)
			}
			params = append(params, param{typ, uint32(number), uint32(flags), string(name)})
		}
	}
	for _, p := range params {
		t := n.byNumber(p.typ)
		if t == nil {
			return fmt.Errorf("parameter of type %d: %w", p.typ, errCorrupt)
		}
		pn := &paramName{name: p.name, number: p.number}
		pn.flags.Store(p.flags)
		t.params[p.name] = pn
	}
	return iter.Error()
}

func (n *names) addType(name string, number uint32) *typeName {
	t := &typeName{name: name, number: number, params: map[string]*paramName{}}
	n.types[name] = t
	for len(n.numbers) < int(number) {
		n.numbers = append(n.numbers, nil)
	}
	n.numbers[number-1] = t
	return t
}

// typ is the type of that name, nil when nothing of it was ever written.
func (n *names) typ(name string) *typeName {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.types[name]
}

// byNumber is the type of that number, or nil. The caller holds no lock.
func (n *names) byNumber(number uint32) *typeName {
	n.mu.RLock()
	defer n.mu.RUnlock()
	if number == 0 || int(number) > len(n.numbers) {
		return nil
	}
	return n.numbers[number-1]
}

func (n *names) param(t *typeName, name string) *paramName {
	if t == nil {
		return nil
	}
	n.mu.RLock()
	defer n.mu.RUnlock()
	return t.params[name]
}

func (n *names) scope(name string) (uint32, bool) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	s, ok := n.scopes[name]
	return s, ok
}

// scopeName is the name of a scope, empty when there is none of that number.
func (n *names) scopeName(number uint32) string {
	n.mu.RLock()
	defer n.mu.RUnlock()
	if int(number) >= len(n.scopeNames) {
		return ""
	}
	return n.scopeNames[number]
}

func (n *names) addScope(name string, number uint32) {
	n.scopes[name] = number
	for len(n.scopeNames) <= int(number) {
		n.scopeNames = append(n.scopeNames, "")
	}
	n.scopeNames[number] = name
}

// giveType is typ, giving a number where there is none.
func (n *names) giveType(name string) *typeName {
	if t := n.typ(name); t != nil {
		return t
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if t := n.types[name]; t != nil {
		return t
	}
	t := n.addType(name, uint32(len(n.numbers)+1))
	n.write(append([]byte{prefixName, 't'}, name...), uint64(t.number))
	return t
}

// giveParam is param with a number where there is none. The caller holds the write lock.
func (n *names) giveParam(t *typeName, name string) *paramName {
	if p := t.params[name]; p != nil {
		return p
	}
	p := &paramName{name: name, number: uint32(len(t.params))}
	p.added.Store(n.isAdded(t, name))
	t.params[name] = p
	n.writeParam(t, p)
	return p
}

// isAdded says whether the catalog names a parameter, or the one that it is a form of. The caller holds a lock.
func (n *names) isAdded(t *typeName, name string) bool {
	base, _, _ := strings.Cut(name, ":")
	return n.added[store.Added{Type: t.name, Param: base}]
}

// adopt makes the parameters of a catalog the added ones, and gives those that were and are no more.
func (n *names) adopt(c *store.Catalog) (dropped []droppedParam) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.added = make(map[store.Added]bool, len(c.Added))
	for _, a := range c.Added {
		n.added[a] = true
	}
	for _, t := range n.types {
		for _, p := range t.params {
			now := n.isAdded(t, p.name)
			if was := p.added.Swap(now); was && !now {
				dropped = append(dropped, droppedParam{t.number, p.number})
			}
		}
	}
	return dropped
}

// droppedParam is a parameter, by numbers, whose keys are to go.
type droppedParam struct{ typ, param uint32 }

func (n *names) writeParam(t *typeName, p *paramName) {
	key := append(appendNum([]byte{prefixName, 'p'}, t.number), p.name...)
	n.write(key, uint64(p.number), uint64(p.flags.Load()))
}

// giveScope is scope with a number where there is none. The caller holds the write lock.
func (n *names) giveScope(name string) (uint32, error) {
	if s, ok := n.scopes[name]; ok {
		return s, nil
	}
	if len(n.scopes) >= MaxScopes {
		return 0, fmt.Errorf("more than %d code systems, units and reference types: %w", MaxScopes, store.ErrTooLarge)
	}
	s := uint32(len(n.scopes))
	n.addScope(name, s)
	n.write(append([]byte{prefixName, 's'}, name...), uint64(s))
	return s, nil
}

// mark sets flags of a parameter.
func (n *names) mark(t *typeName, p *paramName, flags uint32) {
	if p.flags.Load()&flags == flags {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	p.flags.Or(flags)
	n.writeParam(t, p)
}

func (n *names) write(key []byte, values ...uint64) {
	var value []byte
	for _, v := range values {
		value = binary.AppendUvarint(value, v)
	}
	n.dirty = append(n.dirty, nameRecord{key, value})
}

// drain moves what is not yet written into b.
func (n *names) drain(b *pebble.Batch) error {
	n.mu.Lock()
	dirty := n.dirty
	n.dirty = nil
	n.mu.Unlock()
	for _, r := range dirty {
		if err := b.Set(r.key, r.value, nil); err != nil {
			return err
		}
	}
	return nil
}

// forgetFlags clears what was seen, before a rebuild.
func (n *names) forgetFlags() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, t := range n.types {
		for _, p := range t.params {
			p.flags.Store(0)
			n.writeParam(t, p)
		}
	}
}
