package operation

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"meridian/fhir/issue"
	"meridian/server/interaction"
	"meridian/server/store"
)

var observations = store.Key{Type: "Observation"}

// observation has the codes "a", "b" (of one system), or a text where it begins with a quote.
func observation(id, when string, codes ...string) string {
	var concept []string
	text := ""
	for _, c := range codes {
		if t, ok := strings.CutPrefix(c, "'"); ok {
			text = t
			continue
		}
		concept = append(concept, fmt.Sprintf(`{"system":"urn:s","code":%q}`, c))
	}
	code := `"text":` + strconv.Quote(text)
	if len(concept) > 0 {
		code = `"coding":[` + strings.Join(concept, ",") + `]`
	}
	effective := ""
	if when != "" {
		effective = `,"effectiveDateTime":"` + when + `"`
	}
	return fmt.Sprintf(`{"resourceType":"Observation","id":%q,"status":"final","category":[{"coding":[{"code":"lab"}]}],"code":{%s},"subject":{"reference":"Patient/p"}%s}`, id, code, effective)
}

// The examples of the definition: which codes are one group.
func TestLastnGroupsAsTheDefinitionSays(t *testing.T) {
	for _, c := range []struct {
		name string
		of   [][]string
		want int
	}{
		{"a, b, c are three", [][]string{{"a"}, {"b"}, {"c"}}, 3},
		{"a, b, a+c are two", [][]string{{"a"}, {"b"}, {"a", "c"}}, 2},
		{"a, b, a+b are one", [][]string{{"a"}, {"b"}, {"a", "b"}}, 1},
		{"texts are equal to the letter", [][]string{{"'text"}, {"'Text"}, {"'t e x t"}}, 3},
		{"the same text is one", [][]string{{"'text"}, {"'text"}}, 1},
		{"a text beside codings plays no part", [][]string{{"a", "'text"}, {"'text"}}, 2},
		{"a chain of translations is one", [][]string{{"a", "b"}, {"c", "d"}, {"b", "c"}}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newService(t)
			for i, codes := range c.of {
				put(t, s, observation("o"+strconv.Itoa(i), "2026-01-0"+strconv.Itoa(i+1), codes...))
			}
			if got := get(t, s, "lastn", observations, "patient=Patient/p&category=lab"); len(got.Entry) != c.want {
				t.Errorf("%d groups, want %d: %v", len(got.Entry), c.want, got.paths())
			}
		})
	}
}

func TestLastnOrderMaxAndTies(t *testing.T) {
	s := newService(t)
	put(t, s,
		observation("old", "2020", "a"),
		observation("day", "2026-01-02", "a"),
		observation("hour", "2026-01-03T08:00:00+08:00", "a"),
		observation("same", "2026-01-03T00:00:00Z", "a"), // the same moment, written otherwise
		observation("other", "2026-02-01", "b"),
		observation("none", "", "b"),
		strings.Replace(observation("wrong", "2026-03-01", "c"), `"final"`, `"entered-in-error"`, 1))
	for query, want := range map[string][]string{
		"":               {"wrong", "other", "hour", "same"},
		"max=1":          {"wrong", "other", "hour", "same"},
		"max=2":          {"wrong", "other", "none", "hour", "same"},
		"max=3":          {"wrong", "other", "none", "hour", "same", "day"},
		"status=final":   {"other", "hour", "same"},
		"date=lt2026":    {"old"},
		"code=b&max=9":   {"other", "none"},
		"code=urn:s%7Ca": {"hour", "same"},
		"code=nothing":   nil,
	} {
		var got []string
		for _, p := range get(t, s, "lastn", observations, "patient=p&category=lab&"+query).paths() {
			got = append(got, strings.TrimPrefix(p, "Observation/"))
		}
		// Which of two at the same time stands first is not said.
		if i := slices.Index(got, "same"); i >= 0 && i+1 < len(got) && got[i+1] == "hour" {
			got[i], got[i+1] = got[i+1], got[i]
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q gives %v, want %v", query, got, want)
		}
	}
}

func TestLastnNeedsASubjectAndACode(t *testing.T) {
	s := newService(t)
	for query, want := range map[string]string{
		"":                                 "lastn.subject lastn.code",
		"patient=p":                        "lastn.code",
		"category=lab":                     "lastn.subject",
		"patient:missing=true&code=x":      "lastn.subject",
		"patient=p&code=x&max=0":           "operation.parameter-value",
		"patient=p&code=x&_count=3":        "operation.parameter-unknown",
		"patient=p&code=x&codex=3":         "search.unknown-parameter",
		"patient=p&combo-code=x":           "",
		"subject=Patient/p&category=x":     "",
		"patient=p&code-value-concept=a$b": "", // taken, or refused by the search itself
	} {
		pairs, err := interaction.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Operate(t.Context(), interaction.OperateParams{Name: "lastn", Key: observations, Query: pairs, Get: true})
		var got []string
		if e := issue.As(err); e != nil {
			for _, i := range e.Issues {
				got = append(got, i.ID)
			}
		}
		if strings.Join(got, " ") != want && !strings.Contains(query, "code-value") {
			t.Errorf("%q: %v, want %q", query, err, want)
		}
	}
}

func BenchmarkLastn1000(b *testing.B) {
	s := newService(b)
	var bodies []string
	for i := range 1000 {
		bodies = append(bodies, observation("o"+strconv.Itoa(i), fmt.Sprintf("2020-%02d-%02d", i%12+1, i%28+1), strconv.Itoa(i%20)))
	}
	put(b, s, bodies...)
	b.ReportAllocs()
	for b.Loop() {
		if n := len(get(b, s, "lastn", observations, "patient=p&category=lab&max=1").Entry); n < 20 {
			b.Fatal(n)
		}
	}
}

// "The self link": the parameters that were used, https://hl7.org/fhir/R4/search.html#conformance
func TestLastnSaysWhatWasAsked(t *testing.T) {
	s := newService(t)
	put(t, s, observation("o", "2026-01-01", "a"))
	got := get(t, s, "lastn", observations, "max=2&patient=Patient/p&category=lab")
	if self := got.Link[0].URL; got.Link[0].Relation != "self" || !strings.HasSuffix(self, "/Observation/$lastn?max=2&patient=Patient/p&category=lab") {
		t.Errorf("self is %q", self)
	}
}
