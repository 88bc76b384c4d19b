//go:build linux

package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

const writeClients = 64

// creating compares creates over HTTP with the same keys and bytes in synced batches, both from 64 clients. Each slice begins with an
// empty store and ends when that is closed, so that what it leaves to be flushed is part of its price and not of the next slice's.
func (g *gate) creating(b *testing.B) {
	part := g.scaled(1500, 12_000)
	r := newRecorder(b)
	bodies := make([][]byte, part*slicesPerRound)
	for i := range bodies {
		bodies[i] = singleObservation(i)
		r.create(b, bodies[i])
	}
	list := r.batches(b)
	keys := 0
	for _, batch := range list {
		keys += int(batch[8]) | int(batch[9])<<8 // the count in a batch's header
	}
	c := alternate(func(slice int) (figure, below pace) {
		s := serveGate(b, gateDir(b))
		create := creates(dialAll(b, s.addr, writeClients))
		figure = whole(b, writeClients, part, func(c, i int) error { return create(c, bodies[slice*part+i]) }, s.stop)
		db := openFloor(b)
		floor := commitBatch(db, list)
		below = whole(b, writeClients, part, func(c, i int) error { return floor(c, slice*part+i) }, func() {
			if err := errors.Join(db.Flush(), db.Close()); err != nil {
				b.Error(err)
			}
		})
		return figure, below
	})
	g.report(b, line{name: "create, durable, 64 clients", unit: "resources/s", figure: c.figure, floor: c.floor, value: c.ratio, budget: .35, atLeast: true,
		note: fmt.Sprintf("floor: the same keys and bytes, %.1f keys each; both to the end of their flush; %s", float64(keys)/float64(len(list)), c.cpu())})
}

// whole is the pace of n operations with the end of the store that they write to, which writes its memtables out.
func whole(b *testing.B, clients, n int, op func(client, i int) error, end func()) pace {
	start, before := time.Now(), cpu(b)
	many(b, clients, n, op)
	end()
	return pace{float64(n) / time.Since(start).Seconds(), float64(cpu(b)-before) / 1e3 / float64(n)}
}

func creates(wires []*wire) func(client int, body []byte) error {
	return func(client int, body []byte) error {
		status, answer, err := wires[client].do("POST", "/fhir/Observation", body)
		if err == nil && status != 201 {
			err = fmt.Errorf("create: %d %.300s", status, answer)
		}
		return err
	}
}

// updating compares the time of an update with that of a create, both from 64 clients: another value, so few keys change. Both end
// when the store is closed.
func (g *gate) updating(b *testing.B) {
	part := g.scaled(800, 6000)
	bodies, ids := make([][]byte, part), make([]string, part)
	c := alternate(func(slice int) (figure, below pace) {
		for i := range bodies {
			bodies[i] = singleObservation(slice*part + i)
		}
		dir := gateDir(b)
		s := serveGate(b, dir)
		wires := dialAll(b, s.addr, writeClients)
		create := creates(wires)
		figure = whole(b, writeClients, part, func(c, i int) error {
			err := create(c, bodies[i])
			ids[i] = located(wires[c].location)
			return err
		}, s.stop)
		for i := range bodies {
			bodies[i] = revisedObservation(slice*part+i, 1, strings.TrimPrefix(ids[i], "Observation/"))
		}
		s = serveGate(b, dir)
		wires = dialAll(b, s.addr, writeClients)
		below = whole(b, writeClients, part, func(c, i int) error {
			status, answer, err := wires[c].do("PUT", "/fhir/"+ids[i], bodies[i])
			if err == nil && status != 200 {
				err = fmt.Errorf("update: %d %.300s", status, answer)
			}
			return err
		}, s.stop)
		return figure, below // the ratio of the rates is that of the times, turned around
	})
	g.report(b, line{name: "update / create", unit: "µs", figure: 1e6 / c.floor, floor: 1e6 / c.figure, value: c.ratio, budget: 1.3, note: fmt.Sprintf("64 clients; another value; both to the end of their flush; CPU %.0f µs of %.0f, clients included: %.2f", c.floorCPU, c.figureCPU, c.floorCPU/c.figureCPU)})
}
