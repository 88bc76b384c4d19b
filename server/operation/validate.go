package operation

import (
	"context"

	"meridian/fhir/issue"
	"meridian/server/interaction"
)

func validateDefinition() *interaction.OperationDefinition {
	return &interaction.OperationDefinition{
		Name: "validate", URL: "http://hl7.org/fhir/OperationDefinition/Resource-validate", Type: true, Instance: true, Invalid: true,
		Params: []interaction.OperationParameter{
			{Name: "resource", Max: 1, Type: "Resource", Documentation: "What is validated; needed unless the mode is delete"},
			{Name: "mode", Max: 1, Type: "code", Documentation: "create, update or delete: also what that would refuse"},
			{Name: "profile", Max: 1, Type: "uri", Documentation: "Profiles are not checked yet, but for the base definition of the type: another one is answered with an error"},
			{Name: "return", Out: true, Min: 1, Max: 1, Type: "OperationOutcome", Documentation: "The issues; without an error the resource is valid as far as it was checked"},
		},
		Documentation: "Checks elements, types, cardinality and the form of every value, as each write does; invariants, value sets and profiles are not checked yet.",
	}
}

// validate answers 200 whatever it finds.
//
// https://hl7.org/fhir/R4/resource-operation-validate.html
func validate(ctx context.Context, c *interaction.OperationCall) (interaction.OperationResult, error) {
	mode := c.Text("mode")
	switch {
	case mode != "" && mode != "create" && mode != "update" && mode != "delete":
		return interaction.OperationResult{}, issue.New(issue.CodeInvalid, "validate.mode", "mode is create, update or delete", "").WithStatus(400)
	case (mode == "update" || mode == "delete") && c.Level != interaction.InstanceLevel:
		return interaction.OperationResult{}, issue.New(issue.Invalid, "validate.mode", "the modes update and delete are for an instance: "+c.Key.Type+"/[id]/$validate", "")
	case mode != "delete" && c.Value("resource") == nil && c.Invalid == nil:
		return interaction.OperationResult{}, issue.New(issue.Required, "operation.parameter-missing", "$validate needs the parameter resource, unless the mode is delete", "")
	}
	var found []issue.Issue
	if mode == "delete" {
		if _, err := c.Service.Read(ctx, interaction.ReadParams{Key: c.Key}); err != nil {
			return outcomeOf(err)
		}
		return outcome([]issue.Issue{note("validate.delete", "the resource is there and can be deleted")}), nil
	}
	if c.Invalid != nil {
		found = append(found, c.Invalid.Issues...)
	} else {
		found = append(found, checkResource(c, mode)...)
	}
	found = append(found, checkProfile(c)...)
	if len(found) == 0 {
		found = append(found, note("validate.structure", "valid in elements, types, cardinality and values; invariants, value sets and profiles were not checked"))
	}
	return outcome(found), nil
}

// checkResource checks what the resource says against the address and the mode.
func checkResource(c *interaction.OperationCall, mode string) (found []issue.Issue) {
	root := c.Value("resource").Node
	fail := func(code issue.Code, id, text, at string) {
		found = append(found, issue.New(code, id, text, at).Issues...)
	}
	if name := root.Type().Name; name != c.Key.Type {
		fail(issue.Invalid, "body.type", "the resource is a "+name+", the address says "+c.Key.Type, root.Location())
	}
	id := root.Child("id").Text()
	if mode == "update" && id != c.Key.ID {
		fail(issue.Invalid, "id.differs", "the id in the resource is not the one of the address", root.Location()+".id")
	}
	for _, p := range elements(root.Child("meta"), "profile") {
		found = append(found, warning(issue.NotSupported, "validate.profile", "the profile is not checked yet"))
		found[len(found)-1].Expression = p.Location()
	}
	return found
}

// checkProfile: the server shall answer an error where it cannot validate against the profile that was asked for.
func checkProfile(c *interaction.OperationCall) []issue.Issue {
	profile := c.Text("profile")
	if profile == "" || profile == "http://hl7.org/fhir/StructureDefinition/"+c.Key.Type {
		return nil
	}
	return issue.New(issue.NotSupported, "validate.profile", "the profile is not checked yet; what else is said here is about the base definition", "").Issues
}

func note(id, text string) issue.Issue {
	return issue.Issue{Severity: issue.Information, Code: issue.Informational, ID: id, Text: text, Offset: issue.NoOffset}
}

func outcome(found []issue.Issue) interaction.OperationResult {
	return interaction.OperationResult{Body: interaction.AppendOutcome(nil, found)}
}

// outcomeOf answers 200 with the issues of an error that a client may see.
func outcomeOf(err error) (interaction.OperationResult, error) {
	if e := issue.As(err); e != nil {
		return outcome(e.Issues), nil
	}
	return interaction.OperationResult{}, err
}
