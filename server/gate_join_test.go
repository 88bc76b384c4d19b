//go:build linux

package main

import (
	"bytes"
	"fmt"
	"net/url"
	"strconv"
	"testing"
)

// joins measures searches over more than one resource, and by two sort keys: first pages of 20, against the selective
// page of 20. What counts is how little they grow with the population.
func (g *gate) joins(b *testing.B, w *wire, n int, patient func(int) string) {
	hba1c := url.QueryEscape("http://loinc.org|4548-4")
	identifier := func(i int) string { return fmt.Sprintf("MRN%07d", i*7919%len(g.imported.patients)) }
	kinds := []struct {
		name, note string
		path       func(i int) string
	}{
		{"", "", func(i int) string { return "Observation?subject=" + patient(i) }},
		{"chained, one patient", "Observation?patient.identifier=…", func(i int) string { return "Observation?patient.identifier=" + identifier(i) }},
		{"chained, a name and a code", "Observation?patient.family=…&code=…, 2 % of the patients", func(i int) string {
			return "Observation?patient.family=" + url.QueryEscape(familyNames[i%len(familyNames)]) + "&code=" + hba1c
		}},
		{"chained, half of the patients", "Observation?patient.gender=female", func(int) string { return "Observation?patient.gender=female" }},
		{"chained over two", "DiagnosticReport?result.patient.gender=female", func(int) string { return "DiagnosticReport?result.patient.gender=female" }},
		{"_has, a code of all patients", "Patient?_has:Observation:patient:code=…", func(int) string { return "Patient?_has:Observation:patient:code=" + hba1c }},
		{"_has, a diagnosis, and a sex", "Patient?_has:Condition:patient:code=…&gender=female", func(int) string {
			return "Patient?_has:Condition:patient:code=44054006&gender=female"
		}},
		{"sorted by date, then id", "Observation?status=final&_sort=-date,_id", func(int) string { return "Observation?status=final&_sort=-date,_id" }},
		{"sorted by status, then date", "Observation?_sort=status,-date", func(int) string { return "Observation?_sort=status,-date" }},
		{"a code and a value, by date", "Observation?code=…&value-quantity=gt80&_sort=-date", func(int) string {
			return "Observation?code=" + url.QueryEscape("http://loinc.org|2345-7") + "&value-quantity=gt80&_sort=-date"
		}},
	}
	var paths []func(int) string
	for _, k := range kinds {
		paths = append(paths, func(i int) string { return "/fhir/" + k.path(i) + "&_count=20" })
	}
	t := medianTimes(b, w, n, paths...)
	for i, k := range kinds[1:] {
		g.report(b, line{name: k.name, unit: "ms", figure: t[i+1], floor: t[0], note: "p50, first page of 20; " + k.note + "; floor: selective page of 20"})
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
