package terminology

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"meridian/fhir/issue"
	"meridian/fhir/search"
)

// fakeSource holds resources by kind and url.
type fakeSource map[string][]Resource

func (s fakeSource) Find(_ context.Context, kind, reference string) ([]Resource, error) {
	if reference == "http://source/down" {
		return nil, errors.New("down")
	}
	return s[kind+" "+reference], nil
}

func (s fakeSource) Supplements(_ context.Context, system string) ([]Resource, error) {
	return s["supplements "+system], nil
}

func (s fakeSource) ConceptMaps(context.Context) (all []Resource, err error) {
	for key, of := range s {
		if strings.HasPrefix(key, kindConceptMap) {
			all = append(all, of...)
		}
	}
	return all, nil
}

// Epoch counts what was put.
func (s fakeSource) Epoch() uint64 { return uint64(len(s["epoch"])) }

// library has, beside R4, resources given as key and JSON without resourceType.
func library(t testing.TB, stored ...string) (*Library, fakeSource) {
	t.Helper()
	s := fakeSource{}
	for i := 0; i < len(stored); i += 2 {
		s.put(stored[i], stored[i+1])
	}
	return New(Options{Source: s}), s
}

// put stores a body as the only one under a key.
func (s fakeSource) put(key, body string) {
	kind, _, _ := strings.Cut(key, " ")
	if kind == "supplements" {
		kind = kindCodeSystem
	}
	s["epoch"] = append(s["epoch"], Resource{})
	s[key] = []Resource{resource(key+" "+body, `{"resourceType":"`+kind+`","status":"active",`+body[1:])}
}

func resource(stamp, body string) Resource {
	return Resource{Stamp: stamp, Read: func(context.Context) ([]byte, error) { return []byte(body), nil }}
}

const (
	gender    = "http://hl7.org/fhir/administrative-gender"
	clinical  = "http://terminology.hl7.org/CodeSystem/condition-clinical"
	valueSets = "http://hl7.org/fhir/ValueSet/"
	// diseases is a made system: A ⊃ B ⊃ {C, D}, E alone and inactive.
	diseases = `{"url":"urn:d","version":"2","content":"complete","caseSensitive":false,
		"property":[{"code":"organ","type":"code"},{"code":"gone","uri":"http://hl7.org/fhir/concept-properties#inactive","type":"boolean"}],
		"concept":[{"code":"A","display":"Disease","concept":[{"code":"B","display":"Liver disease","property":[{"code":"organ","valueCode":"liver"}],
		"concept":[{"code":"C","display":"Hepatitis"},{"code":"D","display":"Cirrhosis"}]}]},{"code":"E","property":[{"code":"gone","valueBoolean":true}]}]}`
)

// codesOf lists what a value set holds, as system|code without the system's beginning.
func codesOf(t *testing.T, l *Library, url string) []string {
	t.Helper()
	b, err := l.valueSet(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	if err := l.each(b, func(p *place) bool { out = append(out, p.code); return true }); err != nil {
		t.Fatal(err)
	}
	return out
}

// https://hl7.org/fhir/R4/valueset-administrative-gender.html and the like.
func TestOfficialValueSetsHoldWhatTheirPagesList(t *testing.T) {
	l := New(Options{})
	for _, c := range []struct {
		url  string
		want string
	}{
		{"administrative-gender", "male female other unknown"},
		{"administrative-gender|4.0.1", "male female other unknown"},
		{"administrative-gender|4.0", "male female other unknown"},
		{"observation-status", "registered preliminary final amended corrected cancelled entered-in-error unknown"},
		{"condition-clinical", "active recurrence relapse inactive remission resolved"},
		{"days-of-week", "mon tue wed thu fri sat sun"},
		// v2-0131 without O and what is below it
		{"patient-contactrelationship", "BP C CP E EP F I N PR S U"},
		// descendants of a code in v3-ActMood
		{"inactive", "CRT EVN.CRT GOL.CRT INT.CRT PRMS.CRT RQO.CRT RSK.CRT EXPEC GOL RSK OPT"},
	} {
		got := codesOf(t, l, valueSets+c.url)
		want := strings.Fields(c.want)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", c.url, got, want)
		}
	}
}

