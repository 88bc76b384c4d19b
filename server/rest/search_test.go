package rest_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"meridian/fhir/search"
	"meridian/server/interaction"
	"meridian/server/rest"
	"meridian/server/store"
	"meridian/server/store/storetest"
)

// link gives the path and query of a link, "" where the bundle has none.
func (b bundle) link(t *testing.T, relation string) string {
	t.Helper()
	for _, l := range b.Link {
		if l.Relation == relation {
			u, err := url.Parse(l.URL)
			if err != nil {
				t.Fatal(err)
			}
			return u.RequestURI()
		}
	}
	return ""
}

// of lists Type/id of the entries of a mode, in order.
func (b bundle) of(mode string) (out []string) {
	for _, e := range b.Entry {
		if e.Search.Mode == mode {
			out = append(out, e.Resource.ResourceType+"/"+e.Resource.ID)
		}
	}
	return out
}

// walk follows next links and gives the entries of each page of a mode.
func (s *server) walk(t *testing.T, target, mode string) (pages [][]string) {
	t.Helper()
	for n := 0; target != ""; n++ {
		if n > 200 {
			t.Fatal("the walk does not end")
		}
		b := s.bundle(t, "GET", target, "")
		if got := b.of("outcome"); len(got) > 0 {
			t.Errorf("%s: %v", target, b.Entry[len(b.Entry)-1].Resource.Issue)
		}
		pages = append(pages, b.of(mode))
		target = b.next(t)
	}
	return pages
}

func onEvery(t *testing.T, limits interaction.Limits, f func(t *testing.T, s *server)) {
	for _, b := range backends(t) {
		t.Run(b.name, func(t *testing.T) { f(t, newServerWith(t, b, limits, rest.Options{})) })
	}
}

func (s *server) put(t *testing.T, bodies ...string) {
	t.Helper()
	for _, body := range bodies {
		typ, rest, _ := strings.Cut(strings.TrimPrefix(body, `{"resourceType":"`), `","id":"`)
		id, _, _ := strings.Cut(rest, `"`)
		if w := s.send("PUT", "/fhir/"+typ+"/"+id, body); w.Code >= 300 {
			t.Fatalf("%s: %d %s", body, w.Code, w.Body)
		}
	}
}

func patient(id, more string) string {
	return fmt.Sprintf(`{"resourceType":"Patient","id":"%s"%s}`, id, more)
}

func observation(id, subject, more string) string {
	return fmt.Sprintf(`{"resourceType":"Observation","id":"%s","status":"final","code":{"text":"x"},"subject":{"reference":"%s"}%s}`, id, subject, more)
}

// HAPI #6803: _revinclude stopped at 500 resources without a word.
func TestIncludesPastTheLimitFollowByTheNextLink(t *testing.T) {
	onEvery(t, interaction.Limits{MaxIncludes: 3}, func(t *testing.T, s *server) {
		for i := range 8 {
			s.put(t, patient(fmt.Sprint("p", i), ""), observation(fmt.Sprint("o", i), fmt.Sprint("Patient/p", i), ""))
		}
		for _, target := range []string{"/fhir/Observation?_count=5&_include=Observation:subject", "/fhir/Patient?_count=5&_revinclude=Observation:subject",
			"/fhir/Patient?_count=5&_revinclude=*", "/fhir/Observation?_count=5&_include=*", "/fhir/Patient?_count=5&_revinclude=Observation:subject&_revinclude=Observation:patient"} {
			matches, included := slices.Concat(s.walk(t, target, "match")...), s.walk(t, target, "include")
			if len(matches) != 8 || len(slices.Compact(slices.Sorted(slices.Values(matches)))) != 8 {
				t.Errorf("%s: matches %v", target, matches)
			}
			for _, page := range included {
				if len(page) > 3 {
					t.Errorf("%s: %d includes on one page", target, len(page))
				}
			}
			all := slices.Sorted(slices.Values(slices.Concat(included...)))
			if len(all) != 8 || len(slices.Compact(all)) != 8 {
				t.Errorf("%s: includes %v", target, included)
			}
		}
	})
}

