package rest

import (
	"context"
	"net/http"

	"meridian/fhir/issue"
	"meridian/server/interaction"
)

// https://hl7.org/fhir/R4/http.html#create
func create(x *call) error {
	if x.query != "" {
		return issue.New(issue.NotSupported, "create.query", "a create has no parameters; the condition of a conditional create is the header If-None-Exist", "")
	}
	body, err := x.resourceBody()
	if err != nil {
		return err
	}
	criterion, err := x.condition("If-None-Exist")
	if err != nil {
		return err
	}
	return x.write(body, func(ctx context.Context) (interaction.Result, error) {
		return x.service.Create(ctx, interaction.CreateParams{Type: x.Param("type"), Body: body, IfNoneExist: criterion})
	})
}

// https://hl7.org/fhir/R4/http.html#update, https://hl7.org/fhir/R4/http.html#cond-update
func update(x *call) error {
	if x.Param("id") != "" {
		if err := interaction.NoParameters("an update of a resource by its id", x.query); err != nil {
			return err
		}
	}
	body, err := x.resourceBody()
	if err != nil {
		return err
	}
	conditions, err := x.writeConditions()
	if err != nil {
		return err
	}
	p := interaction.UpdateParams{Type: x.Param("type"), ID: x.Param("id"), Body: body, Conditions: conditions}
	if p.ID == "" {
		p.Criterion = x.query
	}
	return x.write(body, func(ctx context.Context) (interaction.Result, error) { return x.service.Update(ctx, p) })
}

// https://hl7.org/fhir/R4/http.html#delete
func remove(x *call) error {
	if x.Param("id") != "" {
		if err := interaction.NoParameters("a delete of a resource by its id", x.query); err != nil {
			return err
		}
	}
	conditions, err := x.writeConditions()
	if err != nil {
		return err
	}
	p := interaction.DeleteParams{Type: x.Param("type"), ID: x.Param("id"), Conditions: conditions}
	if p.ID == "" {
		p.Criterion = x.query
	}
	return x.write(nil, func(ctx context.Context) (interaction.Result, error) { return x.service.Delete(ctx, p) })
}

func (x *call) writeConditions() (c interaction.Conditions, err error) {
	if c.IfMatch, err = x.condition("If-Match"); err != nil {
		return c, err
	}
	c.IfNoneMatch, err = x.condition("If-None-Match")
	return c, err
}

// answerWrite answers as Prefer asks; a delete has no representation, and one of many says how many.
func (x *call) answerWrite(r *interaction.Result, err error) error {
	if err != nil {
		return err
	}
	x.stamp(&r.Resource)
	status := effectStatus(r.Effect)
	gone := r.Effect == interaction.Deleted || r.Effect == interaction.Absent
	if !gone {
		location := []string{x.location(&r.Resource)}
		x.Response().Header()["Location"] = location
		if status == http.StatusOK {
			x.Response().Header()["Content-Location"] = location
		}
	}
	if len(r.Warnings) > 0 {
		x.warn(r.Warnings)
	}
	switch {
	case x.prefer == interaction.ReturnOutcome, r.Count > 0 && x.prefer != interaction.ReturnMinimal:
		if gone {
			status = http.StatusOK
		}
		x.out = interaction.AppendOutcome(x.out, r.Issues())
		return x.send(status, x.out)
	case gone || x.prefer == interaction.ReturnMinimal:
		return x.send(status, nil)
	}
	return x.send(status, r.Resource.Body)
}
