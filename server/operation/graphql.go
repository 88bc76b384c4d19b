package operation

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"strings"

	"meridian/fhir/issue"
	"meridian/server/interaction"
	"meridian/server/operation/graphql"
)

// The content types of a body that is a query, beside a Parameters.
const (
	graphqlType = "application/graphql"
	jsonType    = "application/json"
)

func graphqlDefinition() *interaction.OperationDefinition {
	return &interaction.OperationDefinition{
		Name: "graphql", URL: "http://hl7.org/fhir/OperationDefinition/Resource-graphql", System: true, Instance: true,
		Params: []interaction.OperationParameter{
			{Name: "query", Min: 1, Max: 1, Type: "string", Documentation: "The GraphQL document"},
			{Name: "operationName", Max: 1, Type: "string", Documentation: "Which operation of the document, where it has several"},
			{Name: "variables", Max: 1, Type: "string", Documentation: "A JSON object"},
			{Name: "result", Out: true, Min: 1, Max: 1, Type: "Binary", Documentation: "The answer of GraphQL, as application/json"},
		},
		Raw:           []string{graphqlType, jsonType},
		Answers:       jsonType,
		Documentation: "[GraphQL with FHIR](https://hl7.org/fhir/R4/graphql.html), on the system and on an instance. The body of a POST is the query as application/graphql, or JSON with query, operationName and variables. Mutations are POSTed to the system, one a request.",
	}
}

// runGraphQL makes the operation over an engine, whose schema is made by the first request.
//
// https://hl7.org/fhir/R4/graphql.html
func runGraphQL(engine *graphql.Engine) func(context.Context, *interaction.OperationCall) (interaction.OperationResult, error) {
	return func(ctx context.Context, c *interaction.OperationCall) (interaction.OperationResult, error) {
		r, err := graphqlRequest(c)
		if err != nil {
			return interaction.OperationResult{}, graphql.Refuse(err)
		}
		body, err := engine.Execute(ctx, c.Service, r)
		return interaction.OperationResult{Body: body, ContentType: graphql.ContentType}, err
	}
}

// graphqlRequest reads the request from the address or a Parameters, or from a body. Issue codes: required, invalid, structure.
//
// https://graphql.org/learn/serving-over-http/
func graphqlRequest(c *interaction.OperationCall) (graphql.Request, error) {
	r := graphql.Request{Focus: c.Key}
	typ, _, _ := strings.Cut(c.ContentType, ";")
	var err error
	switch strings.ToLower(strings.TrimSpace(typ)) {
	case graphqlType:
		r.Query = string(c.Body)
	case jsonType:
		err = graphqlJSON(c, &r)
	}
	if err != nil {
		return r, err
	}
	r.Writes = c.ContentType != ""
	for _, p := range []struct{ name, body string }{{"query", r.Query}, {"operationName", r.OperationName}, {"variables", string(r.Variables)}} {
		if c.Text(p.name) != "" && p.body != "" {
			return r, issue.New(issue.Invalid, "graphql.twice", p.name+" is sent in the address and in the body", "")
		}
	}
	if q := c.Text("query"); q != "" {
		r.Query = q
	}
	if name := c.Text("operationName"); name != "" {
		r.OperationName = name
	}
	if v := c.Text("variables"); v != "" {
		r.Variables = []byte(v)
	}
	if r.Query == "" {
		return r, issue.New(issue.Required, "graphql.query", "there is no query: it is sent as application/graphql, as the member query of application/json, or as the parameter query", "")
	}
	return r, nil
}

// graphqlJSON reads a body of application/json: query, operationName, variables; or a Parameters with these.
func graphqlJSON(c *interaction.OperationCall, r *graphql.Request) error {
	var body struct {
		ResourceType  string          `json:"resourceType"`
		Query         string          `json:"query"`
		OperationName string          `json:"operationName"`
		Variables     json.RawMessage `json:"variables"`
		Extensions    json.RawMessage `json:"extensions"`
	}
	d := json.NewDecoder(bytes.NewReader(c.Body))
	d.DisallowUnknownFields()
	err := d.Decode(&body)
	if _, end := d.Token(); body.ResourceType == "" && (err != nil || end != io.EOF) {
		return issue.New(issue.Structure, "graphql.body", "the body is not a JSON object with query, operationName and variables", "")
	}
	if body.ResourceType != "" {
		return issue.New(issue.Invalid, "graphql.body", "a Parameters is sent as application/fhir+json; application/json is the body of GraphQL: query, operationName, variables", "")
	}
	r.Query, r.OperationName, r.Variables = body.Query, body.OperationName, body.Variables
	return nil
}
