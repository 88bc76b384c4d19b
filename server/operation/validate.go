package operation

import (
	"context"
	"strings"

	"meridian/fhir/definitions"
	"meridian/fhir/element"
	"meridian/fhir/issue"
	"meridian/fhir/terminology"
	"meridian/fhir/validate"
	"meridian/server/interaction"
)

func validateDefinition() *interaction.OperationDefinition {
	return &interaction.OperationDefinition{
		Name: "validate", URL: "http://hl7.org/fhir/OperationDefinition/Resource-validate", Type: true, Instance: true, Invalid: true,
		Params: []interaction.OperationParameter{
			{Name: "resource", Max: 1, Type: "Resource", Documentation: "What is validated; needed unless the mode is delete"},
			{Name: "mode", Max: 1, Type: "code", Documentation: "create, update or delete: also what that would refuse"},
			{Name: "profile", Max: 1, Type: "uri", Documentation: "A profile that the resource shall conform to, beside those that it claims: of R4, or posted to the server"},
			{Name: "return", Out: true, Min: 1, Max: 1, Type: "OperationOutcome", Documentation: "The issues; without an error the resource is valid"},
		},
		Documentation: "Checks structure, invariants, profiles with their slices, references, extensions, Bundles and questionnaires' answers.",
	}
}

// validation is $validate with what it has compiled.
type validation struct{ validator *validate.Validator }

func newValidation() operation {
	v := &validation{newValidator()}
	return operation{validateDefinition(), v.run}
}

// newValidator gives a validator that reads definitions and terminology of the service in the context.
func newValidator() *validate.Validator {
	return validate.New(validate.Options{Source: posted{}, Codes: known{}})
}

// Judge validates what is written: interaction.Options.Judge.
func Judge() interaction.Judge { return onWrite{newValidator()} }

type onWrite struct{ validator *validate.Validator }

func (j onWrite) Judge(ctx context.Context, s *interaction.Service, root element.Node) ([]issue.Issue, error) {
	return j.validator.Validate(context.WithValue(ctx, serviceKey{}, s), root, validate.Params{})
}

// run answers 200 whatever it finds.
//
// https://hl7.org/fhir/R4/resource-operation-validate.html
func (v *validation) run(ctx context.Context, c *interaction.OperationCall) (interaction.OperationResult, error) {
	mode := c.Text("mode")
	switch {
	case mode != "" && mode != "create" && mode != "update" && mode != "delete":
		return interaction.OperationResult{}, issue.New(issue.CodeInvalid, "validate.mode", "mode is create, update or delete", "").WithStatus(400)
	case (mode == "update" || mode == "delete") && c.Level != interaction.InstanceLevel:
		return interaction.OperationResult{}, issue.New(issue.Invalid, "validate.mode", "the modes update and delete are for an instance: "+c.Key.Type+"/[id]/$validate", "")
	case mode != "delete" && c.Value("resource") == nil && c.Invalid == nil:
		return interaction.OperationResult{}, issue.New(issue.Required, "operation.parameter-missing", "$validate needs the parameter resource, unless the mode is delete", "")
	}
	if mode == "delete" {
		if _, err := c.Service.Read(ctx, interaction.ReadParams{Key: c.Key}); err != nil {
			return outcomeOf(err)
		}
		return outcome([]issue.Issue{note("validate.delete", "the resource is there and can be deleted")}), nil
	}
	found, err := v.validate(ctx, c, mode)
	if err != nil {
		return interaction.OperationResult{}, err
	}
	if len(found) == 0 {
		found = append(found, note("validate.ok", "nothing is wrong with it"))
	}
	return outcome(found), nil
}

// validate gives the issues of the resource: those of its structure first.
func (v *validation) validate(ctx context.Context, c *interaction.OperationCall, mode string) (found []issue.Issue, err error) {
	var p validate.Params
	if c.Invalid != nil {
		for _, is := range c.Invalid.Issues {
			found = append(found, is)
			p.Skip = append(p.Skip, is.Expression)
		}
	}
	profile := c.Text("profile")
	resource := c.Value("resource")
	if resource == nil || !resource.Node.Valid() {
		if profile != "" {
			found = append(found, issue.New(issue.NotSupported, "validate.profile", "the profile was not checked: too little of the resource could be read", "").Issues...)
		}
		return found, nil
	}
	if profile != "" {
		p.Profiles = []string{profile}
	}
	root := resource.Node
	found = append(found, checkAddress(c, root, mode)...)
	ctx = context.WithValue(ctx, serviceKey{}, c.Service)
	more, err := v.validator.Validate(ctx, root, p)
	return append(found, more...), err
}

// checkAddress checks what the resource says against the address and the mode.
func checkAddress(c *interaction.OperationCall, root element.Node, mode string) (found []issue.Issue) {
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
	return found
}

// serviceKey is where a context holds the service whose definitions a validation reads.
type serviceKey struct{}

// posted finds definitions among the resources of the server and in its packages.
type posted struct{}

func (posted) Definition(ctx context.Context, kind, canonical string) ([]byte, error) {
	s, ok := ctx.Value(serviceKey{}).(*interaction.Service)
	if !ok || canonical == "" {
		return nil, nil
	}
	url, _, versioned := strings.Cut(canonical, "|")
	// A url that R4 itself defines is not looked for, unless a version is named: the specification is not replaced by what is posted.
	if _, official := new(definitions.Set).Find(kind, url); official && !versioned {
		return nil, nil
	}
	return s.Definition(ctx, kind, canonical)
}

// known answers what the server's terminology knows.
type known struct{}

func (known) Contains(ctx context.Context, valueSet, system, code string) (yes, known bool, err error) {
	s, ok := ctx.Value(serviceKey{}).(*interaction.Service)
	if !ok {
		return false, false, nil
	}
	m, err := s.Terminology().Contains(ctx, valueSet, terminology.Coding{System: system, Code: code}, terminology.Check{AnySystem: system == ""})
	return m.In, err == nil, failed(err)
}

func (known) Defines(ctx context.Context, system, code string) (yes, known bool, err error) {
	s, ok := ctx.Value(serviceKey{}).(*interaction.Service)
	if !ok {
		return false, false, nil
	}
	_, err = s.Terminology().Lookup(ctx, system, "", code)
	e := issue.As(err)
	return err == nil, err == nil || e != nil && e.Issues[0].ID == "terminology.code", failed(err)
}

func (known) Subsumes(ctx context.Context, system, a, b string) (yes, known bool, err error) {
	s, ok := ctx.Value(serviceKey{}).(*interaction.Service)
	if !ok {
		return false, false, nil
	}
	r, err := s.Terminology().Subsumes(ctx, system, "", a, b)
	return r == terminology.Equivalent || r == terminology.Above, err == nil, failed(err)
}

// failed leaves out errors that say what terminology does not know: it could be asked.
func failed(err error) error {
	if terminology.Passing(err) {
		return err
	}
	return nil
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
