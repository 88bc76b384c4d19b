package terminology

import (
	"context"
	"slices"

	"meridian/fhir/issue"
)

// Check says how Contains decides.
type Check struct {
	// AnySystem takes the code of the one system that has it in the value set, where Coding has none.
	AnySystem bool
}

// Member is what Contains finds.
type Member struct {
	In bool
	at place
}

// Concept gives the code as its system has it, where it is known, with what the
// value set itself says of it. m must be In.
func (m *Member) Concept() Concept { return m.at.concept() }

// Contains says whether a value set holds a code. Issue codes: not-found for
// the value set; those of whatever it draws from, where that is needed to decide.
//
//	m, err := l.Contains(ctx, "http://hl7.org/fhir/ValueSet/administrative-gender|4.0.1", terminology.Coding{System: s, Code: "male"}, terminology.Check{})
//	err == nil && !m.In    is not in it
//	err != nil             cannot be told, and why
func (l *Library) Contains(ctx context.Context, valueSet string, c Coding, how Check) (Member, error) {
	b, err := l.valueSet(ctx, valueSet)
	if err != nil {
		return Member{}, err
	}
	return ValueSet{l, b}.Contains(c, how)
}

// place is where a value set holds a code.
type place struct {
	in     bool
	system string
	code   string
	cs     *codeSystem   // nil when it is not known
	row    int32         // of cs, -1 where it has none
	listed *includedCode // nil where the value set does not list it
}

// concept shows a place: what the value set says itself goes before what the system says.
func (p *place) concept() Concept {
	out := Concept{System: p.system, Code: p.code}
	if p.cs != nil {
		out.Version, out.Name = p.cs.version, p.cs.name
		if p.row >= 0 {
			out = p.cs.show(p.row)
		}
	}
	if p.listed != nil {
		if p.listed.display != "" {
			out.Display = p.listed.display
		}
		if len(p.listed.designations) > 0 {
			out.Designations = append(p.listed.designations[:len(p.listed.designations):len(p.listed.designations)], out.Designations...)
		}
	}
	if out.Display == "" && p.cs != nil && p.cs.grammar != nil {
		out.Display = p.code
	}
	return out
}

// locate finds a code. What is excluded, or cannot be told to be, goes first.
func (b *bound) locate(c *Coding, how Check) (place, error) {
	var unknown error
	for i := range b.include {
		at, err := b.include[i].locate(c, how)
		if err != nil {
			unknown = err
			continue
		}
		if !at.in || b.active && at.inactive() {
			continue
		}
		found := Coding{System: at.system, Code: at.code}
		for k := range b.exclude {
			out, err := b.exclude[k].locate(&found, Check{})
			if err != nil {
				return place{}, err
			}
			if out.in {
				return place{}, nil
			}
		}
		return at, nil
	}
	return place{}, unknown
}

func (p *place) inactive() bool { return p.cs != nil && p.row >= 0 && p.cs.concepts[p.row].inactive }

// locate decides for one include: its system, codes or filters, and all value sets that it imports.
func (b *boundInclude) locate(c *Coding, how Check) (place, error) {
	if b.system != "" && c.System != b.system && (c.System != "" || !how.AnySystem) {
		return place{}, nil
	}
	if b.system == "" && len(b.sets) == 0 && b.err == nil {
		return place{}, nil
	}
	at := place{in: true, system: c.System, code: c.Code, row: -1}
	if b.system != "" {
		var err error
		if at, err = b.inSystem(c); err != nil || !at.in {
			return at, err
		}
	} else if b.err != nil {
		return place{}, b.err
	}
	for _, set := range b.sets {
		in, err := set.locate(&Coding{System: at.system, Code: at.code}, how)
		if err != nil || !in.in {
			return place{}, err
		}
		if b.system == "" {
			at = in
		}
	}
	if b.err != nil {
		return place{}, b.err
	}
	return at, nil
}

// inSystem decides by system, codes and filters.
func (b *boundInclude) inSystem(c *Coding) (place, error) {
	at := place{system: b.system, code: c.Code, cs: b.cs, row: -1}
	if b.cs != nil && b.cs.grammar == nil {
		if row, ok := b.cs.row(c.Code); ok {
			at.row, at.code = row, b.cs.concepts[row].code
		}
	}
	if len(b.codes) > 0 {
		i, ok := b.byCode[at.code]
		if !ok {
			i, ok = b.byCode[c.Code]
		}
		if ok {
			at.in, at.listed = true, &b.codes[i]
		}
		return at, nil
	}
	switch {
	case b.err != nil:
		return place{}, b.err
	case b.cs.grammar != nil:
		in := b.cs.grammar.valid(c.Code)
		if in && len(b.filters) > 0 {
			var err error
			if in, err = passes(b.cs.grammar, b.filters, c.Code); err != nil {
				return place{}, err
			}
		}
		at.in = in
	case at.row >= 0:
		at.in = b.rows == nil || b.rows.has(at.row)
	case !b.cs.listed():
		return place{}, noCode(b.cs, c.Code)
	}
	return at, nil
}

// Lookup gives what a system says of a code. version may be empty. Issue codes:
// not-found for the system or the code; not-supported where its content is not here.
//
// https://hl7.org/fhir/R4/codesystem-operation-lookup.html
func (l *Library) Lookup(ctx context.Context, system, version, code string) (Concept, error) {
	cs, err := l.codeSystem(ctx, system, version)
	if err != nil {
		return Concept{}, err
	}
	return CodeSystem{cs}.Lookup(code)
}

// Passing says that an error tells nothing of what was asked for, as the Source could not be asked: it may be another one, or none, the next time.
func Passing(err error) bool {
	if err == nil {
		return false
	}
	e := issue.As(err)
	return e == nil || slices.Contains([]issue.Code{issue.Transient, issue.Timeout, issue.Throttled, issue.Exception}, e.Issues[0].Code)
}
