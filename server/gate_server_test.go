//go:build linux

package main

import (
	"context"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/prometheus/client_golang/prometheus"

	"meridian/fhir/search"
)

// gateBase is the base of all servers of the gate: the index depends on it, and data of one are opened by others.
const gateBase = "http://gate.test/fhir"

// gateServer is the server in this process, as main wires it, on free loopback ports.
type gateServer struct {
	*app
	addr string
	stop func()
}

func gateSettings(b testing.TB, dir string, more ...string) *serveCommand {
	b.Helper()
	var c commands
	k, err := kong.New(&c, kong.BindTo(context.Background(), (*context.Context)(nil)))
	if err != nil {
		b.Fatal(err)
	}
	args := append([]string{"serve", "--listen", "127.0.0.1:0", "--mllp", "off", "--data", dir, "--base-url", gateBase, "--access-log", "off", "--log-level", "error"}, more...)
	if _, err := k.Parse(args); err != nil {
		b.Fatal(err)
	}
	return &c.Serve
}

// serveGate starts the server on dir; it is stopped with b, or earlier.
func serveGate(b testing.TB, dir string, more ...string) *gateServer {
	b.Helper()
	c := gateSettings(b, dir, more...)
	c.Listen = freePort(b)
	s := &gateServer{app: &app{c: c, opened: make(chan error, 1), metrics: prometheus.NewRegistry()}, addr: c.Listen}
	if err := s.listen(); err != nil {
		b.Fatal(err)
	}
	if err := s.open(context.Background()); err != nil {
		b.Fatal(err)
	}
	done := false
	s.stop = func() {
		if done {
			return
		}
		done = true
		if err := s.app.stop(); err != nil {
			b.Error(err)
		}
	}
	b.Cleanup(s.stop)
	return s
}

// data imports the population when first asked.
func (g *gate) data(b *testing.B) *imported {
	b.Helper()
	g.once.Do(func() { g.imported = g.importPopulation() })
	if g.imported == nil {
		b.Fatal("the import failed")
	}
	return g.imported
}

// reader is the server of this process on the imported data.
func (g *gate) reader(b *testing.B) *gateServer {
	b.Helper()
	d := g.data(b)
	g.served.Do(func() { g.server = serveGate(g.root, d.dir) })
	if g.server == nil {
		b.Fatal("the server did not start")
	}
	return g.server
}

// registry is what the server would use for search.
func gateRegistry(b *testing.B) *search.Registry {
	b.Helper()
	zone, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		b.Fatal(err)
	}
	r, err := search.New(search.Options{Zone: zone, BaseURL: gateBase})
	if err != nil {
		b.Fatal(err)
	}
	return r
}

// cpu is the CPU time this process has used, of all its threads.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// gateDir is a directory for data on disk that goes with b. It lies where TMPDIR says.
func gateDir(b testing.TB) string {
	b.Helper()
	dir, err := os.MkdirTemp("", "meridian-gate-"+strings.ReplaceAll(b.Name(), "/", "-"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
