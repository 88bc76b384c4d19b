package rest_test

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"meridian/fhir/search"
	"meridian/server/interaction"
	"meridian/server/job"
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
	jobs    *job.Runner // not started: Drain runs what waits
	kinds   map[string]job.Kind

	registry *search.Registry
}

func newServer(t testing.TB, b backend) *server {
	t.Helper()
	return newServerWith(t, b, interaction.Limits{}, rest.Options{})
}

func newServerWith(t testing.TB, b backend, limits interaction.Limits, o rest.Options) *server {
	t.Helper()
	return newServerOf(t, b, interaction.Options{Limits: limits}, o)
}

// newServerOf takes of the service's options what a test needs; the rest is the same for all.
func newServerOf(t testing.TB, b backend, with interaction.Options, o rest.Options) *server {
	t.Helper()
	const base = "http://example.org/fhir"
	zone := time.FixedZone("Asia/Shanghai", 8*3600)
	clock := &storetest.Clock{}
	clock.Set(start)
	codes := interaction.NewTerminology(interaction.TerminologyOptions{})
	registry, err := search.New(search.Options{Zone: zone, BaseURL: base, Now: clock.Now, FullText: true, Codes: codes.Codes()})
	if err != nil {
		t.Fatal(err)
	}
	s := &server{clock: clock, registry: registry}
	s.store = b.open(t, storetest.Config{Index: interaction.Indexer(registry), Adopt: interaction.Adopter(registry), IndexVersion: registry.IndexVersion(), Clock: clock.Now})
	t.Cleanup(func() {
		if err := s.store.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	var ids atomic.Int64
	s.service, err = interaction.New(interaction.Options{
		Store: s.store, Registry: registry, BaseURL: base, Clock: clock.Now, Zone: zone, CursorKey: []byte("test"), Version: "test", Limits: with.Limits, Operations: operation.List(),
		NewID: func() string { return "id-" + strconv.FormatInt(ids.Add(1), 10) }, Integrity: with.Integrity, Validation: with.Validation, Judge: operation.Judge(), Terminology: codes, Reindexing: s.startReindex,
	})
	if err != nil {
		t.Fatal(err)
	}
	o.Service = func() *interaction.Service { return s.service }
	o.Jobs = func() *job.Runner { return s.jobs }
	h := rest.New(o)
	s.handler, s.kinds = h, h.Kinds()
	kinds := h.Kinds()
	kinds["reindex"] = job.Kind{Run: func(ctx context.Context, t *job.Task) error { return s.service.RunReindex(ctx, t) }}
	s.jobs, err = job.New(job.Options{Queue: s.store.Queue(), Kinds: kinds, Clock: clock.Now, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// startReindex is that of the program.
func (s *server) startReindex(ctx context.Context, generation uint64) error {
	_, _, err := s.jobs.Add(ctx, job.NewJob{Kind: "reindex", Key: strconv.FormatUint(generation, 10)})
	return err
}
