package operation

import (
	"context"
	"strconv"

	"meridian/fhir/codec"
	"meridian/fhir/issue"
	"meridian/server/interaction"
	"meridian/server/store"
)

func reindexDefinition() *interaction.OperationDefinition {
	return &interaction.OperationDefinition{
		Name: "reindex", URL: "urn:meridian:operation:Resource-reindex", System: true, Type: true, Instance: true, AffectsState: true,
		Params: []interaction.OperationParameter{
			{Name: "mode", Max: 1, Type: "code", Documentation: "verify (the default) compares and changes nothing; repair puts what is missing, takes away what stands for nobody, and compares then"},
			{Name: "type", Type: "code", Documentation: "On the system: the resource types; all that are stored when it is not sent"},
			{Name: "agrees", Out: true, Min: 1, Max: 1, Type: "boolean", Documentation: "Nothing differs and nothing is too many"},
			{Name: "result", Out: true, Documentation: "One for each type", Parts: []interaction.OperationParameter{
				{Name: "type", Out: true, Min: 1, Max: 1, Type: "code"},
				{Name: "checked", Out: true, Min: 1, Max: 1, Type: "integer", Documentation: "Resources that were compared with their bodies"},
				{Name: "differ", Out: true, Min: 1, Max: 1, Type: "integer", Documentation: "Of them, those whose stored keys are not those of the body"},
				{Name: "extra", Out: true, Min: 1, Max: 1, Type: "integer", Documentation: "Keys that stand for no resource"},
				{Name: "mended", Out: true, Max: 1, Type: "integer", Documentation: "Resources that lacked keys before; with mode repair"},
			}},
		},
		Documentation: "Whether what is stored is found: compares the index with the resources, every one of them, and mends it where that is asked for, while the server serves. " +
			"Large stores ask with Prefer: respond-async, which tells how far it is and can be cancelled.",
	}
}

// runReindex verifies or repairs type by type.
func runReindex(ctx context.Context, c *interaction.OperationCall) (interaction.OperationResult, error) {
	work, err := reindexMode(c)
	if err != nil {
		return interaction.OperationResult{}, err
	}
	keys, total, err := reindexKeys(ctx, c)
	if err != nil {
		return interaction.OperationResult{}, err
	}
	var reports []interaction.IndexReport
	done := 0
	for _, key := range keys {
		r, err := work(ctx, key, func(checked int) { interaction.ReportProgress(ctx, done+checked, max(total, done+checked)) })
		if err != nil {
			return interaction.OperationResult{}, err
		}
		reports = append(reports, r)
		done += r.Checked
	}
	return interaction.OperationResult{Body: reindexBody(reports, c.Text("mode") == "repair")}, nil
}

// reindexMode is what is done with each key.
func reindexMode(c *interaction.OperationCall) (func(context.Context, store.Key, func(int)) (interaction.IndexReport, error), error) {
	switch c.Text("mode") {
	case "", "verify":
		return c.Service.VerifyIndex, nil
	case "repair":
		return c.Service.RepairIndex, nil
	}
	return nil, issue.New(issue.Value, "reindex.mode", "mode is verify or repair", "mode")
}

// reindexKeys are the types, or the instance, and how many resources that is.
func reindexKeys(ctx context.Context, c *interaction.OperationCall) (keys []store.Key, total int, err error) {
	asked := c.Values("type")
	if c.Level != interaction.SystemLevel && len(asked) > 0 {
		return nil, 0, issue.New(issue.Invalid, "reindex.type", "the type is that of the address; type is a parameter on the system", "type")
	}
	if c.Level == interaction.InstanceLevel {
		_, err := c.Service.Read(ctx, interaction.ReadParams{Key: c.Key})
		return []store.Key{c.Key}, 1, err
	}
	types, resources, err := c.Service.StoredTypes(ctx)
	if err != nil {
		return nil, 0, err
	}
	if c.Level == interaction.TypeLevel {
		types = []string{c.Key.Type}
	} else if len(asked) > 0 {
		types = nil
		for i := range asked {
			typ := asked[i].Text()
			if !interaction.IsResourceType(typ) {
				return nil, 0, issue.New(issue.Value, "reindex.type", strconv.Quote(typ)+" is not a resource type of FHIR R4", "type")
			}
			types = append(types, typ)
		}
	}
	for _, typ := range types {
		keys, total = append(keys, store.Key{Type: typ}), total+resources[typ]
	}
	return keys, total, nil
}

// reindexBody is the answer.
func reindexBody(reports []interaction.IndexReport, repaired bool) []byte {
	agrees := true
	for i := range reports {
		agrees = agrees && reports[i].Differ+reports[i].Extra == 0
	}
	dst := strconv.AppendBool([]byte(`{"resourceType":"Parameters","parameter":[{"name":"agrees","valueBoolean":`), agrees)
	dst = append(dst, '}')
	for i := range reports {
		r := &reports[i]
		dst = append(dst, `,{"name":"result","part":[{"name":"type","valueCode":`...)
		dst = append(codec.AppendString(dst, r.Type), '}')
		dst = appendCount(dst, "checked", r.Checked)
		dst = appendCount(dst, "differ", r.Differ)
		dst = appendCount(dst, "extra", r.Extra)
		if repaired {
			dst = appendCount(dst, "mended", r.Mended)
		}
		dst = append(dst, `]}`...)
	}
	return append(dst, `]}`...)
}

func appendCount(dst []byte, name string, n int) []byte {
	dst = append(append(append(dst, `,{"name":"`...), name...), `","valueInteger":`...)
	return append(strconv.AppendInt(dst, int64(n), 10), '}')
}
