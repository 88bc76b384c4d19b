package pebblestore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/cockroachdb/pebble/v2"
)

// Beside the change log stand two families that histories read it by. Both are
// functions of it, written in the batches of its entries:
//
//	H type seq, H type last runTail    the entries of one type: points in runs, one key for each commit (run.go)
//	T block                            least and greatest time of logBlock entries, when all are written
//
// Times do not always rise with the log: they are the callers' (an import may keep those of another server).

// logBlock is how many entries of the log have one T.
const logBlock = 1024

func typeLogPrefix(b []byte, typ uint32) []byte { return appendNum(append(b, prefixTypeLog), typ) }

func timesKey(b []byte, block uint64) []byte { return appendNumber(append(b, prefixLogTimes), block) }

// logIndex makes both families. Not for concurrent use.
type logIndex struct {
	least, greatest int64 // of the entries of the block at hand
	types           []typeRun
	key, value      []byte
}

// typeRun is entries of one type that are not yet written.
type typeRun struct {
	typ uint32
	run []interval
}

// note takes the next entry of the log and writes a block's times when that is its last.
func (x *logIndex) note(b *pebble.Batch, seq uint64, c *change) error {
	x.times(seq, c.millis)
	i := 0
	for i < len(x.types) && x.types[i].typ != c.typ {
		i++
	}
	if i == len(x.types) {
		if cap(x.types) > i {
			x.types = x.types[:i+1]
			x.types[i] = typeRun{typ: c.typ, run: x.types[i].run[:0]}
		} else {
			x.types = append(x.types, typeRun{typ: c.typ})
		}
	}
	t := &x.types[i]
	if last := len(t.run) - 1; last >= 0 && t.run[last].last+1 == seq {
		t.run[last].last = seq
	} else {
		t.run = append(t.run, interval{seq, seq})
	}
	if seq%logBlock != logBlock-1 {
		return nil
	}
	x.key = timesKey(x.key[:0], seq/logBlock)
	return b.Set(x.key, x.block(), nil)
}

// block is the value of T.
func (x *logIndex) block() []byte {
	x.value = binary.AppendVarint(binary.AppendVarint(x.value[:0], x.least), x.greatest)
	return x.value
}

// times takes an entry into those of its block.
func (x *logIndex) times(seq uint64, millis int64) {
	if seq%logBlock == 0 || seq == 1 {
		x.least, x.greatest = math.MaxInt64, math.MinInt64
	}
	x.least, x.greatest = min(x.least, millis), max(x.greatest, millis)
}

// flush writes the runs of the entries since the last flush.
func (x *logIndex) flush(b *pebble.Batch) error {
	for _, t := range x.types {
		last := t.run[len(t.run)-1].last
		x.key, x.value = appendNumber(typeLogPrefix(x.key[:0], t.typ), last), x.value[:0]
		if t.run[0].first != last {
			x.key, x.value = append(x.key, runTail), appendRun(x.value, t.run)
		}
		if err := b.Set(x.key, x.value, nil); err != nil {
			return err
		}
	}
	x.types = x.types[:0]
	return nil
}

// resume takes the entries of the block at hand, when the store is opened.
func (x *logIndex) resume(db getter, last uint64) error {
	return eachLogged(db, last/logBlock*logBlock, func(seq uint64, c *change) error {
		x.times(seq, c.millis)
		return nil
	})
}

func eachLogged(db getter, from uint64, f func(seq uint64, c *change) error) error {
	iter, err := db.NewIter(&pebble.IterOptions{LowerBound: logKey(nil, from), UpperBound: []byte{prefixLog + 1}})
	if err != nil {
		return err
	}
	defer iter.Close()
	for iter.First(); iter.Valid(); iter.Next() {
		c, err := cutChange(iter.Value())
		if err == nil {
			err = f(numberAt(iter.Key()), &c)
		}
		if err != nil {
			return err
		}
	}
	return iter.Error()
}

// rebuildLogIndex makes both families from the log.
func (s *Store) rebuildLogIndex() error {
	b := s.db.NewBatch()
	defer func() { b.Close() }()
	err := errors.Join(b.DeleteRange([]byte{prefixTypeLog}, []byte{prefixTypeLog + 1}, nil), b.DeleteRange([]byte{prefixLogTimes}, []byte{prefixLogTimes + 1}, nil))
	if err != nil {
		return err
	}
	var x logIndex
	err = eachLogged(s.db, 0, func(seq uint64, c *change) error {
		if err := x.note(b, seq, c); err != nil || seq%logBlock != 0 {
			return err
		}
		if err := errors.Join(x.flush(b), b.Commit(pebble.NoSync), b.Close()); err != nil {
			return err
		}
		b = s.db.NewBatch()
		return nil
	})
	return errors.Join(err, x.flush(b), b.Commit(pebble.NoSync))
}

// logReader reads entries of the log downward, of one type or all.
type logReader struct {
	*exec
	list  list
	times *cursor // T by block
	open  uint64  // the block that has no T yet; 0 when it was not met
}

// readLog reads the entries of a type, or all where typ is 0.
func (s *Store) readLog(ctx context.Context, db *pebble.Snapshot, typ uint32) *logReader {
	r := &logReader{exec: s.newExec(ctx, db, nil)}
	if typ == 0 {
		r.list = r.keyList([]byte{prefixLog}, true, nil)
	} else {
		r.list = r.pointList(typeLogPrefix(nil, typ), true)
	}
	r.times = r.cursor([]byte{prefixLogTimes})
	return r
}

// below is the last entry before limit; ok is false when there is none.
func (r *logReader) below(limit uint64) (seq uint64, ok bool) {
	p, ok := r.list.seek(place(limit-1, true))
	return place(p, true), ok && r.err == nil
}

// outside says that no entry of seq's block has a time that in takes, and where
// the block begins; in is given the least and the greatest time.
func (r *logReader) outside(seq uint64, in func(least, greatest int64) bool) (begin uint64, outside bool) {
	block := seq / logBlock
	if block == r.open && block > 0 {
		return 0, false
	}
	value, ok := r.times.get(block)
	if !ok {
		r.open = block
		return 0, false
	}
	least, n := binary.Varint(value)
	greatest, m := binary.Varint(value[max(n, 0):])
	if n <= 0 || m <= 0 {
		r.fail(fmt.Errorf("times of the log: %w", errCorrupt))
		return 0, false
	}
	return block * logBlock, !in(least, greatest)
}
