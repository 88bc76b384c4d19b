package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"meridian/server/store"
)

// Reindex puts what a slice of resources lacks, as a commit without changes: it
// is prepared beside others, and again by the committer when one of the resources
// was written meanwhile. Slices go in the order of ids.
func (s *Store) Reindex(ctx context.Context, p store.ReindexParams) (page store.ReindexPage, err error) {
	if !s.enter() {
		return page, store.ErrClosed
	}
	defer s.leave()
	t := s.names.typ(p.Type)
	if t == nil || p.Limit < 1 && p.IDs == nil {
		return page, nil
	}
	ids, more := p.IDs, false
	if len(ids) > store.MaxReindex {
		return page, fmt.Errorf("reindex %d resources: %w", len(ids), store.ErrTooLarge)
	}
	if ids == nil {
		ids, more, err = s.idsAfter(t, p.After, min(p.Limit, store.MaxReindex))
	}
	if err != nil {
		return page, fmt.Errorf("reindex %s: %w", p.Type, err)
	}
	commit := &store.CommitParams{}
	for _, id := range ids {
		commit.Requires = append(commit.Requires, store.Require{Key: store.Key{Type: p.Type, ID: id}})
	}
	again := func() (*prepared, error) { return s.prepareReindex(commit, t, p.Params, &page) }
	prepared, err := again()
	if err != nil {
		return page, err
	}
	if page.Mended > 0 && !p.Look {
		err = s.submitHeld(ctx, &request{commit: commit, prepared: prepared, again: again})
	}
	prepared.close()
	if more {
		page.Next = ids[len(ids)-1]
	}
	return page, err
}

// submitHeld is submit for a caller that has entered.
func (s *Store) submitHeld(ctx context.Context, r *request) error {
	r.done = make(chan error, 1)
	select {
	case s.committer.requests <- r:
	case <-ctx.Done():
		return ctx.Err()
	}
	return <-r.done
}

// idsAfter lists resources of a type, deleted ones too.
func (s *Store) idsAfter(t *typeName, id string, limit int) (ids []string, more bool, err error) {
	prefix := idKey(nil, t.number, "")
	iter, err := s.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: after(prefix)})
	if err != nil {
		return nil, false, err
	}
	defer iter.Close()
	from := idKey(nil, t.number, id)
	if id != "" {
		from = append(from, 0)
	}
	for ok := iter.SeekGE(from); ok; ok = iter.Next() {
		if len(ids) == limit {
			return ids, true, nil
		}
		ids = append(ids, string(iter.Key()[len(prefix):]))
	}
	return ids, false, iter.Error()
}

// prepareReindex looks at the resources that the commit requires as they stand now.
func (s *Store) prepareReindex(commit *store.CommitParams, t *typeName, params []string, page *store.ReindexPage) (*prepared, error) {
	out := &prepared{at: s.committer.applied.Load()}
	page.Checked, page.Mended = 0, 0
	pr := s.newPreparer()
	v := &comparer{db: s.db, pr: pr, typ: t, wanted: s.wantedParams(t, params)}
	defer v.close()
	for i := range commit.Requires {
		key := commit.Requires[i].Key
		st, err := pr.standing(t, key)
		if err != nil {
			return nil, fmt.Errorf("reindex %s/%s: %w", key.Type, key.ID, err)
		}
		if st.version == 0 || st.deleted {
			continue
		}
		lacks, err := v.compare(st.number, key.ID, st.body)
		if err != nil {
			return nil, fmt.Errorf("reindex %s/%s: %w", key.Type, key.ID, err)
		}
		if page.Checked++; len(lacks) > 0 {
			page.Mended++
		}
		for _, op := range lacks {
			pr.set.set(pr.new.key(op), pr.new.value(op))
			pr.set.ops[len(pr.set.ops)-1].plain = op.plain
		}
	}
	if err := pr.finish(out); err != nil {
		return nil, fmt.Errorf("reindex %s: %w", t.name, err)
	}
	return out, nil
}

// finish makes a batch of the set, whose keys are of resources that stand already.
func (pr *preparer) finish(out *prepared) error {
	err := pr.amend(0)
	if pr.points != nil {
		err = errors.Join(err, pr.points.Close())
		pr.points = nil
	}
	out.batch = pr.store.db.NewBatch()
	if err = errors.Join(err, pr.set.write(out.batch)); err != nil {
		out.close()
	}
	return err
}

