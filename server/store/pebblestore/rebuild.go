package pebblestore

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

const (
	// rebuildBytes is about the size of a batch of a rebuild, progressEvery how often it reports.
	rebuildBytes  = 4 << 20
	progressEvery = 10_000
)

// derived are the families that the facts of bodies determine.
var derived = [...]byte{prefixAll, prefixPosting, prefixWide, prefixForward, prefixSort}

// rebuild makes all keys and forward values from the bodies, and the lists of the log from it. It begins by
// removing the recorded version, so that one that was cut off begins again.
func (s *Store) rebuild() error {
	b := s.db.NewBatch()
	defer func() { b.Close() }()
	s.names.forgetFlags()
	err := errors.Join(b.Delete(metaKey(metaKeys), nil), s.names.drain(b))
	for _, family := range derived {
		err = errors.Join(err, b.DeleteRange([]byte{family}, []byte{family + 1}, nil))
	}
	if err = errors.Join(err, b.Commit(pebble.Sync)); err != nil {
		return fmt.Errorf("rebuild: %w", err)
	}
	if err := s.rebuildLogIndex(); err != nil {
		return fmt.Errorf("rebuild: %w", err)
	}
	iter, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{prefixBody}, UpperBound: []byte{prefixBody + 1}})
	if err != nil {
		return fmt.Errorf("rebuild: %w", err)
	}
	defer iter.Close()
	pr := s.newPreparer()
	done := 0
	for iter.First(); iter.Valid(); iter.Next() {
		if err := s.rebuildOne(pr, numberAt(iter.Key()), iter.Value()); err != nil {
			return fmt.Errorf("rebuild: %w", err)
		}
		if done++; done%progressEvery == 0 && s.options.Progress != nil {
			s.options.Progress(done)
		}
		if len(pr.set.buf) < rebuildBytes {
			continue
		}
		// All live resources of a range of numbers are in one set, so that their points are runs.
		b.Close()
		b = s.db.NewBatch()
		if err := errors.Join(pr.set.write(b), s.names.drain(b), b.Commit(pebble.NoSync)); err != nil {
			return fmt.Errorf("rebuild: %w", err)
		}
		pr.set.buf, pr.set.ops = pr.set.buf[:0], pr.set.ops[:0]
	}
	b.Close()
	b = s.db.NewBatch()
	err = errors.Join(iter.Error(), pr.set.write(b), s.names.drain(b), b.Set(metaKey(metaKeys), []byte(s.options.keysVersion()), nil), b.Commit(pebble.Sync))
	if err != nil {
		return fmt.Errorf("rebuild: %w", err)
	}
	if s.options.Progress != nil {
		s.options.Progress(done)
	}
	return nil
}

// rebuildOne adds the keys of a resource to the set.
func (s *Store) rebuildOne(pr *preparer, number uint64, record []byte) error {
	h, body, err := cutHeader(record)
	if err != nil || h.deleted {
		return err
	}
	t := s.names.byNumber(h.typ)
	if t == nil {
		return fmt.Errorf("type %d: %w", h.typ, errCorrupt)
	}
	facts, err := s.options.Index(body)
	if err == nil {
		err = checkFacts(facts)
	}
	if err != nil {
		return fmt.Errorf("index %s/%s: %w", t.name, h.id, err)
	}
	return pr.encoder.encode(pr.set, t, number, string(h.id), facts)
}
