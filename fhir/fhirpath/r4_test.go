package fhirpath

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"meridian/fhir/codec"
	"meridian/fhir/definitions"
	"meridian/fhir/element"
	"meridian/fhir/fhirtest"
	"meridian/fhir/schema"
)

// examples parses the official examples, and a generated resource of every type.
func examples(t testing.TB) map[string]*element.Tree {
	trees := map[string]*element.Tree{}
	for _, x := range fhirtest.Examples(t) {
		tree, err := codec.Parse(x.Body, codec.Options{})
		if err != nil {
			continue // codec's own tests name them
		}
		trees[x.Name] = tree
	}
	if len(trees) < 300 {
		t.Fatalf("only %d examples", len(trees))
	}
	return trees
}

// TestSearchParametersEvaluate evaluates every expression on every example of
// its base types, and on a generated resource of each: no error, and nearly
// every expression finds something.
func TestSearchParametersEvaluate(t *testing.T) {
	trees := examples(t)
	for _, name := range schema.ResourceTypes() {
		for seed := uint64(1); seed <= 4; seed++ {
			tree, err := codec.Parse(fhirtest.Generate(name, seed), codec.Options{AnyCardinality: true})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			trees[fmt.Sprint("generated ", name, seed)] = tree
		}
	}
	env := &Env{FilterAs: true}
	evaluated, empty := 0, []string{}
	for _, p := range definitions.SearchParameters() {
		if p.Expression == "" {
			continue
		}
		e, err := Compile(p.Expression)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for name, tree := range trees {
			if !hasBase(p.Base, tree.Root().Type()) {
				continue
			}
			evaluated++
			out, err := e.Eval(env, tree.Root())
			if err != nil {
				t.Errorf("%s on %s: %v", p.URL, name, err)
			}
			found = found || len(out) > 0
		}
		if !found {
			empty = append(empty, p.URL)
		}
	}
	// With 40 generated resources a type, only 31 are left, all of the form
	// relatedArtifact.where(type='…').
	t.Logf("%d evaluations; %d expressions find nothing", evaluated, len(empty))
	if len(empty) > 100 {
		t.Errorf("%d expressions find nothing: %v", len(empty), empty)
	}
}

func hasBase(base []string, t *schema.Type) bool {
	for _, b := range base {
		if bt := schema.ByName(b); bt != nil && t.IsA(bt.ID) {
			return true
		}
	}
	return false
}

type constraint struct {
	key, source string
	expr        *Expr
}

// constraints reads the invariants of severity error from the definitions of
// types: by element path, and by type for those of its root.
func constraints(t *testing.T) map[string][]constraint {
	all, set := map[string][]constraint{}, new(definitions.Set)
	for e := range set.Entries("StructureDefinition") {
		data, err := set.JSON(e)
		if err != nil {
			t.Fatal(err)
		}
		var sd struct {
			Derivation, Type string
			Snapshot         struct {
				Element []struct {
					Path       string
					Constraint []struct{ Key, Severity, Expression string }
				}
			}
		}
		if err := json.Unmarshal(data, &sd); err != nil {
			t.Fatal(err)
		}
		if sd.Derivation == "constraint" {
			continue
		}
		for _, el := range sd.Snapshot.Element {
			for _, c := range el.Constraint {
				if c.Expression == "" || c.Severity != "error" {
					continue
				}
				x, err := Compile(c.Expression)
				if err != nil {
					t.Errorf("%s %s: %v in %s", el.Path, c.Key, err, c.Expression)
					continue
				}
				all[el.Path] = append(all[el.Path], constraint{c.Key, c.Expression, x})
			}
		}
	}
	return all
}

// TestInvariantsHoldOnExamples evaluates the invariants of R4 on every element
// of every official example: another oracle for the functions they use.
func TestInvariantsHoldOnExamples(t *testing.T) {
	all, checked, keys := constraints(t), 0, map[string]bool{}
	env := &Env{FilterAs: true}
	for name, tree := range examples(t) {
		for i := range tree.Len() {
			n := tree.At(i)
			paths := []string{n.Type().Name}
			if e := n.Element(); e != nil && e.Path != n.Type().Name {
				paths = append(paths, e.Path)
			}
			for _, p := range paths {
				for _, c := range all[p] {
					checked++
					keys[c.key] = true
					ok, known, err := c.expr.EvalBool(env, n)
					if reason := invariantExceptions[name+" "+c.key]; reason != "" {
						continue
					}
					if err != nil || known && !ok {
						t.Errorf("%q at %s: %v, %v in %s", name+" "+c.key, n.Location(), ok, err, strings.TrimSpace(c.source))
					}
				}
			}
		}
	}
	t.Logf("%d evaluations of %d invariants", checked, len(keys))
}
