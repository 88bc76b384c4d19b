package operation

import (
	"context"
	"strings"

	"meridian/fhir/element"
	"meridian/fhir/issue"
	"meridian/server/interaction"
	"meridian/server/store"
)

func unmergeDefinition() *interaction.OperationDefinition {
	return &interaction.OperationDefinition{
		Name: "unmerge", URL: "urn:meridian:operation:Patient-unmerge", Type: true, Types: []string{"Patient"}, AffectsState: true,
		Params: []interaction.OperationParameter{
			{Name: "provenance", Min: 1, Max: 1, Type: "Reference", Documentation: "The record that $merge made"},
			{Name: "preview", Max: 1, Type: "boolean", Documentation: "Say whether it could be taken back, and do nothing"},
			{Name: "return", Out: true, Min: 1, Max: 1, Type: "OperationOutcome", Documentation: "What was done, or would be"},
		},
		Documentation: "Takes a $merge back: every resource that it touched becomes what it was before, in one transaction. When one was changed since, nothing is done and the answer names it.",
	}
}

// undo is a resource that a merge touched.
type undo struct {
	store.Key
	after, before uint64
}

// unmerge writes the versions before a merge again.
func unmerge(ctx context.Context, c *interaction.OperationCall) (interaction.OperationResult, error) {
	list, err := readRecord(ctx, c)
	if err != nil {
		return interaction.OperationResult{}, err
	}
	if err := unchanged(ctx, c.Service, list); err != nil {
		return interaction.OperationResult{}, err
	}
	if c.Text("preview") == "true" {
		return outcome([]issue.Issue{note("unmerge.preview", "nothing was changed; it can be taken back")}), nil
	}
	if !c.Service.Transactions() {
		return interaction.OperationResult{}, noTransactions(c.Definition.Name)
	}
	var puts []interaction.Put
	for _, u := range list {
		old, err := c.Service.VRead(ctx, interaction.ReadParams{Key: u.Key, Version: u.before})
		if err != nil {
			return interaction.OperationResult{}, err
		}
		puts = append(puts, interaction.Put{Key: u.Key, Revise: func(current *store.Resource) ([]byte, bool, error) {
			if current.Version != u.after || current.Body == nil {
				return nil, true, changedSince([]undo{u})
			}
			return old.Resource.Body, false, nil
		}})
	}
	if _, err := c.Service.Apply(ctx, puts); err != nil {
		return interaction.OperationResult{}, err
	}
	return outcome([]issue.Issue{note("unmerge.done", "the merge is taken back: every resource that it touched is what it was")}), nil
}

// readRecord reads what a merge recorded.
func readRecord(ctx context.Context, c *interaction.OperationCall) ([]undo, error) {
	v := c.Value("provenance")
	ref := c.Service.Registry().ParseReference(v.Node.Child("reference").Text())
	if !ref.Local() || ref.Type != "Provenance" {
		return nil, issue.New(issue.Value, "unmerge.provenance", "provenance is a reference to a Provenance of this server", v.Node.Location())
	}
	r, err := c.Service.Read(ctx, interaction.ReadParams{Key: store.Key{Type: "Provenance", ID: ref.ID}})
	if err != nil {
		return nil, err
	}
	root, done, err := c.Service.Tree(r.Resource.Body)
	if err != nil {
		return nil, err
	}
	defer done()
	notOurs := issue.New(issue.BusinessRule, "unmerge.provenance", "the Provenance is not the record of a $merge", "")
	coding := root.Path("activity", "coding")
	targets, entities := elements(root, "target"), elements(root, "entity")
	if coding.Child("system").Text() != "urn:meridian:activity" || coding.Child("code").Text() != "merge" || len(targets) == 0 || len(targets) != len(entities) {
		return nil, notOurs
	}
	var list []undo
	for i := range targets {
		after, okAfter := versionOf(c.Service, targets[i])
		before, okBefore := versionOf(c.Service, entities[i].Child("what"))
		if !okAfter || !okBefore || after.Key != before.Key {
			return nil, notOurs
		}
		list = append(list, undo{after.Key, after.Version, before.Version})
	}
	return list, nil
}

// versionOf reads Type/id/_history/version.
func versionOf(s *interaction.Service, reference element.Node) (store.Require, bool) {
	ref := s.Registry().ParseReference(reference.Child("reference").Text())
	if ref.Version == "" {
		return store.Require{}, false
	}
	version, ok := interaction.ParseVersion(ref.Version)
	return store.Require{Key: store.Key{Type: ref.Type, ID: ref.ID}, Version: version}, ok && ref.Local()
}

// unchanged: every resource is still as the merge left it.
func unchanged(ctx context.Context, s *interaction.Service, list []undo) error {
	var changed []undo
	for at := 0; at < len(list); at += store.MaxReadMany {
		some := list[at:min(at+store.MaxReadMany, len(list))]
		keys := make([]store.Key, len(some))
		for i := range some {
			keys[i] = some[i].Key
		}
		found, err := s.Current(ctx, keys)
		if err != nil {
			return err
		}
		for i := range found {
			if found[i].Body == nil || found[i].Version != some[i].after {
				changed = append(changed, some[i])
			}
		}
	}
	if len(changed) > 0 {
		return changedSince(changed)
	}
	return nil
}

// maxNamed is how many changed resources an error names.
const maxNamed = 20

func changedSince(list []undo) error {
	var names []string
	for i, u := range list {
		if i == maxNamed {
			names = append(names, "and more")
			break
		}
		names = append(names, path(u.Key))
	}
	return issue.New(issue.Conflict, "unmerge.changed", "changed since the merge, so that nothing is taken back: "+strings.Join(names, ", "), "")
}
