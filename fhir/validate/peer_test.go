package validate

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"meridian/fhir/codec"
	"meridian/fhir/fhirtest"
	"meridian/fhir/issue"
	"meridian/fhir/terminology"
)

// official answers from the terminology of R4.
type official struct{ *terminology.Library }

func (l official) Contains(ctx context.Context, set, system, code string) (yes, known bool, err error) {
	m, err := l.Library.Contains(ctx, set, terminology.Coding{System: system, Code: code}, terminology.Check{AnySystem: system == ""})
	return m.In, err == nil, nil
}

func (l official) Defines(ctx context.Context, system, code string) (yes, known bool, _ error) {
	_, err := l.Lookup(ctx, system, "", code)
	e := issue.As(err)
	return err == nil, err == nil || e != nil && e.Issues[0].ID == "terminology.code", nil
}

func (l official) Subsumes(ctx context.Context, system, a, b string) (yes, known bool, _ error) {
	r, err := l.Library.Subsumes(ctx, system, "", a, b)
	return r == terminology.Equivalent || r == terminology.Above, err == nil, nil
}

// newOfficial gives a Validator with all that R4 defines.
func newOfficial() *Validator {
	return New(Options{Codes: official{terminology.New(terminology.Options{})}})
}

// judge parses and validates as $validate does, and gives the errors.
func judge(t testing.TB, v *Validator, body []byte) (errors []string) {
	var p Params
	tree, err := codec.NewParser(codec.Options{}).ParseWithIssues(body)
	if err != nil {
		for _, is := range issue.As(err).Issues {
			errors = append(errors, is.Expression+": "+is.ID+": "+is.Text)
			p.Skip = append(p.Skip, is.Expression)
		}
	}
	if tree == nil {
		return errors
	}
	issues, err := v.Validate(t.Context(), tree.Root(), p)
	if err != nil {
		t.Fatal(err)
	}
	for _, is := range issues {
		if is.Severity == issue.SevError || is.Severity == issue.Fatal {
			errors = append(errors, is.Expression+": "+is.ID+": "+is.Text)
		}
	}
	return errors
}

// TestPeerCases writes the examples and 200 mutations of each kind, and our verdict on each, into the folder that MERIDIAN_PEER names, for
// .ci/peers/validator.sh: cases.tsv (name, JSON), ours.tsv (name, errors, microseconds, text), bases.tsv (name, base).
func TestPeerCases(t *testing.T) {
	dir := os.Getenv("MERIDIAN_PEER")
	if dir == "" {
		t.Skip("SKIPPED: MERIDIAN_PEER is not set, see .ci/peers/validator.sh")
	}
	cases, bases := []mutated{}, bytes.Buffer{}
	for _, x := range fhirtest.Examples(t) {
		var flat bytes.Buffer
		if err := json.Compact(&flat, x.Body); err != nil {
			t.Fatal(err)
		}
		cases = append(cases, mutated{x.Name, x.Name, flat.Bytes()})
	}
	cases = append(cases, mutations(t, 200)...)
	v := newOfficial()
	var file, ours bytes.Buffer
	for pass := range 2 { // the second is that of a process that has run for a while
		for _, c := range cases {
			start := time.Now()
			errors := judge(t, v, c.body)
			micros := time.Since(start).Microseconds()
			if pass == 1 {
				fmt.Fprintf(&file, "%s\t%s\n", c.name, c.body)
				fmt.Fprintf(&ours, "%s\t%d\t%d\t%s\n", c.name, len(errors), micros, strings.Join(strings.Fields(strings.Join(errors, " ;; ")), " "))
				fmt.Fprintf(&bases, "%s\t%s\n", c.name, c.base)
			}
		}
	}
	for name, b := range map[string][]byte{"cases.tsv": file.Bytes(), "ours.tsv": ours.Bytes(), "bases.tsv": bases.Bytes()} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
