package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"meridian/fhir/definitions"
	"meridian/fhir/search"
	"meridian/mappings/engine"
	"meridian/mappings/maps"
	"meridian/server/inbox"
	"meridian/server/interaction"
	"meridian/server/job"
	"meridian/server/operation"
	"meridian/server/rest"
	"meridian/server/store"
	"meridian/server/store/mongostore"
	"meridian/server/store/pebblestore"
)

// app is the running server. Its parts are made in order and stopped in the
// opposite one; service and inbox are nil until the store is open.
type app struct {
	c       *serveCommand
	log     *slog.Logger
	access  *accessLog
	zone    *time.Location
	http    *http.Server
	mllp    net.Listener
	metrics *prometheus.Registry

	registry *search.Registry
	store    store.Store
	secret   func() ([]byte, error) // of cursors, once the store is open
	service  atomic.Pointer[interaction.Service]
	inbox    atomic.Pointer[inbox.Inbox]
	rest     *rest.Handler
	jobs     atomic.Pointer[job.Runner]
	door     *inbox.MLLP
	opened   chan error // the result of opening the store

	alone bool // no other process has the store; MongoDB's log need not wait for others
	asIs  bool // the store's index is left as it is
	// offline: no doors, no messages, no jobs.
	offline bool
}

// Run serves until ctx ends.
func (c *serveCommand) Run(ctx context.Context) error {
	tuneMemory(int64(c.GCHeadroom), int64(c.MemoryLimit))
	a := &app{c: c, opened: make(chan error, 1), metrics: prometheus.NewRegistry()}
	if err := a.listen(); err != nil {
		return err
	}
	go func() { a.opened <- a.open(ctx) }()
	return a.wait(ctx)
}

// listen binds the addresses before anything slow, so that a client that comes
// early gets 503 and not a refusal.
func (a *app) listen() error {
	a.log = newLogger(os.Stderr, a.c.LogLevel)
	a.access = newAccessLog(a.c.AccessLog)
	if err := rest.CheckListen(a.c.Listen, false); err != nil {
		return err
	}
	zone, err := time.LoadLocation(a.c.Zone)
	if err != nil {
		return fmt.Errorf("--zone: %w", err)
	}
	a.zone = zone
	l, err := net.Listen("tcp", a.c.Listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	if a.c.BaseURL == "" {
		a.c.BaseURL = "http://" + l.Addr().String() + "/fhir"
	}
	if a.c.MLLP != "off" {
		if err := rest.CheckListen(a.c.MLLP, false); err != nil {
			return fmt.Errorf("--mllp: %w", err)
		}
		if a.mllp, err = net.Listen("tcp", a.c.MLLP); err != nil {
			return fmt.Errorf("--mllp: %w", err)
		}
	}
	if err := a.profile(); err != nil {
		return err
	}
	a.http = &http.Server{Handler: a.handler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelWarn)}
	go func() {
		if err := a.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			a.log.Error("http", "error", err)
		}
	}()
	a.log.Info("listening", "http", l.Addr().String(), "fhir", a.c.BaseURL)
	return nil
}

