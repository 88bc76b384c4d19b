// Package interaction holds the REST interactions of FHIR without HTTP: read,
// vread, create, update, patch, delete, history, search, capabilities, batch and
// transaction, a file each.
//
// Data shape: requests are Params structs that hold what a URL, its headers and
// its body say (`Prefer` and ETags as the client wrote them); answers are
// Result structs with the stored version and what happened to it. Whole
// bundles (searchset, history, batch-response, transaction-response) are
// appended to a buffer of the caller as minified JSON, stored bodies byte for byte:
//
//	{"resourceType":"Bundle","type":"searchset","total":1,"link":[…],"entry":[
//	 {"fullUrl":"http://…/Patient/1","resource":<stored bytes>,"search":{"mode":"match"}}]}
//
// Writing: codec.Parse → the stored form with id, version and time →
// search.Index → store.Commit, with the preconditions inside the commit. A
// version conflict that the client did not ask for is tried again, at most
// Limits.ConflictRetries times.
//
// Errors that a client may see are *issue.Error; store errors are translated
// (errors.go); all others are internal. Status codes are derived by the caller
// (server/rest/status.go), for bundle entries through the function it passes.
//
// A Service is safe for concurrent use. Bodies in results belong to the store:
// they may be kept, and must not be changed.
//
// https://hl7.org/fhir/R4/http.html
package interaction

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"meridian/fhir/codec"
	"meridian/fhir/patch"
	"meridian/fhir/schema"
	"meridian/fhir/search"
	"meridian/server/store"
)

// Options of a Service. Store and Registry are required, all else has a default.
type Options struct {
	Store    store.Store
	Registry *search.Registry
	// BaseURL is the address of the service as clients know it, without a
	// trailing slash; it is written into fullUrl and links. Default http://127.0.0.1:8080/fhir.
	BaseURL string
	// Clock gives meta.lastUpdated (cut to milliseconds). Default time.Now.
	Clock func() time.Time
	// NewID gives the ids of created resources, unique and of the form
	// [A-Za-z0-9\-\.]{1,64}. Default UUID version 7, which keeps new resources together on disk.
	NewID func() string
	// Zone in which dates without one are read, shown by the CapabilityStatement. Default Asia/Shanghai, else +08:00.
	Zone *time.Location
	// CursorKey is the secret, of any length, that authenticates cursors. All servers of
	// one deployment need the same. Default: one made at random, so that links end with the process.
	CursorKey []byte
	// Version of the software, shown by the CapabilityStatement. Default "dev".
	Version string
	// Started is the date of the CapabilityStatement. Default: the Clock when the Service is made.
	Started time.Time
	Limits  Limits
	// SlowSearch is how long a search may take before it is logged, in FHIR's
	// terms and without values; 0 logs none.
	SlowSearch time.Duration
	// Logger hears of slow searches. Default slog.Default.
	Logger *slog.Logger
	// Operations are those that `$name` calls. Default none.
	Operations []Operation
	// Reindexing has RunReindex run as a job for a generation of the catalog; a second call for
	// the same is none. Nil: nobody indexes, and added search parameters stay pending.
	Reindexing func(ctx context.Context, generation uint64) error
	// Integrity is what is done about references that name nothing. Default: nothing.
	Integrity Policies
	// Validation is what is done about errors that Judge finds in what is written. Default: nothing is looked at.
	Validation Policies
	// Judge validates; needed where Validation is not off.
	Judge Judge
	// Terminology that the Registry asks. Default: one that knows the official definitions and what is stored.
	Terminology *Terminology
}

// Limits are the bounds of the interactions; 0 means the default.
type Limits struct {
	// PageSize is `_count` when the client does not say. Default 20 resources.
	PageSize int
	// MaxPageSize is the largest `_count`; a larger one is refused, or by a lenient search cut to it, as the self link says. Default 1,000.
	MaxPageSize int
	// MaxIncludes is how many resources the includes of a page add to one answer;
	// the rest of them follows by its next link. Default 2,000.
	MaxIncludes int
	// MaxIterated is how many resources :iterate adds to one answer beyond what
	// the matches include. When it is reached, a warning entry says so. Default 10,000.
	MaxIterated int
	// EstimateTotal is how far `_total=estimate` counts. Default 10,000 resources.
	EstimateTotal int
	// ConflictRetries is how often a write is resolved again after another
	// writer was first. Default 100.
	ConflictRetries int
	// Transactions is how many run at once; others wait. Default 8.
	Transactions int
	// ConditionalDelete is how many resources one conditional delete may delete; 1, the
	// default, refuses several. At most 10,000.
	ConditionalDelete int
	// Referrers is how many resources are named that forbid a delete. Default 10.
	Referrers int
	// ReceiptTime is how long the answer to a request with an Idempotency-Key is kept. Default 24 hours.
	ReceiptTime time.Duration
	// OnceWait is how long a repeat waits for the first request to end. Default 10 seconds.
	OnceWait time.Duration
	// MaxEntries in one batch or transaction. Default store.MaxCommit (100,000).
	MaxEntries int
	// BodyBytes is the largest resource or bundle. Default 64 MiB.
	BodyBytes int
	// BatchParallel is how many entries of a batch run at once. Default 16.
	BatchParallel int
	// PatchOperations in one patch. Default patch.DefaultMaxOperations (1,000).
	PatchOperations int
}

