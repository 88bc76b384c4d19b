package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"meridian/server/transfer"
)

// exportCommand writes what a FHIR service has to files.
type exportCommand struct {
	Types   []string `arg:"" optional:"" name:"type" help:"Resource types; all when none is given."`
	From    string   `default:"http://127.0.0.1:8080/fhir" env:"MERIDIAN_BASE_URL" placeholder:"URL" help:"Address of the FHIR service (${default})."`
	Out     string   `required:"" placeholder:"DIR" help:"Directory of the files and their manifest."`
	Since   string   `placeholder:"TIME" help:"Only what was changed at that time or later: 2026-01-01, 2026-01-01T08:00:00+08:00, or transactionTime of an earlier manifest."`
	History bool     `help:"All versions and deletions, as Bundles of type history."`
	Gzip    bool     `help:"Compress the files."`
	Page    int      `name:"page" default:"1000" placeholder:"N" help:"Resources asked for at once; at most --max-page-size of the server (${default})."`
	Again   bool     `help:"Begin anew, over what an earlier export left in --out."`

	service
}

// Run exports.
func (c *exportCommand) Run(ctx context.Context) error {
	service, closeService, err := c.open(ctx, c.From)
	if err != nil {
		return err
	}
	meter := newMeter(os.Stderr)
	x := transfer.Export{Service: service, Types: c.Types, Out: c.Out, Since: c.Since, History: c.History, Gzip: c.Gzip, Page: c.Page, Again: c.Again,
		Progress: func(typ string, done int) { meter.note = typ; meter.set("export", "resources", int64(done), 0) }}
	m, err := x.Run(ctx)
	meter.end()
	if err := errors.Join(err, closeService()); err != nil {
		return fmt.Errorf("the export is not complete; the same command goes on: %w", err)
	}
	for _, o := range m.Output {
		fmt.Printf("%8d  %s\n", o.Count, o.URL)
	}
	return nil
}