// What comes in while the includes of a page are followed moves no match.
func TestTheRestOfIncludesIsThatOfTheSamePage(t *testing.T) {
	onEvery(t, interaction.Limits{MaxIncludes: 2}, func(t *testing.T, s *server) {
		for i := range 6 {
			s.put(t, patient(fmt.Sprint("p", i), fmt.Sprintf(`,"birthDate":"19%d0-01-01"`, 9-i)), observation(fmt.Sprint("o", i), fmt.Sprint("Patient/p", i), ""))
		}
		first := s.bundle(t, "GET", "/fhir/Patient?_sort=-birthdate&_count=4&_revinclude=Observation:subject", "")
		s.put(t, patient("new", `,"birthDate":"1985-01-01"`), observation("onew", "Patient/new", ""))
		second := s.bundle(t, "GET", first.next(t), "")
		var matches, included []string
		for at := second.next(t); at != ""; {
			b := s.bundle(t, "GET", at, "")
			matches, included, at = append(matches, b.of("match")...), append(included, b.of("include")...), b.next(t)
		}
		if want := []string{"Patient/p4", "Patient/p5"}; len(second.of("match")) > 0 || !slices.Equal(matches, want) {
			t.Errorf("matches behind the page: %v, %v, want %v", second.of("match"), matches, want)
		}
		included = slices.Concat(first.of("include"), second.of("include"), included)
		for i := range 6 {
			if o := fmt.Sprint("Observation/o", i); !slices.Contains(included, o) {
				t.Errorf("%s is not among the includes %v", o, included)
			}
		}
		if back := s.bundle(t, "GET", second.link(t, "previous"), ""); !slices.Equal(back.of("include"), first.of("include")) {
			t.Errorf("back: %v", back.of("include"))
		}
	})
}

// HAPI #818: a sort dropped rows that lack the value. Medplum #4608, MS #1792:
// pages had doubles and holes. previous is the page before, exactly.
func TestPagesForwardAndBackwardAreTheSame(t *testing.T) {
	onEvery(t, interaction.Limits{}, func(t *testing.T, s *server) {
		for i := range 23 {
			more := []string{"", `,"effectiveDateTime":"2026-01-0` + fmt.Sprint(1+i%5) + `"`, `,"valueQuantity":{"value":` + fmt.Sprint(i%4) + `}`}[i%3]
			s.put(t, observation(fmt.Sprintf("o%02d", i), fmt.Sprint("Patient/p", i%3), more))
		}
		for _, sort := range []string{"", "&_sort=date", "&_sort=-date", "&_sort=date,-_id", "&_sort=value-quantity,date", "&_sort=-value-quantity", "&_sort=subject,-date", "&_sort=status", "&_sort=-_lastUpdated", "&_sort=_id", "&_sort=code,-value-quantity,_id"} {
			target := "/fhir/Observation?status=final&_count=4" + sort
			var pages [][]string
			last := ""
			for at := target; at != ""; {
				b := s.bundle(t, "GET", at, "")
				pages, last, at = append(pages, b.of("match")), at, b.next(t)
			}
			all := slices.Concat(pages...)
			if len(all) != 23 || len(slices.Compact(slices.Sorted(slices.Values(all)))) != 23 {
				t.Errorf("%s: %v", sort, all)
			}
			n := len(pages) - 1
			for at := last; at != ""; n-- {
				b := s.bundle(t, "GET", at, "")
				if !slices.Equal(b.of("match"), pages[n]) {
					t.Errorf("%s: back on page %d: %v, was %v", sort, n, b.of("match"), pages[n])
				}
				at = b.link(t, "previous")
			}
			if n != -1 {
				t.Errorf("%s: previous ends before page %d", sort, n)
			}
		}
	})
}

// writeCounter counts what is written to a store; it is closed by who opened it.
type writeCounter struct {
	store.Store
	writes *atomic.Int64
}

func (w writeCounter) Commit(ctx context.Context, p store.CommitParams) error {
	w.writes.Add(1)
	return w.Store.Commit(ctx, p)
}

func (w writeCounter) CommitOrdered(ctx context.Context, p store.CommitParams) error {
	w.writes.Add(1)
	return w.Store.CommitOrdered(ctx, p)
}

func (w writeCounter) Queue() store.Queue {
	w.writes.Add(1)
	return w.Store.Queue()
}

func (writeCounter) Close() error { return nil }