// Service carries out interactions on one store.
type Service struct {
	store       store.Store
	registry    *search.Registry
	base        string
	clock       func() time.Time
	newID       func() string
	randomID    bool // newID gives UUIDs
	zone        *time.Location
	version     string
	started     time.Time
	limits      Limits
	slow        time.Duration
	log         *slog.Logger
	cursors     sealer
	operations  *operations
	policies    Policies
	validate    Policies
	judge       Judge
	terminology *Terminology
	referring   func() map[string][]referringParam // by type referred to
	inFlight    inFlight
	slots       chan struct{} // one for each transaction that runs
	index       func(body []byte) (*search.Facts, error)
	bodies      codec.Pool // parsers for what clients send
	stored      codec.Pool // parsers for stored forms, which are a little larger

	reindexing   func(ctx context.Context, generation uint64) error
	capabilities capabilityCache
	canonicals   []string // types that have a canonical URL
}

// maxMeta is what the stored form adds to a body at most, in bytes.
const maxMeta = 1 << 10

// New checks the options and gives a Service. It does not touch the store.
func New(o Options) (*Service, error) {
	if o.Store == nil || o.Registry == nil {
		return nil, errors.New("interaction: Store and Registry are required")
	}
	s := &Service{
		store: o.Store, registry: o.Registry, base: strings.TrimSuffix(o.BaseURL, "/"),
		clock: o.Clock, newID: o.NewID, zone: o.Zone, version: o.Version, started: o.Started,
		limits: o.Limits.withDefaults(),
	}
	if s.base == "" {
		s.base = "http://127.0.0.1:8080/fhir"
	}
	if s.clock == nil {
		s.clock = time.Now
	}
	if s.newID == nil {
		s.newID, s.randomID = func() string { return uuid.Must(uuid.NewV7()).String() }, true
	}
	if s.zone == nil {
		s.zone = defaultZone()
	}
	if s.version == "" {
		s.version = "dev"
	}
	if s.slow, s.log = o.SlowSearch, o.Logger; s.log == nil {
		s.log = slog.Default()
	}
	if s.started.IsZero() {
		s.started = s.clock()
	}
	var err error
	if s.cursors, err = newSealer(o.CursorKey); err != nil {
		return nil, err
	}
	if s.operations, err = newOperations(o.Operations); err != nil {
		return nil, err
	}
	s.policies, s.validate, s.judge = o.Integrity, o.Validation, o.Judge
	if s.judge == nil && !s.validate.off() {
		return nil, errors.New("interaction: Validation needs a Judge")
	}
	if s.terminology = o.Terminology; s.terminology == nil {
		s.terminology = NewTerminology(TerminologyOptions{})
	}
	s.terminology.stored.service.Store(s)
	s.store = notingStore{o.Store, s}
	s.referring = sync.OnceValue(s.findReferring)
	s.slots = make(chan struct{}, s.limits.Transactions)
	s.bodies.Options.MaxBytes = s.limits.BodyBytes
	s.stored.Options.MaxBytes = s.limits.BodyBytes + maxMeta
	s.index = Indexer(s.registry)
	s.canonicals = canonicalTypes()
	s.reindexing = o.Reindexing
	return s, nil
}

func (l Limits) withDefaults() Limits {
	if l.ReceiptTime <= 0 {
		l.ReceiptTime = 24 * time.Hour
	}
	if l.OnceWait <= 0 {
		l.OnceWait = 10 * time.Second
	}
	or := func(v *int, def int) {
		if *v <= 0 {
			*v = def
		}
	}
	or(&l.PageSize, 20)
	or(&l.MaxPageSize, 1000)
	or(&l.MaxIncludes, 2000)
	or(&l.MaxIterated, 10_000)
	or(&l.EstimateTotal, 10_000)
	or(&l.ConflictRetries, 100)
	or(&l.Transactions, 8)
	or(&l.ConditionalDelete, 1)
	l.ConditionalDelete = min(l.ConditionalDelete, store.MaxPage-1)
	or(&l.Referrers, 10)
	or(&l.MaxEntries, store.MaxCommit)
	or(&l.BodyBytes, 64<<20)
	or(&l.BatchParallel, 16)
	or(&l.PatchOperations, patch.DefaultMaxOperations)
	l.MaxPageSize = min(l.MaxPageSize, store.MaxPage-1)
	l.MaxIncludes = min(l.MaxIncludes, store.MaxReadMany, store.MaxPage)
	l.MaxIterated = min(l.MaxIterated, store.MaxReadMany, store.MaxPage)
	l.MaxEntries = min(l.MaxEntries, store.MaxCommit)
	l.PageSize = min(l.PageSize, l.MaxPageSize)
	return l
}

func defaultZone() *time.Location {
	if z, err := time.LoadLocation("Asia/Shanghai"); err == nil {
		return z
	}
	return time.FixedZone("+08:00", 8*3600)
}

// BaseURL gives the service's address without a trailing slash.
func (s *Service) BaseURL() string { return s.base }

// Transactions says whether bundles of type transaction are taken.
func (s *Service) Transactions() bool { return s.store.Transactions() }

// now is the time of a write, as it can be written in an instant.
func (s *Service) now() time.Time { return s.clock().UTC().Truncate(time.Millisecond) }

// IsResourceType says whether typ is a concrete resource type of R4.
func IsResourceType(typ string) bool {
	t := schema.ByName(typ)
	return t != nil && t.Kind == schema.Resource && !t.Abstract
}

// MaxID is the longest logical id. https://hl7.org/fhir/R4/datatypes.html#id
const MaxID = 64

// ValidID says whether id can be a logical id.
func ValidID(id string) bool {
	if id == "" || len(id) > MaxID {
		return false
	}
	for i := 0; i < len(id); i++ {
		switch c := id[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.':
		default:
			return false
		}
	}
	return true
}
