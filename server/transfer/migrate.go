package transfer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"meridian/fhir/search"
	"meridian/server/store"
)

// ErrNotACopy: the target holds something that is not the beginning of the source.
var ErrNotACopy = errors.New("the target is not empty, and not the beginning of a copy of the source")

// Limits of one step of a migration.
const (
	migrateBatch = 500     // versions read, and at most written, at once
	migrateBytes = 8 << 20 // bodies of one commit
	maxDifferent = 20      // differences that a failed verification names
)

// Migration copies From into To: the search parameters that were added, all versions with their times, methods and
// deletions in the order of the change log, then receipts, then work items.
// Nobody else may write to either. Versions that were purged are gone in the copy too.
// Resources get numbers of the target's in the order of their first versions.
type Migration struct {
	From, To store.Store
	// Index gives the facts of a body, as To has them and under the catalog that To adopted last; required.
	Index func(body []byte) (*search.Facts, error)
	// Workers read and index at once; 0 is 4.
	Workers int
	// Quiet is how long From must show no further change before it is taken to be
	// read to its end: a log may hold back its newest entries. 0 where it does not.
	Quiet time.Duration
	// Progress hears of each step; nil for none.
	Progress func(Step)
}

// Step is how far a migration is.
type Step struct {
	Phase       Phase
	Done, Total int // versions, or items; Total may grow
}

// Phase of a migration, in order.
type Phase string

const (
	Copying        Phase = "copy"
	CopyingQueue   Phase = "copy messages and jobs"
	CopyingReceipt Phase = "copy receipts"
	Verifying      Phase = "verify"
)

// Summary is what a migration found equal in both stores.
type Summary struct {
	Versions  int            // of all resources, deletions included
	Purged    int            // versions that the log names and that are gone for good
	Resources map[string]int // current and not deleted, by type
	Items     map[string]int // work items by topic
	Receipts  int
	Copied    int // versions written by this run; the rest was there
}

// Run copies what is missing and then compares everything: the two logs, every
// version byte by byte, every item and receipt, the added search parameters with their keys, and the counts by search. It returns without an error only
// when all is equal. After an error it may be run again and goes on; ErrNotACopy, and
// an error that names differences, say that this will not help.
func (m *Migration) Run(ctx context.Context) (Summary, error) {
	if m.Workers <= 0 {
		m.Workers = 4
	}
	if m.Index == nil {
		return Summary{}, errors.New("transfer: Migration.Index is required")
	}
	r := &migrator{Migration: m, ctx: ctx}
	if err := r.measure(); err != nil {
		return Summary{}, err
	}
	if err := r.copyLog(); err != nil {
		return Summary{}, err
	}
	if err := r.catalog(); err != nil {
		return Summary{}, err
	}
	copied := r.sum.Copied
	if err := r.copyReceipts(); err != nil {
		return Summary{}, err
	}
	if err := r.copyQueue(); err != nil {
		return Summary{}, err
	}
	r.sum = Summary{Copied: copied, Resources: map[string]int{}, Items: map[string]int{}}
	return r.sum, r.verify()
}

type migrator struct {
	*Migration
	ctx   context.Context
	total int // changes in the source's log
	sum   Summary

	cataloged bool // the target's catalog is the source's
}

func (m *migrator) step(phase Phase, done, total int) {
	if m.Progress != nil {
		m.Progress(Step{phase, done, max(done, total)})
	}
}

// measure counts the source's log.
func (m *migrator) measure() error {
	for at := store.Position(""); ; {
		changes, next, err := m.From.Changes(m.ctx, at, 20*migrateBatch)
		if err != nil {
			return fmt.Errorf("changes of the source: %w", err)
		}
		if len(changes) == 0 {
			return nil
		}
		m.total, at = m.total+len(changes), next
	}
}

// sourceChanges gives the next changes of the source; none when it is read to its end.
func (m *migrator) sourceChanges(at store.Position) ([]store.Change, store.Position, error) {
	changes, next, err := m.From.Changes(m.ctx, at, migrateBatch)
	if err == nil && len(changes) == 0 && m.Quiet > 0 {
		select {
		case <-time.After(m.Quiet):
		case <-m.ctx.Done():
			return nil, at, m.ctx.Err()
		}
		changes, next, err = m.From.Changes(m.ctx, at, migrateBatch)
	}
	if err != nil {
		return nil, at, fmt.Errorf("changes of the source: %w", err)
	}
	return changes, next, nil
}

// copyLog walks both logs. Where the target's has entries they must be the
// source's; from its end on it is written.
func (m *migrator) copyLog() error {
	var from, to store.Position
	for done, atEnd := 0, false; ; {
		changes, next, err := m.sourceChanges(from)
		if err != nil {
			return err
		}
		if len(changes) == 0 {
			return m.nothingMore(to, atEnd)
		}
		versions, err := m.load(m.From, changes)
		if err != nil {
			return fmt.Errorf("read the source: %w", err)
		}
		there := 0
		if !atEnd {
			if there, to, err = m.alike(versions, to); err != nil {
				return err
			}
			atEnd = there < len(versions)
		}
		if there < len(versions) {
			if err := errors.Join(m.catalog(), m.ctx.Err()); err != nil {
				return err
			}
		}
		if err := m.write(versions[there:]); err != nil {
			return err
		}
		m.sum.Copied += len(versions) - there
		done, from = done+len(versions), next
		m.step(Copying, done, m.total)
	}
}

// alike compares the next entries of the target's log with versions, and says how many there are.
func (m *migrator) alike(versions []version, to store.Position) (int, store.Position, error) {
	changes, next, err := m.targetChanges(to, len(versions))
	if err != nil || len(changes) == 0 {
		return 0, to, err
	}
	there, err := m.load(m.To, changes)
	if err != nil {
		return 0, to, fmt.Errorf("read the target: %w", err)
	}
	for i := range there {
		if d := versions[i].differs(&there[i]); d != "" && !there[i].standsFor(&versions[i]) {
			return 0, to, fmt.Errorf("%w: %s: %s", ErrNotACopy, versions[i].place(), d)
		}
	}
	return len(there), next, nil
}

// targetChanges gives exactly n changes of the target, or as many as there are.
func (m *migrator) targetChanges(to store.Position, n int) ([]store.Change, store.Position, error) {
	var out []store.Change
	for len(out) < n {
		changes, next, err := m.To.Changes(m.ctx, to, n-len(out))
		if err != nil {
			return nil, to, fmt.Errorf("changes of the target: %w", err)
		}
		if len(changes) == 0 {
			break
		}
		out, to = append(out, changes...), next
	}
	return out, to, nil
}

// nothingMore: the target holds no more than the source.
func (m *migrator) nothingMore(to store.Position, atEnd bool) error {
	if atEnd {
		return nil
	}
	changes, _, err := m.targetChanges(to, 1)
	if err == nil && len(changes) > 0 {
		err = fmt.Errorf("%w: %s/%s version %d is in the target only", ErrNotACopy, changes[0].Type, changes[0].ID, changes[0].Version)
	}
	return err
}
