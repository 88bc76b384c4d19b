package pebblestore

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// A point, which is a posting without a high half, has one key for each
// resource that has it, or for a run of them: resources that were created by
// one commit, or met one after the other by a rebuild.
//
//	P type param scope lo 0 number         nothing       a point of one resource
//	P type param scope lo 0 last runTail   intervals     a run: points of several resources, last the highest
//	P type param scope lo 0 number         pointRemoved  number is in the run that follows, but no longer has the point
//	P type param scope lo 0 number         pointAdded    number lies between first and last of the run that follows; it has the point
//
// Commits never change a run: what an update changes within one
// is a key of its own, before it (sweep.go writes runs with many such marks, and lists of single points, anew). So a commit need not be validated against
// others that change the same run, and whoever reads numbers upward and meets
// a mark reads on to the run. That works because the numbers of a commit's new
// resources are reserved as a block (prepare): no other commit's point stands within a run.
const (
	runTail      = 0x01 // after the number of a run's key; a high half begins with search.RangeSep
	pointRemoved = 0x04
	pointAdded   = 0x08
	// maxRun and maxIntervals are how many resources and intervals a run has at
	// most. They bound what a look at one of them reads, and decodes (0.4 µs).
	maxRun       = 512
	maxIntervals = 64
)

// interval is the numbers from first to last, both included.
type interval struct{ first, last uint64 }

// appendRun writes intervals, which ascend, for a key that ends with the last
// one's last number: lengths less one, and between them gaps less one, downward.
func appendRun(b []byte, run []interval) []byte {
	for i := len(run) - 1; i >= 0; i-- {
		if i < len(run)-1 {
			b = binary.AppendUvarint(b, run[i+1].first-run[i].last-1)
		}
		b = binary.AppendUvarint(b, run[i].last-run[i].first)
	}
	return b
}

// cutRun appends the intervals of a run to out, ascending.
func cutRun(out []interval, last uint64, value []byte) ([]interval, error) {
	from := len(out)
	for len(value) > 0 {
		if len(out) > from {
			gap, n := binary.Uvarint(value)
			if n <= 0 || gap >= last {
				return out, fmt.Errorf("run: %w", errCorrupt)
			}
			last, value = last-gap-1, value[n:]
		}
		length, n := binary.Uvarint(value)
		if n <= 0 || length > last {
			return out, fmt.Errorf("run: %w", errCorrupt)
		}
		value = value[n:]
		out = append(out, interval{last - length, last})
		last -= length
	}
	if len(out) == from {
		return out, fmt.Errorf("run: %w", errCorrupt)
	}
	for i, j := from, len(out)-1; i < j; i, j = i+1, j-1 {
		out[i], out[j] = out[j], out[i]
	}
	return out, nil
}

// without takes a number out of intervals that ascend, with adds one.
func without(run []interval, number uint64) []interval {
	for i := range run {
		x := run[i]
		if number < x.first || number > x.last {
			continue
		}
		switch {
		case x.first == x.last:
			return append(run[:i], run[i+1:]...)
		case number == x.first:
			run[i].first++
		case number == x.last:
			run[i].last--
		default:
			run = append(run, interval{})
			copy(run[i+1:], run[i:])
			run[i].last, run[i+1].first = number-1, number+1
		}
		return run
	}
	return run
}

func with(run []interval, number uint64) []interval {
	i := 0
	for i < len(run) && run[i].first < number {
		i++
	}
	run = append(run, interval{})
	copy(run[i+1:], run[i:])
	run[i] = interval{number, number}
	return run
}

