package value

import (
	"bytes"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func mustDecimal(t testing.TB, s string) Decimal {
	t.Helper()
	d, err := ParseDecimal(s)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return d
}

func TestDecimalKeepsItsText(t *testing.T) {
	for _, s := range []string{
		"0", "-0", "0.00", "-0.0", "5.40", "100", "1e2", "1E+2", "1.0e-10", "-0.001", "0e5",
		"123456789012345678", "999999999999999999", "1000000000000000000", "0.000000000000000000000000000001",
		"-12345678901234567890.12345678901234567890", strings.Repeat("9", MaxDigits), "1e5000", "1e-5000",
	} {
		if got := mustDecimal(t, s).String(); got != s {
			t.Errorf("String of %s is %s", s, got)
		}
		d, err := ParseDecimal([]byte(s))
		if err != nil || d.String() != s {
			t.Errorf("from bytes: %s is %s, %v", s, d, err)
		}
	}
}

// https://hl7.org/fhir/R4/datatypes.html#decimal: no leading zeros, no plus, digits on both sides of the point.
func TestDecimalRejects(t *testing.T) {
	for _, s := range []string{
		"", "-", "+1", "01", "-01", "00", ".5", "5.", "1e", "1e+", "1.e2", "1 ", " 1", "NaN", "0x1", "1,5", "1_0", "--1", "1.2.3", "١",
		strings.Repeat("9", MaxDigits+1), "1e5001", "1e-5001", "1e99999999999999999999", "1e-99999999999999999999",
	} {
		if d, err := ParseDecimal(s); err == nil {
			t.Errorf("%q is read as %s", s, d)
		}
	}
}

// https://hl7.org/fhir/R4/search.html#number gives 100, 100.00 and 1e2.
func TestDecimalBounds(t *testing.T) {
	for _, c := range [][3]string{
		{"100", "99.5", "100.5"},
		{"100.00", "99.995", "100.005"},
		{"1e2", "95", "105"},
		{"1.0e2", "95", "105"},
		{"1.00e2", "99.5", "100.5"},
		{"5.40", "5.395", "5.405"},
		{"5.4", "5.35", "5.45"},
		{"0", "-0.5", "0.5"},
		{"0.00", "-0.005", "0.005"},
		{"-5.4", "-5.45", "-5.35"},
		{"1e-3", "0.0005", "0.0015"},
		{"999999999999999999", "999999999999999998.5", "999999999999999999.5"},
		{"12345678901234567890.1", "12345678901234567890.05", "12345678901234567890.15"},
	} {
		lo, hi := mustDecimal(t, c[0]).Bounds()
		if lo.Cmp(mustDecimal(t, c[1])) != 0 || hi.Cmp(mustDecimal(t, c[2])) != 0 {
			t.Errorf("%s: [%s, %s), want [%s, %s)", c[0], lo, hi, c[1], c[2])
		}
	}
}

func TestKeyExamples(t *testing.T) {
	for _, c := range [][2]string{
		{"5.40", "f54-"}, {"5.41", "f541-"}, {"541", "h541-"}, {"-5.40", "J45A"}, {"0.0", "U"}, {"-0", "U"},
		{"1e20", "x00201-"}, {"1e-10", "V99891-"}, {"-1e-10", "T00108A"}, {"-1e20", "199798A"},
	} {
		if got := string(mustDecimal(t, c[0]).AppendKey(nil)); got != c[1] {
			t.Errorf("key of %s is %s, want %s", c[0], got, c[1])
		}
	}
}

// decimals generates texts whose numbers are often equal, near or neighbours.
func decimals() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		var b strings.Builder
		if rapid.Bool().Draw(t, "neg") {
			b.WriteByte('-')
		}
		whole := rapid.StringMatching(`0|[1-9][01459]{0,4}|[1-9][0-9]{0,60}`).Draw(t, "whole")
		b.WriteString(whole)
		if rapid.Bool().Draw(t, "point") {
			b.WriteByte('.')
			b.WriteString(rapid.StringMatching(`[0159]{1,4}|0{0,20}[0-9]{1,40}`).Draw(t, "fraction"))
		}
		if rapid.Bool().Draw(t, "exponent") {
			b.WriteString(rapid.StringMatching(`[eE][+-]?([0-9]|1[0-9]|[0-9]{3}|4[0-9]{3})`).Draw(t, "exp"))
		}
		return b.String()
	})
}

func rat(t testing.TB, s string) *big.Rat {
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		t.Fatalf("big.Rat does not read %s", s)
	}
	return r
}

