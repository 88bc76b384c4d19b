package search

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"meridian/fhir/codec"
	"meridian/fhir/element"
	"meridian/fhir/fhirtest"
)

// formatPage gives the blocks of docs/format/postings.md by their language.
func formatPage(t testing.TB) map[string]string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(fhirtest.ModuleRoot(t), "docs", "format", "postings.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := map[string]string{}
	for i, part := range strings.Split(string(page), "```") {
		if i%2 == 1 {
			name, body, _ := strings.Cut(part, "\n")
			blocks[name] = body
		}
	}
	return blocks
}

func facts(t testing.TB, r *Registry, body string) Facts {
	t.Helper()
	var f Facts
	if err := r.Index(parseBody(t, []byte(body)), &f); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFormatPage(t *testing.T) {
	page := formatPage(t)
	got := facts(t, testRegistry(t), page["json"])
	var keys []Key
	for _, line := range strings.Split(strings.TrimSpace(page["keys"]), "\n") {
		f := strings.Fields(line)
		keys = append(keys, Key{f[0], strings.Trim(f[1], "·"), strings.Join(f[2:], " ")})
	}
	if !slices.Equal(got.Keys, keys) {
		t.Errorf("keys\n got %q\nwant %q", got.Keys, keys)
	}
	var forward []Forward
	for _, line := range strings.Split(strings.TrimSpace(page["forward"]), "\n") {
		f := strings.Fields(line)
		forward = append(forward, Forward{f[0], f[1], f[2]})
	}
	if !slices.Equal(got.Forward, forward) {
		t.Errorf("forward\n got %q\nwant %q", got.Forward, forward)
	}
}

// laboratory is an Observation as an analyzer's result gives it.
const laboratory = `{"resourceType":"Observation","id":"o1","meta":{"versionId":"1","lastUpdated":"2026-11-22T06:00:00.123Z"},"status":"final",` +
	`"category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"laboratory","display":"Laboratory"}]}],` +
	`"code":{"coding":[{"system":"http://loinc.org","code":"718-7","display":"Hemoglobin [Mass/volume] in Blood"}],"text":"Hemoglobin"},` +
	`"subject":{"reference":"Patient/123"},"encounter":{"reference":"Encounter/e1"},"effectiveDateTime":"2026-01-01T08:00:00+00:00",` +
	`"issued":"2026-01-01T08:45:00+00:00","valueQuantity":{"value":14.1,"unit":"g/dL","system":"http://unitsofmeasure.org","code":"g/dL"},` +
	`"interpretation":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation","code":"N"}]}],` +
	`"referenceRange":[{"low":{"value":12.0,"unit":"g/dL","system":"http://unitsofmeasure.org","code":"g/dL"},"high":{"value":17.0,"unit":"g/dL"}}]}`

// pressure has two components, the most keys that a common Observation has.
const pressure = `{"resourceType":"Observation","id":"o2","meta":{"versionId":"1","lastUpdated":"2026-11-22T06:00:00.123Z"},"status":"final",` +
	`"category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs"}]}],` +
	`"code":{"coding":[{"system":"http://loinc.org","code":"85354-9"}]},"subject":{"reference":"Patient/123"},"encounter":{"reference":"Encounter/e1"},` +
	`"effectiveDateTime":"2026-01-01T08:00:00+00:00","component":[` +
	`{"code":{"coding":[{"system":"http://loinc.org","code":"8480-6"}]},"valueQuantity":{"value":124,"unit":"mmHg","system":"http://unitsofmeasure.org","code":"mm[Hg]"}},` +
	`{"code":{"coding":[{"system":"http://loinc.org","code":"8462-4"}]},"valueQuantity":{"value":78,"unit":"mmHg","system":"http://unitsofmeasure.org","code":"mm[Hg]"}}]}`

// TestKeyBudget: at most 30 keys for an Observation (design, budgets).
func TestKeyBudget(t *testing.T) {
	r := testRegistry(t)
	for name, body := range map[string]string{"laboratory": laboratory, "pressure": pressure} {
		f := facts(t, r, body)
		t.Logf("%s: %d keys, %d forward values", name, len(f.Keys), len(f.Forward))
		if len(f.Keys) > 30 {
			t.Errorf("%s has %d keys", name, len(f.Keys))
		}
	}
}

// TestFactsAreInOrder: keys and forward values are sorted, without duplicates,
// within MaxValue, of known names, and free of U+0000.
func TestFactsAreInOrder(t *testing.T) {
	r := testRegistry(t)
	var f Facts
	corpus(t, 2, func(name string, root element.Node) {
		if err := r.Index(root, &f); err != nil {
			t.Fatal(err)
		}
		for i, k := range f.Keys {
			if i > 0 && compareKeys(f.Keys[i-1], k) >= 0 {
				t.Errorf("%s: %q after %q", name, k, f.Keys[i-1])
			}
			if len(k.Value) > MaxValue || strings.ContainsRune(k.Scope+k.Value, 0) {
				t.Errorf("%s: value of %s", name, k.Param)
			}
		}
		for i, w := range f.Forward {
			if i > 0 && f.Forward[i-1].Param >= w.Param || w.Low > w.High || len(w.High) > MaxValue {
				t.Errorf("%s: forward %q", name, w)
			}
			if p, ok := r.Param(root.Type().Name, w.Param); !ok || p.sortedAs() != w.Param {
				t.Errorf("%s: %s is not sortable", name, w.Param)
			}
		}
	})
}

func TestIndexReusesFacts(t *testing.T) {
	r := testRegistry(t)
	a, b := parseBody(t, []byte(laboratory)), parseBody(t, []byte(pressure))
	var f Facts
	for range 2 {
		if err := r.Index(b, &f); err != nil {
			t.Fatal(err)
		}
	}
	if allocs := testing.AllocsPerRun(100, func() {
		if err := r.Index(a, &f); err != nil {
			t.Fatal(err)
		}
	}); allocs > 2 && !raceDetector {
		t.Errorf("%v allocations", allocs)
	}
	if want := facts(t, r, laboratory); !slices.Equal(f.Keys, want.Keys) || !slices.Equal(f.Forward, want.Forward) {
		t.Error("facts of the resource before are left")
	}
	if err := r.Index(element.Node{}, &f); err == nil || len(f.Keys) > 0 {
		t.Error("nothing is no resource")
	}
	if err := r.Index(a.Child("code"), &f); err == nil {
		t.Error("an element is no resource")
	}
}

func TestRegistryIsSafeForConcurrentUse(t *testing.T) {
	r := testRegistry(t)
	want := facts(t, testRegistry(t), laboratory)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			tree, err := codec.Parse([]byte(laboratory), codec.Options{})
			if err != nil {
				t.Error(err)
				return
			}
			var f Facts
			for range 50 {
				if err := r.Index(tree.Root(), &f); err != nil || !slices.Equal(f.Keys, want.Keys) {
					t.Error("facts differ", err)
				}
				r.Params("Patient")
			}
		})
	}
	wg.Wait()
}