func TestContains(t *testing.T) {
	l, _ := library(t, "CodeSystem urn:d", diseases,
		"ValueSet urn:liver", `{"url":"urn:liver","compose":{"include":[{"system":"urn:d","filter":[{"property":"concept","op":"is-a","value":"B"}]}],"exclude":[{"system":"urn:d","concept":[{"code":"D"}]}]}}`,
		"ValueSet urn:active", `{"url":"urn:active","compose":{"inactive":false,"include":[{"system":"urn:d"}]}}`,
		"ValueSet urn:both", `{"url":"urn:both","compose":{"include":[{"valueSet":["urn:liver","urn:active"]}]}}`,
		"ValueSet urn:organ", `{"url":"urn:organ","compose":{"include":[{"system":"urn:d","filter":[{"property":"organ","op":"=","value":"liver"}]}]}}`,
		"ValueSet urn:lab", `{"url":"urn:lab","compose":{"include":[{"system":"http://loinc.org","concept":[{"code":"718-7","display":"Hb"}]}]}}`)
	for _, c := range []struct{ set, system, code, want string }{
		{valueSets + "administrative-gender", gender, "male", "in"},
		{valueSets + "administrative-gender", gender, "Male", "out"},
		{valueSets + "administrative-gender", clinical, "active", "out"},
		{"urn:liver", "urn:d", "B", "in"},
		{"urn:liver", "urn:d", "C", "in"},
		{"urn:liver", "urn:d", "c", "in"}, // the system says that case does not count
		{"urn:liver", "urn:d", "D", "out"},
		{"urn:liver", "urn:d", "A", "out"},
		{"urn:active", "urn:d", "E", "out"},
		{"urn:both", "urn:d", "C", "in"},
		{"urn:both", "urn:d", "A", "out"},
		{"urn:organ", "urn:d", "B", "in"},
		{"urn:organ", "urn:d", "C", "out"},
		{"urn:lab", "http://loinc.org", "718-7", "in"},
		{"urn:lab", "http://loinc.org", "718-8", "out"},
		{"http://loinc.org/vs", "http://loinc.org", "718-7", "unknown"},
		{"urn:d?fhir_vs=isa/B", "urn:d", "D", "in"},
		{"urn:d?fhir_vs", "urn:d", "E", "in"},
		{"http://unitsofmeasure.org/vs", systemUCUM, "mmol/L", "in"},
		{"http://unitsofmeasure.org/vs", systemUCUM, "mmol/Liter", "out"},
		{valueSets + "all-distance-units", systemUCUM, "[in_i]", "in"},
		{valueSets + "all-distance-units", systemUCUM, "kg", "out"},
		{valueSets + "mimetypes", systemMIME, "text/plain; charset=UTF-8", "in"},
		{valueSets + "mimetypes", systemMIME, "text", "out"},
		{valueSets + "all-languages", systemLanguages, "zh-Hans-CN", "in"},
		{valueSets + "all-languages", systemLanguages, "zh_CN", "out"},
		{"urn:none", "urn:d", "A", "unknown"},
	} {
		m, err := l.Contains(t.Context(), c.set, Coding{System: c.system, Code: c.code}, Check{})
		got := "out"
		switch {
		case notHere(err):
			got = "unknown"
		case err != nil:
			got = err.Error()
		case m.In:
			got = "in"
		}
		if got != c.want {
			t.Errorf("%s|%s in %s: got %s, want %s (%v)", c.system, c.code, c.set, got, c.want, err)
		}
	}
	if m, err := l.Contains(t.Context(), valueSets+"administrative-gender", Coding{Code: "male"}, Check{AnySystem: true}); err != nil || !m.In || m.Concept().System != gender || m.Concept().Display != "Male" {
		t.Errorf("a code alone: %+v, %v", m, err)
	}
	if m, _ := l.Contains(t.Context(), "urn:lab", Coding{System: "http://loinc.org", Code: "718-7"}, Check{}); m.Concept().Display != "Hb" {
		t.Errorf("the display that a value set gives: %+v", m.Concept())
	}
}

