package terminology

import (
	"context"
	"strconv"

	"meridian/fhir/issue"
)

// Relation of one code to another. https://hl7.org/fhir/R4/valueset-concept-subsumption-outcome.html
type Relation string

const (
	Equivalent  Relation = "equivalent"
	Above       Relation = "subsumes"
	Below       Relation = "subsumed-by"
	NotSubsumed Relation = "not-subsumed"
)

// Subsumes says how a stands to b, both codes of one system. Issue codes: not-found for the system or a code.
//
// https://hl7.org/fhir/R4/codesystem-operation-subsumes.html
func (l *Library) Subsumes(ctx context.Context, system, version, a, b string) (Relation, error) {
	cs, err := l.codeSystem(ctx, system, version)
	if err != nil {
		return "", err
	}
	if cs.grammar != nil {
		for _, code := range []string{a, b} {
			if !cs.grammar.valid(code) {
				return "", noCode(cs, code)
			}
		}
		if a == b {
			return Equivalent, nil
		}
		return NotSubsumed, nil
	}
	x, err := cs.mustRow(a)
	if err != nil {
		return "", err
	}
	y, err := cs.mustRow(b)
	switch {
	case err != nil:
		return "", err
	case x == y:
		return Equivalent, nil
	case cs.isBelow(y, x):
		return Above, nil
	case cs.isBelow(x, y):
		return Below, nil
	}
	return NotSubsumed, nil
}

// Descendants lists the codes that a code subsumes, without itself, parents before children.
func (l *Library) Descendants(ctx context.Context, system, code string) ([]string, error) {
	return l.related(ctx, system, code, func(c *concept) []int32 { return c.children })
}

// Ancestors lists the codes that subsume a code, without itself, the nearest first.
func (l *Library) Ancestors(ctx context.Context, system, code string) ([]string, error) {
	return l.related(ctx, system, code, above)
}

func (l *Library) related(ctx context.Context, system, code string, next func(*concept) []int32) ([]string, error) {
	cs, err := l.codeSystem(ctx, system, "")
	if err != nil {
		return nil, err
	}
	if cs.grammar != nil {
		if !cs.grammar.valid(code) {
			return nil, noCode(cs, code)
		}
		return nil, nil
	}
	row, err := cs.mustRow(code)
	if err != nil || !cs.subsumes {
		return nil, err
	}
	var out []string
	for _, k := range cs.closure(row, next)[1:] {
		out = append(out, cs.concepts[k].code)
	}
	return out, nil
}

// closure lists a row and all that next leads to, nearest first, each once.
func (cs *codeSystem) closure(row int32, next func(*concept) []int32) []int32 {
	return cs.walk(row, next, func(int32) bool { return true })
}

// walk is closure that ends with the first row of which visit says no.
func (cs *codeSystem) walk(row int32, next func(*concept) []int32, visit func(int32) bool) []int32 {
	seen := map[int32]bool{row: true}
	out := []int32{row}
	for i := 0; i < len(out); i++ {
		for _, k := range next(&cs.concepts[out[i]]) {
			if !seen[k] {
				seen[k] = true
				out = append(out, k)
				if !visit(k) {
					return out
				}
			}
		}
	}
	return out
}

func above(c *concept) []int32 { return c.parents }

// isBelow says that row has of above it.
func (cs *codeSystem) isBelow(row, of int32) bool {
	if !cs.subsumes {
		return false
	}
	// Most hierarchies are trees: a walk up meets nothing twice.
	steps := 0
	for len(cs.concepts[row].parents) == 1 && steps < len(cs.concepts) {
		if row = cs.concepts[row].parents[0]; row == of {
			return true
		}
		steps++
	}
	if len(cs.concepts[row].parents) == 0 || steps == len(cs.concepts) {
		return false
	}
	found := false
	cs.walk(row, above, func(k int32) bool {
		found = k == of
		return !found
	})
	return found
}

// mustRow is row, or the error that tells why there is none.
func (cs *codeSystem) mustRow(code string) (int32, error) {
	if row, ok := cs.row(code); ok {
		return row, nil
	}
	return 0, noCode(cs, code)
}

func noCode(cs *codeSystem, code string) error {
	if cs.content == contentNotPresent {
		return notPresent(cs.url)
	}
	text := "the code system " + quote(cs.url) + " has no code " + quote(code)
	id := "terminology.code"
	if cs.grammar == nil && cs.content != contentComplete {
		id = "terminology.code-partial"
		text = "of the code system " + quote(cs.url) + " only a part is here (" + cs.content + "), which has no code " + quote(code)
	}
	return issue.New(issue.NotFound, id, text, "")
}

func notPresent(system string) error {
	return issue.New(issue.NotSupported, "terminology.not-present", "the content of the code system "+quote(system)+" is not here; store it as a CodeSystem with this url", "")
}

// quote shows what a client named, cut where it is long.
func quote(s string) string {
	if len(s) > maxShown {
		n := maxShown
		for n > 0 && s[n]&0xC0 == 0x80 {
			n--
		}
		s = s[:n] + "…"
	}
	return strconv.Quote(s)
}

const maxShown = 200 // bytes
