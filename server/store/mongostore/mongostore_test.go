package mongostore

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"testing"
	"time"

	"meridian/server/store"
	"meridian/server/store/storetest"
)

// envURI names the deployment that the tests of this package run on.
const envURI = "MERIDIAN_TEST_MONGODB"

// lacks is what the deployment under test cannot do. The test server of
// .ci/mongo, and any standalone mongod, has no transactions. It also lacks,
// without a failing test here: the use of indexes that are not unique,
// explain, collation, the filter of partial indexes, an error for two arrays
// in one index, limits, TTL, and the order of strings as bytes where it
// differs from that of UTF-16 (characters from U+10000 against U+E000 to U+FFFF).
func lacks(s *Store) storetest.Lacks { return storetest.Lacks{Transactions: !s.transactions} }

func uri(t testing.TB) string {
	t.Helper()
	u := os.Getenv(envURI)
	if u == "" {
		t.Skipf("SKIPPED: %s is not set: the contract on MongoDB was not run", envURI)
	}
	return u
}

// newDatabase gives a database name of its own, dropped at the end of the test.
func newDatabase(t testing.TB) (uriText, name string) {
	t.Helper()
	u := uri(t)
	return u, storetest.NewDatabase(t, u)
}

// testOptions opens an own database indexed as the suite does.
func testOptions(t testing.TB) Options {
	u, name := newDatabase(t)
	return Options{URI: u, Database: name, Index: storetest.Index, IndexVersion: "test-1", Settle: -1, CatalogAge: 20 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)}
}

func mustOpen(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestContract(t *testing.T) {
	storetest.Run(t, openAs, lacks(mustOpen(t, testOptions(t))))
}

// Ten thousand random queries find what search.Match says.
func TestAgreement(t *testing.T) {
	storetest.Agree(t, openAs, lacks(mustOpen(t, testOptions(t))))
}

// openAs opens a database of its own as the suite asks for it.
func openAs(t testing.TB, c storetest.Config) store.Store {
	o := testOptions(t)
	o.Index, o.Adopt, o.IndexVersion, o.Clock = c.Index, c.Adopt, c.IndexVersion, c.Clock
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// All processes of a deployment get the same secret, whoever asks first.
func TestSecretIsShared(t *testing.T) {
	o := testOptions(t)
	one, two := mustOpen(t, o), mustOpen(t, o)
	a, err := one.Secret(context.Background(), "cursor")
	if err != nil {
		t.Fatal(err)
	}
	b, err := two.Secret(context.Background(), "cursor")
	if err != nil || !bytes.Equal(a, b) || len(a) != 32 {
		t.Errorf("%x and %x, %v", a, b, err)
	}
	if c, err := one.Secret(context.Background(), "other"); err != nil || bytes.Equal(a, c) {
		t.Errorf("another name: %x, %v", c, err)
	}
}
