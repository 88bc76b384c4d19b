// Package mongostore keeps resources in MongoDB.
//
// A resource is one document in the collection named like its type; the
// sibling collection history has one document per version, overflow the
// postings past a limit, queue the work items, meta what the processes agree
// on. docs/format/mongodb.md shows each with real rows.
//
//	db.Observation  {_id: "Observation/o1", v: 3, n: …, p: …, at: ISODate, method: "PUT", body: "{…}",
//	                 k: ["code=718-7", "code=http://loinc.org|718-7"], r: [{p: "date", lo: "…", hi: "…"}],
//	                 f: {date: {lo: "…", hi: "…"}}, u: ["…"], iv: "…"}
//	db.history      {_id: "Observation/o1/3", t: "Observation", r: "Observation/o1", v: 3, p: …, at, method, body: "{…}"}
//
// Invariants. The head document is the truth about the current version and is
// replaced by compare-and-set on {_id, v}. A history entry is written before
// the head of its version: one that is ahead of its head (or has none) is not
// committed, and readers ignore it; the next writer takes it over. The entry
// of the current version is a log record; its body is moved there by the write
// that supersedes it, before that write's own compare-and-set. So every entry
// below the head is complete, and no body is stored twice.
//
// A Store is safe for concurrent use, by any number of processes over one
// database; it keeps no state that another process must know. Returned bytes
// are copies.
package mongostore

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"meridian/fhir/search"
	"meridian/server/store"
)

// Options of a store; URI and Index are required.
type Options struct {
	// URI is the connection string, mongodb:// or mongodb+srv://.
	URI string
	// Database is "meridian" when empty.
	Database string
	// Index gives the facts of a stored body; pure. Used to rebuild and to check.
	Index func(body []byte) (*search.Facts, error)
	// IndexVersion changes whenever Index does; a database that was indexed by
	// another one is rebuilt before Open returns.
	IndexVersion string
	// AsIs leaves the index as it is, whatever made it: for who reads resources and the log and neither searches nor writes.
	AsIs bool
	// Adopt is told of every catalog that begins to hold in this process; from its return on
	// Index gives the keys of that one. Nil: it is recorded, and Index is as it is.
	Adopt func(store.Catalog) error
	// CatalogAge is how old what this process knows of the catalog may be when it writes: so long may another process take
	// to see a search parameter that was added. DefaultCatalogAge when 0.
	CatalogAge time.Duration
	// Clock is time.Now when nil.
	Clock func() time.Time
	// Rand is crypto/rand when nil. Names of processes and leases come from it.
	Rand io.Reader
	// Transactions is "" (ask the server), "on" (it is known to have them) or "off".
	Transactions string
	// MaxTransactions is how many transactions this process has open at once; DefaultMaxTransactions when 0.
	MaxTransactions int
	// Settle is how long Changes waits for other processes to write what they
	// have numbered: more than the difference of their clocks and the time of
	// one insert. DefaultSettle when 0; negative: none, for a single process.
	Settle time.Duration
	// DoneRetention is how long finished queue items are kept after they were appended; 0 is for ever.
	DoneRetention time.Duration
	// Progress hears how far a rebuild is, in resources; may be nil.
	Progress func(done, total int)
	// Logger is slog.Default when nil. It is told places only.
	Logger *slog.Logger
}

// Limits and their defaults.
const (
	// DefaultMaxTransactions open at once: with 24 at a time and a small cache most of them abort each other.
	DefaultMaxTransactions = 4
	// DefaultSettle of Changes.
	DefaultSettle = 2 * time.Second
	// DefaultCatalogAge is how long a process may take to see another catalog.
	DefaultCatalogAge = 2 * time.Second
	// Abandon is the age at which a history entry ahead of its head is taken to be left by a crash.
	Abandon = 5 * time.Second
	// MaxDocument is the largest document written, in bytes; MongoDB's own limit is 16 MiB.
	MaxDocument = 15 << 20
	// MaxPostings per document; what is over goes to overflow documents of as many.
	MaxPostings = 2_000
	// MaxResourcePostings of one resource in all.
	MaxResourcePostings = 200_000
	// MaxIndexes of one collection, by MongoDB's rules.
	MaxIndexes = 64
	// MaxChain is how many resources one step of a chain may find to be answered
	// from that side; above it the candidates of the outer side are asked about.
	MaxChain = 10_000
	// MaxOverflow is how many resources with overflow documents one leaf of a search may find.
	MaxOverflow = 1_000
	// MaxAttempts of one commit before it gives up with the last error.
	MaxAttempts = 64
)

// Collections beside those of the resource types.
const (
	historyName  = "history"
	overflowName = "overflow"
	queueName    = "queue"
	batchName    = "batch"
	metaName     = "meta"
	guardName    = "unless"
	receiptName  = "receipt"
	holdName     = "hold"
)

// Store is a store.Store over one MongoDB database.
type Store struct {
	opts   Options
	now    func() time.Time
	log    *slog.Logger
	owner  string // random name of this process
	client *mongo.Client
	db     *mongo.Database
	// majority reads only what a majority has; nil on a standalone server, where db does.
	majority *mongo.Database
	ids      *numbers
	queue    *queue
	indexes  indexes
	catalog  catalog
	closed   atomic.Bool
	flight   sync.WaitGroup

	maxChain     int // MaxChain; less in tests
	transactions bool
	guarded      bool          // criteria are guarded by documents, not by the unique index: behind mongos
	slots        chan struct{} // one for each open transaction
	swept        atomic.Int64  // when receipts were last swept, in Unix seconds
	sessions     func() (session, error)
}

var _ store.Store = (*Store)(nil)

