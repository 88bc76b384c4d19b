package ucum

import (
	_ "embed"
	"fmt"
	"math/big"
	"strings"
	"sync"
)

//go:embed units.tsv
var unitsText string

// row is one unit of the table as it is defined.
type row struct {
	code   string
	kind   string // b base, a arbitrary, s special, m metric
	factor string // a number, or the function of a special unit
	unit   string
}

// table is read only once it is complete.
type table struct {
	prefixes map[string]*big.Rat
	rows     map[string]row
	resolved map[string]Unit
}

// units is the table, read and reduced to base units at first use (some 2 ms).
var units = sync.OnceValues(func() (*table, error) { return readTable(unitsText) })

func readTable(text string) (*table, error) {
	t := &table{prefixes: map[string]*big.Rat{}, rows: map[string]row{}, resolved: map[string]Unit{}}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(strings.TrimRight(line, "\n"), "\t")
		switch {
		case f[0] == "prefix" && len(f) == 3:
			r, ok := new(big.Rat).SetString(f[2])
			if !ok {
				return nil, fmt.Errorf("ucum: prefix %s has no factor", f[1])
			}
			t.prefixes[f[1]] = r
		case f[0] == "unit" && len(f) >= 5:
			t.rows[f[1]] = row{f[1], f[2], f[3], f[4]}
		default:
			return nil, fmt.Errorf("ucum: malformed line %q", line)
		}
	}
	for _, r := range t.rows {
		if _, ok := t.resolve(r); !ok {
			return nil, fmt.Errorf("ucum: unit %s has no meaning", r.code)
		}
	}
	return t, nil
}

// find gives a unit by its symbol, with or without a prefix.
func (t *table) find(symbol string) (Unit, bool) {
	if r, ok := t.rows[symbol]; ok {
		return t.resolve(r)
	}
	for n := 1; n <= 2 && n < len(symbol); n++ {
		prefix, ok := t.prefixes[symbol[:n]]
		if !ok {
			continue
		}
		r, ok := t.rows[symbol[n:]]
		if !ok || !r.metric() {
			continue
		}
		u, ok := t.resolve(r)
		if !ok {
			return u, false
		}
		u.factor = new(big.Rat).Mul(u.factor, prefix)
		return u, true
	}
	return Unit{}, false
}

// metric units take prefixes; base units are metric.
func (r row) metric() bool { return strings.ContainsAny(r.kind, "mb") }

// resolve reduces r and, before it, what r is defined by. Only readTable calls
// it for a row that is not resolved yet.
func (t *table) resolve(r row) (Unit, bool) {
	if u, ok := t.resolved[r.code]; ok {
		return u, true
	}
	var u Unit
	ok := true
	switch r.kind[0] {
	case 'b', 'a':
		u = Unit{factor: big.NewRat(1, 1), dims: []dim{{r.code, 1}}}
	case 's':
		u = special(r)
	default:
		u, ok = t.derived(r)
	}
	if ok {
		t.resolved[r.code] = u
	}
	return u, ok
}

// derived is factor × unit.
func (t *table) derived(r row) (Unit, bool) {
	factor, ok := new(big.Rat).SetString(r.factor)
	if !ok {
		return Unit{}, false
	}
	p := parser{table: t, src: r.unit}
	u, err := p.term()
	if err != nil || p.at < len(r.unit) || u.alone {
		return Unit{}, false
	}
	u.factor = factor.Mul(factor, u.factor)
	return u, true
}

// special units: temperatures are a factor and an offset; the others are
// functions, and so a dimension of their own.
func special(r row) Unit {
	kelvin := []dim{{"K", 1}}
	switch r.factor {
	case "Cel":
		return Unit{factor: big.NewRat(1, 1), offset: big.NewRat(27315, 100), dims: kelvin, alone: true}
	case "degF": // K = 5/9 × (F + 459.67)
		return Unit{factor: big.NewRat(5, 9), offset: big.NewRat(5*45967, 900), dims: kelvin, alone: true}
	case "degRe": // K = 5/4 × Re + 273.15
		return Unit{factor: big.NewRat(5, 4), offset: big.NewRat(27315, 100), dims: kelvin, alone: true}
	}
	return Unit{factor: big.NewRat(1, 1), dims: []dim{{r.code, 1}}, alone: true}
}
