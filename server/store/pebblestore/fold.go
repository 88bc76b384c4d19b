package pebblestore

import (
	"bytes"
	"encoding/binary"
	"iter"

	"github.com/cockroachdb/pebble/v2"
)

// A stretch is a part of a list of points: the run that has a number, or, to
// be folded, all from it on.
type stretch struct {
	list   string // the keys' prefix before the number
	number uint64
	fold   bool
}

// folder writes stretches of lists anew: the marks go into their runs, and
// small groups, one after the other, become runs. Only the committer may
// do that, on what is applied: no number that is given later lies within the
// runs, and what an update prepared before is prepared again.
type folder struct {
	db     getter
	batch  *pebble.Batch
	budget int // how many keys may still be read

	list    []byte
	run     []interval // what the keys in inputs say, ascending
	inputs  [][]byte
	marks   int        // among inputs
	group   []interval // read last
	keys    [][]byte   // its keys
	removed []uint64
	added   []uint64
}

// A group is small when it has less than an eighth of what a run has at most, and
// full when it has half of it: then it is left as it is.
func small(run []interval) bool {
	return len(run) < maxIntervals/8 && countOf(run) < maxRun/8
}

func full(run []interval) bool {
	return len(run) >= maxIntervals/2 || countOf(run) >= maxRun/2
}

// fold adds to the batch what a stretch takes. Where the budget ended before the list did, more is true and next the number to go on from.
func (f *folder) fold(x stretch) (next uint64, more bool, err error) {
	f.list = append(f.list[:0], x.list...)
	it, err := f.db.NewIter(&pebble.IterOptions{LowerBound: f.list, UpperBound: after(f.list)})
	if err != nil {
		return 0, false, err
	}
	defer it.Close()
	ok, err := f.first(it, x.number)
	for ; ok && err == nil; ok, err = f.read(it, it.Next()) {
		if err := f.take(); err != nil {
			return 0, false, err
		}
		if !x.fold {
			break
		}
		if f.budget <= 0 {
			next, more = f.number(it)+1, true
			break
		}
	}
	if err != nil {
		return 0, false, err
	}
	// The last run may grow when the rest is read.
	parts, last, err := f.flush()
	if more && parts > 1 {
		next = last
	}
	return next, more, err
}

// first reads the group that a number is in, or the next one, from its beginning.
func (f *folder) first(it *pebble.Iterator, number uint64) (bool, error) {
	ok, err := f.read(it, it.SeekGE(appendNumber(bytes.Clone(f.list), number)))
	if ok && err == nil && f.group[0].first < number {
		return f.read(it, it.SeekGE(appendNumber(bytes.Clone(f.list), f.group[0].first)))
	}
	return ok, err
}

func (f *folder) number(it *pebble.Iterator) uint64 {
	return binary.BigEndian.Uint64(it.Key()[len(f.list):])
}

// read reads a group: a point, or the marks of a run and the run. ok says whether the iterator stands on a key.
func (f *folder) read(it *pebble.Iterator, ok bool) (bool, error) {
	f.keys, f.removed, f.added = f.keys[:0], f.removed[:0], f.added[:0]
	for ; ok; ok = it.Next() {
		f.budget--
		if len(it.Key()) < len(f.list)+numberLen {
			return false, errCorrupt
		}
		tail, number := it.Key()[len(f.list)+numberLen:], f.number(it)
		if len(tail) > 0 && tail[0] != runTail {
			continue // with a high half
		}
		f.keys = append(f.keys, bytes.Clone(it.Key()))
		if len(tail) > 0 {
			var err error
			f.group, err = cutRun(f.group[:0], number, it.Value())
			return true, err
		}
		switch mark, err := pointMark(it.Value()); {
		case err != nil:
			return false, err
		case mark == pointRemoved:
			f.removed = append(f.removed, number)
		case mark == pointAdded:
			f.added = append(f.added, number)
		default:
			f.group = append(f.group[:0], interval{number, number})
			return true, nil
		}
	}
	if len(f.keys) > 0 && it.Error() == nil {
		return false, errCorrupt // marks without a run
	}
	return false, it.Error()
}

// take puts the group behind those before it, or leaves it as it is.
func (f *folder) take() error {
	marks := len(f.removed) + len(f.added)
	if marks == 0 && full(f.group) && (len(f.run) == 0 || full(f.run) || countOf(f.run)+countOf(f.group) > maxRun || len(f.run)+len(f.group) > maxIntervals) {
		_, _, err := f.flush()
		return err
	}
	for _, n := range f.removed {
		f.group = without(f.group, n)
	}
	for _, n := range f.added {
		f.group = with(f.group, n)
	}
	f.marks += marks
	f.inputs = append(f.inputs, f.keys...)
	f.run = append(f.run, f.group...)
	return nil
}

// flush writes what was taken, in so many parts; last is the first number of the last one.
func (f *folder) flush() (parts int, last uint64, err error) {
	defer func() { f.run, f.inputs, f.marks = f.run[:0], f.inputs[:0], 0 }()
	if len(f.inputs) < 2 && f.marks == 0 {
		return 0, 0, nil
	}
	for _, key := range f.inputs {
		if err := f.batch.Delete(key, nil); err != nil {
			return 0, 0, err
		}
	}
	for part := range partsOf(f.run) {
		if err := f.write(part); err != nil {
			return 0, 0, err
		}
		parts, last = parts+1, part[0].first
	}
	return parts, last, nil
}

// partsOf cuts ascending intervals into what one run may have. A part is valid until the next one.
func partsOf(run []interval) iter.Seq[[]interval] {
	return func(yield func([]interval) bool) {
		var part []interval
		count := 0
		for _, x := range run {
			for more := true; more; {
				n := len(part) - 1
				joins := n >= 0 && part[n].last+1 == x.first
				if count == maxRun || len(part) == maxIntervals && !joins {
					if !yield(part) {
						return
					}
					part, count, joins = part[:0], 0, false
				}
				last := min(x.last, x.first+uint64(maxRun-count)-1)
				if joins {
					part[n].last = last
				} else {
					part = append(part, interval{x.first, last})
				}
				count += int(last-x.first) + 1
				if more = last < x.last; more {
					x.first = last + 1
				}
			}
		}
		if len(part) > 0 {
			yield(part)
		}
	}
}

func (f *folder) write(run []interval) error {
	last := run[len(run)-1].last
	key := appendNumber(bytes.Clone(f.list), last)
	if run[0].first == last {
		return f.batch.Set(key, nil, nil)
	}
	return f.batch.Set(append(key, runTail), appendRun(nil, run), nil)
}
