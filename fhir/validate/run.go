package validate

import (
	"context"
	"slices"
	"sort"
	"strings"

	"meridian/fhir/element"
	"meridian/fhir/fhirpath"
	"meridian/fhir/issue"
	"meridian/fhir/schema"
)

// run is the state of one validation.
type run struct {
	v    *Validator
	ctx  context.Context
	tree *element.Tree
	root element.Node
	end  int // index behind the last node of root
	env  fhirpath.Env

	issues   []issue.Issue
	limit    int
	unlisted int
	errors   int  // of severity error, listed or not
	checks   int  // tried so far
	stopped  bool // by a limit or the context

	quiet  int           // inside probe: errors are counted only
	depth  int           // of profiles inside each other
	held   map[held]bool // profiles that nodes have been held to; false while it goes on
	ids    map[elementID]bool
	skip   []bool // by node; nil for none
	loader loader
	err    error // of Options.Codes or Options.Source, which ends the run
}

// held is a node and a profile that it was held to.
type held struct {
	node    int
	profile *profile
}

// behind is the index behind the last node of n and what is below it: the arena is in depth-first order.
func behind(n element.Node) int {
	for {
		last := n.First()
		if !last.Valid() {
			return n.Index() + 1
		}
		for last.Next().Valid() {
			last = last.Next()
		}
		n = last
	}
}

// elementID is an Element.id in a resource.
type elementID struct {
	resource int
	id       string
}

// step counts one check; false when the run is to end.
func (r *run) step() bool {
	if r.stopped {
		return false
	}
	r.checks++
	if r.checks&1023 == 0 && r.ctx.Err() != nil {
		r.stopped = true
	}
	if r.checks > r.v.opt.Limits.Checks {
		r.stopped = true
		r.quiet = 0
		r.report(r.root, issue.SevError, issue.TooCostly, "validate.limit")
	}
	return !r.stopped
}

// fail ends the run with an error.
func (r *run) fail(err error) {
	if err != nil && r.err == nil {
		r.err, r.stopped = err, true
	}
}

// report records an issue at n. args fill the message's places.
func (r *run) report(n element.Node, s issue.Severity, code issue.Code, id string, args ...string) {
	r.reportAt(n, "", s, code, id, args...)
}

// reportAt is report for an element of n that is not there itself: suffix is what follows the path of n.
func (r *run) reportAt(n element.Node, suffix string, s issue.Severity, code issue.Code, id string, args ...string) {
	fault := s == issue.SevError || s == issue.Fatal
	if fault {
		r.errors++
	}
	if r.quiet > 0 {
		return
	}
	// Warnings never take the place of errors: they have half of the room.
	if len(r.issues) >= r.limit || !fault && len(r.issues) >= r.limit/2 {
		r.unlisted++
		return
	}
	english, chinese := text(id, args)
	r.issues = append(r.issues, issue.Issue{Severity: s, Code: code, ID: id, Text: english, Chinese: chinese,
		Expression: n.Location() + suffix, Offset: offsetOf(n)})
}

// offsetOf is where n stands; a primitive without a value stands where its parent does.
func offsetOf(n element.Node) int {
	for n.Valid() && !n.HasValue() && !n.NullSent() {
		n = n.Parent()
	}
	return n.Offset()
}

// finish sorts the issues by their place, leaves out repetitions, adds line and column.
func (r *run) finish() []issue.Issue {
	sort.SliceStable(r.issues, func(i, k int) bool { return r.issues[i].Offset < r.issues[k].Offset })
	seen := map[issue.Issue]bool{}
	out := r.issues[:0]
	for _, is := range r.issues {
		if !seen[is] {
			seen[is] = true
			out = append(out, is)
		}
	}
	if r.unlisted > 0 {
		is := issue.Issue{Severity: issue.Information, Code: issue.Informational, ID: "validate.more", Offset: issue.NoOffset}
		is.Text, is.Chinese = text(is.ID, []string{count(r.unlisted)})
		out = append(out, is)
	}
	issue.Locate(r.tree.Src, out)
	return slices.Clip(out)
}