// The page of Condition.clinicalStatus: active has recurrence and relapse below it, inactive remission and resolved.
func TestHierarchy(t *testing.T) {
	l, _ := library(t, "CodeSystem urn:d", diseases,
		"CodeSystem urn:p", `{"url":"urn:p","content":"complete","concept":[{"code":"1"},{"code":"2","property":[{"code":"parent","valueCode":"1"}]},{"code":"3","property":[{"code":"subsumedBy","valueCode":"2"},{"code":"parent","valueCode":"4"}]},{"code":"4","property":[{"code":"child","valueCode":"3"}]}]}`,
		"CodeSystem urn:loop", `{"url":"urn:loop","content":"complete","concept":[{"code":"1","property":[{"code":"parent","valueCode":"2"}]},{"code":"2","property":[{"code":"parent","valueCode":"1"}]}]}`,
		"CodeSystem urn:part", `{"url":"urn:part","content":"complete","hierarchyMeaning":"part-of","concept":[{"code":"1","concept":[{"code":"2"}]}]}`)
	for _, c := range []struct{ system, code, below, above string }{
		{clinical, "active", "recurrence relapse", ""},
		{clinical, "relapse", "", "active"},
		{"urn:d", "A", "B C D", ""},
		{"urn:d", "d", "", "B A"},
		{"urn:p", "3", "", "2 4 1"},
		{"urn:p", "4", "3", ""},
		{"urn:loop", "1", "2", "2"},
		{"urn:part", "1", "", ""},
		{systemUCUM, "kg", "", ""},
	} {
		below, err := l.Descendants(t.Context(), c.system, c.code)
		above, err2 := l.Ancestors(t.Context(), c.system, c.code)
		if err != nil || err2 != nil || strings.Join(below, " ") != c.below || strings.Join(above, " ") != c.above {
			t.Errorf("%s|%s: below %q, above %q, %v, %v", c.system, c.code, below, above, err, err2)
		}
	}
	for _, c := range []struct {
		system, a, b string
		want         Relation
	}{
		{clinical, "active", "relapse", Above}, {clinical, "relapse", "active", Below}, {clinical, "active", "active", Equivalent}, {clinical, "active", "resolved", NotSubsumed},
		{"urn:p", "1", "3", Above}, {"urn:p", "4", "3", Above}, {"urn:p", "4", "2", NotSubsumed}, {"urn:part", "1", "2", NotSubsumed}, {"urn:d", "a", "A", Equivalent},
	} {
		if got, err := l.Subsumes(t.Context(), c.system, "", c.a, c.b); err != nil || got != c.want {
			t.Errorf("%s %s to %s: %s, %v", c.system, c.a, c.b, got, err)
		}
	}
}

func TestWhatCannotBeHadIsNamed(t *testing.T) {
	include := func(in string) string { return `{"url":"urn:v","compose":{"include":[` + in + `]}}` }
	for _, c := range []struct {
		set  string
		code issue.Code
		text string
	}{
		{include(`{"system":"http://snomed.info/sct"}`), issue.NotSupported, `"http://snomed.info/sct"`},
		{include(`{"system":"urn:gone"}`), issue.NotFound, `code system "urn:gone"`},
		{include(`{"valueSet":["urn:gone"]}`), issue.NotFound, `value set "urn:gone"`},
		{include(`{"valueSet":["urn:v"]}`), issue.Processing, `"urn:v" imports itself`},
		{include(`{"system":"urn:d","filter":[{"property":"color","op":"=","value":"red"}]}`), issue.NotSupported, `"color"`},
		{include(`{"system":"urn:d","filter":[{"property":"organ","op":"is-a","value":"red"}]}`), issue.NotSupported, `"is-a"`},
		{include(`{"system":"urn:d","filter":[{"property":"code","op":"regex","value":"("}]}`), issue.Invalid, `regular expression`},
		{include(`{"system":"urn:d","filter":[{"property":"concept","op":"is-a","value":"X"}]}`), issue.NotFound, `"X"`},
		{include(`{"system":"http://unitsofmeasure.org"}`), issue.NotSupported, "made by rules"},
		{`{"url":"urn:v"}`, issue.NotSupported, "does not say"},
		{include(`{"system":"urn:d","version":"3"}`), issue.NotFound, `version "3"; there is "2"`},
	} {
		l, _ := library(t, "CodeSystem urn:d", diseases, "ValueSet urn:v", c.set)
		b, err := l.valueSet(t.Context(), "urn:v")
		if err == nil {
			err = l.each(b, func(*place) bool { return true })
		}
		if e := issue.As(err); e == nil || e.Issues[0].Code != c.code || !strings.Contains(e.Issues[0].Text, c.text) {
			t.Errorf("%s: %v", c.set, err)
		}
	}
}