// wantedParams are the parameters of a type, forms included, that params name; nil for all.
func (s *Store) wantedParams(t *typeName, params []string) func(param string) bool {
	if params == nil {
		return nil
	}
	names := map[string]bool{}
	for _, p := range params {
		names[p] = true
	}
	return func(param string) bool {
		base, _, _ := strings.Cut(param, ":")
		return names[base]
	}
}

// comparer holds what stands for resources of one type against what their bodies give. Not for concurrent use.
type comparer struct {
	db     getter
	pr     *preparer
	typ    *typeName
	wanted func(param string) bool // nil is all
	points *pebble.Iterator
	run    []interval
	lacks  []*keyOp
	// counts of the keys that stand and should, by family and parameter; nil when nobody asks.
	counts map[listName]int
}

// listName is the keys of a family for one parameter; of A the parameter is 0.
type listName struct {
	family byte
	param  uint32
}

func (v *comparer) close() {
	if v.points != nil {
		v.points.Close()
		v.points = nil
	}
}

// encode puts the keys that a resource should have into pr.new.
func (v *comparer) encode(number uint64, id string, body []byte) (*keySet, error) {
	facts, err := v.pr.store.options.Index(body)
	if err == nil {
		err = checkFacts(facts)
	}
	if err != nil {
		return nil, fmt.Errorf("index: %w", err)
	}
	set := v.pr.new
	set.buf, set.ops = set.buf[:0], set.ops[:0]
	return set, v.pr.encoder.encode(set, v.typ, number, id, facts)
}

// compare gives the keys that the resource lacks; they stand in pr.new until the next call.
func (v *comparer) compare(number uint64, id string, body []byte) ([]*keyOp, error) {
	set, err := v.encode(number, id, body)
	if err != nil {
		return nil, err
	}
	v.lacks = v.lacks[:0]
	names := v.paramNames()
	for i := range set.ops {
		op := &set.ops[i]
		list, err := listOf(set.key(op))
		if err != nil {
			return nil, err
		}
		if v.wanted != nil && list.family != prefixAll && !v.wanted(names[list.param]) {
			continue
		}
		there, same, err := v.stands(set, op)
		if err != nil {
			return nil, err
		}
		if there && v.counts != nil {
			v.counts[list]++
		}
		if !same {
			v.lacks = append(v.lacks, op)
		}
	}
	return v.lacks, nil
}

// paramNames of the type, by number.
func (v *comparer) paramNames() map[uint32]string {
	if v.wanted == nil {
		return nil
	}
	names := v.pr.store.names
	names.mu.RLock()
	defer names.mu.RUnlock()
	out := make(map[uint32]string, len(v.typ.params))
	for _, p := range v.typ.params {
		out[p.number] = p.name
	}
	return out
}

// listOf says which list a derived key is in.
func listOf(key []byte) (l listName, err error) {
	l.family = key[0]
	_, rest, ok := cutNum(key[1:])
	if ok && l.family != prefixAll {
		l.param, _, ok = cutNum(rest)
	}
	if !ok {
		return l, errCorrupt
	}
	return l, nil
}

// stands looks for a key of a set, and whether it has the value that it should.
func (v *comparer) stands(set *keySet, op *keyOp) (there, same bool, err error) {
	if op.plain {
		p, _, err := v.point(set.key(op))
		return p.member(), p.member() && p.consistent(), err
	}
	got, closer, err := v.db.Get(set.key(op))
	if errors.Is(err, pebble.ErrNotFound) {
		return false, false, nil
	}
	if err != nil {
		return false, false, err
	}
	defer closer.Close()
	return true, string(got) == string(set.value(op)), nil
}

// point looks a point up.
func (v *comparer) point(key []byte) (p membership, run []interval, err error) {
	if v.points == nil {
		if v.points, err = v.db.NewIter(nil); err != nil {
			return p, nil, err
		}
	}
	p, v.run, err = find(v.points, key, v.run)
	return p, v.run, err
}

// progressVerify is how often Verify reports, in resources.
const progressVerify = 1_000