// HAPI #5395: searches left rows that cleaning could not keep up with. A link holds all that its page needs, for any process of the deployment.
func TestPagingLeavesNothingInTheStore(t *testing.T) {
	onEvery(t, interaction.Limits{}, func(t *testing.T, s *server) {
		for i := range 9 {
			s.put(t, observation(fmt.Sprint("o", i), fmt.Sprint("Patient/p", i%3), ""))
		}
		var writes atomic.Int64
		again := backend{"again", func(testing.TB, storetest.Config) store.Store { return writeCounter{s.store, &writes} }}
		one, two := newServer(t, again), newServer(t, again)
		writes.Store(0) // a server asks for the queue when it starts
		pages := 0
		for at := "/fhir/Observation?status=final&_sort=-subject&_count=2&_total=accurate"; at != ""; pages++ {
			at = one.bundle(t, "GET", at, "").next(t)
			one, two = two, one
		}
		if pages != 5 || writes.Load() != 0 {
			t.Errorf("%d pages, %d writes", pages, writes.Load())
		}
	})
}

func TestSystemSearchMergesTypes(t *testing.T) {
	onEvery(t, interaction.Limits{}, func(t *testing.T, s *server) {
		for i := range 5 {
			s.put(t, patient(fmt.Sprint("x", i), `,"meta":{"tag":[{"code":"t"}]}`), observation(fmt.Sprint("x", i), fmt.Sprint("Patient/x", i), `,"meta":{"tag":[{"code":"t"}]},"identifier":[{"value":"`+fmt.Sprint(i%2)+`"}]`))
		}
		s.put(t, `{"resourceType":"Organization","id":"x9","name":"o","meta":{"tag":[{"code":"t"}]}}`)
		for _, c := range []struct {
			query string
			n     int
			first []string
		}{
			{"_type=Patient,Observation", 10, []string{"Patient/x0", "Patient/x1"}},
			{"_type=Observation,Patient", 10, []string{"Observation/x0", "Observation/x1"}},
			{"_type=Patient&_type=Observation&_sort=_id", 10, []string{"Patient/x0", "Observation/x0"}},
			{"_type=Patient,Observation&_sort=-_id", 10, []string{"Patient/x4", "Observation/x4"}},
			{"_type=Patient,Observation&_sort=_lastUpdated", 10, nil},
			{"_type=Patient,Observation&_sort=-_lastUpdated,_id", 10, nil},
			{"_type=Patient,Observation&_sort=identifier", 10, []string{"Observation/x0", "Observation/x2"}},
			{"_type=Patient,Observation&_sort=-identifier", 10, []string{"Observation/x3", "Observation/x1"}},
			{"_tag=t", 11, []string{"Observation/x0", "Observation/x1"}},
			{"_tag=t&_sort=-_id", 11, []string{"Organization/x9", "Observation/x4"}},
			{"_id=x1", 2, []string{"Observation/x1", "Patient/x1"}},
			{"_type=Patient,Organization&_lastUpdated=ge2026", 6, []string{"Patient/x0"}},
		} {
			whole := s.bundle(t, "GET", "/fhir?"+c.query, "")
			if got := whole.of("match"); len(got) != c.n || !slices.Equal(got[:len(c.first)], c.first) || *whole.Total != c.n {
				t.Errorf("%s: %v", c.query, got)
			}
			for _, size := range []int{1, 3, 4} {
				if got := slices.Concat(s.walk(t, fmt.Sprintf("/fhir/?%s&_count=%d", c.query, size), "match")...); !slices.Equal(got, whole.of("match")) {
					t.Errorf("%s in pages of %d: %v", c.query, size, got)
				}
			}
			if count := s.bundle(t, "GET", "/fhir?_summary=count&"+c.query, ""); *count.Total != c.n || len(count.Entry) > 0 {
				t.Errorf("%s: counted %d", c.query, *count.Total)
			}
		}
	})
}

