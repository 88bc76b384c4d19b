package definitions

import "testing"

func TestTheNewestEditionIsNamed(t *testing.T) {
	of := func(version, status, date string) Edition { return Edition{version, status, date} }
	for _, c := range []struct {
		why, version string
		of           []Edition
		want         int
	}{
		{"none", "", nil, -1},
		{"the later version", "", []Edition{of("1.10", "active", ""), of("1.9", "active", "")}, 0},
		{"active before draft", "", []Edition{of("2", "draft", ""), of("1", "active", ""), of("3", "retired", "")}, 1},
		{"the later date", "", []Edition{of("", "active", "2025"), of("", "active", "2024-12")}, 0},
		{"the last of equal ones", "", []Edition{of("1", "active", ""), of("1", "active", "")}, 1},
		{"a release after its label", "", []Edition{of("1.0.0", "active", ""), of("1.0.0-ballot", "active", "")}, 0},
		{"dates are versions", "", []Edition{of("2025-02", "active", ""), of("2025-10", "active", ""), of("2024-12", "active", "")}, 1},
		{"the one that is asked for", "1.0", []Edition{of("2.0", "active", ""), of("1.0", "retired", "")}, 1},
		{"a version by its beginning", "4.0", []Edition{of("4.1", "active", ""), of("4.0.1", "active", ""), of("4.00", "active", "")}, 1},
		{"just this version before a longer one", "1", []Edition{of("1", "draft", ""), of("1.2", "active", "")}, 0},
		{"another one", "3", []Edition{of("2", "active", "")}, -1},
	} {
		if got := Newest(c.of, c.version); got != c.want {
			t.Errorf("%s: %d, want %d", c.why, got, c.want)
		}
	}
}
