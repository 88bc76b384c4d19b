package terminology

import (
	"context"

	"meridian/fhir/element"
)

// ValueSet is one that was found, as it is now: for those who ask it more than once.
type ValueSet struct {
	l *Library
	b *bound
}

// ValueSet finds a value set by its canonical, a relative reference, or as an implicit one.
func (l *Library) ValueSet(ctx context.Context, canonical string) (ValueSet, error) {
	b, err := l.valueSet(ctx, canonical)
	return ValueSet{l, b}, err
}

// ValueSetOf is a ValueSet that is at hand as a resource. Its node is not needed afterwards.
func (l *Library) ValueSetOf(ctx context.Context, root element.Node) (ValueSet, error) {
	vs := compileValueSet(root)
	vs.stamp = "at hand"
	w := &binder{l: l, ctx: ctx, done: map[string]*bound{}}
	b, err := w.all(vs)
	return ValueSet{l, b}, err
}

// URL, Version, Name, Title and Status of the resource, each may be empty.
func (s ValueSet) URL() string     { return s.b.url }
func (s ValueSet) Version() string { return s.b.version }
func (s ValueSet) Name() string    { return s.b.name }
func (s ValueSet) Title() string   { return s.b.title }
func (s ValueSet) Status() string  { return s.b.status }

// Contains is Library.Contains.
func (s ValueSet) Contains(c Coding, how Check) (Member, error) {
	at, err := s.b.locate(&c, how)
	if err != nil || !at.in {
		return Member{}, err
	}
	return Member{In: true, at: at}, nil
}

// CodeSystem is one that was found, with what supplements it.
type CodeSystem struct{ cs *codeSystem }

// CodeSystem finds a system by its url. version may be empty.
func (l *Library) CodeSystem(ctx context.Context, url, version string) (CodeSystem, error) {
	cs, err := l.codeSystem(ctx, url, version)
	return CodeSystem{cs}, err
}

// CodeSystemOf is a CodeSystem that is at hand as a resource.
func CodeSystemOf(root element.Node) CodeSystem { return CodeSystem{compileCodeSystem(root)} }

// URL, Version and Name of the resource, each may be empty.
func (s CodeSystem) URL() string     { return s.cs.url }
func (s CodeSystem) Version() string { return s.cs.version }
func (s CodeSystem) Name() string    { return s.cs.name }

// Lookup gives what the system says of a code. Issue codes: not-found; not-supported where its content is not here.
func (s CodeSystem) Lookup(code string) (Concept, error) {
	cs := s.cs
	if cs.grammar != nil {
		if !cs.grammar.valid(code) {
			return Concept{}, noCode(cs, code)
		}
		return Concept{System: cs.url, Name: cs.name, Code: code, Display: code}, nil
	}
	row, err := cs.mustRow(code)
	if err != nil {
		return Concept{}, err
	}
	return cs.show(row), nil
}

// Complete says that what Lookup does not find is no code of the system.
func (s CodeSystem) Complete() bool { return s.cs.grammar != nil || s.cs.listed() }

// DisplayOf gives the display of another code of the system, "" when there is none.
func (s CodeSystem) DisplayOf(code string) string {
	if row, ok := s.cs.row(code); ok {
		return s.cs.concepts[row].display
	}
	return ""
}

// HasProperty says that the system declares a property.
func (s CodeSystem) HasProperty(code string) bool { return s.cs.declared[code] }
