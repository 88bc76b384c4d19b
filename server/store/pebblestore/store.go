package pebblestore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable/block"

	"meridian/server/store"
)

// formatVersion is the version of the key space. One of olderFormats is
// rebuilt into it, another one is not opened.
const formatVersion = "5"

// olderFormats are those whose M, N, R, V, I, L and Q are as they are now:
// "1" had no runs (run.go), "2" fewer flags of parameters (names.go), "3" no H and T (loglist.go),
// "4" no ids in A.
var olderFormats = []string{"1", "2", "3", "4"}

// Names of M.
const (
	metaFormat = "format"
	// metaKeys is Options.keysVersion of the last finished rebuild; removed while one runs.
	metaKeys = "keys"
	// metaCatalog is the catalog that holds, see catalog.go.
	metaCatalog = "catalog"
)

// Store is the embedded store. Safe for concurrent use.
type Store struct {
	options   Options
	db        *pebble.DB
	names     *names
	numbers   numbers
	committer *committer
	sweeper   *sweeper
	pressure  *pressure
	bodies    *bodyCache
	queue     *queue
	preparers sync.Pool
	catalog   atomic.Pointer[store.Catalog] // never nil once the store is open; replaced by the committer

	closing sync.RWMutex // held for reading by every call that uses db
	closed  bool
}

var _ store.Store = (*Store)(nil)

// Open opens or makes the store in Options.Dir. It rebuilds all keys first when
// Options.IndexVersion or Options.Sort are not those it was written with.
func Open(o Options) (*Store, error) {
	s := &Store{options: o.withDefaults(), names: newNames(), pressure: newPressure()}
	s.preparers.New = func() any { return s.newPreparer() }
	s.bodies = newBodyCache(s.options.BodyCacheBytes)
	s.committer = &committer{store: s, recent: newRecent()}
	s.sweeper = s.newSweeper()
	compactions := newScheduler()
	options := s.pebbleOptions()
	options.Experimental.CompactionScheduler = compactions
	db, err := pebble.Open(s.options.Dir, options)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s.db = db
	compactions.begin()
	if err := s.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("open store: %w", err), db.Close())
	}
	s.pressure.start(db)
	s.committer.start()
	s.sweeper.start()
	return s, nil
}

// load reads what is kept in memory, and rebuilds when it must.
func (s *Store) load() error {
	if err := s.checkFormat(); err != nil {
		return err
	}
	if err := s.names.load(s.db); err != nil {
		return fmt.Errorf("names: %w", err)
	}
	var err error
	if s.numbers.last, err = s.lastOf(prefixBody); err != nil {
		return err
	}
	if s.committer.seq, err = s.lastOf(prefixLog); err != nil {
		return err
	}
	s.committer.synced.Store(s.committer.seq)
	if err := s.committer.index.resume(s.db, s.committer.seq); err != nil {
		return fmt.Errorf("log: %w", err)
	}
	if s.queue, err = s.openQueue(); err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	if err := s.loadCatalog(); err != nil {
		return fmt.Errorf("catalog: %w", err)
	}
	keys, err := s.meta(metaKeys)
	if err != nil || keys == s.options.keysVersion() || s.options.AsIs && keys != "" {
		return err
	}
	return s.rebuild()
}

func (s *Store) checkFormat() error {
	format, err := s.meta(metaFormat)
	switch {
	case err != nil:
		return err
	case format == formatVersion:
		return nil
	case slices.Contains(olderFormats, format):
		// Without the version of its keys it is rebuilt, now or after a crash.
		b := s.db.NewBatch()
		defer b.Close()
		return errors.Join(b.Set(metaKey(metaFormat), []byte(formatVersion), nil), b.Delete(metaKey(metaKeys), nil), b.Commit(pebble.Sync))
	case format != "":
		return fmt.Errorf("the store in %s has format %q, this program reads %q only", s.options.Dir, format, formatVersion)
	}
	b := s.db.NewBatch()
	defer b.Close()
	if err := errors.Join(b.Set(metaKey(metaFormat), []byte(formatVersion), nil), b.Set(metaKey(metaKeys), []byte(s.options.keysVersion()), nil)); err != nil {
		return err
	}
	return b.Commit(pebble.Sync)
}

func metaKey(name string) []byte { return append([]byte{prefixMeta}, name...) }

// meta is a value of M, empty when there is none.
func (s *Store) meta(name string) (string, error) {
	value, closer, err := s.db.Get(metaKey(name))
	if errors.Is(err, pebble.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer closer.Close()
	return string(value), nil
}

// lastOf is the number in the last key of a family, 0 when it is empty.
func (s *Store) lastOf(prefix byte) (uint64, error) {
	iter, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{prefix}, UpperBound: []byte{prefix + 1}})
	if err != nil {
		return 0, err
	}
	defer iter.Close()
	if !iter.Last() {
		return 0, iter.Error()
	}
	if len(iter.Key()) != 1+numberLen {
		return 0, fmt.Errorf("key of family %c: %w", prefix, errCorrupt)
	}
	return binary.BigEndian.Uint64(iter.Key()[1:]), nil
}

