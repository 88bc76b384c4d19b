package interaction

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"meridian/fhir/element"
	"meridian/fhir/issue"
	"meridian/fhir/schema"
	"meridian/fhir/search"
	"meridian/server/store"
)

// Referential integrity, by the policy of the type that is written or deleted.
//
// On write each literal reference to this server (Type/id, with or without the base and a version) must name a
// resource that is there, or that the same commit writes. Where the policy is
// enforce, the commit requires it (store.CommitParams.Requires).
//
// On delete no other resource may refer to it by a search parameter of type reference. Where
// the policy is enforce, the commit makes sure of that (store.CommitParams.NoMatch), so
// that a new reference and the delete of its target do not pass each other.

// Policy is what is done about a reference that names nothing, about a delete that would leave one, or about what validation finds.
type Policy uint8

const (
	// PolicyOff: nothing is looked at.
	PolicyOff Policy = iota
	// PolicyWarn: it is done, and the answer says so.
	PolicyWarn
	// PolicyEnforce: it is refused: 422 for a write, 409 for a delete.
	PolicyEnforce
)

// Policies are the policy of every resource type; the zero value is off.
type Policies struct {
	Default Policy
	Types   map[string]Policy
}

var policyNames = map[string]Policy{"off": PolicyOff, "warn": PolicyWarn, "enforce": PolicyEnforce}

// ParsePolicies reads "warn" or "off,Patient=enforce,Observation=warn".
func ParsePolicies(text string) (Policies, error) {
	out := Policies{Types: map[string]Policy{}}
	for part := range strings.SplitSeq(text, ",") {
		typ, name, typed := strings.Cut(strings.TrimSpace(part), "=")
		if !typed {
			name = typ
		}
		p, ok := policyNames[name]
		if !ok {
			return out, fmt.Errorf("%q is none of off, warn, enforce, nor Type=one of them", part)
		}
		switch {
		case !typed:
			out.Default = p
		case !IsResourceType(typ):
			return out, fmt.Errorf("%q is not a resource type of FHIR R4", typ)
		default:
			out.Types[typ] = p
		}
	}
	return out, nil
}

// off says that nothing is looked at, whatever the type.
func (i *Policies) off() bool { return i.Default == PolicyOff && len(i.Types) == 0 }

func (i *Policies) of(typ string) Policy {
	if p, ok := i.Types[typ]; ok {
		return p
	}
	return i.Default
}

// integrity looks at what a commit writes and deletes: it adds to p what the store has to make sure
// of, and gives the warnings of each write. at names the place of a write in a bundle; nil for a single one.
// Issue codes: business-rule (422) for references that name nothing; conflict (409) for resources that are referred to.
func (s *Service) integrity(ctx context.Context, p *store.CommitParams, at func(write int) string) ([][]issue.Issue, error) {
	warnings, err := s.validation(ctx, p, at)
	if err != nil || s.policies.off() {
		return warnings, err
	}
	c := &integrityCheck{s: s, p: p, at: at, warnings: warnings, written: make(map[store.Key]bool, len(p.Writes))}
	for i := range p.Writes {
		c.written[p.Writes[i].Key] = p.Writes[i].Body != nil
	}
	if err := c.references(ctx); err != nil {
		return nil, err
	}
	if err := c.deletes(ctx); err != nil {
		return nil, err
	}
	if len(c.failed.Issues) > 0 {
		return nil, &c.failed
	}
	return warnings, nil
}

type integrityCheck struct {
	s        *Service
	p        *store.CommitParams
	at       func(write int) string
	written  map[store.Key]bool // by this commit; false for what it deletes
	warnings [][]issue.Issue
	failed   issue.Error
}

// maxIntegrityIssues is how many references that name nothing one answer lists.
const maxIntegrityIssues = 100

