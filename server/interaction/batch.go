package interaction

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"meridian/server/store"
)

// batch carries out entries one by one in their order, each for itself.
// Neighbouring reads, and neighbouring writes of different resources without a
// criterion, run at the same time, since their order cannot be seen.
//
// https://hl7.org/fhir/R4/http.html#brules
func (s *Service) batch(ctx context.Context, entries []entry, p *BundleParams) *BundleResult {
	r := &batchRun{s: s, p: p, entries: entries, results: make([]EntryResult, len(entries)), progress: progressOf(ctx)}
	ctx = withoutSlot(ctx)
	for i := 0; i < len(entries); {
		n := independent(entries[i:])
		if n == 1 {
			r.perform(ctx, i)
		} else {
			r.performAll(ctx, i, i+n)
		}
		i += n
	}
	return &BundleResult{Type: "batch-response", Entries: r.results}
}

// batchRun is a batch while it is carried out.
type batchRun struct {
	s        *Service
	p        *BundleParams
	entries  []entry
	results  []EntryResult
	progress func(done, total int)
	done     atomic.Int64
}

// perform carries out entry i, once where the batch has a key.
func (r *batchRun) perform(ctx context.Context, i int) {
	e, out := &r.entries[i], &r.results[i]
	if e.once = r.p.once; e.once.Key != "" {
		e.once.entry = i + 1
	}
	if ctx.Err() != nil {
		*out = EntryResult{Err: translate(ctx.Err(), e.at)} // given up: what was not begun is left
	} else if e.once.Key == "" || e.err != nil || isRead(e.method) || e.target.Operation != "" {
		*out = r.s.perform(ctx, e, r.p.Lenient)
	} else {
		res, replayed, err := r.s.WriteOnce(ctx, e.once, func(ctx context.Context) (Result, error) {
			*out = r.s.perform(ctx, e, r.p.Lenient)
			return out.Result, out.Err
		})
		if replayed || err != nil {
			*out = EntryResult{Result: res, Err: err}
		}
	}
	r.progress(int(r.done.Add(1)), len(r.entries))
}

// reads counts the entries from the first on that only read.
func reads(entries []entry) int {
	for n := range entries {
		if e := &entries[n]; e.err != nil || !isRead(e.method) || e.target.Operation != "" {
			return n
		}
	}
	return len(entries)
}

// independent counts the entries from the first on that may run together, at least 1.
func independent(entries []entry) int {
	if n := reads(entries); n > 0 {
		return n
	}
	seen := map[store.Key]bool{}
	for n := range entries {
		e := &entries[n]
		key := e.target.Key
		if e.method == "POST" {
			key.ID = e.fresh
		}
		if e.err != nil || isRead(e.method) || e.target.Operation != "" || e.IfNoneExist != "" || e.target.Query != "" || seen[key] {
			return max(n, 1)
		}
		seen[key] = true
	}
	return len(entries)
}

// performAll carries out entries from up to to, BatchParallel at once.
func (r *batchRun) performAll(ctx context.Context, from, to int) {
	var wg sync.WaitGroup
	next := make(chan int)
	for range min(r.s.limits.BatchParallel, to-from) {
		wg.Go(func() {
			for i := range next {
				r.perform(ctx, i)
			}
		})
	}
	for i := from; i < to; i++ {
		next <- i
	}
	close(next)
	wg.Wait()
}

// perform carries out one entry of a batch. A panic is an error of that entry
// alone, as the others may be committed; its text holds the stack, no value.
func (s *Service) perform(ctx context.Context, e *entry, lenient bool) (out EntryResult) {
	if e.err != nil {
		return EntryResult{Err: e.err}
	}
	defer func() {
		if p := recover(); p != nil {
			out = EntryResult{Err: fmt.Errorf("%s: panic of type %T: %s", e.at, p, debug.Stack())}
		}
	}()
	t := &e.target
	if t.Operation != "" {
		return s.entryOperation(ctx, e, lenient)
	}
	switch e.method {
	case "POST":
		out.Result, out.Err = s.create(ctx, t.Type, e.root, e.IfNoneExist, e.fresh)
	case "PUT":
		out.Result, out.Err = s.update(ctx, e.root, &UpdateParams{Type: t.Type, ID: t.ID, Criterion: t.Query, Conditions: e.Conditions})
	case "PATCH":
		out.Result, out.Err = s.patch(ctx, e.patch, &PatchParams{Type: t.Type, ID: t.ID, Criterion: t.Query, Conditions: e.Conditions})
	case "DELETE":
		out.Result, out.Err = s.Delete(ctx, DeleteParams{Type: t.Type, ID: t.ID, Criterion: t.Query, Conditions: e.Conditions})
	default:
		return s.read(ctx, e, lenient)
	}
	if out.Err != nil {
		out.Err = locate(out.Err, e.at)
	}
	return out
}
