package search

import (
	"fmt"
	"strconv"
)

// Nearest gives the spelling among names that is closest to a misspelt one, ""
// when none is near.
func Nearest(name string, names []string) string { return nearest(name, names) }

// nearest gives the spelling among names that is closest to a misspelt one, ""
// when none is near: at most a third of its letters differ, or it begins with
// what was written.
func nearest(name string, names []string) string {
	const longest = 64 // bytes; a longer name is no misspelling
	if name == "" || len(name) > longest {
		return ""
	}
	best, least := "", len(name)/3+1
	for _, n := range names {
		if d := distance(name, n, least); d < least || d == least && best == "" {
			best, least = n, d
		}
	}
	if best == "" && len(name) >= 3 {
		for _, n := range names {
			if len(n) > len(name) && n[:len(name)] == name {
				return n
			}
		}
	}
	return best
}

// distance counts the letters to insert, drop, replace or swap with the next to
// turn a into b, ignoring the case of ASCII letters; more than most is most+1.
func distance(a, b string, most int) int {
	if len(a)-len(b) > most || len(b)-len(a) > most {
		return most + 1
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if lower(a[i-1]) == lower(b[j-1]) {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && lower(a[i-1]) == lower(b[j-2]) && lower(a[i-2]) == lower(b[j-1]) {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return min(last[len(b)], most+1)
}

func didYouMean(near string) string {
	if near == "" {
		return ""
	}
	return "; did you mean " + strconv.Quote(near) + "?"
}

// lacks says that the type has no parameter of that name.
func (tt *typeTable) lacks(name string) string {
	return fmt.Sprintf("there is no search parameter %s for %s%s", strconv.Quote(short(name)), tt.typ.Name, didYouMean(nearest(name, tt.spellings())))
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// spellings are the names that a parameter of the type may have.
func (tt *typeTable) spellings() []string {
	names := make([]string, 0, len(tt.params)+len(resultParameters))
	for _, p := range tt.params {
		names = append(names, p.Code)
	}
	return append(names, resultParameters...)
}

func (tt *typeTable) references() []string {
	var names []string
	for _, p := range tt.params {
		if p.Kind == KindReference {
			names = append(names, p.Code)
		}
	}
	return names
}