// found notes what is wrong with a write, as its policy says.
func (c *integrityCheck) found(write int, code issue.Code, id, text, expression string) {
	if c.at != nil {
		place := ".request.url"
		if expression != "" {
			text += " (at " + expression + ")"
			place = ".resource"
		}
		expression = c.at(write) + place
	}
	is := issue.Issue{Severity: issue.Warning, Code: code, ID: id, Text: text, Expression: expression, Offset: issue.NoOffset}
	if c.s.policies.of(c.p.Writes[write].Type) == PolicyEnforce {
		is.Severity = issue.SevError
		if len(c.failed.Issues) < maxIntegrityIssues {
			c.failed.Issues = append(c.failed.Issues, is)
		}
		return
	}
	if len(c.warnings[write]) < maxIntegrityIssues {
		c.warnings[write] = append(c.warnings[write], is)
	}
}

// pointing is a reference in a write.
type pointing struct {
	write int
	to    store.Key
	at    string // FHIRPath
}

// references checks what the written bodies refer to.
func (c *integrityCheck) references(ctx context.Context) error {
	var all []pointing
	required := map[store.Key]bool{}
	var keys []store.Key
	for i := range c.p.Writes {
		w := &c.p.Writes[i]
		policy := c.s.policies.of(w.Type)
		if w.Body == nil || policy == PolicyOff {
			continue
		}
		list, err := c.s.pointings(i, w)
		if err != nil {
			return err
		}
		for _, r := range list {
			if there, mine := c.written[r.to]; mine && there {
				continue
			}
			enforce, known := required[r.to]
			if !known {
				keys = append(keys, r.to)
			}
			required[r.to] = enforce || policy == PolicyEnforce
			all = append(all, r)
		}
	}
	there, err := c.s.there(ctx, keys)
	if err != nil {
		return err
	}
	for _, r := range all {
		if _, mine := c.written[r.to]; mine || !there[r.to] {
			c.found(r.write, issue.BusinessRule, "integrity.reference", "the reference names "+r.to.Type+"/"+r.to.ID+", which is not there", r.at)
		}
	}
	for _, key := range keys {
		if required[key] && there[key] {
			c.p.Requires = append(c.p.Requires, store.Require{Key: key})
		}
	}
	return nil
}

// pointings lists the literal references of a body to this server, without those to itself.
func (s *Service) pointings(write int, w *store.Write) ([]pointing, error) {
	parser := s.stored.Get()
	defer s.stored.Put(parser)
	tree, err := parser.Parse(w.Body)
	if err != nil {
		return nil, fmt.Errorf("references of %s/%s: %w", w.Type, w.ID, err)
	}
	var out []pointing
	err = walk(tree.Root(), func(n element.Node) error {
		if n.Name() != "reference" || n.Parent().TypeID() != schema.TypeReference || !n.HasValue() {
			return nil
		}
		text, _, _ := strings.Cut(n.Text(), "#")
		if r := s.registry.ParseReference(text); r.Local() && (r.Type != w.Type || r.ID != w.ID) {
			out = append(out, pointing{write, store.Key{Type: r.Type, ID: r.ID}, n.Location()})
		}
		return nil
	})
	return out, err
}

// there says which resources are there and not deleted.
func (s *Service) there(ctx context.Context, keys []store.Key) (map[store.Key]bool, error) {
	out := make(map[store.Key]bool, len(keys))
	for chunk := range slices.Chunk(keys, store.MaxReadMany) {
		got, err := s.store.ReadMany(ctx, chunk)
		if err != nil {
			return nil, err
		}
		for i := range got {
			out[chunk[i]] = got[i].Body != nil
		}
	}
	return out, nil
}

