package pebblestore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"meridian/server/store"
)

// maxFindings is how many errors one Check reports.
const maxFindings = 20

// Check verifies the invariants of the whole store on a snapshot: that A, I,
// P, W, D and S are exactly those of the resources, that every version stands
// once in R or V and once in the log, that H and T are those of the log, and that the queue's lists and counts
// are those of its items. It reads everything; writers may go on beside it.
func (s *Store) Check(ctx context.Context) error {
	if !s.enter() {
		return store.ErrClosed
	}
	defer s.leave()
	snapshot := s.db.NewSnapshot()
	defer snapshot.Close()
	c := &checker{store: s, db: snapshot, ctx: ctx, keys: map[byte]int{}, versions: map[uint64]uint64{}, first: map[uint64]uint64{}, types: map[uint64]uint32{}}
	defer func() {
		if c.points != nil {
			c.points.Close()
		}
	}()
	for _, step := range []func() error{c.resources, c.oldVersions, c.log, c.families, c.queue, c.receipts} {
		if err := step(); err != nil {
			return fmt.Errorf("check: %w", errors.Join(append(c.findings, err)...))
		}
	}
	if len(c.findings) > 0 {
		return fmt.Errorf("check: %w", errors.Join(c.findings...))
	}
	return nil
}

type checker struct {
	store    *Store
	db       *pebble.Snapshot
	ctx      context.Context
	keys     map[byte]int      // expected number of keys by family
	versions map[uint64]uint64 // current version by number
	first    map[uint64]uint64 // by number the version that purged those before it
	types    map[uint64]uint32
	points   *pebble.Iterator // to find points
	findings []error
}

func (c *checker) found(format string, args ...any) {
	if len(c.findings) < maxFindings {
		c.findings = append(c.findings, fmt.Errorf(format, args...))
	}
}

// each calls f for every key of a family.
func (c *checker) each(prefix []byte, f func(key, value []byte) error) error {
	iter, err := c.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: after(prefix)})
	if err != nil {
		return err
	}
	defer iter.Close()
	for iter.First(); iter.Valid(); iter.Next() {
		if err := errors.Join(c.ctx.Err(), f(iter.Key(), iter.Value())); err != nil {
			return err
		}
	}
	return iter.Error()
}

// has looks for a key with exactly this value.
func (c *checker) has(key, value []byte, what string, number uint64) error {
	got, closer, err := c.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		c.found("resource %d: %s is missing: %q", number, what, key)
		return nil
	}
	if err != nil {
		return err
	}
	defer closer.Close()
	if !bytes.Equal(got, value) {
		c.found("resource %d: %s at %q is %q, want %q", number, what, key, got, value)
	}
	return nil
}

// hasPoint looks for a point, by itself or in a run.
func (c *checker) hasPoint(key []byte, number uint64) error {
	if c.points == nil {
		var err error
		if c.points, err = c.db.NewIter(nil); err != nil {
			return err
		}
	}
	p, _, err := find(c.points, key, nil)
	if err == nil && (!p.member() || !p.consistent()) {
		c.found("resource %d: a point is missing: %q (%+v)", number, key, p)
	}
	return err
}

func (c *checker) resources() error {
	pr := c.store.newPreparer()
	return c.each([]byte{prefixBody}, func(key, value []byte) error {
		number := numberAt(key)
		h, body, err := cutHeader(value)
		if err != nil {
			return err
		}
		c.versions[number], c.types[number] = h.version, h.typ
		if h.purged {
			c.first[number] = h.version
		}
		c.keys[prefixID]++
		if err := c.has(idKey(nil, h.typ, string(h.id)), appendNumber(nil, number), "its id", number); err != nil || h.deleted {
			return err
		}
		t := c.store.names.byNumber(h.typ)
		if t == nil {
			return fmt.Errorf("type %d: %w", h.typ, errCorrupt)
		}
		facts, err := c.store.options.Index(body)
		if err != nil {
			return fmt.Errorf("index %s/%s: %w", t.name, h.id, err)
		}
		pr.set.buf, pr.set.ops = pr.set.buf[:0], pr.set.ops[:0]
		if err := pr.encoder.encode(pr.set, t, number, string(h.id), facts); err != nil {
			return err
		}
		for i := range pr.set.ops {
			op := &pr.set.ops[i]
			c.keys[pr.set.key(op)[0]]++
			if op.plain {
				if err := c.hasPoint(pr.set.key(op), number); err != nil {
					return err
				}
				continue
			}
			if err := c.has(pr.set.key(op), pr.set.value(op), "a key", number); err != nil {
				return err
			}
		}
		return nil
	})
}

