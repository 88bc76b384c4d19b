//go:build linux

package main

import (
	"bytes"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

// join is a search over more than one resource, or by two keys. Its budget follows from the selective page of 20, which is its floor: for
// each row found so many are tried, each costs a look-up a hop, and none of that may cost more than a row of that page does.
//
//	budget = tried for each row found × hops + 1 for the page itself
type join struct {
	name, note  string
	tried, hops float64 // tried 0: a figure without a budget
	path        func(i int) string
}

// joins measures first pages of 20. What counts is how little they grow with the population.
func (g *gate) joins(b *testing.B, w *wire, n int, patient func(int) string) {
	fixed := func(path string) func(int) string { return func(int) string { return path } }
	hba1c, glucose := url.QueryEscape("http://loinc.org|4548-4"), url.QueryEscape("http://loinc.org|2345-7")
	list := []join{
		{"chained, half of the patients", "Observation?patient.gender=female", 2, 1, fixed("Observation?patient.gender=female")},
		{"chained over two", "DiagnosticReport?result.patient.gender=female", 2, 2, fixed("DiagnosticReport?result.patient.gender=female")},
		{"_has, a code of all patients", "Patient?_has:Observation:patient:code=…", 1, 1, fixed("Patient?_has:Observation:patient:code=" + hba1c)},
		{"_has, a diagnosis, and a sex", "Patient?_has:Condition:patient:code=…&gender=female, an eighth of the patients", 8, 1,
			fixed("Patient?_has:Condition:patient:code=44054006&gender=female")},
		{"sorted by date, then id", "Observation?status=final&_sort=-date,_id", 1, 1, fixed("Observation?status=final&_sort=-date,_id")},
		{"sorted by status, then date", "Observation?_sort=status,-date", 1, 1, fixed("Observation?_sort=status,-date")},
		{"a code and a value, by date", "Observation?code=…&value-quantity=gt80&_sort=-date", 0, 0, fixed("Observation?code=" + glucose + "&value-quantity=gt80&_sort=-date")},
	}
	paths := []func(int) string{func(i int) string { return "/fhir/Observation?subject=" + patient(i) + "&_count=20" }}
	for _, k := range list {
		paths = append(paths, func(i int) string { return "/fhir/" + k.path(i) + "&_count=20" })
	}
	t := medianTimes(b, w, n, paths...)
	for i, k := range list {
		l := line{name: k.name, unit: "ms", figure: t[i+1], floor: t[0], note: "p50, first page of 20; " + k.note + "; floor: selective page of 20"}
		if k.tried > 0 {
			l.budget = k.tried*k.hops + 1
		}
		g.report(b, l)
	}
	g.chains(b, w, n, hba1c)
}

// chains compares a chain with what a client without chains asks: first for the patients, then for the resources of all of them.
func (g *gate) chains(b *testing.B, w *wire, n int, code string) {
	d := g.imported
	one := func(i int) int { return i * 7919 % len(d.patients) }
	ask := func(name string) string { return "Patient?family=" + name + "&_elements=id&_count=1000" }
	var names, found []string // families of patients, and these
	for _, name := range familyNames {
		name = url.QueryEscape(name)
		if ids := selfIDs(w.must(b, 200, "GET", "/fhir/"+ask(name), nil)); len(ids) > 0 {
			names, found = append(names, name), append(found, strings.Join(ids, ","))
		}
	}
	identified := func(i int) string { return fmt.Sprintf("identifier=MRN%07d", one(i)) }
	t := medianTimes(b, w, n,
		func(i int) string { return "/fhir/Observation?patient." + identified(i) + "&_count=20" },
		func(i int) string { return "/fhir/Patient?" + identified(i) + "&_elements=id" },
		func(i int) string { return "/fhir/Observation?subject=" + d.patients[one(i)] + "&_count=20" },
		func(i int) string {
			return "/fhir/Observation?patient.family=" + names[i%len(names)] + "&code=" + code + "&_count=20"
		},
		func(i int) string { return "/fhir/" + ask(names[i%len(names)]) },
		func(i int) string {
			return "/fhir/Observation?subject=" + found[i%len(found)] + "&code=" + code + "&_count=20"
		})
	const note = "; floor: two requests, for the patients' ids and with them"
	g.report(b, line{name: "chained, one patient", unit: "ms", figure: t[0], floor: t[1] + t[2], budget: 1, note: "p50, first page of 20; Observation?patient.identifier=…" + note})
	g.report(b, line{name: "chained, a name and a code", unit: "ms", figure: t[3], floor: t[4] + t[5], budget: 1,
		note: fmt.Sprintf("p50, first page of 20; Observation?patient.family=…&code=…, %d of %d patients", len(d.patients)/len(familyNames), len(d.patients)) + note})
}

// selfIDs are the "Patient/…" of a page of patients.
func selfIDs(bundle []byte) (ids []string) {
	for rest := bundle; ; {
		_, after, ok := bytes.Cut(rest, []byte(`"fullUrl":"`+gateBase+"/"))
		if !ok {
			return ids
		}
		id, _, _ := bytes.Cut(after, []byte(`"`))
		ids, rest = append(ids, string(id)), after
	}
}

// counts says how many keys a second one core counts.
func (g *gate) counts(b *testing.B, w *wire, n int) {
	for _, c := range [][2]string{{"count by code", "code=" + url.QueryEscape("http://loinc.org|718-7")}, {"count of a dense list", "status=final"}, {"count of two dense lists", "status=final&category=laboratory"}} {
		path := "/fhir/Observation?" + c[1] + "&_summary=count"
		total := totalOf(b, w.must(b, 200, "GET", path, nil))
		t := medianTimes(b, w, min(n, 100), func(int) string { return path })
		g.report(b, line{name: c[0], unit: "keys/s", figure: float64(total) / t[0] * 1000, budget: 1e6, atLeast: true, note: fmt.Sprintf("%d in p50 %.3f ms, the request included; for 1 M", total, t[0])})
	}
}

func totalOf(b *testing.B, bundle []byte) int {
	b.Helper()
	_, after, _ := bytes.Cut(bundle, []byte(`"total":`))
	digits := after[:len(after)-len(bytes.TrimLeft(after, "0123456789"))]
	n, err := strconv.Atoi(string(digits))
	if err != nil {
		b.Fatalf("no total in %.200s", bundle)
	}
	return n
}
