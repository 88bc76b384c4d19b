package transfer_test

import (
	"log/slog"
	"os"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"meridian/server/store"
	"meridian/server/store/mongostore"
	"meridian/server/store/pebblestore"
	"meridian/server/store/storetest"
)

// opener makes an empty store that the test closes at its end.
type opener func(t testing.TB, c storetest.Config) store.Store

// backends lists the stores by name: the embedded one in memory, and MongoDB when MERIDIAN_TEST_MONGODB names one.
func backends(t *testing.T) map[string]opener {
	list := map[string]opener{"pebble": openPebble}
	if uri := os.Getenv("MERIDIAN_TEST_MONGODB"); uri != "" {
		list["mongodb"] = func(t testing.TB, c storetest.Config) store.Store { return openMongo(t, uri, c) }
	} else {
		t.Log("SKIPPED on MongoDB: MERIDIAN_TEST_MONGODB is not set")
	}
	return list
}

func closeAtEnd(t testing.TB, s store.Store) store.Store {
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func openPebble(t testing.TB, c storetest.Config) store.Store {
	t.Helper()
	s, err := pebblestore.Open(pebblestore.Options{Dir: "db", FS: vfs.NewMem(), Index: c.Index, Adopt: c.Adopt, IndexVersion: c.IndexVersion, Clock: c.Clock,
		CacheBytes: 8 << 20, MemTableBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	return closeAtEnd(t, s)
}

// openMongo opens a database of its own, which is dropped at the end of the test.
func openMongo(t testing.TB, uri string, c storetest.Config) store.Store {
	t.Helper()
	s, err := mongostore.Open(t.Context(), mongostore.Options{URI: uri, Database: storetest.NewDatabase(t, uri), Index: c.Index, Adopt: c.Adopt, IndexVersion: c.IndexVersion, Clock: c.Clock,
		Settle: -1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return closeAtEnd(t, s)
}
