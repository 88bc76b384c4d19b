package terminology

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"meridian/fhir/issue"
)

// bound is a value set with what it draws from.
type bound struct {
	*valueSet
	include, exclude []boundInclude
	uses             []use // of it and of all that it imports
	weight           int   // value sets that a question to it may lead to, one for each way there
}

// boundInclude: err says why what the include draws from cannot be had. Where
// it lists codes, that alone does not matter.
type boundInclude struct {
	*include
	cs   *codeSystem // nil when err is set, or without a system
	rows rows        // of cs that pass the filters; nil without filters
	sets []*bound
	err  error
}

// use is something that was found, or not, when a value set was bound.
type use struct {
	kind, url, version string
	stamp              string // "" when it was not found
}

// valueSet finds a value set and binds it.
func (l *Library) valueSet(ctx context.Context, canonical string) (*bound, error) {
	now := l.epoch()
	if f, ok := l.at.set(now, canonical); ok {
		return f.value, f.err
	}
	b, err := l.lookForValueSet(ctx, canonical)
	l.at.put(now, err, func() { l.at.sets[canonical] = found[*bound]{b, err} })
	return b, err
}

func (l *Library) lookForValueSet(ctx context.Context, canonical string) (*bound, error) {
	vs, err := l.findValueSet(ctx, canonical)
	if err != nil {
		return nil, err
	}
	return l.bind(ctx, vs)
}

func (l *Library) findValueSet(ctx context.Context, canonical string) (*valueSet, error) {
	c, err := l.find(ctx, kindValueSet, canonical)
	if err == nil {
		return c.(*valueSet), nil
	}
	if !isUnknown(err) {
		return nil, err
	}
	if vs := implicit(canonical); vs != nil {
		return vs, nil
	}
	if strings.Contains(canonical, "?fhir_vs=") {
		return nil, issue.New(issue.NotSupported, "terminology.implicit", "of implicit value sets only ?fhir_vs and ?fhir_vs=isa/[code] are supported, not "+quote(canonical), "")
	}
	return nil, err
}

// bind takes what was bound before as long as all that it used is the same.
func (l *Library) bind(ctx context.Context, vs *valueSet) (*bound, error) {
	key := "bound " + vs.stamp
	if c, ok := l.cache.get(key); ok {
		if b := c.(*bound); l.stands(ctx, b.uses) {
			return b, nil
		}
	}
	w := &binder{l: l, ctx: ctx, done: map[string]*bound{}}
	b, err := w.all(vs)
	if err == nil {
		l.cache.put(key, b, b.size())
	}
	return b, err
}

func (l *Library) stands(ctx context.Context, uses []use) bool {
	for _, u := range uses {
		if stamp, _ := l.stampOf(ctx, u.kind, u.url, u.version); stamp != u.stamp {
			return false
		}
	}
	return true
}

// stampOf is that of what is found now.
func (l *Library) stampOf(ctx context.Context, kind, url, version string) (string, error) {
	if kind == kindCodeSystem {
		cs, err := l.codeSystem(ctx, url, version)
		if err != nil {
			return "", err
		}
		return cs.stamp, nil
	}
	vs, err := l.findValueSet(ctx, url)
	if err != nil {
		return "", err
	}
	return vs.stamp, nil
}

// binder binds one value set and those that it imports.
type binder struct {
	l      *Library
	ctx    context.Context
	uses   []use
	stack  []string          // stamps of those that import each other
	done   map[string]*bound // by stamp
	failed error             // something could not be had now, and may be had later without a change
}

// all binds a value set, or gives the error for which that must be tried again.
func (w *binder) all(vs *valueSet) (*bound, error) {
	b, err := w.bind(vs)
	return b, cmp.Or(w.failed, err)
}

func (w *binder) bind(vs *valueSet) (*bound, error) {
	for _, stamp := range w.stack {
		if stamp == vs.stamp {
			return nil, issue.New(issue.Processing, "terminology.cycle", "the value set "+quote(vs.url)+" imports itself", "")
		}
	}
	if b, ok := w.done[vs.stamp]; ok {
		w.uses = append(w.uses, b.uses...)
		return b, nil
	}
	if len(w.stack) >= maxImports {
		return nil, issue.New(issue.TooCostly, "terminology.depth", "value sets import each other more than 20 deep", "")
	}
	if !vs.defined {
		return nil, issue.New(issue.NotSupported, "terminology.undefined", "the value set "+quote(vs.url)+" does not say what it holds", "")
	}
	w.stack = append(w.stack, vs.stamp)
	from := len(w.uses)
	b := &bound{valueSet: vs, weight: 1}
	for i := range vs.include {
		b.include = append(b.include, w.include(&vs.include[i]))
	}
	for i := range vs.exclude {
		b.exclude = append(b.exclude, w.include(&vs.exclude[i]))
	}
	w.stack = w.stack[:len(w.stack)-1]
	b.uses = w.uses[from:len(w.uses):len(w.uses)]
	for _, list := range [][]boundInclude{b.include, b.exclude} {
		for i := range list {
			for _, set := range list[i].sets {
				b.weight = min(b.weight+set.weight, maxWeight+1)
			}
		}
	}
	if b.weight > maxWeight {
		return nil, issue.New(issue.TooCostly, "terminology.imports", "the value set "+quote(vs.url)+" imports more than 1,000 value sets", "")
	}
	w.done[vs.stamp] = b
	return b, nil
}

func (w *binder) include(in *include) boundInclude {
	b := boundInclude{include: in}
	if in.system != "" {
		b.cs, b.err = w.l.codeSystem(w.ctx, in.system, in.version)
		w.note(kindCodeSystem, in.system, in.version, b.cs, b.err)
		if b.err == nil && b.cs.content == contentNotPresent {
			b.err = notPresent(in.system)
		}
		if b.err == nil && len(in.filters) > 0 && b.cs.grammar == nil {
			b.rows, b.err = b.cs.choose(in.filters)
		}
		if len(in.codes) > 0 {
			b.err = nil
		}
	}
	for _, url := range in.valueSets {
		vs, err := w.l.findValueSet(w.ctx, url)
		if err != nil {
			w.note(kindValueSet, url, "", nil, err)
			b.err = errors.Join(b.err, err)
			continue
		}
		w.uses = append(w.uses, use{kindValueSet, url, "", vs.stamp})
		set, err := w.bind(vs)
		if err != nil {
			b.err = errors.Join(b.err, err)
			continue
		}
		b.sets = append(b.sets, set)
	}
	return b
}

// note records what was found.
func (w *binder) note(kind, url, version string, cs *codeSystem, err error) {
	u := use{kind: kind, url: url, version: version}
	switch {
	case err == nil:
		u.stamp = cs.stamp
	case Passing(err):
		w.failed = err
	}
	w.uses = append(w.uses, u)
}
