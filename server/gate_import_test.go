//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// imported is the population in the built program's data directory, and what its import showed.
type imported struct {
	dir       string
	patients  []string // "Patient/…", in the order of bundles
	sample    []string // up to sampleIDs "Type/id", evenly over all
	resources int
	bundles   int

	floorBundles int           // the first ones, which the floor writes too
	floorCPU     time.Duration // of the program, for these
	longest      time.Duration // from a bundle's first byte to its answer
	seconds      float64
	cpu          time.Duration // of the program, for all
	resident     int64         // bytes, after the import
	peak         int64
	storedBytes  float64 // mean length of a body, over a sample
	diskTables   int64   // sorted tables: what grows with the data
	diskFixed    int64   // all other files
}

const (
	importClients = 4
	sampleIDs     = 50_000
	// floorResources is how much of the import is compared with the floor: its batches are kept in memory.
	floorResources = 20_000
)

// program is the built server on dir, not waited for.
func program(b *testing.B, dir string) *process {
	b.Helper()
	name, err := binary()
	if err != nil {
		b.Fatal(err)
	}
	p := &process{http: freePort(b), log: &bytes.Buffer{}}
	p.cmd = exec.Command(name, "--listen", p.http, "--mllp", "off", "--data", dir, "--base-url", gateBase, "--access-log", "off")
	p.cmd.Stderr, p.cmd.Stdout = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = p.cmd.Process.Kill(); _ = p.cmd.Wait() })
	return p
}

// answers waits for the first 200 on path and gives the time of it.
func (p *process) answers(b *testing.B, path string) time.Time {
	b.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(500 * time.Microsecond) {
		if resp, err := client.Get("http://" + p.http + path); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return time.Now()
			}
		}
	}
	b.Fatalf("no answer:\n%s", p.log)
	return time.Time{}
}

// terminate stops the program in order.
func (p *process) terminate(b *testing.B) {
	b.Helper()
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		b.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		b.Fatalf("stop: %v\n%s", err, p.log)
	}
}

// cpu is the CPU time of the program, to 10 ms (proc(5), stat).
func (p *process) cpu(b *testing.B) time.Duration {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	f := strings.Fields(after)
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// memory is a row of /proc/PID/status in bytes.
func (p *process) memory(b *testing.B, row string) int64 {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "\n"+row+":")
	f := strings.Fields(after)
	if len(f) < 2 {
		b.Fatalf("no %s", row)
	}
	kb, _ := strconv.ParseInt(f[0], 10, 64)
	return kb << 10
}

// ingest posts bundles from..to and gives the time of the slowest.
func ingest(b *testing.B, addr string, from, to int, answered func(i int, answer []byte)) time.Duration {
	b.Helper()
	wires := dialAll(b, addr, importClients)
	var longest atomic.Int64
	many(b, importClients, to-from, func(client, i int) error {
		bundle, _ := patientBundle(from + i)
		start := time.Now()
		status, answer, err := wires[client].do("POST", "/fhir", bundle)
		if err != nil || status != 200 {
			return fmt.Errorf("bundle %d: %d %v %.500s", from+i, status, err, answer)
		}
		for took := int64(time.Since(start)); ; {
			if old := longest.Load(); took <= old || longest.CompareAndSwap(old, took) {
				break
			}
		}
		if answered != nil {
			answered(from+i, answer)
		}
		return nil
	})
	return time.Duration(longest.Load())
}

// sizes finds how many bundles give the resources asked for.
func (d *imported) sizes(want int) {
	for d.resources < want {
		_, n := patientBundle(d.bundles)
		d.resources += n
		d.bundles++
		if d.resources <= floorResources {
			d.floorBundles = d.bundles
		}
	}
}

// importPopulation runs the built program on an empty directory and imports.
func (g *gate) importPopulation() *imported {
	b := g.root
	d := &imported{dir: gateDir(b)}
	d.sizes(g.size)
	d.patients = make([]string, d.bundles)
	every := 1 + d.resources/sampleIDs
	var mu sync.Mutex
	seen := 0
	answered := func(i int, answer []byte) {
		ids := locations(answer)
		mu.Lock()
		defer mu.Unlock()
		for _, id := range ids {
			if strings.HasPrefix(id, "Patient/") {
				d.patients[i] = id
			}
			if seen++; seen%every == 0 {
				d.sample = append(d.sample, id)
			}
		}
	}
	p := program(b, d.dir)
	p.answers(b, "/readyz")
	before, start := p.cpu(b), time.Now()
	d.longest = ingest(b, p.http, 0, d.floorBundles, answered)
	d.floorCPU = p.cpu(b) - before
	d.longest = max(d.longest, ingest(b, p.http, d.floorBundles, d.bundles, answered))
	d.seconds, d.cpu = time.Since(start).Seconds(), p.cpu(b)-before
	if seen != d.resources {
		b.Fatalf("%d resources were created, want %d", seen, d.resources)
	}
	if got := p.count(b, "Observation?_summary=count"); got != 60*d.bundles {
		b.Fatalf("the server holds %d Observations, want %d", got, 60*d.bundles)
	}
	d.resident, d.peak = p.memory(b, "VmRSS"), p.memory(b, "VmHWM")
	d.storedBytes = d.meanBody(b, p.http)
	p.terminate(b)
	d.disk(b)
	return d
}