func within(run []interval, number uint64) bool {
	low, high := 0, len(run)
	for low < high {
		if mid := (low + high) / 2; run[mid].last < number {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low < len(run) && run[low].first <= number
}

// fold makes runs of the points of a sorted set, which must be of new
// resources alone (or, in a rebuild, all that there are in a range of numbers).
func (s *keySet) fold() {
	kept := s.ops[:0]
	for i := 0; i < len(s.ops); {
		first := s.ops[i]
		if !first.plain {
			kept = append(kept, first)
			i++
			continue
		}
		// Those of one list stand together, among keys that have a high half.
		prefix := s.key(&first)[:first.key-numberLen]
		s.run = s.run[:0]
		count, last := 0, first
		for ; i < len(s.ops) && bytes.HasPrefix(s.key(&s.ops[i]), prefix); i++ {
			op := s.ops[i]
			if !op.plain {
				kept = append(kept, op)
				continue
			}
			if count == maxRun || len(s.run) == maxIntervals {
				kept = append(kept, s.foldRun(last))
				s.run, count = s.run[:0], 0
			}
			number := numberAt(s.key(&op))
			if n := len(s.run) - 1; n >= 0 && s.run[n].last+1 == number {
				s.run[n].last++
			} else {
				s.run = append(s.run, interval{number, number})
			}
			count, last = count+1, op
		}
		kept = append(kept, s.foldRun(last))
	}
	s.ops = kept
}

// foldRun is the operation of s.run, whose last number is that of a point.
func (s *keySet) foldRun(last keyOp) keyOp {
	if s.run[0].first == numberAt(s.key(&last)) {
		return last
	}
	at := len(s.buf)
	s.buf = append(append(s.buf, s.key(&last)...), runTail)
	split := len(s.buf)
	s.buf = appendRun(s.buf, s.run)
	return s.op(at, split)
}

// membership of a number in a list, as its keys say.
type membership struct {
	own              byte // value of the number's own key: ownPoint, pointRemoved, pointAdded, or ownNone
	covered, spanned bool // by a run: the number is in it, or between its first and last
}

const (
	ownNone  = 0xff
	ownPoint = 0x00
)

// member says whether the number has the point.
func (p *membership) member() bool {
	return p.own == ownPoint || p.own == pointAdded || p.own == ownNone && p.covered
}

// consistent says whether the number's own key is one that amend writes.
func (p *membership) consistent() bool {
	switch p.own {
	case ownPoint:
		return !p.spanned
	case pointRemoved:
		return p.covered
	case pointAdded:
		return p.spanned && !p.covered
	}
	return true
}

// find looks the point of a key up: a list's prefix and a number. It needs an iterator without bounds.
func find(it *pebble.Iterator, key []byte, scratch []interval) (p membership, run []interval, err error) {
	p.own, run = ownNone, scratch[:0]
	prefix, number := key[:len(key)-numberLen], numberAt(key)
	for ok := it.SeekGE(key); ok && bytes.HasPrefix(it.Key(), prefix); ok = it.Next() {
		rest := it.Key()[len(prefix):]
		if len(rest) < numberLen {
			return p, run, errCorrupt
		}
		at, tail := binary.BigEndian.Uint64(rest), rest[numberLen:]
		switch {
		case len(tail) == 0:
			mark, err := pointMark(it.Value())
			if err != nil {
				return p, run, err
			}
			if at == number {
				p.own = mark
			}
			if mark == ownPoint {
				return p, run, nil
			}
		case tail[0] == runTail:
			run, err = cutRun(run, at, it.Value())
			p.spanned = err == nil && run[0].first <= number
			p.covered = p.spanned && within(run, number)
			return p, run, err
		}
	}
	return p, run, it.Error()
}

// pointMark is what the value of a point without a run says.
func pointMark(value []byte) (byte, error) {
	switch {
	case len(value) == 0:
		return ownPoint, nil
	case len(value) == 1 && (value[0] == pointRemoved || value[0] == pointAdded):
		return value[0], nil
	}
	return 0, fmt.Errorf("point: %w", errCorrupt)
}

// amend turns what an update wants of the points from the i-th operation on
// into what that takes where a run has them.
func (pr *preparer) amend(from int) error {
	for i := from; i < len(pr.set.ops); i++ {
		op := &pr.set.ops[i]
		if !op.plain {
			continue
		}
		op.plain = false
		if pr.points == nil {
			var err error
			if pr.points, err = pr.store.db.NewIter(nil); err != nil {
				return err
			}
		}
		p, run, err := find(pr.points, pr.set.key(op), pr.run)
		if pr.run = run; err != nil {
			return err
		}
		if !p.spanned {
			continue
		}
		switch add := op.value != removal; {
		case add && p.covered, !add && !p.covered:
			op.value = removal // of the mark
		case add:
			pr.mark(op, pointAdded)
		default:
			pr.mark(op, pointRemoved)
		}
	}
	return nil
}

// mark gives an operation that has no value one of a byte.
func (pr *preparer) mark(op *keyOp, value byte) {
	at := len(pr.set.buf)
	pr.set.buf = append(append(pr.set.buf, pr.set.key(op)...), value)
	*op = pr.set.op(at, len(pr.set.buf)-1)
}

func isRemoved(value []byte) bool { return len(value) == 1 && value[0] == pointRemoved }

// countPoints is how many points, or postings with a high half, a P or H key adds to those before it.
func countPoints(key, value []byte) (int, error) {
	rest, names := key[1:], 3
	if key[0] == prefixTypeLog {
		names = 1
	}
	ok := true
	for ; ok && names > 0; names-- {
		_, rest, ok = cutNum(rest)
	}
	var last uint64
	var hi []byte
	switch {
	case ok && key[0] == prefixPosting:
		_, last, hi, ok = cutPosting(rest)
	case len(rest) >= numberLen:
		last, hi = binary.BigEndian.Uint64(rest), rest[numberLen:]
	default:
		ok = false
	}
	switch {
	case !ok:
		return 0, errCorrupt
	case len(hi) > 0 && hi[0] != runTail:
		return 1, nil
	case len(hi) == 0 && isRemoved(value):
		return -1, nil
	case len(hi) == 0:
		_, err := pointMark(value)
		return 1, err
	}
	run, err := cutRun(nil, last, value)
	return countOf(run), err
}

func countOf(run []interval) int {
	n := 0
	for _, x := range run {
		n += int(x.last-x.first) + 1
	}
	return n
}
