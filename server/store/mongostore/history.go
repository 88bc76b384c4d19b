package mongostore

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"meridian/server/store"
)

// logFields are those of an entry without its body.
var logFields = bson.D{{Key: "body", Value: 0}}

// headFields say whether an entry is committed, and what was.
var headFields = bson.D{{Key: "v", Value: 1}, {Key: "p", Value: 1}, {Key: "n", Value: 1}, {Key: "del", Value: 1}, {Key: "at", Value: 1}, {Key: "method", Value: 1}}

// Changes gives what was committed after a position, in the order of
// positions. It shows nothing above the settle window, above a position that
// this process has given and not yet written, or above an entry whose head may
// still come; so a reader that goes on from the answer misses none. A version
// whose commit took longer than the window is shown again at a later position.
// It reads the latest state, not the majority's, which may lag behind the
// window: after a failover a version that it showed may be gone, which nobody
// was told to be committed.
func (s *Store) Changes(ctx context.Context, after store.Position, limit int) ([]store.Change, store.Position, error) {
	if err := s.enter(); err != nil {
		return nil, "", err
	}
	defer s.flight.Done()
	var from int64
	if after != "" {
		var err error
		if from, err = parseNumber(string(after)); err != nil {
			return nil, "", err
		}
	}
	var out []store.Change
	for len(out) < limit {
		changes, next, more, err := s.changes(ctx, from, limit-len(out))
		if err != nil {
			return nil, "", err
		}
		out, from = append(out, changes...), next
		if !more {
			break
		}
	}
	if from == 0 {
		return out, "", nil
	}
	return out, store.Position(textNumber(from)), nil
}

// changes is one batch of Changes; more says that another one may follow.
func (s *Store) changes(ctx context.Context, from int64, limit int) (out []store.Change, next int64, more bool, err error) {
	below := int64(math.MaxInt64)
	if s.opts.Settle > 0 {
		below = numberAt(s.now().Add(-s.opts.Settle))
	}
	if low, ok := s.ids.flying(); ok {
		below = min(below, low)
	}
	filter := bson.D{{Key: "p", Value: bson.D{{Key: "$gt", Value: from}, {Key: "$lt", Value: below}}}}
	entries, err := s.entries(ctx, filter, options.Find().SetSort(bson.D{{Key: "p", Value: 1}}).SetLimit(int64(limit)).SetProjection(logFields))
	if err != nil {
		return nil, 0, false, err
	}
	rows, err := s.settle(ctx, entries, false)
	if err != nil {
		return nil, 0, false, err
	}
	next = from
	for i, e := range entries {
		r := rows[i]
		if r == nil && s.now().Sub(numberTime(e.P)) < Abandon {
			return out, next, false, nil
		}
		next = e.P
		if r != nil {
			out = append(out, store.Change{Key: r.Key, Version: r.Version, Deleted: r.Deleted, At: store.Position(textNumber(e.P)), Recorded: numberTime(e.P)})
		}
	}
	return out, next, len(entries) == limit, nil
}

func (s *Store) entries(ctx context.Context, filter bson.D, o *options.FindOptionsBuilder) ([]entry, error) {
	cur, err := s.coll(ctx, historyName).Find(ctx, filter, o)
	if err != nil {
		return nil, fmt.Errorf("mongostore: history: %w", err)
	}
	var entries []entry
	if err := cur.All(ctx, &entries); err != nil {
		return nil, fmt.Errorf("mongostore: history: %w", err)
	}
	return entries, nil
}

// settle gives for each entry the committed version it stands for, nil for
// one that is ahead of its head. The head is the truth about the current
// version, the entry about an older one, which may have become older since it was read.
func (s *Store) settle(ctx context.Context, entries []entry, bodies bool) ([]*store.Resource, error) {
	keys := make([]store.Key, len(entries))
	for i := range entries {
		keys[i] = keyOf(entries[i].R)
	}
	fields := headFields
	if bodies {
		fields = noPostings
	}
	heads, err := s.headsOf(ctx, keys, fields)
	if err != nil {
		return nil, err
	}
	out := make([]*store.Resource, len(entries))
	var late []int
	for i := range entries {
		e, h := &entries[i], heads[entries[i].R]
		switch {
		case h == nil || h.V < e.V:
		case h.V == e.V:
			r := h.resource()
			out[i] = &r
		case e.Full:
			r := e.resource()
			out[i] = &r
		default:
			late = append(late, i)
		}
	}
	return out, s.again(ctx, entries, late, out)
}