// probe runs f without reporting and says whether it found no error.
func (r *run) probe(f func()) bool {
	errors, unlisted := r.errors, r.unlisted
	r.quiet++
	f()
	ok := r.errors == errors
	if r.quiet > 0 {
		r.quiet--
	}
	r.errors, r.unlisted = errors, unlisted
	return ok
}

// skipPlaces marks what stands at and below the expressions.
func (r *run) skipPlaces(places []string) {
	if len(places) == 0 {
		return
	}
	broken := map[string]bool{}
	for _, p := range places {
		broken[p] = true
	}
	r.skip = make([]bool, r.tree.Len())
	for i := range r.skip {
		n := r.tree.At(i)
		r.skip[i] = i > 0 && (r.skip[n.Parent().Index()] || broken[n.Location()])
	}
}

func (r *run) skipped(n element.Node) bool { return r.skip != nil && r.skip[n.Index()] }

// claimed applies the profiles asked for to the resource, and to each resource those it claims in meta.profile.
func (r *run) claimed(asked []string) {
	for _, p := range asked {
		r.claim(r.root, r.root, "", p, true)
	}
	for i := r.root.Index(); i < r.end; i++ {
		n := r.tree.At(i)
		if n.Type().Kind != schema.Resource || r.skipped(n) {
			continue
		}
		for c := n.Child("meta").First(); c.Valid(); c = c.Next() {
			if c.Name() == "profile" && c.HasValue() {
				r.claim(n, c, "", c.Text(), false)
			}
		}
		r.signposts(n)
	}
}

// claim holds resource n to a profile that at names. An unknown one is an error where it was asked for, else a warning.
func (r *run) claim(n, at element.Node, suffix, canonical string, asked bool) {
	if isCore(canonical, n.Type()) {
		return
	}
	p := r.known(canonical)
	switch {
	case p == nil && asked:
		r.reportAt(at, suffix, issue.SevError, issue.NotFound, "profile.unknown")
	case p == nil:
		r.reportAt(at, suffix, issue.Warning, issue.NotFound, "profile.unknown")
	case p.typ == 0 || !n.Type().IsA(p.typ):
		r.reportAt(at, suffix, issue.SevError, issue.Invalid, "profile.type", p.typeName, n.Type().Name)
	default:
		r.hold(n, p)
	}
}

// isCore says that a canonical is the definition of type t itself or of what it derives from, which the base layer checks.
func isCore(canonical string, t *schema.Type) bool {
	name, ok := strings.CutPrefix(withoutVersion(canonical), "http://hl7.org/fhir/StructureDefinition/")
	if !ok {
		return false
	}
	base := schema.ByName(name)
	return base != nil && t.IsA(base.ID)
}

func withoutVersion(canonical string) string {
	url, _, _ := strings.Cut(canonical, "|")
	return url
}

// hold applies a profile to n, once in a run.
func (r *run) hold(n element.Node, p *profile) {
	key := held{n.Index(), p}
	if r.quiet == 0 {
		if _, ok := r.held[key]; ok {
			return
		}
		if r.held == nil {
			r.held = map[held]bool{}
		}
		r.held[key] = true
	}
	if r.depth >= r.v.opt.Limits.Depth {
		// A profile that leads back to itself through what it describes ends with the instance; only
		// one that names itself gets here.
		return
	}
	r.depth++
	for _, m := range p.problems {
		r.report(n, issue.Warning, issue.NotSupported, "profile.problem", p.url, m)
	}
	r.value(n, p.root)
	r.depth--
}

// ConformsTo makes a run the fhirpath.Profiles of its invariants.
func (r *run) ConformsTo(n element.Node, canonical string) (conforms, known bool, err error) {
	if isCore(canonical, n.Type()) {
		return true, true, nil
	}
	p := r.known(canonical)
	if p == nil {
		return false, false, nil
	}
	if n.Tree() != r.tree || p.typ == 0 || !n.Type().IsA(p.typ) {
		return false, n.Tree() == r.tree, nil
	}
	return r.probe(func() { r.hold(n, p) }), true, nil
}
