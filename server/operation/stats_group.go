package operation

import (
	"fmt"
	"math/big"
	"slices"

	"meridian/fhir/codec"
	"meridian/fhir/element"
	"meridian/fhir/issue"
	"meridian/fhir/search"
	"meridian/fhir/ucum"
	"meridian/fhir/value"
	"meridian/server/interaction"
	"meridian/server/store"
)

// statsGroup is the values of one code. They are in the unit of the one that
// was added first, which is the most recent.
type statsGroup struct {
	system, code string
	asked        *wantedCode
	shown        string // display of the first coding that was found
	panel        bool
	unit         unit
	values       []statsValue
	total        int
	noNumber     int // no Quantity, or one without value
	comparator   int // <5 is no number
	otherUnit    int
	modified     int
	notes        []string
}

type statsValue struct {
	number *big.Rat
	when   moment
	from   *store.Resource
}

// measured is an observation that is evaluated.
type measured struct {
	resource *store.Resource
	root     element.Node
	when     moment
	modified bool
}

// unit of a quantity. known says that code is of UCUM and was read.
type unit struct {
	system, code, text string
	ucum               ucum.Unit
	known              bool
}

const ucumSystem = "http://unitsofmeasure.org"

func unitOf(q element.Node) unit {
	u := unit{system: q.Child("system").Text(), code: q.Child("code").Text(), text: q.Child("unit").Text()}
	if u.system == ucumSystem && u.code != "" {
		var err error
		u.ucum, err = ucum.Parse(u.code)
		u.known = err == nil
	}
	return u
}

// same says that values in both can be taken together as they are.
func (u *unit) same(v *unit) bool {
	if u.code != "" || v.code != "" {
		return u.system == v.system && u.code == v.code
	}
	return u.text == v.text
}

// add takes the value of an observation or component.
func (g *statsGroup) add(o *measured, n element.Node) {
	g.total++
	if g.shown == "" {
		for _, c := range elements(n.Child("code"), "coding") {
			if c.Child("code").Text() == g.code {
				g.shown = c.Child("display").Text()
			}
		}
	}
	q := n.Child("value")
	number := q.Child("value")
	switch {
	case o.modified || q.Child("modifierExtension").Valid():
		g.modified++
		return
	case !q.Valid() || q.Type().Name != "Quantity" || !number.HasValue():
		g.noNumber++
		return
	case q.Child("comparator").Valid():
		g.comparator++
		return
	}
	d, err := value.ParseDecimal(number.Raw())
	if err != nil {
		g.noNumber++
		return
	}
	u := unitOf(q)
	if len(g.values) == 0 {
		g.unit = u
	} else if !g.unit.same(&u) {
		ok := u.known && g.unit.known
		if ok {
			d, ok = ucum.Convert(d, u.ucum, g.unit.ucum)
		}
		if !ok {
			g.otherUnit++
			return
		}
	}
	g.values = append(g.values, statsValue{d.Rat(), o.when, o.resource})
}

func (g *statsGroup) display() string {
	if g.asked != nil && g.asked.display != "" {
		return g.asked.display
	}
	return g.shown
}

// remarks say what did not contribute.
func (g *statsGroup) remarks() []string {
	var out []string
	for _, r := range []struct {
		n    int
		text string
	}{{g.noNumber, "have no numeric value"}, {g.comparator, "have a value with a comparator"},
		{g.otherUnit, "have a unit that cannot be converted to " + g.unit.name()}, {g.modified, "have a modifier extension"}} {
		if r.n > 0 {
			out = append(out, fmt.Sprintf("%d of %d %s and did not contribute", r.n, g.total, r.text))
		}
	}
	return append(out, g.notes...)
}

func (u *unit) name() string {
	if u.code != "" {
		return u.code
	}
	return u.text
}

// sample gives the values; those without a time have none in the regression.
func (g *statsGroup) sample() *sample {
	var first value.Instant
	known := false
	for _, v := range g.values {
		if v.when.known && (!known || v.when.at.Compare(first) < 0) {
			first, known = v.when.at, true
		}
	}
	var values, y, x []*big.Rat
	for _, v := range g.values {
		values = append(values, v.number)
		if v.when.known {
			seconds := new(big.Rat).SetInt64(v.when.at.Sec - first.Sec)
			seconds.Add(seconds, big.NewRat(int64(v.when.at.Nsec)-int64(first.Nsec), 1_000_000_000))
			x = append(x, seconds.Quo(seconds, big.NewRat(86400, 1)))
			y = append(y, v.number)
		}
	}
	return newSample(values, y, x)
}

// statistic is one code of the value set and how it is computed.
type statistic struct {
	code, display string
	of            func(*sample) (*big.Rat, bool)
	unit          unitForm
}

// unitForm is how the unit of a statistic follows from that of the values.
type unitForm uint8

const (
	asValues unitForm = iota
	squared
	number // none: a count, a ratio
)

