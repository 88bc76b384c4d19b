package store

import (
	"context"
	"time"
)

// Queue is durable work: messages, subscriptions, exports. An item is never
// lost: it ends in Done or stays visible.
//
//	pending ──Lease──▶ leased ──Done──▶ done (kept until its retention is over)
//	   ▲                 │ ├──Retry──▶ pending, not before a time
//	   └──lease expired──┘ └──Park───▶ parked ──Requeue──▶ pending
//	                any but done ──Cancel──▶ done
type Queue interface {
	// Append stores items durably, all or none, in order, and gives their ids. Where an
	// item's Key is already known in its topic nothing is stored for it: the
	// id of the first is given back and Existing is true.
	Append(ctx context.Context, items []NewItem) ([]Appended, error)
	// Lease gives up to n pending items of a topic that are due, oldest first,
	// and holds them for d. Expired leases are pending again.
	Lease(ctx context.Context, topic string, n int, d time.Duration) ([]Item, error)
	// Finish moves leased items to their next states, all in one commit.
	Finish(ctx context.Context, results []Result) error
	// Extend makes the lease of a running item end d from now, and replaces its
	// note unless that is nil; ErrLease when lease is not the current one. It may
	// return before the note is on disk.
	Extend(ctx context.Context, id, lease string, d time.Duration, note []byte) error
	// Cancel ends a pending, leased or parked item as Done with this label. Its
	// lease is void: whoever works on it is told so by Extend and Finish. What is
	// done stays as it is; ErrNotFound.
	Cancel(ctx context.Context, id, label string) error
	// Remove forgets done and parked items and their keys; others, and unknown ones, are left.
	Remove(ctx context.Context, ids []string) error
	// Requeue makes parked or done items pending again.
	Requeue(ctx context.Context, ids []string) error
	// Get gives one item; ErrNotFound.
	Get(ctx context.Context, id string) (Item, error)
	// List gives items of a topic in a state ("" is any), newest first, after
	// an id ("" from the newest), without Body.
	List(ctx context.Context, p ListParams) ([]Item, error)
	// Counts gives the number of items by state.
	Counts(ctx context.Context, topic string) (map[State]int, error)
	// Topics gives the names of the topics that have items, sorted.
	Topics(ctx context.Context) ([]string, error)
	// Restore stores items as they stood in another queue, in the order in which they were
	// appended there: topic, key, state, label, times (to the millisecond at least), attempts, body
	// and note are kept; what was leased is pending. Ids are this queue's own: they tell the time of Appended, and within a topic
	// they rise in the order of items, above those that stand. An item whose Key is known in its topic is left
	// out. A crash leaves the first ones.
	Restore(ctx context.Context, items []Item) error
	// Wait returns when an item may have become due, or ctx ends.
	Wait(ctx context.Context, topic string) error
}

// State of an item.
type State string

const (
	Pending State = "pending"
	Leased  State = "leased"
	Done    State = "done"
	Parked  State = "parked"
)

// NewItem is what a producer appends.
type NewItem struct {
	Topic string
	Key   string // unique within the topic; empty: always new
	Body  []byte // raw bytes, kept as they are
	Note  []byte // small envelope, JSON; replaced by Finish
}

// Appended is the answer for one item.
type Appended struct {
	ID       string // time-ordered
	Existing bool
}

// Item as stored.
type Item struct {
	ID       string
	Topic    string
	Key      string
	State    State     // set by the store
	Label    string    // outcome or reason, set by Finish: "committed", "duplicate", "stale", "map.unmapped" …; listable
	Appended time.Time // set at Append
	Due      time.Time // not leased before; set by Append and Retry
	Attempts int       // leases so far
	Lease    string    // token of the current lease
	Body     []byte
	Note     []byte
}

// Result is how a leased item goes on.
type Result struct {
	ID    string
	Lease string    // the token that Lease gave; ErrLease when it is not the current one
	State State     // Done, Parked, or Pending for a retry
	Label string    // see Item.Label
	Due   time.Time // for a retry
	Note  []byte    // replaces the note; nil keeps it
}

// ListParams selects items.
type ListParams struct {
	Topic string
	State State
	Label string
	After string
	Limit int
}
