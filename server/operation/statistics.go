package operation

import (
	"math/big"
	"slices"
	"strings"

	"meridian/fhir/value"
)

// Statistics of a list of decimals, computed with fractions: exact but for
// square roots, which are taken to 200 bits. What is no decimal is rounded
// once, at the end, to significant digits. Where a statistic has no value (the
// deviation of one number) ok is false.

// significant is how many digits a rounded result has.
const significant = 12

// sample is the numbers of one group, sorted, and the times in days at which they were measured.
type sample struct {
	values []*big.Rat // ascending
	y, x   []*big.Rat // those with a time: value and days since the first
}

// newSample sorts the values; y and x are as long as each other, and not longer than values.
func newSample(values, y, x []*big.Rat) *sample {
	s := &sample{values: slices.Clone(values), y: y, x: x}
	slices.SortFunc(s.values, (*big.Rat).Cmp)
	return s
}

func (s *sample) n() int64 { return int64(len(s.values)) }

func (s *sample) sum() *big.Rat {
	out := new(big.Rat)
	for _, v := range s.values {
		out.Add(out, v)
	}
	return out
}

func (s *sample) mean() (*big.Rat, bool) {
	if s.n() == 0 {
		return nil, false
	}
	return new(big.Rat).Quo(s.sum(), big.NewRat(s.n(), 1)), true
}

// moment is the sum of (v - mean)^k.
func (s *sample) moment(k int) *big.Rat {
	mean, ok := s.mean()
	out := new(big.Rat)
	if !ok {
		return out
	}
	for _, v := range s.values {
		d := new(big.Rat).Sub(v, mean)
		p := big.NewRat(1, 1)
		for range k {
			p.Mul(p, d)
		}
		out.Add(out, p)
	}
	return out
}

// variance of the sample: divided by n-1.
func (s *sample) variance() (*big.Rat, bool) {
	if s.n() < 2 {
		return nil, false
	}
	return new(big.Rat).Quo(s.moment(2), big.NewRat(s.n()-1, 1)), true
}

func (s *sample) deviation() (*big.Rat, bool) {
	v, ok := s.variance()
	if !ok {
		return nil, false
	}
	return squareRoot(v), true
}

func squareRoot(r *big.Rat) *big.Rat {
	f := new(big.Float).SetPrec(200).SetRat(r)
	out, _ := f.Sqrt(f).Rat(nil)
	return out
}

// quantile interpolates between the two values next to p·(n-1), p = num/den:
// the definition of Excel's PERCENTILE.INC and of R's type 7.
func (s *sample) quantile(num, den int64) (*big.Rat, bool) {
	if s.n() == 0 {
		return nil, false
	}
	at := num * (s.n() - 1)
	i := at / den
	low := s.values[i]
	if at%den == 0 {
		return low, true
	}
	d := new(big.Rat).Sub(s.values[i+1], low)
	return d.Add(low, d.Mul(d, big.NewRat(at%den, den))), true
}

// quartileDeviation is half of the distance between the quartiles.
func (s *sample) quartileDeviation() (*big.Rat, bool) {
	lower, ok := s.quantile(1, 4)
	if !ok {
		return nil, false
	}
	upper, _ := s.quantile(3, 4)
	d := new(big.Rat).Sub(upper, lower)
	return d.Quo(d, big.NewRat(2, 1)), true
}

// skew is n/((n-1)(n-2)) · Σ((v-mean)/s)³, the adjusted Fisher-Pearson coefficient (Excel's SKEW).
func (s *sample) skew() (*big.Rat, bool) {
	n := s.n()
	dev, ok := s.deviation()
	if n < 3 || !ok || dev.Sign() == 0 {
		return nil, false
	}
	cube := new(big.Rat).Mul(dev, new(big.Rat).Mul(dev, dev))
	out := new(big.Rat).Quo(s.moment(3), cube)
	return out.Mul(out, big.NewRat(n, (n-1)*(n-2))), true
}

// kurtosis is the excess over a normal distribution, corrected for the sample (Excel's KURT).
func (s *sample) kurtosis() (*big.Rat, bool) {
	n := s.n()
	v, ok := s.variance()
	if n < 4 || !ok || v.Sign() == 0 {
		return nil, false
	}
	out := new(big.Rat).Quo(s.moment(4), new(big.Rat).Mul(v, v))
	out.Mul(out, big.NewRat(n*(n+1), (n-1)*(n-2)))
	out.Quo(out, big.NewRat(n-3, 1))
	return out.Sub(out, big.NewRat(3*(n-1)*(n-1), (n-2)*(n-3))), true
}

// regression is the line of least squares through what has a time: value = intercept + gradient · days.
func (s *sample) regression() (gradient, intercept *big.Rat, ok bool) {
	n := big.NewRat(int64(len(s.x)), 1)
	sx, sy, sxx, sxy := new(big.Rat), new(big.Rat), new(big.Rat), new(big.Rat)
	for i := range s.x {
		sx.Add(sx, s.x[i])
		sy.Add(sy, s.y[i])
		sxx.Add(sxx, new(big.Rat).Mul(s.x[i], s.x[i]))
		sxy.Add(sxy, new(big.Rat).Mul(s.x[i], s.y[i]))
	}
	den := new(big.Rat).Sub(new(big.Rat).Mul(n, sxx), new(big.Rat).Mul(sx, sx))
	if den.Sign() == 0 {
		return nil, nil, false // none, one, or all at the same time
	}
	gradient = new(big.Rat).Sub(new(big.Rat).Mul(n, sxy), new(big.Rat).Mul(sx, sy))
	gradient.Quo(gradient, den)
	intercept = new(big.Rat).Sub(sy, new(big.Rat).Mul(gradient, sx))
	return gradient, intercept.Quo(intercept, n), true
}

// decimalText writes r: exactly where it has at most significant digits, else rounded to them.
func decimalText(r *big.Rat) (string, bool) {
	whole := new(big.Int).Quo(r.Num(), r.Denom())
	places := significant
	if digits := len(strings.TrimPrefix(whole.String(), "-")); whole.Sign() != 0 {
		places = max(significant-digits, 0)
	} else if r.Sign() != 0 {
		// 0.00012: the zeros behind the point are no significant digits.
		tenth, scaled := big.NewRat(1, 10), new(big.Rat).Abs(r)
		for ; scaled.Cmp(tenth) < 0 && places < 4*significant; places++ {
			scaled.Mul(scaled, big.NewRat(10, 1))
		}
	}
	d, ok := value.DecimalFromRat(r, places)
	return d.String(), ok
}
