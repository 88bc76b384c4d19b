package operation

import (
	"context"

	"meridian/fhir/element"
	"meridian/fhir/issue"
	"meridian/server/interaction"
	"meridian/server/store"
)

func metaAddDefinition() *interaction.OperationDefinition {
	return &interaction.OperationDefinition{
		Name: "meta-add", URL: "http://hl7.org/fhir/OperationDefinition/Resource-meta-add", Instance: true, AffectsState: true,
		Params: []interaction.OperationParameter{
			{Name: "meta", Min: 1, Max: 1, Type: "Meta", Documentation: "Profiles, tags and security labels to add; those that are there already are not doubled"},
			{Name: "return", Out: true, Min: 1, Max: 1, Type: "Meta", Documentation: "The resulting meta"},
		},
		Documentation: "Adds profiles, tags and security labels to a resource, as a new version where any is new.",
	}
}

func metaAdd(ctx context.Context, c *interaction.OperationCall) (interaction.OperationResult, error) {
	return changeMeta(ctx, c, func(now, sent element.Node) (out labels) {
		out.add(now, nil)
		out.add(sent, nil)
		return out
	})
}

// changeMeta writes the labels that change gives, and answers the meta that stands then.
func changeMeta(ctx context.Context, c *interaction.OperationCall, change func(now, sent element.Node) labels) (interaction.OperationResult, error) {
	if _, err := c.Service.Read(ctx, interaction.ReadParams{Key: c.Key}); err != nil {
		return interaction.OperationResult{}, err
	}
	sent := c.Value("meta").Node
	for _, p := range elements(sent, "profile") {
		if p.First().Valid() {
			return interaction.OperationResult{}, issue.New(issue.NotSupported, "meta.profile", "a profile with an id or extensions is not taken", p.Location())
		}
	}
	done, err := c.Service.Apply(ctx, []interaction.Put{{Key: c.Key, Revise: func(current *store.Resource) ([]byte, bool, error) {
		if current.Body == nil {
			_, err := c.Service.Read(ctx, interaction.ReadParams{Key: c.Key}) // deleted meanwhile: its error says so
			return nil, true, err
		}
		root, done, err := c.Service.Tree(current.Body)
		if err != nil {
			return nil, false, err
		}
		defer done()
		now := root.Child("meta")
		for _, p := range elements(now, "profile") {
			if p.First().Valid() {
				return nil, true, issue.New(issue.NotSupported, "meta.profile", "a profile of the resource has an id or extensions, which this operation would lose", "")
			}
		}
		l := change(now, sent)
		return withMembers(nil, root, member{"meta", withMembers(nil, now, l.members()...)}), false, nil
	}}})
	if err != nil {
		return interaction.OperationResult{}, err
	}
	return metaOf(c.Service, &done[0].Resource)
}
