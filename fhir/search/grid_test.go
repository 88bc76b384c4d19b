package search

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"meridian/fhir/element"
)

var comparators = []string{"", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"}

// numberGrid holds numbers close enough to meet each other's edges of precision and of ap.
var numberGrid = []string{"0", "0.0", "-0.05", "0.05", "0.4", "0.5", "0.50", "1", "1.0", "0.95", "1.05", "1.04", "0.9", "1.1", "9", "9.5", "10", "10.0", "10.5", "11", "1e1",
	"99.5", "100", "100.5", "95", "105", "1e2", "-1", "-1.0", "-1.05", "-0.95", "-9", "-10", "-11", "1e20", "-1e20", "1e-12"}

// TestNumberGrid: every prefix, value, comparator and range of the grid is decided alike by keys and by Match.
func TestNumberGrid(t *testing.T) {
	r := testRegistry(t)
	var roots []element.Node
	for _, v := range numberGrid {
		for _, c := range []string{"", "<", "<=", ">", ">="} {
			q := fmt.Sprintf(`"valueQuantity":{"value":%s,"unit":"mg"}`, v)
			if c != "" {
				q = fmt.Sprintf(`"valueQuantity":{"value":%s,"comparator":%q,"unit":"mg"}`, v, c)
			}
			roots = append(roots, parseBody(t, []byte(observation(q))))
		}
	}
	all, hits := indexed(t, r, roots), map[string]int{}
	for _, v := range numberGrid {
		for _, p := range comparators {
			q := query(t, r, "Observation", "value-quantity="+p+v+"||mg")
			hits[p] += agreeAll(t, r, q, all)
		}
	}
	ranges(t, r)
	for _, p := range comparators {
		if hits[p] == 0 {
			t.Errorf("no hit with prefix %q", p)
		}
	}
}

func ranges(t *testing.T, r *Registry) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		low, high := numberGrid[rnd.IntN(len(numberGrid))], numberGrid[rnd.IntN(len(numberGrid))]
		member := []string{
			fmt.Sprintf(`"low":{"value":%s},"high":{"value":%s}`, low, high), fmt.Sprintf(`"low":{"value":%s}`, low),
			fmt.Sprintf(`"high":{"value":%s}`, high), `"low":{"unit":"x"}`,
		}[rnd.IntN(4)]
		root := parseBody(t, []byte(`{"resourceType":"RiskAssessment","status":"final","subject":{"display":"x"},"prediction":[{"probabilityRange":{`+member+`}}]}`))
		for range 20 {
			q := query(t, r, "RiskAssessment", "probability="+comparators[rnd.IntN(len(comparators))]+numberGrid[rnd.IntN(len(numberGrid))])
			agree(t, r, q, root)
		}
	}
}

// dateGrid holds dates that touch, contain and overlap each other, beside testNow and far from it.
var dateGrid = []string{"2013", "2013-01", "2013-01-14", "2013-01-14T10:00:00+08:00", "2013-01-14T10:00:00.5Z", "2013-01-14T02:00:00Z", "2013-01-13", "2013-01-15", "2012-12-31", "2014",
	"2026-11-22", "2026-11-22T14:00:00+08:00", "2026-11-21", "2026-11-23", "2027", "1988-05-01", "0001", "9999-12-31", "2013-01-31T23:59:59+08:00", "2013-02-01T00:00:00+08:00"}

func TestDateGrid(t *testing.T) {
	r := testRegistry(t)
	var roots []element.Node
	for _, a := range dateGrid {
		roots = append(roots, parseBody(t, []byte(observation(fmt.Sprintf(`"effectiveDateTime":%q`, a)))),
			parseBody(t, []byte(observation(fmt.Sprintf(`"effectivePeriod":{"start":%q}`, a)))),
			parseBody(t, []byte(observation(fmt.Sprintf(`"effectivePeriod":{"end":%q}`, a)))))
		for _, b := range dateGrid {
			roots = append(roots, parseBody(t, []byte(observation(fmt.Sprintf(`"effectivePeriod":{"start":%q,"end":%q}`, a, b)))))
		}
	}
	asked := append([]string{"2013-01-14T10:00", "2013-01-14T10:00:00", "2013-01-14T10:00%2B08:00"}, dateGrid...)
	all, hits := indexed(t, r, roots), map[string]int{}
	for _, v := range asked {
		for _, p := range comparators {
			q := query(t, r, "Observation", "date="+p+v)
			hits[p] += agreeAll(t, r, q, all)
		}
	}
	for _, p := range comparators {
		if hits[p] == 0 {
			t.Errorf("no hit with prefix %q", p)
		}
	}
}