// Value sets that import each other over many ways would cost their number to the power of their depth.
func TestImportsAreBounded(t *testing.T) {
	set := func(imports ...string) string {
		return `{"url":"urn:v","compose":{"include":[{"valueSet":["` + strings.Join(imports, `"]},{"valueSet":["`) + `"]}]}}`
	}
	var chain, diamonds []string
	for i := range 25 {
		next := "urn:" + string(rune('a'+i+1))
		chain = append(chain, "ValueSet urn:"+string(rune('a'+i)), set(next))
		diamonds = append(diamonds, "ValueSet urn:"+string(rune('a'+i)), set(next, next, next))
	}
	const leaf = `{"url":"urn:v","compose":{"include":[{"system":"urn:d","concept":[{"code":"A"}]}]}}`
	for _, c := range []struct {
		sets []string
		leaf string // of the last one, which lists a code
		ok   bool
	}{{chain, "urn:f", true}, {chain, "urn:z", false}, {diamonds, "urn:f", true}, {diamonds, "urn:k", false}} {
		l, s := library(t, c.sets...)
		s.put("ValueSet "+c.leaf, leaf)
		m, err := l.Contains(t.Context(), "urn:a", Coding{System: "urn:d", Code: "A"}, Check{})
		if c.ok != (err == nil && m.In) || !c.ok && (issue.As(err) == nil || issue.As(err).Issues[0].Code != issue.TooCostly) {
			t.Errorf("down to %s: %v, %v", c.leaf, m.In, err)
		}
	}
}

