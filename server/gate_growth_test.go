//go:build linux

package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// BenchmarkGrowth measures imports and searches at two sizes and prints how much each figure grows from one to the other: what a
// dense search costs must not depend on how many there are.
//
//	MERIDIAN_GROWTH_SIZES=100000,1000000 go test -run '^$' -bench Growth -benchtime 1x -timeout 2h ./server/
//
// Without the variable the sizes are too small to judge by. Both populations are measured in one run, one after the other.
func BenchmarkGrowth(b *testing.B) {
	sizes := growthSizes(b)
	c := gateSettings(b, "")
	tuneMemory(int64(c.GCHeadroom), int64(c.MemoryLimit)) // as the program does
	var lines [2][]line
	for b.Loop() {
		for i, size := range sizes {
			b.Run(strconv.Itoa(size), func(b *testing.B) {
				g := &gate{root: b, size: size}
				g.importing(b)
				g.searching(b)
				lines[i] = g.lines
			})
		}
	}
	growthTable(sizes, lines)
}

func growthSizes(b *testing.B) (sizes [2]int) {
	list := os.Getenv("MERIDIAN_GROWTH_SIZES")
	if list == "" {
		list = "400,1200"
	}
	small, large, _ := strings.Cut(list, ",")
	for i, s := range []string{small, large} {
		n, err := strconv.Atoi(s)
		if err != nil || n < 200 {
			b.Fatalf("MERIDIAN_GROWTH_SIZES is two numbers of resources, at least 200, not %q", list)
		}
		sizes[i] = n
	}
	return sizes
}

// growthTable prints both figures of each line, both ratios to the floor where there is one, and the growth of the figure.
func growthTable(sizes [2]int, lines [2][]line) {
	fmt.Printf("\nload average %s\n\n", loadAverage())
	fmt.Printf("| what | %d | ratio | %d | ratio | budget | | growth |\n|--|--|--|--|--|--|--|--|\n", sizes[0], sizes[1])
	for i := range lines[1] {
		large := &lines[1][i]
		at := slices.IndexFunc(lines[0], func(l line) bool { return l.name == large.name })
		if at < 0 {
			continue // page 50 of the small one is not page 200 of the large
		}
		small := &lines[0][at]
		ratio := func(l *line) string {
			if l.floor == 0 {
				return "-"
			}
			return strconv.FormatFloat(l.value, 'f', 2, 64)
		}
		fmt.Printf("| %s | %s %s | %s | %s | %s | %s | %s, %s | %.2f |\n", large.name, short(small.figure), small.unit, ratio(small), short(large.figure), ratio(large),
			large.bound(), small.met(), large.met(), large.figure/small.figure)
	}
	fmt.Println()
}