func TestIndexVersion(t *testing.T) {
	version := func(o Options) string {
		r, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		return r.IndexVersion()
	}
	a := Options{Zone: time.UTC, BaseURL: "http://a/fhir"}
	if version(a) != version(Options{Zone: time.UTC, BaseURL: "http://a/fhir/"}) {
		t.Error("a slash at the end of the base makes no difference")
	}
	if version(a) == version(Options{Zone: time.UTC}) || version(a) == version(Options{Zone: time.FixedZone("x", 3600), BaseURL: "http://a/fhir"}) {
		t.Error("zone and base URL decide what keys say")
	}
	if _, err := New(Options{Zone: time.UTC, BaseURL: "/fhir"}); err == nil {
		t.Error("a base that is not absolute")
	}
}

func TestReferences(t *testing.T) {
	r := testRegistry(t)
	root := parseBody(t, []byte(observation(`"subject":{"reference":"Patient/1"},"performer":[{"reference":"http://our.example/fhir/Practitioner/2/_history/3"},
		{"reference":"Organization/4"},{"reference":"http://other/fhir/Practitioner/5"},{"display":"x"}]`)))
	for _, c := range []struct {
		code, target string
		want         []Reference
	}{
		{"subject", "", []Reference{{Type: "Patient", ID: "1"}}},
		{"patient", "", []Reference{{Type: "Patient", ID: "1"}}},
		{"performer", "", []Reference{{Type: "Practitioner", ID: "2", Version: "3"}, {Type: "Organization", ID: "4"}, {Type: "Practitioner", URL: "http://other/fhir/Practitioner/5"}}},
		{"performer", "Organization", []Reference{{Type: "Organization", ID: "4"}}},
		{"encounter", "", nil},
	} {
		p, ok := r.Param("Observation", c.code)
		if !ok {
			t.Fatal(c.code)
		}
		if got := r.References(root, p, c.target); !slices.Equal(got, c.want) {
			t.Errorf("%s %s: %+v, want %+v", c.code, c.target, got, c.want)
		}
	}
}

func BenchmarkIndex(b *testing.B) {
	r := testRegistry(b)
	root := parseBody(b, []byte(laboratory))
	var f Facts
	b.ReportAllocs()
	for b.Loop() {
		if err := r.Index(root, &f); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkParseAndIndex is the budget of an Observation: parse, check, index in 5 µs and 5 allocations.
func BenchmarkParseAndIndex(b *testing.B) {
	r := testRegistry(b)
	p := codec.NewParser(codec.Options{})
	body := []byte(laboratory)
	var f Facts
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		tree, err := p.Parse(body)
		if err != nil {
			b.Fatal(err)
		}
		if err := r.Index(tree.Root(), &f); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkQuery(b *testing.B) {
	r := testRegistry(b)
	in := []Pair{{"patient", "Patient/1"}, {"code", "http://loinc.org|718-7"}, {"date", "ge2026-01-01"}, {"_sort", "-date"}, {"_count", "20"}}
	b.ReportAllocs()
	for b.Loop() {
		q, _, err := r.Parse("Observation", in, false)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := r.Compile(q); err != nil {
			b.Fatal(err)
		}
	}
}
