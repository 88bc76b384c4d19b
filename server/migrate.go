package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"meridian/fhir/search"
	"meridian/server/interaction"
	"meridian/server/store/mongostore"
	"meridian/server/transfer"
)

// migrateCommand copies one store into another.
type migrateCommand struct {
	From         string `required:"" placeholder:"PLACE" help:"Store to copy: data:DIR, or a connection string of MongoDB. No server may have it open."`
	To           string `required:"" placeholder:"PLACE" help:"Store to fill: empty, or what an earlier run of the same migration left."`
	FromDatabase string `name:"from-database" default:"meridian" placeholder:"NAME" help:"Database in MongoDB to copy (${default})."`
	ToDatabase   string `name:"to-database" default:"meridian" placeholder:"NAME" help:"Database in MongoDB to fill (${default})."`
	Readers      int    `default:"4" placeholder:"N" help:"Versions read and indexed at once (${default})."`

	BaseURL   string   `name:"base-url" default:"http://127.0.0.1:8080/fhir" env:"MERIDIAN_BASE_URL" placeholder:"URL" help:"As the server's, so that it need not index the copy anew (${default})."`
	Zone      string   `default:"Asia/Shanghai" env:"MERIDIAN_ZONE" placeholder:"NAME" help:"As the server's (${default})."`
	FullText  bool     `name:"full-text" env:"MERIDIAN_FULL_TEXT" help:"As the server's."`
	CacheSize sizeFlag `name:"cache-size" default:"128MiB" env:"MERIDIAN_CACHE_SIZE" placeholder:"SIZE" help:"Block cache of an embedded store (${default})."`
}

// Run copies and verifies.
func (c *migrateCommand) Run(ctx context.Context) error {
	if c.From == c.To && c.FromDatabase == c.ToDatabase {
		return errors.New("--from and --to are the same store")
	}
	zone, err := time.LoadLocation(c.Zone)
	if err != nil {
		return fmt.Errorf("--zone: %w", err)
	}
	registry, err := search.New(search.Options{Zone: zone, BaseURL: c.BaseURL, FullText: c.FullText})
	if err != nil {
		return err
	}
	from, err := c.open(ctx, registry, c.From, c.FromDatabase, true)
	if err != nil {
		return fmt.Errorf("--from: %w", err)
	}
	defer from.store.Close() // nothing is written to it
	to, err := c.open(ctx, registry, c.To, c.ToDatabase, false)
	if err != nil {
		return fmt.Errorf("--to: %w", err)
	}
	meter := newMeter(os.Stderr)
	m := transfer.Migration{From: from.store, To: to.store, Index: interaction.Indexer(registry), Workers: c.Readers,
		Progress: func(s transfer.Step) { meter.set(string(s.Phase), "done", int64(s.Done), int64(s.Total)) }}
	if from.c.MongoDB != "" {
		m.Quiet = mongostore.Abandon + time.Second
	}
	sum, err := m.Run(ctx)
	meter.end()
	if err := errors.Join(err, to.store.Close()); err != nil {
		return fmt.Errorf("the migration is not complete: %w", err)
	}
	printSummary(sum)
	return nil
}

// open opens the store of a place, for this process alone.
func (c *migrateCommand) open(ctx context.Context, registry *search.Registry, place, database string, source bool) (*app, error) {
	s := &serveCommand{Database: database, MongoDBTransactions: "auto", CacheSize: c.CacheSize}
	a := &app{c: s, log: newLogger(os.Stderr, "warn"), registry: registry, alone: true, asIs: source}
	dir, embedded := strings.CutPrefix(place, "data:")
	switch {
	case embedded && dir != "":
		s.Data = dir
		if _, err := os.Stat(filepath.Join(dir, "store")); source && err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil, fmt.Errorf("there is no store in %s", dir)
			}
			return nil, err
		}
	case strings.HasPrefix(place, "mongodb://"), strings.HasPrefix(place, "mongodb+srv://"):
		s.MongoDB = place
	default:
		return nil, errors.New("a store is data:DIR, or begins with mongodb:// or mongodb+srv://")
	}
	var err error
	a.store, err = a.openStore(ctx)
	return a, err
}

func printSummary(s transfer.Summary) {
	fmt.Printf("complete, and verified: %d versions, %d of them copied now, %d purged ones\n", s.Versions, s.Copied, s.Purged)
	for _, typ := range slices.Sorted(maps.Keys(s.Resources)) {
		fmt.Printf("%8d  %s\n", s.Resources[typ], typ)
	}
	for _, topic := range slices.Sorted(maps.Keys(s.Items)) {
		fmt.Printf("%8d  items of %s\n", s.Items[topic], topic)
	}
	fmt.Printf("%8d  receipts\n", s.Receipts)
}
