package terminology

import (
	"context"
	"time"

	"meridian/fhir/issue"
	"meridian/fhir/search"
)

// codesTime is how long a search waits for the Source.
const codesTime = 10 * time.Second

// Codes gives the Library as searches ask it.
func (l *Library) Codes() search.Codes { return codes{l} }

type codes struct{ l *Library }

// Expand gives what a value set holds, whole systems as such: of these no list is needed.
func (c codes) Expand(valueSet string) ([]search.CodeSet, error) {
	ctx, cancel := context.WithTimeout(context.Background(), codesTime)
	defer cancel()
	b, err := c.l.valueSet(ctx, valueSet)
	if err != nil {
		return nil, err
	}
	w := walker{most: c.l.scan, seen: map[Coding]bool{}}
	var out []search.CodeSet
	n, at := 0, map[string]int{}
	w.yield = func(p *place) bool {
		i, ok := at[p.system]
		if !ok {
			i = len(out)
			at[p.system], out = i, append(out, search.CodeSet{System: p.system})
		}
		out[i].Codes = append(out[i].Codes, p.code)
		n++
		return n <= search.MaxExpansion
	}
	for i := range b.include {
		in := &b.include[i]
		if len(b.exclude) == 0 && !b.active && in.whole() {
			out = append(out, search.CodeSet{System: in.system, All: true})
			continue
		}
		if err := in.each(&w, func(p *place) error { return w.take(b, p) }); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// whole says that an include is all of a system, of which nothing more has to be known.
func (b *boundInclude) whole() bool {
	return b.system != "" && len(b.codes) == 0 && len(b.filters) == 0 && len(b.valueSets) == 0
}

func (c codes) Descendants(system, code string) ([]string, error) {
	return c.bounded(system, code, c.l.Descendants)
}

func (c codes) Ancestors(system, code string) ([]string, error) {
	return c.bounded(system, code, c.l.Ancestors)
}

func (c codes) bounded(system, code string, list func(ctx context.Context, system, code string) ([]string, error)) ([]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), codesTime)
	defer cancel()
	out, err := list(ctx, system, code)
	if err == nil && len(out) > search.MaxExpansion {
		return nil, issue.New(issue.TooCostly, "terminology.codes", "there are too many codes", "")
	}
	return out, err
}
