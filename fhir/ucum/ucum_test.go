package ucum

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"meridian/fhir/value"
)

func parse(t testing.TB, code string) Unit {
	t.Helper()
	u, err := Parse(code)
	if err != nil {
		t.Fatalf("%s: %v", code, err)
	}
	return u
}

func number(t testing.TB, s string) value.Decimal {
	t.Helper()
	d, err := value.ParseDecimal(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestTable compares every unit's factor and dimension, computed from its
// definition, with those that ucum-lhc has computed in floating point.
func TestTable(t *testing.T) {
	bases, n := []string{"m", "s", "g", "rad", "K", "C", "cd"}, 0
	for line := range strings.Lines(unitsText) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		if f[0] != "unit" {
			continue
		}
		n++
		u, err := Parse(f[1])
		if err != nil {
			t.Errorf("%s: %v", f[1], err)
			continue
		}
		switch {
		case f[2][0] == 'a', f[2][0] == 's':
			continue
		case f[1] == "Bd", f[1] == "[diop]", f[1] == "[mesh_i]", f[1] == "[LPF]":
			continue // ucum-lhc has the inverse of the first three, and 1 for the 100 of the last
		}
		var dims []string
		for k, e := range strings.Split(f[6], ",") {
			switch e {
			case "0":
			case "1":
				dims = append(dims, bases[k])
			default:
				dims = append(dims, bases[k]+e)
			}
		}
		if f[1] == "[IU]" {
			dims = []string{"[iU]"}
		}
		slices.Sort(dims)
		if got, want := u.Canonical(), cmp.Or(strings.Join(dims, "."), "1"); got != want {
			t.Errorf("%s: dimension %s, want %s", f[1], got, want)
		}
		want, _ := strconv.ParseFloat(f[5], 64)
		if got, _ := u.factor.Float64(); math.Abs(got-want) > 1e-9*math.Abs(want) {
			t.Errorf("%s: factor %g, want %g", f[1], got, want)
		}
	}
	if n != 311 {
		t.Errorf("%d units", n)
	}
}

func TestCanonical(t *testing.T) {
	for _, c := range [][2]string{
		{"1", "1"}, {"%", "1"}, {"{cells}", "1"}, {"mg/dL", "g.m-3"}, {"mmol/L", "m-3"}, {"10*9/L", "m-3"}, {"{cells}/uL", "m-3"},
		{"/min", "s-1"}, {"m/s2", "m.s-2"}, {"kg.m2/s2", "g.m2.s-2"}, {"J", "g.m2.s-2"}, {"mm[Hg]", "g.m-1.s-2"}, {"[iU]/L", "[iU].m-3"},
		{"[IU]/mL", "[iU].m-3"}, {"Cel", "K"}, {"[degF]", "K"}, {"[pH]", "[pH]"}, {"dB", "B"}, {"m.m-1", "1"}, {"(mg/dL)/(mg/dL)", "1"},
		{"g{creat}", "g"}, {"10*-2", "1"}, {"mL/min/{1.73_m2}", "m3.s-1"}, {"m[H2O]", "g.m-1.s-2"}, {"ug/24.h", "g.s"}, {"ug/(24.h)", "g.s-1"},
		{"meq/L", "m-3"}, {"daN", "g.m.s-2"}, {"Gy", "m2.s-2"}, {"U/L", "m-3.s-1"},
	} {
		if got := parse(t, c[0]).Canonical(); got != c[1] {
			t.Errorf("%s is %s, want %s", c[0], got, c[1])
		}
	}
}

func TestParseRejects(t *testing.T) {
	for _, code := range []string{
		"", " ", "mg ", "foo", "mg/", "/", ".", "mg..dL", "(mg", "mg)", "mg{", "{é}", "m2+", "m100", "b70", "m60.m60", "0", "kmin", "Cel/min", "Cel2", "(Cel).1", "kg.Cel",
		"k[pH]", "mmg", "m^2", strings.Repeat("(", 30) + "m" + strings.Repeat(")", 30), strings.Repeat("m.", 200) + "m", "毫克",
	} {
		if u, err := Parse(code); err == nil {
			t.Errorf("%q is read as %s", code, u.Canonical())
		}
	}
}

// Factors are those of UCUM's definitions, worked by hand.
func TestConvert(t *testing.T) {
	for _, c := range [][4]string{
		{"1", "kg", "g", "1000"}, {"5.40", "g", "mg", "5400"}, {"1", "[lb_av]", "g", "453.59237"}, {"1", "[in_i]", "cm", "2.54"},
		{"37", "Cel", "K", "310.15"}, {"98.6", "[degF]", "Cel", "37"}, {"-40", "Cel", "[degF]", "-40"}, {"0", "K", "Cel", "-273.15"},
		{"1", "h", "min", "60"}, {"90", "/min", "/h", "5400"}, {"1", "wk", "d", "7"}, {"1", "a", "d", "365.25"},
		{"1", "mm[Hg]", "Pa", "133.322"}, {"1", "L", "dm3", "1"}, {"100", "mg/dL", "g/L", "1"}, {"1", "mmol/L", "umol/mL", "1"},
		{"1", "U", "umol/min", "1"}, {"1", "cal_th", "J", "4.184"}, {"50", "%", "1", "0.5"}, {"1", "10*9/L", "/nL", "1"}, {"1", "B", "dB", "10"},
		{"1", "deg", "'", "60"}, {"2", "[ft_i]", "[in_i]", "24"}, {"1000", "m[IU]/L", "[iU]/L", "1"},
	} {
		got, ok := Convert(number(t, c[0]), parse(t, c[1]), parse(t, c[2]))
		if !ok || got.Cmp(number(t, c[3])) != 0 {
			t.Errorf("%s %s is %s %s, %v; want %s", c[0], c[1], got, c[2], ok, c[3])
		}
	}
	for _, c := range [][2]string{{"g", "m"}, {"[iU]", "1"}, {"[pH]", "mol/L"}, {"K", "1"}, {"[iU]", "[arb'U]"}} {
		if _, ok := Convert(number(t, "1"), parse(t, c[0]), parse(t, c[1])); ok {
			t.Errorf("%s converts to %s", c[0], c[1])
		}
	}
}

func TestCompareIsExact(t *testing.T) {
	if c, ok := Compare(number(t, "1"), parse(t, "/min"), number(t, "60"), parse(t, "/h")); c != 0 || !ok {
		t.Error("1/min and 60/h are not equal")
	}
	if c, ok := Compare(number(t, "0.1"), parse(t, "g"), number(t, "100.0000000000000000000001"), parse(t, "mg")); c >= 0 || !ok {
		t.Error("a difference in the 25th digit is lost")
	}
	a, _ := parse(t, "/min").ToBase(number(t, "1"))
	b, _ := parse(t, "/h").ToBase(number(t, "60"))
	if a.Cmp(b) != 0 {
		t.Errorf("equal quantities have base values %s and %s", a, b)
	}
	huge, ok := parse(t, "Ym99").ToBase(number(t, "1e100"))
	if want := number(t, "1e2476"); !ok || huge.Cmp(want) != 0 {
		t.Errorf("1e100 Ym99 is %s, %v", huge, ok)
	}
}

func TestCache(t *testing.T) {
	var c Cache
	for range 2 {
		u, err := c.Parse("mg/dL")
		if err != nil || u.Canonical() != "g.m-3" {
			t.Error(u.Canonical(), err)
		}
		if _, err := c.Parse("foo"); err == nil {
			t.Error("foo is a unit")
		}
	}
	if len(c.units) != 1 {
		t.Errorf("%d units are kept", len(c.units))
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"mg/dL", "mL/min/{1.73_m2}", "10*3/uL", "(m/s)2", "[in_i'H2O]", "Cel", "%[slope]", "/((m))", "m-1.s+2{x}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := Parse(s)
		if err != nil {
			return
		}
		again, err := Parse(u.Canonical())
		if err != nil || !again.Comparable(u) {
			t.Fatalf("%q is %q, which reads as %v, %v", s, u.Canonical(), again.Canonical(), err)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	b.Run("cached", func(b *testing.B) {
		var c Cache
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.Parse("mg/dL"); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, s := range []string{"mg/dL", "10*9/L"} {
		b.Run(s, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse(s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// 1 g/L is 1,000 g/m³; a Fahrenheit degree is 5/9 K and a minute 60 s, so their decimals have no end.
func TestDecimals(t *testing.T) {
	for _, c := range []struct {
		code, factor, offset string
		ok                   bool
	}{
		{"g/L", "1000", "0", true}, {"mg/dL", "10", "0", true}, {"Cel", "1", "273.15", true}, {"mmol/L", "602213670000000000000000", "0", true}, {"[pH]", "1", "0", true},
		{"[degF]", "", "", false}, {"/min", "", "", false},
	} {
		u, err := Parse(c.code)
		if err != nil {
			t.Fatal(err)
		}
		factor, offset, ok := u.Decimals()
		if ok != c.ok || ok && (factor.String() != c.factor || offset.String() != c.offset) {
			t.Errorf("%s: × %s + %s, %t", c.code, factor, offset, ok)
		}
	}
}
