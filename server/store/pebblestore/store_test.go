package pebblestore

import (
	"context"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"meridian/server/store"
	"meridian/server/store/storetest"
)

// open gives a store in memory as the suite asks for it; its invariants are checked at the end.
func open(t testing.TB, c storetest.Config) store.Store {
	t.Helper()
	return openFS(t, c, vfs.NewMem())
}

func openFS(t testing.TB, c storetest.Config, fs vfs.FS) *Store {
	t.Helper()
	s, err := Open(Options{Dir: "db", FS: fs, Index: c.Index, Adopt: c.Adopt, IndexVersion: c.IndexVersion, Clock: c.Clock,
		CacheBytes: 8 << 20, MemTableBytes: 1 << 20, Sort: map[string][]string{"*": {"name"}}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// checked verifies the whole store when it is closed.
type checked struct {
	*Store
	t testing.TB
}

func (c checked) Close() error {
	if err := c.Check(context.Background()); err != nil {
		c.t.Error(err)
	}
	return c.Store.Close()
}

func TestContract(t *testing.T) {
	storetest.Run(t, func(t testing.TB, c storetest.Config) store.Store { return checked{open(t, c).(*Store), t} }, storetest.Lacks{})
}

// Ten thousand random queries find what search.Match says.
func TestAgreement(t *testing.T) {
	storetest.Agree(t, func(t testing.TB, c storetest.Config) store.Store { return checked{open(t, c).(*Store), t} }, storetest.Lacks{})
}

func TestContractOnDisk(t *testing.T) {
	storetest.Run(t, func(t testing.TB, c storetest.Config) store.Store {
		s, err := Open(Options{Dir: t.TempDir(), Index: c.Index, Adopt: c.Adopt, IndexVersion: c.IndexVersion, Clock: c.Clock})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}, storetest.Lacks{})
}
