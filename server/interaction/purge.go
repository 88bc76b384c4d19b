package interaction

import (
	"context"

	"meridian/server/store"
)

// Purge deletes resources with their history, for good: what stays of each is
// that it was deleted, and when. All are one commit; where the store has no
// transactions they go one after the other, in the order of keys, so that the
// last is there until all others are gone. What never was is left out.
func (s *Service) Purge(ctx context.Context, keys []store.Key) error {
	err := s.retry(ctx, func() error {
		puts := make([]Put, len(keys))
		for i := range keys {
			puts[i].Key = keys[i]
		}
		current, err := s.currentOf(ctx, puts, true)
		if err != nil {
			return err
		}
		now := s.now()
		var writes []store.Write
		for i := range current {
			if current[i].Version == 0 {
				continue
			}
			w := remove(&current[i], now)
			w.Purge = true
			writes = append(writes, w)
		}
		if len(writes) == 0 {
			return nil
		}
		commit := s.store.CommitOrdered
		if s.store.Transactions() {
			commit = s.store.Commit
		}
		return commit(ctx, store.CommitParams{Writes: writes})
	})
	return translate(err, "purge")
}

// Enforces says that references to a type must name something: what would leave others dangling is refused.
func (s *Service) Enforces(typ string) bool { return s.policies.of(typ) == PolicyEnforce }
