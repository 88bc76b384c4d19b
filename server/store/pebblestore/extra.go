package pebblestore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"meridian/server/store"
)

// Keys of a list do not name what else their resource has, so those that stand
// rightly are found by going through the bodies once more, and what is left is too many. That
// takes 16 bytes for each right key of the list; it happens only where Verify counted too many.

// maxExtra is how many keys of one list are removed by one Verify; the rest by the next.
const maxExtra = 10_000

// extraKey is a key that stands and should not. A point is named by its own key, also where a run has it.
type extraKey struct {
	key    []byte
	plain  bool
	number uint64
}

// extras finds what stands in a list and should not.
func (v *comparer) extras(ctx context.Context, prefix []byte) (out []extraKey, err error) {
	seed := maphash.MakeSeed()
	right := map[uint64]struct{}{}
	err = v.resources(ctx, func(number uint64, id string, body []byte) error {
		set, err := v.encode(number, id, body)
		for i := 0; err == nil && i < len(set.ops); i++ {
			if key := set.key(&set.ops[i]); bytes.HasPrefix(key, prefix) {
				right[maphash.Bytes(seed, key)] = struct{}{}
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	iter, err := v.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: after(prefix)})
	if err != nil {
		return nil, err
	}
	defer iter.Close()
	for iter.First(); iter.Valid() && ctx.Err() == nil; iter.Next() {
		keys, err := logicalKeys(iter.Key(), iter.Value())
		if err != nil {
			return nil, err
		}
		for _, x := range keys {
			if _, ok := right[maphash.Bytes(seed, x.key)]; ok {
				continue
			}
			if x.plain {
				if p, _, err := v.point(x.key); err != nil || !p.member() {
					continue // a mark takes it out of its run
				}
			}
			if out = append(out, x); len(out) == maxExtra {
				return out, nil
			}
		}
	}
	return out, errors.Join(iter.Error(), ctx.Err())
}

// logicalKeys are the keys that a derived key stands for: itself, or each point of a run; none for a mark that removes.
func logicalKeys(key, value []byte) ([]extraKey, error) {
	names := map[byte]int{prefixAll: 1, prefixForward: 2, prefixSort: 2, prefixPosting: 3, prefixWide: 3}[key[0]]
	rest, ok := key[1:], true
	for ; ok && names > 0; names-- {
		_, rest, ok = cutNum(rest)
	}
	if !ok || key[0] == prefixWide && len(rest) == 0 {
		return nil, errCorrupt
	}
	if key[0] == prefixWide {
		rest = rest[1:]
	}
	if key[0] == prefixAll || key[0] == prefixForward {
		if len(rest) != numberLen {
			return nil, errCorrupt
		}
		return []extraKey{{key: bytes.Clone(key), number: binary.BigEndian.Uint64(rest)}}, nil
	}
	_, number, hi, ok := cutPosting(rest)
	switch {
	case !ok:
		return nil, errCorrupt
	case key[0] != prefixPosting || len(hi) > 0 && hi[0] != runTail:
		return []extraKey{{key: bytes.Clone(key), number: number}}, nil
	case len(hi) == 0 && isRemoved(value):
		return nil, nil
	case len(hi) == 0:
		return []extraKey{{bytes.Clone(key), true, number}}, nil
	}
	run, err := cutRun(nil, number, value)
	var out []extraKey
	head := key[:len(key)-1-numberLen]
	for _, x := range run {
		for n := x.first; n <= x.last; n++ {
			out = append(out, extraKey{appendNumber(bytes.Clone(head), n), true, n})
		}
	}
	return out, err
}

// removeExtras takes keys away that no resource gives as it stands then.
func (s *Store) removeExtras(ctx context.Context, t *typeName, extras []extraKey) error {
	slices.SortFunc(extras, func(a, b extraKey) int {
		switch {
		case a.number < b.number:
			return -1
		case a.number > b.number:
			return 1
		}
		return bytes.Compare(a.key, b.key)
	})
	commit := &store.CommitParams{}
	again := func() (*prepared, error) { return s.prepareRemoval(commit, t, extras) }
	prepared, err := again()
	if err != nil {
		return err
	}
	err = s.submitHeld(ctx, &request{commit: commit, prepared: prepared, again: again})
	prepared.close()
	return err
}

// prepareRemoval looks at the resources that the keys name, which the commit then requires to be unchanged.
func (s *Store) prepareRemoval(commit *store.CommitParams, t *typeName, extras []extraKey) (*prepared, error) {
	out := &prepared{at: s.committer.applied.Load()}
	pr := s.newPreparer()
	commit.Requires = commit.Requires[:0]
	set := pr.new
	for i, x := range extras {
		if i == 0 || extras[i-1].number != x.number {
			set.buf, set.ops = set.buf[:0], set.ops[:0]
			id, err := pr.encodeStanding(t, x.number)
			if err != nil {
				return nil, fmt.Errorf("remove keys of resource %d: %w", x.number, err)
			}
			if id != "" {
				commit.Requires = append(commit.Requires, store.Require{Key: store.Key{Type: t.name, ID: id}})
			}
		}
		if slices.ContainsFunc(set.ops, func(op keyOp) bool { return bytes.Equal(set.key(&op), x.key) }) {
			continue // it was written since, and gives it
		}
		pr.set.remove(x.key)
		pr.set.ops[len(pr.set.ops)-1].plain = x.plain
	}
	if err := pr.finish(out); err != nil {
		return nil, err
	}
	return out, nil
}

// encodeStanding puts the keys of the resource of a number into new, none where there is no such resource of the type, or it is deleted.
func (pr *preparer) encodeStanding(t *typeName, number uint64) (id string, err error) {
	value, closer, err := pr.store.db.Get(bodyKey(nil, number))
	if errors.Is(err, pebble.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	record := bytes.Clone(value)
	if err := closer.Close(); err != nil {
		return "", err
	}
	h, body, err := cutHeader(record)
	if err != nil || h.typ != t.number {
		return "", err
	}
	if id = string(h.id); h.deleted {
		return id, nil
	}
	facts, err := pr.store.options.Index(body)
	if err != nil {
		return id, err
	}
	return id, pr.encoder.encode(pr.new, t, number, id, facts)
}