// profile serves Go's profiler beside the program, where it was asked for.
func (a *app) profile() error {
	if a.c.Pprof == "" {
		return nil
	}
	if err := rest.CheckListen(a.c.Pprof, false); err != nil {
		return fmt.Errorf("--pprof: %w", err)
	}
	l, err := net.Listen("tcp", a.c.Pprof)
	if err != nil {
		return fmt.Errorf("--pprof: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	go func() { _ = http.Serve(l, mux) }() // ends with the process
	return nil
}

func (a *app) handler() http.Handler {
	a.rest = rest.New(rest.Options{
		Service:   a.service.Load,
		BodyLimit: int64(a.c.BodyLimit),
		Timeout:   a.c.Timeout,
		AccessLog: a.access.logger(),
		ErrorLog:  a.log,
		Metrics:   a.metrics,
		Jobs:      a.jobs.Load,
		Async:     rest.AsyncOptions{Workers: a.c.AsyncWorkers, Time: a.c.AsyncTime, Keep: a.c.AsyncKeep},
		Mounts:    map[string]http.Handler{"/ops/messages": http.HandlerFunc(a.ops), "/ops/jobs": http.HandlerFunc(a.opsJobs)},
	})
	return a.rest
}

// ops serves the messages once the inbox is there.
func (a *app) ops(w http.ResponseWriter, r *http.Request) {
	if in := a.inbox.Load(); in != nil {
		in.Handler().ServeHTTP(w, r)
		return
	}
	w.Header().Set("Retry-After", "1")
	http.Error(w, `{"error":"the server is starting"}`, http.StatusServiceUnavailable)
}

// open opens the store and starts what needs it.
func (a *app) open(ctx context.Context) error {
	start := time.Now()
	integrity, err := interaction.ParsePolicies(a.c.Integrity)
	if err != nil {
		return fmt.Errorf("--integrity: %w", err)
	}
	validation, err := interaction.ParsePolicies(a.c.Validation)
	if err != nil {
		return fmt.Errorf("--validation: %w", err)
	}
	packages, err := a.readPackages()
	if err != nil {
		return fmt.Errorf("--packages: %w", err)
	}
	codes := interaction.NewTerminology(interaction.TerminologyOptions{Fresh: a.terminologyFresh(), Packages: packages})
	if a.registry, err = search.New(search.Options{Zone: a.zone, BaseURL: a.c.BaseURL, FullText: a.c.FullText, Codes: codes.Codes()}); err != nil {
		return err
	}
	if a.store, err = a.openStore(ctx); err != nil {
		return err
	}
	key, err := a.cursorKey()
	if err != nil {
		return err
	}
	limits := interaction.Limits{PageSize: a.c.PageSize, MaxPageSize: a.c.MaxPage, BodyBytes: int(a.c.BodyLimit), Transactions: a.c.Transactions, ReceiptTime: a.c.IdempotencyTime}
	if a.c.ConditionalDelete == "multiple" {
		limits.ConditionalDelete = a.c.ConditionalDeleteLimit
	}
	service, err := interaction.New(interaction.Options{Store: a.store, Registry: a.registry, BaseURL: a.c.BaseURL, Zone: a.zone, CursorKey: key,
		Version: version, Operations: operation.List(), Limits: limits, Reindexing: a.startReindex, Integrity: integrity, Validation: validation, Judge: operation.Judge(), Terminology: codes, SlowSearch: a.c.SlowTime, Logger: a.log})
	if err != nil {
		return err
	}
	a.service.Store(service)
	a.log.Info("ready", "fhir", a.c.BaseURL, "after", time.Since(start).Round(time.Millisecond).String())
	if a.offline {
		return nil
	}
	if err := a.openJobs(); err != nil {
		return err
	}
	if err := service.SyncSearchParameters(ctx); err != nil {
		a.log.Error("search parameters: the catalog does not follow yet", "error", err)
	}
	go service.WatchSearchParameters(ctx)
	return a.openInbox(service)
}

// readPackages reads the folder of packages and says what is in it, and what does not fit together.
func (a *app) readPackages() (*definitions.Packages, error) {
	if a.c.Packages == "" {
		return nil, nil
	}
	info, err := os.Stat(a.c.Packages)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is no folder", a.c.Packages)
	}
	if err != nil {
		return nil, err
	}
	p, err := definitions.ReadPackages(os.DirFS(a.c.Packages), definitions.PackageLimits{})
	if err != nil {
		return nil, err
	}
	for _, pkg := range p.All() {
		a.log.Info("package", "name", pkg.Name, "version", pkg.Version, "definitions", pkg.Resources, "sha256", pkg.SHA256)
	}
	for _, c := range p.Conflicts() {
		a.log.Warn("two packages define it otherwise", "kind", c.Kind, "url", c.URL, "version", c.Version, "used", c.Won, "left", c.Lost)
	}
	for _, m := range p.Missing() {
		a.log.Warn("a package depends on one that is not there", "package", m)
	}
	return p, nil
}

// terminologyFresh: the embedded store has no other writer; of MongoDB other servers may be.
func (a *app) terminologyFresh() time.Duration {
	if a.c.MongoDB == "" {
		return 0
	}
	return time.Second
}

func (a *app) openInbox(service *interaction.Service) error {
	library, err := engine.Load(maps.FS)
	if err != nil {
		return fmt.Errorf("shipped maps: %w", err)
	}
	source := inbox.Source{Source: engine.Source{ID: a.c.Source, Zone: a.zone}, Ack: inbox.Ack(a.c.Ack), Charset: a.c.Charset}
	metrics := newMessageMetrics(a.metrics)
	in, err := inbox.New(inbox.Options{Queue: a.store.Queue(), Service: service, Library: library, Sources: []inbox.Source{source}, Logger: a.log,
		Limits: inbox.Limits{MessageBytes: int(a.c.MessageLimit), Workers: a.c.Workers}, Observer: metrics})
	if err != nil {
		return err
	}
	metrics.lag(a.metrics, in.Lag)
	in.Start()
	a.inbox.Store(in)
	if a.mllp != nil {
		a.door = in.Listen(a.mllp, source.ID)
		a.log.Info("listening", "mllp", a.mllp.Addr().String(), "source", source.ID)
	}
	return nil
}

// openStore opens MongoDB or the embedded store; the error says what to do.
func (a *app) openStore(ctx context.Context) (store.Store, error) {
	if a.c.MongoDB != "" {
		s, err := a.openMongo(ctx)
		if err != nil {
			return nil, fmt.Errorf("--mongodb: %w", err)
		}
		a.secret = func() ([]byte, error) { return s.Secret(ctx, "cursor") }
		return s, nil
	}
	if err := os.MkdirAll(a.c.Data, 0o700); err != nil {
		return nil, fmt.Errorf("--data: %w", err)
	}
	s, err := pebblestore.Open(pebblestore.Options{Dir: filepath.Join(a.c.Data, "store"), Index: interaction.Indexer(a.registry), Adopt: interaction.Adopter(a.registry), IndexVersion: a.registry.IndexVersion(),
		CacheBytes: int64(a.c.CacheSize), AsIs: a.asIs, DoneRetention: a.c.DoneTime, Logger: a.log, Progress: func(done int) { a.log.Info("rebuilding the index", "done", done) }})
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) {
		return nil, fmt.Errorf("--data: %s is in use by another process, or not ours to write: %w", a.c.Data, err)
	}
	if err != nil {
		return nil, fmt.Errorf("--data: %w", err)
	}
	a.secret = a.keptSecret
	return s, nil
}

