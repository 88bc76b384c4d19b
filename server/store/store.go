// Package store is the contract of both stores, embedded (pebblestore) and
// MongoDB (mongostore), and their errors.
//
// Contract: the store knows bytes and search.Keys, never FHIR meaning. A body
// is the stored form of codec.AppendStored: minified, resourceType, id and
// meta.versionId, meta.lastUpdated first. Everything that Commit acknowledged
// is on disk. Returned bytes are the caller's to read until the process ends
// (they are never reused) and must not be changed.
//
// A resource has a number: time-ordered, given at its first creation, the same
// for all its versions and after an undelete. It orders searches without a
// sort and ends every cursor.
package store

import (
	"context"
	"slices"
	"strings"
	"time"

	"meridian/fhir/search"
)

// Key names a resource.
type Key struct{ Type, ID string }

// Resource is one version of one resource. For a deleted version Body is nil.
type Resource struct {
	Key
	Version     uint64
	LastUpdated time.Time // as in the body, millisecond precision, UTC
	Deleted     bool
	Method      Method // of the interaction that made this version
	Body        []byte
	Number      uint64
}

// Method is the HTTP method that made a version, as Bundle.entry.request.method shows it in a history.
type Method uint8

const (
	POST Method = iota + 1
	PUT
	PATCH
	DELETE
)

// Expect is the precondition on the version of the resource that a write replaces.
type Expect struct {
	kind    uint8
	version uint64
}

var (
	// Any version, or none.
	Any = Expect{}
	// Absent: no such resource, or a deleted one.
	Absent = Expect{kind: 1}
)

// Version expects the current version to be v (a deleted version counts).
func Version(v uint64) Expect { return Expect{kind: 2, version: v} }

// IsAny, IsAbsent and WantVersion are how a store reads an Expect.
func (e Expect) IsAny() bool                 { return e.kind == 0 }
func (e Expect) IsAbsent() bool              { return e.kind == 1 }
func (e Expect) WantVersion() (uint64, bool) { return e.version, e.kind == 2 }

// Write is one resource to be written. The caller has put version and time into Body.
type Write struct {
	Key
	Version     uint64 // the version this write makes: the current one plus one, 1 where there is none; else a *ConflictError (a lost race), whatever Expect is
	LastUpdated time.Time
	Method      Method
	Body        []byte        // nil deletes
	Facts       *search.Facts // of Body; nil when deleting
	Expect      Expect
	// Purge, with a nil Body, removes the versions before this one for good: ReadVersion of
	// them is ErrNotFound, and histories show this deletion as the first version that there
	// is; Changes goes on to name them. Where there are no transactions they go before the write: it may
	// lose a race and they are gone all the same.
	Purge bool
	// New says that the id was made for this write at random (a UUID), so that nothing
	// can stand there: a store need not look.
	New bool
	// Unless, when not nil, must match no resource other than this one at the
	// moment of the commit (If-None-Exist, conditional update). UnlessKey is
	// the same for equal criteria: the unique key of two racing writers.
	Unless    *search.Plan
	UnlessKey string
}

// CommitParams: all writes happen or none. A failed precondition gives a
// *ConflictError and nothing is written. Writes of one commit have different
// Keys.
type CommitParams struct {
	Writes []Write
	// Requires lists resources that must exist at a version unchanged since
	// they were read (a conditional reference that was resolved); empty mostly.
	Requires []Require
	// NoMatch lists searches that must find nothing at the moment of the commit but
	// what it writes itself: that nobody refers to what is deleted. On a store without
	// transactions it is looked at just before the write.
	NoMatch []*search.Plan
	// Receipt, when not nil, is kept with the writes, in the same commit; it may come without
	// any. When one with its Key stands already, a *ConflictError (Receipt) says so and nothing is written.
	Receipt *Receipt
}

// Require is a read that a commit depends on. Version 0 requires only that it
// exists and is not deleted; a delete in the same instant is then seen for sure when it has a NoMatch.
type Require struct {
	Key
	Version uint64
}

// Receipt is what was answered to a request, kept for its repeats. It is there
// exactly if what was committed with it is.
type Receipt struct {
	Key    string // at most MaxReceiptKey bytes
	Hash   string // of the request, compared by the caller
	Answer []byte
	Until  time.Time // from then on it is not there
}