// locations are the "Type/id" of a transaction's answer.
func locations(answer []byte) (ids []string) {
	var r struct {
		Entry []struct{ Response struct{ Location string } }
	}
	if json.Unmarshal(answer, &r) != nil {
		return nil
	}
	for _, e := range r.Entry {
		ids = append(ids, located(e.Response.Location))
	}
	return ids
}

// disk sums the files of the data directory.
func (d *imported) disk(b *testing.B) {
	err := filepath.WalkDir(d.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if filepath.Ext(path) == ".sst" {
			d.diskTables += info.Size()
		} else {
			d.diskFixed += info.Size()
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}

// importing reports what the import showed.
func (g *gate) importing(b *testing.B) {
	d := g.data(b)
	g.report(b, line{name: "transaction bundles", unit: "resources/CPU-s", figure: float64(d.floorCount()) / d.floorCPU.Seconds(), floor: g.bundleFloor(b), budget: .35, atLeast: true,
		note: fmt.Sprintf("the program's CPU, first %d resources; %.0f resources/s by the clock in all", d.floorCount(), float64(d.resources)/d.seconds)})
	g.report(b, line{name: "import over HTTP", unit: "resources/CPU-s", figure: float64(d.resources) / d.cpu.Seconds(), budget: 5000, atLeast: true, note: "the program's CPU, all of the import"})
	g.report(b, line{name: "longest commit of the import", unit: "s", figure: d.longest.Seconds(), budget: 1, note: fmt.Sprintf("request to answer, %d clients; for 1 M", importClients)})
	g.report(b, line{name: "disk with index / stored JSON", unit: "bytes/resource", figure: float64(d.diskTables) / float64(d.resources), floor: d.storedBytes, budget: .8,
		note: fmt.Sprintf("tables as the import left them; other files %.1f MB; for 1 M", float64(d.diskFixed)/1e6)})
	g.report(b, line{name: "resident memory", unit: "MB", figure: float64(d.resident) / 1e6, budget: 150, note: fmt.Sprintf("after the import, highest %.0f; for 100 k", float64(d.peak)/1e6)})
}

func (d *imported) floorCount() int {
	n := 0
	for i := range d.floorBundles {
		_, k := patientBundle(i)
		n += k
	}
	return n
}

// meanBody is the mean length of a stored body, over a sample.
func (d *imported) meanBody(b *testing.B, addr string) float64 {
	w := dial(b, addr)
	total, n := 0, min(2000, len(d.sample))
	for i := range n {
		total += len(w.must(b, 200, "GET", "/fhir/"+d.sample[i*len(d.sample)/n], nil))
	}
	return float64(total) / float64(n)
}

// starting measures the program's start, clean and after kill -9 under load, and its size.
func (g *gate) starting(b *testing.B) {
	d := g.data(b)
	var clean []float64
	for range slicesPerRound {
		start := time.Now()
		p := program(b, d.dir)
		clean = append(clean, p.answers(b, "/fhir/"+d.patients[0]).Sub(start).Seconds())
		p.terminate(b)
	}
	g.report(b, line{name: "start to first answer", unit: "s", figure: median(clean), budget: .3, note: "a read by id"})
	g.report(b, line{name: "ready after kill -9 under load", unit: "s", figure: g.afterCrash(b), budget: 2, note: "an import of up to 40,000 resources is cut off"})
	name, err := binary()
	if err != nil {
		b.Fatal(err)
	}
	info, err := os.Stat(name)
	if err != nil {
		b.Fatal(err)
	}
	g.report(b, line{name: "binary", unit: "MB", figure: float64(info.Size()) / 1e6, budget: 80})
}

// afterCrash kills the program in the middle of an import and gives the time until it is ready again.
func (g *gate) afterCrash(b *testing.B) float64 {
	dir := gateDir(b)
	p := program(b, dir)
	p.answers(b, "/readyz")
	bundles := g.scaled(60, 550)
	var done atomic.Int64
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		var all sync.WaitGroup
		for c := range importClients {
			all.Go(func() {
				for i := c; ; i += importClients {
					bundle, _ := patientBundle(i)
					resp, err := http.Post("http://"+p.http+"/fhir", "application/fhir+json", bytes.NewReader(bundle))
					if err != nil {
						return // killed
					}
					resp.Body.Close()
					if resp.StatusCode == http.StatusOK {
						done.Add(1)
					}
				}
			})
		}
		all.Wait()
	}()
	for deadline := time.Now().Add(5 * time.Minute); done.Load() < int64(bundles); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			b.Fatalf("the load stands still:\n%s", p.log)
		}
	}
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
	<-ended
	start := time.Now()
	p = program(b, dir)
	ready := p.answers(b, "/readyz").Sub(start).Seconds()
	if got, want := p.count(b, "Patient?_summary=count"), int(done.Load()); got < want {
		b.Fatalf("%d bundles were acknowledged, %d are there", want, got)
	}
	return ready
}
