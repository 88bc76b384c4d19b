package operation

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"meridian/server/interaction"
)

// statsOf gives what $stats answers: "code statistic value", of a regression the gradient and the intercept.
func statsOf(t *testing.T, s *interaction.Service, query string) string {
	t.Helper()
	pairs, err := interaction.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Operate(context.Background(), interaction.OperateParams{Name: "stats", Key: observations, Query: pairs, Get: true})
	if err != nil {
		t.Fatalf("$stats?%s: %v", query, err)
	}
	type concept struct{ Coding []struct{ Code string } }
	var p struct {
		Parameter []struct {
			Resource struct {
				Code      concept
				Component []struct {
					Code          concept
					ValueQuantity struct{ Value json.Number }
				}
			}
		}
	}
	if err := json.Unmarshal(r.Body, &p); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, p := range p.Parameter {
		for _, c := range p.Resource.Component {
			out = append(out, fmt.Sprintf("%s %s %s", p.Resource.Code.Coding[0].Code, c.Code.Coding[0].Code, c.ValueQuantity.Value))
		}
	}
	return strings.Join(out, ", ")
}

func quantity(value string) string { return `,"valueQuantity":{"value":` + value + `,"unit":"u"}}` }

func TestStats(t *testing.T) {
	s := newService(t)
	measured := func(id, when, value string, codes ...string) string {
		return strings.TrimSuffix(observation(id, when, codes...), "}") + quantity(value)
	}
	put(t, s,
		`{"resourceType":"Patient","id":"p"}`,
		measured("1", "2026-01-01T00:00:00Z", "1", "a"),
		measured("2", "2026-01-02T00:00:00Z", "2", "a"),
		measured("3", "", "9", "a"),
		strings.TrimSuffix(observation("4", "2026-01-01T00:00:00Z", "panel", "bp"), "}")+
			`,"component":[{"code":{"coding":[{"system":"urn:s","code":"sys"}]}`+quantity("120")+`]}`)
	for name, c := range map[string][2]string{
		"a value without a time is not on the line":           {"code=a&statistic=average&statistic=regression", "a average 4, a regression 1, a regression 1"},
		"a code that is asked for twice counts once":          {"code=a&code=a&statistic=count", "a count 3"},
		"a panel with two of the codes asked for counts once": {"code=panel&code=bp&statistic=total-count", "sys total-count 1"},
	} {
		if got := statsOf(t, s, "subject=Patient/p&"+c[0]); got != c[1] {
			t.Errorf("%s: %s, want %s", name, got, c[1])
		}
	}
}