func TestAChangedResourceCountsAtOnce(t *testing.T) {
	l, s := library(t, "CodeSystem urn:d", diseases,
		"ValueSet urn:in", `{"url":"urn:in","compose":{"include":[{"system":"urn:d","filter":[{"property":"concept","op":"descendent-of","value":"B"}]}]}}`,
		"ValueSet urn:v", `{"url":"urn:v","compose":{"include":[{"valueSet":["urn:in"]}]}}`)
	check := func(want string) {
		t.Helper()
		if got := strings.Join(codesOf(t, l, "urn:v"), " "); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	check("C D")
	s.put("CodeSystem urn:d", `{"url":"urn:d","content":"complete","concept":[{"code":"B","concept":[{"code":"F"}]}]}`)
	check("F")
	s.put("ValueSet urn:in", `{"url":"urn:in","compose":{"include":[{"system":"urn:d","concept":[{"code":"B"}]}]}}`)
	check("B")
	s["ValueSet urn:in"], s["epoch"] = nil, nil
	if _, err := l.Contains(t.Context(), "urn:v", Coding{System: "urn:d", Code: "B"}, Check{}); !notHere(err) {
		t.Errorf("an import that is gone: %v", err)
	}
	if _, err := l.Contains(t.Context(), "http://source/down", Coding{System: "urn:d", Code: "B"}, Check{}); err == nil || notHere(err) || issue.As(err) != nil {
		t.Errorf("a source that fails: %v", err)
	}
}

func TestTheNewestVersionIsTaken(t *testing.T) {
	s := fakeSource{}
	for _, v := range []string{"2.9", "2.10", "2.1"} {
		s["CodeSystem urn:x"] = append(s["CodeSystem urn:x"], resource(v, `{"resourceType":"CodeSystem","url":"urn:x","version":"`+v+`","status":"active","content":"complete","concept":[{"code":"`+v+`"}]}`))
	}
	l := New(Options{Source: s})
	for version, want := range map[string]string{"": "2.10", "2.9": "2.9", "2": "2.10"} {
		if _, err := l.Lookup(t.Context(), "urn:x", version, want); err != nil {
			t.Errorf("version %q: %v", version, err)
		}
	}
}

// Every official value set either lists its codes or says which content is not here.
func TestEveryOfficialValueSetIsListedOrNamesWhatIsNotHere(t *testing.T) {
	l := New(Options{})
	listed, unknown := 0, 0
	for e := range l.set.Entries(kindValueSet) {
		b, err := l.valueSet(t.Context(), e.URL)
		if err == nil {
			err = l.each(b, func(*place) bool { return true })
		}
		switch {
		case err == nil:
			listed++
		case notHere(err):
			unknown++
		default:
			t.Errorf("%s: %v", e.URL, err)
		}
	}
	t.Logf("%d value sets listed, %d draw from content that is not here", listed, unknown)
	if listed < 1000 {
		t.Errorf("only %d value sets are listed", listed)
	}
}

func TestCodesForSearches(t *testing.T) {
	l, _ := library(t, "CodeSystem urn:d", diseases,
		"ValueSet urn:v", `{"url":"urn:v","compose":{"include":[{"system":"urn:gone"},{"system":"urn:d","filter":[{"property":"concept","op":"is-a","value":"B"}]}]}}`)
	sets, err := l.Codes().Expand("urn:v")
	if err != nil || len(sets) != 2 || !sets[0].All || sets[0].System != "urn:gone" || !slices.Equal(sets[1].Codes, []string{"B", "C", "D"}) {
		t.Errorf("%+v, %v", sets, err)
	}
	var _ search.Codes = codes{}
}

func BenchmarkContains(b *testing.B) {
	l, _ := library(b)
	b.ReportAllocs()
	for b.Loop() {
		if m, err := l.Contains(context.Background(), valueSets+"observation-status", Coding{System: "http://hl7.org/fhir/observation-status", Code: "final"}, Check{}); err != nil || !m.In {
			b.Fatal(m, err)
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	l, _ := library(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := l.Lookup(context.Background(), "http://terminology.hl7.org/CodeSystem/v3-ActCode", "", "AMB"); err != nil {
			b.Fatal(err)
		}
	}
}

// A Source that could not be asked says nothing of what is there: the next one who asks gets the answer.
func TestAnErrorThatPassesIsNotKept(t *testing.T) {
	for _, at := range []string{"http://v", "http://s"} {
		down := issue.New(issue.Transient, "canceled", "given up", "")
		s := &passing{fakeSource{}, at, down}
		s.put("CodeSystem http://s", `{"url":"http://s","content":"complete","concept":[{"code":"a"}]}`)
		s.put("ValueSet http://v", `{"url":"http://v","compose":{"include":[{"system":"http://s"}]}}`)
		l := New(Options{Source: s})
		a := Coding{System: "http://s", Code: "a"}
		if _, err := l.Contains(t.Context(), "http://v", a, Check{}); !errors.Is(err, down) {
			t.Errorf("%s: %v", at, err)
		}
		s.failure = nil
		if m, err := l.Contains(t.Context(), "http://v", a, Check{}); err != nil || !m.In {
			t.Errorf("%s afterwards: %v, %v", at, m.In, err)
		}
	}
}

// passing fails for one reference as long as it has a failure.
type passing struct {
	fakeSource
	at      string
	failure error
}

func (s *passing) Find(ctx context.Context, kind, reference string) ([]Resource, error) {
	if reference == s.at && s.failure != nil {
		return nil, s.failure
	}
	return s.fakeSource.Find(ctx, kind, reference)
}

// https://hl7.org/fhir/R4/valueset-definitions.html#ValueSet.compose.include.version: "or the special version '*' for all versions"
func TestAnIncludeOfAllVersions(t *testing.T) {
	l, _ := library(t, "CodeSystem urn:d", diseases, "ValueSet http://v", `{"url":"http://v","compose":{"include":[{"system":"urn:d","version":"*","filter":[{"property":"concept","op":"is-a","value":"B"}]}]}}`)
	if m, err := l.Contains(t.Context(), "http://v", Coding{System: "urn:d", Code: "C"}, Check{}); err != nil || !m.In {
		t.Error(m.In, err)
	}
}

// notHere says that an error names something that is not here: a value set, a system, its content.
func notHere(err error) bool {
	e := issue.As(err)
	return e != nil && (e.Issues[0].Code == issue.NotFound || e.Issues[0].Code == issue.NotSupported)
}
