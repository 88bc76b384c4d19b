package validate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
)

// patientProfile is one without a snapshot; differential holds its elements.
func patientProfile(name, base, differential string) []byte {
	return fmt.Appendf(nil, `{"resourceType":"StructureDefinition","url":"http://example.org/%s","name":"P","status":"active","kind":"resource","abstract":false,
		"type":"Patient","baseDefinition":"%s","derivation":"constraint","differential":{"element":[{"id":"Patient","path":"Patient"}%s]}}`, name, base, differential)
}

const patientBase = "http://hl7.org/fhir/StructureDefinition/Patient"

// What is found by a canonical may change from one validation to the next, also from nothing.
func TestABaseThatIsPostedLaterCounts(t *testing.T) {
	source := scripted{"StructureDefinition http://example.org/derived": patientProfile("derived", "http://example.org/base", "")}
	v := New(Options{Source: source})
	const body = `{"resourceType":"Patient","active":true}`
	if got, want := faults(t, v, body, "http://example.org/derived"), []string{"warning profile.problem Patient"}; !slices.Equal(got, want) {
		t.Errorf("without its base: %v, want %v", got, want)
	}
	source["StructureDefinition http://example.org/base"] = patientProfile("base", patientBase, `,{"id":"Patient.birthDate","path":"Patient.birthDate","min":1}`)
	if got := faults(t, v, body, "http://example.org/derived"); len(got) != 1 || got[0] == "warning profile.problem Patient" {
		t.Errorf("with its base, which asks for a birth date: %v", got)
	}
}

// counting counts what is asked.
type counting struct {
	scripted
	asked int
}

func (c *counting) Definition(ctx context.Context, kind, canonical string) ([]byte, error) {
	c.asked++
	return c.scripted.Definition(ctx, kind, canonical)
}

// Each definition is looked for once in a validation, however many ways lead to it.
func TestProfilesThatLeadToEachOtherOverManyWaysAreLookedForOnce(t *testing.T) {
	const levels = 12
	source := &counting{scripted: scripted{}}
	for i := range levels {
		below := ""
		for _, slice := range []string{"a", "b"} {
			below += fmt.Sprintf(`,{"id":"Extension.extension:%s","path":"Extension.extension","sliceName":"%s","type":[{"code":"Extension","profile":["http://example.org/e%d"]}]},
				{"id":"Extension.extension:%s.url","path":"Extension.extension.url","min":1}`, slice, slice, i+1, slice)
		}
		if i == levels-1 {
			below = ""
		}
		source.scripted[fmt.Sprintf("StructureDefinition http://example.org/e%d", i)] = fmt.Appendf(nil,
			`{"resourceType":"StructureDefinition","url":"http://example.org/e%d","name":"E","status":"active","kind":"complex-type","abstract":false,"type":"Extension",
			"baseDefinition":"http://hl7.org/fhir/StructureDefinition/Extension","derivation":"constraint","differential":{"element":[{"id":"Extension","path":"Extension"}%s]}}`, i, below)
	}
	v := New(Options{Source: source})
	for range 2 {
		source.asked = 0
		faults(t, v, `{"resourceType":"Patient","extension":[{"url":"http://example.org/e0","valueString":"x"}]}`)
		if source.asked > 3*levels {
			t.Errorf("%d definitions are looked for, of %d", source.asked, levels)
		}
	}
}

// failing fails for one kind of question.
type failing struct{ definitions, codes error }

func (f failing) Definition(context.Context, string, string) ([]byte, error) {
	return nil, f.definitions
}
func (f failing) Contains(context.Context, string, string, string) (yes, known bool, err error) {
	return false, false, f.codes
}
func (f failing) Defines(context.Context, string, string) (yes, known bool, err error) {
	return false, false, f.codes
}
func (f failing) Subsumes(context.Context, string, string, string) (yes, known bool, err error) {
	return false, false, f.codes
}

// That a store does not answer says nothing of what it holds.
func TestWhatCannotBeAskedEndsTheValidation(t *testing.T) {
	down := errors.New("down")
	for name, f := range map[string]failing{"definitions": {definitions: down}, "codes": {codes: down}} {
		v := New(Options{Source: f, Codes: f})
		for _, body := range []string{
			`{"resourceType":"Patient","meta":{"profile":["http://example.org/p"]},"gender":"male"}`,
			`{"resourceType":"QuestionnaireResponse","questionnaire":"http://example.org/q","status":"completed"}`,
		} {
			if issues, err := v.Validate(t.Context(), root(t, body), Params{}); !errors.Is(err, down) {
				t.Errorf("%s: issues %v, error %v", name, issues, err)
			}
		}
	}
}
