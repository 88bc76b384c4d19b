package pebblestore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"meridian/server/store"
)

// History gives versions, newest first: an instance's from R and V, its
// position is the version; others from the change log, whose position is the
// sequence number.
func (s *Store) History(ctx context.Context, p store.HistoryParams) (store.HistoryPage, error) {
	after, err := parsePosition(p.After)
	if err != nil {
		return store.HistoryPage{}, err
	}
	if !s.enter() {
		return store.HistoryPage{}, store.ErrClosed
	}
	defer s.leave()
	snapshot := s.db.NewSnapshot()
	defer snapshot.Close()
	h := &historyReader{store: s, db: snapshot, ctx: ctx, p: &p, after: after, page: store.HistoryPage{Total: -1}}
	if p.ID != "" {
		err = h.instance()
	} else {
		err = h.log()
	}
	if err != nil {
		return store.HistoryPage{}, fmt.Errorf("history of %s/%s: %w", p.Type, p.ID, err)
	}
	return h.page, nil
}

func parsePosition(p store.Position) (uint64, error) {
	if p == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(string(p), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("position %q is not one of this store", p)
	}
	return n, nil
}

func position(n uint64) store.Position { return store.Position(strconv.FormatUint(n, 10)) }

type historyReader struct {
	store *Store
	db    *pebble.Snapshot
	ctx   context.Context
	p     *store.HistoryParams
	after uint64 // rows below this position; 0 is from the newest
	page  store.HistoryPage
	last  uint64 // position of the last row taken
}

func (h *historyReader) in(millis int64) bool {
	at := time.UnixMilli(millis)
	return (h.p.Since.IsZero() || !at.Before(h.p.Since)) && (h.p.Before.IsZero() || at.Before(h.p.Before))
}

// room says whether a row at this position is wanted; done when the page is
// full, which is when one more row is known to follow.
func (h *historyReader) room(at uint64) (wanted, done bool) {
	if h.after != 0 && at >= h.after {
		return false, false
	}
	if len(h.page.Rows) >= h.p.Limit {
		if h.page.Next == "" && len(h.page.Rows) > 0 {
			h.page.Next = position(h.last)
		}
		return false, true
	}
	h.last = at
	return true, false
}

func (h *historyReader) instance() error {
	key := store.Key{Type: h.p.Type, ID: h.p.ID}
	r, found, err := h.store.current(h.db, key)
	h.page.Total = 0
	if err != nil || !found {
		return err
	}
	// Versions are without gaps, so that they need not be counted unless some are left out.
	filtered := !h.p.Since.IsZero() || !h.p.Before.IsZero()
	if !filtered {
		first, err := firstVersion(h.db, r.Number, r.Version)
		if err != nil {
			return err
		}
		h.page.Total = int(r.Version - first + 1)
	}
	full := false
	take := func(version uint64, millis int64, row func() store.Resource) {
		if !h.in(millis) {
			return
		}
		if filtered {
			h.page.Total++
		}
		wanted, done := h.room(version)
		if wanted {
			h.page.Rows = append(h.page.Rows, row())
		}
		full = full || done
	}
	take(r.Version, r.LastUpdated.UnixMilli(), func() store.Resource { return r })
	prefix := appendNumber([]byte{prefixVersion}, r.Number)
	iter, err := h.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: after(prefix)})
	if err != nil {
		return err
	}
	defer iter.Close()
	start := prefix
	if h.after != 0 && !filtered {
		start = versionKey(nil, r.Number, h.after-1)
	}
	for iter.SeekGE(start); iter.Valid() && (filtered || !full); iter.Next() {
		if err := h.ctx.Err(); err != nil {
			return err
		}
		old, body, err := cutHeader(iter.Value())
		if err != nil {
			return err
		}
		take(old.version, old.millis, func() store.Resource { return resource(key.Type, key.ID, r.Number, &old, body) })
	}
	return iter.Error()
}

// log reads the change log, of one type or whole, from the newest entry.
func (h *historyReader) log() error {
	var typ uint32
	if h.p.Type != "" {
		t := h.store.names.typ(h.p.Type)
		if t == nil {
			return nil
		}
		typ = t.number
	}
	l := h.store.readLog(h.ctx, h.db, typ)
	defer l.close()
	return h.entries(l)
}

// entries takes entries of the log until the page is full.
func (h *historyReader) entries(l *logReader) error {
	timed := !h.p.Since.IsZero() || !h.p.Before.IsZero()
	for limit := h.after; ; {
		seq, ok := l.below(limit)
		if !ok || seq == 0 {
			return l.err
		}
		limit = seq
		if timed {
			if begin, outside := l.outside(seq, h.overlaps); outside {
				if limit = begin; begin == 0 {
					return l.err
				}
				continue
			}
		}
		done, err := h.logged(seq)
		if err != nil || done {
			return err
		}
	}
}

