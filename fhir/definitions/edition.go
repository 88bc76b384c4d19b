package definitions

import (
	"cmp"
	"strings"
)

// Edition is what tells the definitions of one canonical from each other: the elements of these names, each may be empty.
type Edition struct{ Version, Status, Date string }

// Compare says which one a canonical without a version names, the greater: active before draft before retired, then the later version, then the later date.
//
// https://hl7.org/fhir/R4/references.html#canonical
func (e Edition) Compare(other Edition) int {
	return cmp.Or(cmp.Compare(e.rank(), other.rank()), compareVersions(e.Version, other.Version), cmp.Compare(e.Date, other.Date))
}

func (e Edition) rank() int {
	switch e.Status {
	case "active":
		return 2
	case "draft", "unknown":
		return 1
	}
	return 0
}

// Named says that a canonical with this version may name e: 4.0 is a name for 4.0.1 too.
func (e Edition) Named(version string) bool {
	return e.Version == version || strings.HasPrefix(e.Version, version+".")
}

// Newest gives the place of the one that a canonical with this version names, of any version where it is empty: one with just this version
// before those that it is the beginning of, the last of equal ones; -1 when there is none.
func Newest(of []Edition, version string) int {
	best := -1
	better := func(e, than Edition) bool {
		if version != "" && (e.Version == version) != (than.Version == version) {
			return e.Version == version
		}
		return e.Compare(than) >= 0
	}
	for i, e := range of {
		if (version == "" || e.Named(version)) && (best < 0 || better(e, of[best])) {
			best = i
		}
	}
	return best
}

// compareVersions compares dotted versions, numbers as numbers. A label behind `-` stands before the version without one; a date has none.
func compareVersions(a, b string) int {
	a, la := label(a)
	b, lb := label(b)
	x, y := strings.FieldsFunc(a, between), strings.FieldsFunc(b, between)
	for i := range max(len(x), len(y)) {
		var p, q string
		if i < len(x) {
			p = x[i]
		}
		if i < len(y) {
			q = y[i]
		}
		if p == q {
			continue
		}
		if numeric(p) && numeric(q) {
			p, q = strings.TrimLeft(p, "0"), strings.TrimLeft(q, "0")
			if len(p) != len(q) {
				return len(p) - len(q)
			}
		}
		if c := strings.Compare(p, q); c != 0 {
			return c
		}
	}
	switch {
	case la == lb:
		return 0
	case la == "":
		return 1
	case lb == "":
		return -1
	}
	return strings.Compare(la, lb)
}

func numeric(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' }) < 0
}

func between(r rune) bool { return r == '.' || r == '-' }

// label cuts off what stands behind a `-` and begins with no digit.
func label(version string) (numbers, label string) {
	for i := range version {
		if version[i] == '-' && i+1 < len(version) && (version[i+1] < '0' || version[i+1] > '9') {
			return version[:i], version[i+1:]
		}
	}
	return version, ""
}