func TestCompartments(t *testing.T) {
	onEvery(t, interaction.Limits{}, func(t *testing.T, s *server) {
		s.put(t, patient("a", ""), patient("b", `,"link":[{"other":{"reference":"Patient/a"},"type":"seealso"}]`), observation("o1", "Patient/a", ""), observation("o2", "Patient/b", ""),
			observation("o3", "Patient/b", `,"performer":[{"reference":"Patient/a"}]`), `{"resourceType":"Encounter","id":"e","status":"planned","class":{"code":"x"},"subject":{"reference":"Patient/a"}}`,
			observation("o4", "Patient/a", `,"encounter":{"reference":"Encounter/e"}`))
		for target, want := range map[string][]string{
			"/fhir/Patient/a/Observation":                     {"Observation/o1", "Observation/o3", "Observation/o4"},
			"/fhir/Patient/a/Observation?performer=Patient/a": {"Observation/o3"},
			"/fhir/Patient/a/*":                               {"Encounter/e", "Observation/o1", "Observation/o3", "Observation/o4", "Patient/b"},
			"/fhir/Patient/a/*?_type=Encounter,Patient":       {"Encounter/e", "Patient/b"},
			"/fhir/Patient/a/*?_count=2":                      {"Encounter/e", "Observation/o1", "Observation/o3", "Observation/o4", "Patient/b"},
			"/fhir/Encounter/e/Observation":                   {"Observation/o4"},
			"/fhir/Encounter/e/Encounter":                     {"Encounter/e"},
			"/fhir/Patient/none/Observation":                  nil,
		} {
			if got := slices.Concat(s.walk(t, target, "match")...); !slices.Equal(got, want) {
				t.Errorf("%s: %v, want %v", target, got, want)
			}
		}
	})
}

// LFH depth 1; MS #2950: 500 on several revincludes; HAPI PR #4007.
func TestIterateFollowsWhatIsIncludedEachResourceOnce(t *testing.T) {
	onEvery(t, interaction.Limits{}, func(t *testing.T, s *server) {
		for i := range 12 {
			part := ""
			if i < 11 {
				part = fmt.Sprintf(`,"partOf":{"reference":"Organization/c%d"}`, i+1)
			}
			s.put(t, fmt.Sprintf(`{"resourceType":"Organization","id":"c%d","name":"x"%s}`, i, part))
		}
		s.put(t, `{"resourceType":"Organization","id":"r1","name":"x","partOf":{"reference":"Organization/r2"}}`, `{"resourceType":"Organization","id":"r2","name":"x","partOf":{"reference":"Organization/r1"}}`,
			patient("p", `,"managingOrganization":{"reference":"Organization/r1"}`), observation("o", "Patient/p", ""),
			patient("deep", `,"managingOrganization":{"reference":"Organization/c0"}`),
			`{"resourceType":"Provenance","id":"v","target":[{"reference":"Observation/o"}],"recorded":"2026-01-01T00:00:00Z","agent":[{"who":{"reference":"Patient/p"}}]}`)
		for query, want := range map[string][]string{
			"Observation?_id=o&_include=Observation:subject":                                                                            {"Patient/p"},
			"Observation?_id=o&_include=Observation:subject&_include:iterate=Patient:organization":                                      {"Patient/p", "Organization/r1"},
			"Observation?_id=o&_include=Observation:subject&_include:iterate=Patient:organization&_include:iterate=Organization:partof": {"Patient/p", "Organization/r1", "Organization/r2"},
			"Observation?_id=o&_include:iterate=*":                                                                                      {"Patient/p", "Organization/r1", "Organization/r2"},
			"Patient?_id=p&_revinclude=Observation:subject&_revinclude:iterate=Provenance:target":                                       {"Observation/o", "Provenance/v"},
			"Patient?_id=p&_revinclude=*":                                                                                               {"Observation/o", "Provenance/v"},
			"Observation?_id=o&_include=Observation:*:Patient":                                                                          {"Patient/p"},
			"Observation?_id=o&_include=Observation:*:Group":                                                                            nil,
			"Organization?_id=r1&_include:iterate=Organization:partof":                                                                  {"Organization/r2"},
		} {
			if got := slices.Concat(s.walk(t, "/fhir/"+query, "include")...); !slices.Equal(got, want) {
				t.Errorf("%s: %v, want %v", query, got, want)
			}
		}
		b := s.bundle(t, "GET", "/fhir/Patient?_id=deep&_include=Patient:organization&_include:iterate=Organization:partof", "")
		if got := b.of("include"); len(got) != interaction.MaxIterateDepth || len(b.of("outcome")) != 1 {
			t.Errorf("past the depth: %v, %v", got, b.of("outcome"))
		}
	})
}