// overlaps says whether some time from least to greatest is asked for.
func (h *historyReader) overlaps(least, greatest int64) bool {
	return (h.p.Since.IsZero() || !time.UnixMilli(greatest).Before(h.p.Since)) && (h.p.Before.IsZero() || time.UnixMilli(least).Before(h.p.Before))
}

// logged takes the version of an entry of the log; done when the page is full.
func (h *historyReader) logged(seq uint64) (done bool, err error) {
	value, closer, err := h.db.Get(logKey(nil, seq))
	if err != nil {
		return false, fmt.Errorf("log entry %d: %w", seq, err)
	}
	c, err := cutChange(value)
	closer.Close()
	if err != nil || !h.in(c.millis) {
		return false, err
	}
	wanted, done := h.room(seq)
	if done || !wanted {
		return done, nil
	}
	r, err := h.store.versionOf(h.db, &c)
	if errors.Is(err, errPurged) {
		return false, nil
	}
	h.page.Rows = append(h.page.Rows, r)
	return false, err
}

// errPurged: a version is in the log and gone for good.
var errPurged = errors.New("version was purged")

// firstVersion is the oldest version that there is of a resource at version current: 1, or that which purged it.
func firstVersion(db getter, number, current uint64) (uint64, error) {
	prefix := appendNumber([]byte{prefixVersion}, number)
	iter, err := db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: after(prefix)})
	if err != nil {
		return 0, err
	}
	defer iter.Close()
	if !iter.Last() {
		return current, iter.Error()
	}
	return ^numberAt(iter.Key()), nil
}

// versionOf reads the version that a change made.
func (s *Store) versionOf(db getter, c *change) (store.Resource, error) {
	r, err := s.record(db, bodyKey(nil, c.number), c.number, nil)
	if err != nil || r.Version == c.version {
		return r, err
	}
	current := r.Version
	r, err = s.record(db, versionKey(nil, c.number, c.version), c.number, nil)
	if errors.Is(err, pebble.ErrNotFound) {
		if first, err := firstVersion(db, c.number, current); err != nil || c.version < first {
			return r, errors.Join(err, errPurged)
		}
		err = fmt.Errorf("version %d of resource %d is in the log only: %w", c.version, c.number, errCorrupt)
	}
	return r, err
}

// maxChanges is the most that one call of Changes gives.
const maxChanges = 10_000

// Changes reads the change log in order, as far as it is on disk: a position
// that was given away is never used for another change.
func (s *Store) Changes(ctx context.Context, from store.Position, limit int) ([]store.Change, store.Position, error) {
	seq, err := parsePosition(from)
	if err != nil {
		return nil, from, err
	}
	if !s.enter() {
		return nil, from, store.ErrClosed
	}
	defer s.leave()
	upper := logKey(nil, s.committer.synced.Load()+1)
	snapshot := s.db.NewSnapshot()
	defer snapshot.Close()
	iter, err := snapshot.NewIter(&pebble.IterOptions{LowerBound: logKey(nil, seq+1), UpperBound: upper})
	if err != nil {
		return nil, from, err
	}
	defer iter.Close()
	var out []store.Change
	for iter.First(); iter.Valid() && len(out) < min(limit, maxChanges); iter.Next() {
		if err := ctx.Err(); err != nil {
			return nil, from, err
		}
		c, err := s.change(snapshot, iter.Key(), iter.Value())
		if err != nil {
			return nil, from, fmt.Errorf("changes: %w", err)
		}
		out = append(out, c)
		from = c.At
	}
	return out, from, iter.Error()
}

func (s *Store) change(db getter, key, value []byte) (store.Change, error) {
	c, err := cutChange(value)
	if err != nil {
		return store.Change{}, err
	}
	record, closer, err := db.Get(bodyKey(nil, c.number))
	if err != nil {
		return store.Change{}, fmt.Errorf("resource %d: %w", c.number, err)
	}
	defer closer.Close()
	h, _, err := cutHeader(record)
	t := s.names.byNumber(c.typ)
	if err != nil || t == nil {
		return store.Change{}, fmt.Errorf("resource %d: %w", c.number, errCorrupt)
	}
	return store.Change{Key: store.Key{Type: t.name, ID: string(h.id)}, Version: c.version, Deleted: c.deleted,
		At: position(binary.BigEndian.Uint64(key[1:])), Recorded: time.UnixMilli(c.millis).UTC()}, nil
}
