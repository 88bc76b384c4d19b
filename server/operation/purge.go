package operation

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"meridian/fhir/issue"
	"meridian/fhir/schema"
	"meridian/fhir/search"
	"meridian/server/interaction"
	"meridian/server/store"
)

// maxPurge is how many resources one $purge removes; with more it is too costly.
const maxPurge = 10_000

func purgeDefinition() *interaction.OperationDefinition {
	return &interaction.OperationDefinition{
		Name: "purge", URL: "urn:meridian:operation:Patient-purge", Instance: true, Types: []string{"Patient"}, AffectsState: true,
		Params: []interaction.OperationParameter{
			{Name: "preview", Max: 1, Type: "boolean", Documentation: "Say what would go and what would stay, and do nothing"},
			{Name: "return", Out: true, Min: 1, Max: 1, Type: "OperationOutcome", Documentation: "What went, and what stays and why"},
		},
		Documentation: "Removes a patient and all that is in the patient's compartment, with every version, for good; at most " + strconv.Itoa(maxPurge) +
			" resources. AuditEvents, and what is about another patient too, stay, and the answer says so.",
	}
}

// purger collects what goes and what stays.
type purger struct {
	s     *interaction.Service
	key   store.Key
	keys  []store.Key // the patient last
	going map[store.Key]bool
	stays []issue.Issue
	count map[string]int
	refer int // resources that stay and refer to the patient
}

// purge removes a patient's record.
func purge(ctx context.Context, c *interaction.OperationCall) (interaction.OperationResult, error) {
	p := &purger{s: c.Service, key: c.Key, going: map[store.Key]bool{}, count: map[string]int{}}
	if _, err := c.Service.Read(ctx, interaction.ReadParams{Key: c.Key}); err != nil {
		if e := issue.As(err); e == nil || e.Issues[0].Code != issue.Deleted {
			return interaction.OperationResult{}, err // one that was deleted still has its history
		}
	}
	if err := p.collect(ctx); err != nil {
		return interaction.OperationResult{}, err
	}
	if err := p.referrers(ctx); err != nil {
		return interaction.OperationResult{}, err
	}
	if c.Text("preview") == "true" {
		return outcome(slices.Concat([]issue.Issue{note("purge.preview", "nothing was changed")}, p.counts("would be removed"), p.stays)), nil
	}
	if p.refer > 0 && c.Service.Enforces("Patient") {
		e := issue.New(issue.Conflict, "purge.referred", strconv.Itoa(p.refer)+" resources that stay refer to the patient, and references are enforced; nothing was removed", "")
		e.Issues = append(e.Issues, p.stays...)
		return interaction.OperationResult{}, e
	}
	if err := c.Service.Purge(ctx, p.keys); err != nil {
		return interaction.OperationResult{}, err
	}
	return outcome(slices.Concat(p.counts("removed, with every version"), p.stays)), nil
}

// collect goes through the compartment.
func (p *purger) collect(ctx context.Context) error {
	area := compartmentOf(p.s, "Patient")
	for _, typ := range area.types {
		f := interaction.FindParams{Type: typ, Any: [][][]search.Pair{area.of(typ, p.key.ID)}, Limit: 1000}
		for {
			page, err := p.s.Find(ctx, f)
			if err != nil {
				return err
			}
			for i := range page.Rows {
				if err := p.row(ctx, area, &page.Rows[i].Resource); err != nil {
					return err
				}
			}
			if !page.More {
				break
			}
			f.After = &page.Rows[len(page.Rows)-1].At
		}
	}
	p.keys = append(p.keys, p.key)
	p.going[p.key] = true
	p.count["Patient"]++
	return nil
}

// row decides about one resource of the compartment.
func (p *purger) row(ctx context.Context, area *compartment, r *store.Resource) error {
	switch {
	case r.Key == p.key:
		return nil // last
	case r.Type == "AuditEvent":
		p.stay(r.Key, "records of what was done are kept")
		return nil
	case r.Type == "Patient":
		p.stay(r.Key, "it is another patient, with a link to this one")
		return nil
	}
	others, err := p.otherPatients(ctx, area, r)
	if err != nil {
		return err
	}
	if len(others) > 0 {
		p.stay(r.Key, "it is about "+path(others[0])+" too")
		return nil
	}
	if len(p.keys) == maxPurge {
		return issue.New(issue.TooCostly, "purge.resources", "the patient has more than "+strconv.Itoa(maxPurge)+" resources", "")
	}
	p.keys = append(p.keys, r.Key)
	p.going[r.Key] = true
	p.count[r.Type]++
	return nil
}

// otherPatients are those in whose compartment a resource is as well, and who are there.
func (p *purger) otherPatients(ctx context.Context, area *compartment, r *store.Resource) ([]store.Key, error) {
	root, done, err := p.s.Tree(r.Body)
	if err != nil {
		return nil, err
	}
	defer done()
	var keys []store.Key
	for _, name := range area.params[r.Type] {
		param, _ := p.s.Registry().Param(r.Type, name)
		for _, ref := range p.s.Registry().References(root, param, "Patient") {
			if key := (store.Key{Type: ref.Type, ID: ref.ID}); ref.Local() && key != p.key && !slices.Contains(keys, key) {
				keys = append(keys, key)
			}
		}
	}
	if len(keys) == 0 {
		return nil, nil
	}
	found, err := p.s.Current(ctx, keys)
	if err != nil {
		return nil, err
	}
	var out []store.Key
	for i := range found {
		if found[i].Body != nil {
			out = append(out, keys[i])
		}
	}
	return out, nil
}

// maxStays is how many resources that stay are named.
const maxStays = 200

func (p *purger) stay(key store.Key, why string) {
	switch n := len(p.stays); {
	case n < maxStays:
		p.stays = append(p.stays, warning(issue.Informational, "purge.stays", path(key)+" stays: "+why))
	case n == maxStays:
		p.stays = append(p.stays, warning(issue.Incomplete, "purge.stays", "more stay, which are not named"))
	}
}

// referrers finds what is in no compartment and refers to the patient: it stays as it is.
func (p *purger) referrers(ctx context.Context) error {
	area := compartmentOf(p.s, "Patient")
	for _, typ := range schema.ResourceTypes() {
		if typ == "AuditEvent" {
			continue
		}
		err := eachReferring(ctx, p.s, typ, p.key, func(row *store.Row) error {
			if p.going[row.Key] {
				return nil
			}
			p.refer++
			if !area.has(typ) {
				p.stay(row.Key, "it refers to the patient and is not part of the record")
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *purger) counts(what string) (out []issue.Issue) {
	for _, typ := range schema.ResourceTypes() {
		if n := p.count[typ]; n > 0 {
			out = append(out, note("purge.removed", fmt.Sprintf("%d %s %s", n, typ, what)))
		}
	}
	return out
}
