package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"meridian/server/transfer"
)

// service is what import and export talk to: a running server, or with
// Offline a store that no server has open, through all that a server does but its doors,
// its messages and its jobs.
type service struct {
	Offline bool `help:"Open the store of --data or --mongodb itself, instead of asking a running server. No server may have it open."`

	Data                string   `default:"./data" env:"MERIDIAN_DATA" placeholder:"DIR" help:"With --offline: directory of the embedded store (${default})."`
	MongoDB             string   `name:"mongodb" env:"MERIDIAN_MONGODB" placeholder:"URI" help:"With --offline: connection string of MongoDB; then no embedded store is opened."`
	Database            string   `default:"meridian" env:"MERIDIAN_DATABASE" placeholder:"NAME" help:"With --offline: database in MongoDB (${default})."`
	MongoDBTransactions string   `name:"mongodb-transactions" default:"auto" enum:"auto,on,off" env:"MERIDIAN_MONGODB_TRANSACTIONS" help:"With --offline: whether MongoDB has transactions: auto, on, off (${default})."`
	BaseURL             string   `name:"base-url" default:"http://127.0.0.1:8080/fhir" env:"MERIDIAN_BASE_URL" placeholder:"URL" help:"With --offline: as the server's, or it indexes the store anew (${default})."`
	Zone                string   `default:"Asia/Shanghai" env:"MERIDIAN_ZONE" placeholder:"NAME" help:"With --offline: as the server's (${default})."`
	FullText            bool     `name:"full-text" env:"MERIDIAN_FULL_TEXT" help:"With --offline: as the server's."`
	Integrity           string   `default:"off" env:"MERIDIAN_INTEGRITY" placeholder:"off|warn|enforce,TYPE=…" help:"With --offline: whether references must name something that is there (${default})."`
	CacheSize           sizeFlag `name:"cache-size" default:"128MiB" env:"MERIDIAN_CACHE_SIZE" placeholder:"SIZE" help:"With --offline: block cache of the embedded store (${default})."`
}

// offlineTime is the longest time of one request to a store without a server.
const offlineTime = time.Hour

// open gives the service at an address, or the store's; close ends it.
func (s *service) open(ctx context.Context, address string) (transfer.Service, func() error, error) {
	if !s.Offline {
		return transfer.Service{Base: address, Client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, Proxy: http.ProxyFromEnvironment}}}, func() error { return nil }, nil
	}
	zone, err := time.LoadLocation(s.Zone)
	if err != nil {
		return transfer.Service{}, nil, fmt.Errorf("--zone: %w", err)
	}
	a := &app{offline: true, alone: true, log: newLogger(os.Stderr, "warn"), access: newAccessLog("off"), zone: zone, metrics: prometheus.NewRegistry(),
		c: &serveCommand{Data: s.Data, MongoDB: s.MongoDB, Database: s.Database, MongoDBTransactions: s.MongoDBTransactions, BaseURL: s.BaseURL, FullText: s.FullText,
			Integrity: s.Integrity, Validation: "off", CacheSize: s.CacheSize, BodyLimit: transfer.MaxLine, Timeout: offlineTime}}
	handler := a.handler()
	if err := a.open(ctx); err != nil {
		if a.store != nil {
			err = errors.Join(err, a.store.Close())
		}
		return transfer.Service{}, nil, err
	}
	name := "MongoDB, database " + s.Database
	if s.MongoDB == "" {
		if name, err = filepath.Abs(s.Data); err != nil {
			return transfer.Service{}, nil, errors.Join(err, a.store.Close())
		}
	}
	return transfer.Service{Base: a.c.BaseURL, Name: name, Client: &http.Client{Transport: transfer.Within(handler)}}, func() error { a.access.close(); return a.store.Close() }, nil
}