// deletes checks that nobody refers to what is deleted: all at once, and where there is somebody, each by itself.
func (c *integrityCheck) deletes(ctx context.Context) error {
	var all, enforced []store.Key
	var writes []int
	for i := range c.p.Writes {
		w := &c.p.Writes[i]
		if policy := c.s.policies.of(w.Type); w.Body == nil && policy != PolicyOff {
			all, writes = append(all, w.Key), append(writes, i)
			if policy == PolicyEnforce {
				enforced = append(enforced, w.Key)
			}
		}
	}
	if len(all) == 0 {
		return nil
	}
	plans, err := c.s.referrers(all)
	if err != nil {
		return err
	}
	some, _, err := c.find(ctx, plans)
	if err != nil {
		return err
	}
	for n := 0; len(some) > 0 && n < len(all) && len(c.failed.Issues) < maxIntegrityIssues; n++ {
		if err := c.delete(ctx, writes[n]); err != nil {
			return err
		}
	}
	if len(enforced) == 0 || len(c.failed.Issues) > 0 {
		return nil
	}
	if len(enforced) < len(all) {
		plans, err = c.s.referrers(enforced)
	}
	c.p.NoMatch = plans
	return err
}

// delete names what refers to the resource of one write.
func (c *integrityCheck) delete(ctx context.Context, write int) error {
	w := &c.p.Writes[write]
	plans, err := c.s.referrers([]store.Key{w.Key})
	if err != nil {
		return err
	}
	names, more, err := c.find(ctx, plans)
	if err != nil || len(names) == 0 {
		return err
	}
	text := w.Type + "/" + w.ID + " is referred to by " + strings.Join(names, ", ")
	if more {
		text += " and others"
	}
	c.found(write, issue.Conflict, "integrity.referred", text, "")
	return nil
}

// find names resources that match one of plans and are not written by this commit, at most Limits.Referrers.
func (c *integrityCheck) find(ctx context.Context, plans []*search.Plan) (names []string, more bool, err error) {
	limit := c.s.limits.Referrers
	for _, plan := range plans {
		plan.Limit = min(limit+1+len(c.written), store.MaxPage)
		page, err := c.s.store.Search(ctx, plan)
		if err != nil {
			return nil, false, err
		}
		for i := range page.Rows {
			key := page.Rows[i].Key
			if _, mine := c.written[key]; mine {
				continue
			}
			if len(names) == limit {
				return names, true, nil
			}
			names = append(names, keyPath(key))
		}
	}
	return names, false, nil
}

// referringParam is a search parameter by which a type may refer to another.
type referringParam struct{ typ, code string }

// findReferring lists for each type the parameters that may refer to it.
func (s *Service) findReferring() map[string][]referringParam {
	out := map[string][]referringParam{}
	for _, typ := range schema.ResourceTypes() {
		for _, p := range s.registry.Params(typ) {
			if p.Unsupported != "" || p.Added || p.Kind != search.KindReference {
				continue // an added one may go again, and is made of what others name
			}
			targets := p.Targets
			if len(targets) == 0 {
				targets = schema.ResourceTypes()
			}
			for _, target := range targets {
				out[target] = append(out[target], referringParam{typ, p.Code})
			}
		}
	}
	return out
}

// referrers gives, by type, the searches for what refers to one of keys.
func (s *Service) referrers(keys []store.Key) ([]*search.Plan, error) {
	byType := map[string][]search.Expr{}
	known := map[string]bool{} // `patient` often says the same as `subject`
	for _, key := range keys {
		for _, p := range s.referring()[key.Type] {
			q, _, err := s.registry.Parse(p.typ, []search.Pair{{Name: p.code, Value: keyPath(key)}}, false)
			if err != nil {
				return nil, fmt.Errorf("who refers to a %s: %w", key.Type, err)
			}
			plan, err := s.registry.Compile(q)
			if err != nil {
				return nil, fmt.Errorf("who refers to a %s: %w", key.Type, err)
			}
			if same := fmt.Sprintf("%s %+v", p.typ, plan.Where); !known[same] {
				known[same] = true
				byType[p.typ] = append(byType[p.typ], plan.Where)
			}
		}
	}
	var plans []*search.Plan
	for _, typ := range schema.ResourceTypes() {
		if of := byType[typ]; len(of) > 0 {
			plans = append(plans, &search.Plan{Type: typ, Where: search.Or{Of: of}, Limit: 1})
		}
	}
	return plans, nil
}
