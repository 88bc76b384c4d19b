package rest_test

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"meridian/server/store"
	"meridian/server/store/mongostore"
	"meridian/server/store/pebblestore"
	"meridian/server/store/storetest"
)

var mapBackend = backend{"map", func(_ testing.TB, c storetest.Config) store.Store { return storetest.NewMap(c) }}

// backends lists the stores that every test runs on: the map that is the
// oracle, the embedded store in memory, and MongoDB when MERIDIAN_TEST_MONGODB names one.
func backends(t *testing.T) []backend {
	list := []backend{mapBackend, {"standalone", openStandalone}, {"pebble", openPebble}}
	if uri := os.Getenv("MERIDIAN_TEST_MONGODB"); uri != "" {
		list = append(list, backend{"mongodb", func(t testing.TB, c storetest.Config) store.Store { return openMongo(t, uri, c) }})
	} else {
		t.Log("SKIPPED on MongoDB: MERIDIAN_TEST_MONGODB is not set")
	}
	return list
}

// standalone is the map as a standalone MongoDB is: without transactions.
type standalone struct{ store.Store }

func openStandalone(_ testing.TB, c storetest.Config) store.Store {
	return standalone{storetest.NewMap(c)}
}

func (standalone) Transactions() bool { return false }

func (s standalone) Commit(ctx context.Context, p store.CommitParams) error {
	if len(p.Writes) > 1 {
		return store.ErrNoTransactions
	}
	return s.Store.Commit(ctx, p)
}

func openPebble(t testing.TB, c storetest.Config) store.Store {
	t.Helper()
	s, err := pebblestore.Open(pebblestore.Options{Dir: "db", FS: vfs.NewMem(), Index: c.Index, Adopt: c.Adopt, IndexVersion: c.IndexVersion, Clock: c.Clock,
		CacheBytes: 8 << 20, MemTableBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// openMongo opens a database of its own, which is dropped at the end of the test.
func openMongo(t testing.TB, uri string, c storetest.Config) store.Store {
	t.Helper()
	s, err := mongostore.Open(t.Context(), mongostore.Options{URI: uri, Database: storetest.NewDatabase(t, uri), Index: c.Index, Adopt: c.Adopt, IndexVersion: c.IndexVersion, Clock: c.Clock,
		Settle: -1, CatalogAge: 20 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}