func (a *app) openMongo(ctx context.Context) (*mongostore.Store, error) {
	tx := a.c.MongoDBTransactions
	if tx == "auto" {
		tx = ""
	}
	settle := time.Duration(0)
	if a.alone {
		settle = -1
	}
	return mongostore.Open(ctx, mongostore.Options{URI: a.c.MongoDB, Settle: settle, AsIs: a.asIs, Database: a.c.Database, Index: interaction.Indexer(a.registry), Adopt: interaction.Adopter(a.registry), IndexVersion: a.registry.IndexVersion(),
		Transactions: tx, DoneRetention: a.c.DoneTime, MaxTransactions: a.c.MongoDBMaxTransactions, Logger: a.log, Progress: func(done, total int) { a.log.Info("rebuilding the index", "done", done, "of", total) }})
}

// cursorKey is the secret of next links: as given, else one that the store's
// deployment keeps.
func (a *app) cursorKey() ([]byte, error) {
	if a.c.CursorKey != "" {
		return []byte(a.c.CursorKey), nil
	}
	return a.secret()
}

// keptSecret is kept beside the embedded store.
func (a *app) keptSecret() ([]byte, error) {
	name := filepath.Join(a.c.Data, "cursor.key")
	key, err := os.ReadFile(name)
	if err == nil && len(key) >= 32 {
		return key, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cursor key: %w", err)
	}
	key = make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	if err := os.WriteFile(name, key, 0o600); err != nil {
		return nil, fmt.Errorf("cursor key: %w", err)
	}
	return key, nil
}

// wait serves until ctx ends or the store cannot be opened, then stops in order.
func (a *app) wait(ctx context.Context) error {
	var err error
	select {
	case <-ctx.Done():
		err = <-a.opened
	case err = <-a.opened:
		if err == nil {
			<-ctx.Done()
		}
	}
	return errors.Join(err, a.stop())
}

// stop accepts no more, finishes what is in flight, flushes, closes the store.
func (a *app) stop() error {
	a.log.Info("stopping")
	ctx, cancel := context.WithTimeout(context.Background(), a.c.StopTime)
	defer cancel()
	var errs []error
	if a.door != nil {
		errs = append(errs, a.door.Close())
	} else if a.mllp != nil {
		errs = append(errs, a.mllp.Close())
	}
	errs = append(errs, a.http.Shutdown(ctx))
	if in := a.inbox.Load(); in != nil {
		in.Stop()
	}
	if jobs := a.jobs.Load(); jobs != nil {
		jobs.Stop()
	}
	if a.store != nil {
		errs = append(errs, a.store.Close())
	}
	a.access.close()
	err := errors.Join(errs...)
	if err == nil {
		a.log.Info("stopped")
	}
	return err
}
