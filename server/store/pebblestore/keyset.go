package pebblestore

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/cockroachdb/pebble/v2"
)

// keySet collects keys with their values, and keys to be removed, in one
// buffer, to be sorted and written or compared with another set. Not for
// concurrent use.
type keySet struct {
	buf []byte
	ops []keyOp
	run []interval // scratch of fold
}

// removal in place of a value's length says that the key is to be removed.
const removal = ^uint32(0)

// keyOp is a key at [at, at+key) of the buffer and its value behind it. head
// is the first eight bytes of the key, which decide most comparisons. plain
// says that the key is a point and ends with the number, see run.go.
type keyOp struct {
	head       uint64
	at         uint32
	key, value uint32
	plain      bool
	// unsure: a resource that should have the key may lack it, see Reindex.
	unsure bool
}

// maxPooled is the largest buffer that is kept for the next commit.
const maxPooled = 1 << 20

// add ends an entry whose key stands at [at, split) of buf and its value behind that.
func (s *keySet) add(at, split int) { s.ops = append(s.ops, s.op(at, split)) }

func (s *keySet) op(at, split int) keyOp {
	op := keyOp{at: uint32(at), key: uint32(split - at), value: uint32(len(s.buf) - split)}
	if op.key >= 8 {
		op.head = binary.BigEndian.Uint64(s.buf[at:])
	} else {
		var head [8]byte
		copy(head[:], s.buf[at:split])
		op.head = binary.BigEndian.Uint64(head[:])
	}
	return op
}

// set adds a key with its value.
func (s *keySet) set(key, value []byte) {
	at := len(s.buf)
	s.buf = append(append(s.buf, key...), value...)
	s.add(at, at+len(key))
}

// remove adds a key that is to be removed.
func (s *keySet) remove(key []byte) {
	at := len(s.buf)
	s.buf = append(s.buf, key...)
	s.add(at, len(s.buf))
	s.ops[len(s.ops)-1].value = removal
}

// write sorts the set, folds its points and puts it into b. Sorted keys are
// inserted into a memtable faster, since each lies near the one before.
func (s *keySet) write(b *pebble.Batch) error {
	s.sort()
	s.fold()
	for i := range s.ops {
		op := &s.ops[i]
		var err error
		if op.value == removal {
			err = b.Delete(s.key(op), nil)
		} else {
			err = b.Set(s.key(op), s.value(op), nil)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *keySet) key(op *keyOp) []byte { return s.buf[op.at : op.at+op.key] }

func (s *keySet) value(op *keyOp) []byte { return s.buf[op.at+op.key : op.at+op.key+op.value] }

func (s *keySet) compare(a, b *keyOp) int {
	if a.head != b.head {
		if a.head < b.head {
			return -1
		}
		return 1
	}
	return bytes.Compare(s.key(a), s.key(b))
}

func (s *keySet) sort() {
	slices.SortFunc(s.ops, func(a, b keyOp) int { return s.compare(&a, &b) })
}

// diff adds to into what turns old into new: keys of new that old has not, or
// with another value, those that it may lack all the same, and removals of keys that only old has. Both are sorted.
func diff(into, old, new *keySet) {
	i := 0
	for j := range new.ops {
		n := &new.ops[j]
		same := false
		for i < len(old.ops) {
			o := &old.ops[i]
			c := bytes.Compare(old.key(o), new.key(n))
			if c > 0 {
				break
			}
			i++
			if c == 0 {
				same = !n.unsure && bytes.Equal(old.value(o), new.value(n))
				break
			}
			into.remove(old.key(o))
			into.ops[len(into.ops)-1].plain = o.plain
		}
		if !same {
			into.set(new.key(n), new.value(n))
			into.ops[len(into.ops)-1].plain = n.plain
		}
	}
	for ; i < len(old.ops); i++ {
		into.remove(old.key(&old.ops[i]))
		into.ops[len(into.ops)-1].plain = old.ops[i].plain
	}
}