// again reads entries that were superseded after they were read.
func (s *Store) again(ctx context.Context, entries []entry, late []int, out []*store.Resource) error {
	for chunk := range slices.Chunk(late, maxIn) {
		ids := make([]string, len(chunk))
		at := make(map[string]int, len(chunk))
		for j, i := range chunk {
			ids[j] = entries[i].ID
			at[ids[j]] = i
		}
		found, err := s.entries(ctx, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}}, options.Find())
		if err != nil {
			return err
		}
		for j := range found {
			r := found[j].resource()
			out[at[found[j].ID]] = &r
		}
	}
	return nil
}

// maxHistoryBatch is how many entries, with their bodies, are read at once.
const maxHistoryBatch = 500

// History gives versions, newest first: of an instance by version, of a type
// or all by position in the log. What was committed when a walk began is in it
// once, whatever is written meanwhile.
func (s *Store) History(ctx context.Context, p store.HistoryParams) (store.HistoryPage, error) {
	if err := s.enter(); err != nil {
		return store.HistoryPage{}, err
	}
	defer s.flight.Done()
	ctx = s.read(ctx)
	var filter bson.D
	field, page := "p", store.HistoryPage{Total: -1}
	switch {
	case p.ID != "":
		field = "v"
		h, err := s.head(ctx, store.Key{Type: p.Type, ID: p.ID})
		if err != nil {
			return page, err
		}
		if page.Total = 0; h == nil {
			return page, nil
		}
		filter = bson.D{{Key: "r", Value: h.ID}, {Key: "v", Value: bson.D{{Key: "$lte", Value: h.V}}}}
		filter = conjunction(filter, timeBounds(p.Since, p.Before), notGone)
		n, err := s.coll(ctx, historyName).CountDocuments(ctx, filter)
		if err != nil {
			return page, fmt.Errorf("mongostore: history of %s: %w", h.ID, err)
		}
		page.Total = int(n)
	case p.Type != "":
		filter = conjunction(bson.D{{Key: "t", Value: p.Type}}, timeBounds(p.Since, p.Before), notGone)
	default:
		filter = conjunction(timeBounds(p.Since, p.Before), notGone)
	}
	return s.history(ctx, p, page, filter, field)
}

// history walks the entries down by field and fills page.
func (s *Store) history(ctx context.Context, p store.HistoryParams, page store.HistoryPage, filter bson.D, field string) (store.HistoryPage, error) {
	var below int64 = math.MaxInt64
	if p.After != "" {
		var err error
		if below, err = parseNumber(string(p.After)); err != nil {
			return page, err
		}
	}
	last := below
	for {
		n := min(p.Limit-len(page.Rows)+1, maxHistoryBatch)
		entries, err := s.entries(ctx, conjunction(filter, bson.D{{Key: field, Value: bson.D{{Key: "$lt", Value: below}}}}),
			options.Find().SetSort(bson.D{{Key: field, Value: -1}}).SetLimit(int64(n)))
		if err != nil {
			return page, err
		}
		rows, err := s.settle(ctx, entries, true)
		if err != nil {
			return page, err
		}
		for i, r := range rows {
			if below = entries[i].P; field == "v" {
				below = entries[i].V
			}
			if r == nil {
				continue
			}
			if len(page.Rows) == p.Limit {
				page.Next = store.Position(textNumber(last))
				return page, nil
			}
			page.Rows = append(page.Rows, *r)
			last = below
		}
		if len(entries) < n {
			return page, nil
		}
	}
}

// notGone leaves out what was purged.
var notGone = bson.D{{Key: "gone", Value: bson.D{{Key: "$ne", Value: true}}}}

// timeBounds are those of lastUpdated: since inclusive, before exclusive.
func timeBounds(since, before time.Time) bson.D {
	var d bson.D
	if !since.IsZero() {
		d = append(d, bson.E{Key: "$gte", Value: since})
	}
	if !before.IsZero() {
		d = append(d, bson.E{Key: "$lt", Value: before})
	}
	if d == nil {
		return bson.D{}
	}
	return bson.D{{Key: "at", Value: d}}
}