// Verify reads a snapshot: what it compares is one state, whatever is written meanwhile.
func (s *Store) Verify(ctx context.Context, p store.VerifyParams) (out store.Verification, err error) {
	if !s.enter() {
		return out, store.ErrClosed
	}
	defer s.leave()
	t, before := s.names.typ(p.Type), s.catalog.Load()
	if t == nil {
		return out, nil
	}
	snapshot := s.db.NewSnapshot()
	defer snapshot.Close()
	v := &comparer{db: snapshot, pr: s.newPreparer(), typ: t, wanted: s.wantedParams(t, p.Params), counts: map[listName]int{}}
	defer v.close()
	err = v.resources(ctx, func(number uint64, id string, body []byte) error {
		lacks, err := v.compare(number, id, body)
		if out.Checked++; len(lacks) > 0 {
			out.Differ++
		}
		if p.Progress != nil && out.Checked%progressVerify == 0 {
			p.Progress(out.Checked)
		}
		return err
	})
	if err != nil {
		return out, fmt.Errorf("verify %s: %w", p.Type, err)
	}
	lists, err := v.extra(ctx, &out)
	if err != nil {
		return out, fmt.Errorf("verify %s: %w", p.Type, err)
	}
	if s.catalog.Load().Generation != before.Generation {
		return out, store.ErrCatalog
	}
	for _, list := range lists {
		if !p.Mend {
			break
		}
		extras, err := v.extras(ctx, list)
		if err == nil && len(extras) > 0 {
			err = s.removeExtras(ctx, t, extras)
		}
		if err != nil {
			return out, fmt.Errorf("mend %s: %w", p.Type, err)
		}
	}
	return out, nil
}

// resources calls f for every resource of the type that is not deleted.
func (v *comparer) resources(ctx context.Context, f func(number uint64, id string, body []byte) error) error {
	prefix := idKey(nil, v.typ.number, "")
	iter, err := v.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: after(prefix)})
	if err != nil {
		return err
	}
	defer iter.Close()
	for iter.First(); iter.Valid() && ctx.Err() == nil; iter.Next() {
		if len(iter.Value()) != numberLen {
			return fmt.Errorf("id: %w", errCorrupt)
		}
		number := numberAt(iter.Value())
		record, closer, err := v.db.Get(bodyKey(nil, number))
		if err != nil {
			return fmt.Errorf("resource %d: %w", number, err)
		}
		h, body, err := cutHeader(record)
		if err == nil && !h.deleted {
			err = f(number, string(iter.Key()[len(prefix):]), body)
		}
		if err = errors.Join(err, closer.Close()); err != nil {
			return fmt.Errorf("resource %d: %w", number, err)
		}
	}
	return errors.Join(iter.Error(), ctx.Err())
}

// extra counts what stands in the lists beyond what was found to stand there rightly: no two
// resources share a key. It gives the lists where there are any.
func (v *comparer) extra(ctx context.Context, out *store.Verification) (lists [][]byte, err error) {
	look := func(prefix []byte, right int) error {
		n, err := v.extraIn(ctx, prefix, right)
		if n > 0 {
			lists = append(lists, prefix)
		}
		out.Extra += n
		return err
	}
	names := v.pr.store.names
	names.mu.RLock()
	params := make([]*paramName, 0, len(v.typ.params))
	for _, p := range v.typ.params {
		params = append(params, p)
	}
	names.mu.RUnlock()
	for _, p := range params {
		if v.wanted != nil && !v.wanted(p.name) {
			continue
		}
		for _, prefix := range (droppedParam{v.typ.number, p.number}).prefixes() {
			if err := look(prefix, v.counts[listName{prefix[0], p.number}]); err != nil {
				return nil, err
			}
		}
	}
	return lists, look(appendNum([]byte{prefixAll}, v.typ.number), v.counts[listName{family: prefixAll}])
}

// extraIn counts the keys with a prefix beyond those that are right.
func (v *comparer) extraIn(ctx context.Context, prefix []byte, right int) (int, error) {
	iter, err := v.db.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: after(prefix)})
	if err != nil {
		return 0, err
	}
	defer iter.Close()
	n := 0
	for iter.First(); iter.Valid() && ctx.Err() == nil; iter.Next() {
		points := 1
		if prefix[0] == prefixPosting {
			if points, err = countPoints(iter.Key(), iter.Value()); err != nil {
				return 0, err
			}
		}
		n += points
	}
	return n - right, errors.Join(iter.Error(), ctx.Err())
}
