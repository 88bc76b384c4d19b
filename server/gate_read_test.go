//go:build linux

package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
)

const readClients = 32

// reading compares reads by id with an Echo handler that has the same bytes in a map. Cold: the server was just opened and no id is
// read twice. Hot: a thousand ids.
func (g *gate) reading(b *testing.B) {
	d := g.data(b)
	ids := append([]string(nil), d.sample...)
	rand.New(rand.NewPCG(gateSeed, 1)).Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	ids = ids[:min(len(ids), g.scaled(4000, 30_000))]
	fresh := g.server == nil
	s := g.server
	if fresh {
		s = serveGate(b, d.dir)
	}
	bodies, w := map[string][]byte{}, dial(b, s.addr)
	for _, id := range ids {
		bodies[id] = bytes.Clone(w.must(b, 200, "GET", "/fhir/"+id, nil))
	}
	if fresh {
		s.stop()
	}
	s = g.reader(b)
	ours, floor := dialAll(b, s.addr, readClients), dialAll(b, echoFloor(b, bodies), readClients)
	if fresh { // else all of them were just read
		part := len(ids) / slicesPerRound
		c := alternate(func(slice int) (figure, below pace) {
			path := func(i int) string { return "/fhir/" + ids[slice*part+i] }
			return many(b, readClients, part, gets(ours, path)), many(b, readClients, part, gets(floor, path))
		})
		g.report(b, line{name: "read by id, cold", unit: "requests/s", figure: c.figure, floor: c.floor, value: c.ratio, budget: .4, atLeast: true, note: "each id once after the start; floor: Echo, same bytes; " + c.cpu()})
	}
	few := ids[:min(len(ids), 1000)]
	path := func(i int) string { return "/fhir/" + few[i%len(few)] }
	n := g.scaled(3000, 20_000)
	many(b, readClients, n, gets(ours, path))
	c := alternate(func(int) (figure, below pace) {
		return many(b, readClients, n, gets(ours, path)), many(b, readClients, n, gets(floor, path))
	})
	g.report(b, line{name: "read by id, hot", unit: "requests/s", figure: c.figure, floor: c.floor, value: c.ratio, budget: .7, atLeast: true, note: "a thousand ids; floor: Echo, same bytes; " + c.cpu()})
}