// families finds keys that belong to no resource and no entry of the log: all that should be there were found, so it is enough to count.
func (c *checker) families() error {
	for _, family := range append(derived[:], prefixID, prefixTypeLog, prefixLogTimes) {
		n := 0
		err := c.each([]byte{family}, func(key, value []byte) error {
			points, err := 1, error(nil)
			if family == prefixPosting || family == prefixTypeLog {
				points, err = countPoints(key, value)
			}
			n += points
			return err
		})
		if err != nil {
			return err
		}
		if n != c.keys[family] {
			c.found("%d keys of family %c, the resources have %d", n, family, c.keys[family])
		}
	}
	return nil
}

// oldVersions expects versions 1 to the one before the current, downward as the keys stand.
func (c *checker) oldVersions() error {
	seen := map[uint64]uint64{} // versions found so far
	err := c.each([]byte{prefixVersion}, func(key, value []byte) error {
		number, version := binary.BigEndian.Uint64(key[1:]), ^numberAt(key)
		h, _, err := cutHeader(value)
		if err != nil {
			return err
		}
		seen[number]++
		if h.purged {
			c.first[number] = version
		}
		if want := c.versions[number] - seen[number]; version != want || h.version != version {
			c.found("resource %d: version %d stands where %d should", number, version, want)
		}
		return nil
	})
	for number, version := range c.versions {
		if first := max(c.first[number], 1); seen[number]+first != version {
			c.found("resource %d: %d old versions from %d on, the current one is %d", number, seen[number], first, version)
		}
	}
	return err
}

// log expects every version of every resource once, in order.
func (c *checker) log() error {
	seen := map[uint64]uint64{}
	last := uint64(0)
	var index logIndex
	err := c.each([]byte{prefixLog}, func(key, value []byte) error {
		if seq := numberAt(key); seq != last+1 {
			c.found("log entry %d follows %d", seq, last)
		}
		last = numberAt(key)
		ch, err := cutChange(value)
		if err != nil {
			return err
		}
		if ch.version != seen[ch.number]+1 || ch.typ != c.types[ch.number] {
			c.found("log entry %d: version %d of resource %d follows version %d", last, ch.version, ch.number, seen[ch.number])
		}
		seen[ch.number] = ch.version
		if index.times(last, ch.millis); last%logBlock == logBlock-1 {
			c.keys[prefixLogTimes]++
			err = c.has(timesKey(nil, last/logBlock), index.block(), "its block's times", ch.number)
		}
		c.keys[prefixTypeLog]++
		return errors.Join(err, c.hasPoint(appendNumber(typeLogPrefix(nil, ch.typ), last), ch.number))
	})
	for number, version := range c.versions {
		if seen[number] != version {
			c.found("resource %d is at version %d, in the log at %d", number, version, seen[number])
		}
	}
	if len(seen) > len(c.versions) {
		c.found("%d resources in the log, %d are stored", len(seen), len(c.versions))
	}
	return err
}

// queue compares lists and counts with items.
func (c *checker) queue() error {
	counts := map[string]int{}
	total := map[byte]int{}
	err := c.each([]byte{prefixQueue, queueItem}, func(key, value []byte) error {
		r, err := cutRecord(numberAt(key), value)
		if err != nil {
			return err
		}
		counts[string(append(topicKey(queueCount, r.topic), r.state))]++
		total[queueItem]++
		err = c.has(stateKey(r.topic, r.state, r.id), []byte(r.label), "its place among its state", r.id)
		if r.state == statePending {
			total[queuePending]++
			err = errors.Join(err, c.has(pendingKey(r.topic, r.due, r.id), nil, "its place among the pending", r.id))
		}
		if r.key != "" {
			total[queueKey]++
			err = errors.Join(err, c.has(append(topicKey(queueKey, r.topic), r.key...), appendNumber(nil, r.id), "its key", r.id))
		}
		_, closer, missing := c.db.Get(itemKey(queueBody, r.id))
		if missing != nil {
			return errors.Join(err, fmt.Errorf("body of item %x: %w", r.id, missing))
		}
		return errors.Join(err, closer.Close())
	})
	if err != nil {
		return err
	}
	total[queueBody], total[queueState] = total[queueItem], total[queueItem]
	for _, kind := range []byte{queueBody, queueState, queuePending, queueKey} {
		n := 0
		if err := c.each([]byte{prefixQueue, kind}, func(_, _ []byte) error { n++; return nil }); err != nil {
			return err
		}
		if n != total[kind] {
			c.found("queue: %d keys of kind %c, the items have %d", n, kind, total[kind])
		}
	}
	return c.each([]byte{prefixQueue, queueCount}, func(key, value []byte) error {
		if n, _ := binary.Uvarint(value); int(n) != counts[string(key)] {
			c.found("queue: the count at %q is %d, there are %d", key, n, counts[string(key)])
		}
		return nil
	})
}