func TestIncludesByCanonicalAndByVersion(t *testing.T) {
	onEvery(t, interaction.Limits{}, func(t *testing.T, s *server) {
		questionnaire := func(id, version string) string {
			return fmt.Sprintf(`{"resourceType":"Questionnaire","id":"%s","url":"http://q.example/q","version":"%s","status":"active"}`, id, version)
		}
		answer := func(id, canonical string) string {
			return fmt.Sprintf(`{"resourceType":"QuestionnaireResponse","id":"%s","status":"completed","questionnaire":"%s"}`, id, canonical)
		}
		s.put(t, questionnaire("q1", "1"), questionnaire("q2", "2"), answer("any", "http://q.example/q"), answer("one", "http://q.example/q|1"), answer("other", "http://q.example/q|9"), answer("else", "http://else.example/q"),
			patient("p", `,"gender":"male"`), patient("p", `,"gender":"female"`), observation("now", "Patient/p", ""), observation("then", "Patient/p/_history/1", ""), observation("last", "Patient/p/_history/2", ""), observation("never", "Patient/p/_history/7", ""),
			`{"resourceType":"PlanDefinition","id":"pd","status":"active","action":[{"definitionCanonical":"http://a.example/a"}]}`, `{"resourceType":"ActivityDefinition","id":"ad","url":"http://a.example/a","status":"active"}`)
		for query, want := range map[string][]string{
			"QuestionnaireResponse?_id=any&_include=QuestionnaireResponse:questionnaire":   {"Questionnaire/q1", "Questionnaire/q2"},
			"QuestionnaireResponse?_id=one&_include=QuestionnaireResponse:questionnaire":   {"Questionnaire/q1"},
			"QuestionnaireResponse?_id=other&_include=QuestionnaireResponse:questionnaire": nil,
			"Questionnaire?_id=q1&_revinclude=QuestionnaireResponse:questionnaire":         {"QuestionnaireResponse/any", "QuestionnaireResponse/one"},
			"Questionnaire?_id=q2&_revinclude=QuestionnaireResponse:questionnaire":         {"QuestionnaireResponse/any"},
			"PlanDefinition?_id=pd&_include=PlanDefinition:definition":                     {"ActivityDefinition/ad"},
			"ActivityDefinition?_id=ad&_revinclude=PlanDefinition:definition":              {"PlanDefinition/pd"},
			"Observation?_id=now&_include=Observation:subject":                             {"Patient/p"},
			"Observation?_id=then&_include=Observation:subject":                            {"Patient/p"},
			"Observation?_id=never&_include=Observation:subject":                           nil,
			"Observation?_include=Observation:subject":                                     {"Patient/p", "Patient/p"},
		} {
			if got := slices.Concat(s.walk(t, "/fhir/"+query, "include")...); !slices.Equal(got, want) {
				t.Errorf("%s: %v, want %v", query, got, want)
			}
		}
		if w := s.send("GET", "/fhir/Observation?_id=then&_include=Observation:subject", ""); !strings.Contains(w.Body.String(), `"gender":"male"`) {
			t.Errorf("a reference to version 1 includes %s", w.Body)
		}
	})
}

// What a client asks that cannot be answered is 400 and names the part; never 500, never the whole table.
func TestSearchesThatAreRefused(t *testing.T) {
	onEvery(t, interaction.Limits{}, func(t *testing.T, s *server) {
		s.put(t, patient("p", ""), observation("o", "Patient/p", ""))
		other := newServerWith(t, mapBackend, interaction.Limits{}, rest.Options{})
		other.put(t, patient("a", ""), patient("b", ""))
		foreign := strings.ReplaceAll(other.bundle(t, "GET", "/fhir/Patient?_count=1", "").next(t), "Patient?", "Observation?")
		for target, part := range map[string]string{
			"/fhir":                                                     "criterion",
			"/fhir?name=x":                                              "_type",
			"/fhir?_type=Patient,Nothing":                               "_type",
			"/fhir?_type=Pateint":                                       "did you mean",
			"/fhir?_type=Patient,Observation&code=x":                    "Patient",
			"/fhir?_type=Patient,Observation&_sort=date":                "_sort",
			"/fhir/Patient?_type=Observation":                           "_type",
			"/fhir/Organization/1/Patient":                              "no compartment of type",
			"/fhir/Patient/1/Medication":                                "compartment",
			"/fhir/Patient/1/*?_type=Medication":                        "compartment",
			foreign:                                                     "link is not valid",
			"/fhir/Patient?_count=-1":                                   "_count",
			"/fhir/Patient?_count=1e3":                                  "_count",
			"/fhir/Patient?_sort=subject.name":                          "_sort",
			"/fhir/Patient?_sort=nothing":                               "_sort",
			"/fhir/Observation?_sort=code-value-quantity":               "_sort",
			"/fhir/Observation?_include:recurse=Observation:subject":    "_include:iterate",
			"/fhir/Patient?link.link.link.link.link.link=1":             "at most 4",
			"/fhir/Patient?_query=current":                              "_query",
			"/fhir/Patient?_list=$current-problems":                     "functional",
			"/fhir/Patient?_filter=name":                                "_filter, at character",
			"/fhir/Patient?_has:Observation:patient=1":                  "_has",
			"/fhir/Patient?_id=" + strings.Repeat("a,", 10_001) + "a":   "more than 10000 values",
			"/fhir/Observation?subject.nothing=1":                       "subject",
			"/fhir/Patient?_summary=text&_include=Patient:organization": "_summary=text",
		} {
			w := s.send("GET", target, "")
			if w.Code < 400 || w.Code > 499 || !strings.Contains(w.Body.String(), part) || !strings.Contains(w.Body.String(), "OperationOutcome") {
				t.Errorf("%.80s: %d %.300s, want 4xx that says %q", target, w.Code, w.Body, part)
			}
		}
	})
}