// echoFloor serves bodies by "Type/id" and gives its address.
func echoFloor(b *testing.B, bodies map[string][]byte) string {
	b.Helper()
	e := echo.New()
	e.GET("/fhir/:type/:id", func(c echo.Context) error {
		body, ok := bodies[c.Param("type")+"/"+c.Param("id")]
		if !ok {
			return c.NoContent(http.StatusNotFound)
		}
		c.Response().Header().Set("Content-Length", strconv.Itoa(len(body)))
		return c.Blob(http.StatusOK, "application/fhir+json; charset=utf-8", body)
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	server := &http.Server{Handler: e}
	go func() { _ = server.Serve(l) }() // ends with Close
	b.Cleanup(func() { server.Close() })
	return l.Addr().String()
}

// searching compares median times of single requests on one connection, one kind after the other in turn.
func (g *gate) searching(b *testing.B) {
	d := g.data(b)
	w := dial(b, g.reader(b).addr)
	n := g.scaled(150, 1000)
	random := rand.New(rand.NewPCG(gateSeed, 2))
	patient := func(int) string { return d.patients[random.IntN(len(d.patients))] }
	read := func(int) string { return "/fhir/" + d.sample[random.IntN(len(d.sample))] }
	few := func(i int) string {
		return "/fhir/Observation?subject=" + patient(i) + "&code=" + url.QueryEscape("http://loinc.org|"+metabolic[i%len(metabolic)].code)
	}
	twenty := func(i int) string { return "/fhir/Observation?subject=" + patient(i) + "&_count=20" }
	dense := func(i int) string {
		return "/fhir/Observation?" + [3]string{"status=final", "category=laboratory", "status=final&category=laboratory"}[i%3] + "&_count=20"
	}
	t := medianTimes(b, w, n, read, few, twenty, dense)
	g.report(b, line{name: "selective first page, 1 or 2 hits", unit: "ms", figure: t[1], floor: t[0], budget: 2.5, note: "p50; subject and code; floor: read p50"})
	g.report(b, line{name: "selective first page, 20 hits", unit: "ms", figure: t[2], floor: t[0], budget: 5, note: "p50; subject; floor: read p50"})
	g.report(b, line{name: "dense first page", unit: "ms", figure: t[3], floor: t[2], budget: 1.5, note: "p50; status, category, both; floor: selective page of 20"})
	g.pages(b, w, n)
	g.includes(b, w, n, patient)
	g.disjoint(b, w)
	g.joins(b, w, n, patient)
	g.counts(b, w, n)
	g.iterates(b, w, n, patient)
	g.everything(b, w)
}

// pages compares page 200 with page 1.
func (g *gate) pages(b *testing.B, w *wire, n int) {
	first := "/fhir/Observation?status=final&_count=20"
	later, page := first, 1
	for page < 200 {
		next := nextPage(w.must(b, 200, "GET", later, nil))
		if next == "" {
			break
		}
		later, page = next, page+1
	}
	t := medianTimes(b, w, n, func(int) string { return first }, func(int) string { return later })
	g.report(b, line{name: fmt.Sprintf("page %d / page 1", page), unit: "ms", figure: t[1], floor: t[0], budget: 1.1, note: "p50; status=final, 20 a page"})
}

// nextPage is the next link of a bundle, without the base; "" at the end.
func nextPage(bundle []byte) string {
	const before = `"relation":"next","url":"` + gateBase
	i := bytes.Index(bundle, []byte(before))
	if i < 0 {
		return ""
	}
	rest := bundle[i+len(before):]
	return "/fhir" + string(rest[:bytes.IndexByte(rest, '"')])
}

// includes compares pages with and without what they refer to: a page of Observations that adds one or two Encounters, and
// a page of 7 DiagnosticReports that adds their 49 results.
func (g *gate) includes(b *testing.B, w *wire, n int, patient func(int) string) {
	for _, c := range [][3]string{{"Observation", "Observation:encounter", "_include page, 20 and 2"}, {"DiagnosticReport", "DiagnosticReport:result", "_include page, 7 and 49"}} {
		plain := func(i int) string { return "/fhir/" + c[0] + "?subject=" + patient(i) + "&_count=20" }
		t := medianTimes(b, w, n, plain, func(i int) string { return plain(i) + "&_include=" + c[1] })
		g.report(b, line{name: c[2], unit: "ms", figure: t[1], floor: t[0], budget: 2, note: "p50; floor: the page without"})
	}
}

// disjoint asks for what both of two dense lists hold, which is nothing. What a request costs beside that is taken off before the rest is
// scaled to a million resources.
func (g *gate) disjoint(b *testing.B, w *wire) {
	million := 1e6 / float64(g.imported.resources)
	nothing := func(int) string { return "/fhir/Observation?subject=Patient/none&code=718-7" }
	for _, c := range [][2]string{{"two dense lists without a common hit", "category=laboratory&category=vital-signs"}, {"a code and a dense list without a common hit", "code=718-7&category=vital-signs"}} {
		path := "/fhir/Observation?" + c[1]
		if body := string(w.must(b, 200, "GET", path, nil)); !strings.Contains(body, `"total":0`) {
			b.Fatalf("%s finds something: %.300s", path, body)
		}
		t := medianTimes(b, w, 30, nothing, func(int) string { return path })
		scaled := t[0] + max(t[1]-t[0], 0)*million
		g.report(b, line{name: c[0], unit: "ms", figure: t[1], value: scaled, budget: 15, note: fmt.Sprintf("p50; for 1 M %.1f ms, which is compared", scaled)})
	}
}