// enter begins a call that uses the database; false when the store is closed.
func (s *Store) enter() bool {
	s.closing.RLock()
	if s.closed {
		s.closing.RUnlock()
		return false
	}
	return true
}

func (s *Store) leave() { s.closing.RUnlock() }

// Close answers what was submitted, writes memtables out so that the next
// Open need not replay a log, and closes the database. Where nothing was written, or a write failed, of a full disk say,
// nothing is written out: the log is what the next Open goes by. Later calls, also of Close, give store.ErrClosed.
func (s *Store) Close() error {
	s.closing.Lock()
	if s.closed {
		s.closing.Unlock()
		return store.ErrClosed
	}
	s.closed = true
	s.closing.Unlock()
	s.queue.close()
	s.sweeper.end()
	s.committer.stop()
	var flushed error
	if s.committer.wrote.Load() && s.committer.failed.Load() == nil { // a flush begins a new log, and on a full disk Pebble panics
		flushed = s.db.Flush()
	}
	s.pressure.stop()
	if err := errors.Join(flushed, s.db.Close()); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

// pebbleOptions are what measured best for this key space; see docs/format/pebble.md.
func (s *Store) pebbleOptions() *pebble.Options {
	o := &pebble.Options{
		FS:                          s.options.FS,
		CacheSize:                   s.options.CacheBytes,
		MemTableSize:                uint64(s.options.MemTableBytes),
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       2,
		L0StopWritesThreshold:       stopSublevels,
		LBaseMaxBytes:               64 << 20,
		MaxOpenFiles:                4096,
		FormatMajorVersion:          pebble.FormatNewest,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 2 },
		LoggerAndTracer:             nil,
		Logger:                      logger{s.options.Logger},
	}
	for i := range o.Levels {
		o.Levels[i].BlockSize = blockSize
		o.Levels[i].FilterPolicy = pointFilter{bloom.FilterPolicy(10)}
		o.Levels[i].Compression = func() *block.CompressionProfile { return block.BalancedCompression }
	}
	o.EventListener = &pebble.EventListener{
		BackgroundError: func(err error) { s.options.Logger.Error("store: background error", "error", err) },
		FlushEnd:        func(pebble.FlushInfo) { s.pressure.changed() },
		CompactionEnd:   func(pebble.CompactionInfo) { s.pressure.changed() },
		WriteStallBegin: func(i pebble.WriteStallBeginInfo) {
			s.options.Logger.Warn("store: writing stands still until compactions catch up", "reason", i.Reason)
		},
	}
	return o
}

// blockSize is the size of a block before compression. With 100,000
// Observations of 1.5 kB in tables: 4 kB 630 bytes each, 8 kB 420, 16 kB 358,
// 32 kB 300; a read that must decompress a block costs 30 µs with 8 kB and 60 with 32.
const blockSize = 8 << 10

// pointFilter is a Bloom filter of I and R keys: the two families of which
// single keys are asked for, at every read, and I also for what is not there, at every
// create. Filters on postings would cost 40 bytes for each resource.
type pointFilter struct{ bloom.FilterPolicy }

// Name is on disk: what it filters never changes under the same name.
func (f pointFilter) Name() string { return "meridian.point." + f.FilterPolicy.Name() }

func filtered(key []byte) bool {
	return len(key) > 0 && (key[0] == prefixID || key[0] == prefixBody)
}

func (f pointFilter) MayContain(ftype pebble.FilterType, filter, key []byte) bool {
	return !filtered(key) || f.FilterPolicy.MayContain(ftype, filter, key)
}

func (f pointFilter) NewWriter(ftype pebble.FilterType) pebble.FilterWriter {
	return pointFilterWriter{f.FilterPolicy.NewWriter(ftype)}
}

type pointFilterWriter struct{ pebble.FilterWriter }

func (w pointFilterWriter) AddKey(key []byte) {
	if filtered(key) {
		w.FilterWriter.AddKey(key)
	}
}

// logger hands Pebble's messages on; its routine ones are for debugging.
type logger struct{ to *slog.Logger }

func (l logger) Infof(format string, args ...any) {
	l.to.Debug("store: " + fmt.Sprintf(format, args...))
}
func (l logger) Errorf(format string, args ...any) {
	l.to.Error("store: " + fmt.Sprintf(format, args...))
}

// Fatalf is called when the log cannot be written; going on would lose what is acknowledged.
func (l logger) Fatalf(format string, args ...any) {
	l.to.Error("store: " + fmt.Sprintf(format, args...))
	panic(fmt.Sprintf("store: "+format, args...))
}
