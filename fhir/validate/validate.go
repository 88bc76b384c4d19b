// Package validate judges resources that codec has read: codec has checked
// syntax, element names, cardinality and the form of primitives; this package
// checks what the definitions say beyond that.
//
// A resource is judged in layers, each of which reports only what it adds:
//
//	base       for every node, by its type: invariants, bindings, reference targets, extensions    base.go
//	profiles   those of meta.profile, those asked for, those that types, extensions and slices name  profile.go
//	whole      what no element says alone: Bundle, QuestionnaireResponse                             bundle.go, questionnaire.go
//
// A profile is compiled once from its snapshot, which is generated where there
// is none (snapshot.go), into a tree of rules that holds nothing that the base
// layer says already. For
//
//	Observation.category slicing(value: coding.code, open); Observation.category:lab min 1, pattern {…laboratory}
//
// the tree is
//
//	Observation
//	  category   slicing by coding.code: lab {min 1, pattern}
//
// Every finding is an issue.Issue with a stable message id (message.go lists
// them with an English and a Chinese sentence), the FHIRPath of the place, its
// byte offset in the tree's source, line and column. No text holds a value of the instance.
//
// Nothing is fetched: definitions come from fhir/definitions and Options.Source,
// terminology from Options.Codes. Where one of them does not know, the issue
// says so and is no error, but for what the specification forbids to be unknown
// (a modifier extension).
//
// A Validator is safe for concurrent use. Trees are only read.
//
// https://hl7.org/fhir/R4/validation.html
package validate

import (
	"cmp"
	"context"
	"sync"
	"time"

	"meridian/fhir/definitions"
	"meridian/fhir/element"
	"meridian/fhir/fhirpath"
	"meridian/fhir/issue"
	"meridian/fhir/schema"
)

// The defaults of Limits.
const (
	DefaultIssues   = 500       // issues listed; one more says that there are others
	DefaultChecks   = 5_000_000 // rules and invariants tried on nodes
	DefaultSteps    = 1_000_000 // of one invariant, see fhirpath.Limits
	DefaultDepth    = 32        // profiles inside profiles that an element is held to
	DefaultProfiles = 2_000     // compiled profiles that are kept
)

// Limits bound one validation; 0 stands for the default.
type Limits struct {
	Issues, Checks, Steps, Depth, Profiles int
}

func (l Limits) withDefaults() Limits {
	or := func(v *int, def int) {
		if *v <= 0 {
			*v = def
		}
	}
	or(&l.Issues, DefaultIssues)
	or(&l.Checks, DefaultChecks)
	or(&l.Steps, DefaultSteps)
	or(&l.Depth, DefaultDepth)
	or(&l.Profiles, DefaultProfiles)
	return l
}

// Source gives definitions beside the embedded ones of R4.
type Source interface {
	// Definition gives the JSON of a resource of a kind (StructureDefinition,
	// Questionnaire) by its canonical, with or without "|version"; nil when it has none.
	Definition(ctx context.Context, kind, canonical string) ([]byte, error)
}

// Codes answers what terminology knows. An error is one of asking, not of what was asked for.
type Codes interface {
	// Contains says whether a value set has a code. system is empty for a value
	// without one (an element of type code), which any system of the value set
	// may have. known is false where it cannot be said.
	Contains(ctx context.Context, valueSet, system, code string) (yes, known bool, err error)
	// Defines says whether a code system has a code; known is false for a
	// system that is not there in full.
	Defines(ctx context.Context, system, code string) (yes, known bool, err error)
	// Subsumes says whether the code a of a system is b or stands above it; known
	// is false where it cannot be said.
	Subsumes(ctx context.Context, system, a, b string) (yes, known bool, err error)
}

// Options of a Validator. The zero value validates against R4 alone, without terminology.
type Options struct {
	Source Source // further profiles and questionnaires
	Codes  Codes  // without it bindings are not checked, and no issue says so
	// Resolver finds what resolve() in an invariant or a discriminator asks for
	// outside of the resource. Default: nothing is found.
	Resolver fhirpath.Resolver
	// Clock answers now() in invariants. Default time.Now.
	Clock  func() time.Time
	Limits Limits
}

// Validator validates. It keeps what it compiled.
type Validator struct {
	opt  Options
	set  definitions.Set
	base [schema.Count]baseEntry

	mu       sync.Mutex
	profiles map[string]*profile // of the embedded definitions, by canonical
	exprs    map[string]*fhirpath.Expr
}

// New gives a Validator. Nothing is compiled before it is needed.
func New(o Options) *Validator {
	o.Limits = o.Limits.withDefaults()
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Resolver == nil {
		o.Resolver = nothing{}
	}
	return &Validator{opt: o, profiles: map[string]*profile{}, exprs: map[string]*fhirpath.Expr{}}
}

// nothing resolves nothing.
type nothing struct{}

func (nothing) Resolve(string) (element.Node, error) { return element.Node{}, nil }

// Params of one validation.
type Params struct {
	// Profiles are canonicals that the resource shall conform to, beside those it claims itself.
	Profiles []string
	// Skip leaves out whatever stands below these expressions, which are broken already
	// (the places of the issues of codec.ParseWithIssues).
	Skip []string
}

// Validate judges a resource, which may stand in another one (Parameters), and gives all issues, in the order of the source;
// nil when there is nothing to say. The error is ctx's, or that of Source or Codes: then nothing is judged.
//
// Issue codes: invariant, required, structure, value, code-invalid, extension,
// business-rule, not-found (of a profile), not-supported, too-costly, informational.
func (v *Validator) Validate(ctx context.Context, root element.Node, p Params) ([]issue.Issue, error) {
	r := &run{v: v, ctx: ctx, loader: loader{v: v, ctx: ctx}, tree: root.Tree(), root: root, end: behind(root), limit: v.opt.Limits.Issues}
	r.env = fhirpath.Env{Now: v.opt.Clock(), Resolver: v.opt.Resolver, Profiles: r, FilterAs: true,
		Limits: fhirpath.Limits{Steps: v.opt.Limits.Steps}}
	if v.opt.Codes != nil {
		r.env.Terminology = membership{r}
	}
	r.skipPlaces(p.Skip)
	r.baseLayer()
	r.claimed(p.Profiles)
	r.whole()
	if err := cmp.Or(r.ctx.Err(), r.err); err != nil {
		return nil, err
	}
	return r.finish(), nil
}
