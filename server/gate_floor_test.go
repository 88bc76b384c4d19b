//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/batchrepr"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/wal"

	"meridian/server/interaction"
	"meridian/server/store/pebblestore"
)

// The floor of writing is a Pebble database with the options of the embedded store that is given the same keys and bytes in batches
// made before. They are read back from the log of an embedded store in memory that took the same resources one commit at a time.

// recorder is that store.
type recorder struct {
	fs      *vfs.MemFS
	store   *pebblestore.Store
	service *interaction.Service
	commits int
}

const recorderDir = "store"

func newRecorder(b *testing.B) *recorder {
	b.Helper()
	r := &recorder{fs: vfs.NewMem()}
	a := &app{c: gateSettings(b, ""), registry: gateRegistry(b)}
	var err error
	// One memtable larger than all that is recorded, so that no log is removed.
	r.store, err = pebblestore.Open(pebblestore.Options{Dir: recorderDir, FS: r.fs, Index: interaction.Indexer(a.registry), IndexVersion: a.registry.IndexVersion(), CacheBytes: 8 << 30, MemTableBytes: 2 << 30})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { r.store.Close() })
	if r.service, err = interaction.New(interaction.Options{Store: r.store, Registry: a.registry, BaseURL: gateBase}); err != nil {
		b.Fatal(err)
	}
	return r
}

func (r *recorder) create(b *testing.B, body []byte) {
	if _, err := r.service.Create(context.Background(), interaction.CreateParams{Type: "Observation", Body: body}); err != nil {
		b.Fatal(err)
	}
	r.commits++
}

func (r *recorder) bundle(b *testing.B, body []byte) {
	if _, err := r.service.Bundle(context.Background(), interaction.BundleParams{Body: body}); err != nil {
		b.Fatal(err)
	}
	r.commits++
}

// batches are the recorded commits, each sorted by key; the store is closed.
func (r *recorder) batches(b *testing.B) [][]byte {
	b.Helper()
	logs, err := wal.Scan(wal.Dir{FS: r.fs, Dirname: recorderDir})
	if err != nil {
		b.Fatal(err)
	}
	var list [][]byte
	for _, l := range logs {
		in := l.OpenForRead()
		for {
			record, _, err := in.NextRecord()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				b.Fatal(err)
			}
			repr, err := io.ReadAll(record)
			if err != nil {
				b.Fatal(err)
			}
			list = append(list, sorted(b, repr))
		}
		in.Close()
	}
	if len(list) < r.commits {
		b.Fatalf("%d batches in the log of %d commits", len(list), r.commits)
	}
	return list[len(list)-r.commits:] // before them stands what Open wrote
}

// sorted is a batch with its keys in order.
func sorted(b *testing.B, repr []byte) []byte {
	type op struct {
		kind       pebble.InternalKeyKind
		key, value []byte
	}
	var ops []op
	for in := batchrepr.Read(repr); ; {
		kind, key, value, ok, err := in.Next()
		if err != nil {
			b.Fatal(err)
		}
		if !ok {
			break
		}
		ops = append(ops, op{kind, key, value})
	}
	slices.SortFunc(ops, func(x, y op) int { return strings.Compare(string(x.key), string(y.key)) })
	var batch pebble.Batch
	for _, o := range ops {
		var err error
		switch o.kind {
		case pebble.InternalKeyKindSet:
			err = batch.Set(o.key, o.value, nil)
		case pebble.InternalKeyKindDelete:
			err = batch.Delete(o.key, nil)
		default:
			err = fmt.Errorf("a key of kind %v in the log", o.kind)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	return slices.Clone(batch.Repr())
}

// openFloor opens an empty database on disk with the options that an embedded store writes down. The caller closes it.
func openFloor(b *testing.B) *pebble.DB {
	b.Helper()
	fs := vfs.NewMem()
	s, err := pebblestore.Open(pebblestore.Options{Dir: recorderDir, FS: fs})
	if err != nil {
		b.Fatal(err)
	}
	names, err := fs.List(recorderDir)
	if err != nil {
		b.Fatal(err)
	}
	var o pebble.Options
	for _, name := range names {
		if strings.HasPrefix(name, "OPTIONS") {
			f, err := fs.Open(fs.PathJoin(recorderDir, name))
			if err != nil {
				b.Fatal(err)
			}
			text, err := io.ReadAll(f)
			if err != nil {
				b.Fatal(err)
			}
			// Its filters are of names that only the store knows, and cost a create less than a tenth of a microsecond.
			if err := o.Parse(string(text), &pebble.ParseHooks{NewFilterPolicy: func(string) (pebble.FilterPolicy, error) { return nil, nil }}); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	o.Logger = quiet{}
	db, err := pebble.Open(gateDir(b), &o)
	if err != nil {
		b.Fatal(err)
	}
	return db
}

// quiet drops what the floor's database reports.
type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(format string, args ...any) {
	panic(fmt.Sprintf(format, args...))
}

// commitBatch is an operation of many.
func commitBatch(db *pebble.DB, list [][]byte) func(client, i int) error {
	return func(_, i int) error {
		batch := db.NewBatch()
		defer batch.Close()
		if err := batch.SetRepr(list[i]); err != nil {
			return err
		}
		return batch.Commit(pebble.Sync)
	}
}

// bundleFloor writes the batches of the first bundles of the import, and gives resources per CPU-second.
func (g *gate) bundleFloor(b *testing.B) float64 {
	r := newRecorder(b)
	for i := range g.imported.floorBundles {
		bundle, _ := patientBundle(i)
		r.bundle(b, bundle)
	}
	list := r.batches(b)
	db := openFloor(b)
	defer db.Close()
	before := cpu(b)
	many(b, importClients, len(list), commitBatch(db, list))
	return float64(g.imported.floorCount()) / (cpu(b) - before).Seconds()
}