// statistics are the codes of http://hl7.org/fhir/ValueSet/observation-statistics in its
// order. total-count and regression are written by themselves.
func statistics() []*statistic {
	q := func(num, den int64) func(*sample) (*big.Rat, bool) {
		return func(s *sample) (*big.Rat, bool) { return s.quantile(num, den) }
	}
	return []*statistic{
		{"average", "Average", (*sample).mean, asValues},
		{"maximum", "Maximum", q(1, 1), asValues},
		{"minimum", "Minimum", q(0, 1), asValues},
		{"count", "Count", func(s *sample) (*big.Rat, bool) { return big.NewRat(s.n(), 1), true }, number},
		{"total-count", "Total Count", nil, number},
		{"median", "Median", q(1, 2), asValues},
		{"std-dev", "Standard Deviation", (*sample).deviation, asValues},
		{"sum", "Sum", func(s *sample) (*big.Rat, bool) { return s.sum(), s.n() > 0 }, asValues},
		{"variance", "Variance", (*sample).variance, squared},
		{"20-percent", "20th Percentile", q(1, 5), asValues},
		{"80-percent", "80th Percentile", q(4, 5), asValues},
		{"4-lower", "Lower Quartile", q(1, 4), asValues},
		{"4-upper", "Upper Quartile", q(3, 4), asValues},
		{"4-dev", "Quartile Deviation", (*sample).quartileDeviation, asValues},
		{"5-1", "1st Quintile", q(1, 5), asValues},
		{"5-2", "2nd Quintile", q(2, 5), asValues},
		{"5-3", "3rd Quintile", q(3, 5), asValues},
		{"5-4", "4th Quintile", q(4, 5), asValues},
		{"skew", "Skew", (*sample).skew, number},
		{"kurtosis", "Kurtosis", (*sample).kurtosis, number},
		{"regression", "Regression", nil, asValues},
	}
}

func statisticCodes() (out []string) {
	for _, k := range statistics() {
		out = append(out, k.code)
	}
	return out
}

// askedStatistics reads the parameter statistic; each counts once.
func askedStatistics(c *interaction.OperationCall) (out []*statistic, err error) {
	all, codes := statistics(), statisticCodes()
	for _, v := range c.Values("statistic") {
		i := slices.Index(codes, v.Text())
		if i < 0 {
			text := "there is no such statistic"
			if near := search.Nearest(v.Text(), codes); near != "" {
				text += "; did you mean " + near + "?"
			}
			return nil, issue.New(issue.CodeInvalid, "stats.statistic", text, "").WithStatus(400)
		}
		if !slices.Contains(out, all[i]) {
			out = append(out, all[i])
		}
	}
	return out, nil
}

// append writes the component, of a regression two: gradient and intercept.
func (k *statistic) append(dst []byte, g *statsGroup, s *sample) []byte {
	switch k.code {
	case "total-count":
		return k.component(dst, "", big.NewRat(int64(g.total), 1), true, unit{system: ucumSystem, code: "1"})
	case "regression":
		gradient, intercept, ok := s.regression()
		dst = k.component(dst, "gradient, per day", gradient, ok, g.unit.perDay())
		return k.component(append(dst, ','), "intercept, at the time of the first value", intercept, ok, g.unit)
	}
	r, ok := k.of(s)
	u := g.unit
	switch k.unit {
	case squared:
		u = g.unit.squared()
	case number:
		u = unit{system: ucumSystem, code: "1"}
	}
	return k.component(dst, "", r, ok, u)
}

func (u unit) perDay() unit  { return u.derived(u.name() + "/d") }
func (u unit) squared() unit { return u.derived("(" + u.name() + ")2") }

// derived is a unit that UCUM can say, else a text.
func (u unit) derived(code string) unit {
	if u.known {
		if _, err := ucum.Parse(code); err == nil {
			return unit{system: ucumSystem, code: code, text: code}
		}
	}
	if u.name() == "" {
		return unit{}
	}
	return unit{text: code}
}

func (k *statistic) component(dst []byte, text string, r *big.Rat, ok bool, u unit) []byte {
	dst = append(dst, `{"code":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-statistics","code":`...)
	dst = codec.AppendString(dst, k.code)
	dst = codec.AppendString(append(dst, `,"display":`...), k.display)
	dst = append(dst, `}]`...)
	if text != "" {
		dst = codec.AppendString(append(dst, `,"text":`...), text)
	}
	digits := ""
	if ok {
		digits, ok = decimalText(r)
	}
	if !ok {
		return append(dst, `},"dataAbsentReason":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/data-absent-reason","code":"not-applicable"}]}}`...)
	}
	dst = append(append(dst, `},"valueQuantity":{"value":`...), digits...)
	for _, f := range []struct{ name, text string }{{"unit", u.text}, {"system", u.system}, {"code", u.code}} {
		if f.text != "" {
			dst = codec.AppendString(append(append(append(dst, `,"`...), f.name...), `":`...), f.text)
		}
	}
	return append(dst, `}}`...)
}
