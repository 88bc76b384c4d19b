package terminology

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"meridian/fhir/codec"
	"meridian/fhir/definitions"
	"meridian/fhir/element"
	"meridian/fhir/issue"
)

// Kinds of resources.
const (
	kindCodeSystem = "CodeSystem"
	kindValueSet   = "ValueSet"
	kindConceptMap = "ConceptMap"
)

// compiled is what find gives: *codeSystem, *valueSet or *conceptMap.
type compiled interface{ about() header }

// header is what chooses between versions.
type header struct {
	url, stamp string
	definitions.Edition
}

func (cs *codeSystem) about() header {
	return header{cs.url, cs.stamp, definitions.Edition{Version: cs.version, Status: cs.status, Date: cs.date}}
}

var whats = map[string]string{kindCodeSystem: "code system", kindValueSet: "value set", kindConceptMap: "concept map"}

// find gives the resource of a canonical: of those stored under the url the
// one of the version asked for, else the newest; else the official one.
// Issue codes: not-found; invalid for one that cannot be read.
func (l *Library) find(ctx context.Context, kind, canonical string) (compiled, error) {
	url, version, versioned := strings.Cut(canonical, "|")
	var there []compiled
	if l.source != nil {
		stored, err := l.source.Find(ctx, kind, url)
		if err != nil {
			return nil, err
		}
		for _, r := range stored {
			c, err := l.compile(kind, r.Stamp, func() ([]byte, error) { return r.Read(ctx) })
			if err != nil {
				return nil, err
			}
			there = append(there, c)
		}
	}
	best := newest(there, version)
	if best != nil {
		return best, nil
	}
	if official, err := l.official(kind, canonical, url); err != nil {
		return nil, err
	} else if official != nil {
		if there = append(there, official); !versioned || official.about().Named(version) {
			return official, nil
		}
	}
	text := "the " + whats[kind] + " " + quote(url) + " is not here"
	if len(there) > 0 {
		have := "one without a version"
		if v := newest(there, "").about().Version; v != "" {
			have = strconv.Quote(v)
		}
		text = fmt.Sprintf("the %s %s is not here in version %q; there is %s", whats[kind], quote(url), version, have)
	}
	return nil, issue.New(issue.NotFound, "terminology.unknown", text, "")
}

// official gives the definition of R4, nil when there is none.
func (l *Library) official(kind, canonical, url string) (compiled, error) {
	e, ok := l.set.Find(kind, canonical)
	if !ok {
		return nil, nil
	}
	return l.compile(kind, "R4 "+kind+" "+e.URL, func() ([]byte, error) { return l.set.JSON(definitions.Entry(e)) })
}

// newest is definitions.Newest, of equal ones that of the last stamp; nil when none has the version. An empty version is any.
func newest(of []compiled, version string) compiled {
	of = slices.SortedFunc(slices.Values(of), func(a, b compiled) int { return cmp.Compare(a.about().stamp, b.about().stamp) })
	editions := make([]definitions.Edition, len(of))
	for i, c := range of {
		editions[i] = c.about().Edition
	}
	if i := definitions.Newest(editions, version); i >= 0 {
		return of[i]
	}
	return nil
}

// compile reads a resource, or takes what was read under its stamp.
func (l *Library) compile(kind, stamp string, body func() ([]byte, error)) (compiled, error) {
	if c, ok := l.cache.get(stamp); ok {
		return c.(compiled), nil
	}
	text, err := body()
	if err != nil {
		return nil, err
	}
	tree, err := codec.Parse(text, codec.Options{Type: kind, AnyCardinality: true})
	if err != nil {
		return nil, issue.New(issue.Invalid, "terminology.unreadable", stamp+" cannot be read", "")
	}
	c, codes := compileKind(kind, tree.Root(), stamp)
	l.cache.put(stamp, c, codes)
	return c, nil
}

func compileKind(kind string, root element.Node, stamp string) (compiled, int) {
	switch kind {
	case kindCodeSystem:
		cs := compileCodeSystem(root)
		cs.stamp = stamp
		return cs, len(cs.concepts)
	case kindConceptMap:
		m := compileConceptMap(root)
		m.stamp = stamp
		return m, m.size()
	}
	vs := compileValueSet(root)
	vs.stamp = stamp
	return vs, vs.size()
}

// allVersions is a version of ValueSet.compose.include. One list of codes is what a search and an expansion are made of: that of the newest.
//
// https://hl7.org/fhir/R4/valueset-definitions.html#ValueSet.compose.include.version
const allVersions = "*"

// codeSystem finds a system by its url, with what supplements it. version may be empty.
func (l *Library) codeSystem(ctx context.Context, system, version string) (*codeSystem, error) {
	now := l.epoch()
	if f, ok := l.at.system(now, system, version); ok {
		return f.value, f.err
	}
	cs, err := l.lookForCodeSystem(ctx, system, version)
	l.at.put(now, err, func() { l.at.codes[[2]string{system, version}] = found[*codeSystem]{cs, err} })
	return cs, err
}

func (l *Library) epoch() epoch {
	now := epoch{gone: l.cache.gone.Load()}
	if l.source != nil {
		now.source = l.source.Epoch()
	}
	return now
}

func (l *Library) lookForCodeSystem(ctx context.Context, system, version string) (*codeSystem, error) {
	canonical := system
	if version != "" && version != allVersions {
		canonical += "|" + version
	}
	g := l.grammar[system]
	c, err := l.find(ctx, kindCodeSystem, canonical)
	switch {
	case g != nil && (err != nil && isUnknown(err) || err == nil && len(c.(*codeSystem).concepts) == 0):
		return &codeSystem{url: system, name: g.name(), content: contentComplete, grammar: g, stamp: "grammar " + system}, nil
	case err != nil:
		return nil, err
	}
	cs := c.(*codeSystem)
	if l.source == nil {
		return cs, nil
	}
	return l.supplemented(ctx, cs)
}

func isUnknown(err error) bool {
	var e *issue.Error
	return errors.As(err, &e) && e.Issues[0].Code == issue.NotFound
}

// supplemented adds what stored supplements say.
func (l *Library) supplemented(ctx context.Context, cs *codeSystem) (*codeSystem, error) {
	stored, err := l.source.Supplements(ctx, cs.url)
	if err != nil || len(stored) == 0 {
		return cs, err
	}
	key := cs.stamp
	var of []*codeSystem
	for _, r := range stored {
		c, err := l.compile(kindCodeSystem, r.Stamp, func() ([]byte, error) { return r.Read(ctx) })
		if err != nil {
			return nil, err
		}
		s := c.(*codeSystem)
		_, version, _ := strings.Cut(s.supplements, "|")
		if s.content == contentSupplement && (version == "" || cs.about().Named(version)) {
			of = append(of, s)
		}
	}
	slices.SortFunc(of, func(a, b *codeSystem) int { return cmp.Compare(a.stamp, b.stamp) })
	for _, s := range of {
		key += "+" + s.stamp
	}
	if len(of) == 0 {
		return cs, nil
	}
	if c, ok := l.cache.get(key); ok {
		return c.(*codeSystem), nil
	}
	out := cs.with(of)
	out.stamp = key
	l.cache.put(key, out, len(out.concepts))
	return out, nil
}