// Open connects, probes for transactions, makes the indexes and rebuilds the
// postings when the database was indexed by another IndexVersion. It returns
// when searches can be served.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Index == nil {
		return nil, errors.New("mongostore: Options.Index is required")
	}
	s := &Store{opts: o, now: o.Clock, log: o.Logger, maxChain: MaxChain, catalog: newCatalog()}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.opts.Rand == nil {
		s.opts.Rand = rand.Reader
	}
	if s.opts.Settle == 0 {
		s.opts.Settle = DefaultSettle
	}
	if s.opts.CatalogAge <= 0 {
		s.opts.CatalogAge = DefaultCatalogAge
	}
	if s.opts.Adopt == nil {
		s.opts.Adopt = func(store.Catalog) error { return nil }
	}
	owner, err := s.token()
	if err != nil {
		return nil, err
	}
	s.owner = owner
	if err := s.connect(ctx); err != nil {
		return nil, err
	}
	if err := s.prepare(ctx); err != nil {
		_ = s.client.Disconnect(context.WithoutCancel(ctx)) // the first error is the one to tell
		return nil, err
	}
	return s, nil
}

// connect dials and asks the server what it is.
func (s *Store) connect(ctx context.Context) error {
	journaled := true
	co := options.Client().ApplyURI(s.opts.URI).
		SetAppName("meridian").
		SetReadPreference(readpref.Primary()).
		SetWriteConcern(&writeconcern.WriteConcern{W: "majority", Journal: &journaled})
	client, err := mongo.Connect(co)
	if err != nil {
		return fmt.Errorf("mongostore: connect: %w", err)
	}
	s.client = client
	name := s.opts.Database
	if name == "" {
		name = "meridian"
	}
	what, err := probe(ctx, client.Database(name))
	if err != nil {
		_ = client.Disconnect(context.WithoutCancel(ctx)) // the first error is the one to tell
		return fmt.Errorf("mongostore: ask the server what it is: %w", err)
	}
	s.db = client.Database(name, options.Database().SetReadConcern(readconcern.Local()))
	if what.clustered() {
		s.majority = client.Database(name, options.Database().SetReadConcern(readconcern.Majority()))
	}
	switch s.opts.Transactions {
	case "on":
		s.transactions = true
	case "off":
	case "":
		s.transactions = what.clustered()
	default:
		return fmt.Errorf("mongostore: Options.Transactions is %q, want on, off or nothing", s.opts.Transactions)
	}
	s.guarded = what.sharded() && s.transactions
	n := s.opts.MaxTransactions
	if n <= 0 {
		n = DefaultMaxTransactions
	}
	s.slots = make(chan struct{}, n)
	s.sessions = s.newSession
	return nil
}

// prepare makes what every process needs before it serves.
func (s *Store) prepare(ctx context.Context) error {
	s.ids = newNumbers(s.now, s.db.Collection(metaName), s.owner, s.opts.Rand)
	s.queue = newQueue(s)
	for _, d := range fixedIndexes {
		if err := s.indexes.ensure(ctx, s.db, d.collection, d.list); err != nil {
			return err
		}
	}
	if err := s.makeHold(ctx); err != nil {
		return err
	}
	if _, err := s.catalogNow(ctx, 0); err != nil {
		return err
	}
	if err := s.rebuild(ctx); err != nil {
		return err
	}
	return s.queue.recover(ctx)
}

// hello is the part of the server's answer that matters here.
type hello struct {
	SetName string `bson:"setName"`
	Msg     string `bson:"msg"`
}

// clustered: a replica set or a sharded cluster, which have transactions.
func (h hello) clustered() bool { return h.SetName != "" || h.sharded() }

// sharded: the server is mongos.
func (h hello) sharded() bool { return h.Msg == "isdbgrid" }

func probe(ctx context.Context, db *mongo.Database) (hello, error) {
	var h hello
	err := db.RunCommand(ctx, bson.D{{Key: "hello", Value: 1}}).Decode(&h)
	return h, err
}

// token is 16 random bytes in hexadecimal.
func (s *Store) token() (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(s.opts.Rand, b[:]); err != nil {
		return "", fmt.Errorf("mongostore: random bytes: %w", err)
	}
	return hex.EncodeToString(b[:]), nil
}

// Transactions says whether several writes can be committed at once.
func (s *Store) Transactions() bool { return s.transactions }

// Queue is the work queue in the same database.
func (s *Store) Queue() store.Queue { return s.queue }

// enter counts an operation in flight; ErrClosed after Close.
func (s *Store) enter() error {
	s.flight.Add(1)
	if s.closed.Load() {
		s.flight.Done()
		return store.ErrClosed
	}
	return nil
}

type readKey struct{}

// read marks ctx as that of a reader: nothing that it is shown can be rolled
// back. A writer reads the latest state instead: behind a unique key or a
// compare-and-set that failed stands what the majority may not have yet.
func (s *Store) read(ctx context.Context) context.Context {
	if s.majority == nil {
		return ctx
	}
	return context.WithValue(ctx, readKey{}, true)
}

// coll is a collection for whoever ctx is of.
func (s *Store) coll(ctx context.Context, name string) *mongo.Collection {
	if s.majority != nil && ctx.Value(readKey{}) != nil {
		return s.majority.Collection(name)
	}
	return s.db.Collection(name)
}

// closeWait is how long Close waits for the server to take back what it lent.
const closeWait = 5 * time.Second

// Close waits for the operations in flight and disconnects. What was
// acknowledged is already on the disks of a majority.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.queue.stop()
	s.flight.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), closeWait)
	defer cancel()
	return errors.Join(s.ids.release(ctx), s.client.Disconnect(ctx))
}
