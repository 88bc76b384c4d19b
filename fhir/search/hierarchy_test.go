package search

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"meridian/fhir/element"
)

// A hospital: building b, ward w in it, rooms r1 and r2 in that, bed d in r1; a building x beside it.
func TestHierarchy(t *testing.T) {
	r := testRegistry(t)
	all := map[string]element.Node{}
	add := func(body string) {
		root := parseBody(t, []byte(body))
		all[root.Type().Name+"/"+root.Child("id").Text()] = root
	}
	for id, in := range map[string]string{"w": "b", "r1": "w", "r2": "w", "d": "r1"} {
		add(fmt.Sprintf(`{"resourceType":"Location","id":%q,"partOf":{"reference":"Location/%s"}}`, id, in))
	}
	for _, id := range []string{"b", "x"} {
		add(fmt.Sprintf(`{"resourceType":"Location","id":%q,"name":"x"}`, id))
	}
	for _, at := range []string{"b", "w", "r1", "d", "x"} {
		add(fmt.Sprintf(`{"resourceType":"Encounter","id":"at-%s","status":"planned","class":{"code":"x"},"location":[{"location":{"reference":"Location/%s"}}]}`, at, at))
	}
	others := Others{
		Resolve: func(typ, id string) (element.Node, bool) { n, ok := all[typ+"/"+id]; return n, ok },
		List: func(typ string) (out []element.Node) {
			for _, n := range all {
				if n.Type().Name == typ {
					out = append(out, n)
				}
			}
			return out
		},
	}
	for _, c := range []struct{ typ, query, want string }{
		{"Location", "partof:below=b", "d r1 r2 w"},
		{"Location", "partof:below=Location/r1", "d"},
		{"Location", "partof:below=d", ""},
		{"Location", "partof:above=d", "d r1 r2 w"}, // what is part of d, r1, w or b
		{"Location", "partof:above=w", "r1 r2 w"},
		{"Encounter", "location:below=w", "at-d at-r1 at-w"},
		{"Encounter", "location:below=b", "at-b at-d at-r1 at-w"},
		{"Encounter", "location:below=x,r1", "at-d at-r1 at-x"},
		{"Encounter", "location:above=r1", "at-b at-r1 at-w"},
		{"Encounter", "location:above=b", "at-b"},
		{"Encounter", "location:below=none", ""},
	} {
		q := query(t, r, c.typ, c.query)
		if _, err := r.Compile(q); err != nil {
			t.Error(err)
		}
		var got []string
		for _, root := range others.List(c.typ) {
			ok, err := r.MatchAmong(q, root, others)
			if err != nil {
				t.Fatal(err)
			}
			if ok {
				got = append(got, root.Child("id").Text())
			}
		}
		slices.Sort(got)
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s?%s: %v, want %s", c.typ, c.query, got, c.want)
		}
	}
}
