package operation

import (
	"cmp"
	"context"

	"meridian/fhir/issue"
	"meridian/fhir/terminology"
	"meridian/server/interaction"
	"meridian/server/store"
)

func subsumesDefinition() *interaction.OperationDefinition {
	return &interaction.OperationDefinition{
		Name: "subsumes", URL: "http://hl7.org/fhir/OperationDefinition/CodeSystem-subsumes", Type: true, Instance: true, Types: []string{"CodeSystem"},
		Params: []interaction.OperationParameter{
			{Name: "codeA", Max: 1, Type: "code", Documentation: "The first code; with system, unless it is called on a code system"},
			{Name: "codeB", Max: 1, Type: "code", Documentation: "The second code"},
			{Name: "system", Max: 1, Type: "uri", Documentation: "The system of both"},
			{Name: "version", Max: 1, Type: "string", Documentation: "Its version"},
			{Name: "codingA", Max: 1, Type: "Coding", Documentation: "The first code with its system"},
			{Name: "codingB", Max: 1, Type: "Coding", Documentation: "The second code with its system, the same one"},
			{Name: "outcome", Out: true, Min: 1, Max: 1, Type: "code", Documentation: "equivalent, subsumes, subsumed-by or not-subsumed"},
		},
		Documentation: "How two codes of a system stand to each other.",
	}
}

// subsumes compares two codes.
//
// https://hl7.org/fhir/R4/codesystem-operation-subsumes.html
func subsumes(ctx context.Context, c *interaction.OperationCall) (interaction.OperationResult, error) {
	system, version, err := systemOf(ctx, c, "system")
	if err != nil {
		return interaction.OperationResult{}, err
	}
	a, b := terminology.Coding{System: system, Code: c.Text("codeA")}, terminology.Coding{System: system, Code: c.Text("codeB")}
	if v := c.Value("codingA"); v != nil && a.Code == "" {
		a = codingOf(v.Node)
	}
	if v := c.Value("codingB"); v != nil && b.Code == "" {
		b = codingOf(v.Node)
	}
	switch {
	case a.Code == "" || b.Code == "":
		return interaction.OperationResult{}, issue.New(issue.Required, "subsumes.codes", "$subsumes needs codeA and codeB with system, or codingA and codingB", "")
	case a.System == "" && c.Level == interaction.InstanceLevel:
		a.System = system
	}
	if b.System == "" {
		b.System = a.System
	}
	switch {
	case a.System == "":
		return interaction.OperationResult{}, issue.New(issue.Required, "code.system", "$subsumes needs the system of the codes", "")
	case a.System != b.System || system != "" && a.System != system:
		return interaction.OperationResult{}, issue.New(issue.Invalid, "subsumes.systems", "the codes are of different systems, which are not compared", "").WithStatus(400)
	}
	for _, said := range []string{a.Version, b.Version} {
		if said != "" && version != "" && said != version {
			return interaction.OperationResult{}, issue.New(issue.Invalid, "subsumes.versions", "different versions of the code system are named, which are not compared", "").WithStatus(400)
		}
		version = cmp.Or(version, said)
	}
	relation, err := c.Service.Terminology().Subsumes(ctx, a.System, version, a.Code, b.Code)
	if err != nil {
		return interaction.OperationResult{}, err
	}
	var out interaction.Parameters
	out.Add("outcome", "valueCode", jsonText(string(relation)))
	return interaction.OperationResult{Body: out.Bytes()}, nil
}

// systemOf gives url and version of the code system that a call names by a
// parameter, or of the instance that it is called on.
func systemOf(ctx context.Context, c *interaction.OperationCall, param string) (url, version string, err error) {
	url, version = c.Text(param), c.Text("version")
	if c.Level != interaction.InstanceLevel {
		return url, version, nil
	}
	r, err := c.Service.Read(ctx, interaction.ReadParams{Key: store.Key{Type: c.Key.Type, ID: c.Key.ID}})
	if err != nil {
		return "", "", err
	}
	root, done, err := c.Service.Tree(r.Resource.Body)
	if err != nil {
		return "", "", err
	}
	defer done()
	own := root.Child("url").Text()
	switch {
	case own == "":
		return "", "", issue.New(issue.BusinessRule, "codesystem.url", "this code system has no url", "CodeSystem.url").WithStatus(422)
	case url != "" && url != own:
		return "", "", issue.New(issue.Invalid, "codesystem.several", "the parameter "+param+" is not the url of this code system", "").WithStatus(400)
	case version == "":
		version = root.Child("version").Text()
	}
	return own, version, nil
}
