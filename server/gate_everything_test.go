//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
)

// iterates compares a page with includes of two hops, 7 reports, their 49 results and the visits of those, with the same page of one hop.
// Budget: the second hop looks once at what the first one added, which the page had to read once, so it may double the page.
func (g *gate) iterates(b *testing.B, w *wire, n int, patient func(int) string) {
	one := func(i int) string {
		return "/fhir/DiagnosticReport?subject=" + patient(i) + "&_count=20&_include=DiagnosticReport:result"
	}
	t := medianTimes(b, w, n, one, func(i int) string { return one(i) + "&_include:iterate=Observation:encounter" })
	g.report(b, line{name: "_include:iterate, 7, 49 and 2", unit: "ms", figure: t[1], floor: t[0], budget: 2, note: "p50; floor: the page with the first hop"})
}

// everythingSize is the number of resources of the patient of whom all is asked.
const everythingSize = 2000

// everything compares Patient $everything of 2,000 resources with a search for the patient's Observations, which are all of them but the
// patient. Both read the same bodies and write the same page. Budget: what $everything does beside, which is to walk the other
// types of the compartment and to look in each resource for what it refers to, may cost as much again.
func (g *gate) everything(b *testing.B, w *wire) {
	id := g.patientOf(b, w, everythingSize)
	all := "/fhir/" + id + "/$everything"
	if n := entriesOf(b, w.must(b, 200, "GET", all, nil)); n != everythingSize {
		b.Fatalf("$everything gives %d resources, want %d", n, everythingSize)
	}
	search := "/fhir/Observation?subject=" + id + "&_count=1000" // a page has at most 1,000
	pages := []string{search}
	for next := nextPage(w.must(b, 200, "GET", search, nil)); next != ""; next = nextPage(w.must(b, 200, "GET", next, nil)) {
		pages = append(pages, next)
	}
	kinds := []func(int) string{func(int) string { return all }}
	for _, p := range pages {
		kinds = append(kinds, func(int) string { return p })
	}
	t := medianTimes(b, w, 40, kinds...)
	floor := 0.0
	for _, took := range t[1:] {
		floor += took
	}
	g.report(b, line{name: "$everything, 2,000 resources", unit: "ms", figure: t[0], floor: floor, budget: 2, note: fmt.Sprintf("p50; floor: %d pages of Observation?subject=…", len(pages))})
}

// patientOf creates a patient with so many resources, itself included, in one transaction.
func (g *gate) patientOf(b *testing.B, w *wire, resources int) (id string) {
	c := &chart{r: chartRandom(len(g.imported.patients))}
	c.out = append(c.out, `{"resourceType":"Bundle","type":"transaction","entry":[`...)
	c.person(len(g.imported.patients))
	for i := c.entries; i < resources; i++ {
		c.observation("laboratory", metabolic[i%len(metabolic)])
	}
	return locations(w.must(b, 200, "POST", "/fhir", append(c.out, "]}"...)))[0]
}

func entriesOf(b *testing.B, bundle []byte) int {
	b.Helper()
	var r struct {
		Entry []struct{ FullURL string }
	}
	if err := json.NewDecoder(bytes.NewReader(bundle)).Decode(&r); err != nil {
		b.Fatal(err)
	}
	return len(r.Entry)
}
