package pebblestore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"meridian/server/store"
)

// Limits of the committer.
const (
	// maxGroup is how many requests one batch takes, maxGroupBytes how large it grows by merging.
	maxGroup      = 256
	maxGroupBytes = 4 << 20
	// maxInFlight is how many applied batches wait for their sync.
	maxInFlight = 16
	// maxWaiting is how many requests wait for the committer.
	maxWaiting = 1024
)

// committer is the one writer. Three stages, each a goroutine or more:
//
//	callers      prepare, in parallel                              request
//	committer    validate, Unless, log, merge, apply               flight
//	syncer       wait for the sync of each batch, in order, answer
//
// Batches are applied, and so visible, before they are synced; the answer
// leaves after the sync. Preconditions therefore hold on the newest state,
// and a batch that could be lost is followed by none that survives.
type committer struct {
	store    *Store
	requests chan *request
	flights  chan *flight
	stopped  sync.WaitGroup

	// applied is the position of the last applied commit: all up to it are visible.
	applied atomic.Uint64
	// synced is the last entry of the change log that is on disk.
	synced atomic.Uint64
	failed atomic.Pointer[error] // what ended all writing
	wrote  atomic.Bool           // something was applied since Open

	// Of the committer's goroutine alone.
	position uint64 // of the last commit in the open group
	seq      uint64 // of the last entry of the change log
	index    logIndex
	recent   recent
	swept    uint64 // position of the last sweep, or catalog: what was prepared before it may rest on runs, or an index, that are no more
	open     group
	key      []byte
	value    []byte
	expired  []byte // no X stands below it: what was there is deleted, and would have to be passed
}

// request is one caller's work. Either commit is set or queue or sweep or catalog.
type request struct {
	commit   *store.CommitParams
	prepared *prepared
	// queue adds the work of a queue operation; an error is the operation's and nothing is written.
	queue func(b *pebble.Batch) error
	sweep []stretch // of lists of points, to be written anew
	// catalog is to hold from now on.
	catalog *store.Catalog
	// again prepares the commit anew; nil is Store.prepare.
	again func() (*prepared, error)
	// applyFirst asks that what queue operations of the open group wrote is applied before queue runs.
	applyFirst bool
	// lazy: answered when applied, not when synced.
	lazy bool
	done chan error
}

// group is the batch that is being formed.
type group struct {
	batch    *pebble.Batch
	requests []*request
	queued   bool // has queue writes
	receipts map[string]bool
}

// flight is an applied batch.
type flight struct {
	batch    *pebble.Batch
	requests []*request
	seq      uint64 // last entry of the change log in it or before
}

func (c *committer) start() {
	c.requests, c.flights = make(chan *request, maxWaiting), make(chan *flight, maxInFlight)
	c.stopped.Add(2)
	go c.run()
	go c.sync()
}

// stop ends both goroutines after all requests are answered. No submit may run or follow.
func (c *committer) stop() {
	close(c.requests)
	c.stopped.Wait()
}

func (c *committer) run() {
	defer c.stopped.Done()
	defer close(c.flights)
	for r := range c.requests {
		c.add(r)
		// Those that are refused count too: whoever tries again at once must not hold up the others.
		for more, taken := true, 1; more && taken < maxGroup && (c.open.batch == nil || c.open.batch.Len() < maxGroupBytes); {
			select {
			case r, ok := <-c.requests:
				if more = ok; ok {
					taken++
					c.add(r)
				}
			default:
				more = false
			}
		}
		c.apply()
	}
}

// add takes a request into the open group, or answers it with its error.
func (c *committer) add(r *request) {
	var err error
	if failed := c.failed.Load(); failed != nil {
		err = *failed
	} else if r.queue != nil {
		err = c.addQueue(r)
	} else if r.sweep != nil {
		err = c.addSweep(r)
	} else if r.catalog != nil {
		err = c.addCatalog(r)
	} else {
		err = c.addCommit(r)
	}
	if err != nil {
		r.done <- err
	}
}

func (c *committer) addQueue(r *request) error {
	if r.applyFirst && c.open.queued {
		c.apply()
	}
	if c.open.batch == nil {
		c.open.batch = c.store.db.NewBatch()
	}
	if err := r.queue(c.open.batch); err != nil {
		return err
	}
	c.open.queued = true
	c.open.requests = append(c.open.requests, r)
	return nil
}

func (c *committer) addCommit(r *request) error {
	defer func() { r.prepared.close() }()
	if err := c.checkGeneration(r.commit); err != nil {
		return err
	}
	if r.prepared.at < c.swept || c.recent.changed(r.commit, r.prepared.at) {
		c.apply()
		r.prepared.close()
		again := r.again
		if again == nil {
			again = func() (*prepared, error) { return c.store.prepare(r.commit) }
		}
		p, err := again()
		if err != nil {
			return err
		}
		r.prepared = p
	}
	if err := c.unless(r.commit); err != nil {
		return err
	}
	if err := c.noMatch(r.commit); err != nil {
		return err
	}
	if err := c.checkReceipt(r.commit.Receipt); err != nil {
		return err
	}
	if c.open.batch == nil {
		c.open.batch, r.prepared.batch = r.prepared.batch, nil
	} else if err := c.open.batch.Apply(r.prepared.batch, nil); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	if err := c.store.names.drain(c.open.batch); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	if err := c.putReceipt(r.commit.Receipt); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	c.position++
	c.recent.note(r.commit, c.position)
	for i := range r.prepared.changes {
		c.seq++
		c.key = logKey(c.key[:0], c.seq)
		c.value = appendChange(c.value[:0], &r.prepared.changes[i])
		if err := errors.Join(c.open.batch.Set(c.key, c.value, nil), c.index.note(c.open.batch, c.seq, &r.prepared.changes[i])); err != nil {
			return fmt.Errorf("commit: %w", err)
		}
	}
	if err := c.index.flush(c.open.batch); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	c.open.requests = append(c.open.requests, r)
	return nil
}

