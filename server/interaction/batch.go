package interaction

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"

	"meridian/server/store"
)

// batch carries out entries one by one in their order, each for itself.
// Neighbouring writes of different resources without a criterion run at the
// same time, since their order cannot be seen.
//
// https://hl7.org/fhir/R4/http.html#brules
func (s *Service) batch(ctx context.Context, entries []entry, p *BundleParams) *BundleResult {
	out := &BundleResult{Type: "batch-response", Entries: make([]EntryResult, len(entries))}
	for i := 0; i < len(entries); {
		n := independent(entries[i:])
		if n == 1 {
			out.Entries[i] = s.perform(ctx, &entries[i], p.Lenient)
		} else {
			s.performAll(ctx, entries[i:i+n], out.Entries[i:i+n], p.Lenient)
		}
		i += n
	}
	return out
}

// independent counts the entries from the first on that may run together, at least 1.
func independent(entries []entry) int {
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

func (s *Service) performAll(ctx context.Context, entries []entry, results []EntryResult, lenient bool) {
	var wg sync.WaitGroup
	next := make(chan int)
	for range min(s.limits.BatchParallel, len(entries)) {
		wg.Go(func() {
			for i := range next {
				results[i] = s.perform(ctx, &entries[i], lenient)
			}
		})
	}
	for i := range entries {
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
