package fhirtest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Diff compares two JSON texts token by token and says where they differ first,
// "" when they do not. Numbers and strings are compared as written, 1.0 is not
// 1.00 and "\u0041" is not "A"; names are compared without their escapes, and in
// order, save that resourceType may stand anywhere in its object and a "_name"
// anywhere beside its "name". White space does not count.
func Diff(want, got []byte) string { return diff(want, got, how{}) }

// DiffAnyOrder is Diff for writers that put members in their own order: objects
// are compared by name, values as written.
func DiffAnyOrder(want, got []byte) string { return diff(want, got, how{byName: true}) }

// DiffValues is Diff for writers that spell strings their own way and put
// members in their own order: strings are compared as text, objects by name.
// Numbers are still compared as written.
func DiffValues(want, got []byte) string { return diff(want, got, how{byName: true, asText: true}) }

// how two texts are compared.
type how struct {
	byName bool // members in any order
	asText bool // strings without regard to their escapes
}

func diff(want, got []byte, h how) string {
	w, err := readValue(want)
	if err != nil {
		return "the text wanted is no JSON: " + err.Error()
	}
	g, err := readValue(got)
	if err != nil {
		return "the text got is no JSON: " + err.Error()
	}
	return compare(&w, &g, h).String()
}

// value is a JSON value with its lexemes.
type value struct {
	lexeme  string // of a scalar
	kind    byte   // '{', '[' or 0 for a scalar
	members []member
}

// member of an object, or, without a name, item of an array.
type member struct {
	name  string
	value value
}

// readValue splits a text that the standard library has found valid: the
// scanner of fhir/codec, which is under test, has no part in it.
func readValue(src []byte) (value, error) {
	if !json.Valid(src) {
		var v any
		return value{}, json.Unmarshal(src, &v)
	}
	r := reader{src: src}
	return r.value(), nil
}

type reader struct {
	src []byte
	i   int
}

// skip passes white space, commas and colons.
func (r *reader) skip() byte {
	for r.i < len(r.src) && strings.IndexByte(" \t\r\n,:", r.src[r.i]) >= 0 {
		r.i++
	}
	return r.src[r.i]
}

func (r *reader) value() value {
	open := r.skip()
	if open != '{' && open != '[' {
		return value{lexeme: r.scalar()}
	}
	v := value{kind: open}
	r.i++
	for r.skip() != open+2 { // in ASCII the closing brackets are two further
		var m member
		if open == '{' {
			m.name = r.scalar()
			m.name = m.name[1 : len(m.name)-1]
			if strings.Contains(m.name, `\`) {
				json.Unmarshal([]byte(`"`+m.name+`"`), &m.name)
			}
		}
		m.value = r.value()
		v.members = append(v.members, m)
	}
	r.i++
	return v
}

// scalar takes the lexeme at i.
func (r *reader) scalar() string {
	start := r.i
	if r.src[r.i] != '"' {
		for r.i < len(r.src) && strings.IndexByte(" \t\r\n,:]}", r.src[r.i]) < 0 {
			r.i++
		}
		return string(r.src[start:r.i])
	}
	for r.i++; r.src[r.i] != '"'; r.i++ {
		if r.src[r.i] == '\\' {
			r.i++
		}
	}
	r.i++
	return string(r.src[start:r.i])
}

// difference is a text and the path to where it was found, innermost step
// first; nil when there is none.
type difference struct {
	text string
	path []string
}

func found(format string, args ...any) *difference {
	return &difference{text: fmt.Sprintf(format, args...)}
}

func (d *difference) below(step string) *difference {
	if d != nil {
		d.path = append(d.path, step)
	}
	return d
}

func (d *difference) String() string {
	if d == nil {
		return ""
	}
	slices.Reverse(d.path)
	return "$" + strings.Join(d.path, "") + ": " + d.text
}

func compare(want, got *value, h how) *difference {
	if want.kind != got.kind {
		return found("want %s, got %s", describe(want), describe(got))
	}
	switch want.kind {
	case '{':
		if h.byName {
			return compareByName(want, got, h)
		}
		return compareInOrder(ordered(want.members), ordered(got.members), h)
	case '[':
		return compareInOrder(want.members, got.members, h)
	}
	if want.lexeme == got.lexeme || h.asText && sameString(want.lexeme, got.lexeme) {
		return nil
	}
	return found("want %s, got %s", want.lexeme, got.lexeme)
}

func sameString(a, b string) bool {
	var x, y string
	return json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && a[0] == '"' && b[0] == '"' && x == y
}

func describe(v *value) string {
	switch v.kind {
	case '{':
		return "an object"
	case '[':
		return "an array"
	}
	return v.lexeme
}

// ordered puts resourceType first and every "_name" behind its "name".
func ordered(in []member) []member {
	if !slices.ContainsFunc(in, func(m member) bool { return m.name == "resourceType" || strings.HasPrefix(m.name, "_") }) {
		return in
	}
	out := make([]member, 0, len(in))
	byName := func(name string) int { return slices.IndexFunc(in, func(m member) bool { return m.name == name }) }
	if k := byName("resourceType"); k >= 0 {
		out = append(out, in[k])
	}
	for _, m := range in {
		if m.name == "resourceType" || strings.HasPrefix(m.name, "_") && byName(m.name[1:]) >= 0 {
			continue
		}
		out = append(out, m)
		if k := byName("_" + m.name); k >= 0 {
			out = append(out, in[k])
		}
	}
	return out
}

func compareInOrder(want, got []member, h how) *difference {
	for i := range min(len(want), len(got)) {
		if want[i].name != got[i].name {
			return found("want member %q, got %q", want[i].name, got[i].name)
		}
		if d := compare(&want[i].value, &got[i].value, h); d != nil {
			return d.below(step(want[i].name, i))
		}
	}
	if len(want) != len(got) {
		return found("want %d members or items, got %d", len(want), len(got))
	}
	return nil
}

func step(name string, i int) string {
	if name == "" {
		return fmt.Sprintf("[%d]", i)
	}
	return "." + name
}

func compareByName(want, got *value, h how) *difference {
	has := map[string]*value{}
	for i := range got.members {
		m := &got.members[i]
		if has[m.name] != nil {
			return found("got member %q twice", m.name)
		}
		has[m.name] = &m.value
	}
	for i := range want.members {
		m := &want.members[i]
		if has[m.name] == nil {
			return found("member %q is missing", m.name)
		}
		if d := compare(&m.value, has[m.name], h); d != nil {
			return d.below("." + m.name)
		}
	}
	if len(want.members) != len(got.members) {
		return found("want %d members, got %d", len(want.members), len(got.members))
	}
	return nil
}
