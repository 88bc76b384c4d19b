//go:build linux

package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"meridian/fhir/codec"
	"meridian/fhir/search"
	"meridian/mappings/engine"
	"meridian/mappings/hl7v2"
	"meridian/mappings/maps"
	"meridian/mappings/source"
)

// parsing measures parse, check and index of one Observation: CPU time of this process in a single goroutine, and allocations.
func (g *gate) parsing(b *testing.B) {
	registry, parser := gateRegistry(b), codec.NewParser(codec.Options{})
	bodies := make([][]byte, 500)
	total := 0
	for i := range bodies {
		bodies[i] = singleObservation(i)
		total += len(bodies[i])
	}
	var facts search.Facts
	i := 0
	one := func() {
		tree, err := parser.Parse(bodies[i%len(bodies)])
		if err != nil {
			b.Fatal(err)
		}
		if err := registry.Index(tree.Root(), &facts); err != nil {
			b.Fatal(err)
		}
		i++
	}
	took := oneCore(b, g.scaled(2000, 20_000), one)
	g.report(b, line{name: "parse, check, index one Observation", unit: "µs", figure: took * 1e6, budget: 5, note: fmt.Sprintf("CPU, mean of %d bytes", total/len(bodies))})
	g.report(b, line{name: "the same, allocations", unit: "allocations", figure: testing.AllocsPerRun(2000, one), budget: 5})
}

// oneCore is the CPU time of one call in seconds, garbage collection included: the median of slices, after a warm-up.
func oneCore(b *testing.B, n int, call func()) float64 {
	for range n / 4 {
		call()
	}
	var slices []float64
	for range slicesPerRound {
		before := cpu(b)
		for range n {
			call()
		}
		slices = append(slices, (cpu(b)-before).Seconds()/float64(n))
	}
	return median(slices)
}

// mapper is the way from bytes of a message to those of its bundle.
type mapper struct {
	m   *engine.Map
	src engine.Source
}

func newMapper(b *testing.B, id string) *mapper {
	b.Helper()
	library, err := engine.Load(maps.FS)
	if err != nil {
		b.Fatal(err)
	}
	zone, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		b.Fatal(err)
	}
	return &mapper{library.Find(engine.Input{Kind: "hl7v2", Type: "ORU_R01"}), engine.Source{ID: id, Zone: zone}}
}

func (m *mapper) bundle(b *testing.B, raw []byte) []byte {
	d, err := hl7v2.Decode(raw, hl7v2.DecodeOptions{})
	if err != nil {
		b.Fatal(err)
	}
	message, err := hl7v2.Parse(d.Text, hl7v2.ParseOptions{})
	if err != nil {
		b.Fatal(err)
	}
	r, err := m.m.Run(source.FromV2(message, hl7v2.GroupMessage(message, hl7v2.GroupOptions{})), &m.src, time.Unix(1_790_000_000, 0))
	if err != nil {
		b.Fatal(err)
	}
	if len(r.Resources) < 25 {
		b.Fatalf("%d resources of a message with 20 results", len(r.Resources))
	}
	return r.Bundle()
}

// report20 is an ORU^R01 of 20 OBX, in UTF-8.
func report20(b *testing.B) []byte {
	b.Helper()
	raw, err := os.ReadFile("../testdata/hl7v2/oru_r01.hl7")
	if err != nil {
		b.Fatal(err)
	}
	list, _ := hl7v2.Split(raw)
	if len(list) != 1 {
		b.Fatalf("%d messages in the file", len(list))
	}
	return list[0]
}

// mapping measures bytes to bundle of one message.
func (g *gate) mapping(b *testing.B) {
	m, raw := newMapper(b, "gate"), report20(b)
	took := oneCore(b, g.scaled(100, 2000), func() { m.bundle(b, raw) })
	g.report(b, line{name: "ORU^R01 of 20 OBX, bytes to bundle", unit: "ms", figure: took * 1e3, budget: .2, note: "CPU of one goroutine and its garbage collection"})
}

const messageClients = 8

// messages compares messages over MLLP, counted when committed, with the bundles of the same messages as HTTP transactions,
// into two stores that were empty.
func (g *gate) messages(b *testing.B) {
	part := g.scaled(80, 800)
	over := serveGate(b, gateDir(b), "--mllp", freePort(b), "--source", "gate")
	defer over.stop()
	direct := serveGate(b, gateDir(b))
	defer direct.stop()
	senders := make([]*hl7v2.Client, messageClients)
	for i := range senders {
		conn, err := net.Dial("tcp", over.mllp.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		senders[i] = hl7v2.NewClient(conn, hl7v2.ClientOptions{})
		defer senders[i].Close()
	}
	m, raw := newMapper(b, "gate"), report20(b)
	bundles := make([][]byte, part)
	c := alternate(func(slice int) (figure, below pace) {
		list := make([][]byte, part)
		for i := range list {
			// Runs of ten messages are about one patient; those in flight at once are about different ones, as in a laboratory.
			list[i] = vary(raw, slice*part+i%(part/10)*10+i/(part/10))
			bundles[i] = m.bundle(b, list[i])
		}
		start, before := time.Now(), cpu(b)
		many(b, messageClients, part, func(c, i int) error {
			answer, err := senders[c].Send(context.Background(), list[i])
			if err == nil && !answer.Positive() {
				err = fmt.Errorf("message: %s", answer.Code)
			}
			return err
		})
		over.committed(b, (slice+1)*part)
		figure = pace{float64(part) / time.Since(start).Seconds(), float64(cpu(b)-before) / 1e3 / float64(part)}
		posters := dialAll(b, direct.addr, messageClients) // here: the server closes a connection that asks nothing for ten seconds
		below = many(b, messageClients, part, func(c, i int) error {
			status, answer, err := posters[c].do("POST", "/fhir", bundles[i])
			if err == nil && status != 200 {
				err = fmt.Errorf("transaction: %d %.500s", status, answer)
			}
			return err
		})
		return figure, below
	})
	g.report(b, line{name: "ORU^R01 over MLLP, committed", unit: "messages/s", figure: c.figure, floor: c.floor, value: c.ratio, budget: .7, atLeast: true,
		note: fmt.Sprintf("%d connections; floor: the same bundles by HTTP transaction; %s", messageClients, c.cpu())})
}

// committed waits until n messages are committed; any other outcome is an error.
func (s *gateServer) committed(b *testing.B, n int) {
	b.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		families, err := s.metrics.Gather()
		if err != nil {
			b.Fatal(err)
		}
		done := 0
		for _, f := range families {
			if f.GetName() != "meridian_messages_total" {
				continue
			}
			for _, m := range f.GetMetric() {
				if outcome := m.GetLabel()[0].GetValue(); outcome != "committed" {
					b.Fatalf("a message is %s", outcome)
				}
				done = int(m.GetCounter().GetValue())
			}
		}
		if done >= n {
			return
		}
	}
	b.Fatal("messages stay unfinished")
}