func TestDecimalOrderIsThatOfFractions(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		a, b := decimals().Draw(rt, "a"), decimals().Draw(rt, "b")
		if rapid.Bool().Draw(rt, "near") { // the same number with zeros or a digit behind it
			b = strings.SplitN(strings.ToLower(a), "e", 2)[0]
			if !strings.Contains(b, ".") {
				b += "."
			}
			b += rapid.SampledFrom([]string{"0", "000", "1", "0001", "9"}).Draw(rt, "tail")
			if e := strings.ToLower(a); strings.Contains(e, "e") {
				b += e[strings.Index(e, "e"):]
			}
		}
		x, y := mustDecimal(t, a), mustDecimal(t, b)
		want := rat(t, a).Cmp(rat(t, b))
		if got := x.Cmp(y); got != want {
			rt.Fatalf("Cmp(%s, %s) = %d, want %d", a, b, got, want)
		}
		k, l := x.AppendKey(nil), y.AppendKey(nil)
		if got := bytes.Compare(k, l); got != want {
			rt.Fatalf("keys of %s and %s: %s and %s compare as %d, want %d", a, b, k, l, got, want)
		}
		if want != 0 && (bytes.HasPrefix(k, l) || bytes.HasPrefix(l, k)) {
			rt.Fatalf("one key begins another: %s, %s", k, l)
		}
		// Behind a key may follow anything.
		if want < 0 && bytes.Compare(append(k, 0x7f), append(l, ' ')) >= 0 {
			rt.Fatalf("what follows changes the order of %s and %s", k, l)
		}
		for _, key := range []string{string(k), string(l)} {
			if !(KeyMin < key && key < KeyMax) {
				rt.Fatalf("%s is not between KeyMin and KeyMax", key)
			}
			if strings.Trim(key, keyAlphabet+"-") != "" || len(key) > keyBuffer {
				rt.Fatalf("%s is not a key", key)
			}
		}
	})
}

func TestDecimalBoundsHoldTheirNumber(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := decimals().Draw(rt, "s")
		d := mustDecimal(t, s)
		lo, hi := d.Bounds()
		r, mid := rat(t, s), new(big.Rat).Add(lo.Rat(), hi.Rat())
		if mid.Mul(mid, big.NewRat(1, 2)).Cmp(r) != 0 || lo.Cmp(hi) >= 0 {
			rt.Fatalf("%s: [%s, %s)", s, lo, hi)
		}
		if d.Rat().Cmp(r) != 0 || d.IsInteger() != r.IsInt() || d.Sign() != r.Sign() {
			rt.Fatalf("%s: Rat %s, IsInteger %v, Sign %d", s, d.Rat(), d.IsInteger(), d.Sign())
		}
		if plain := mustDecimal(t, d.Neg().Neg().String()); plain.Cmp(d) != 0 {
			rt.Fatalf("%s prints plainly as %s", s, plain)
		}
	})
}

func TestDecimalArithmeticIsExact(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		gen := rapid.StringMatching(`-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,25})?`)
		a, b := gen.Draw(rt, "a"), gen.Draw(rt, "b")
		x, y, r, s := mustDecimal(t, a), mustDecimal(t, b), rat(t, a), rat(t, b)
		for _, c := range []struct {
			name string
			op   func(Decimal, Decimal) (Decimal, bool)
			want *big.Rat
		}{
			{"+", Decimal.Add, new(big.Rat).Add(r, s)},
			{"-", Decimal.Sub, new(big.Rat).Sub(r, s)},
			{"*", Decimal.Mul, new(big.Rat).Mul(r, s)},
		} {
			got, ok := c.op(x, y)
			if !ok || got.Rat().Cmp(c.want) != 0 {
				rt.Fatalf("%s %s %s = %s", a, c.name, b, got)
			}
			if again := mustDecimal(t, got.String()); again.Cmp(got) != 0 {
				rt.Fatalf("%s reads back as %s", got, again)
			}
		}
		if s.Sign() == 0 {
			if _, ok := x.Quo(y, 8); ok {
				rt.Fatal("divided by zero")
			}
			return
		}
		q, ok := x.Quo(y, 8)
		diff := new(big.Rat).Sub(q.Rat(), new(big.Rat).Quo(r, s))
		if !ok || diff.Abs(diff).Cmp(rat(t, "0.000000005")) > 0 {
			rt.Fatalf("%s / %s = %s", a, b, q)
		}
	})
}