func TestSearchByPostOfSeveralTypes(t *testing.T) {
	s := newServer(t, mapBackend)
	s.put(t, patient("p", ""), observation("o", "Patient/p", ""))
	for _, path := range []string{"/fhir/_search", "/fhir/Patient/p/*/_search", "/fhir/Patient/p/Observation/_search"} {
		w := s.send("POST", path, "_type=Observation&_id=o", "Content-Type", "application/x-www-form-urlencoded")
		if strings.HasSuffix(path, "Observation/_search") {
			w = s.send("POST", path, "_id=o", "Content-Type", "application/x-www-form-urlencoded")
		}
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"id":"o"`) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

// Plan skew (MS ADR-2604, Blaze 54 s): the plan and the truth of each leaf are shown, without values.
func TestExplainShowsThePlanAndTheTruthOfEachLeaf(t *testing.T) {
	onEvery(t, interaction.Limits{}, func(t *testing.T, s *server) {
		for i := range 4 {
			s.put(t, patient(fmt.Sprint("p", i), `,"gender":"`+[]string{"male", "female"}[i%2]+`"`), observation(fmt.Sprint("o", i), fmt.Sprint("Patient/p", i), `,"identifier":[{"system":"http://h","value":"secret"}]`))
		}
		b := s.bundle(t, "GET", "/fhir/Observation?identifier=http://h|secret&subject:Patient.gender=male&_explain=true&_count=1", "")
		text := b.Entry[len(b.Entry)-1].Resource.Issue[0].Diagnostics
		for _, part := range []string{`^Observation, page of 1\n`, `\n  and\n`, `\n    .*identifier .*in "http://h": .*\b4\b`, `\n    .*subject to Patient`, `\n      .*gender.*: .*\b2\b`, `\nstrategy: `, `found: `} {
			if !regexp.MustCompile(part).MatchString(text) {
				t.Errorf("%q is not in:\n%s", part, text)
			}
		}
		if strings.Contains(text, "secret") {
			t.Errorf("a value in:\n%s", text)
		}
		if next := s.bundle(t, "GET", b.next(t), ""); len(next.of("outcome")) != 1 {
			t.Errorf("the next page is not explained: %v", next.of("outcome"))
		}
	})
}

// Slow searches are logged in FHIR's terms; values of patients stand in no log.
func TestSlowSearchesAreLoggedWithoutValues(t *testing.T) {
	for _, b := range backends(t) {
		t.Run(b.name, func(t *testing.T) {
			s := newServer(t, b)
			s.put(t, patient("p", `,"name":[{"text":"secret"}]`), observation("o", "Patient/p", ""))
			registry, err := search.New(search.Options{Zone: time.FixedZone("Asia/Shanghai", 8*3600), BaseURL: "http://example.org/fhir"})
			if err != nil {
				t.Fatal(err)
			}
			for threshold, want := range map[time.Duration]string{
				0:                      "",
				time.Second:            "",
				500 * time.Millisecond: `msg="slow search" type=Observation parameters="subject:Patient.name:exact _sort" ms=700 page=20 first=true`,
			} {
				var log bytes.Buffer
				now := start
				service, err := interaction.New(interaction.Options{Store: s.store, Registry: registry, SlowSearch: threshold, Logger: slog.New(slog.NewTextHandler(&log, nil)),
					Clock: func() time.Time { now = now.Add(700 * time.Millisecond); return now }})
				if err != nil {
					t.Fatal(err)
				}
				query := []search.Pair{{Name: "subject:Patient.name:exact", Value: "secret"}, {Name: "_sort", Value: "-date"}}
				if _, err := service.Search(t.Context(), nil, interaction.SearchParams{Type: "Observation", Query: query}); err != nil {
					t.Fatal(err)
				}
				if text := log.String(); (text == "") != (want == "") || !strings.Contains(text, want) || strings.Contains(text, "secret") {
					t.Errorf("at %s: %s", threshold, text)
				}
			}
		})
	}
}

func TestContainedResourcesAreFound(t *testing.T) {
	onEvery(t, interaction.Limits{}, func(t *testing.T, s *server) {
		drug := func(id, code string) string {
			return fmt.Sprintf(`{"resourceType":"Medication","id":"%s","code":{"coding":[{"system":"http://x","code":"%s"}]}}`, id, code)
		}
		request := func(id, code string) string {
			return fmt.Sprintf(`{"resourceType":"MedicationRequest","id":"%s","contained":[%s,%s],"status":"active","intent":"order","medicationReference":{"reference":"#m"},"subject":{"reference":"Patient/1"}}`, id, drug("m", code), drug("n", "9"))
		}
		s.put(t, drug("alone", "1"), request("r1", "1"), request("r2", "2"), request("r3", "1"),
			`{"resourceType":"MedicationStatement","id":"s1","contained":[`+drug("m", "1")+`],"status":"active","medicationReference":{"reference":"#m"},"subject":{"reference":"Patient/1"}}`)
		for query, want := range map[string][]string{
			"code=1":                                          {"Medication/alone"},
			"code=1&_contained=false":                         {"Medication/alone"},
			"code=1&_contained=true":                          {"MedicationRequest/r1", "MedicationRequest/r3", "MedicationStatement/s1"},
			"code=1&_contained=true&_count=1":                 {"MedicationRequest/r1", "MedicationRequest/r3", "MedicationStatement/s1"},
			"code=1&_contained=both&_count=2":                 {"Medication/alone", "MedicationRequest/r1", "MedicationRequest/r3", "MedicationStatement/s1"},
			"code=1&_contained=true&_containedType=contained": {"Medication/m", "Medication/m", "Medication/m"},
			"code=http://x|9&_contained=true&_containedType=contained&_count=2": {"Medication/n", "Medication/n", "Medication/n"},
			"code=7&_contained=both": nil,
		} {
			if got := slices.Concat(s.walk(t, "/fhir/Medication?"+query, "match")...); !slices.Equal(got, want) {
				t.Errorf("%s: %v, want %v", query, got, want)
			}
		}
		if b := s.bundle(t, "GET", "/fhir/Medication?code=1&_contained=both&_summary=count", ""); *b.Total != 4 {
			t.Errorf("counted %d", *b.Total)
		}
		if w := s.send("GET", "/fhir/Medication?code=2&_contained=true&_containedType=contained", ""); !strings.Contains(w.Body.String(), `"fullUrl":"http://example.org/fhir/MedicationRequest/r2#m"`) {
			t.Errorf("%s", w.Body)
		}
		if w := s.send("GET", "/fhir?_type=Medication,Patient&_contained=true", ""); w.Code != 400 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}

// counting counts what a search asks of the store.
type counting struct {
	store.Store
	searches, readMany, reads int
}

func (c *counting) Search(ctx context.Context, p *search.Plan) (store.Page, error) {
	c.searches++
	return c.Store.Search(ctx, p)
}

func (c *counting) ReadMany(ctx context.Context, keys []store.Key) ([]store.Resource, error) {
	c.readMany++
	return c.Store.ReadMany(ctx, keys)
}

func (c *counting) Read(ctx context.Context, key store.Key) (store.Resource, error) {
	c.reads++
	return c.Store.Read(ctx, key)
}

func (c *counting) ReadVersion(ctx context.Context, key store.Key, v uint64) (store.Resource, error) {
	c.reads++
	return c.Store.ReadVersion(ctx, key, v)
}

// LFH #1665 (7 minutes), HAPI PR #4007 (50 round trips), MS #2950: includes cost
// one batched fetch a hop, however many rows there are.
func TestIncludesCostOneFetchAHop(t *testing.T) {
	var count *counting
	s := newServer(t, backend{"counting", func(t testing.TB, c storetest.Config) store.Store {
		count = &counting{Store: mapBackend.open(t, c)}
		return count
	}})
	s.put(t, `{"resourceType":"Organization","id":"h","name":"x"}`)
	for i := range 60 {
		s.put(t, patient(fmt.Sprint("p", i), `,"managingOrganization":{"reference":"Organization/h"}`), observation(fmt.Sprint("o", i), fmt.Sprint("Patient/p", i), ""))
	}
	for _, c := range []struct {
		query                     string
		searches, readMany, found int
	}{
		{"Observation?_count=50", 1, 0, 0},
		{"Observation?_count=50&_include=Observation:subject", 1, 1, 50},
		{"Observation?_count=50&_include=Observation:subject&_include=Observation:encounter&_include=Observation:performer", 1, 1, 50},
		{"Observation?_count=50&_include=Observation:subject&_include:iterate=Patient:organization", 1, 2, 51},
		{"Patient?_count=50&_revinclude=Observation:subject", 2, 0, 50},
		{"Patient?_count=50&_revinclude=Observation:subject&_revinclude=Observation:performer&_revinclude=Encounter:patient", 3, 0, 50},
	} {
		*count = counting{Store: count.Store}
		b := s.bundle(t, "GET", "/fhir/"+c.query, "")
		if count.searches != c.searches || count.readMany != c.readMany || count.reads != 0 || len(b.of("include")) != c.found {
			t.Errorf("%s: %d searches, %d batches, %d single reads for %d resources", c.query, count.searches, count.readMany, count.reads, len(b.of("include")))
		}
	}
}

// HAPI #818, Medplum PR #5298 (offset up to 10,000): every kind of parameter
// sorts, what lacks the value comes last in either direction, and a walk by keys finds all.
func TestEveryKindSortsAndLosesNothing(t *testing.T) {
	onEvery(t, interaction.Limits{}, func(t *testing.T, s *server) {
		values := map[string][]string{ // type and parameter: what makes ascending values, and what has none
			"Patient family":             {`,"name":[{"family":"a"}]`, `,"name":[{"family":"B"}]`, `,"name":[{"family":"张"}]`, ``},
			"Patient birthdate":          {`,"birthDate":"1970"`, `,"birthDate":"1980-02-03"`, `,"birthDate":"1999-01"`, ``},
			"Patient gender":             {`,"gender":"female"`, `,"gender":"male"`, `,"gender":"other"`, ``},
			"Patient organization":       {`,"managingOrganization":{"reference":"Organization/1"}`, `,"managingOrganization":{"reference":"Organization/2"}`, `,"managingOrganization":{"reference":"Organization/3"}`, ``},
			"RiskAssessment probability": {`,"prediction":[{"probabilityDecimal":-1.5}]`, `,"prediction":[{"probabilityDecimal":0.09}]`, `,"prediction":[{"probabilityDecimal":10}]`, ``},
			"Observation value-quantity": {`,"valueQuantity":{"value":2}`, `,"valueQuantity":{"value":11}`, `,"valueQuantity":{"value":100.5}`, ``},
			"Questionnaire url":          {`,"url":"http://a"`, `,"url":"http://b"`, `,"url":"urn:c"`, ``},
		}
		for name, of := range values {
			typ, param, _ := strings.Cut(name, " ")
			tag := fmt.Sprint("t", param)
			var want []string
			for i, more := range of {
				id := fmt.Sprint(param, i)
				extra := map[string]string{"RiskAssessment": `,"status":"final","subject":{"reference":"Patient/1"}`, "Observation": `,"status":"final","code":{"text":"x"}`, "Questionnaire": `,"status":"active"`}[typ]
				s.put(t, fmt.Sprintf(`{"resourceType":"%s","id":"%s","meta":{"tag":[{"code":"%s"}]}%s%s}`, typ, id, tag, extra, more))
				want = append(want, typ+"/"+id)
			}
			down := []string{want[2], want[1], want[0], want[3]}
			for sort, order := range map[string][]string{param: want, "-" + param: down, param + ",-_id": want, "-" + param + ",_lastUpdated": down} {
				for _, size := range []int{1, 3} {
					target := fmt.Sprintf("/fhir/%s?_tag=%s&_sort=%s&_count=%d", typ, tag, sort, size)
					if got := slices.Concat(s.walk(t, target, "match")...); !slices.Equal(got, order) {
						t.Errorf("%s: %v, want %v", target, got, order)
					}
				}
			}
		}
	})
}
