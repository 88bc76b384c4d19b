package pebblestore

import (
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"meridian/fhir/search"
	"meridian/server/store"
)

// Options of a store. Dir and Index are what a server sets; the zero value of
// the rest works.
type Options struct {
	// Dir is the directory of the database; made when missing.
	Dir string
	// FS holds Dir; nil is the operating system's.
	FS vfs.FS
	// Index gives the facts of a body. It must be a pure function: on an update
	// the store removes the keys that it gives for the old body. Nil: bodies
	// have no facts of their own, so only resources without facts can be updated.
	Index func(body []byte) (*search.Facts, error)
	// IndexVersion changes whenever Index gives other facts for some body. A
	// store that recorded another one rebuilds its keys at Open.
	IndexVersion string
	// AsIs leaves the keys as they are, whatever made them: for who reads resources and the log and neither searches nor writes.
	AsIs bool
	// Adopt is told of every catalog that begins to hold; from its return on Index gives the keys
	// of that one. Nil: the catalog is recorded, and Index is as it is.
	Adopt func(store.Catalog) error
	// Progress is called now and then during a rebuild, with the resources done.
	Progress func(done int)
	// Sort lists, by type, the parameters beside dates, numbers and quantities
	// that have forward values, so that sorting by them walks a list. The key
	// "*" is every type. Nil is DefaultSort. A change is a rebuild.
	Sort map[string][]string
	// Clock makes numbers, queue times and lease ends; nil is time.Now.
	Clock func() time.Time
	// Logger gets what the database reports; nil discards it.
	Logger *slog.Logger
	// CacheBytes is the cache of decompressed blocks; 0 is 128 MiB. It must
	// exceed MemTableBytes several times, which Pebble takes out of it.
	CacheBytes int64
	// MemTableBytes is the size of one of at most four memtables; 0 is 24 MiB.
	MemTableBytes int64
	// BodyCacheBytes is the cache of whole bodies for reads by id; 0 is 32 MiB, below 0 is none.
	BodyCacheBytes int64
	// DoneRetention is how long finished queue items are kept; 0 is for ever.
	DoneRetention time.Duration

	// tuning is set by tests, so that small stores take every path.
	tuning tuning
}

// tuning is where the executor changes its ways.
type tuning struct {
	maxCollect, maxMerge, maxForward, maxChain int // the limits of that name
	settleAfter                                int // units that a conjunction spends before it begins to settle
	firstTurn                                  int // units that a walk spends before anything is collected
	probeKeys, fewValues                       int // see rangeNode
	probeChain                                 int // units that a chain spends on its inner search at once
	sweepKeys, foldAfter                       int // see sweeper
	sweepPause                                 time.Duration
}

// measured is what the figures in docs/format/pebble.md were taken with.
func measured() tuning {
	return tuning{maxCollect: MaxCollect, maxMerge: MaxMerge, maxForward: MaxForward, maxChain: MaxChain,
		settleAfter: 400, firstTurn: 1000, probeKeys: 1000, fewValues: 50, probeChain: 300,
		sweepKeys: 2048, foldAfter: 256, sweepPause: 200 * time.Millisecond}
}

// Limits.
const (
	// MaxCollect is how many resource numbers one criterion of a search
	// collects (8 bytes each); beyond it candidates are checked one by one.
	MaxCollect = 2_000_000
	// MaxRead is how much one search reads, in units of one key (about 0.1 µs;
	// a body counts 100); beyond it is store.ErrTooCostly.
	MaxRead = 200_000_000
	// MaxReadUnless is MaxRead for the criterion of a conditional write, which is
	// evaluated while all other writers wait: about 0.2 s.
	MaxReadUnless = 2_000_000
	// MaxChain is how many matches of its inner search a chain collects; beyond it
	// candidates are checked one by one.
	MaxChain = 100_000
	// MaxMerge is how many lists an Or or a prefix merges; beyond it they are collected.
	MaxMerge = 200
	// MaxForward is how many different ranges of one parameter a forward value
	// holds; a resource with more is checked on its body.
	MaxForward = 8
	// MaxScopes is how many code systems, units and reference types get a number.
	MaxScopes = 4 << 20
	// MaxNote is the largest note of a queue item, in bytes.
	MaxNote = 1 << 20
)

// DefaultSort is what Options.Sort means when it is nil.
func DefaultSort() map[string][]string {
	return map[string][]string{
		"Patient":      {"family", "given", "name"},
		"Practitioner": {"family", "given", "name"},
		"Organization": {"name"},
		"Location":     {"name"},
	}
}

// withDefaults fills what is zero.
func (o Options) withDefaults() Options {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Index == nil {
		o.Index = func([]byte) (*search.Facts, error) { return &search.Facts{}, nil }
	}
	if o.Adopt == nil {
		o.Adopt = func(store.Catalog) error { return nil }
	}
	if o.Sort == nil {
		o.Sort = DefaultSort()
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.tuning == (tuning{}) {
		o.tuning = measured()
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = 128 << 20
	}
	if o.MemTableBytes == 0 {
		o.MemTableBytes = 24 << 20
	}
	if o.BodyCacheBytes == 0 {
		o.BodyCacheBytes = 32 << 20
	}
	return o
}

// declared says whether a parameter of a type is in Sort.
func (o *Options) declared(typ, param string) bool {
	return slices.Contains(o.Sort[typ], param) || slices.Contains(o.Sort["*"], param)
}

// keysVersion is what determines the keys of a body: the indexer and Sort.
func (o *Options) keysVersion() string {
	var parts []string
	for typ, params := range o.Sort {
		for _, p := range params {
			parts = append(parts, typ+"."+p)
		}
	}
	slices.Sort(parts)
	return o.IndexVersion + " sort " + strings.Join(slices.Compact(parts), ",")
}