func TestDecimalRound(t *testing.T) {
	for _, c := range []struct {
		in   string
		n    int
		want string
	}{
		{"3.14159", 3, "3.142"}, {"3.14159", 2, "3.14"}, {"2.5", 0, "3"}, {"-2.5", 0, "-3"}, {"2.4", 0, "2"},
		{"0.5", 0, "1"}, {"0.05", 0, "0"}, {"7", 2, "7"}, {"99.995", 2, "100.00"}, {"1e2", 1, "100"},
		{"1e5000", 0, "1e5000"},
	} {
		if got := mustDecimal(t, c.in).Round(c.n).String(); got != c.want {
			t.Errorf("%s rounded to %d is %s, want %s", c.in, c.n, got, c.want)
		}
	}
}

func TestDecimalInt64(t *testing.T) {
	for _, c := range []struct {
		in   string
		want int64
		ok   bool
	}{
		{"5", 5, true}, {"-5.9", -5, true}, {"1e3", 1000, true}, {"9223372036854775807", 1<<63 - 1, true},
		{"-9223372036854775808", -1 << 63, true}, {"9223372036854775808", 0, false}, {"1e5000", 0, false}, {"0e5000", 0, true},
	} {
		got, ok := mustDecimal(t, c.in).Int64()
		if ok != c.ok || ok && got != c.want {
			t.Errorf("%s: %d, %v", c.in, got, ok)
		}
		if c.ok && !strings.ContainsAny(c.in, ".e") && DecimalFromInt(got).String() != c.in {
			t.Errorf("DecimalFromInt(%d) is %s", got, DecimalFromInt(got))
		}
	}
}

func TestDecimalOverflow(t *testing.T) {
	big, tiny := mustDecimal(t, "1e5000"), mustDecimal(t, "1e-5000")
	for name, op := range map[string]func() (Decimal, bool){
		"sum of more digits than the limit": func() (Decimal, bool) { return big.Add(tiny) },
		"product over the exponent":         func() (Decimal, bool) { return big.Mul(big) },
		"quotient over the exponent":        func() (Decimal, bool) { return big.Quo(tiny, 8) },
		"division by zero":                  func() (Decimal, bool) { return big.QuoInt(Decimal{}) },
		"remainder of zero":                 func() (Decimal, bool) { return big.Rem(Decimal{}) },
	} {
		if d, ok := op(); ok {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestDecimalIntegerDivision(t *testing.T) {
	for _, c := range [][4]string{
		{"7", "2", "3", "1"}, {"-7", "2", "-3", "-1"}, {"7", "-2", "-3", "1"}, {"5.5", "0.7", "7", "0.6"}, {"1e2", "7", "14", "2"},
	} {
		q, _ := mustDecimal(t, c[0]).QuoInt(mustDecimal(t, c[1]))
		r, _ := mustDecimal(t, c[0]).Rem(mustDecimal(t, c[1]))
		if q.String() != c[2] || r.String() != c[3] {
			t.Errorf("%s by %s: %s rest %s", c[0], c[1], q, r)
		}
	}
	for _, c := range [][3]string{{"1.1", "1", "2"}, {"-1.1", "-2", "-1"}, {"3", "3", "3"}, {"-0.5", "-1", "0"}} {
		d := mustDecimal(t, c[0])
		if d.Floor().String() != c[1] || d.Ceiling().String() != c[2] {
			t.Errorf("%s: floor %s, ceiling %s", d, d.Floor(), d.Ceiling())
		}
	}
}

func FuzzParseDecimal(f *testing.F) {
	for _, s := range []string{"5.40", "-0", "1e2", "1.0E-10", "00", "1e99999", "123456789012345678901234567890.5"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseDecimal(s)
		if err != nil {
			return
		}
		if d.String() != s {
			t.Fatalf("%q prints as %q", s, d)
		}
		lo, hi := d.Bounds()
		if lo.Cmp(d) > 0 || d.Cmp(hi) >= 0 && d.Sign() >= 0 || lo.Cmp(hi) >= 0 {
			t.Fatalf("%s: [%s, %s)", s, lo, hi)
		}
	})
}

func BenchmarkDecimalKey(b *testing.B) {
	src, dst := []byte("140.25"), make([]byte, 0, 64)
	b.ReportAllocs()
	for b.Loop() {
		d, _ := ParseDecimal(src)
		lo, hi := d.Bounds()
		dst = hi.AppendKey(lo.AppendKey(dst[:0]))
	}
}
