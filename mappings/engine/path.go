package engine

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"meridian/mappings/source"
)

// Grammar says which places a declared input can have; the checks M020 and
// M021 ask it. Names are those of the record tree.
type Grammar interface {
	// Child describes the child name of the place: repeats says that it may
	// occur more than once, ok that the input can have it at all.
	Child(place []string, name string) (repeats, ok bool)
	// Children lists the names below a place, for suggestions.
	Children(place []string) []string
}

// step is one name of a path.
type step struct {
	sym    source.Sym
	name   string
	index  int // -1: the first
	filter []source.Sym
	equal  string
	differ bool // the filter asks for another text than equal
	all    bool // [*]: every repetition
}

// path is a compiled source path: a scope variable, then names.
type path struct {
	text  string
	slot  int
	steps []step
	// place is the path from the root without indexes; repeats says that it can
	// give more than one node below its variable.
	place   []string
	repeats bool
}

const maxPathSteps = 12

// splitPath cuts "o.OBX.f3[5=MR].1" into names with brackets. A filter compares the text below a repetition:
// [5=MR] and [5!=NI], [5.1=MR] for a sub-component.
func splitPath(s string) ([]string, error) {
	var out []string
	depth, start := 0, 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '[':
			depth++
		case ']':
			depth--
		case '.':
			if depth == 0 {
				out = append(out, s[start:i])
				start = i + 1
			}
		}
	}
	out = append(out, s[start:])
	if depth != 0 {
		return nil, fmt.Errorf("brackets do not close")
	}
	for _, p := range out {
		if p == "" {
			return nil, fmt.Errorf("an empty name stands between dots")
		}
	}
	if len(out) > maxPathSteps {
		return nil, fmt.Errorf("more than %d names", maxPathSteps)
	}
	return out, nil
}

// parseStep reads one name with an optional index, filter or star.
func parseStep(names *source.Names, s string) (step, error) {
	st := step{index: -1}
	name, rest, bracket := strings.Cut(s, "[")
	st.name = name
	sym, ok := names.Sym(name)
	if !ok {
		return st, errUnknownName{name}
	}
	st.sym = sym
	if !bracket {
		return st, nil
	}
	rest = strings.TrimSuffix(rest, "]")
	if rest == "*" {
		st.all = true
		return st, nil
	}
	if key, val, ok := strings.Cut(rest, "="); ok {
		key, st.differ = strings.CutSuffix(key, "!")
		for _, k := range strings.Split(key, ".") {
			y, ok := names.Sym(k)
			if !ok {
				return st, errUnknownName{k}
			}
			st.filter = append(st.filter, y)
		}
		st.equal = val
		return st, nil
	}
	i, err := strconv.Atoi(rest)
	if err != nil || i < 0 {
		return st, fmt.Errorf("[%s] is neither an index from 0, nor *, nor name=value, nor name!=value", rest)
	}
	st.index = i
	return st, nil
}

type errUnknownName struct{ name string }

func (e errUnknownName) Error() string { return "no record has " + e.name }

// matches decides a step's filter.
func (st *step) matches(n source.Node) bool {
	if st.filter == nil {
		return true
	}
	for _, f := range st.filter {
		n = n.Child(f)
	}
	return (n.Peek() == st.equal) != st.differ
}

// pick gives the node that a scalar step means.
func (st *step) pick(n source.Node) source.Node {
	c := n.Child(st.sym)
	if st.index < 0 && st.filter == nil {
		return c
	}
	for k := 0; c.Valid(); c = c.NextSame() {
		if !st.matches(c) {
			continue
		}
		if st.index < 0 || k == st.index {
			return c
		}
		k++
	}
	return source.Node{}
}

// one gives the first node of the path.
func (p *path) one(rt *run) source.Node {
	if rt.trace.on {
		p.note(rt)
	}
	n := rt.vars[p.slot]
	for i := range p.steps {
		if !n.Valid() {
			return n
		}
		n = p.steps[i].pick(n)
	}
	return n
}

// each appends all repetitions at the last step, and of steps with [*]. Where
// the variable stands for several rows (continues), those of all rows.
func (p *path) each(rt *run, into []source.Node) []source.Node {
	if rt.trace.on {
		p.note(rt)
	}
	into = eachStep(rt.vars[p.slot], p.steps, into)
	if p.slot == rt.moreSlot {
		for _, n := range rt.more {
			into = eachStep(n, p.steps, into)
		}
	}
	return into
}

func eachStep(n source.Node, steps []step, into []source.Node) []source.Node {
	if !n.Valid() {
		return into
	}
	if len(steps) == 0 {
		return append(into, n)
	}
	st := &steps[0]
	if len(steps) > 1 && !st.all || st.index >= 0 {
		return eachStep(st.pick(n), steps[1:], into)
	}
	for c := n.Child(st.sym); c.Valid(); c = c.NextSame() {
		if st.matches(c) {
			into = eachStep(c, steps[1:], into)
		}
	}
	return into
}

// compilePath resolves and checks a path at y.
func (c *compiler) compilePath(y *ynode, text string) *path {
	text = strings.TrimSuffix(strings.TrimSpace(text), "?")
	parts, err := splitPath(text)
	if err != nil {
		c.problem(y, "M020", "", "path %q: %v", text, err)
		return nil
	}
	v, ok := c.vars[parts[0]]
	if !ok {
		c.problem(y, "M020", nearest(parts[0], c.varNames()), "path %q does not begin with a scope variable", text)
		return nil
	}
	if v.broken {
		return nil
	}
	p := &path{text: text, slot: v.slot, place: slices.Clone(v.place), steps: slices.Clone(v.steps), repeats: v.repeats}
	c.reads(v.slot)
	for _, s := range parts[1:] {
		st, err := parseStep(c.names, s)
		if err != nil {
			c.problem(y, "M020", nearest(st.name, c.grammar.Children(p.place)), "path %q: %v", text, err)
			return nil
		}
		repeats, ok := c.grammar.Child(p.place, st.name)
		if !ok {
			c.problem(y, "M020", nearest(st.name, c.grammar.Children(p.place)), "path %q: %s is impossible below %s in %s", text, st.name, strings.Join(p.place, "."), c.input)
			return nil
		}
		if repeats && st.index < 0 && st.filter == nil {
			p.repeats = true
		}
		p.place = append(p.place, st.name)
		p.steps = append(p.steps, st)
	}
	return p
}

// nearest gives the candidate with the smallest edit distance, "" when none is near.
func nearest(s string, candidates []string) string {
	best, dist := "", len(s)/2+2
	for _, c := range candidates {
		if d := distance(strings.ToLower(s), strings.ToLower(c)); d < dist {
			best, dist = c, d
		}
	}
	return best
}

// distance is Levenshtein's, over bytes.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		prev := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			d := prev
			if a[i-1] != b[j-1] {
				d = 1 + min(prev, row[j], row[j-1])
			}
			prev, row[j] = row[j], d
		}
	}
	return row[len(b)]
}
