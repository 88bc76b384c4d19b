//go:build linux

package main

import (
	"cmp"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// BenchmarkGate measures the budgets of this server: each figure with its floor, from the same run on the same machine.
//
//	go test -run '^$' -bench Gate -benchtime 1x ./server/                                   5,000 resources, about half a minute
//	MERIDIAN_GATE_SIZE=100000 go test -run '^$' -bench Gate -timeout 1h ./server/           the release check
//	go test -run '^$' -bench 'Gate/read' ./server/                                          one group of lines
//
// Population: as many whole patients (gate_population_test.go) as give MERIDIAN_GATE_SIZE resources, imported over HTTP as
// transactions into the built program, on a disk (TMPDIR). The same data are then served in this process, on a loopback listener,
// to keep-alive clients that parse no more of an answer than its length, so that the server and not the client is
// measured. A figure and its floor alternate in short slices, or one by one for times of single requests; what stands in the table
// is the median of the slices' figures, floors and ratios. No time is asserted: a line says met or missed.
func BenchmarkGate(b *testing.B) {
	g := &gate{root: b, size: gateSize(b)}
	c := gateSettings(b, "")
	tuneMemory(int64(c.GCHeadroom), int64(c.MemoryLimit)) // as the program does
	defer g.table()
	for _, group := range []struct {
		name string
		run  func(*testing.B)
	}{
		// The order matters: the built program has the data to itself until "read" opens them in this process.
		{"import", g.importing}, {"start", g.starting}, {"read", g.reading}, {"search", g.searching}, {"create", g.creating},
		{"update", g.updating}, {"parse", g.parsing}, {"map", g.mapping}, {"messages", g.messages},
	} {
		b.Run(group.name, func(b *testing.B) {
			for b.Loop() {
				group.run(b)
			}
		})
	}
}

// defaultGateSize keeps a run of every benchmark short.
const defaultGateSize = 5000

func gateSize(b *testing.B) int {
	s := os.Getenv("MERIDIAN_GATE_SIZE")
	if s == "" {
		return defaultGateSize
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 200 {
		b.Fatalf("MERIDIAN_GATE_SIZE is a number of resources, at least 200, not %q", s)
	}
	return n
}

// gate is what the groups of lines share.
type gate struct {
	root     *testing.B
	size     int // resources asked for
	once     sync.Once
	imported *imported // by the built program, when a group first asks
	served   sync.Once
	server   *gateServer // of this process, on the imported data
	lines    []line
}

// scaled is a number of operations that grows with the population, from small (at the default size) to large (at 100,000).
func (g *gate) scaled(small, large int) int {
	return min(max(small, small*g.size/defaultGateSize), large)
}

// line is one budget.
type line struct {
	name          string
	unit          string  // of figure and floor
	figure, floor float64 // floor 0: the budget is absolute
	value         float64 // what is compared with the budget: the ratio, or a figure in its unit
	budget        float64
	atLeast       bool // the budget is a lower bound
	note          string
}

func (l *line) met() string {
	switch {
	case l.budget == 0:
		return "-"
	case l.atLeast && l.value >= l.budget, !l.atLeast && l.value <= l.budget:
		return "met"
	}
	return "missed"
}

// bound is the budget as the table has it.
func (l *line) bound() string {
	switch {
	case l.budget == 0:
		return "-"
	case l.atLeast:
		return "≥ " + short(l.budget)
	}
	return "≤ " + short(l.budget)
}

// report keeps a line for the table and gives it to the benchmark's output. A line measured again replaces the one before.
func (g *gate) report(b *testing.B, l line) {
	if l.floor > 0 && l.value == 0 {
		l.value = l.figure / l.floor
	}
	if l.floor == 0 && l.value == 0 {
		l.value = l.figure
	}
	b.ReportMetric(0, "ns/op")
	name := strings.ReplaceAll(strings.ReplaceAll(l.name, ", ", ","), " ", "-")
	if l.floor > 0 {
		b.ReportMetric(l.value, name+":ratio")
	} else {
		b.ReportMetric(l.figure, name+":"+strings.ReplaceAll(l.unit, " ", "-"))
	}
	i := slices.IndexFunc(g.lines, func(x line) bool { return x.name == l.name })
	if i < 0 {
		g.lines = append(g.lines, l)
		return
	}
	g.lines[i] = l
}

// table prints all lines as Markdown, ready for docs/benchmarks.md.
func (g *gate) table() {
	if len(g.lines) == 0 {
		return
	}
	resources := "no population"
	if g.imported != nil {
		resources = fmt.Sprintf("%d resources", g.imported.resources)
	}
	fmt.Printf("\n%s, %d cores (%s), %s, %s; load average %s\n\n", time.Now().UTC().Format("2006-01-02 15:04"), runtime.NumCPU(), cpuModel(), runtime.Version(), resources, loadAverage())
	fmt.Println("| what | figure | floor | ratio | budget | | how |")
	fmt.Println("|--|--|--|--|--|--|--|")
	for i := range g.lines {
		l := &g.lines[i]
		floor, ratio := "-", "-"
		if l.floor > 0 {
			floor, ratio = short(l.floor), strconv.FormatFloat(l.value, 'f', 2, 64)
		}
		fmt.Printf("| %s | %s %s | %s | %s | %s | %s | %s |\n", l.name, short(l.figure), l.unit, floor, ratio, l.bound(), l.met(), l.note)
	}
	fmt.Println()
}

// short writes a figure with three digits that count.
func short(x float64) string {
	switch {
	case x >= 100:
		return strconv.FormatFloat(x, 'f', 0, 64)
	case x >= 10:
		return strconv.FormatFloat(x, 'f', 1, 64)
	}
	return strings.TrimRight(strings.TrimRight(strconv.FormatFloat(x, 'f', 3, 64), "0"), ".")
}

func cpuModel() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	_, after, _ := strings.Cut(string(info), "model name")
	name, _, _ := strings.Cut(after, "\n")
	return strings.TrimLeft(name, "\t :")
}

func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(text))[:3], " ")
}

// median of a list that is not empty; the list is sorted.
func median[T cmp.Ordered](list []T) T {
	slices.Sort(list)
	return list[len(list)/2]
}

// slicesPerRound is how often a figure and its floor alternate.
const slicesPerRound = 5

// compared is a figure and its floor: medians of both and of their ratios.
type compared struct {
	figure, floor, ratio float64
	figureCPU, floorCPU  float64 // µs per operation
}

// alternate measures a figure and its floor in turn, slice by slice.
func alternate(measure func(slice int) (figure, floor pace)) compared {
	var fs, fls, ratios, fcpu, flcpu []float64
	for i := range slicesPerRound {
		f, fl := measure(i)
		fs, fls, ratios = append(fs, f.perSecond), append(fls, fl.perSecond), append(ratios, f.perSecond/fl.perSecond)
		fcpu, flcpu = append(fcpu, f.cpu), append(flcpu, fl.cpu)
	}
	return compared{figure: median(fs), floor: median(fls), ratio: median(ratios), figureCPU: median(fcpu), floorCPU: median(flcpu)}
}

// cpu says what the operations took of the CPU.
func (c *compared) cpu() string {
	return fmt.Sprintf("CPU %.0f µs of %.0f, clients included: %.2f", c.figureCPU, c.floorCPU, c.floorCPU/c.figureCPU)
}
