package terminology

import (
	"fmt"

	"meridian/fhir/issue"
)

// walker lists what a value set holds.
type walker struct {
	most  int             // places looked at, in all
	seen  map[Coding]bool // nil where nothing can come twice
	yield func(*place) bool
	done  bool
}

// each calls yield for every code, once, in the order of the includes, until it
// says no. A place is yield's until it returns. Issue codes: too-costly; not-supported for what cannot be listed; those of what the value set draws from.
func (l *Library) each(b *bound, yield func(*place) bool) error {
	w := walker{most: l.scan, yield: yield}
	if len(b.include) != 1 || b.include[0].system == "" {
		w.seen = map[Coding]bool{}
	}
	return b.each(&w)
}

func (b *bound) each(w *walker) error {
	for i := range b.include {
		if err := b.include[i].each(w, func(p *place) error { return w.take(b, p) }); err != nil || w.done {
			return err
		}
	}
	return nil
}

// take hands a place on that is not excluded and was not there before.
func (w *walker) take(b *bound, p *place) error {
	key := Coding{System: p.system, Code: p.code}
	if w.seen[key] || b.active && p.inactive() {
		return nil
	}
	for k := range b.exclude {
		w.most -= weights(b.exclude[k].sets)
		out, err := b.exclude[k].locate(&Coding{System: p.system, Code: p.code}, Check{})
		if err != nil {
			return err
		}
		if out.in {
			return nil
		}
	}
	if w.seen != nil {
		w.seen[key] = true
	}
	w.done = !w.yield(p)
	return nil
}

// each lists one include: its codes, or the rows of its system that pass, or
// what its first value set holds; and of these what its value sets hold too.
func (b *boundInclude) each(w *walker, take func(*place) error) error {
	if b.err != nil {
		return b.err
	}
	sets := b.sets
	cost := 1 + weights(sets)
	check := func(p *place) error {
		if w.most -= cost; w.most < 0 {
			return issue.New(issue.TooCostly, "terminology.scan", "the value set is made of more codes than this server goes through for one answer", "")
		}
		for _, set := range sets {
			if in, err := set.locate(&Coding{System: p.system, Code: p.code}, Check{}); err != nil || !in.in {
				return err
			}
		}
		return take(p)
	}
	switch {
	case len(b.codes) > 0:
		return b.eachListed(w, check)
	case b.system == "" && len(sets) == 0:
		return nil
	case b.system == "":
		first := sets[0]
		sets = sets[1:]
		return first.nested(w, check)
	case b.cs.grammar != nil && len(sets) > 0:
		return sets[0].nested(w, func(p *place) error {
			if at, err := b.locate(&Coding{System: p.system, Code: p.code}, Check{}); err != nil || !at.in {
				return err
			}
			return take(p)
		})
	case b.cs.grammar != nil:
		return notListed(b.cs)
	}
	at := place{in: true, system: b.system, cs: b.cs}
	for i := range b.cs.concepts {
		if at.row = int32(i); b.rows == nil || b.rows.has(at.row) {
			at.code = b.cs.concepts[i].code
			if err := check(&at); err != nil || w.done {
				return err
			}
		}
	}
	return nil
}

// weights is what a question to all of the value sets costs, in questions.
func weights(of []*bound) (n int) {
	for _, set := range of {
		n += set.weight
	}
	return n
}

func (b *boundInclude) eachListed(w *walker, check func(*place) error) error {
	for i := range b.codes {
		at, err := b.inSystem(&Coding{System: b.system, Code: b.codes[i].code})
		if err != nil {
			return err
		}
		if err := check(&at); err != nil || w.done {
			return err
		}
	}
	return nil
}

// nested lists an imported value set.
func (b *bound) nested(w *walker, take func(*place) error) error {
	var failed error
	inner := walker{most: w.most, seen: map[Coding]bool{}, yield: func(p *place) bool {
		failed = take(p)
		return failed == nil && !w.done
	}}
	err := b.each(&inner)
	w.most = min(w.most, inner.most)
	if failed != nil {
		return failed
	}
	return err
}

func notListed(cs *codeSystem) error {
	return issue.New(issue.NotSupported, "terminology.grammar", fmt.Sprintf("the codes of %s are made by rules and cannot be listed", quote(cs.url)), "")
}
