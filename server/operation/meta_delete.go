package operation

import (
	"context"

	"meridian/fhir/element"
	"meridian/server/interaction"
)

func metaDeleteDefinition() *interaction.OperationDefinition {
	return &interaction.OperationDefinition{
		Name: "meta-delete", URL: "http://hl7.org/fhir/OperationDefinition/Resource-meta-delete", Instance: true, AffectsState: true,
		Params: []interaction.OperationParameter{
			{Name: "meta", Min: 1, Max: 1, Type: "Meta", Documentation: "Profiles, tags and security labels to remove; it is no error when they are not there"},
			{Name: "return", Out: true, Min: 1, Max: 1, Type: "Meta", Documentation: "The resulting meta"},
		},
		Documentation: "Removes profiles, tags and security labels from a resource, as a new version where any was there.",
	}
}

func metaDelete(ctx context.Context, c *interaction.OperationCall) (interaction.OperationResult, error) {
	return changeMeta(ctx, c, func(now, sent element.Node) (out labels) {
		drop := map[label]bool{}
		for n := sent.First(); n.Valid(); n = n.Next() {
			if key, ok := labelOf(n); ok {
				drop[key] = true
			}
		}
		out.add(now, drop)
		return out
	})
}
