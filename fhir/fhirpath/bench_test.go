package fhirpath

import (
	"testing"
	"time"
)

// Families of functions, each on the same patient.
func BenchmarkEval(b *testing.B) {
	env := &Env{Now: time.Date(2026, 5, 1, 10, 30, 0, 0, time.UTC), FilterAs: true}
	root := parse(b, patientJSON).Root()
	for _, c := range [][2]string{
		{"path", "Patient.name.given"},
		{"union", "Patient.name.family | Person.name.family | Practitioner.name.family"},
		{"where", "Patient.name.where(use = 'official').given"},
		{"choice", "(Patient.multipleBirth as integer)"},
		{"resolveIs", "Patient.generalPractitioner.where(resolve() is Practitioner)"},
		{"extension", "extension('http://x/a').value"},
		{"existence", "name.exists(family.exists() and given.count() > 1)"},
		{"decimal", "extension('http://x/a').value.aggregate($this + $total, 0.0) > 5"},
		{"date", "birthDate + 18 years < today()"},
		{"strings", "name.first().given.first().startsWith('三')"},
		{"matches", "contained.id.matches('^[a-z][0-9]+$')"},
		{"descendants", "descendants().count()"},
	} {
		b.Run(c[0], func(b *testing.B) {
			e, err := Compile(c[1])
			if err != nil {
				b.Fatal(err)
			}
			var out Collection
			focus := Collection{NodeItem(root)}
			b.ReportAllocs()
			for b.Loop() {
				if out, err = e.EvalItems(env, out[:0], focus); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Compile("Patient.name.where(use = 'official').given.first() | (Patient.deceased as dateTime)"); err != nil {
			b.Fatal(err)
		}
	}
}
