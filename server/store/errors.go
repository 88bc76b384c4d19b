package store

import (
	"errors"
	"fmt"
)

var (
	// ErrNotFound: there is no such resource, version, item.
	ErrNotFound = errors.New("not found")
	// ErrNoTransactions: this deployment cannot commit several writes at once.
	ErrNoTransactions = errors.New("the store has no transactions: a MongoDB replica set or sharded cluster, or the embedded store, is needed")
	// ErrClosed: the store is closed or closing.
	ErrClosed = errors.New("store is closed")
	// ErrStarting: the store is still being opened.
	ErrStarting = errors.New("store is starting")
	// ErrTooCostly: the search would pass a named limit.
	ErrTooCostly = errors.New("search is too costly")
	// ErrTooLarge: a resource or commit is larger than the store takes.
	ErrTooLarge = errors.New("too large for the store")
	// ErrCatalog: another catalog stands than the caller knows.
	ErrCatalog = errors.New("the catalog of search parameters was changed by another")
	// ErrLease: the item is not leased by the caller any more.
	ErrLease = errors.New("lease lost")
)

// ConflictError is a precondition that failed; nothing was written.
type ConflictError struct {
	Index   int // of the write (or of Requires or NoMatch, when Require or NoMatch is set)
	Require bool
	NoMatch bool
	// Receipt: one with the commit's key stands already; no other field is set.
	Receipt bool
	// Stale: the facts of the write are of a lower generation than the catalog asks for; the caller indexes the body anew.
	Stale   bool
	Key     Key
	Current uint64 // version that stands there; 0 when there is none
	// Match is the resource that Unless or NoMatch found, when that failed.
	Match *Key
}

func (e *ConflictError) Error() string {
	if e.Receipt {
		return "a receipt with this key stands already"
	}
	if e.Stale {
		return fmt.Sprintf("write %d: the facts are of an older catalog of search parameters", e.Index)
	}
	if e.NoMatch {
		return fmt.Sprintf("search %d that must find nothing found a %s", e.Index, e.Match.Type)
	}
	if e.Match != nil {
		return fmt.Sprintf("write %d: another resource of type %s matches the criterion", e.Index, e.Match.Type)
	}
	return fmt.Sprintf("write %d: %s/%s is at version %d", e.Index, e.Key.Type, e.Key.ID, e.Current)
}
