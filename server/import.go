package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"meridian/server/transfer"
)

// importCommand sends files of resources to a FHIR service.
type importCommand struct {
	Inputs []string `arg:"" name:"file" help:"Files .ndjson, .json, .xml, each also with .gz; directories of them; - for NDJSON from standard input. Arguments are sent one after the other."`
	To     string   `default:"http://127.0.0.1:8080/fhir" env:"MERIDIAN_BASE_URL" placeholder:"URL" help:"Address of the FHIR service (${default})."`
	State  string   `placeholder:"DIR" help:"Directory of the progress and of what was rejected; beside the first file when not given."`
	Lanes  int      `default:"4" placeholder:"N" help:"Requests at once (${default})."`
	Size   int      `default:"200" placeholder:"N" help:"Resources in a request, at most (${default})."`
	Again  bool     `help:"Begin anew, whatever an earlier run has done."`

	service
}

// errRejected is the end of an import that could not take everything.
var errRejected = errors.New("some resources were rejected")

// Run imports.
func (c *importCommand) Run(ctx context.Context) error {
	service, closeService, err := c.open(ctx, c.To)
	if err != nil {
		return err
	}
	meter := newMeter(os.Stderr)
	begun, first := time.Now(), -1
	im := transfer.Import{Service: service, Inputs: c.Inputs, Stdin: os.Stdin, State: c.State, Lanes: c.Lanes, Size: c.Size, Again: c.Again,
		Progress: func(p transfer.Progressed) {
			done := p.Created + p.Present + p.Rejected
			if first < 0 {
				first = done
			}
			meter.note = fmt.Sprintf("%d resources, %.0f/s", done, float64(done-first)/max(time.Since(begun).Seconds(), 0.001))
			meter.set("import", "bytes", p.Read, p.Total)
		}}
	sum, err := im.Run(ctx)
	meter.end()
	took := time.Since(begun)
	for _, name := range sum.Skipped {
		fmt.Fprintln(os.Stderr, "passed over:", name)
	}
	done := sum.Created + sum.Present + sum.Rejected - sum.Before
	fmt.Printf("%d resources in %s, %.0f/s; %d before. In all: %d created, %d were there, %d rejected\n",
		done, took.Round(time.Millisecond), float64(done)/max(took.Seconds(), 0.001), sum.Before, sum.Created, sum.Present, sum.Rejected)
	err = errors.Join(err, closeService())
	if err != nil {
		return fmt.Errorf("the import is not complete; the same command goes on: %w", err)
	}
	if sum.Rejected > 0 {
		return fmt.Errorf("%w: %s, with the reasons in %s", errRejected, sum.Refused, sum.Outcomes)
	}
	return nil
}
