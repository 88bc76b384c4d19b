// Command server runs Meridian: FHIR R4 over HTTP, HL7 v2 over MLLP, on the
// embedded store or on MongoDB. Without a word it serves.
//
//	go run ./server                         FHIR at http://127.0.0.1:8080/fhir, MLLP at 127.0.0.1:2575, data in ./data
//	go run ./server send FILE…              sends messages and prints their acknowledgments
//	go run ./server messages list|show|replay
//	go run ./server import FILE…            sends files of resources to a FHIR service
//	go run ./server export --out DIR        writes what a FHIR service has to files
//	go run ./server migrate --from data:./data --to mongodb://…
//
// This package parses, wires and stops; it has no behaviour of its own.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // the zones of messages, on systems without a tz database

	"github.com/alecthomas/kong"
)

// version is set by the linker at a release.
var version = "dev"

type versionCommand struct{}

// Run prints the version.
func (versionCommand) Run() error {
	fmt.Println("meridian", version)
	return nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:]))
}

// help prints the words and, without one, the settings of the server too, since serving is the default.
func help(o kong.HelpOptions, ctx *kong.Context) error {
	if err := kong.DefaultHelpPrinter(o, ctx); err != nil || ctx.Selected() != nil && ctx.Selected().Name != "serve" {
		return err
	}
	serve, err := kong.Trace(ctx.Kong, []string{"serve"})
	if err != nil {
		return err
	}
	fmt.Fprintln(ctx.Stdout, "\nSettings of the server:")
	return kong.DefaultHelpPrinter(o, serve)
}

// run parses the arguments, carries the command out, and gives the exit status.
func run(ctx context.Context, args []string) int {
	var c commands
	k, err := kong.New(&c, kong.Name("server"), kong.Description("Meridian 经络: a FHIR R4 server that takes hospitals' messages."),
		kong.Help(help), kong.BindTo(ctx, (*context.Context)(nil)))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	kctx, err := k.Parse(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "server:", err, "(all words and settings: --help)")
		return 2
	}
	if err := kctx.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "server:", err)
		return 1
	}
	return 0
}