// Store is what server/interaction and the jobs use. Safe for concurrent use.
type Store interface {
	// Read gives the current version; ErrNotFound when there never was one;
	// a deleted one comes back with Deleted set.
	Read(ctx context.Context, key Key) (Resource, error)
	// ReadMany gives the current versions in the order of keys; what is not
	// there, or deleted, has a nil Body. At most MaxReadMany keys.
	ReadMany(ctx context.Context, keys []Key) ([]Resource, error)
	// ReadVersion gives one version; ErrNotFound when there is none.
	ReadVersion(ctx context.Context, key Key, version uint64) (Resource, error)
	// Search gives at most plan.Limit rows after plan.After in the plan's order.
	Search(ctx context.Context, plan *search.Plan) (Page, error)
	// Count gives how many resources match, counting no further than limit (0: no limit).
	Count(ctx context.Context, plan *search.Plan, limit int) (Total, error)
	// History gives versions, newest first.
	History(ctx context.Context, p HistoryParams) (HistoryPage, error)
	// Changes gives what was committed after a position, in order, at most limit;
	// a reader that goes on from Next misses none.
	Changes(ctx context.Context, after Position, limit int) ([]Change, Position, error)
	// Commit writes all or nothing. It returns when the commit is on disk.
	Commit(ctx context.Context, p CommitParams) error
	// Transactions says whether Commit takes more than one write atomically.
	// Where it does not, Commit with several writes fails with ErrNoTransactions.
	Transactions() bool
	// CommitOrdered writes one after the other, in order, stopping at the first
	// failure; a crash leaves a prefix. With transactions it is Commit.
	CommitOrdered(ctx context.Context, p CommitParams) error
	// Receipt gives the receipt with this key; ErrNotFound when there is none, or its time is over.
	Receipt(ctx context.Context, key string) (Receipt, error)
	// Receipts gives at most limit receipts that are there, in the order of their keys, after a key ("" from the first).
	Receipts(ctx context.Context, after string, limit int) ([]Receipt, error)
	// Queue is the durable work queue in the same store.
	Queue() Queue
	// Reindexer keeps the keys of resources true while what the index gives changes.
	Reindexer
	// Close finishes what is in flight and syncs.
	Close() error
}

// Limits of the contract.
const (
	MaxReadMany = 10_000
	MaxPage     = 10_000 // plan.Limit
	MaxCommit   = 100_000
	// MaxReceiptKey is the longest key of a receipt, in bytes.
	MaxReceiptKey = 512
)

// Page is the answer of Search.
type Page struct {
	Rows []Row
	// More says that rows follow the last one.
	More bool
	// Explain tells what was read, filled when the context asks (WithExplain).
	Explain *Explain
}

// Row is one match.
type Row struct {
	Resource
	// At is the row's place in the plan's order, for the next page's After.
	At search.Cursor
}

// Total is a count; Exact is false when the limit cut it short.
type Total struct {
	N     int
	Exact bool
}

// HistoryParams: of an instance (ID set), of a type (ID empty), of all (both empty).
type HistoryParams struct {
	Type, ID string
	Since    time.Time // zero: from the beginning; inclusive
	Before   time.Time // zero: until now; exclusive
	After    Position  // zero: the newest; else resume below this position
	Limit    int
}

// HistoryPage is newest first.
type HistoryPage struct {
	Rows  []Resource
	Next  Position // zero when there is no more
	Total int      // of an instance's history; -1 where counting would cost a scan
}

// Position is an opaque place in the change log. The zero Position is before the first change.
type Position string

// Change is one committed version, without its body.
type Change struct {
	Key
	Version  uint64
	Deleted  bool
	At       Position
	Recorded time.Time
}

// Explain is what an execution did, for people.
type Explain struct {
	Plan     string // the tree, one leaf a line, no values of patients
	Counted  bool   // Plan says of each leaf how many keys it has and how many resources match
	Strategy string // "leapfrog", "walk date", "collect and sort", "index {k,n}", …
	Read     int    // keys read
	Checked  int    // candidates looked at
	Found    int
}

type explainKey struct{}

// WithExplain asks Search to fill Page.Explain.
func WithExplain(ctx context.Context) context.Context {
	return context.WithValue(ctx, explainKey{}, true)
}

// WantsExplain is how a store asks.
func WantsExplain(ctx context.Context) bool { v, _ := ctx.Value(explainKey{}).(bool); return v }

// Tally sums up what the searches and counts under one context did, for a log:
// unlike Explain it costs nothing to fill. Not for concurrent use.
type Tally struct {
	strategies []string
	read       int
	checked    int
}

// Add is called by a store once for each search or count.
func (t *Tally) Add(strategy string, read, checked int) {
	if t == nil {
		return
	}
	t.read, t.checked = t.read+read, t.checked+checked
	if strategy != "" && !slices.Contains(t.strategies, strategy) && len(t.strategies) < maxStrategies {
		t.strategies = append(t.strategies, strategy)
	}
}

// maxStrategies is how many different ones a Tally names.
const maxStrategies = 8

// Strategy names the ways that were taken, Read the keys that were read and
// Checked the candidates that were looked at.
func (t *Tally) Strategy() string { return strings.Join(t.strategies, "; ") }
func (t *Tally) Read() int        { return t.read }
func (t *Tally) Checked() int     { return t.checked }

type tallyKey struct{}

// WithTally asks Search and Count to add to t.
func WithTally(ctx context.Context, t *Tally) context.Context {
	return context.WithValue(ctx, tallyKey{}, t)
}

// TallyOf is how a store finds it; nil where none is asked for, which may be added to.
func TallyOf(ctx context.Context) *Tally { t, _ := ctx.Value(tallyKey{}).(*Tally); return t }
