package operation

import (
	"math/big"
	"testing"
)

func rats(t *testing.T, texts ...string) (out []*big.Rat) {
	t.Helper()
	for _, s := range texts {
		r, ok := new(big.Rat).SetString(s)
		if !ok {
			t.Fatal(s)
		}
		out = append(out, r)
	}
	return out
}

// Expected values are those that Python 3.11's statistics (mean, variance, stdev, quantiles inclusive, linear_regression) and SciPy's
// skew and kurtosis with bias=False print for the same numbers.
func TestStatistics(t *testing.T) {
	y := rats(t, "3", "4", "5", "2", "3", "4", "5", "6", "4", "7")
	s := newSample(y, y, rats(t, "0", "1", "2", "3", "4", "5", "6", "7", "8", "9"))
	for name, c := range map[string]struct {
		got  func() (*big.Rat, bool)
		want string
	}{
		"average":     {s.mean, "4.3"},
		"variance":    {s.variance, "2.23333333333"},
		"std-dev":     {s.deviation, "1.4944341181"},
		"median":      {func() (*big.Rat, bool) { return s.quantile(1, 2) }, "4"},
		"20-percent":  {func() (*big.Rat, bool) { return s.quantile(1, 5) }, "3"},
		"80-percent":  {func() (*big.Rat, bool) { return s.quantile(4, 5) }, "5.2"},
		"4-lower":     {func() (*big.Rat, bool) { return s.quantile(1, 4) }, "3.25"},
		"4-upper":     {func() (*big.Rat, bool) { return s.quantile(3, 4) }, "5"},
		"4-dev":       {s.quartileDeviation, "0.875"},
		"skew":        {s.skew, "0.359543071407"},
		"kurtosis":    {s.kurtosis, "-0.151799637208"},
		"gradient":    {func() (*big.Rat, bool) { g, _, ok := s.regression(); return g, ok }, "0.309090909091"},
		"intercept":   {func() (*big.Rat, bool) { _, i, ok := s.regression(); return i, ok }, "2.90909090909"},
		"sum as such": {func() (*big.Rat, bool) { return s.sum(), true }, "43"},
	} {
		r, ok := c.got()
		if !ok {
			t.Errorf("%s has no value", name)
			continue
		}
		if got, _ := decimalText(r); got != c.want {
			t.Errorf("%s is %s, want %s", name, got, c.want)
		}
	}
}

// Decimals are added as they are written, not as binary fractions.
func TestStatisticsAreDecimal(t *testing.T) {
	s := newSample(rats(t, "0.1", "0.2", "5.40"), nil, nil)
	if got, _ := decimalText(s.sum()); got != "5.7" {
		t.Errorf("0.1 + 0.2 + 5.40 is %s", got)
	}
}

func TestStatisticsWithoutAValue(t *testing.T) {
	one, equal := newSample(rats(t, "1"), rats(t, "1"), rats(t, "0")), newSample(rats(t, "2", "2", "2", "2"), rats(t, "2", "2", "2", "2"), rats(t, "1", "1", "1", "1"))
	none, untimed := newSample(nil, nil, nil), newSample(rats(t, "1", "2"), nil, nil)
	for name, f := range map[string]func() (*big.Rat, bool){
		"deviation of one": one.deviation, "skew of one": one.skew, "kurtosis of one": one.kurtosis, "mean of none": none.mean,
		"skew of equals": equal.skew, "kurtosis of equals": equal.kurtosis,
		"line at one time": func() (*big.Rat, bool) { g, _, ok := equal.regression(); return g, ok },
		"line of untimed":  func() (*big.Rat, bool) { g, _, ok := untimed.regression(); return g, ok },
		"median of none":   func() (*big.Rat, bool) { return none.quantile(1, 2) },
	} {
		if r, ok := f(); ok {
			t.Errorf("%s is %s", name, r)
		}
	}
	if d, ok := equal.deviation(); !ok || d.Sign() != 0 {
		t.Errorf("deviation of equals is %s", d)
	}
}

func TestDecimalText(t *testing.T) {
	for in, want := range map[string]string{"1/3": "0.333333333333", "-2/3": "-0.666666666667", "1/3000": "0.000333333333333", "100000/3": "33333.3333333",
		"123456789012345": "123456789012345", "0": "0", "5/2": "2.5", "-1/1000": "-0.001"} {
		if got, _ := decimalText(rats(t, in)[0]); got != want {
			t.Errorf("%s is %s, want %s", in, got, want)
		}
	}
}