// unless runs the Unless plans of a commit on all that was committed before it.
func (c *committer) unless(p *store.CommitParams) error {
	for i := range p.Writes {
		w := &p.Writes[i]
		if w.Unless == nil {
			continue
		}
		c.apply()
		plan := *w.Unless
		plan.Limit, plan.After, plan.Sort = 2, nil, nil
		page, err := c.store.search(context.Background(), &plan, MaxReadUnless)
		if err != nil {
			return fmt.Errorf("write %s/%s: unless: %w", w.Type, w.ID, err)
		}
		for _, row := range page.Rows {
			if row.Key != w.Key {
				return &store.ConflictError{Index: i, Key: w.Key, Current: w.Version - 1, Match: &row.Key}
			}
		}
	}
	return nil
}

// apply makes the open group visible and hands it to the syncer.
func (c *committer) apply() {
	g := c.open
	c.open = group{requests: nil}
	if g.batch == nil {
		return
	}
	if len(g.requests) == 0 {
		g.batch.Close()
		return
	}
	c.store.pressure.wait(g.batch.Len())
	synced := slices.ContainsFunc(g.requests, func(r *request) bool { return !r.lazy })
	var err error
	if synced {
		err = c.store.db.ApplyNoSyncWait(g.batch, pebble.Sync)
	} else {
		err = c.store.db.Apply(g.batch, pebble.NoSync)
	}
	if err != nil {
		c.fail(fmt.Errorf("apply: %w", err))
		for _, r := range g.requests {
			r.done <- *c.failed.Load()
		}
		return
	}
	c.wrote.Store(true)
	// What the cache holds is as new as applied says.
	for _, r := range g.requests {
		if r.commit != nil {
			for i := range r.commit.Writes {
				c.store.bodies.drop(r.commit.Writes[i].Key)
			}
		}
	}
	c.applied.Store(c.position)
	waiting := g.requests[:0]
	for _, r := range g.requests {
		if r.lazy {
			r.done <- nil
			continue
		}
		waiting = append(waiting, r)
	}
	if g.queued {
		c.store.queue.applied()
	}
	if !synced {
		g.batch.Close()
		return
	}
	c.flights <- &flight{g.batch, waiting, c.seq}
}

// sync answers requests when their batch is on disk.
func (c *committer) sync() {
	defer c.stopped.Done()
	for f := range c.flights {
		err := f.batch.SyncWait()
		if err != nil {
			c.fail(fmt.Errorf("sync: %w", err))
			err = *c.failed.Load()
		} else {
			c.synced.Store(f.seq)
		}
		for _, r := range f.requests {
			r.done <- err
		}
		f.batch.Close()
	}
}

// fail ends all writing: after a failed sync it is not known what is on disk.
func (c *committer) fail(err error) { c.failed.CompareAndSwap(nil, &err) }

// submit gives a request to the committer and waits for its answer.
func (s *Store) submit(ctx context.Context, r *request) error {
	r.done = make(chan error, 1)
	if !s.enter() {
		return store.ErrClosed
	}
	select {
	case s.committer.requests <- r:
		s.leave()
	case <-ctx.Done():
		s.leave()
		return ctx.Err()
	}
	// From here on the outcome is the committer's to tell, even when ctx ends.
	return <-r.done
}

// Commit writes all or nothing; it returns when the commit is on disk.
func (s *Store) Commit(ctx context.Context, p store.CommitParams) error {
	if len(p.Writes) > store.MaxCommit {
		return fmt.Errorf("a commit of %d writes: %w", len(p.Writes), store.ErrTooLarge)
	}
	if err := distinct(p.Writes); err != nil {
		return err
	}
	if err := sizeOf(p.Receipt); err != nil {
		return err
	}
	if !s.enter() {
		return store.ErrClosed
	}
	prepared, err := s.prepare(&p)
	s.leave()
	if err != nil || len(p.Writes) == 0 && len(p.NoMatch) == 0 && p.Receipt == nil {
		if prepared != nil {
			prepared.close()
		}
		return err
	}
	r := &request{commit: &p, prepared: prepared}
	err = s.submit(ctx, r)
	if errors.Is(err, store.ErrClosed) || ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		prepared.close()
	}
	return err
}

func distinct(writes []store.Write) error {
	if len(writes) < 2 {
		return nil
	}
	seen := make(map[store.Key]struct{}, len(writes))
	for i := range writes {
		key := writes[i].Key
		if _, ok := seen[key]; ok {
			return fmt.Errorf("write %d: %s/%s is written twice in one commit", i, key.Type, key.ID)
		}
		seen[key] = struct{}{}
	}
	return nil
}

// CommitOrdered is Commit.
func (s *Store) CommitOrdered(ctx context.Context, p store.CommitParams) error {
	return s.Commit(ctx, p)
}

// Transactions is true: Commit takes any number of writes.
func (s *Store) Transactions() bool { return true }
