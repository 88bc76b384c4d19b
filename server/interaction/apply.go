package interaction

import (
	"context"
	"fmt"
	"time"

	"meridian/server/store"
)

// Put is one resource that a part of the server writes under an id that it
// knows: the resource of a message, a rule's tag.
type Put struct {
	store.Key
	// Revise gives the resource as it is to stand, from what stands there now
	// (Body is nil when there is nothing, or it was deleted). keep leaves what
	// stands. It is called again when another writer was first, and must be pure.
	Revise func(current *store.Resource) (body []byte, keep bool, err error)
	// Pin makes the commit depend on what stands where nothing is written for this
	// put: when another writer changes it meanwhile, all puts are revised again.
	Pin bool
}

// Apply writes all puts as one commit, or none of them; where the store has no
// transactions, in their order (store.CommitOrdered). What is the same as
// before makes no version. Results come in the order of the puts.
func (s *Service) Apply(ctx context.Context, puts []Put) ([]Result, error) {
	var results []Result
	attempt := 0
	err := s.retry(ctx, func() error {
		var err error
		results, err = s.applyOnce(ctx, puts, attempt > 0)
		attempt++
		return err
	})
	if err != nil {
		return nil, translate(err, "apply")
	}
	return results, nil
}

func (s *Service) applyOnce(ctx context.Context, puts []Put, again bool) ([]Result, error) {
	current, err := s.currentOf(ctx, puts, again)
	if err != nil {
		return nil, err
	}
	now := s.now()
	results := make([]Result, len(puts))
	writes := make([]store.Write, 0, len(puts))
	var pinned []store.Require
	for i := range puts {
		body, keep, err := puts[i].Revise(&current[i])
		if err != nil {
			return nil, err
		}
		results[i] = Result{Resource: current[i], Effect: Unchanged}
		var w store.Write
		same := keep
		if !keep {
			if w, same, err = s.putBody(body, &current[i], now); err != nil {
				return nil, fmt.Errorf("%s/%s: %w", puts[i].Type, puts[i].ID, err)
			}
		}
		if same {
			if puts[i].Pin && !current[i].Deleted {
				pinned = append(pinned, store.Require{Key: puts[i].Key, Version: current[i].Version})
			}
			continue
		}
		results[i] = Result{Resource: resourceOf(&w), Effect: Updated}
		if current[i].Deleted {
			results[i].Effect = Created
		}
		writes = append(writes, w)
	}
	if len(writes) == 0 {
		return results, nil
	}
	commit := s.store.CommitOrdered
	if s.store.Transactions() {
		commit = s.store.Commit
	}
	return results, commit(ctx, store.CommitParams{Writes: writes, Requires: pinned})
}

// putBody checks a body and prepares it as the next version.
func (s *Service) putBody(body []byte, current *store.Resource, now time.Time) (store.Write, bool, error) {
	root, done, err := s.parse(body, current.Type)
	if err != nil {
		return store.Write{}, false, err
	}
	defer done()
	return s.put(root, nil, current, now, store.PUT)
}

// currentOf reads what stands at the puts' keys. After a conflict what is not
// there is read by itself, which tells a deleted resource from one that never was.
func (s *Service) currentOf(ctx context.Context, puts []Put, again bool) ([]store.Resource, error) {
	out := make([]store.Resource, len(puts))
	keys := make([]store.Key, len(puts))
	for i := range puts {
		keys[i] = puts[i].Key
	}
	for at := 0; at < len(keys); at += store.MaxReadMany {
		end := min(at+store.MaxReadMany, len(keys))
		got, err := s.store.ReadMany(ctx, keys[at:end])
		if err != nil {
			return nil, err
		}
		for i, r := range got {
			r.Key, r.Deleted = keys[at+i], r.Body == nil
			if r.Deleted && again {
				if r, err = s.current(ctx, r.Key); err != nil {
					return nil, err
				}
			}
			out[at+i] = r
		}
	}
	return out, nil
}

// Current reads what stands at the keys, in their order; Body is nil where
// there is nothing, or it was deleted.
func (s *Service) Current(ctx context.Context, keys []store.Key) ([]store.Resource, error) {
	r, err := s.store.ReadMany(ctx, keys)
	if err != nil {
		return nil, translate(err, "read")
	}
	return r, nil
}
