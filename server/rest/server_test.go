package rest_test

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"meridian/fhir/search"
	"meridian/server/interaction"
	"meridian/server/operation"
	"meridian/server/rest"
	"meridian/server/store"
	"meridian/server/store/storetest"
)

// backend is one of the stores that every test runs on.
type backend struct {
	name string
	open storetest.Open
}

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// server is a handler over an empty store with a clock and ids of its own.
type server struct {
	handler http.Handler
	service *interaction.Service
	store   store.Store
	clock   *storetest.Clock
}

func newServer(t testing.TB, b backend) *server {
	t.Helper()
	return newServerWith(t, b, interaction.Limits{}, rest.Options{})
}

func newServerWith(t testing.TB, b backend, limits interaction.Limits, o rest.Options) *server {
	t.Helper()
	const base = "http://example.org/fhir"
	zone := time.FixedZone("Asia/Shanghai", 8*3600)
	clock := &storetest.Clock{}
	clock.Set(start)
	registry, err := search.New(search.Options{Zone: zone, BaseURL: base, Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	s := &server{clock: clock}
	s.store = b.open(t, storetest.Config{Index: interaction.Indexer(registry), IndexVersion: registry.IndexVersion(), Clock: clock.Now})
	t.Cleanup(func() {
		if err := s.store.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	var ids atomic.Int64
	s.service, err = interaction.New(interaction.Options{
		Store: s.store, Registry: registry, BaseURL: base, Clock: clock.Now, Zone: zone, CursorKey: []byte("test"), Version: "test", Limits: limits, Operations: operation.List(),
		NewID: func() string { return "id-" + strconv.FormatInt(ids.Add(1), 10) },
	})
	if err != nil {
		t.Fatal(err)
	}
	o.Service = func() *interaction.Service { return s.service }
	s.handler = rest.New(o)
	return s
}
