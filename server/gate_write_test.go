//go:build linux

package main

import (
	"fmt"
	"strings"
	"testing"
)

const writeClients = 64

// creating compares creates over HTTP with the same keys and bytes in synced batches, both from 64 clients and on empty stores.
func (g *gate) creating(b *testing.B) {
	part := g.scaled(800, 6000)
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
	db := openFloor(b)
	s := serveGate(b, gateDir(b))
	defer s.stop()
	wires := dialAll(b, s.addr, writeClients)
	create := creates(wires)
	floor := commitBatch(db, list)
	c := alternate(func(slice int) (figure, below pace) {
		figure = many(b, writeClients, part, func(c, i int) error { return create(c, bodies[slice*part+i]) })
		below = many(b, writeClients, part, func(c, i int) error { return floor(c, slice*part+i) })
		return figure, below
	})
	g.report(b, line{name: "create, durable, 64 clients", unit: "resources/s", figure: c.figure, floor: c.floor, value: c.ratio, budget: .35, atLeast: true,
		note: fmt.Sprintf("floor: the same keys and bytes, %.1f keys each; %s", float64(keys)/float64(len(list)), c.cpu())})
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

// updating compares the time of an update with that of a create, both from 64 clients: another value, so few keys change.
func (g *gate) updating(b *testing.B) {
	part := g.scaled(800, 6000)
	s := serveGate(b, gateDir(b))
	defer s.stop()
	wires := dialAll(b, s.addr, writeClients)
	create := creates(wires)
	bodies, ids := make([][]byte, part), make([]string, part)
	c := alternate(func(slice int) (creates, updates pace) {
		for i := range bodies {
			bodies[i] = singleObservation(slice*part + i)
		}
		creates = many(b, writeClients, part, func(c, i int) error {
			err := create(c, bodies[i])
			ids[i] = located(wires[c].location)
			return err
		})
		for i := range bodies {
			bodies[i] = revisedObservation(slice*part+i, 1, strings.TrimPrefix(ids[i], "Observation/"))
		}
		updates = many(b, writeClients, part, func(c, i int) error {
			status, answer, err := wires[c].do("PUT", "/fhir/"+ids[i], bodies[i])
			if err == nil && status != 200 {
				err = fmt.Errorf("update: %d %.300s", status, answer)
			}
			return err
		})
		return creates, updates // the ratio of the rates is that of the times, turned around
	})
	g.report(b, line{name: "update / create", unit: "µs", figure: 1e6 / c.floor, floor: 1e6 / c.figure, value: c.ratio, budget: 1.3, note: fmt.Sprintf("64 clients; another value; CPU %.0f µs of %.0f, clients included: %.2f", c.floorCPU, c.figureCPU, c.floorCPU/c.figureCPU)})
}
