package operation

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"meridian/server/interaction"
	"meridian/server/store"
)

// record writes a patient with n resources about him, and others about another patient.
func record(t testing.TB, s *interaction.Service, n int) {
	t.Helper()
	bodies := []string{`{"resourceType":"Patient","id":"p","generalPractitioner":[{"reference":"Practitioner/0"}]}`, `{"resourceType":"Patient","id":"q"}`}
	for i := range 10 {
		bodies = append(bodies, fmt.Sprintf(`{"resourceType":"Practitioner","id":"%d"}`, i), fmt.Sprintf(`{"resourceType":"Medication","id":"%d"}`, i))
	}
	for i := range n {
		switch i % 3 {
		case 0:
			bodies = append(bodies, fmt.Sprintf(`{"resourceType":"Observation","id":"o%d","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"718-7"}]},"subject":{"reference":"Patient/p"},"effectiveDateTime":"2020-01-%02d","valueQuantity":{"value":%d.5,"unit":"g/L","system":"http://unitsofmeasure.org","code":"g/L"},"performer":[{"reference":"Practitioner/%d"}]}`, i, i%28+1, i, i%10))
		case 1:
			bodies = append(bodies, fmt.Sprintf(`{"resourceType":"Condition","id":"c%d","subject":{"reference":"Patient/p"},"code":{"text":"x"}}`, i))
		default:
			bodies = append(bodies, fmt.Sprintf(`{"resourceType":"MedicationRequest","id":"m%d","status":"active","intent":"order","medicationReference":{"reference":"Medication/%d"},"subject":{"reference":"Patient/p"}}`, i, i%10))
		}
		if i%10 == 0 {
			bodies = append(bodies, fmt.Sprintf(`{"resourceType":"Observation","id":"x%d","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/q"}}`, i))
		}
	}
	// An appointment of both patients is in the record of either.
	bodies = append(bodies, `{"resourceType":"Appointment","id":"both","status":"booked","participant":[{"actor":{"reference":"Patient/q"},"status":"accepted"},{"actor":{"reference":"Patient/p"},"status":"accepted"}]}`)
	put(t, s, bodies...)
}

// walk follows next links to the end.
func walk(t *testing.T, s *interaction.Service, key store.Key, query string) (all []string, pages int) {
	t.Helper()
	for {
		b := get(t, s, "everything", key, query)
		all = append(all, b.paths()...)
		pages++
		next := b.next()
		if next == "" {
			return all, pages
		}
		_, query, _ = strings.Cut(next, "?")
	}
}

func TestEverythingGivesEachResourceOnce(t *testing.T) {
	s := newService(t)
	record(t, s, 300)
	patient := store.Key{Type: "Patient", ID: "p"}
	whole, pages := walk(t, s, patient, "")
	if pages != 1 || len(whole) != 300+1+1+20 {
		t.Fatalf("%d resources on %d pages, want the patient, 300 resources, an appointment, 20 referred to, on 1", len(whole), pages)
	}
	if slices.ContainsFunc(whole, func(p string) bool { return strings.HasPrefix(p, "Observation/x") || p == "Patient/q" }) {
		t.Error("another patient's record is in it")
	}
	for _, count := range []string{"1", "7", "100", "302", "321", "1000"} {
		got, _ := walk(t, s, patient, "_count="+count)
		if !slices.Equal(got, whole) {
			t.Errorf("_count=%s gives %d resources, not the %d of one page in their order", count, len(got), len(whole))
		}
	}
}

func TestEverythingOfAllPatientsGivesEachResourceOnce(t *testing.T) {
	s := newService(t)
	record(t, s, 60)
	for _, query := range []string{"", "_count=5", "_count=1"} {
		all, _ := walk(t, s, store.Key{Type: "Patient"}, query)
		if want := 60 + 6 + 2 + 1 + 20; len(all) != want {
			t.Errorf("%q gives %d resources, want %d", query, len(all), want)
		}
		seen := map[string]bool{}
		for _, p := range all {
			if seen[p] {
				t.Errorf("%q gives %s twice", query, p)
			}
			seen[p] = true
		}
	}
}

// A resource in the compartment stands once in the walk, whatever is written meanwhile.
func TestEverythingIsStableUnderWrites(t *testing.T) {
	s := newService(t)
	record(t, s, 90)
	key := store.Key{Type: "Patient", ID: "p"}
	before, _ := walk(t, s, key, "")
	var got []string
	query := "_count=10"
	for n := 0; ; n++ {
		b := get(t, s, "everything", key, query)
		got = append(got, b.paths()...)
		put(t, s, fmt.Sprintf(`{"resourceType":"AllergyIntolerance","id":"new%d","patient":{"reference":"Patient/p"}}`, n),
			`{"resourceType":"Condition","id":"c1","subject":{"reference":"Patient/p"},"code":{"text":"`+fmt.Sprint(n)+`"}}`)
		next := b.next()
		if next == "" {
			break
		}
		_, query, _ = strings.Cut(next, "?")
	}
	seen := map[string]int{}
	for _, p := range got {
		seen[p]++
	}
	for _, p := range before {
		if seen[p] != 1 {
			t.Errorf("%s stands %d times in the walk", p, seen[p])
		}
	}
}

// Every parameter of the compartment definitions is searched: none is left out of $everything in silence.
func TestCompartmentsAreSearchedWhole(t *testing.T) {
	s := newService(t)
	for _, code := range []string{"Patient", "Encounter"} {
		c := compartmentOf(s, code)
		if c == nil {
			t.Fatal(code)
		}
		for _, typ := range c.types {
			if len(c.of(typ, "x")) == 0 {
				t.Errorf("%s: %s has no parameter", code, typ)
			}
		}
	}
}

func BenchmarkEverything2000(b *testing.B) {
	s := newService(b)
	record(b, s, 2000)
	b.ReportAllocs()
	for b.Loop() {
		if n := len(get(b, s, "everything", store.Key{Type: "Patient", ID: "p"}, "").Entry); n != 2022 {
			b.Fatal(n)
		}
	}
}
