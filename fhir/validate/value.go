package validate

import (
	"bytes"
	"strconv"
	"unicode/utf8"

	"meridian/fhir/codec"
	"meridian/fhir/element"
	"meridian/fhir/fhirpath"
	"meridian/fhir/issue"
	"meridian/fhir/schema"
)

// texts gives the values of the children of that name.
func texts(n element.Node, name string) (out []string) {
	for c := n.First(); c.Valid(); c = c.Next() {
		if c.Name() == name && c.HasValue() {
			out = append(out, c.Text())
		}
	}
	return out
}

// number is the value of an integer, 0 when it is none.
func number(n element.Node) int {
	i, _ := strconv.Atoi(n.Text())
	return i
}

func count(n int) string { return strconv.Itoa(n) }

// detached copies n into a tree of its own, so that the definition it stands in can be let go.
func detached(n element.Node) element.Node {
	tree, err := codec.Parse(codec.AppendJSON(nil, n, nil), codec.Options{Type: n.Type().Name, AnyCardinality: true})
	if err != nil {
		return element.Node{}
	}
	return tree.Root()
}

// within checks the length of a string and the bounds of a value.
//
// https://hl7.org/fhir/R4/elementdefinition-definitions.html#ElementDefinition.minValue_x_
func (r *run) within(n element.Node, maxLength int, low, high element.Node) {
	if maxLength > 0 && utf8.RuneCount(n.Bytes()) > maxLength {
		r.report(n, issue.SevError, issue.TooLong, "value.length", count(maxLength))
	}
	if low.Valid() && r.compare(n, "<", low) {
		r.report(n, issue.SevError, issue.Value, "value.low", low.Text())
	}
	if high.Valid() && r.compare(n, ">", high) {
		r.report(n, issue.SevError, issue.Value, "value.high", high.Text())
	}
}

// compare is n op bound where both are known to compare.
func (r *run) compare(n element.Node, op string, bound element.Node) bool {
	expr := r.v.expr("$this " + op + " %bound")
	env := r.env
	env.Vars = map[string]fhirpath.Collection{"bound": {fhirpath.NodeItem(bound)}}
	ok, known, err := expr.EvalBool(&env, n)
	return err == nil && known && ok
}

// same says that n has exactly the content of want: fixed[x].
//
// https://hl7.org/fhir/R4/elementdefinition-definitions.html#ElementDefinition.fixed_x_
func same(n, want element.Node) bool {
	if n.Type().Kind == schema.Primitive && (n.HasValue() != want.HasValue() || !equalPrimitive(n, want)) {
		return false
	}
	left := 0
	for c := n.First(); c.Valid(); c = c.Next() {
		left++
	}
	for w := want.First(); w.Valid(); w = w.Next() {
		c := nth(n, w.Name(), w.Ordinal())
		if !c.Valid() || !same(c, w) {
			return false
		}
		left--
	}
	return left == 0
}

// nth is the child of n with that name and ordinal, the zero Node when there is none.
func nth(n element.Node, name string, ordinal int) element.Node {
	for c := n.First(); c.Valid(); c = c.Next() {
		if c.Name() == name {
			if ordinal == 0 {
				return c
			}
			ordinal--
		}
	}
	return element.Node{}
}

// matches says that n has at least the content of want: pattern[x]. Every repetition in want is found in n, in any place.
//
// https://hl7.org/fhir/R4/elementdefinition-definitions.html#ElementDefinition.pattern_x_
func matches(n, want element.Node) bool {
	if n.Type().Kind == schema.Primitive || want.Type().Kind == schema.Primitive {
		if !equalPrimitive(n, want) {
			return false
		}
	} else if !n.Type().IsA(want.TypeID()) && !want.Type().IsA(n.TypeID()) {
		return false
	}
	for w := want.First(); w.Valid(); w = w.Next() {
		found := false
		for c := n.First(); c.Valid() && !found; c = c.Next() {
			found = c.Name() == w.Name() && matches(c, w)
		}
		if !found {
			return false
		}
	}
	return true
}

// equalPrimitive compares values as written, without regard to escapes.
func equalPrimitive(n, want element.Node) bool {
	if !want.HasValue() {
		return true
	}
	return n.HasValue() && n.IsString() == want.IsString() && bytes.Equal(n.Bytes(), want.Bytes())
}
